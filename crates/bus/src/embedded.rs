//! The embedded engine: an SQLite log in one process.
