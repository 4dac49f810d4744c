//! A delivery: its status, what a change is to it, what its customer sees.
//!
//! `PENDING → ASSIGNED → ACCEPTED → ARRIVED_AT_PICKUP → PICKED_UP → IN_TRANSIT → DELIVERED`; a rider who rejects
//! makes it `REJECTED` for this rider, and another may be assigned. It may fail or be cancelled before it is
//! delivered. Django is the source of truth: a step that the graph does not know is taken and marked, never refused.

use platepal_events::Timestamp;
use platepal_proto::v1;
use serde::{Deserialize, Serialize};

use super::fence::{Fences, Zone};

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum DeliveryStatus {
    Pending,
    Assigned,
    Accepted,
    Rejected,
    ArrivedAtPickup,
    PickedUp,
    InTransit,
    Delivered,
    Failed,
    Cancelled,
}

/// What a customer sees of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Phase {
    /// The rider is on the way to the restaurant.
    ToPickup,
    /// The rider waits for the order.
    AtPickup,
    /// The order is on its way.
    ToCustomer,
    /// It is nearly there.
    Arriving,
    /// It is at the door.
    Arrived,
}

impl DeliveryStatus {
    pub(crate) const ALL: [Self; 10] = [
        Self::Pending,
        Self::Assigned,
        Self::Accepted,
        Self::Rejected,
        Self::ArrivedAtPickup,
        Self::PickedUp,
        Self::InTransit,
        Self::Delivered,
        Self::Failed,
        Self::Cancelled,
    ];

    /// As Django spells it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Assigned => "ASSIGNED",
            Self::Accepted => "ACCEPTED",
            Self::Rejected => "REJECTED",
            Self::ArrivedAtPickup => "ARRIVED_AT_PICKUP",
            Self::PickedUp => "PICKED_UP",
            Self::InTransit => "IN_TRANSIT",
            Self::Delivered => "DELIVERED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word().eq_ignore_ascii_case(word))
    }

    pub(crate) fn from_message(status: v1::DeliveryStatus) -> Option<Self> {
        Self::from_word(status.as_str_name().strip_prefix("DELIVERY_STATUS_")?)
    }

    pub(crate) fn to_message(self) -> v1::DeliveryStatus {
        v1::DeliveryStatus::from_str_name(&format!("DELIVERY_STATUS_{}", self.word())).unwrap_or_default()
    }

    /// Over, at least for this rider: nobody is shown anything from here on.
    pub(crate) fn is_end(self) -> bool {
        matches!(self, Self::Rejected | Self::Delivered | Self::Failed | Self::Cancelled)
    }

    /// Over for good: nothing may follow. After a rejection somebody else may be assigned.
    pub(crate) fn is_final(self) -> bool {
        self.is_end() && self != Self::Rejected
    }

    /// Its customer and its restaurant may see the rider: between assignment and end.
    pub(crate) fn is_shown(self) -> bool {
        self != Self::Pending && !self.is_end()
    }

    /// The rider has the order.
    pub(crate) fn has_order(self) -> bool {
        matches!(self, Self::PickedUp | Self::InTransit)
    }

    /// Whether the graph knows this step. Staying is always known. An arrival need not have been seen, and a rider who
    /// has the order may be on the way without having said so.
    pub(crate) fn may_become(self, next: Self) -> bool {
        use DeliveryStatus::{
            Accepted, ArrivedAtPickup, Assigned, Cancelled, Delivered, Failed, InTransit, Pending, PickedUp,
            Rejected,
        };
        match (self, next) {
            _ if self == next => true,
            (Pending, Assigned) | (Assigned, Accepted | Rejected) => true,
            // Nobody took it: it is offered to another.
            (Assigned | Accepted | Rejected, Pending | Assigned) => true,
            (Accepted, Rejected | ArrivedAtPickup | PickedUp) | (ArrivedAtPickup, PickedUp) => true,
            (PickedUp, InTransit | Delivered) | (InTransit, Delivered) => true,
            (from, Failed | Cancelled) => !from.is_final(),
            _ => false,
        }
    }

    /// What the rider's arrival makes of it: the pickup zone moves an accepted delivery on, and nothing else does.
    /// That it was handed over is for the rider to say.
    pub(crate) fn on_arrival(self, zone: Zone) -> Option<Self> {
        (zone == Zone::Pickup && self == Self::Accepted).then_some(Self::ArrivedAtPickup)
    }

    /// What its customer sees; `None`: nothing.
    pub(crate) fn phase(self, fences: &Fences) -> Option<Phase> {
        match self {
            _ if !self.is_shown() => None,
            Self::ArrivedAtPickup => Some(Phase::AtPickup),
            Self::Assigned | Self::Accepted if fences.pickup.is_inside() => Some(Phase::AtPickup),
            Self::Assigned | Self::Accepted => Some(Phase::ToPickup),
            _ if fences.dropoff.is_inside() => Some(Phase::Arrived),
            _ if fences.dropoff.is_near() => Some(Phase::Arriving),
            _ => Some(Phase::ToCustomer),
        }
    }
}

impl Phase {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ToPickup => "TO_PICKUP",
            Self::AtPickup => "AT_PICKUP",
            Self::ToCustomer => "TO_CUSTOMER",
            Self::Arriving => "ARRIVING",
            Self::Arrived => "ARRIVED",
        }
    }
}

/// What of a delivery decides over its next change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) status: DeliveryStatus,
    /// Grows with every change that is told.
    pub(crate) version: u64,
    /// Of the change that made it so, in microseconds since 1970.
    pub(crate) changed_at: i64,
    /// The newest version that the caller gave, and what it said.
    pub(crate) caller: Option<(u64, String)>,
}

/// A change of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) status: DeliveryStatus,
    /// The caller's; 0: it keeps none, and the moment counts.
    pub(crate) version: u64,
    pub(crate) at: Timestamp,
    /// Equal for equal content.
    pub(crate) digest: String,
}

/// What a change is to the delivery that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is what the delivery is now. `unusual`: the step that the graph does not know.
    New { unusual: Option<(DeliveryStatus, DeliveryStatus)> },
    /// Older than what is held.
    Superseded,
    /// The version that is held, with the same content.
    Duplicate,
    /// The version that is held, with other content.
    Conflict,
}

/// The delivery after a change, and what the change was to it.
pub(crate) fn apply(held: Option<Held>, change: &Change) -> (Held, Outcome) {
    let caller = (change.version > 0).then(|| (change.version, change.digest.clone()));
    let new = |version: u64, caller: Option<(u64, String)>| Held {
        status: change.status,
        version,
        changed_at: change.at.micros(),
        caller,
    };
    let Some(held) = held else {
        return (new(change.version.max(1), caller), Outcome::New { unusual: None });
    };
    let unusual = (!held.status.may_become(change.status)).then_some((held.status, change.status));
    let outcome = match &held.caller {
        Some((version, digest)) if change.version > 0 => {
            match (change.version.cmp(version), *digest == change.digest) {
                (std::cmp::Ordering::Less, _) => Outcome::Superseded,
                (std::cmp::Ordering::Equal, true) => Outcome::Duplicate,
                (std::cmp::Ordering::Equal, false) => Outcome::Conflict,
                (std::cmp::Ordering::Greater, _) => Outcome::New { unusual },
            }
        }
        // Ties by arrival: the same moment is not older.
        _ if change.at.micros() < held.changed_at => Outcome::Superseded,
        _ => Outcome::New { unusual },
    };
    match outcome {
        Outcome::New { .. } => {
            let version = change.version.max(held.version.saturating_add(1));
            (new(version, caller.or(held.caller)), outcome)
        }
        Outcome::Superseded | Outcome::Duplicate | Outcome::Conflict => (held, outcome),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::rules::fence::Fence;

    #[test]
    fn a_delivery_walks_the_graph() {
        use DeliveryStatus::*;
        let way = [Pending, Assigned, Accepted, ArrivedAtPickup, PickedUp, InTransit, Delivered];
        assert!(way.windows(2).all(|step| step[0].may_become(step[1])));
        assert!(
            [Pending, Assigned, Accepted, Rejected, ArrivedAtPickup, PickedUp, InTransit]
                .iter()
                .all(|from| from.may_become(Failed) && from.may_become(Cancelled))
        );
        assert!(Rejected.may_become(Assigned), "somebody else may take it");
    }

    #[test]
    fn what_the_graph_does_not_know_is_told_apart() {
        use DeliveryStatus::*;
        for (from, to) in
            [(Delivered, Cancelled), (Delivered, InTransit), (Failed, Assigned), (Pending, PickedUp)]
        {
            assert!(!from.may_become(to), "{from:?} {to:?}");
        }
    }

    #[test]
    fn every_status_survives_its_word_and_its_message() {
        for status in DeliveryStatus::ALL {
            assert_eq!(DeliveryStatus::from_word(&status.word().to_lowercase()), Some(status));
            assert_eq!(DeliveryStatus::from_message(status.to_message()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.word());
        }
        assert_eq!(DeliveryStatus::from_message(v1::DeliveryStatus::Unspecified), None);
    }

    #[test]
    fn only_the_pickup_zone_moves_only_an_accepted_delivery() {
        for status in DeliveryStatus::ALL {
            let moved = status.on_arrival(Zone::Pickup);
            assert_eq!(
                moved,
                (status == DeliveryStatus::Accepted).then_some(DeliveryStatus::ArrivedAtPickup)
            );
            assert_eq!(status.on_arrival(Zone::Dropoff), None);
        }
    }

    #[test]
    fn a_customer_sees_nothing_before_assignment_and_after_the_end() {
        use DeliveryStatus::*;
        let fences = Fences { pickup: Fence::default(), dropoff: Fence::default() };
        for status in [Pending, Rejected, Delivered, Failed, Cancelled] {
            assert_eq!(status.phase(&fences), None);
        }
        assert_eq!(Assigned.phase(&fences), Some(Phase::ToPickup));
        assert_eq!(ArrivedAtPickup.phase(&fences), Some(Phase::AtPickup));
        assert_eq!(InTransit.phase(&fences), Some(Phase::ToCustomer));
    }

    fn change(status: DeliveryStatus, version: u64, at: i64) -> Change {
        Change { status, version, at: Timestamp::from_micros(at), digest: format!("{status:?}") }
    }

    #[test]
    fn an_unknown_step_is_taken_and_marked() {
        use DeliveryStatus::*;
        let (held, _) = apply(None, &change(Delivered, 3, 0));
        let (held, outcome) = apply(Some(held), &change(InTransit, 4, 1));
        assert_eq!((held.status, held.version), (InTransit, 4));
        assert_eq!(outcome, Outcome::New { unusual: Some((Delivered, InTransit)) });
    }

    #[test]
    fn versions_tell_old_same_and_contradicting_changes_apart() {
        use DeliveryStatus::*;
        let (held, _) = apply(None, &change(Accepted, 3, 100));
        let outcome = |change: &Change| apply(Some(held.clone()), change).1;
        assert_eq!(outcome(&change(Assigned, 2, 200)), Outcome::Superseded);
        assert_eq!(outcome(&change(Accepted, 3, 100)), Outcome::Duplicate);
        assert_eq!(outcome(&change(PickedUp, 3, 100)), Outcome::Conflict);
        assert_eq!(outcome(&change(PickedUp, 4, 100)), Outcome::New { unusual: None });
        assert_eq!(
            outcome(&change(PickedUp, 0, 99)),
            Outcome::Superseded,
            "without a version the moment counts"
        );
        assert_eq!(outcome(&change(PickedUp, 0, 100)), Outcome::New { unusual: None });
    }

    #[test]
    fn versions_that_are_told_only_grow() {
        use DeliveryStatus::*;
        let (held, _) = apply(None, &change(Assigned, 0, 0));
        let (held, _) = apply(Some(held), &change(Accepted, 0, 1));
        let (held, _) = apply(Some(held), &change(PickedUp, 9, 2));
        let (held, _) = apply(Some(held), &change(InTransit, 0, 3));
        assert_eq!(held.version, 10);
    }
}
