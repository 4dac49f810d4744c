//! Names of channels: `customer:7`, `admin`. Django's group names (`customer_7`) are read too.

use std::{fmt, str::FromStr, sync::Arc};

use crate::Domain;

/// The longest id in a channel name, in characters.
const ID_CHARS_MAX: usize = 64;
/// The longest geohash, in characters: a cell of a few centimetres.
const GEOHASH_CHARS_MAX: usize = 12;

/// What a channel is about. Each kind is owned by one domain, which decides who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChannelKind {
    /// Everything that concerns one customer.
    Customer,
    /// Everything that concerns one restaurant.
    Restaurant,
    /// Everything that concerns one rider.
    Rider,
    /// The operations feed.
    Admin,
    /// One chat room.
    Chat,
    /// One restaurant's menu.
    Menu,
    /// One order.
    Order,
    /// One delivery on its way: the rider's position, ahead and ETA.
    Track,
    /// The riders in one geohash cell, `area:u33dc`.
    Area,
    /// One user's notifications, whatever the user's role.
    Inbox,
    /// Everybody who is signed in.
    All,
    /// What the tier's own processes tell each other of sessions and grants. Nobody outside can name it.
    Sessions,
}

impl ChannelKind {
    /// Every kind that can be named from outside.
    pub const PUBLIC: [Self; 11] = [
        Self::Customer,
        Self::Restaurant,
        Self::Rider,
        Self::Admin,
        Self::Chat,
        Self::Menu,
        Self::Order,
        Self::Track,
        Self::Area,
        Self::Inbox,
        Self::All,
    ];

    /// The word before the colon.
    pub fn word(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Restaurant => "restaurant",
            Self::Rider => "rider",
            Self::Admin => "admin",
            Self::Chat => "chat",
            Self::Menu => "menu",
            Self::Order => "order",
            Self::Track => "track",
            Self::Area => "area",
            Self::Inbox => "inbox",
            Self::All => "all",
            Self::Sessions => "sessions",
        }
    }

    /// Whether a name of this kind has an id after a colon.
    pub fn has_id(self) -> bool {
        !matches!(self, Self::Admin | Self::All | Self::Sessions)
    }

    /// Whether the channel belongs to the user whose id it carries.
    pub fn is_own_feed(self) -> bool {
        matches!(self, Self::Customer | Self::Rider | Self::Inbox)
    }

    /// Whether a newcomer is given the channel's state before its events.
    pub fn has_snapshot(self) -> bool {
        matches!(self, Self::Order | Self::Menu)
    }

    /// Whether its state changes by newest values, which are not replayed: whoever comes back is given the state too.
    pub fn changes_by_values(self) -> bool {
        matches!(self, Self::Menu)
    }

    /// Whether everybody may read it: whoever is signed in, and, where that is allowed, whoever is not.
    pub fn is_public(self) -> bool {
        matches!(self, Self::Menu)
    }

    /// Whether its readers may know of each other.
    pub fn has_presence(self) -> bool {
        matches!(self, Self::Customer | Self::Rider | Self::Restaurant | Self::Admin | Self::Chat)
    }

    /// Whether its readers are told when somebody comes or goes.
    pub fn tells_presence(self) -> bool {
        matches!(self, Self::Chat)
    }

    /// The domain that decides who may read it.
    pub fn owner(self) -> Domain {
        match self {
            Self::Rider | Self::Track | Self::Area => Domain::Tracking,
            Self::Chat => Domain::Chat,
            Self::Inbox => Domain::Notifications,
            Self::Menu => Domain::Menus,
            Self::Customer | Self::Restaurant | Self::Admin | Self::Order | Self::All | Self::Sessions => {
                Domain::Orders
            }
        }
    }

    /// What is wrong with an id of this kind; `None`: nothing.
    fn objection(self, id: &str) -> Option<&'static str> {
        match self {
            Self::Area if !is_geohash(id) => Some(
                "an area is a geohash: 1-12 characters of 0-9 and b-z, without i, l and o, in lower case",
            ),
            _ if !is_id(id) => Some("an id is 1-64 characters of A-Z a-z 0-9 _ -"),
            _ => None,
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        // `delivery` is what Django and the frontends call a rider's feed.
        let word = if word == "delivery" { "rider" } else { word };
        Self::PUBLIC.into_iter().find(|kind| kind.word() == word)
    }
}

/// The name of a channel: a kind and, for most kinds, an id of 1-64 characters of `[A-Za-z0-9_-]`; an area's is a
/// geohash. Cheap to clone.
///
/// ```
/// use platepal_events::Channel;
///
/// let channel: Channel = "customer:7".parse()?;
/// assert_eq!(channel, "customer_7".parse()?); // Django's group name
/// assert_eq!(channel.id(), "7");
/// assert!("customer:7:8".parse::<Channel>().is_err());
/// # Ok::<(), platepal_events::ChannelError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    kind: ChannelKind,
    name: Arc<str>,
}

/// Why a text is not the name of a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The word before the colon is unknown.
    #[error(
        "{0:?} is not a channel: it starts with none of customer, restaurant, rider, admin, chat, menu, order, track, area, inbox, all"
    )]
    UnknownKind(String),
    /// A kind that needs an id has none, or the other way round.
    #[error("{0:?} is not a channel: {1}")]
    Id(String, &'static str),
}

impl Channel {
    /// Makes a name from its parts; `id` is empty for the kinds without one.
    pub fn new(kind: ChannelKind, id: &str) -> Result<Self, ChannelError> {
        // An over-long id is not echoed whole.
        let shown = || {
            let id: String = id.chars().take(80).collect();
            if id.is_empty() { kind.word().to_owned() } else { format!("{}:{id}", kind.word()) }
        };
        if !kind.has_id() {
            if !id.is_empty() {
                return Err(ChannelError::Id(shown(), "this kind has no id"));
            }
            return Ok(Self { kind, name: kind.word().into() });
        }
        if id.is_empty() {
            return Err(ChannelError::Id(shown(), "this kind needs an id after the colon"));
        }
        if let Some(objection) = kind.objection(id) {
            return Err(ChannelError::Id(shown(), objection));
        }
        Ok(Self { kind, name: format!("{}:{id}", kind.word()).into() })
    }

    /// The channel on which the tier's own processes tell each other of sessions and grants. Parsing never
    /// gives it, so no client and no publisher can name it.
    pub fn sessions() -> Self {
        Self { kind: ChannelKind::Sessions, name: ChannelKind::Sessions.word().into() }
    }

    /// What it is about.
    pub fn kind(&self) -> ChannelKind {
        self.kind
    }

    /// The part after the colon; empty for the kinds without one.
    pub fn id(&self) -> &str {
        self.name.split_once(':').map_or("", |(_, id)| id)
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// Whether a text may stand as an id in a channel name, an event id or a key: safe in NATS subjects, URLs and
/// SQL without escaping.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Whether a text is a geohash, as its inventor spells them.
fn is_geohash(text: &str) -> bool {
    (1..=GEOHASH_CHARS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'b'..=b'h' | b'j' | b'k' | b'm' | b'n' | b'p'..=b'z'))
}

impl FromStr for Channel {
    type Err = ChannelError;

    fn from_str(text: &str) -> Result<Self, ChannelError> {
        // An over-long text is not echoed whole.
        let shown = || text.chars().take(80).collect::<String>();
        // Django's groups: `chat_room_88`, `customer_7`; with a colon it is a name of ours.
        let (word, id) = match text.split_once(':') {
            Some(parts) => parts,
            None => match text.strip_prefix("chat_room_") {
                Some(id) => ("chat", id),
                None => text.split_once('_').unwrap_or((text, "")),
            },
        };
        let kind = ChannelKind::from_word(word).ok_or_else(|| ChannelError::UnknownKind(shown()))?;
        if text.contains(':') && id.is_empty() {
            return Err(ChannelError::Id(shown(), "there is nothing after the colon"));
        }
        Self::new(kind, id)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_error_does_not_repeat_a_long_text() {
        for text in [
            "x".repeat(5_000),
            format!("chat:{}", "\u{18}".repeat(5_000)),
            format!("admin:{}", "7".repeat(5_000)),
        ] {
            let error = text.parse::<Channel>().unwrap_err().to_string();
            assert!(error.len() < 1_000, "{} bytes", error.len());
        }
    }

    #[test]
    fn djangos_groups_are_channels() {
        for (group, channel) in [
            ("customer_7", "customer:7"),
            ("restaurant_12", "restaurant:12"),
            ("delivery_31", "rider:31"),
            ("admin", "admin"),
            ("chat_room_88", "chat:88"),
        ] {
            assert_eq!(group.parse::<Channel>().map(|c| c.to_string()), Ok(channel.to_owned()));
        }
    }

    #[test]
    fn nobody_outside_can_name_the_tiers_own_channel() {
        assert!(Channel::sessions().as_str().parse::<Channel>().is_err());
    }

    #[test]
    fn what_is_not_a_channel_says_why() {
        for text in ["", ":", "customer", "customer:", "customer_", "admin:1", "admin_1", "kitchen:1"] {
            assert!(text.parse::<Channel>().is_err(), "{text:?} parsed");
        }
        let error = "customer:a.b".parse::<Channel>().expect_err("a dot would open a NATS subject");
        assert!(error.to_string().contains("A-Z a-z 0-9"), "{error}");
    }

    #[test]
    fn an_area_is_a_geohash_and_what_is_none_says_so() {
        for cell in ["u", "u33dc", "0123456789bc", "defghjkmnpqr", "stuvwxyz"] {
            assert_eq!(
                format!("area:{cell}").parse::<Channel>().map(|c| c.id().to_owned()),
                Ok(cell.to_owned())
            );
        }
        for wrong in ["a", "i", "l", "o", "U33DC", "u33-dc", "u33_dc", "0123456789bcd", "u33dc ", "ü"] {
            let error = format!("area:{wrong}").parse::<Channel>().expect_err(wrong).to_string();
            assert!(error.contains("an area is a geohash"), "{error}");
        }
    }

    #[test]
    fn each_kind_has_one_owner_and_the_riders_are_trackings() {
        for kind in ChannelKind::PUBLIC {
            let tracking = matches!(kind, ChannelKind::Rider | ChannelKind::Track | ChannelKind::Area);
            assert_eq!(kind.owner() == Domain::Tracking, tracking, "{}", kind.word());
        }
    }

    #[test]
    fn whoever_follows_a_delivery_or_an_area_does_not_learn_who_else_does() {
        for kind in [ChannelKind::Track, ChannelKind::Area] {
            assert!(!kind.has_presence() && !kind.tells_presence() && !kind.is_own_feed());
            // Newest values are what a newcomer needs; they come without asking the owner.
            assert!(!kind.has_snapshot());
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_it_gives_parses_again(text in "\\PC{0,90}") {
            if let Ok(channel) = text.parse::<Channel>() {
                prop_assert_eq!(channel.to_string().parse::<Channel>(), Ok(channel));
            }
        }

        #[test]
        fn every_valid_name_comes_back_whole(
            kind in 0usize..10, id in "[A-Za-z0-9_-]{1,64}", cell in "[0-9b-hjkmnp-z]{1,12}",
        ) {
            let Some(kind) = ChannelKind::PUBLIC.get(kind).copied() else { return Ok(()) };
            let id = match kind {
                ChannelKind::Area => cell.as_str(),
                _ if kind.has_id() => id.as_str(),
                _ => "",
            };
            let channel = Channel::new(kind, id).expect("valid parts");
            prop_assert_eq!(channel.kind(), kind);
            prop_assert_eq!(channel.id(), id);
            prop_assert_eq!(channel.as_str().parse::<Channel>(), Ok(channel.clone()));
        }

        #[test]
        fn no_name_can_leave_its_subject(text in "\\PC{0,90}") {
            if let Ok(channel) = text.parse::<Channel>() {
                prop_assert!(!channel.as_str().contains(['.', '*', '>', ' ', '\n']));
                prop_assert!(channel.as_str().matches(':').count() <= 1);
            }
        }
    }
}
