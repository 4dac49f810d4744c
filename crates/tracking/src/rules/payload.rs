//! A position in words: the payload of `rider_location`.
//!
//! The contract's keys come first, as it has them; then ours: `phase`, `eta_range`, `age_seconds`, `liveness`, `moving`,
//! `route`. Ids that are whole numbers are written as numbers, as Django writes its own. A position that is not live
//! says how old it is. Degrees have six decimals (0.1 m), everything else one.

use platepal_events::{Timestamp, WireId as Id};
use serde::Serialize;

use super::{
    liveness::Liveness,
    rider::{Shown, Smoothed},
};

#[derive(Serialize)]
struct Location {
    latitude: f64,
    longitude: f64,
    heading: Option<f64>,
    speed: f64,
    accuracy: f64,
}

#[derive(Serialize)]
struct Range {
    from: u32,
    to: u32,
}

#[derive(Serialize)]
struct Position<'a> {
    delivery_id: Id<'a>,
    order_id: Id<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rider_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
    eta_minutes: Option<u32>,
    timestamp: String,
    phase: &'static str,
    eta_range: Option<Range>,
    age_seconds: i64,
    liveness: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    moving: Option<bool>,
    /// The way ahead, encoded polyline of precision 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
}

#[derive(Serialize)]
struct AreaPosition<'a> {
    rider_id: Id<'a>,
    location: Location,
    liveness: &'static str,
    age_seconds: i64,
    moving: bool,
    delivery_ids: Vec<Id<'a>>,
    timestamp: String,
}

#[derive(Serialize)]
struct Gone<'a> {
    rider_id: Id<'a>,
    timestamp: String,
}

impl From<&Smoothed> for Location {
    fn from(smoothed: &Smoothed) -> Self {
        Self {
            latitude: round(smoothed.place.latitude, 1e6),
            longitude: round(smoothed.place.longitude, 1e6),
            heading: smoothed.heading.map(|degrees| round(degrees, 10.0) % 360.0),
            speed: round(smoothed.speed, 10.0),
            accuracy: round(smoothed.accuracy, 10.0),
        }
    }
}

fn round(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

fn position(shown: &Shown) -> Position<'_> {
    Position {
        delivery_id: Id(&shown.delivery_id),
        order_id: Id(&shown.order_id),
        rider_id: Some(Id(&shown.rider_id)),
        location: Some(Location::from(&shown.smoothed)),
        eta_minutes: shown.eta.map(|eta| eta.minutes),
        timestamp: shown.smoothed.at.to_string(),
        phase: shown.phase.word(),
        eta_range: shown.eta.map(|eta| Range { from: eta.from, to: eta.to }),
        age_seconds: shown.age_seconds,
        liveness: shown.liveness.word(),
        moving: Some(shown.smoothed.moving),
        route: (!shown.line.is_empty()).then_some(&shown.line),
    }
}

/// For a customer, and for the `track:` channel.
pub(crate) fn for_customer(shown: &Shown) -> String {
    text(&position(shown))
}

/// For a restaurant: when, and not where. Without `location`, `rider_id`, `moving` and `route`.
pub(crate) fn for_restaurant(shown: &Shown) -> String {
    text(&Position { rider_id: None, location: None, moving: None, route: None, ..position(shown) })
}

/// For an `area:` channel.
pub(crate) fn for_area(
    rider_id: &str,
    smoothed: &Smoothed,
    age_seconds: i64,
    liveness: Liveness,
    delivery_ids: &[impl AsRef<str>],
) -> String {
    text(&AreaPosition {
        rider_id: Id(rider_id),
        location: Location::from(smoothed),
        liveness: liveness.word(),
        age_seconds,
        moving: smoothed.moving,
        delivery_ids: delivery_ids.iter().map(|id| Id(id.as_ref())).collect(),
        timestamp: smoothed.at.to_string(),
    })
}

/// `rider_left`, for the `area:` channel of a cell in which a rider no longer is.
pub(crate) fn left_area(rider_id: &str, at: Timestamp) -> String {
    text(&Gone { rider_id: Id(rider_id), timestamp: at.to_string() })
}

fn text(payload: &impl Serialize) -> String {
    // Nothing here can fail: no map has keys that are no text, and what is not a number is written as null.
    serde_json::to_string(payload).unwrap_or_else(|_| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{delivery::Phase, eta::Eta, fix::tests::at, place::Place};

    fn shown() -> Shown {
        Shown {
            delivery_id: "88".to_owned(),
            order_id: "5012".to_owned(),
            customer_id: "7".to_owned(),
            restaurant_id: "12".to_owned(),
            rider_id: "r-31".to_owned(),
            smoothed: Smoothed {
                place: Place { latitude: 60.170_000_04, longitude: 24.94 },
                speed: 6.25,
                heading: Some(359.97),
                accuracy: 4.04,
                moving: true,
                at: at(0.0),
            },
            age_seconds: 2,
            liveness: Liveness::Live,
            phase: Phase::ToCustomer,
            eta: Some(Eta { minutes: 9, from: 7, to: 11 }),
            is_news: true,
            line: "abc".to_owned(),
        }
    }

    #[test]
    fn a_customer_sees_what_the_contract_has_and_then_ours() {
        insta::assert_snapshot!(for_customer(&shown()), @r#"{"delivery_id":88,"order_id":5012,"rider_id":"r-31","location":{"latitude":60.17,"longitude":24.94,"heading":0.0,"speed":6.3,"accuracy":4.0},"eta_minutes":9,"timestamp":"2026-11-24T11:30:00.000000+00:00","phase":"TO_CUSTOMER","eta_range":{"from":7,"to":11},"age_seconds":2,"liveness":"live","moving":true,"route":"abc"}"#);
    }

    #[test]
    fn a_restaurant_sees_when_and_not_where() {
        insta::assert_snapshot!(for_restaurant(&shown()), @r#"{"delivery_id":88,"order_id":5012,"eta_minutes":9,"timestamp":"2026-11-24T11:30:00.000000+00:00","phase":"TO_CUSTOMER","eta_range":{"from":7,"to":11},"age_seconds":2,"liveness":"live"}"#);
    }

    #[test]
    fn an_area_sees_the_rider_and_what_is_carried() {
        insta::assert_snapshot!(for_area("31", &shown().smoothed, 2, Liveness::Live, &["88", "d-89"]), @r#"{"rider_id":31,"location":{"latitude":60.17,"longitude":24.94,"heading":0.0,"speed":6.3,"accuracy":4.0},"liveness":"live","age_seconds":2,"moving":true,"delivery_ids":[88,"d-89"],"timestamp":"2026-11-24T11:30:00.000000+00:00"}"#);
        insta::assert_snapshot!(left_area("31", at(0.0)), @r#"{"rider_id":31,"timestamp":"2026-11-24T11:30:00.000000+00:00"}"#);
    }

    #[test]
    fn what_is_not_known_is_null_and_not_missing() {
        let unknown = Shown { eta: None, line: String::new(), ..shown() };
        assert!(for_customer(&unknown).contains(r#""eta_minutes":null"#));
    }
}
