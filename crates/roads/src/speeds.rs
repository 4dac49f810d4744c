//! How fast streets are driven: a cited prior for each class, and what was learned from drives.
//!
//! What is learned is a pace (seconds per metre) and weighs as much as the metres it was learned from; the prior
//! weighs as much as [`PRIOR_METRES`]. Paces are averaged and not speeds, because time is what adds up along a
//! route.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::class::Class;

/// The weight of the prior, in metres driven.
const PRIOR_METRES: f64 = 5_000.0;
/// What one drive may count at most, in metres, however long it was.
const DRIVE_METRES_MAX: f64 = 2_000.0;
/// What is remembered of a class at most, in metres: older drives fade as new ones come.
const MEMORY_METRES: f64 = 50_000.0;
/// A drive counts as at most so many times faster than the prior,
const FASTER_MAX: f64 = 2.0;
/// or slower: standing in traffic is real, a break for coffee is none.
const SLOWER_MAX: f64 = 5.0;
/// Of a speed limit so much is driven on average: `speed_reduction` of OSRM's `profiles/car.lua`.
const OF_LIMIT: f64 = 0.8;

/// Metres per second for each class of street.
///
/// No drive can spoil it: each is held between bounds, and counts for two kilometres at most.
///
/// ```
/// use platepal_roads::{Class, Speeds};
///
/// let mut speeds = Speeds::default();
/// let before = speeds.mps(Class::Residential);
/// speeds.learn(Class::Residential, 1_200.0, 300.0);
/// assert!(speeds.mps(Class::Residential) < before);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Class, Driven>", into = "BTreeMap<Class, Driven>")]
pub struct Speeds {
    driven: [Driven; Class::COUNT],
}

/// What was driven on streets of a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Driven {
    metres: f64,
    seconds: f64,
}

impl Speeds {
    /// Counts a drive in. What is no drive (nothing driven, no time, not a number) is left out.
    pub fn learn(&mut self, class: Class, metres: f64, seconds: f64) {
        let is_drive = metres.is_finite() && seconds.is_finite() && metres >= 1.0 && seconds > 0.0;
        let Some(driven) = self.driven.get_mut(class.index()).filter(|_| is_drive) else { return };
        let pace = bounded(class, seconds / metres);
        let metres = metres.min(DRIVE_METRES_MAX);
        driven.metres += metres;
        driven.seconds += metres * pace;
        let fade = (MEMORY_METRES / driven.metres).min(1.0);
        driven.metres *= fade;
        driven.seconds *= fade;
    }

    /// Metres per second on a street of this class that has no speed limit.
    pub fn mps(&self, class: Class) -> f64 {
        1.0 / self.pace(class, None)
    }

    /// Seconds per metre. A limit bounds the prior; what was learned was driven under the limits already.
    pub(crate) fn pace(&self, class: Class, limit_kmh: Option<u8>) -> f64 {
        let limit_mps = limit_kmh.map_or(f64::INFINITY, |kmh| f64::from(kmh) / 3.6 * OF_LIMIT);
        let prior = 1.0 / class.prior_mps().min(limit_mps);
        let driven = self.driven.get(class.index()).copied().unwrap_or_default();
        (PRIOR_METRES * prior + driven.seconds) / (PRIOR_METRES + driven.metres)
    }
}

fn bounded(class: Class, pace: f64) -> f64 {
    let prior = 1.0 / class.prior_mps();
    pace.clamp(prior / FASTER_MAX, prior * SLOWER_MAX)
}

impl From<BTreeMap<Class, Driven>> for Speeds {
    /// What was kept is held between the same bounds as what is learned.
    fn from(kept: BTreeMap<Class, Driven>) -> Self {
        let mut speeds = Self::default();
        for (class, Driven { metres, seconds }) in kept {
            let is_sound = metres.is_finite() && seconds.is_finite() && metres > 0.0 && seconds > 0.0;
            if let Some(driven) = speeds.driven.get_mut(class.index()).filter(|_| is_sound) {
                let pace = bounded(class, seconds / metres);
                let metres = metres.min(MEMORY_METRES);
                *driven = Driven { metres, seconds: metres * pace };
            }
        }
        speeds
    }
}

impl From<Speeds> for BTreeMap<Class, Driven> {
    fn from(speeds: Speeds) -> Self {
        Class::ALL.into_iter().zip(speeds.driven).filter(|(_, driven)| driven.metres > 0.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn before_anything_was_learned_speeds_are_the_prior_under_the_limit() {
        let speeds = Speeds::default();
        for class in Class::ALL {
            assert!((speeds.mps(class) - class.prior_mps()).abs() < 1e-9);
        }
        let limited = 1.0 / speeds.pace(Class::Secondary, Some(30));
        assert!((limited * 3.6 - 24.0).abs() < 1e-9);
    }

    #[test]
    fn many_drives_outweigh_the_prior() {
        let mut speeds = Speeds::default();
        for _ in 0..100 {
            speeds.learn(Class::Secondary, 1_000.0, 200.0);
        }
        assert!((speeds.mps(Class::Secondary) - 5.0).abs() < 0.7, "{}", speeds.mps(Class::Secondary));
        assert!((speeds.mps(Class::Primary) - Class::Primary.prior_mps()).abs() < 1e-9);
    }

    #[test]
    fn what_was_kept_wrong_does_not_come_back() {
        let text =
            r#"{"service": {"metres": 1e300, "seconds": 1.0}, "cycle": {"metres": -5.0, "seconds": 1.0}}"#;
        let speeds: Speeds = serde_json::from_str(text).unwrap();
        assert!(speeds.mps(Class::Service) <= Class::Service.prior_mps() * FASTER_MAX);
        assert!((speeds.mps(Class::Cycle) - Class::Cycle.prior_mps()).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn one_drive_moves_a_speed_only_so_far(metres in any::<f64>(), seconds in any::<f64>()) {
            for class in Class::ALL {
                let mut speeds = Speeds::default();
                speeds.learn(class, metres, seconds);
                let ratio = speeds.mps(class) / class.prior_mps();
                prop_assert!((0.4..=1.2).contains(&ratio), "{ratio}");
            }
        }

        #[test]
        fn no_drives_move_a_speed_beyond_the_bounds(
            drives in prop::collection::vec((1.0_f64..1e6, 0.001_f64..1e6), 0..200),
        ) {
            let mut speeds = Speeds::default();
            for (metres, seconds) in drives {
                speeds.learn(Class::Tertiary, metres, seconds);
            }
            let ratio = speeds.mps(Class::Tertiary) / Class::Tertiary.prior_mps();
            prop_assert!((1.0 / SLOWER_MAX - 1e-9..=FASTER_MAX + 1e-9).contains(&ratio));
            let kept = serde_json::to_string(&speeds).unwrap();
            let read: Speeds = serde_json::from_str(&kept).unwrap();
            prop_assert!((read.mps(Class::Tertiary) - speeds.mps(Class::Tertiary)).abs() < 1e-6);
        }
    }
}
