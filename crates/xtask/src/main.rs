//! Chores: test, lint, and what they need installed.
fn main() {}
