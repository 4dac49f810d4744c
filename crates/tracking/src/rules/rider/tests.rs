//! A rider's day, as sentences; what must hold of any day; and days that were ridden.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod days;
mod real;
mod story;

use super::*;
use crate::rules::{
    delivery::{DeliveryStatus, Phase},
    eta::Eta,
    fence::{Doing, Zone},
    fix::tests::{at, fix},
    road::NoRoads,
};

const HOME: Place = Place { latitude: 60.17, longitude: 24.94 };

fn pickup() -> Place {
    HOME.ahead(90.0, 1_000.0)
}

fn dropoff() -> Place {
    HOME.ahead(90.0, 3_000.0)
}

fn delivery(id: &str, status: DeliveryStatus) -> Ongoing {
    let id = id.to_owned();
    let [order, rider, customer, restaurant] = ["5012", "31", "7", "12"].map(str::to_owned);
    Ongoing::new(id, order, rider, customer, restaurant, status, pickup(), dropoff(), 1)
}

fn on_shift() -> Rider {
    let mut rider = Rider::new("31");
    rider.start_shift(at(0.0), None);
    rider
}

/// What is taken live: a second after it was recorded.
fn take(rider: &mut Rider, fix: &Fix) -> Taken {
    rider.take(fix, fix.recorded_at.plus_millis(1_000), &Limits::default(), &NoRoads)
}
