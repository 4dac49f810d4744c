//! The status graph.

use platepal_events::EventType;
use platepal_proto::v1::{OrderStatus, OrderType};
use serde::{Deserialize, Serialize};

/// Where an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Pending,
    Accepted,
    Preparing,
    Ready,
    Assigned,
    PickedUp,
    OutForDelivery,
    Delivered,
    Cancelled,
    Refunded,
}

/// How an order reaches its customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Way {
    Delivery,
    Pickup,
}

impl Status {
    pub(crate) const ALL: [Self; 10] = [
        Self::Pending,
        Self::Accepted,
        Self::Preparing,
        Self::Ready,
        Self::Assigned,
        Self::PickedUp,
        Self::OutForDelivery,
        Self::Delivered,
        Self::Cancelled,
        Self::Refunded,
    ];

    /// As Django spells it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Accepted => "ACCEPTED",
            Self::Preparing => "PREPARING",
            Self::Ready => "READY",
            Self::Assigned => "ASSIGNED",
            Self::PickedUp => "PICKED_UP",
            Self::OutForDelivery => "OUT_FOR_DELIVERY",
            Self::Delivered => "DELIVERED",
            Self::Cancelled => "CANCELLED",
            Self::Refunded => "REFUNDED",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word().eq_ignore_ascii_case(word))
    }

    /// The event type that says it when nobody names one.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Pending => "order.created",
            Self::Accepted => "order.accepted",
            Self::Preparing => "order.preparing",
            Self::Ready => "order.ready",
            Self::Assigned => "order.assigned",
            Self::PickedUp => "order.picked_up",
            Self::OutForDelivery => "order.out_for_delivery",
            Self::Delivered => "order.completed",
            Self::Cancelled => "order.cancelled",
            Self::Refunded => "order.refunded",
        }
    }

    /// The status that an event type implies.
    pub(crate) fn implied_by(kind: &EventType) -> Option<Self> {
        match kind.as_str() {
            "order.rejected" => Some(Self::Cancelled),
            name => Self::ALL.into_iter().find(|status| status.type_name() == name),
        }
    }

    /// Nothing is waited for any more.
    pub(crate) fn is_end(self) -> bool {
        matches!(self, Self::Delivered | Self::Cancelled | Self::Refunded)
    }

    /// Whether the restaurant has accepted an order that is here.
    pub(crate) fn is_accepted(self) -> bool {
        !matches!(self, Self::Pending | Self::Cancelled | Self::Refunded)
    }

    /// Whether the graph knows this step. Staying is always known; a rider may be assigned any time between
    /// acceptance and pick-up, and preparing goes on meanwhile.
    pub(crate) fn may_become(self, next: Self, way: Option<Way>) -> bool {
        use Status::{
            Accepted, Assigned, Cancelled, Delivered, OutForDelivery, Pending, PickedUp, Preparing, Ready,
            Refunded,
        };
        let delivery = way != Some(Way::Pickup);
        let pickup = way != Some(Way::Delivery);
        match (self, next) {
            _ if self == next => true,
            (Pending, Accepted) | (Accepted, Preparing) | (Preparing, Ready) => true,
            (Accepted | Preparing | Ready, Assigned) | (Assigned, Preparing | Ready | PickedUp) => delivery,
            (PickedUp, OutForDelivery) | (OutForDelivery, Delivered) => delivery,
            (Ready, Delivered) => pickup,
            (Delivered | Cancelled, Refunded) => true,
            (from, Cancelled) => from < Delivered,
            _ => false,
        }
    }
}

impl Way {
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_uppercase().as_str() {
            "DELIVERY" => Some(Self::Delivery),
            "PICKUP" => Some(Self::Pickup),
            _ => None,
        }
    }

    pub(crate) fn from_message(way: OrderType) -> Option<Self> {
        match way {
            OrderType::Delivery => Some(Self::Delivery),
            OrderType::Pickup => Some(Self::Pickup),
            OrderType::Unspecified => None,
        }
    }
}

impl From<Way> for OrderType {
    fn from(way: Way) -> Self {
        match way {
            Way::Delivery => Self::Delivery,
            Way::Pickup => Self::Pickup,
        }
    }
}

impl Status {
    pub(crate) fn from_message(status: OrderStatus) -> Option<Self> {
        Self::from_word(status.as_str_name().strip_prefix("ORDER_STATUS_")?)
    }

    pub(crate) fn to_message(self) -> OrderStatus {
        OrderStatus::from_str_name(&format!("ORDER_STATUS_{}", self.word())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_ways_walk_the_graph() {
        use Status::*;
        let delivery =
            [Pending, Accepted, Preparing, Ready, Assigned, PickedUp, OutForDelivery, Delivered, Refunded];
        let pickup = [Pending, Accepted, Preparing, Ready, Delivered];
        assert!(delivery.windows(2).all(|step| step[0].may_become(step[1], Some(Way::Delivery))));
        assert!(pickup.windows(2).all(|step| step[0].may_become(step[1], Some(Way::Pickup))));
    }

    #[test]
    fn what_the_graph_does_not_know_is_told_apart() {
        use Status::*;
        for (from, to) in
            [(Delivered, Cancelled), (Delivered, Preparing), (Refunded, Pending), (Pending, Ready)]
        {
            assert!(!from.may_become(to, Some(Way::Delivery)), "{from:?} {to:?}");
        }
        assert!(!Ready.may_become(Delivered, Some(Way::Delivery)));
        assert!(Accepted.may_become(Assigned, None) && Assigned.may_become(Preparing, None));
    }

    #[test]
    fn every_status_survives_its_message_and_its_type() {
        for status in Status::ALL {
            assert_eq!(Status::from_message(status.to_message()), Some(status));
            assert_eq!(Status::implied_by(&status.type_name().parse().unwrap()), Some(status));
            assert_eq!(status.type_name().parse::<EventType>().unwrap().as_str(), status.type_name());
        }
    }
}
