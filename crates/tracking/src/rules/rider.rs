//! Everything that is remembered of one rider. (Draft of the signatures.)

use platepal_events::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    area::Moved, delivery::{DeliveryStatus, Phase}, eta::Eta, fence::{Crossing, Fences}, fix::{Answer, Fix},
    limits::Limits, liveness::Liveness, place::Place, road::Ahead, trail::TrailPoint,
};

/// One rider in memory: at most 4 KB with two deliveries. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rider { /* private */ }

/// A delivery on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ongoing {
    pub(crate) delivery_id: String,
    pub(crate) order_id: String,
    pub(crate) rider_id: String,
    pub(crate) customer_id: String,
    pub(crate) restaurant_id: String,
    pub(crate) status: DeliveryStatus,
    pub(crate) pickup: Place,
    pub(crate) dropoff: Place,
    pub(crate) version: u64,
    // + private: fences, eta, show. Make one with Ongoing::new(…) or from the store with serde.
}

impl Ongoing {
    /// Before anything of it was seen.
    pub(crate) fn new(
        delivery_id: String, order_id: String, rider_id: String, customer_id: String, restaurant_id: String,
        status: DeliveryStatus, pickup: Place, dropoff: Place, version: u64,
    ) -> Self;
    pub(crate) fn arrived_at_pickup(&self) -> Option<Timestamp>;
    pub(crate) fn arrived_at_dropoff(&self) -> Option<Timestamp>;
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
    pub(crate) at: Timestamp,
}

/// A position that those of one delivery are told now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    pub(crate) delivery_id: String,
    pub(crate) order_id: String,
    pub(crate) customer_id: String,
    pub(crate) restaurant_id: String,
    pub(crate) rider_id: String,
    pub(crate) smoothed: Smoothed,
    pub(crate) age_seconds: i64,
    pub(crate) liveness: Liveness,
    pub(crate) phase: Phase,
    pub(crate) eta: Option<Eta>,
    /// The way ahead, encoded polyline of precision 5; empty without a map.
    pub(crate) line: String,
}

/// What a fix did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Taken {
    pub(crate) answer: Answer,
    /// Where the rider probably is, if the fix changed it.
    pub(crate) smoothed: Option<Smoothed>,
    /// Has to be stored in the trail. Not always the place of this fix: simplifying looks back.
    pub(crate) point: Option<TrailPoint>,
    pub(crate) crossings: Vec<Crossing>,
    pub(crate) shown: Vec<Shown>,
    /// The rider's cell has to be told (at most one a second), and the one that was left.
    pub(crate) area: Option<Moved>,
}

impl Rider {
    pub(crate) fn new(rider_id: &str) -> Self;
    pub(crate) fn rider_id(&self) -> &str;
    /// Begins a shift at a moment, and where, if that is known: else the first fix says. A running one goes on.
    pub(crate) fn start_shift(&mut self, at: Timestamp, place: Option<Place>);
    /// Ends it: nothing is shown any more. Returns the trail's last point to store, if there is one; fixes recorded
    /// before the end may still come. Afterwards: `trail::without_ends(points, &rider.shift_ends(), limits)`.
    pub(crate) fn end_shift(&mut self, at: Timestamp, limits: &Limits) -> Option<TrailPoint>;
    /// Where the shift started and, after its end, ended.
    pub(crate) fn shift_ends(&self) -> Vec<Place>;
    /// When the running shift started.
    pub(crate) fn on_shift_since(&self) -> Option<Timestamp>;
    /// Begins to show a delivery, or changes it: what was seen of it so far is kept. One that has ended is taken out.
    pub(crate) fn put_delivery(&mut self, delivery: Ongoing);
    /// Nothing of it is shown from now on. Returns the trail's point that ends it, to store.
    pub(crate) fn end_delivery(&mut self, delivery_id: &str, limits: &Limits) -> Option<TrailPoint>;
    pub(crate) fn deliveries(&self) -> &[Ongoing];
    /// The delivery to which the trail belongs now: that whose order the rider has, else the one accepted first.
    pub(crate) fn trail_of(&self) -> Option<&str>;
    /// The newest position, and how old it is.
    pub(crate) fn smoothed(&self) -> Option<Smoothed>;
    pub(crate) fn liveness(&self, now: Timestamp, limits: &Limits) -> Liveness;
    /// The cell whose channel has the rider now.
    pub(crate) fn area(&self) -> Option<&str>;
    /// Takes one fix.
    pub(crate) fn take(&mut self, fix: &Fix, now: Timestamp, limits: &Limits, roads: &dyn Ahead) -> Taken;
    /// Takes many, in the order in which they were recorded; shows the newest only. Answers in the order given.
    pub(crate) fn take_all(&mut self, fixes: &[Fix], now: Timestamp, limits: &Limits, roads: &dyn Ahead) -> Vec<Taken>;
    /// What is due without a fix: a position that was held back for a second, and liveness that turned. Call it about
    /// once a second.
    pub(crate) fn tick(&mut self, now: Timestamp, limits: &Limits) -> Vec<Shown>;
}
