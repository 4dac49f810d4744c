//! Decoders that are private, for the fuzz targets alone.

use platepal_events::Timestamp;

use crate::{
    replay::Fix,
    rules::{fix, limits::Limits, wire},
};

/// The fixes that a client's `data` has; those that are none are left out.
pub fn fixes(data: &[u8], now: Timestamp) -> Vec<Fix> {
    wire::decode(data, now).unwrap_or_default().into_iter().flatten().collect()
}

/// Whether a fix can be one.
pub fn is_valid(fix: &Fix, now: Timestamp) -> bool {
    fix::validate(fix, now, &Limits::default()).is_ok()
}
