//! Where a rider probably is, and how fast: a Kalman filter in local metres that knows that errors last.
//!
//! Each axis (east, north) has three numbers: place, velocity, and the part of the fixes' error that lasts. Between fixes
//! the velocity changes by white noise of spectral density q: with dt seconds since the last,
//! `Q = q [[dt³/3, dt²/2], [dt²/2, dt]]` (Y. Bar-Shalom, X. R. Li, T. Kirubarajan, *Estimation with Applications to
//! Tracking and Navigation*, 2001, section 6.2.2). What lasts is a first-order Gauss-Markov process, the shaping filter for
//! correlated noise (A. Gelb, *Applied Optimal Estimation*, 1974, section 4.5): it keeps `exp(-dt/τ)` of itself. Reflected
//! signals last for as long as a rider is near the house that reflects them; a filter that takes errors for white believes
//! a fix too much which is as wrong as the one before.
//!
//! A fix measures place and lasting error together, and the velocity, if the device sends speed and heading: these come from
//! the Doppler shift and not from places (Bar-Shalom's section 12.7), so they are right where places are not. Its accuracy is
//! the radius that holds 68 % of a round normal distribution, which is 1.5096 standard deviations of each axis
//! (`√(−2 ln 0.32)`). As noise is the same in both directions, both axes have the same covariance: six numbers.
//!
//! A fix whose squared, normalised distance from where it was expected is beyond the gate (chi-square, 2 degrees of
//! freedom) is not believed; after three such in a row the filter was wrong, and begins anew there. It begins anew
//! after a long gap, too. A velocity beyond the gate is not believed either, and a device that has never sent one is not
//! believed to stand: some send 0 whatever they do. What comes out is at most 2.5 accuracies from the fix that went in.

use serde::{Deserialize, Serialize};

use super::{limits::Limits, place::Place, plane::Plane};

/// Standard deviations of one axis in the radius that holds 68 %.
const RADIUS: f64 = 1.509_6;
/// Part of the variance of fixes that lasts.
const LASTING: f64 = 0.75;
/// For how long, in seconds.
const LASTING_SECONDS: f64 = 30.0;
/// Standard deviation of a velocity of which nothing is known, m/s.
const UNKNOWN_MPS: f64 = 8.0;
/// Standard deviation of a velocity that the device measured: so many m/s, and one more for every so many metres of
/// the fix's accuracy.
const MEASURED_MPS: f64 = 0.4;
const MEASURED_METRES: f64 = 40.0;
/// For how long the error of a measured velocity lasts, in seconds.
const MEASURED_SECONDS: f64 = 3.0;
/// A device that sent such a speed once, in m/s, is believed when it sends none.
const RODE_MPS: f64 = 2.0;
/// What comes out is at most so many accuracies from the fix that went in.
const NEAR: f64 = 2.5;
/// The origin follows when the rider is this far from it, in metres.
const ORIGIN_METRES: f64 = 20_000.0;
/// A speed that is further from zero than 95 % of what noise makes of standing (chi-square, 2 degrees of freedom).
const SIGNIFICANT: f64 = 5.99;

/// What goes in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    pub(crate) place: Place,
    /// Metres, 68 %.
    pub(crate) accuracy: f64,
    /// Microseconds since 1970.
    pub(crate) at: i64,
    /// Metres per second, degrees clockwise from north.
    pub(crate) speed: Option<f64>,
    pub(crate) heading: Option<f64>,
}

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) place: Place,
    /// Metres per second.
    pub(crate) speed: f64,
    /// Degrees clockwise from north of the velocity; without meaning at rest.
    pub(crate) course: f64,
    /// Metres, 68 %.
    pub(crate) accuracy: f64,
    /// The speed is more than noise.
    pub(crate) is_significant: bool,
}

/// The filter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Filter {
    origin: Place,
    /// Metres east and north of the origin.
    place: (f64, f64),
    /// Metres per second.
    velocity: (f64, f64),
    /// The part of the error that lasts, in metres.
    lasting: (f64, f64),
    covariance: Covariance,
    /// Microseconds since 1970.
    at: i64,
    rejections: u8,
    /// The device has sent a velocity that was none of standing.
    has_ridden: bool,
}

/// Of each axis: place, velocity, lasting error, each with each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Covariance {
    pp: f64,
    pv: f64,
    pl: f64,
    vv: f64,
    vl: f64,
    ll: f64,
}

/// What of a difference between measured and expected goes into place, velocity and lasting error.
#[derive(Debug, Clone, Copy)]
struct Gain {
    place: f64,
    velocity: f64,
    lasting: f64,
}

impl Covariance {
    /// After so many seconds.
    fn later(self, seconds: f64, noise: f64, lasting: f64) -> Self {
        let Self { pp, pv, pl, vv, vl, ll } = self;
        let kept = (-seconds / LASTING_SECONDS).exp();
        Self {
            pp: pp + 2.0 * seconds * pv + seconds.powi(2) * vv + noise * seconds.powi(3) / 3.0,
            pv: pv + seconds * vv + noise * seconds.powi(2) / 2.0,
            pl: kept * (pl + seconds * vl),
            vv: vv + noise * seconds,
            vl: kept * vl,
            ll: kept * kept * ll + (1.0 - kept * kept) * lasting,
        }
    }

    /// Learns of what has these covariances with the three numbers, and this variance in all.
    fn learn(&mut self, with: (f64, f64, f64), spread: f64) -> Gain {
        let (place, velocity, lasting) = with;
        self.pp = (self.pp - place * place / spread).max(0.0);
        self.pv -= place * velocity / spread;
        self.pl -= place * lasting / spread;
        self.vv = (self.vv - velocity * velocity / spread).max(0.0);
        self.vl -= velocity * lasting / spread;
        self.ll = (self.ll - lasting * lasting / spread).max(0.0);
        Gain { place: place / spread, velocity: velocity / spread, lasting: lasting / spread }
    }
}

impl Measure {
    /// Variance of each axis: of the part that lasts, and of the rest.
    fn variances(&self) -> (f64, f64) {
        let all = (self.accuracy / RADIUS).powi(2);
        (LASTING * all, (1.0 - LASTING) * all)
    }

    /// Metres per second east and north, and their variance after so many seconds since the last: what lasts counts
    /// less the sooner it comes again, by `(1 + ρ) / (1 − ρ)` with `ρ = exp(−dt/τ)`.
    fn velocity(&self, seconds: f64) -> Option<((f64, f64), f64)> {
        let (speed, heading) = match (self.speed?, self.heading) {
            (speed, Some(heading)) => (speed, heading),
            // Who stands has no direction.
            (speed, None) if speed < MEASURED_MPS => (0.0, 0.0),
            _ => return None,
        };
        let (east, north) = heading.to_radians().sin_cos();
        let kept = (-seconds.max(0.1) / MEASURED_SECONDS).exp();
        let sigma = MEASURED_MPS + self.accuracy / MEASURED_METRES;
        Some(((speed * east, speed * north), sigma * sigma * (1.0 + kept) / (1.0 - kept)))
    }
}

impl Filter {
    /// Begins at a fix.
    pub(crate) fn begin(measure: &Measure) -> Self {
        let (lasting, rest) = measure.variances();
        let moves =
            measure.velocity(f64::INFINITY).filter(|((east, north), _)| east.hypot(*north) >= RODE_MPS);
        let (velocity, vv) = moves.unwrap_or(((0.0, 0.0), UNKNOWN_MPS * UNKNOWN_MPS));
        Self {
            origin: measure.place,
            place: (0.0, 0.0),
            velocity,
            lasting: (0.0, 0.0),
            covariance: Covariance { pp: lasting + rest, pv: 0.0, pl: -lasting, vv, vl: 0.0, ll: lasting },
            at: measure.at,
            rejections: 0,
            has_ridden: moves.is_some(),
        }
    }

    /// Takes a later fix; `false`: it is not believed.
    pub(crate) fn take(&mut self, measure: &Measure, limits: &Limits) -> bool {
        let micros = measure.at.saturating_sub(self.at);
        if micros > limits.gap_millis.saturating_mul(1_000) {
            *self = Self::begin(measure);
            return true;
        }
        let seconds = (micros as f64 / 1e6).max(0.0);
        let (lasting, rest) = measure.variances();
        let mut covariance = self.covariance.later(seconds, noise(seconds, limits), lasting);
        let kept = (-seconds / LASTING_SECONDS).exp();
        let place = (self.place.0 + seconds * self.velocity.0, self.place.1 + seconds * self.velocity.1);
        let error = (kept * self.lasting.0, kept * self.lasting.1);

        let measured = Plane::at(self.origin).metres(measure.place);
        let off = (measured.0 - place.0 - error.0, measured.1 - place.1 - error.1);
        let with =
            (covariance.pp + covariance.pl, covariance.pv + covariance.vl, covariance.pl + covariance.ll);
        let spread = with.0 + with.2 + rest;
        // Noise that is all new is not beyond the gate, though most of it is expected to last.
        let gate = spread.max(covariance.pp + lasting + rest) * limits.gate;
        // What is not a number is beyond every gate.
        let is_expected = off.0 * off.0 + off.1 * off.1 <= gate;
        if !is_expected {
            self.rejections = self.rejections.saturating_add(1);
            if self.rejections < limits.gate_rejections {
                return false;
            }
            *self = Self::begin(measure);
            return true;
        }
        let gain = covariance.learn(with, spread);
        self.place = place;
        self.lasting = error;
        self.covariance = covariance;
        self.correct(gain, off);
        self.learn_velocity(measure, seconds, limits);
        self.stay_near(measured, measure.accuracy);
        self.at = measure.at;
        self.rejections = 0;
        if self.place.0.hypot(self.place.1) > ORIGIN_METRES {
            self.origin = Plane::at(self.origin).place(self.place);
            self.place = (0.0, 0.0);
        }
        true
    }

    fn learn_velocity(&mut self, measure: &Measure, seconds: f64, limits: &Limits) {
        let Some(((east, north), variance)) = measure.velocity(seconds) else { return };
        let rides = east.hypot(north) >= RODE_MPS;
        if !(rides || self.has_ridden) {
            return;
        }
        let off = (east - self.velocity.0, north - self.velocity.1);
        let spread = self.covariance.vv + variance;
        if (off.0 * off.0 + off.1 * off.1) / spread <= limits.gate {
            self.has_ridden |= rides;
            let with = (self.covariance.pv, self.covariance.vv, self.covariance.vl);
            let gain = self.covariance.learn(with, spread);
            self.correct(gain, off);
        }
    }

    /// However sure the filter is of the way here: what is shown is near what was measured.
    fn stay_near(&mut self, measured: (f64, f64), accuracy: f64) {
        let off = (measured.0 - self.place.0, measured.1 - self.place.1);
        let metres = off.0.hypot(off.1);
        let most = NEAR * accuracy;
        if metres > most {
            let by = 1.0 - most / metres;
            self.place = (self.place.0 + by * off.0, self.place.1 + by * off.1);
            self.lasting = (measured.0 - self.place.0, measured.1 - self.place.1);
        }
    }

    fn correct(&mut self, gain: Gain, off: (f64, f64)) {
        let by =
            |value: &mut (f64, f64), gain: f64| *value = (value.0 + gain * off.0, value.1 + gain * off.1);
        by(&mut self.place, gain.place);
        by(&mut self.velocity, gain.velocity);
        by(&mut self.lasting, gain.lasting);
    }

    /// Where the rider was at the last fix that was believed.
    pub(crate) fn estimate(&self) -> Estimate {
        let (east, north) = self.velocity;
        let speed = east.hypot(north);
        let course = east.atan2(north).to_degrees().rem_euclid(360.0);
        Estimate {
            place: Plane::at(self.origin).place(self.place),
            speed,
            course: if course < 360.0 { course } else { 0.0 },
            accuracy: self.covariance.pp.sqrt() * RADIUS,
            is_significant: speed * speed > SIGNIFICANT * self.covariance.vv,
        }
    }
}

/// Process noise by the time between fixes: riders turn and brake more often than fixes come every 5 s.
fn noise(seconds: f64, limits: &Limits) -> f64 {
    let part = ((seconds - 1.0) / 4.0).clamp(0.0, 1.0);
    limits.noise_fast + part * (limits.noise_slow - limits.noise_fast)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const HERE: Place = Place { latitude: 60.17, longitude: 24.94 };

    fn measure(place: Place, seconds: f64) -> Measure {
        Measure { place, accuracy: 5.0, at: (seconds * 1e6) as i64, speed: None, heading: None }
    }

    /// Two normal numbers (Box-Muller).
    fn normal(random: &mut StdRng) -> (f64, f64) {
        let radius = (-2.0 * random.random_range(1e-12_f64..1.0).ln()).sqrt();
        let (sine, cosine) = random.random_range(0.0..std::f64::consts::TAU).sin_cos();
        (radius * sine, radius * cosine)
    }

    #[test]
    fn a_straight_ride_is_smoother_than_its_fixes() {
        for (interval, seed, share) in [(1.0, 1, 0.75), (5.0, 2, 0.97)] {
            let limits = Limits::default();
            let mut random = StdRng::seed_from_u64(seed);
            let mut filter: Option<Filter> = None;
            let (mut raw, mut smooth, mut speeds) = (0.0, 0.0, Vec::new());
            for step in 0..400 {
                let seconds = f64::from(step) * interval;
                let truth = HERE.ahead(70.0, 8.0 * seconds);
                let (east, north) = normal(&mut random);
                // 10 m with 68 % are 6.6 m on each axis.
                let sigma = 10.0 / RADIUS;
                let place = Plane::at(truth).place((sigma * east, sigma * north));
                let measure = Measure { accuracy: 10.0, ..measure(place, seconds) };
                let filter = match &mut filter {
                    Some(filter) => {
                        filter.take(&measure, &limits);
                        filter
                    }
                    none => none.insert(Filter::begin(&measure)),
                };
                if step > 20 {
                    raw += truth.metres_to(place).powi(2);
                    smooth += truth.metres_to(filter.estimate().place).powi(2);
                    speeds.push(filter.estimate().speed);
                }
            }
            assert!(smooth.sqrt() < share * raw.sqrt(), "{interval} s: {} of {}", smooth.sqrt(), raw.sqrt());
            let mean = speeds.iter().sum::<f64>() / speeds.len() as f64;
            assert!((mean - 8.0).abs() < 0.7, "{interval} s: {mean} m/s");
        }
    }

    #[test]
    fn one_outlier_is_not_believed_and_three_are() {
        let limits = Limits::default();
        let mut filter = Filter::begin(&measure(HERE, 0.0));
        for second in 1..20 {
            assert!(filter.take(&measure(HERE, f64::from(second)), &limits));
        }
        let there = HERE.ahead(0.0, 120.0);
        assert!(!filter.take(&measure(there, 20.0), &limits));
        assert!(filter.estimate().place.metres_to(HERE) < 1.0);
        assert!(filter.take(&measure(HERE, 21.0), &limits), "the next good one counts");
        assert!(!filter.take(&measure(there, 22.0), &limits) && !filter.take(&measure(there, 23.0), &limits));
        assert!(filter.take(&measure(there, 24.0), &limits), "the third in a row is the truth");
        assert!(filter.estimate().place.metres_to(there) < 1.0);
    }

    #[test]
    fn after_a_long_gap_it_begins_anew() {
        let limits = Limits::default();
        let mut filter = Filter::begin(&measure(HERE, 0.0));
        let there = HERE.ahead(90.0, 3_000.0);
        assert!(filter.take(&measure(there, 121.0), &limits));
        assert!(filter.estimate().place.metres_to(there) < 0.01 && filter.estimate().speed == 0.0);
    }

    #[test]
    fn two_fixes_of_the_same_moment_are_averaged() {
        let mut filter = Filter::begin(&measure(HERE, 0.0));
        assert!(filter.take(&measure(HERE.ahead(90.0, 4.0), 0.0), &Limits::default()));
        assert!((filter.estimate().place.metres_to(HERE) - 2.0).abs() < 0.01);
    }

    #[test]
    fn who_stands_does_not_move_significantly() {
        let limits = Limits::default();
        let mut random = StdRng::seed_from_u64(7);
        let mut filter = Filter::begin(&measure(HERE, 0.0));
        let mut moving = 0;
        for step in 1..200 {
            let (east, north) = normal(&mut random);
            let place = Plane::at(HERE).place((3.3 * east, 3.3 * north));
            filter.take(&measure(place, f64::from(step) * 5.0), &limits);
            moving += i32::from(filter.estimate().is_significant);
        }
        assert!(moving < 20, "{moving} of 200");
    }

    proptest! {
        #[test]
        fn what_comes_out_is_near_what_went_in(
            fixes in proptest::collection::vec((-90.0_f64..=90.0, -180.0_f64..=180.0, 3.0_f64..=200.0, 0_i64..200_000_000), 1..40),
            near: bool,
        ) {
            let limits = Limits::default();
            let mut at = 0;
            let mut filter: Option<Filter> = None;
            for (latitude, longitude, accuracy, micros) in fixes {
                at += micros;
                let place = if near {
                    Place { latitude: 60.0 + latitude / 1e5, longitude: 24.0 + longitude / 1e5 }
                } else {
                    Place { latitude, longitude }
                };
                let measure = Measure { place, accuracy, at, speed: None, heading: None };
                let believed = match &mut filter {
                    Some(filter) => filter.take(&measure, &limits),
                    none => {
                        *none = Some(Filter::begin(&measure));
                        true
                    }
                };
                let estimate = filter.unwrap().estimate();
                prop_assert!(estimate.place.latitude.is_finite() && estimate.place.longitude.is_finite());
                prop_assert!(estimate.speed.is_finite() && estimate.accuracy.is_finite());
                if believed && latitude.abs() < 80.0 {
                    let metres = estimate.place.metres_to(place);
                    prop_assert!(metres <= 2.5 * accuracy + 1.0, "{metres} m from a fix of {accuracy} m");
                }
            }
        }
    }
}
