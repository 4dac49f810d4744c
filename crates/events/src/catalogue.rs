//! The catalogue: which domain owns an event type, whether it is kept or conflated, and its old names.
//!
//! An unknown type is not an error: it is delivered, as a *log* event that no domain owns.

use std::{fmt, str::FromStr, sync::Arc};

/// The longest name of a type, in characters.
const TYPE_CHARS_MAX: usize = 64;

/// A realtime domain: a service with rules and tables of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    /// Orders: status, versions, timers, and who may read the feeds.
    Orders,
    /// Tracking: riders' positions, deliveries, job offers, trails.
    Tracking,
    /// Chat: rooms, messages, the support desk.
    Chat,
    /// Notifications: inboxes, pushes, what is handed over to Django.
    Notifications,
    /// Menus: which items can be ordered, at which price.
    Menus,
}

impl Domain {
    /// Every domain.
    pub const ALL: [Self; 5] = [Self::Orders, Self::Tracking, Self::Chat, Self::Notifications, Self::Menus];

    /// Its name: a role of the binary, and the word in settings and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Tracking => "tracking",
            Self::Chat => "chat",
            Self::Notifications => "notifications",
            Self::Menus => "menus",
        }
    }
}

/// How events of a type are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Kept and replayed; never dropped silently.
    Log,
    /// Only the newest value per key matters; conflated everywhere.
    Latest,
}

struct Known {
    name: &'static str,
    owner: Option<Domain>,
    class: Class,
}

const fn log(name: &'static str, owner: Option<Domain>) -> Known {
    Known { name, owner, class: Class::Log }
}

const fn latest(name: &'static str, owner: Option<Domain>) -> Known {
    Known { name, owner, class: Class::Latest }
}

const ORDERS: Option<Domain> = Some(Domain::Orders);
const TRACKING: Option<Domain> = Some(Domain::Tracking);
const CHAT: Option<Domain> = Some(Domain::Chat);
const NOTIFICATIONS: Option<Domain> = Some(Domain::Notifications);
const MENUS: Option<Domain> = Some(Domain::Menus);

/// Every type that the frontends handle or a domain makes.
const KNOWN: &[Known] = &[
    log("order.created", ORDERS),
    log("order.updated", ORDERS),
    log("order.accepted", ORDERS),
    log("order.rejected", ORDERS),
    log("order.preparing", ORDERS),
    log("order.ready", ORDERS),
    log("order.assigned", ORDERS),
    log("order.picked_up", ORDERS),
    log("order.out_for_delivery", ORDERS),
    log("order.completed", ORDERS),
    log("order.cancelled", ORDERS),
    log("order.refunded", ORDERS),
    log("order.snapshot", ORDERS),
    log("order.sla_warning", ORDERS),
    log("sla_breach", ORDERS),
    log("restaurant_alert", ORDERS),
    log("restaurant_status", ORDERS),
    log("restaurant.high_rejection_rate", ORDERS),
    log("delivery.assigned", TRACKING),
    log("delivery.status_changed", TRACKING),
    log("delivery.escalation", TRACKING),
    log("delivery.no_rider_available", TRACKING),
    // Both of the same key, the rider's: who has left replaces where they were.
    latest("rider_location", TRACKING),
    latest("rider_left", TRACKING),
    log("job_offer", TRACKING),
    log("offer.accepted", TRACKING),
    log("offer.declined", TRACKING),
    log("offer.expired", TRACKING),
    log("offer.cancelled", TRACKING),
    log("surge_alert", TRACKING),
    log("shift_reminder", TRACKING),
    log("high_priority_alert", TRACKING),
    log("menu.updated", MENUS),
    log("menu.snapshot", MENUS),
    // By the item's id: whether it can be ordered, and its price.
    latest("menu_item", MENUS),
    log("item_sold_out", MENUS),
    log("inventory_low", MENUS),
    log("inventory_restocked", MENUS),
    log("payment.captured", None),
    log("payment.failed", None),
    log("refund.initiated", None),
    log("refund.completed", None),
    log("payout.completed", None),
    log("payout.failed", None),
    log("settlement.completed", None),
    log("promo.published", None),
    log("ticket.created", None),
    log("ticket.updated", None),
    log("system_alert", None),
    log("fraud.alert", None),
    log("chat_message", CHAT),
    log("chat_message_edited", CHAT),
    log("chat_message_deleted", CHAT),
    log("chat_room", CHAT),
    // By the user's id: how far somebody has read.
    latest("chat_read", CHAT),
    // Never kept: it only passes.
    latest("typing", CHAT),
    // For those who look after the support desk.
    log("chat_waiting", CHAT),
    log("chat_assigned", CHAT),
    log("notification", NOTIFICATIONS),
    log("notification_read", NOTIFICATIONS),
    log("notification_cleared", NOTIFICATIONS),
    // Between the tier's own processes; no client can subscribe to the channel that carries it.
    log("grant.revoked", None),
    log("session.disconnect", None),
    log("session.subscribe", None),
    log("session.unsubscribe", None),
    log("session.refresh", None),
    // By user, or by token.
    latest("token.revoked", None),
    // By the outbox's name.
    latest("outbox.reported", None),
    latest("edge.alive", None),
];

/// Names under which Django's old server took an event, and the name under which clients know it.
const ALIASES: &[(&str, &str)] = &[
    ("new_offer", "job_offer"),
    ("order_assigned", "delivery.assigned"),
    ("rider_assigned", "delivery.assigned"),
];

/// The type of an event in its canonical spelling: `order.accepted`, also when it was sent as
/// `order_accepted`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(Arc<str>);

/// Why a text is not an event type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an event type: a type is 1-64 characters of a-z 0-9 _ and dots between words")]
pub struct TypeError(String);

impl EventType {
    /// A type that the code names.
    ///
    /// # Panics
    /// The name can't be a type.
    #[allow(clippy::expect_used)]
    pub fn named(name: &'static str) -> Self {
        name.parse().expect("names in the code are types")
    }

    /// The canonical, dotted name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with underscores, as PlatePal's frontends listen for it.
    pub fn underscored(&self) -> String {
        self.0.replace('.', "_")
    }

    /// The domain that owns it; `None`: delivered as it is.
    pub fn owner(&self) -> Option<Domain> {
        self.known().and_then(|known| known.owner)
    }

    /// How its events are kept.
    pub fn class(&self) -> Class {
        self.known().map_or(Class::Log, |known| known.class)
    }

    /// Whether the catalogue has it.
    pub fn is_known(&self) -> bool {
        self.known().is_some()
    }

    fn known(&self) -> Option<&'static Known> {
        KNOWN.iter().find(|known| known.name == &*self.0)
    }
}

impl FromStr for EventType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        let error = || TypeError(text.chars().take(80).collect());
        if text.len() > TYPE_CHARS_MAX {
            return Err(error());
        }
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        if !text.split('.').all(is_word) {
            return Err(error());
        }
        if let Some((_, name)) = ALIASES.iter().find(|(alias, _)| *alias == text) {
            return Ok(Self((*name).into()));
        }
        // `order_accepted` is `order.accepted` if that is what the catalogue has.
        let canonical = KNOWN.iter().find(|known| {
            known.name == text || (!text.contains('.') && known.name.replace('.', "_") == text)
        });
        Ok(Self(canonical.map_or_else(|| text.into(), |known| known.name.into())))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> EventType {
        text.parse().unwrap()
    }

    #[test]
    fn both_spellings_and_the_old_names_are_one_type() {
        assert_eq!(parse("order_accepted"), parse("order.accepted"));
        assert_eq!(parse("rider_assigned").as_str(), "delivery.assigned");
        assert_eq!(parse("new_offer").as_str(), "job_offer");
        assert_eq!(parse("restaurant_high_rejection_rate").as_str(), "restaurant.high_rejection_rate");
        assert_eq!(parse("order.accepted").underscored(), "order_accepted");
    }

    #[test]
    fn an_unknown_type_is_a_log_event_that_nobody_owns() {
        let unknown = parse("loyalty.points_earned");
        assert_eq!((unknown.owner(), unknown.class(), unknown.is_known()), (None, Class::Log, false));
    }

    #[test]
    fn no_two_types_share_an_underscored_name() {
        let mut names: Vec<String> = KNOWN.iter().map(|known| known.name.replace('.', "_")).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_riders_place_and_leaving_are_values_of_tracking() {
        for name in ["rider_location", "rider_left"] {
            let kind = parse(name);
            assert_eq!((kind.owner(), kind.class()), (Some(Domain::Tracking), Class::Latest), "{name}");
        }
        // What a rider must not miss is kept.
        for name in ["job_offer", "offer.cancelled", "delivery.assigned", "delivery.status_changed"] {
            assert_eq!(
                (parse(name).owner(), parse(name).class()),
                (Some(Domain::Tracking), Class::Log),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_not_a_type_is_refused() {
        for text in ["", ".", "order.", ".order", "order..accepted", "Order.Accepted", "order accepted", "ö"]
        {
            assert!(text.parse::<EventType>().is_err(), "{text:?} parsed");
        }
        assert!("a".repeat(65).parse::<EventType>().is_err());
    }
}
