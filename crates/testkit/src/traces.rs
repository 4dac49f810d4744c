//! Rides of which the truth is known, and what a phone would have measured of them: for judging how well riders are
//! tracked.
//!
//! No recording has a truth of its own, so it is made: a drive along streets ([`driven`], [`streets`]), or a clean
//! stretch of a recording taken for true ([`recorded`]); [`scenes`] are the situations that matter. A [`phone`] then measures
//! the drive, with noise whose parameters are stated. [`spread`] says how far off a set of answers is. Everything random comes
//! from a generator that is passed in.

// Steps of a way are reckoned by their numbers; a wrong one is a failed test.
#![allow(clippy::indexing_slicing)]

pub mod driven;
pub mod phone;
pub mod recorded;
pub mod scenes;
pub mod spread;
pub mod streets;

use rand::Rng;

/// Metres of a degree of latitude.
const DEGREE_METRES: f64 = 111_195.08;

/// Metres east and north of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spot {
    /// Metres east.
    pub east: f64,
    /// Metres north.
    pub north: f64,
}

impl Spot {
    /// Metres to another.
    pub fn metres_to(self, other: Self) -> f64 {
        (other.east - self.east).hypot(other.north - self.north)
    }

    /// On the straight way to another: 0 is here, 1 is there.
    pub fn toward(self, other: Self, part: f64) -> Self {
        Self {
            east: self.east + part * (other.east - self.east),
            north: self.north + part * (other.north - self.north),
        }
    }

    /// So many metres in a direction, in degrees clockwise from north.
    pub fn ahead(self, heading: f64, metres: f64) -> Self {
        let (east, north) = heading.to_radians().sin_cos();
        Self { east: self.east + metres * east, north: self.north + metres * north }
    }

    /// The direction of another, in degrees clockwise from north.
    pub fn heading_to(self, other: Self) -> f64 {
        (other.east - self.east).atan2(other.north - self.north).to_degrees().rem_euclid(360.0)
    }

    /// Metres to the straight way between two others.
    pub fn metres_to_way(self, from: Self, to: Self) -> f64 {
        let (east, north) = (to.east - from.east, to.north - from.north);
        let length = east * east + north * north;
        let along = (self.east - from.east) * east + (self.north - from.north) * north;
        let part = if length > 0.0 { (along / length).clamp(0.0, 1.0) } else { 0.0 };
        self.metres_to(from.toward(to, part))
    }
}

/// A flat piece of the earth around an origin: good to a few parts in a thousand within a city.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plane {
    /// Degrees north of the origin.
    pub latitude: f64,
    /// Degrees east of the origin.
    pub longitude: f64,
}

impl Plane {
    /// In the centre of Helsinki: where made-up streets and recordings without a place are laid.
    pub const HELSINKI: Self = Self { latitude: 60.1715, longitude: 24.944 };

    fn degree_east(&self) -> f64 {
        DEGREE_METRES * self.latitude.to_radians().cos()
    }

    /// Where degrees are on it.
    pub fn spot(&self, latitude: f64, longitude: f64) -> Spot {
        Spot {
            east: (longitude - self.longitude) * self.degree_east(),
            north: (latitude - self.latitude) * DEGREE_METRES,
        }
    }

    /// Latitude and longitude of a spot.
    pub fn degrees(&self, spot: Spot) -> (f64, f64) {
        (self.latitude + spot.north / DEGREE_METRES, self.longitude + spot.east / self.degree_east())
    }
}

/// Where a rider truly is at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Since the drive began.
    pub seconds: f64,
    /// Where.
    pub spot: Spot,
    /// How fast.
    pub speed_mps: f64,
    /// Whereto, in degrees clockwise from north.
    pub heading_deg: f64,
}

/// Where a rider truly was.
#[derive(Debug, Clone, PartialEq)]
pub struct Drive {
    /// For people.
    pub name: String,
    /// Where on earth.
    pub plane: Plane,
    /// In order of time, at least one.
    pub moments: Vec<Moment>,
}

impl Drive {
    /// The first moment.
    pub fn begin(&self) -> Moment {
        *self.moments.first().expect("a drive has at least one moment")
    }

    /// The last moment.
    pub fn end(&self) -> Moment {
        *self.moments.last().expect("a drive has at least one moment")
    }

    /// Where the rider was at a time; the first or the last moment, if it is before or after the drive.
    pub fn at(&self, seconds: f64) -> Moment {
        let next = self.moments.partition_point(|moment| moment.seconds <= seconds);
        let before = next.checked_sub(1).and_then(|index| self.moments.get(index));
        match (before, self.moments.get(next)) {
            (Some(a), Some(b)) => {
                let part = (seconds - a.seconds) / (b.seconds - a.seconds);
                let spot = a.spot.toward(b.spot, part);
                let speed_mps = a.speed_mps + part * (b.speed_mps - a.speed_mps);
                Moment { seconds, spot, speed_mps, heading_deg: a.heading_deg }
            }
            (Some(moment), None) | (None, Some(moment)) => Moment { seconds, ..*moment },
            (None, None) => unreachable!("a drive has at least one moment"),
        }
    }

    /// Its length.
    pub fn metres(&self) -> f64 {
        self.ways().map(|(a, b)| a.spot.metres_to(b.spot)).sum()
    }

    /// How near it comes to a spot.
    pub fn metres_to(&self, spot: Spot) -> f64 {
        let here = self.begin().spot.metres_to(spot);
        self.ways().map(|(a, b)| spot.metres_to_way(a.spot, b.spot)).fold(here, f64::min)
    }

    /// When the rider is first within so many metres of a spot, to a tenth of a second.
    pub fn first_within(&self, metres: f64, spot: Spot) -> Option<f64> {
        let tenths = ((self.end().seconds - self.begin().seconds) * 10.0).ceil() as u32;
        (0..=tenths)
            .map(|tenth| self.begin().seconds + f64::from(tenth) / 10.0)
            .find(|seconds| self.at(*seconds).spot.metres_to(spot) <= metres)
    }

    /// Whether the rider was within so many metres of a spot and went away again.
    pub fn leaves(&self, metres: f64, spot: Spot) -> bool {
        let is_near = |moment: &&Moment| moment.spot.metres_to(spot) <= metres;
        self.moments.iter().skip_while(|moment| !is_near(moment)).any(|moment| !is_near(&moment))
    }

    /// The same, and then standing still for a while.
    #[must_use]
    pub fn and_stand(mut self, seconds: f64) -> Self {
        let end = self.end();
        for second in 1..=seconds as u32 {
            self.moments.push(Moment { seconds: end.seconds + f64::from(second), speed_mps: 0.0, ..end });
        }
        self
    }

    /// The same, and then another drive from there.
    #[must_use]
    pub fn and_then(mut self, next: &Self) -> Self {
        let shift = self.end().seconds + 1.0 - next.begin().seconds;
        let moments = next.moments.iter();
        self.moments.extend(moments.map(|moment| Moment { seconds: moment.seconds + shift, ..*moment }));
        self
    }

    fn ways(&self) -> impl Iterator<Item = (&Moment, &Moment)> {
        self.moments.iter().zip(self.moments.iter().skip(1))
    }
}

/// Two independent numbers of the standard normal distribution (Box-Muller).
pub fn normal(random: &mut impl Rng) -> (f64, f64) {
    let radius = (-2.0 * random.random_range(1e-12_f64..1.0).ln()).sqrt();
    let (sine, cosine) = random.random_range(0.0..std::f64::consts::TAU).sin_cos();
    (radius * sine, radius * cosine)
}
