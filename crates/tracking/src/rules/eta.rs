//! When it will be there: whole minutes until it is handed over, with a range.
//!
//! With a map: the seconds that the road takes, times the rider's own pace (the share of time that this rider really
//! needed on roads before). Without: the great circle × 1.35 (the mean detour of street networks: R. H. Ballou,
//! H. Rahardja, N. Sakai, *Selected country circuity factors*, 2002, has 1.2 to 1.6 for Europe) at the rider's recent
//! speed, an exponential mean of what was ridden, 4 to 12 m/s. Each handing over that is still to come adds 2 min, and
//! before the pickup so does the way from there to the customer.
//!
//! What is shown changes by whole minutes, only when the estimate has been another minute for 30 s. As time runs
//! down the estimate, a minute is shown from half a minute before it to half a minute after: no bias. The range is one minute
//! each way and a tenth of the time (a fifth without a map).
//!
//! A way is asked of the map only when a position is to be shown and none is held, the held one was left, or it is a
//! minute old; else the rider is moved along the held line.

use serde::{Deserialize, Serialize};

use super::{
    delivery::Phase,
    limits::Limits,
    place::Place,
    plane::{Plane, nearest},
    rider::Smoothed,
    road::{Ahead, Road},
    trail,
};

/// Of the time ahead, the part that the range grows by.
const SPREAD_WITH_MAP: f64 = 0.1;
const SPREAD_WITHOUT_MAP: f64 = 0.2;
/// A pace is learned from this many seconds of road at once.
const PACE_SECONDS: f64 = 30.0;
/// What one lesson weighs.
const PACE_WEIGHT: f64 = 0.15;
/// Nobody is faster or slower than this share of a road's time.
const PACE_MIN: f64 = 0.5;
const PACE_MAX: f64 = 2.0;
/// The longest time ahead that is told, in minutes.
const MINUTES_MAX: f64 = 600.0;
/// Degrees of a held line are kept as whole numbers of this part.
const DEGREE_PARTS: f64 = 1e6;

/// Whole minutes until it is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Eta {
    pub(crate) minutes: u32,
    /// The range.
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// How fast this rider is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Pace {
    /// Mean of recent speeds, m/s.
    speed: Option<f64>,
    /// Time needed as a share of the roads' time.
    factor: f64,
    /// Seconds ridden and seconds of road since the last lesson.
    ridden: f64,
    road: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { speed: None, factor: 1.0, ridden: 0.0, road: 0.0 }
    }
}

impl Pace {
    /// The rider has moved at this speed for so long.
    pub(crate) fn rode(&mut self, mps: f64, millis: i64, limits: &Limits) {
        let held = self.speed.unwrap_or(limits.speed_default_mps);
        let weight = 1.0 - (-(millis.max(0) as f64) / limits.speed_memory_millis.max(1) as f64).exp();
        self.speed = Some(held + weight * (mps.min(limits.jump_mps) - held));
    }

    fn mps(&self, limits: &Limits) -> f64 {
        self.speed.unwrap_or(limits.speed_default_mps).clamp(limits.speed_min_mps, limits.speed_max_mps)
    }

    fn learn(&mut self, ridden: f64, road: f64) {
        // Who stands still learns when going on; a stop of minutes is no pace.
        self.ridden += ridden.clamp(0.0, 60.0);
        self.road += road.max(0.0);
        if self.road >= PACE_SECONDS {
            let lesson = (self.ridden / self.road).clamp(PACE_MIN, PACE_MAX);
            self.factor += PACE_WEIGHT * (lesson - self.factor);
            (self.ridden, self.road) = (0.0, 0.0);
        }
    }
}

/// A way that is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    /// Millionths of degrees: latitude, longitude.
    points: Vec<(i32, i32)>,
    seconds: f64,
    /// Along the points.
    metres: f64,
    /// How far the rider is along it, in metres.
    ridden: f64,
    /// When the rider was there, in milliseconds since 1970.
    at: i64,
    /// It leads to the customer.
    to_customer: bool,
}

/// What is remembered of one delivery's ETA. Moments in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EtaState {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<Line>,
    /// When the map was asked last.
    asked_at: Option<i64>,
    leg: Leg,
    shown: Option<Eta>,
    /// Since when the estimate has been another minute: a lower one or a higher one.
    lower_since: Option<i64>,
    higher_since: Option<i64>,
}

/// The way from pickup to dropoff.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
enum Leg {
    #[default]
    NotAsked,
    /// The map knows none.
    NoRoad,
    Seconds(f64),
}

/// Where somebody has to go.
pub(crate) struct Way<'a> {
    pub(crate) phase: Phase,
    pub(crate) pickup: Place,
    pub(crate) dropoff: Place,
    pub(crate) roads: &'a dyn Ahead,
}

impl EtaState {
    /// The ETA to show now.
    pub(crate) fn update(
        &mut self,
        way: &Way<'_>,
        smoothed: &Smoothed,
        pace: &mut Pace,
        now_millis: i64,
        limits: &Limits,
    ) -> Option<Eta> {
        let handover = limits.handover_millis as f64 / 1e3;
        let seconds = match way.phase {
            Phase::ToPickup => {
                let there = self.travel(way, false, smoothed, pace, now_millis, limits);
                there + handover + self.leg(way, pace, limits) + handover
            }
            Phase::AtPickup => {
                self.line = None;
                handover + self.leg(way, pace, limits) + handover
            }
            Phase::ToCustomer | Phase::Arriving => {
                self.travel(way, true, smoothed, pace, now_millis, limits) + handover
            }
            Phase::Arrived => {
                self.line = None;
                0.0
            }
        };
        let minutes = seconds / 60.0;
        if !minutes.is_finite() {
            return self.shown;
        }
        self.show(minutes.clamp(0.0, MINUTES_MAX), way.phase, now_millis, limits)
    }

    /// What was shown last.
    pub(crate) fn shown(&self) -> Option<Eta> {
        self.shown
    }

    /// The way ahead from where the rider is, as an encoded polyline; empty without a map.
    pub(crate) fn line_ahead(&self, place: Place) -> String {
        let Some(line) = &self.line else { return String::new() };
        let mut along = 0.0;
        let mut ahead = vec![place];
        for (from, to) in line.pieces() {
            along += from.metres_to(to);
            if along > line.ridden {
                ahead.push(to);
            }
        }
        trail::polyline(ahead)
    }

    /// Seconds to pickup or dropoff.
    fn travel(
        &mut self,
        way: &Way<'_>,
        to_customer: bool,
        smoothed: &Smoothed,
        pace: &mut Pace,
        now_millis: i64,
        limits: &Limits,
    ) -> f64 {
        let to = if to_customer { way.dropoff } else { way.pickup };
        if self.line.as_ref().is_some_and(|line| line.to_customer != to_customer) {
            self.line = None;
        }
        let is_on = self.line.as_mut().is_some_and(|line| line.follow(smoothed, pace, limits));
        let since = self.asked_at.map_or(i64::MAX, |at| now_millis.saturating_sub(at));
        let is_old = since >= limits.reroute_after_millis || since < 0;
        if is_old || (!is_on && since >= limits.reroute_pause_millis) {
            self.asked_at = Some(now_millis);
            let road = way.roads.ahead(smoothed.place, smoothed.heading, to);
            self.line = road.and_then(|road| Line::hold(road, to_customer, smoothed, limits));
        }
        match &self.line {
            // Off the line until the map may be asked again: from where it was left.
            Some(line) => line.seconds_ahead() * pace.factor,
            None => as_the_crow_flies(smoothed.place, to, pace, limits),
        }
    }

    /// Seconds from pickup to dropoff.
    fn leg(&mut self, way: &Way<'_>, pace: &Pace, limits: &Limits) -> f64 {
        if self.leg == Leg::NotAsked {
            let seconds = way.roads.ahead(way.pickup, None, way.dropoff).map(|road| road.seconds);
            self.leg = seconds.filter(|seconds| seconds.is_finite()).map_or(Leg::NoRoad, Leg::Seconds);
        }
        match self.leg {
            Leg::Seconds(seconds) => seconds.max(0.0) * pace.factor,
            Leg::NotAsked | Leg::NoRoad => as_the_crow_flies(way.pickup, way.dropoff, pace, limits),
        }
    }

    fn show(&mut self, minutes: f64, phase: Phase, now_millis: i64, limits: &Limits) -> Option<Eta> {
        let least = if phase == Phase::Arrived { 0.0 } else { 1.0 };
        let spread = if self.line.is_some() { SPREAD_WITH_MAP } else { SPREAD_WITHOUT_MAP };
        let eta = |whole: f64| {
            let minutes = whole.max(least);
            let width = 1.0 + (spread * minutes).ceil();
            Eta {
                minutes: minutes as u32,
                from: (minutes - width).max(0.0) as u32,
                to: (minutes + width) as u32,
            }
        };
        let Some(shown) = self.shown else {
            self.shown = Some(eta(minutes.round()));
            return self.shown;
        };
        let step = (limits.eta_step_millis as f64 / 60e3).max(0.5);
        let next = eta(minutes.floor());
        let by = f64::from(next.minutes) - f64::from(shown.minutes);
        let since =
            |since: Option<i64>, holds: bool| holds.then(|| since.unwrap_or(now_millis).min(now_millis));
        self.lower_since = since(self.lower_since, by <= -step);
        self.higher_since = since(self.higher_since, by >= step);
        let held = self.lower_since.or(self.higher_since);
        if held.is_some_and(|since| now_millis.saturating_sub(since) >= limits.eta_hold_millis) {
            (self.lower_since, self.higher_since) = (None, None);
            self.shown = Some(next);
        }
        self.shown
    }

    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.line.as_ref().map_or(0, |line| line.points.capacity() * std::mem::size_of::<(i32, i32)>())
    }
}

fn as_the_crow_flies(from: Place, to: Place, pace: &Pace, limits: &Limits) -> f64 {
    from.metres_to(to) * limits.detour / pace.mps(limits)
}

impl Line {
    /// Holds a road, with few points.
    fn hold(road: Road, to_customer: bool, smoothed: &Smoothed, limits: &Limits) -> Option<Self> {
        if !(road.seconds.is_finite() && road.seconds >= 0.0) || road.line.len() < 2 {
            return None;
        }
        let mut places = road.line;
        places.retain(|place| place.latitude.abs() <= 90.0 && place.longitude.abs() <= 180.0);
        let whole = |degrees: f64| (degrees * DEGREE_PARTS).round() as i32;
        let points: Vec<_> = trail::outline(&places, limits.line_points)
            .iter()
            .map(|place| (whole(place.latitude), whole(place.longitude)))
            .collect();
        let mut line = Self {
            points: points.into_boxed_slice().into_vec(),
            seconds: road.seconds,
            metres: 0.0,
            ridden: 0.0,
            at: smoothed.at.micros() / 1_000,
            to_customer,
        };
        line.metres = line.pieces().map(|(from, to)| from.metres_to(to)).sum();
        Some(line)
    }

    fn pieces(&self) -> impl Iterator<Item = (Place, Place)> {
        let place = |(latitude, longitude): &(i32, i32)| Place {
            latitude: f64::from(*latitude) / DEGREE_PARTS,
            longitude: f64::from(*longitude) / DEGREE_PARTS,
        };
        self.points.iter().zip(self.points.iter().skip(1)).map(move |(from, to)| (place(from), place(to)))
    }

    /// Moves the rider along the line, and learns the pace; `false`: the rider has left it.
    fn follow(&mut self, smoothed: &Smoothed, pace: &mut Pace, limits: &Limits) -> bool {
        let plane = Plane::at(smoothed.place);
        let (mut along, mut best) = (0.0, None::<(f64, f64)>);
        for (from, to) in self.pieces() {
            let length = from.metres_to(to);
            let (metres, part) = nearest(plane.metres(from), plane.metres(to));
            let there = along + part * length;
            // Ahead rather than behind: a line may pass the same place twice.
            if there + limits.off_line_m >= self.ridden && best.is_none_or(|(least, _)| metres < least - 1.0)
            {
                best = Some((metres, there));
            }
            along += length;
        }
        let Some((metres, there)) = best else { return false };
        if metres > limits.off_line_m.max(smoothed.accuracy) {
            return false;
        }
        let at = smoothed.at.micros() / 1_000;
        if there > self.ridden && self.metres > 0.0 {
            let road = (there - self.ridden) / self.metres * self.seconds;
            pace.learn(at.saturating_sub(self.at) as f64 / 1e3, road);
            (self.ridden, self.at) = (there, at);
        }
        true
    }

    fn seconds_ahead(&self) -> f64 {
        if self.metres <= 0.0 {
            return 0.0;
        }
        self.seconds * (1.0 - self.ridden / self.metres).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::rules::{fix::tests::at, road::NoRoads};

    const HERE: Place = Place { latitude: 60.17, longitude: 24.94 };

    fn smoothed(place: Place, seconds: f64) -> Smoothed {
        Smoothed { place, speed: 8.0, heading: Some(90.0), accuracy: 5.0, moving: true, at: at(seconds) }
    }

    fn way(phase: Phase, roads: &dyn Ahead) -> Way<'_> {
        Way { phase, pickup: HERE.ahead(0.0, 2_000.0), dropoff: HERE.ahead(90.0, 4_000.0), roads }
    }

    /// Straight on, at 5 m/s.
    struct Straight(AtomicUsize);

    impl Ahead for Straight {
        fn ahead(&self, from: Place, _heading: Option<f64>, to: Place) -> Option<Road> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let metres = from.metres_to(to);
            Some(Road { seconds: metres / 5.0, metres, line: vec![from, to] })
        }
    }

    #[test]
    fn without_a_map_it_is_the_detour_at_the_default_speed_and_the_handing_over() {
        let (mut state, mut pace, limits) = (EtaState::default(), Pace::default(), Limits::default());
        // 4,000 m × 1.35 / 8.33 m/s = 648 s; with 2 min 12.8 minutes.
        let eta =
            state.update(&way(Phase::ToCustomer, &NoRoads), &smoothed(HERE, 0.0), &mut pace, 0, &limits);
        assert_eq!(eta, Some(Eta { minutes: 13, from: 9, to: 17 }));
    }

    #[test]
    fn before_the_pickup_the_whole_way_counts() {
        let (mut state, mut pace, limits) = (EtaState::default(), Pace::default(), Limits::default());
        let roads = Straight(AtomicUsize::new(0));
        // 400 s + 120 s + 894 s + 120 s.
        let eta = state.update(&way(Phase::ToPickup, &roads), &smoothed(HERE, 0.0), &mut pace, 0, &limits);
        assert_eq!(eta.map(|eta| eta.minutes), Some(26));
        let mut state = EtaState::default();
        let eta = state.update(&way(Phase::AtPickup, &roads), &smoothed(HERE, 0.0), &mut pace, 0, &limits);
        assert_eq!(eta.map(|eta| eta.minutes), Some(19));
    }

    #[test]
    fn the_map_is_not_asked_again_while_the_rider_follows_the_line() {
        let (mut state, mut pace, limits) = (EtaState::default(), Pace::default(), Limits::default());
        let roads = Straight(AtomicUsize::new(0));
        for second in 0..59 {
            let place = HERE.ahead(90.0, 5.0 * f64::from(second));
            let millis = i64::from(second) * 1_000;
            state.update(
                &way(Phase::ToCustomer, &roads),
                &smoothed(place, f64::from(second)),
                &mut pace,
                millis,
                &limits,
            );
        }
        assert_eq!(roads.0.load(Ordering::Relaxed), 1);
        assert!(places(&state.line_ahead(HERE)) >= 2);
        let off = smoothed(HERE.ahead(0.0, 500.0), 59.0);
        state.update(&way(Phase::ToCustomer, &roads), &off, &mut pace, 59_000, &limits);
        assert_eq!(roads.0.load(Ordering::Relaxed), 2, "the line was left");
        state.update(&way(Phase::ToCustomer, &roads), &smoothed(HERE, 60.0), &mut pace, 60_000, &limits);
        assert_eq!(roads.0.load(Ordering::Relaxed), 2, "not more often than every 10 s");
    }

    fn places(line: &str) -> usize {
        trail::places(line).unwrap().len()
    }

    #[test]
    fn a_riders_own_pace_is_learned() {
        let (mut state, mut pace, limits) = (EtaState::default(), Pace::default(), Limits::default());
        let roads = Straight(AtomicUsize::new(0));
        for second in 0..400 {
            // Twice as fast as the map says.
            let place = HERE.ahead(90.0, 10.0 * f64::from(second));
            let millis = i64::from(second) * 1_000;
            state.update(
                &way(Phase::ToCustomer, &roads),
                &smoothed(place, f64::from(second)),
                &mut pace,
                millis,
                &limits,
            );
        }
        assert!(pace.factor < 0.7, "{}", pace.factor);
    }

    #[test]
    fn a_countdown_is_shown_without_bias() {
        let (mut state, mut pace, limits) = (EtaState::default(), Pace::default(), Limits::default());
        let roads = Straight(AtomicUsize::new(0));
        let (mut off, mut shown) = (0.0, 0);
        for second in 0..700_i32 {
            let place = HERE.ahead(90.0, 5.0 * f64::from(second));
            let millis = i64::from(second) * 1_000;
            let eta = state
                .update(
                    &way(Phase::ToCustomer, &roads),
                    &smoothed(place, f64::from(second)),
                    &mut pace,
                    millis,
                    &limits,
                )
                .unwrap();
            let truth = f64::from(920 - second) / 60.0;
            off += f64::from(eta.minutes) - truth;
            shown += 1;
            assert!((f64::from(eta.minutes) - truth).abs() <= 1.1, "{second} s: {} {truth}", eta.minutes);
        }
        assert!((off / f64::from(shown)).abs() < 0.25, "{}", off / f64::from(shown));
    }

    proptest! {
        #[test]
        fn what_is_shown_never_changes_twice_within_thirty_seconds(
            estimates in proptest::collection::vec((0.0_f64..40.0, 0_i64..20_000), 1..200),
        ) {
            let (mut state, limits) = (EtaState::default(), Limits::default());
            let (mut now, mut last, mut changed) = (0, None, i64::MIN);
            for (minutes, millis) in estimates {
                now += millis;
                let eta = state.show(minutes, Phase::ToCustomer, now, &limits).unwrap();
                prop_assert!(eta.from <= eta.minutes && eta.minutes <= eta.to);
                if let Some(last) = last && last != eta.minutes {
                    prop_assert!(now.saturating_sub(changed) >= 30_000);
                    changed = now;
                }
                if last.is_none() {
                    changed = now;
                }
                last = Some(eta.minutes);
            }
        }

        #[test]
        fn no_road_makes_it_panic(
            seconds in any::<f64>(), line in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..80),
            latitude in -90.0_f64..90.0, longitude in -180.0_f64..180.0,
        ) {
            struct Odd(Road);
            impl Ahead for Odd {
                fn ahead(&self, _: Place, _: Option<f64>, _: Place) -> Option<Road> {
                    Some(self.0.clone())
                }
            }
            let line = line.into_iter().map(|(latitude, longitude)| Place { latitude, longitude }).collect();
            let odd = Odd(Road { seconds, metres: seconds, line });
            let (mut state, mut pace) = (EtaState::default(), Pace::default());
            for second in 0..3 {
                let here = smoothed(Place { latitude, longitude }, f64::from(second));
                state.update(&way(Phase::ToCustomer, &odd), &here, &mut pace, i64::from(second) * 1_000, &Limits::default());
                let _ = state.line_ahead(here.place);
            }
            prop_assert!(state.heap_bytes() <= 32 * 8);
        }
    }
}
