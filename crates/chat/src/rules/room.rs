//! A room: who is in it, who may read and write, whether it is open, and whether it waits for an agent.
//!
//! Django says what a room is, in versions; the desk gives it an agent. Only members and staff come in, and nobody
//! writes in a closed room.

use platepal_auth::{Principal, Role};
use platepal_events::Timestamp;
use platepal_proto::v1;
use serde::{Deserialize, Serialize};

/// Members of a room: a customer, a restaurant, a courier, an agent.
pub(crate) const MEMBERS_MAX: usize = 4;

/// What a room is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum RoomType {
    #[default]
    Order,
    Restaurant,
    Courier,
    Support,
    RiderCustomer,
    RiderRestaurant,
    Dispatch,
}

/// As what somebody is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum MemberRole {
    Customer,
    Restaurant,
    Courier,
    Agent,
}

/// Somebody in a room, with what others see of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) user_id: String,
    pub(crate) role: MemberRole,
    #[serde(flatten)]
    pub(crate) face: Face,
}

/// What others see of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Face {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) photo_url: String,
}

/// A room as it is now. Moments are in microseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    pub(crate) kind: RoomType,
    pub(crate) order_id: String,
    pub(crate) members: Vec<Member>,
    pub(crate) version: u64,
    pub(crate) closed_at: Option<i64>,
    pub(crate) closes_at: Option<i64>,
    /// Since when nobody at the desk has it.
    pub(crate) waiting_since: Option<i64>,
}

/// What Django says of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) kind: RoomType,
    pub(crate) order_id: String,
    pub(crate) members: Vec<Member>,
    pub(crate) version: u64,
    pub(crate) closed: bool,
    pub(crate) closes_at: Option<i64>,
}

/// What an update is to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Put {
    Changed(Box<Room>),
    /// It says what is known.
    Same,
    /// A newer version is known.
    Stale,
}

/// Why somebody may not do something in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Objection {
    #[error("permission denied: you are not in this room")]
    Stranger,
    #[error("this room is closed; it can be read, nothing can be written")]
    Closed,
}

impl Room {
    pub(crate) fn member(&self, user_id: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.user_id == user_id)
    }

    pub(crate) fn agent(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.role == MemberRole::Agent)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed_at.is_some()
    }

    pub(crate) fn may_read(&self, principal: &Principal) -> bool {
        is_staff(principal) || self.member(principal.user_id.as_str()).is_some()
    }

    /// Whether somebody may write now; staff may without being a member.
    pub(crate) fn admits(&self, user_id: &str, is_staff: bool) -> Result<(), Objection> {
        match () {
            () if !is_staff && self.member(user_id).is_none() => Err(Objection::Stranger),
            () if self.is_closed() => Err(Objection::Closed),
            () => Ok(()),
        }
    }

    /// Takes what Django says. `known`: there is such a room already.
    pub(crate) fn put(&self, update: Update, known: bool, now: Timestamp) -> Put {
        let Update { kind, order_id, members, version, closed, closes_at } = update;
        if known && version != 0 && version < self.version {
            return Put::Stale;
        }
        let closed_at = closed.then(|| self.closed_at.unwrap_or(now.micros()));
        let closes_at = closes_at.filter(|_| !closed);
        let version = version.max(self.version);
        let room = Self { kind, order_id, members, version, closed_at, closes_at, waiting_since: None };
        let room = room.queued(self.waiting_since, now);
        if known && room == *self { Put::Same } else { Put::Changed(Box::new(room)) }
    }

    /// Closes it now.
    pub(crate) fn closed(&self, now: Timestamp) -> Self {
        Self { closed_at: Some(now.micros()), closes_at: None, waiting_since: None, ..self.clone() }
    }

    /// Another agent, or none.
    pub(crate) fn given_to(&self, agent: Option<Member>, now: Timestamp) -> Self {
        let mut room = self.clone();
        room.members.retain(|member| member.role != MemberRole::Agent);
        if let Some(agent) = agent {
            room.members.retain(|member| member.user_id != agent.user_id);
            room.members.push(agent);
        }
        room.queued(self.waiting_since, now)
    }

    /// A support room without an agent waits, since when it first had none.
    fn queued(mut self, since: Option<i64>, now: Timestamp) -> Self {
        let waits = self.kind == RoomType::Support && self.agent().is_none() && !self.is_closed();
        self.waiting_since = waits.then(|| since.unwrap_or(now.micros()));
        self
    }

    /// Who was in it before and is not any more.
    pub(crate) fn left_by(&self, before: &Self) -> Vec<String> {
        let left = before.members.iter().filter(|member| self.member(&member.user_id).is_none());
        left.map(|member| member.user_id.clone()).collect()
    }
}

/// Staff read and write in every room.
pub(crate) fn is_staff(principal: &Principal) -> bool {
    principal.has_role(Role::Support) || principal.has_role(Role::Admin)
}

/// What is wrong with members taken together; `None`: nothing.
pub(crate) fn objection(members: &[Member]) -> Option<String> {
    if members.len() > MEMBERS_MAX {
        return Some(format!("{}, the limit is {MEMBERS_MAX}: one of each role", members.len()));
    }
    members.iter().enumerate().find_map(|(index, member)| {
        let earlier = members.get(..index).unwrap_or_default();
        let twice = earlier.iter().any(|other| other.user_id == member.user_id);
        let crowded = earlier.iter().any(|other| other.role == member.role);
        (twice || crowded).then(|| format!("{} is there twice, or a second of its role", member.user_id))
    })
}

macro_rules! messages {
    ($own:ident, $message:ty, $($name:ident)+) => {
        impl $own {
            pub(crate) fn from_message(message: $message) -> Option<Self> {
                match message {
                    <$message>::Unspecified => None,
                    $( <$message>::$name => Some(Self::$name), )+
                }
            }

            pub(crate) fn to_message(self) -> $message {
                match self { $( Self::$name => <$message>::$name, )+ }
            }
        }
    };
}
messages!(RoomType, v1::RoomType, Order Restaurant Courier Support RiderCustomer RiderRestaurant Dispatch);
messages!(MemberRole, v1::MemberRole, Customer Restaurant Courier Agent);

impl RoomType {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Order => "ORDER",
            Self::Restaurant => "RESTAURANT",
            Self::Courier => "COURIER",
            Self::Support => "SUPPORT",
            Self::RiderCustomer => "RIDER_CUSTOMER",
            Self::RiderRestaurant => "RIDER_RESTAURANT",
            Self::Dispatch => "DISPATCH",
        }
    }
}

impl MemberRole {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Customer => "CUSTOMER",
            Self::Restaurant => "RESTAURANT",
            Self::Courier => "COURIER",
            Self::Agent => "AGENT",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_micros(0)
    }

    pub(crate) fn member(user_id: &str, role: MemberRole) -> Member {
        Member {
            user_id: user_id.into(),
            role,
            face: Face { name: format!("N{user_id}"), ..Face::default() },
        }
    }

    fn support(version: u64, members: Vec<Member>) -> Update {
        Update {
            kind: RoomType::Support,
            order_id: String::new(),
            members,
            version,
            closed: false,
            closes_at: None,
        }
    }

    fn put(room: &Room, update: Update, now: Timestamp) -> Room {
        match room.put(update, true, now) {
            Put::Changed(room) => *room,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_older_version_changes_nothing_and_the_same_one_neither() {
        let customer = || vec![member("7", MemberRole::Customer)];
        let room = put(&Room::default(), support(5, customer()), now());
        assert_eq!(room.put(support(4, Vec::new()), true, now()), Put::Stale);
        assert_eq!(room.put(support(5, customer()), true, now()), Put::Same);
        // Without versions the order of arrival counts.
        let room = put(&room, support(0, Vec::new()), now());
        assert_eq!((room.version, room.members.len()), (5, 0));
    }

    #[test]
    fn a_support_room_waits_until_an_agent_has_it_and_again_when_it_is_given_back() {
        let room = put(&Room::default(), support(1, vec![member("7", MemberRole::Customer)]), now());
        assert_eq!(room.waiting_since, Some(0));
        let later = now().plus_millis(60_000);
        assert_eq!(
            put(&room, support(2, Vec::new()), later).waiting_since,
            Some(0),
            "it waits since it first did"
        );
        let taken = room.given_to(Some(member("50", MemberRole::Agent)), later);
        assert_eq!((taken.waiting_since, taken.agent().unwrap().user_id.as_str()), (None, "50"));
        let handed = taken.given_to(Some(member("51", MemberRole::Agent)), later);
        assert_eq!(handed.left_by(&taken), ["50"]);
        assert_eq!(handed.given_to(None, later).waiting_since, Some(60_000_000));
        assert_eq!(room.closed(later).waiting_since, None);
    }

    #[test]
    fn strangers_stay_out_staff_come_in_and_nobody_writes_in_a_closed_room() {
        let room = put(&Room::default(), support(1, vec![member("7", MemberRole::Customer)]), now());
        assert_eq!(room.admits("7", false), Ok(()));
        assert_eq!(room.admits("8", false), Err(Objection::Stranger));
        assert_eq!(room.admits("8", true), Ok(()));
        let closed = room.closed(now());
        assert_eq!(closed.admits("7", false), Err(Objection::Closed));
        assert_eq!(closed.admits("50", true), Err(Objection::Closed));
        assert_eq!(
            closed.admits("8", false),
            Err(Objection::Stranger),
            "a stranger is not told that it is closed"
        );
    }

    #[test]
    fn there_is_one_member_of_each_role() {
        let two = [member("7", MemberRole::Customer), member("8", MemberRole::Customer)];
        assert!(objection(&two).is_some());
        let one_twice = [member("7", MemberRole::Customer), member("7", MemberRole::Courier)];
        assert!(objection(&one_twice).is_some());
        assert_eq!(objection(&[member("7", MemberRole::Customer), member("8", MemberRole::Agent)]), None);
    }

    proptest! {
        #[test]
        fn whatever_django_says_a_room_waits_only_if_it_is_open_support_without_an_agent(
            steps in proptest::collection::vec((0u64..4, 0usize..16, any::<bool>(), any::<bool>()), 0..20)
        ) {
            let roles = [MemberRole::Customer, MemberRole::Restaurant, MemberRole::Courier, MemberRole::Agent];
            let mut room = Room::default();
            let mut known = false;
            for (version, who, is_support, closed) in steps {
                let members = (0..4).filter(|bit| who & (1 << bit) != 0);
                let members = members.map(|bit| member(&bit.to_string(), roles[bit])).collect();
                let kind = if is_support { RoomType::Support } else { RoomType::Order };
                let update = Update { kind, closed, ..support(version, members) };
                let before = room.version;
                if let Put::Changed(changed) = room.put(update, known, now()) {
                    room = *changed;
                    known = true;
                }
                prop_assert!(room.version >= before);
                let waits = room.kind == RoomType::Support && room.agent().is_none() && !room.is_closed();
                prop_assert_eq!(known && waits, room.waiting_since.is_some());
            }
        }
    }
}
