//! The rules on a recorded way: what `platepal-realtime replay-trace` runs. One rider, always on shift, each fix at the
//! moment at which it was recorded. [`shift`] has deliveries, a map and moments of their own.

pub mod shift;

use platepal_events::Timestamp;

use crate::rules::{
    delivery::DeliveryStatus,
    fence::{Doing, Zone},
    limits::Limits,
    place::Place,
    plane::Plane,
    rider::{Ongoing, Rider},
    road::{Ahead, NoRoads},
};

pub use crate::rules::fix::{Answer, Fix, Reason};

/// What is followed beside the rider, if a place was named.
const DELIVERY: &str = "replay";
/// Where a plane of no known place is laid.
const CENTRE: Place = Place { latitude: 60.17, longitude: 24.94 };

/// A recorded way on its way through the rules.
///
/// ```
/// use platepal_tracking::replay::{Answer, Fix, Replay};
///
/// let fix = Fix {
///     latitude: 60.17,
///     longitude: 24.94,
///     accuracy: 5.0,
///     heading: None,
///     speed: None,
///     battery_level: None,
///     recorded_at: "2026-11-24T11:30:00Z".parse().expect("a moment"),
/// };
/// let mut replay = Replay::new(None, Some((60.171, 24.941)));
/// assert_eq!(replay.take(&fix).answer, Answer::Shown);
/// assert_eq!(replay.take(&fix).answer, Answer::Duplicate);
/// ```
pub struct Replay {
    rider: Option<Rider>,
    limits: Limits,
    roads: Box<dyn Ahead>,
    /// Where the order is fetched and brought to: degrees north and east.
    pickup: Option<Place>,
    dropoff: Option<Place>,
    newest: Option<Timestamp>,
}

/// What became of a fix.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Whether it was shown, and why not.
    pub answer: Answer,
    /// Where the rider probably is, if the fix changed it.
    pub position: Option<Position>,
    /// Seconds since the newest position was recorded.
    pub age_seconds: i64,
    /// `pickup_approaching`, `dropoff_arrived` and so on.
    pub crossings: Vec<String>,
    /// What a customer sees, e.g. `TO_CUSTOMER`, when something was shown.
    pub phase: Option<&'static str>,
    /// Whole minutes, when something was shown.
    pub eta_minutes: Option<u32>,
}

/// A smoothed position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Metres, 68 %.
    pub accuracy: f64,
    /// Metres per second.
    pub speed: f64,
    /// Degrees clockwise from north.
    pub heading: Option<f64>,
    /// Faster than 0.5 m/s.
    pub moving: bool,
}

impl Position {
    /// Metres to another.
    pub fn metres_to(&self, other: &Self) -> f64 {
        let place = |position: &Self| Place { latitude: position.latitude, longitude: position.longitude };
        place(self).metres_to(place(other))
    }
}

impl Replay {
    /// Without a map. A place to fetch an order and a place to bring it to, in degrees north and east, make a delivery.
    pub fn new(pickup: Option<(f64, f64)>, dropoff: Option<(f64, f64)>) -> Self {
        let place = |(latitude, longitude)| Place { latitude, longitude };
        Self {
            rider: None,
            limits: Limits::default(),
            roads: Box::new(NoRoads),
            pickup: pickup.map(place),
            dropoff: dropoff.map(place),
            newest: None,
        }
    }

    /// Takes the next fix.
    pub fn take(&mut self, fix: &Fix) -> Step {
        let now = self.newest.map_or(fix.recorded_at, |newest| newest.max(fix.recorded_at));
        self.newest = Some(now);
        let begin = || {
            let mut rider = Rider::new(DELIVERY);
            rider.start_shift(fix.recorded_at, None);
            if let Some(delivery) = delivery(self.pickup, self.dropoff, None) {
                rider.put_delivery(delivery);
            }
            rider
        };
        let rider = self.rider.get_or_insert_with(begin);
        let taken = rider.take(fix, now, &self.limits, &*self.roads);
        for crossing in &taken.crossings {
            // Nobody says that the order was handed over: leaving the restaurant says it.
            let status = match (crossing.zone, crossing.what) {
                (Zone::Pickup, Doing::Arrived) => DeliveryStatus::ArrivedAtPickup,
                (Zone::Pickup, Doing::Left) => DeliveryStatus::InTransit,
                _ => continue,
            };
            if let Some(delivery) = delivery(self.pickup, self.dropoff, Some(status)) {
                rider.put_delivery(delivery);
            }
        }
        let shown = taken.shown.first();
        Step {
            answer: taken.answer,
            position: taken.smoothed.map(|smoothed| Position {
                latitude: smoothed.place.latitude,
                longitude: smoothed.place.longitude,
                accuracy: smoothed.accuracy,
                speed: smoothed.speed,
                heading: smoothed.heading,
                moving: smoothed.moving,
            }),
            age_seconds: rider.smoothed().map_or(0, |smoothed| now.millis_since(smoothed.at) / 1_000),
            crossings: taken.crossings.iter().map(|crossing| word(crossing.zone, crossing.what)).collect(),
            phase: shown.map(|shown| shown.phase.word()),
            eta_minutes: shown.and_then(|shown| shown.eta).map(|eta| eta.minutes),
        }
    }
}

fn delivery(
    pickup: Option<Place>,
    dropoff: Option<Place>,
    status: Option<DeliveryStatus>,
) -> Option<Ongoing> {
    let first = if pickup.is_some() { DeliveryStatus::Accepted } else { DeliveryStatus::InTransit };
    let (from, to) = (pickup.or(dropoff)?, dropoff.or(pickup)?);
    let [id, order, rider, customer, restaurant] = [DELIVERY; 5].map(str::to_owned);
    Some(Ongoing::new(id, order, rider, customer, restaurant, status.unwrap_or(first), from, to, 1))
}

fn word(zone: Zone, what: Doing) -> String {
    let zone = match zone {
        Zone::Pickup => "pickup",
        Zone::Dropoff => "dropoff",
    };
    let what = match what {
        Doing::Approaching => "approaching",
        Doing::Arrived => "arrived",
        Doing::Left => "left",
    };
    format!("{zone}_{what}")
}

/// Where metres east and north of a plane of no known place are laid: around 60.17 N 24.94 E. Degrees north and east.
pub fn laid(east: f64, north: f64) -> (f64, f64) {
    let place = Plane::at(CENTRE).place((east, north));
    (place.latitude, place.longitude)
}
