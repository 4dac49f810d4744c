//! Arrived, approaching, left.
//!
//! Two documents give two circles: a rider has *arrived* within 50 m, and PlatePal's *zones* are 100 m. Both hold:
//! - who is within 50 m with two fixes, or for 10 s, and is not passing by (5 m/s), has arrived;
//! - who stands within the 100 m for a minute has arrived as well: the address is a point, the door and the bicycle rack
//!   are not. A minute is longer than a red light.
//!
//! So riding past a restaurant is no arrival, and with a fix every 5 s an arrival is told 10 s after it. Places are the
//! smoothed ones, and those known worse than the circle prove nothing. The way between two fixes counts too: it tells
//! since when the rider is inside, and who rides through 150 m between two fixes has approached.
//!
//! Each thing happens once for each end of a delivery. Left is 25 m beyond the circle in which the rider arrived, with two
//! fixes or 10 s.

use platepal_events::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    limits::Limits,
    place::Place,
    plane::{Plane, entry, nearest},
    rider::Smoothed,
};

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

/// What is remembered of one place: each thing happens once. Moments in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Fence {
    approached: bool,
    /// Within the approaching circle now.
    is_near: bool,
    inside_since: Option<i64>,
    inside_fixes: u8,
    standing_since: Option<i64>,
    arrived_at: Option<i64>,
    /// It was by standing in the zone.
    by_zone: bool,
    outside_since: Option<i64>,
    outside_fixes: u8,
    left_at: Option<i64>,
}

/// Both ends of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Fences {
    pub(crate) pickup: Fence,
    pub(crate) dropoff: Fence,
}

impl Fence {
    /// The rider has arrived and not left.
    pub(crate) fn is_inside(&self) -> bool {
        self.arrived_at.is_some() && self.left_at.is_none()
    }

    /// The rider is near.
    pub(crate) fn is_near(&self) -> bool {
        self.is_near
    }

    /// When the rider arrived.
    #[cfg(test)]
    pub(crate) fn arrived_at(&self) -> Option<Timestamp> {
        self.arrived_at.map(Timestamp::from_micros)
    }

    /// The rider is here now, and was there (if that is not too long ago). Returns what happens, with its moment.
    pub(crate) fn step(
        &mut self,
        centre: Place,
        before: Option<(Place, Timestamp)>,
        now: &Smoothed,
        limits: &Limits,
    ) -> Vec<(Doing, Timestamp)> {
        let mut doing = Vec::new();
        let plane = Plane::at(centre);
        let here = plane.metres(now.place);
        let metres = here.0.hypot(here.1);
        let before = before.map(|(place, at)| (plane.metres(place), at));
        // When the rider entered a circle on the way here.
        let entered = |radius: f64| match before {
            Some((there, at)) if there.0.hypot(there.1) > radius => {
                entry(there, here, radius).map_or(now.at.micros(), |part| {
                    let micros = now.at.micros().saturating_sub(at.micros()).max(0);
                    at.micros().saturating_add((part * micros as f64) as i64)
                })
            }
            _ => now.at.micros(),
        };

        let on_the_way = before.map_or(metres, |(there, _)| nearest(there, here).0);
        if on_the_way <= limits.approaching_m && !self.approached {
            self.approached = true;
            doing.push((Doing::Approaching, Timestamp::from_micros(entered(limits.approaching_m))));
        }
        self.is_near = metres <= limits.approaching_m + if self.is_near { limits.left_m } else { 0.0 };

        if self.arrived_at.is_none() {
            if let Some(at) = self.arrive(metres, entered(limits.arrived_m), now, limits) {
                self.arrived_at = Some(at);
                doing.push((Doing::Arrived, Timestamp::from_micros(at)));
            }
        } else if self.left_at.is_none()
            && let Some(at) = self.leave(metres, now.at.micros(), limits)
        {
            self.left_at = Some(at);
            doing.push((Doing::Left, Timestamp::from_micros(at)));
        }
        doing
    }

    fn arrive(&mut self, metres: f64, entered: i64, now: &Smoothed, limits: &Limits) -> Option<i64> {
        let at = now.at.micros();
        let lasted = |since: i64, millis: i64| at.saturating_sub(since) >= millis.saturating_mul(1_000);
        // Who may as well be beyond the place where a rider has left has not arrived.
        let is_sure =
            now.accuracy <= limits.arrived_m && metres + now.accuracy <= limits.arrived_m + limits.left_m;
        if metres <= limits.arrived_m && is_sure {
            let since = *self.inside_since.get_or_insert(entered);
            self.inside_fixes = self.inside_fixes.saturating_add(1);
            let is_confirmed =
                self.inside_fixes >= limits.confirming_fixes || lasted(since, limits.confirming_millis);
            if is_confirmed && now.speed <= limits.passing_mps {
                return Some(since);
            }
        } else if metres > limits.arrived_m + limits.left_m {
            (self.inside_since, self.inside_fixes) = (None, 0);
        }
        if metres <= limits.zone_m && now.accuracy <= limits.zone_m && !now.moving {
            let since = *self.standing_since.get_or_insert(at);
            if lasted(since, limits.zone_millis) {
                self.by_zone = true;
                return Some(since);
            }
        } else {
            self.standing_since = None;
        }
        None
    }

    fn leave(&mut self, metres: f64, at: i64, limits: &Limits) -> Option<i64> {
        let circle = if self.by_zone { limits.zone_m } else { limits.arrived_m };
        if metres <= circle + limits.left_m {
            (self.outside_since, self.outside_fixes) = (None, 0);
            return None;
        }
        let since = *self.outside_since.get_or_insert(at);
        self.outside_fixes = self.outside_fixes.saturating_add(1);
        let lasted = at.saturating_sub(since) >= limits.confirming_millis.saturating_mul(1_000);
        (self.outside_fixes >= limits.confirming_fixes || lasted).then_some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fix::tests::at;

    const DOOR: Place = Place { latitude: 60.17, longitude: 24.94 };

    fn smoothed(metres: f64, seconds: f64, speed: f64) -> Smoothed {
        Smoothed {
            place: if metres < 0.0 { DOOR.ahead(270.0, -metres) } else { DOOR.ahead(90.0, metres) },
            speed,
            heading: None,
            accuracy: 5.0,
            moving: speed > 0.5,
            at: at(seconds),
        }
    }

    /// Metres east of the door, seconds, metres per second.
    fn ride(fixes: &[(f64, f64, f64)]) -> Vec<(Doing, f64)> {
        let (mut fence, mut before, mut doing) = (Fence::default(), None, Vec::new());
        for (metres, seconds, speed) in fixes {
            let now = smoothed(*metres, *seconds, *speed);
            for (what, when) in fence.step(DOOR, before, &now, &Limits::default()) {
                doing.push((what, when.millis_since(at(0.0)) as f64 / 1e3));
            }
            before = Some((now.place, now.at));
        }
        doing
    }

    #[test]
    fn an_arrival_is_told_with_the_second_fix_and_dated_by_the_first() {
        let doing = ride(&[
            (300.0, 0.0, 8.0),
            (200.0, 5.0, 8.0),
            (100.0, 10.0, 8.0),
            (20.0, 15.0, 4.0),
            (5.0, 20.0, 0.0),
        ]);
        let words: Vec<Doing> = doing.iter().map(|(what, _)| *what).collect();
        assert_eq!(words, [Doing::Approaching, Doing::Arrived]);
        assert!((doing[0].1 - 7.5).abs() < 0.1, "halfway between 200 and 100 m: {doing:?}");
        assert!((doing[1].1 - 13.1).abs() < 0.1, "where the way came within 50 m: {doing:?}");
    }

    #[test]
    fn riding_past_is_approaching_and_no_arrival() {
        let past: Vec<_> =
            (0..12).map(|step| (300.0 - 50.0 * f64::from(step), 5.0 * f64::from(step), 10.0)).collect();
        assert_eq!(ride(&past).len(), 1);
    }

    #[test]
    fn a_fast_rider_is_not_missed_between_two_fixes() {
        let doing = ride(&[(200.0, 0.0, 40.0), (-200.0, 10.0, 40.0)]);
        assert_eq!(doing.len(), 1);
        assert_eq!(doing[0].0, Doing::Approaching);
    }

    #[test]
    fn one_fix_is_enough_after_ten_seconds_on_the_way_inside() {
        let doing = ride(&[(100.0, 0.0, 5.0), (0.0, 30.0, 0.0)]);
        assert_eq!(doing.iter().filter(|(what, _)| *what == Doing::Arrived).count(), 1);
    }

    #[test]
    fn one_fix_inside_is_no_arrival() {
        assert_eq!(
            ride(&[(80.0, 0.0, 2.0), (45.0, 5.0, 2.0), (90.0, 10.0, 8.0), (140.0, 15.0, 8.0)]).len(),
            1
        );
    }

    #[test]
    fn standing_a_minute_in_the_zone_is_an_arrival_and_a_red_light_is_not() {
        let stand = |until: u32| -> Vec<_> {
            (0..=until / 5).map(|step| (85.0, f64::from(step) * 5.0, 0.0)).collect()
        };
        assert_eq!(ride(&stand(55)).len(), 1);
        let doing = ride(&stand(60));
        assert_eq!(doing.get(1), Some(&(Doing::Arrived, 0.0)));
    }

    #[test]
    fn leaving_is_twenty_five_metres_further_and_confirmed() {
        let mut way = vec![(10.0, 0.0, 0.0), (10.0, 5.0, 0.0), (70.0, 10.0, 5.0), (74.0, 15.0, 5.0)];
        assert_eq!(ride(&way).len(), 2, "still there");
        way.push((90.0, 20.0, 5.0));
        assert_eq!(ride(&way).len(), 2, "one fix proves nothing");
        way.push((120.0, 25.0, 5.0));
        assert_eq!(ride(&way).get(2), Some(&(Doing::Left, 20.0)));
    }

    #[test]
    fn each_thing_happens_once() {
        let mut way = Vec::new();
        for round in 0..5 {
            for (step, metres) in [10.0, 5.0, 5.0, 400.0, 400.0, 400.0].into_iter().enumerate() {
                way.push((metres, f64::from(round) * 60.0 + step as f64 * 10.0, 0.0));
            }
        }
        assert_eq!(ride(&way).len(), 3);
    }

    #[test]
    fn a_place_that_is_hardly_known_proves_no_arrival() {
        let mut fence = Fence::default();
        for step in 0..20 {
            let now = Smoothed { accuracy: 60.0, moving: true, ..smoothed(10.0, f64::from(step) * 5.0, 1.0) };
            let doing = fence.step(DOOR, None, &now, &Limits::default());
            assert!(doing.iter().all(|(what, _)| *what == Doing::Approaching));
        }
    }
}
