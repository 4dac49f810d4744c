//! The one gRPC address that Django needs.
