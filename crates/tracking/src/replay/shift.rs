//! A whole shift through the rules, with deliveries, a map, late fixes and passing time: for tests and measurements.
//!
//! These are the very functions and limits that a fix meets in service. What the service adds (who asks, keeping,
//! telling) is not here, and the moments are the caller's.

use platepal_events::Timestamp;

use super::{Answer, Fix};
use crate::rules::{
    delivery::DeliveryStatus,
    fence::{Doing, Zone},
    limits::Limits,
    rider::{Ongoing, Rider, Shown, Smoothed},
    trail::{self, TrailPoint},
};
pub use crate::rules::{
    place::Place,
    road::{Ahead, NoRoads, Road},
    street::Near,
};

/// A rider who is followed.
#[derive(Debug)]
pub struct Shift {
    rider: Rider,
    limits: Limits,
}

/// What happens to a rider.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A fix comes.
    Fix(Fix),
    /// A delivery begins or gets on.
    Delivery(Delivery),
    /// Time passes: to be given once a second.
    Tick,
}

/// A delivery of the rider.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its name.
    pub delivery_id: String,
    /// How far it is.
    pub stage: Stage,
    /// Where the order is.
    pub pickup: Place,
    /// Where the order goes.
    pub dropoff: Place,
}

/// How far a delivery is, as the rider's app says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The rider has accepted it.
    Accepted,
    /// The rider has the order.
    InTransit,
    /// It is handed over.
    Delivered,
}

/// What follows from an input.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// What became of the fix.
    pub answer: Option<Answer>,
    /// Where the rider probably is, if the fix changed it.
    pub position: Option<Position>,
    /// Where that is shown: on the street, if one is likely.
    pub seen_at: Option<Place>,
    /// Arrivals, with the delivery and when the rider was first there.
    pub arrivals: Vec<(String, End, Timestamp)>,
    /// What those of a delivery are told.
    pub told: Vec<Told>,
    /// A point for the trail. Not always the place of this fix: simplifying looks back.
    pub kept: Option<(Place, Timestamp)>,
}

/// Where a rider probably is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Where.
    pub place: Place,
    /// Metres per second.
    pub speed: f64,
    /// Metres in which it is with 68 %.
    pub accuracy: f64,
    /// Of the fix.
    pub at: Timestamp,
}

/// Which end of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The restaurant.
    Pickup,
    /// The customer.
    Dropoff,
}

/// What those of one delivery are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The delivery.
    pub delivery_id: String,
    /// Where the rider is said to be.
    pub place: Place,
    /// How old that is.
    pub age_seconds: i64,
    /// `live`, `stale`, `offline` or `unknown`.
    pub liveness: &'static str,
    /// `TO_PICKUP`, `AT_PICKUP`, `TO_CUSTOMER`, `ARRIVING` or `ARRIVED`.
    pub phase: &'static str,
    /// Whole minutes until it is handed over, and their range.
    pub eta_minutes: Option<(u32, u32, u32)>,
}

impl Shift {
    /// A rider whose shift begins at a moment, somewhere: with a place, nothing near it is kept for trails.
    pub fn begin(at: Timestamp, somewhere: Place) -> Self {
        let mut rider = Rider::new("a rider");
        rider.start_shift(at, Some(somewhere));
        Self { rider, limits: Limits::default() }
    }

    /// What follows from an input at a moment.
    pub fn step(&mut self, input: &Input, now: Timestamp, roads: &dyn Ahead) -> Step {
        match input {
            Input::Fix(fix) => {
                let taken = self.rider.take(fix, now, &self.limits, roads);
                let mut arrivals = Vec::new();
                for crossing in taken.crossings.iter().filter(|crossing| crossing.what == Doing::Arrived) {
                    self.arrive(&crossing.delivery_id, crossing.zone);
                    let end = match crossing.zone {
                        Zone::Pickup => End::Pickup,
                        Zone::Dropoff => End::Dropoff,
                    };
                    arrivals.push((crossing.delivery_id.clone(), end, crossing.at));
                }
                Step {
                    answer: Some(taken.answer),
                    position: taken.smoothed.as_ref().map(Position::from),
                    seen_at: taken.seen_at,
                    arrivals,
                    told: taken.shown.into_iter().map(Told::from).collect(),
                    kept: taken.point.map(|point| (point.place, point.at)),
                }
            }
            Input::Delivery(delivery) => {
                let kept = self.deliver(delivery).map(|point| (point.place, point.at));
                Step { kept, ..Step::default() }
            }
            Input::Tick => {
                let told = self.rider.tick(now, &self.limits);
                Step { told: told.into_iter().map(Told::from).collect(), ..Step::default() }
            }
        }
    }

    /// Ends the shift; returns the trail's last point.
    pub fn end(&mut self, at: Timestamp) -> Option<(Place, Timestamp)> {
        self.rider.end_shift(at, &self.limits).map(|point| (point.place, point.at))
    }

    /// The arrival at the pickup moves an accepted delivery on, as the service does.
    fn arrive(&mut self, delivery_id: &str, zone: Zone) {
        let held = self.rider.deliveries().iter().find(|held| held.delivery_id == delivery_id).cloned();
        if let Some(mut held) = held
            && let Some(status) = held.status.on_arrival(zone)
        {
            held.status = status;
            self.rider.put_delivery(held);
        }
    }

    fn deliver(&mut self, delivery: &Delivery) -> Option<TrailPoint> {
        let status = match delivery.stage {
            Stage::Accepted => DeliveryStatus::Accepted,
            Stage::InTransit => DeliveryStatus::InTransit,
            Stage::Delivered => return self.rider.end_delivery(&delivery.delivery_id, &self.limits),
        };
        let id = |what: &str| format!("{what} of {}", delivery.delivery_id);
        self.rider.put_delivery(Ongoing::new(
            delivery.delivery_id.clone(),
            id("order"),
            self.rider.rider_id().to_owned(),
            id("customer"),
            id("restaurant"),
            status,
            delivery.pickup,
            delivery.dropoff,
            1,
        ));
        None
    }
}

impl From<&Smoothed> for Position {
    fn from(smoothed: &Smoothed) -> Self {
        let Smoothed { place, speed, accuracy, at, .. } = *smoothed;
        Self { place, speed, accuracy, at }
    }
}

impl From<Shown> for Told {
    fn from(shown: Shown) -> Self {
        Self {
            delivery_id: shown.delivery_id,
            place: shown.smoothed.place,
            age_seconds: shown.age_seconds,
            liveness: shown.liveness.word(),
            phase: shown.phase.word(),
            eta_minutes: shown.eta.map(|eta| (eta.minutes, eta.from, eta.to)),
        }
    }
}

/// A way as the polyline of which trails are told (Google's, precision 5).
pub fn polyline(places: impl IntoIterator<Item = Place>) -> String {
    trail::polyline(places)
}
