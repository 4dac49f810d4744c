//! Everything that is remembered of one rider, and what a fix does to it.
//!
//! A rider in memory takes 4 KB at most with two deliveries, however long it is followed: what grows has a bound. It is
//! stored as JSON, and is rebuilt by taking again what came since.
//!
//! A shift decides: outside of one nothing is taken, and after its end nothing is shown.

mod follow;
mod ongoing;

use platepal_events::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    area::{self, Moved},
    eta::{EtaState, Pace, Way},
    fence::Crossing,
    fix::{self, Answer, Fix, Reason, micros},
    jump::Jumps,
    kalman::Filter,
    limits::Limits,
    liveness::Liveness,
    payload,
    place::Place,
    road::Ahead,
    seen::Seen,
    show::Show,
    street::Streets,
    trail::{self, Simplifier, TrailPoint},
};

pub(crate) use ongoing::{Ongoing, Shown};

/// Deliveries that one rider carries at once.
pub(crate) const DELIVERIES_MAX: usize = 16;
/// From this speed on the way that was ridden says the direction better than the device.
const COURSE_MPS: f64 = 2.0;
/// The longest time between two fixes that counts as riding, in milliseconds.
const RIDE_MILLIS_MAX: i64 = 30_000;

/// One rider. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rider {
    rider_id: String,
    shift: Option<Shift>,
    seen: Seen,
    jumps: Jumps,
    filter: Option<Filter>,
    smoothed: Option<Smoothed>,
    /// Known of one map only, and anew within a few fixes.
    #[serde(skip)]
    streets: Streets,
    /// Where the rider is shown, if that is on a street.
    #[serde(skip)]
    on_street: Option<Place>,
    pace: Pace,
    trail: Simplifier,
    /// A delivery began: its trail begins with the next fix.
    cut: bool,
    area: Option<String>,
    area_show: Show,
    deliveries: Vec<Ongoing>,
}

/// When a rider works, and where that began and ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Shift {
    #[serde(with = "micros")]
    from: Timestamp,
    /// The earliest place.
    start: Option<TrailPoint>,
    /// Microseconds since 1970.
    to: Option<i64>,
    /// The latest place, once it has ended.
    end: Option<TrailPoint>,
}

/// Where a rider probably is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Smoothed {
    pub(crate) place: Place,
    /// Metres per second.
    pub(crate) speed: f64,
    /// Degrees clockwise from north.
    pub(crate) heading: Option<f64>,
    /// Metres in which it is with 68 %.
    pub(crate) accuracy: f64,
    pub(crate) moving: bool,
    /// Of the fix, by the device's clock.
    #[serde(with = "micros")]
    pub(crate) at: Timestamp,
}

/// What a fix did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Taken {
    pub(crate) answer: Answer,
    /// Where the rider probably is, if the fix changed it.
    pub(crate) smoothed: Option<Smoothed>,
    /// Where that is shown: on the street, if one is likely.
    pub(crate) seen_at: Option<Place>,
    /// Has to be stored in the trail. Not always the place of this fix: simplifying looks back.
    pub(crate) point: Option<TrailPoint>,
    pub(crate) crossings: Vec<Crossing>,
    pub(crate) shown: Vec<Shown>,
    /// The rider's cell has to be told (at most once a second), and the one that was left.
    pub(crate) area: Option<Moved>,
}

impl Taken {
    fn only(answer: Answer) -> Self {
        Self {
            answer,
            smoothed: None,
            seen_at: None,
            point: None,
            crossings: Vec::new(),
            shown: Vec::new(),
            area: None,
        }
    }
}

impl Shift {
    fn is_over(&self) -> bool {
        self.to.is_some()
    }

    fn has(&self, at: Timestamp) -> bool {
        self.from <= at && self.to.is_none_or(|to| at.micros() <= to)
    }

    fn ends(&self) -> impl Iterator<Item = Place> {
        self.start.into_iter().chain(self.end).map(|point| point.place)
    }

    /// What may be stored of a point.
    fn to_store(self, point: TrailPoint, limits: &Limits) -> Option<TrailPoint> {
        let ends: Vec<Place> = self.ends().collect();
        (!trail::is_private(point.place, &ends, limits)).then_some(point)
    }
}

fn millis(at: Timestamp) -> i64 {
    at.micros() / 1_000
}

/// A device whose clock is ahead has fixes of age 0.
fn age_millis(smoothed: &Smoothed, now: Timestamp) -> i64 {
    now.millis_since(smoothed.at).max(0)
}

impl Rider {
    pub(crate) fn new(rider_id: &str) -> Self {
        Self { rider_id: rider_id.to_owned(), ..Self::default() }
    }

    pub(crate) fn rider_id(&self) -> &str {
        &self.rider_id
    }

    /// Begins a shift at a moment, and where, if that is known: else the first fix says. A running one goes on.
    pub(crate) fn start_shift(&mut self, at: Timestamp, place: Option<Place>) {
        if self.shift.is_some_and(|shift| !shift.is_over()) {
            return;
        }
        let start = place.map(|place| TrailPoint { place, at });
        self.shift = Some(Shift { from: at, start, to: None, end: None });
        // Nobody is shown where the last shift ended.
        self.jumps = Jumps::default();
        self.filter = None;
        self.smoothed = None;
        self.on_street = None;
        self.trail = Simplifier::default();
        self.area = None;
        self.area_show = Show::default();
    }

    /// Ends it: nothing is shown any more. Returns the trail's last point, if it may be stored. Fixes that were recorded
    /// before may still come. Then: tell `rider_left` to [`Rider::area`], and store no more of the trail than
    /// [`trail::without_ends`] of [`Rider::shift_ends`].
    pub(crate) fn end_shift(&mut self, at: Timestamp, limits: &Limits) -> Option<TrailPoint> {
        let shift = self.shift.as_mut().filter(|shift| !shift.is_over())?;
        shift.to = Some(at.micros());
        shift.end = self.smoothed.map(|smoothed| TrailPoint { place: smoothed.place, at: smoothed.at });
        let shift = *shift;
        self.trail.finish().and_then(|point| shift.to_store(point, limits))
    }

    /// Where the shift started and, after its end, ended.
    #[cfg(test)]
    pub(crate) fn shift_ends(&self) -> Vec<Place> {
        self.shift.iter().flat_map(|shift| shift.ends().collect::<Vec<_>>()).collect()
    }

    /// When the running shift started.
    pub(crate) fn on_shift_since(&self) -> Option<Timestamp> {
        self.shift.filter(|shift| !shift.is_over()).map(|shift| shift.from)
    }

    /// Begins to show a delivery, or changes it: what was seen of it so far is kept. One that has ended is taken out.
    /// `false`: the rider has too many.
    pub(crate) fn put_delivery(&mut self, mut delivery: Ongoing) -> bool {
        if delivery.status.is_end() {
            self.deliveries.retain(|held| held.delivery_id != delivery.delivery_id);
            return true;
        }
        if let Some(held) = self.deliveries.iter_mut().find(|held| held.delivery_id == delivery.delivery_id) {
            delivery.fences = held.fences;
            delivery.show = held.show;
            delivery.told = held.told;
            delivery.news = held.news;
            delivery.eta = std::mem::take(&mut held.eta);
            // Another address is another place to arrive at.
            if delivery.pickup != held.pickup {
                delivery.fences.pickup = Default::default();
                delivery.eta = EtaState::default();
            }
            if delivery.dropoff != held.dropoff {
                delivery.fences.dropoff = Default::default();
                delivery.eta = EtaState::default();
            }
            *held = delivery;
            return true;
        }
        if self.deliveries.len() >= DELIVERIES_MAX {
            return false;
        }
        self.cut = true;
        self.deliveries.reserve_exact(1);
        self.deliveries.push(delivery);
        true
    }

    /// Nothing of it is shown from now on. Returns the point that ends its trail, if there is one to store.
    pub(crate) fn end_delivery(&mut self, delivery_id: &str, limits: &Limits) -> Option<TrailPoint> {
        let held = self.deliveries.len();
        self.deliveries.retain(|delivery| delivery.delivery_id != delivery_id);
        if self.deliveries.len() == held {
            return None;
        }
        let shift = self.shift?;
        self.trail.finish().and_then(|point| shift.to_store(point, limits))
    }

    pub(crate) fn deliveries(&self) -> &[Ongoing] {
        &self.deliveries
    }

    /// The delivery to which the trail belongs now: the first whose order the rider has, else the first.
    pub(crate) fn trail_of(&self) -> Option<&str> {
        let first = self.deliveries.iter().find(|delivery| delivery.status.has_order());
        first.or(self.deliveries.first()).map(|delivery| delivery.delivery_id.as_str())
    }

    /// The newest position.
    pub(crate) fn smoothed(&self) -> Option<Smoothed> {
        self.smoothed
    }

    pub(crate) fn liveness(&self, now: Timestamp, limits: &Limits) -> Liveness {
        self.smoothed.map_or(Liveness::Unknown, |smoothed| Liveness::of(age_millis(&smoothed, now), limits))
    }

    /// The cell whose channel has the rider, or had when the shift ended.
    pub(crate) fn area(&self) -> Option<&str> {
        self.area.as_deref()
    }

    /// What the cell's channel is told, once there is a position.
    pub(crate) fn area_payload(&self, now: Timestamp, limits: &Limits) -> Option<String> {
        let smoothed = self.smoothed.as_ref()?;
        let ids: Vec<&str> = self.deliveries.iter().map(|delivery| delivery.delivery_id.as_str()).collect();
        let age_seconds = age_millis(smoothed, now) / 1_000;
        Some(payload::for_area(&self.rider_id, smoothed, age_seconds, self.liveness(now, limits), &ids))
    }

    /// Takes one fix.
    pub(crate) fn take(&mut self, fix: &Fix, now: Timestamp, limits: &Limits, roads: &dyn Ahead) -> Taken {
        self.step(fix, now, limits, roads, true)
    }

    /// Takes many, in the order in which they were recorded; shows the newest only. Answers in the order given.
    pub(crate) fn take_all(
        &mut self,
        fixes: &[Fix],
        now: Timestamp,
        limits: &Limits,
        roads: &dyn Ahead,
    ) -> Vec<Taken> {
        let mut order: Vec<(usize, &Fix)> = fixes.iter().enumerate().collect();
        // By everything that makes a difference, so that the order in which they came makes none.
        let key = |fix: &Fix| {
            let bits = |number: Option<f64>| number.map(f64::to_bits);
            let place = (fix.latitude.to_bits(), fix.longitude.to_bits(), fix.accuracy.to_bits());
            (fix.recorded_at, place, bits(fix.heading), bits(fix.speed))
        };
        order.sort_by_key(|(_, fix)| key(fix));
        let newest = order.last().map(|(index, _)| *index);
        let mut taken: Vec<(usize, Taken)> = order
            .into_iter()
            .map(|(index, fix)| (index, self.step(fix, now, limits, roads, Some(index) == newest)))
            .collect();
        taken.sort_by_key(|(index, _)| *index);
        taken.into_iter().map(|(_, taken)| taken).collect()
    }

    /// What is due without a fix: a position that waited for its second, and liveness that turned. To be called about
    /// once a second.
    pub(crate) fn tick(&mut self, now: Timestamp, limits: &Limits) -> Vec<Shown> {
        let (Some(smoothed), Some(_)) = (self.smoothed, self.on_shift_since()) else { return Vec::new() };
        let smoothed = self.seen(smoothed);
        let liveness = self.liveness(now, limits);
        let mut shown = Vec::new();
        for delivery in &mut self.deliveries {
            let Some(phase) = delivery.phase() else { continue };
            let has_turned = delivery.told.is_some_and(|(_, told)| told != liveness);
            let is_due = delivery.show.is_over(millis(now), limits)
                || (has_turned && delivery.show.has_shown() && delivery.show.is_free(millis(now), limits));
            if is_due {
                let eta = delivery.eta.shown();
                shown.push(delivery.tell(phase, eta, smoothed, now, limits));
            }
        }
        shown
    }

    fn step(
        &mut self,
        fix: &Fix,
        now: Timestamp,
        limits: &Limits,
        roads: &dyn Ahead,
        may_show: bool,
    ) -> Taken {
        let is_inaccurate = match fix::validate(fix, now, limits) {
            Ok(()) => false,
            Err(Reason::Inaccurate) => true,
            Err(reason) => return Taken::only(Answer::Refused(reason)),
        };
        let raw = TrailPoint { place: fix.place(), at: fix.recorded_at };
        let Some(shift) = self.shift.as_mut().filter(|shift| shift.has(fix.recorded_at)) else {
            return Taken::only(Answer::Refused(Reason::NoShift));
        };
        if !self.seen.note(millis(fix.recorded_at), limits.seen_bytes) {
            return Taken::only(Answer::Duplicate);
        }
        let is_older = self.jumps.newest().is_some_and(|newest| raw.at.micros() <= newest);
        let for_trail = if is_inaccurate {
            Some(Reason::Inaccurate)
        } else {
            if shift.start.is_none_or(|start| raw.at < start.at) {
                shift.start = Some(raw);
            }
            if shift.is_over() && shift.end.is_none_or(|end| raw.at > end.at) {
                shift.end = Some(raw);
            }
            match (is_older, shift.is_over()) {
                (true, _) => Some(Reason::Old),
                (false, true) => Some(Reason::ShiftOver),
                (false, false) => None,
            }
        };
        let shift = *shift;
        if let Some(reason) = for_trail {
            let point = shift.to_store(raw, limits);
            return Taken { point, ..Taken::only(Answer::Kept(reason)) };
        }
        match self.follow(fix, limits) {
            Err(reason) => Taken::only(Answer::Refused(reason)),
            Ok((smoothed, before)) => {
                let point = self.keep(smoothed, limits).and_then(|point| shift.to_store(point, limits));
                let crossings =
                    self.deliveries.iter_mut().flat_map(|d| d.cross(before, &smoothed, limits)).collect();
                let on_street = self.streets.step(&smoothed, roads);
                self.on_street =
                    on_street.filter(|_| smoothed.moving || !self.is_at_a_door(smoothed.place, limits));
                let seen = self.seen(smoothed);
                let shown = self.show(seen, now, limits, roads, may_show);
                let area = self.move_on(seen, now, limits, may_show);
                let seen_at = Some(seen.place);
                Taken {
                    answer: Answer::Shown,
                    smoothed: Some(smoothed),
                    seen_at,
                    point,
                    crossings,
                    shown,
                    area,
                }
            }
        }
    }

    /// Where and how the rider is shown.
    fn seen(&self, smoothed: Smoothed) -> Smoothed {
        Smoothed { place: self.on_street.unwrap_or(smoothed.place), ..smoothed }
    }

    /// Near a restaurant's or a customer's door, which are beside streets.
    fn is_at_a_door(&self, place: Place, limits: &Limits) -> bool {
        let is_near = |door: Place| door.metres_to(place) <= limits.arrived_m;
        self.deliveries.iter().any(|delivery| is_near(delivery.pickup) || is_near(delivery.dropoff))
    }

    fn keep(&mut self, smoothed: Smoothed, limits: &Limits) -> Option<TrailPoint> {
        if std::mem::take(&mut self.cut) {
            self.trail = Simplifier::default();
        }
        self.trail.push(TrailPoint { place: smoothed.place, at: smoothed.at }, limits)
    }

    fn show(
        &mut self,
        smoothed: Smoothed,
        now: Timestamp,
        limits: &Limits,
        roads: &dyn Ahead,
        may_show: bool,
    ) -> Vec<Shown> {
        let liveness = Liveness::of(age_millis(&smoothed, now), limits);
        let mut shown = Vec::new();
        for delivery in &mut self.deliveries {
            let Some(phase) = delivery.phase() else { continue };
            if !may_show {
                delivery.show.wait();
                continue;
            }
            let has_changed = delivery.told != Some((phase, liveness));
            if !delivery.show.is_due(millis(now), &smoothed, has_changed, limits) {
                continue;
            }
            let way = Way { phase, pickup: delivery.pickup, dropoff: delivery.dropoff, roads };
            let eta = delivery.eta.update(&way, &smoothed, &mut self.pace, millis(now), limits);
            shown.push(delivery.tell(phase, eta, smoothed, now, limits));
        }
        shown
    }

    fn move_on(
        &mut self,
        smoothed: Smoothed,
        now: Timestamp,
        limits: &Limits,
        may_show: bool,
    ) -> Option<Moved> {
        let cell = area::cell(smoothed.place, limits)?;
        let is_new = self.area.as_ref() != Some(&cell);
        if !may_show || !self.area_show.is_due(millis(now), &smoothed, is_new, limits) {
            return None;
        }
        self.area_show.shown(millis(now), smoothed.place);
        let left = if is_new { self.area.replace(cell.clone()) } else { None };
        Some(Moved { left, now: cell })
    }
}

#[cfg(test)]
mod tests;
