//! The NATS JetStream engine.
