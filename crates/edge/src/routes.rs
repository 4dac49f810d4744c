//! The tables from paths to channels, and from what clients say on a feed to the methods of domains. Nothing else
//! in this crate knows a domain.

use platepal_events::{Channel, ChannelKind};

/// First and second word of each path, and the kind of channel behind it.
const TABLE: &[(&str, ChannelKind)] = &[
    ("customer", ChannelKind::Customer),
    ("orders", ChannelKind::Restaurant),
    ("delivery", ChannelKind::Rider),
    ("admin", ChannelKind::Admin),
    ("chat", ChannelKind::Chat),
    ("order", ChannelKind::Order),
    ("track", ChannelKind::Track),
    ("area", ChannelKind::Area),
    ("inbox", ChannelKind::Inbox),
    ("menu", ChannelKind::Menu),
];

/// What the clients of a kind of feed may say, by the type of the message: where its arguments are, and the method that
/// it calls.
const SAYINGS: &[(ChannelKind, &str, Arguments, Method)] = &[
    (ChannelKind::Rider, "location", Arguments::Data, Method::Always("tracking.report")),
    (
        ChannelKind::Rider,
        "offer_response",
        Arguments::Data,
        Method::If { field: "accept", yes: "tracking.accept_offer", no: "tracking.decline_offer" },
    ),
    (ChannelKind::Chat, "send_message", Arguments::Flat, Method::Always("chat.send")),
    (ChannelKind::Chat, "typing", Arguments::Flat, Method::Always("chat.typing")),
    (ChannelKind::Chat, "mark_read", Arguments::Flat, Method::Always("chat.read")),
    (ChannelKind::Chat, "edit_message", Arguments::Flat, Method::Always("chat.edit")),
    (ChannelKind::Chat, "delete_message", Arguments::Flat, Method::Always("chat.delete")),
    (ChannelKind::Chat, "history", Arguments::Flat, Method::Always("chat.history")),
    (ChannelKind::Chat, "presence", Arguments::Flat, Method::Always("chat.presence")),
    (ChannelKind::Inbox, "mark_notifications_read", Arguments::Flat, Method::Always("notifications.read")),
    (ChannelKind::Inbox, "clear_notifications", Arguments::Flat, Method::Always("notifications.clear")),
    (ChannelKind::Inbox, "list_notifications", Arguments::Flat, Method::Always("notifications.list")),
    (ChannelKind::Inbox, "notification_shown", Arguments::Flat, Method::Always("notifications.shown")),
    (ChannelKind::Customer, "mark_notifications_read", Arguments::Flat, Method::Always("notifications.read")),
    (ChannelKind::Customer, "clear_notifications", Arguments::Flat, Method::Always("notifications.clear")),
    (ChannelKind::Customer, "list_notifications", Arguments::Flat, Method::Always("notifications.list")),
    (ChannelKind::Customer, "notification_shown", Arguments::Flat, Method::Always("notifications.shown")),
    (ChannelKind::Rider, "mark_notifications_read", Arguments::Flat, Method::Always("notifications.read")),
    (ChannelKind::Rider, "clear_notifications", Arguments::Flat, Method::Always("notifications.clear")),
    (ChannelKind::Rider, "list_notifications", Arguments::Flat, Method::Always("notifications.list")),
    (ChannelKind::Rider, "notification_shown", Arguments::Flat, Method::Always("notifications.shown")),
];

/// Where a message has its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// In its `data`. It is always answered.
    Data,
    /// Beside its type, or in its `data`. It is answered if it has an id, or if nothing came of it: such clients know of
    /// no answers, they see what follows.
    Flat,
}

/// Which method a message calls.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Method {
    Always(&'static str),
    /// It depends on a field of the message's data, which is true or false.
    If {
        field: &'static str,
        yes: &'static str,
        no: &'static str,
    },
}

/// What a message of this type means on a feed of this kind; `None` when such feeds take none.
pub(crate) fn saying(kind: ChannelKind, message_type: &str) -> Option<(Arguments, Method)> {
    let found = SAYINGS.iter().find(|(feed, name, ..)| *feed == kind && *name == message_type);
    found.map(|(_, _, arguments, method)| (*arguments, *method))
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoute {
    #[error("there is no socket at this path")]
    Unknown,
    #[error("the path's id is not one: {0}")]
    Id(String),
}

/// The channel at a path, with or without a final slash; `/events/…` is the same as `/ws/…`, for clients without
/// sockets.
pub(crate) fn feed(path: &str) -> Result<Channel, NoRoute> {
    let rest = path.strip_prefix("/ws/").or_else(|| path.strip_prefix("/events/")).ok_or(NoRoute::Unknown)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (word, id) = rest.split_once('/').unwrap_or((rest, ""));
    let (_, kind) = TABLE.iter().find(|(name, _)| *name == word).ok_or(NoRoute::Unknown)?;
    if id.contains('/') || (kind.has_id() == id.is_empty()) {
        return Err(NoRoute::Unknown);
    }
    Channel::new(*kind, id).map_err(|why| NoRoute::Id(why.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_path_leads_to_its_channel_with_and_without_the_final_slash() {
        for (path, name) in [
            ("/ws/customer/7", "customer:7"),
            ("/ws/orders/12", "restaurant:12"),
            ("/ws/delivery/31", "rider:31"),
            ("/ws/admin", "admin"),
            ("/ws/chat/88", "chat:88"),
            ("/ws/order/5012", "order:5012"),
            ("/ws/track/5012", "track:5012"),
            ("/ws/area/u33dc", "area:u33dc"),
            ("/ws/inbox/7", "inbox:7"),
            ("/ws/menu/12", "menu:12"),
        ] {
            let events = path.replace("/ws/", "/events/");
            for path in [path.to_owned(), format!("{path}/"), events] {
                assert_eq!(feed(&path).map(|c| c.to_string()), Ok(name.to_owned()), "{path}");
            }
        }
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for path in [
            "/",
            "/ws",
            "/ws/",
            "/ws/customer",
            "/ws/customer/",
            "/ws/admin/7",
            "/ws/menu/",
            "/ws/area",
            "/ws/track/",
            "/ws/sessions",
            "/ws/customer/7/8",
            "/ws/customer/7//",
            "/WS/admin",
            "/ws/all",
        ] {
            assert_eq!(feed(path), Err(NoRoute::Unknown), "{path}");
        }
        assert!(matches!(feed("/ws/customer/a.b"), Err(NoRoute::Id(_))));
        assert!(matches!(feed("/ws/area/U33DC"), Err(NoRoute::Id(why)) if why.contains("geohash")));
        assert!(matches!(feed("/ws/customer/%2e%2e"), Err(NoRoute::Id(_))));
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "\\PC{0,100}") {
            let _ = feed(&path);
            let _ = feed(&format!("/ws/{path}"));
        }
    }
}
