//! Arrived, approaching, left. (Draft of the types.)

use platepal_events::Timestamp;
use serde::{Deserialize, Serialize};

/// Which end of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Zone {
    Pickup,
    Dropoff,
}

/// What a rider does at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Doing {
    Approaching,
    Arrived,
    Left,
}

/// A rider crossed the border of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crossing {
    pub(crate) delivery_id: String,
    pub(crate) zone: Zone,
    pub(crate) what: Doing,
    /// When the rider was first there, by the device's clock.
    pub(crate) at: Timestamp,
}

/// What is remembered of one place: each thing happens once.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Fence {}

/// Both ends of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Fences {
    pub(crate) pickup: Fence,
    pub(crate) dropoff: Fence,
}
