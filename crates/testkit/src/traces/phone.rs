//! What a phone measures of a drive, and when it arrives.
//!
//! Position: the truth, white noise, and in streets between high houses a drift, which is a first-order Gauss-Markov process
//! (each axis: variance σ², correlation `exp(−t/τ)`), as reflected signals last as long as one is near the house. Velocity
//! comes from the Doppler shift, not from positions, so its noise is its own: first-order Gauss-Markov with 3 s.
//! The accuracy that is reported is the radius of 68 % of the noise, times a factor that is drawn per fix; an outlier does not
//! know that it is one.

use rand::Rng;

use super::{Drive, Moment, Spot, normal};

/// Standard deviations of one axis in the radius that holds 68 % of a round normal distribution: `√(−2 ln 0.32)`.
const RADIUS_68: f64 = 1.509_6;
/// How long the noise of velocities lasts.
const VELOCITY_SECONDS: f64 = 3.0;
/// Who is slower is told no heading.
const HEADING_MPS: f64 = 0.6;
/// Time that a fix needs at least and at most over a good network.
const NETWORK_SECONDS: (f64, f64) = (0.1, 0.6);
/// Share of outliers that are followed by a second at the same place.
const TWICE: f64 = 0.2;

/// Noise that lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// Standard deviation of each axis.
    pub metres: f64,
    /// Correlation time.
    pub seconds: f64,
}

/// A phone and its surroundings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phone {
    /// For people.
    pub name: &'static str,
    /// Between fixes.
    pub interval_seconds: f64,
    /// White noise: standard deviation of each axis.
    pub white_metres: f64,
    /// Noise that lasts.
    pub drift: Option<Drift>,
    /// Noise of each axis of the velocity; `None`: speed and heading are not sent.
    pub velocity_mps: Option<f64>,
    /// Factor between the true radius of 68 % and the accuracy that is reported: from and to.
    pub honesty: (f64, f64),
    /// Share of fixes that are somewhere else.
    pub outliers: f64,
    /// How far: from and to.
    pub outlier_metres: (f64, f64),
    /// How often per minute nothing is measured for a while.
    pub dropouts_per_minute: f64,
    /// For how long: from and to.
    pub dropout_seconds: (f64, f64),
    /// Share of fixes that come late.
    pub late: f64,
    /// How late: from and to.
    pub late_seconds: (f64, f64),
    /// Share of fixes that come twice.
    pub repeated: f64,
}

/// A fix as it arrives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sent {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Radius of 68 %.
    pub accuracy_m: f64,
    /// Degrees clockwise from north.
    pub heading_deg: Option<f64>,
    /// Metres per second.
    pub speed_mps: Option<f64>,
    /// When it was measured, in the drive's time.
    pub recorded_seconds: f64,
    /// When it arrives, in the drive's time.
    pub arrives_seconds: f64,
    /// It is somewhere else.
    pub is_outlier: bool,
    /// It came before.
    pub is_repeat: bool,
}

impl Phone {
    /// Under the open sky: 4 m of white noise (a radius of 6 m), nothing else.
    pub const OPEN: Self = Self {
        name: "open sky",
        interval_seconds: 1.0,
        white_metres: 4.0,
        drift: None,
        velocity_mps: Some(0.3),
        honesty: (0.8, 1.25),
        outliers: 0.0,
        outlier_metres: (50.0, 300.0),
        dropouts_per_minute: 0.0,
        dropout_seconds: (10.0, 40.0),
        late: 0.0,
        late_seconds: (5.0, 60.0),
        repeated: 0.0,
    };
    /// A cheap receiver, or one in a bag: 10 m of white noise.
    pub const WHITE: Self = Self { name: "white 10 m", white_metres: 10.0, ..Self::OPEN };
    /// A street between houses: 3 m of white noise and a drift of 5 m that lasts 20 s.
    pub const STREET: Self = Self {
        name: "street, drift 5 m 20 s",
        white_metres: 3.0,
        drift: Some(Drift { metres: 5.0, seconds: 20.0 }),
        velocity_mps: Some(0.5),
        honesty: (0.7, 1.3),
        ..Self::OPEN
    };
    /// A canyon: 4 m of white noise and a drift of 12 m that lasts 30 s.
    pub const CANYON: Self = Self {
        name: "canyon, drift 12 m 30 s",
        white_metres: 4.0,
        drift: Some(Drift { metres: 12.0, seconds: 30.0 }),
        velocity_mps: Some(0.7),
        ..Self::STREET
    };
    /// A deep canyon: 5 m of white noise and a drift of 25 m that lasts 60 s.
    pub const DEEP_CANYON: Self = Self {
        name: "deep canyon, drift 25 m 60 s",
        white_metres: 5.0,
        drift: Some(Drift { metres: 25.0, seconds: 60.0 }),
        velocity_mps: Some(1.0),
        ..Self::STREET
    };

    /// The same with a fix every so many seconds.
    #[must_use]
    pub fn every(self, interval_seconds: f64) -> Self {
        Self { interval_seconds, ..self }
    }

    /// The same with this share of fixes 50 to 300 m off, of which every fifth comes twice in a row.
    #[must_use]
    pub fn with_outliers(self, outliers: f64) -> Self {
        Self { outliers, ..self }
    }

    /// The same over a bad network: every other minute nothing for 10 to 40 s, a tenth 5 to 60 s late, 3 % twice.
    #[must_use]
    pub fn on_bad_network(self) -> Self {
        Self { dropouts_per_minute: 0.5, late: 0.1, repeated: 0.03, ..self }
    }

    /// The same without speed and heading.
    #[must_use]
    pub fn without_velocity(self) -> Self {
        Self { velocity_mps: None, ..self }
    }

    /// Measures a drive. In order of arrival.
    pub fn measure(&self, drive: &Drive, random: &mut impl Rng) -> Vec<Sent> {
        let mut sent = Vec::new();
        let mut drift = self.drift.map(|drift| GaussMarkov::begin(drift.metres, drift.seconds, random));
        let mut velocity = GaussMarkov::begin(self.velocity_mps.unwrap_or(0.0), VELOCITY_SECONDS, random);
        let radius = RADIUS_68 * self.white_metres.hypot(self.drift.map_or(0.0, |drift| drift.metres));
        let (mut seconds, mut nothing_until) = (drive.begin().seconds, f64::NEG_INFINITY);
        let mut again = None;
        while seconds <= drive.end().seconds {
            let truth = drive.at(seconds);
            let lasting =
                drift.as_mut().map_or((0.0, 0.0), |drift| drift.next(self.interval_seconds, random));
            let white = normal(random);
            let off = velocity.next(self.interval_seconds, random);
            let mut spot = Spot {
                east: truth.spot.east + lasting.0 + self.white_metres * white.0,
                north: truth.spot.north + lasting.1 + self.white_metres * white.1,
            };
            let away = again.take();
            let is_outlier = away.is_some() || random.random_bool(self.outliers / (1.0 + TWICE));
            if is_outlier {
                let (heading, metres) = away.unwrap_or_else(|| {
                    let metres = random.random_range(self.outlier_metres.0..self.outlier_metres.1);
                    let new = (random.random_range(0.0..360.0), metres);
                    again = random.random_bool(TWICE).then_some(new);
                    new
                });
                spot = spot.ahead(heading, metres);
            }
            if random.random_bool((self.dropouts_per_minute * self.interval_seconds / 60.0).min(1.0))
                && seconds > nothing_until
            {
                nothing_until = seconds + random.random_range(self.dropout_seconds.0..self.dropout_seconds.1);
            }
            if seconds >= nothing_until {
                let (latitude, longitude) = drive.plane.degrees(spot);
                let (speed_mps, heading_deg) = self.velocity(&truth, off);
                let late = random.random_bool(self.late);
                let delay = if late { self.late_seconds } else { NETWORK_SECONDS };
                let fix = Sent {
                    latitude,
                    longitude,
                    accuracy_m: radius * random.random_range(self.honesty.0..self.honesty.1),
                    heading_deg,
                    speed_mps,
                    recorded_seconds: seconds,
                    arrives_seconds: seconds + random.random_range(delay.0..delay.1),
                    is_outlier,
                    is_repeat: false,
                };
                sent.push(fix);
                if random.random_bool(self.repeated) {
                    let arrives_seconds = fix.arrives_seconds + random.random_range(0.5..30.0);
                    sent.push(Sent { arrives_seconds, is_repeat: true, ..fix });
                }
            }
            seconds += self.interval_seconds;
        }
        sent.sort_by(|a, b| a.arrives_seconds.total_cmp(&b.arrives_seconds));
        sent
    }

    fn velocity(&self, truth: &Moment, off: (f64, f64)) -> (Option<f64>, Option<f64>) {
        if self.velocity_mps.is_none() {
            return (None, None);
        }
        let (east, north) = truth.heading_deg.to_radians().sin_cos();
        let measured = Spot { east: truth.speed_mps * east + off.0, north: truth.speed_mps * north + off.1 };
        let speed = measured.east.hypot(measured.north);
        (Some(speed), (speed >= HEADING_MPS).then(|| Spot::default().heading_to(measured)))
    }
}

/// Noise of two axes that lasts.
#[derive(Debug)]
struct GaussMarkov {
    sigma: f64,
    seconds: f64,
    now: (f64, f64),
}

impl GaussMarkov {
    fn begin(sigma: f64, seconds: f64, random: &mut impl Rng) -> Self {
        let (east, north) = normal(random);
        Self { sigma, seconds, now: (sigma * east, sigma * north) }
    }

    fn next(&mut self, seconds: f64, random: &mut impl Rng) -> (f64, f64) {
        let kept = (-seconds / self.seconds).exp();
        let new = self.sigma * (1.0 - kept * kept).sqrt();
        let (east, north) = normal(random);
        self.now = (kept * self.now.0 + new * east, kept * self.now.1 + new * north);
        self.now
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::traces::Plane;

    fn stand(seconds: u32) -> Drive {
        let here = Moment { seconds: 0.0, spot: Spot::default(), speed_mps: 0.0, heading_deg: 0.0 };
        let drive = Drive { name: "a stand".to_owned(), plane: Plane::HELSINKI, moments: vec![here] };
        drive.and_stand(f64::from(seconds))
    }

    #[test]
    fn noise_has_the_size_and_the_length_that_are_stated() {
        let phone = Phone::CANYON;
        let sent = phone.measure(&stand(60_000), &mut StdRng::seed_from_u64(1));
        let off: Vec<f64> =
            sent.iter().map(|fix| Plane::HELSINKI.spot(fix.latitude, fix.longitude).east).collect();
        let covariance = |lag: usize| {
            let pairs = off.iter().zip(off.iter().skip(lag));
            pairs.map(|(a, b)| a * b).sum::<f64>() / (off.len() - lag) as f64
        };
        // White 4 m and lasting 12 m; only what lasts is left after a lag, by 1/e after 30 s.
        assert!((covariance(0) - 160.0).abs() < 20.0, "{}", covariance(0));
        assert!((covariance(30) - 144.0 * (-1.0_f64).exp()).abs() < 20.0, "{}", covariance(30));
        let within = sent.iter().filter(|fix| {
            Plane::HELSINKI.spot(fix.latitude, fix.longitude).metres_to(Spot::default()) <= fix.accuracy_m
        });
        let share = within.count() as f64 / sent.len() as f64;
        assert!((share - 0.66).abs() < 0.05, "{share} within the accuracy that was reported");
    }

    #[test]
    fn what_goes_wrong_does_as_often_as_stated() {
        let phone = Phone::OPEN.with_outliers(0.02).on_bad_network();
        let sent = phone.measure(&stand(60_000), &mut StdRng::seed_from_u64(2));
        let share = |is: &dyn Fn(&Sent) -> bool| sent.iter().filter(|fix| is(fix)).count() as f64 / 60_000.0;
        let outliers = share(&|fix| fix.is_outlier && !fix.is_repeat);
        assert!((0.013..0.021).contains(&outliers), "{outliers}");
        assert!((0.02..0.03).contains(&share(&|fix| fix.is_repeat)));
        let missing = 1.0 - share(&|fix| !fix.is_repeat);
        assert!((0.15..0.25).contains(&missing), "{missing}");
        assert!(sent.is_sorted_by_key(|fix| (fix.arrives_seconds * 1e6) as i64));
        assert!(!sent.is_sorted_by_key(|fix| fix.recorded_seconds as i64));
    }
}
