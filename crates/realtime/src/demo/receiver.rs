//! A phone's satellite receiver: what it says of a place that is true.
//!
//! Its error drifts (first-order Gauss-Markov, as reflections off houses make it) and flickers (white), and now and then
//! it is somewhere else altogether. Pure: the truth and some chance go in.

use rand::Rng;

use super::{place::Place, ride::Moment};

/// Standard deviation of the drift, metres, and how long it lasts, seconds.
const DRIFT_METRES: f64 = 3.5;
const DRIFT_SECONDS: f64 = 25.0;
/// Standard deviation of the flicker, metres.
const FLICKER_METRES: f64 = 2.0;
/// One of so many fixes is a jump, and how far, metres.
const JUMP_EVERY: u32 = 45;
const JUMP_METRES: std::ops::Range<f64> = 55.0..110.0;

/// What a receiver says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    pub(crate) place: Place,
    pub(crate) accuracy_m: f64,
    pub(crate) heading: f64,
    pub(crate) speed_mps: f64,
}

/// One phone's receiver.
#[derive(Debug, Clone, Default)]
pub(crate) struct Receiver {
    drift_north: f64,
    drift_east: f64,
}

impl Receiver {
    /// What it says so many seconds after the reading before.
    pub(crate) fn read(&mut self, truth: &Moment, seconds: f64, random: &mut impl Rng) -> Reading {
        let stays = (-seconds / DRIFT_SECONDS).exp();
        let fresh = DRIFT_METRES * (1.0 - stays * stays).sqrt();
        self.drift_north = self.drift_north * stays + fresh * normal(random);
        self.drift_east = self.drift_east * stays + fresh * normal(random);
        let jump = if random.random_ratio(1, JUMP_EVERY) { random.random_range(JUMP_METRES) } else { 0.0 };
        let (sin, cos) = random.random_range(0.0..std::f64::consts::TAU).sin_cos();
        let north = self.drift_north + FLICKER_METRES * normal(random) + jump * cos;
        let east = self.drift_east + FLICKER_METRES * normal(random) + jump * sin;
        Reading {
            place: truth.place.moved(north, east),
            accuracy_m: random.random_range(4.0..9.0),
            heading: (truth.heading + 6.0 * normal(random)).rem_euclid(360.0),
            speed_mps: (truth.speed_mps + 0.3 * normal(random)).max(0.0),
        }
    }
}

/// A normal deviate (Box and Muller).
fn normal(random: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(1e-12..1.0), random.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn a_reading_is_mostly_near_and_sometimes_far_off() {
        let truth = Moment { place: Place::new(60.17, 24.94), heading: 90.0, speed_mps: 6.0 };
        let (mut random, mut receiver) = (StdRng::seed_from_u64(7), Receiver::default());
        let offs: Vec<f64> = (0..5_000)
            .map(|_| receiver.read(&truth, 1.0, &mut random).place.metres_to(truth.place))
            .collect();
        let near = offs.iter().filter(|off| **off < 20.0).count();
        let far = offs.iter().filter(|off| **off > 40.0).count();
        assert!(near > 4_750, "{near} of 5,000 are near");
        assert!((50..200).contains(&far), "{far} of 5,000 jump");
        let mean = offs.iter().filter(|off| **off < 40.0).sum::<f64>() / 4_900.0;
        assert!((3.0..8.0).contains(&mean), "{mean} m");
    }

    #[test]
    fn what_it_says_can_be_a_fix() {
        let truth = Moment { place: Place::new(60.17, 24.94), heading: 359.0, speed_mps: 0.0 };
        let (mut random, mut receiver) = (StdRng::seed_from_u64(1), Receiver::default());
        for _ in 0..1_000 {
            let reading = receiver.read(&truth, 2.0, &mut random);
            assert!((0.0..360.0).contains(&reading.heading) && reading.speed_mps >= 0.0, "{reading:?}");
            assert!((4.0..9.0).contains(&reading.accuracy_m));
        }
    }
}
