//! A fix: what a rider's device measured, and whether it is of use.

use platepal_events::Timestamp;
use serde::{Deserialize, Serialize};

use super::{limits::Limits, place::Place};

/// What a device measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fix {
    /// Degrees north.
    #[serde(rename = "lat")]
    pub latitude: f64,
    /// Degrees east.
    #[serde(rename = "lon")]
    pub longitude: f64,
    /// Metres in which it is with 68 %.
    #[serde(rename = "acc")]
    pub accuracy: f64,
    /// Degrees clockwise from north.
    #[serde(rename = "hdg", default, skip_serializing_if = "Option::is_none")]
    pub heading: Option<f64>,
    /// Metres per second.
    #[serde(rename = "spd", default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Per cent.
    #[serde(rename = "bat", default, skip_serializing_if = "Option::is_none")]
    pub battery_level: Option<f64>,
    /// By the device's clock.
    #[serde(rename = "at", with = "micros")]
    pub recorded_at: Timestamp,
}

/// Why a fix is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A number is missing or infinite.
    NotANumber,
    /// No place on earth, or a measure that can't be.
    OutOfRange,
    /// Recorded later than now.
    InTheFuture,
    /// There is a newer one. Kept for the trail.
    Old,
    /// Known too badly. Kept for the trail.
    Inaccurate,
    /// Nobody is that fast.
    Jump,
    /// Not where the movement led to.
    Outlier,
    /// Not recorded during a shift.
    NoShift,
    /// The shift has ended. Kept for the trail.
    ShiftOver,
}

/// What became of a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Kept, and the rider is shown there.
    Shown,
    /// In the trail, not shown.
    Kept(Reason),
    /// Was taken before.
    Duplicate,
    /// Neither kept nor shown.
    Refused(Reason),
}
