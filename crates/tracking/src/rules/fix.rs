//! A fix: what a rider's device measured, and whether it is of use.
//!
//! What decides is place, accuracy and moment. A heading or a speed that can't be is taken for none: devices write −1
//! or NaN for what they do not know (W3C Geolocation, Core Location).

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

/// A moment as a number, for what is stored.
pub(crate) mod micros {
    use platepal_events::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.micros())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_micros)
    }
}

/// Why a fix is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A number is missing or infinite.
    NotANumber,
    /// No place on earth, or an accuracy that can't be.
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
    /// The shift has ended meanwhile. Kept for the trail.
    ShiftOver,
}

impl Reason {
    /// For machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotANumber => "not_a_number",
            Self::OutOfRange => "out_of_range",
            Self::InTheFuture => "in_the_future",
            Self::Old => "old",
            Self::Inaccurate => "inaccurate",
            Self::Jump => "jump",
            Self::Outlier => "outlier",
            Self::NoShift => "no_shift",
            Self::ShiftOver => "shift_over",
        }
    }

    /// For people: what happened, and what to do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NotANumber => {
                "latitude, longitude and accuracy must be numbers; send the fix again with numbers"
            }
            Self::OutOfRange => {
                "latitude must be -90 to 90 degrees, longitude -180 to 180 degrees, accuracy 0 metres or more"
            }
            Self::InTheFuture => "recorded_at is later than now; set the device's clock",
            Self::Old => "there is a newer fix; this one is kept for the trail",
            Self::Inaccurate => "the accuracy is too low to show the rider there; it is kept for the trail",
            Self::Jump => {
                "nobody is that fast; if the rider is really there, the next fixes nearby will be believed"
            }
            Self::Outlier => {
                "it is not where the movement led to; if the rider is really there, the next fixes will be believed"
            }
            Self::NoShift => "it was not recorded during a shift; start the shift before sending positions",
            Self::ShiftOver => "the shift has ended meanwhile; it is kept for the trail",
        }
    }
}

/// What became of a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Kept, and the rider is shown there.
    Shown,
    /// In the trail, not shown.
    Kept(Reason),
    /// Was answered before.
    Duplicate,
    /// Neither kept nor shown.
    Refused(Reason),
}

impl Answer {
    /// For machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Kept(_) => "kept",
            Self::Duplicate => "duplicate",
            Self::Refused(_) => "refused",
        }
    }

    /// Why it is not shown.
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Kept(reason) | Self::Refused(reason) => Some(reason),
            Self::Shown | Self::Duplicate => None,
        }
    }
}

impl Fix {
    /// Where it is.
    pub(crate) fn place(&self) -> Place {
        Place { latitude: self.latitude, longitude: self.longitude }
    }

    /// The direction, if it can be one.
    pub(crate) fn true_heading(&self) -> Option<f64> {
        self.heading.filter(|degrees| (0.0..=360.0).contains(degrees)).map(|degrees| degrees % 360.0)
    }

    /// The speed, if it can be one.
    pub(crate) fn true_speed(&self, limits: &Limits) -> Option<f64> {
        self.speed.filter(|mps| (0.0..=limits.jump_mps).contains(mps))
    }

    /// The accuracy for reckoning: no receiver is better than the least.
    pub(crate) fn metres(&self, limits: &Limits) -> f64 {
        self.accuracy.max(limits.accuracy_min_m)
    }
}

/// Whether a fix can be one at all. Whether it is of use depends on what is held ([`super::rider`]).
pub(crate) fn validate(fix: &Fix, now: Timestamp, limits: &Limits) -> Result<(), Reason> {
    if ![fix.latitude, fix.longitude, fix.accuracy].into_iter().all(f64::is_finite) {
        return Err(Reason::NotANumber);
    }
    if fix.latitude.abs() > 90.0 || fix.longitude.abs() > 180.0 || fix.accuracy < 0.0 {
        return Err(Reason::OutOfRange);
    }
    if fix.recorded_at.millis_since(now) > limits.ahead_millis {
        return Err(Reason::InTheFuture);
    }
    if fix.accuracy > limits.accuracy_max_m {
        return Err(Reason::Inaccurate);
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// 2026-11-24T11:30:00Z and so many seconds.
    pub(crate) fn at(seconds: f64) -> Timestamp {
        Timestamp::from_micros(1_795_519_800_000_000 + (seconds * 1e6) as i64)
    }

    /// A good fix.
    pub(crate) fn fix(place: Place, seconds: f64) -> Fix {
        Fix {
            latitude: place.latitude,
            longitude: place.longitude,
            accuracy: 5.0,
            heading: None,
            speed: None,
            battery_level: None,
            recorded_at: at(seconds),
        }
    }

    const HERE: Place = Place { latitude: 60.17, longitude: 24.94 };

    #[test]
    fn each_thing_that_is_wrong_has_its_reason() {
        let good = fix(HERE, 0.0);
        let limits = Limits::default();
        let check = |fix: Fix| validate(&fix, at(0.0), &limits);
        assert_eq!(check(good), Ok(()));
        assert_eq!(check(Fix { latitude: f64::NAN, ..good }), Err(Reason::NotANumber));
        assert_eq!(check(Fix { accuracy: f64::INFINITY, ..good }), Err(Reason::NotANumber));
        assert_eq!(check(Fix { latitude: 90.1, ..good }), Err(Reason::OutOfRange));
        assert_eq!(check(Fix { longitude: -180.1, ..good }), Err(Reason::OutOfRange));
        assert_eq!(check(Fix { accuracy: -1.0, ..good }), Err(Reason::OutOfRange));
        assert_eq!(check(Fix { accuracy: 200.1, ..good }), Err(Reason::Inaccurate));
        assert_eq!(check(Fix { recorded_at: at(60.0), ..good }), Ok(()));
        assert_eq!(check(Fix { recorded_at: at(60.002), ..good }), Err(Reason::InTheFuture));
    }

    #[test]
    fn a_heading_or_speed_that_cannot_be_is_none() {
        let odd = Fix { heading: Some(-1.0), speed: Some(f64::NAN), ..fix(HERE, 0.0) };
        let limits = Limits::default();
        assert_eq!(validate(&odd, at(0.0), &limits), Ok(()));
        assert_eq!((odd.true_heading(), odd.true_speed(&limits)), (None, None));
        assert_eq!(Fix { heading: Some(360.0), ..odd }.true_heading(), Some(0.0));
    }

    #[test]
    fn a_fix_survives_the_store() {
        let fix = Fix { heading: Some(90.0), battery_level: Some(40.0), ..fix(HERE, 0.25) };
        let text = serde_json::to_string(&fix).unwrap();
        assert_eq!(serde_json::from_str::<Fix>(&text).unwrap(), fix, "{text}");
    }
}
