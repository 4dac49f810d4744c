//! Real servers and real tiers for tests; hides ports, waiting and cleaning up, never behaviour.
