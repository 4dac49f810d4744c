//! The binary: roles, demo and command-line tools, composed in one place.
fn main() {}
