//! A delivery as it is kept: what Django says of it ([`Delivery::apply`]), and what the riders' fixes add
//! ([`Delivery::arrive`]).

use platepal_events::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    delivery::{self, Change, DeliveryStatus, Held, Outcome},
    envelope,
    fence::Zone,
    place::Place,
};

/// A delivery; Django's own object is kept beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) delivery_id: String,
    /// Empty until it is known, as the other ids.
    pub(crate) order_id: String,
    pub(crate) customer_id: String,
    pub(crate) restaurant_id: String,
    /// Empty: nobody brings it.
    pub(crate) rider_id: String,
    pub(crate) pickup: Option<Place>,
    pub(crate) dropoff: Option<Place>,
    held: Held,
    /// Django's newest change came without a version.
    by_moment: bool,
    /// When it became what it is, in microseconds since 1970.
    since: i64,
    /// When its rider was seen to arrive.
    pub(crate) arrived_at_pickup: Option<i64>,
    pub(crate) arrived_at_dropoff: Option<i64>,
    /// An arrival has changed the status; none does again for this rider.
    moved_by_arrival: bool,
    /// The offer by which a rider took it, until a rider gives it back.
    pub(crate) taken_by: Option<String>,
    /// Nobody took it, and admin was told.
    pub(crate) escalated: bool,
}

/// What Django says of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Update {
    pub(crate) delivery_id: String,
    pub(crate) change: Change,
    /// Empty: as it is known; of the rider, see [`Update::rider_after`].
    pub(crate) order_id: String,
    pub(crate) customer_id: String,
    pub(crate) restaurant_id: String,
    pub(crate) rider_id: String,
    pub(crate) pickup: Option<Place>,
    pub(crate) dropoff: Option<Place>,
    /// The delivery as JSON, as it came; empty: none.
    pub(crate) payload: String,
}

impl Update {
    /// One that changes nothing but the status.
    pub(crate) fn of_status(delivery_id: String, status: DeliveryStatus, at: Timestamp) -> Self {
        Self {
            delivery_id,
            change: Change { status, version: 0, at, digest: String::new() },
            order_id: String::new(),
            customer_id: String::new(),
            restaurant_id: String::new(),
            rider_id: String::new(),
            pickup: None,
            dropoff: None,
            payload: String::new(),
        }
    }

    /// Who brings it now: nobody, once it was rejected; else whom the update names; nobody, if it is to be given to
    /// somebody; else who did before.
    fn rider_after<'a>(&'a self, before: &'a str) -> &'a str {
        match self.change.status {
            DeliveryStatus::Rejected => "",
            _ if !self.rider_id.is_empty() => &self.rider_id,
            DeliveryStatus::Pending => "",
            _ => before,
        }
    }
}

impl Delivery {
    /// The delivery after an update, and what the update was to it.
    pub(crate) fn apply(held: Option<Self>, update: &Update) -> (Self, Outcome) {
        let change = &update.change;
        let Some(mut delivery) = held else {
            let (held, outcome) = delivery::apply(None, change);
            let delivery = Self {
                delivery_id: update.delivery_id.clone(),
                order_id: update.order_id.clone(),
                customer_id: update.customer_id.clone(),
                restaurant_id: update.restaurant_id.clone(),
                rider_id: update.rider_after("").to_owned(),
                pickup: update.pickup,
                dropoff: update.dropoff,
                held,
                by_moment: change.version == 0,
                since: change.at.micros(),
                arrived_at_pickup: None,
                arrived_at_dropoff: None,
                moved_by_arrival: false,
                taken_by: None,
                escalated: false,
            };
            return (delivery, outcome);
        };
        let (held, outcome) = delivery::apply(Some(delivery.held.clone()), change);
        // An end that came without a version is not undone by a version that is late.
        let is_late = delivery.by_moment && change.at.micros() < delivery.held.changed_at;
        match outcome {
            Outcome::New { .. } if is_late => return (delivery, Outcome::Superseded),
            Outcome::New { .. } => {}
            Outcome::Superseded | Outcome::Duplicate | Outcome::Conflict => return (delivery, outcome),
        }
        let rider = update.rider_after(&delivery.rider_id).to_owned();
        if change.status == DeliveryStatus::Rejected || (rider.is_empty() && !delivery.rider_id.is_empty()) {
            delivery.taken_by = None;
        }
        if rider != delivery.rider_id {
            // Whoever brings it now has not arrived anywhere.
            delivery.arrived_at_pickup = None;
            delivery.arrived_at_dropoff = None;
            delivery.moved_by_arrival = false;
        }
        delivery.rider_id = rider;
        let learn = |known: &mut String, id: &String| {
            if !id.is_empty() {
                known.clone_from(id);
            }
        };
        learn(&mut delivery.order_id, &update.order_id);
        learn(&mut delivery.customer_id, &update.customer_id);
        learn(&mut delivery.restaurant_id, &update.restaurant_id);
        delivery.pickup = update.pickup.or(delivery.pickup);
        delivery.dropoff = update.dropoff.or(delivery.dropoff);
        delivery.held = held;
        delivery.by_moment = change.version == 0;
        delivery.since = change.at.micros();
        (delivery, outcome)
    }

    /// Its rider was seen to arrive. The status before, if that changes it; it does once for each rider. What
    /// Django says next counts, whatever it says.
    pub(crate) fn arrive(&mut self, zone: Zone, at: Timestamp) -> Option<DeliveryStatus> {
        let seen = match zone {
            Zone::Pickup => &mut self.arrived_at_pickup,
            Zone::Dropoff => &mut self.arrived_at_dropoff,
        };
        seen.get_or_insert(at.micros());
        let next = self.held.status.on_arrival(zone).filter(|_| !self.moved_by_arrival)?;
        self.moved_by_arrival = true;
        self.held.version = self.held.version.saturating_add(1);
        // Not the moment of Django's change: a device's clock may be ahead of Django's.
        self.since = at.micros();
        Some(std::mem::replace(&mut self.held.status, next))
    }

    pub(crate) fn status(&self) -> DeliveryStatus {
        self.held.status
    }

    /// Grows with everything that is told of its status.
    pub(crate) fn version(&self) -> u64 {
        self.held.version
    }

    /// When it became what it is.
    pub(crate) fn occurred_at(&self) -> Timestamp {
        Timestamp::from_micros(self.since)
    }

    /// Whether its participants may see anything of it on its own channel.
    pub(crate) fn lasts(&self) -> bool {
        !self.held.status.is_end()
    }

    /// Why it can't be offered to anybody; `None`: it can.
    pub(crate) fn taken(&self) -> Option<&'static str> {
        match self.held.status {
            status if status.is_final() => Some("it has ended"),
            _ if !self.rider_id.is_empty() => Some("it has a rider"),
            _ if self.taken_by.is_some() => Some("a rider has accepted it"),
            _ => None,
        }
    }

    /// What is told of it: Django's own object first, if there is one.
    pub(crate) fn payload(&self, django: &str, previous: Option<DeliveryStatus>) -> String {
        let more = [
            ("delivery_id", envelope::id(&self.delivery_id)),
            ("order_id", envelope::id(&self.order_id)),
            ("status", json!(self.held.status.word())),
            ("previous_status", json!(previous.map(DeliveryStatus::word))),
            ("rider_id", envelope::id(&self.rider_id)),
            ("occurred_at", json!(self.occurred_at().to_string())),
        ];
        envelope::with(django, &more)
    }

    /// What the rider is told from whom it was taken: not who has it now.
    pub(crate) fn payload_for_former_rider(&self, previous: Option<DeliveryStatus>) -> String {
        let first = envelope::with("", &[("rider_id", Value::Null), ("reassigned", json!(true))]);
        self.payload(&first, previous)
    }
}

/// Equal for equal content, however its JSON is spaced and ordered.
pub(crate) fn digest(
    status: DeliveryStatus,
    payload: &str,
    ids: &[&str],
    places: [Option<Place>; 2],
) -> String {
    let canonical =
        serde_json::from_str::<Value>(payload).map_or_else(|_| payload.to_owned(), |value| value.to_string());
    let content = format!("{}\u{1f}{}\u{1f}{places:?}\u{1f}{canonical}", status.word(), ids.join("\u{1f}"));
    Uuid::new_v5(&Uuid::NAMESPACE_OID, content.as_bytes()).to_string()
}

/// The largest version: what the databases can hold, and far from overflow.
pub(crate) const VERSION_MAX: u64 = i64::MAX as u64 / 2;

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// An update without places; `rider` may be empty.
    pub(crate) fn update(status: DeliveryStatus, version: u64, at: i64, rider: &str) -> Update {
        let payload = format!("{{\"n\":{at}}}");
        let digest = digest(status, &payload, &[rider], [None, None]);
        Update {
            change: Change { status, version, at: Timestamp::from_micros(at), digest },
            order_id: "5012".into(),
            customer_id: "7".into(),
            restaurant_id: "12".into(),
            rider_id: rider.into(),
            payload,
            ..Update::of_status("9".into(), status, Timestamp::from_micros(at))
        }
    }

    fn all(updates: &[Update]) -> Delivery {
        let held = updates.iter().fold(None, |held, update| Some(Delivery::apply(held, update).0));
        held.unwrap()
    }

    #[test]
    fn a_late_version_does_not_open_again_what_was_ended_without_one() {
        use DeliveryStatus::{Accepted, Delivered, Failed, PickedUp};
        let held = all(&[update(Accepted, 1, 10, "31"), update(Delivered, 0, 50, "")]);
        let (after, outcome) = Delivery::apply(Some(held.clone()), &update(PickedUp, 2, 40, "31"));
        assert_eq!((after.status(), outcome), (Delivered, Outcome::Superseded));
        assert!(matches!(Delivery::apply(Some(held), &update(Failed, 2, 60, "31")).1, Outcome::New { .. }));
    }

    #[test]
    fn an_accepted_delivery_arrives_once_for_each_rider_and_django_wins() {
        use DeliveryStatus::{Accepted, ArrivedAtPickup};
        let at = Timestamp::from_micros;
        let mut held = all(&[update(Accepted, 1, 10, "31")]);
        assert_eq!(held.arrive(Zone::Pickup, at(20)), Some(Accepted));
        assert_eq!((held.status(), held.version(), held.occurred_at()), (ArrivedAtPickup, 2, at(20)));
        assert_eq!(held.arrive(Zone::Pickup, at(21)), None);
        // Django has not heard of it, and says accepted again: so it is, and stays.
        let (mut held, outcome) = Delivery::apply(Some(held), &update(Accepted, 2, 15, "31"));
        assert!(matches!(outcome, Outcome::New { .. }));
        assert_eq!((held.status(), held.version()), (Accepted, 3));
        assert_eq!(held.arrive(Zone::Pickup, at(22)), None);
        assert_eq!(held.arrived_at_pickup, Some(20));
        // Another rider arrives for himself.
        let (mut held, _) = Delivery::apply(Some(held), &update(Accepted, 3, 30, "32"));
        assert_eq!((held.arrived_at_pickup, held.arrive(Zone::Pickup, at(40))), (None, Some(Accepted)));
    }

    #[test]
    fn a_rider_who_came_before_accepting_is_seen_and_changes_nothing_until_then() {
        let at = Timestamp::from_micros;
        let mut held = all(&[update(DeliveryStatus::Assigned, 1, 10, "31")]);
        assert_eq!(held.arrive(Zone::Pickup, at(20)), None);
        let (mut held, _) = Delivery::apply(Some(held), &update(DeliveryStatus::Accepted, 2, 30, "31"));
        assert_eq!(held.arrive(Zone::Pickup, at(31)), Some(DeliveryStatus::Accepted));
        assert_eq!(held.arrived_at_pickup, Some(20));
        assert_eq!(held.arrive(Zone::Dropoff, at(40)), None);
        assert_eq!(held.arrived_at_dropoff, Some(40));
    }

    #[test]
    fn a_rider_stays_until_another_is_named_or_nobody_is_to_bring_it() {
        use DeliveryStatus::{Accepted, Assigned, Pending, Rejected};
        let held = all(&[update(Assigned, 1, 10, "31"), update(Accepted, 2, 20, "")]);
        assert_eq!(held.rider_id, "31");
        assert_eq!(Delivery::apply(Some(held.clone()), &update(Assigned, 3, 30, "32")).0.rider_id, "32");
        for status in [Pending, Rejected] {
            let taken = Delivery { taken_by: Some("o1".into()), ..held.clone() };
            let (after, _) = Delivery::apply(Some(taken), &update(status, 3, 30, ""));
            assert_eq!((after.rider_id.as_str(), after.taken_by.clone()), ("", None));
            assert_eq!(after.taken(), None);
        }
        assert_eq!(held.taken(), Some("it has a rider"));
    }

    #[test]
    fn djangos_object_stays_as_it_came_and_a_former_rider_learns_no_name() {
        let held = all(&[update(DeliveryStatus::Assigned, 1, 10, "32")]);
        let told = held.payload(r#"{"id": 9,  "status":"assigned"}"#, None);
        assert!(told.starts_with(r#"{"id": 9,  "status":"assigned","#), "{told}");
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&told["delivery_id"], &told["rider_id"]), (&json!(9), &json!(32)));
        let former: Value = serde_json::from_str(&held.payload_for_former_rider(None)).unwrap();
        assert_eq!((&former["rider_id"], &former["status"]), (&Value::Null, &json!("ASSIGNED")));
    }

    proptest! {
        #[test]
        fn any_order_of_versions_gives_the_newest_and_told_versions_only_grow(
            mut versions in proptest::collection::vec(1u64..30, 1..12)
        ) {
            use DeliveryStatus::{Accepted, PickedUp};
            let status = |version: u64| if version.is_multiple_of(2) { Accepted } else { PickedUp };
            let newest = *versions.iter().max().unwrap();
            let mut told = 0;
            let mut held = None;
            for version in versions.drain(..) {
                let at = i64::try_from(version).unwrap();
                let (delivery, outcome) = Delivery::apply(held, &update(status(version), version, at, "31"));
                if matches!(outcome, Outcome::New { .. }) {
                    prop_assert!(delivery.version() > told);
                    told = delivery.version();
                }
                held = Some(delivery);
            }
            prop_assert_eq!(held.unwrap().status(), status(newest));
        }
    }
}
