//! The orders domain: status, versions, timers, and who may read the feeds.
