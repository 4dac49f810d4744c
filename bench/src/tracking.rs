//! How well riders are tracked: what is measured, and how it is told.
//!
//! Unlike the other measurements this one looks from inside: drives whose truth is known go through the rules themselves
//! ([`platepal_tracking::replay`]), as no server could be asked so often. Nothing depends on the machine: the same seed gives
//! the same numbers.

pub mod arrivals;
pub mod drives;
pub mod etas;
pub mod map;
pub mod page;
pub mod pass;
pub mod plots;
pub mod silences;
pub mod smoothing;
pub mod town;
pub mod trails;

use serde::{Deserialize, Serialize};

/// Everything that was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Findings {
    /// The command that repeats it.
    pub command: String,
    /// Of all random numbers.
    pub seed: u64,
    /// Whether the recordings were there.
    pub recordings: bool,
    /// The drives that were used, for people.
    pub drives: Vec<String>,
    /// Positions, by phone and surroundings.
    pub smoothing: Vec<smoothing::Found>,
    /// Error and share of positions at most as far off, before and after, of one kind of noise each.
    pub errors: Vec<smoothing::Curve>,
    /// One ride in a canyon, in metres: truth, fixes, positions.
    pub example: smoothing::Example,
    /// Arrivals, by phone and scene.
    pub arrivals: Vec<arrivals::Found>,
    /// Arrivals of recorded deliveries.
    pub parked: Option<arrivals::Parked>,
    /// ETAs by method and kind of ride.
    pub etas: Vec<etas::Found>,
    /// Trails, by kind of drive.
    pub trails: Vec<trails::Found>,
    /// Recorded gaps.
    pub silences: Option<silences::Found>,
}
