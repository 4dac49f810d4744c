//! The connections that are open on this edge: for limits, questions, orders and drain.
//!
//! Invariant: an entry lives exactly as long as its [`Registration`]; what is said of a connection here is what
//! its own task last said.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Weak},
};

use metrics::gauge;
use parking_lot::Mutex;
use platepal_auth::UserId;
use platepal_events::{Channel, Timestamp};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::queue::{Order, Queue};

/// Names a connection, on one edge.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClientId(u64);

/// All open connections.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Of this process; the first half of its clients' ids.
    edge: u64,
    per_user_max: usize,
    /// Of whoever has the link to one delivery.
    per_link_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<ClientId, Open>,
    per_user: HashMap<UserId, SmallVec<[ClientId; 2]>>,
}

/// What is known of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub user: UserId,
    /// `platepal`, `centrifuge`, `events`.
    pub protocol: &'static str,
    pub address: Option<IpAddr>,
    pub connected_at: Timestamp,
    pub expires_at: Timestamp,
    /// JSON for others to see.
    pub info: Option<Arc<str>>,
    pub channels: SmallVec<[Channel; 1]>,
    /// The secret that stands for it, if it has no socket.
    pub secret: Option<Arc<str>>,
    pub queue: Arc<Queue>,
}

/// A connection's entry; dropping it takes it out.
#[derive(Debug)]
pub(crate) struct Registration {
    sessions: Weak<Sessions>,
    id: ClientId,
}

/// Which connections are meant: those to which everything that is given applies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector<'a> {
    pub user: Option<&'a str>,
    pub client: Option<ClientId>,
    pub secret: Option<&'a str>,
    pub channel: Option<&'a Channel>,
}

impl Sessions {
    pub fn new(edge: u64, per_user_max: usize, per_link_max: usize) -> Arc<Self> {
        Arc::new(Self { edge, per_user_max, per_link_max, state: Mutex::default() })
    }

    /// Enters a connection; `None` when its user has too many.
    pub fn register(self: &Arc<Self>, open: Open) -> Option<Registration> {
        // A link that is passed on is many people.
        let is_link = open.user.shared_delivery().is_some();
        let max = if is_link { self.per_link_max } else { self.per_user_max };
        let mut state = self.state.lock();
        let id = ClientId(state.next);
        let of_user = state.per_user.entry(open.user.clone()).or_default();
        if of_user.len() >= max {
            return None;
        }
        of_user.push(id);
        state.next += 1;
        state.open.insert(id, open);
        gauge!("realtime_edge_connections").increment(1);
        Some(Registration { sessions: Arc::downgrade(self), id })
    }

    /// This process among all edges.
    pub fn edge_name(&self) -> String {
        platepal_service::edges::name(self.edge)
    }

    /// A connection's id as its client knows it.
    pub fn client_name(&self, id: ClientId) -> String {
        Uuid::from_u64_pair(self.edge, id.0).to_string()
    }

    /// The connection that a client's id names; `None` if it is of another edge.
    pub fn client_of(&self, name: &str) -> Option<ClientId> {
        let (edge, id) = Uuid::parse_str(name).ok()?.as_u64_pair();
        (edge == self.edge).then_some(ClientId(id))
    }

    /// Those that a selector means.
    pub fn select(&self, selector: &Selector<'_>) -> Vec<(ClientId, Open)> {
        let state = self.state.lock();
        let fits = |id: &ClientId, open: &Open| {
            selector.user.is_none_or(|user| open.user.as_str() == user)
                && selector.client.is_none_or(|client| *id == client)
                && selector.secret.is_none_or(|secret| open.secret.as_deref() == Some(secret))
                && selector.channel.is_none_or(|channel| open.channels.contains(channel))
        };
        let candidates: Box<dyn Iterator<Item = (&ClientId, &Open)>> = match (selector.client, selector.user)
        {
            (Some(client), _) => Box::new(state.open.get_key_value(&client).into_iter()),
            (None, Some(user)) => {
                let ids = user.parse::<UserId>().ok().and_then(|user| state.per_user.get(&user));
                Box::new(ids.into_iter().flatten().filter_map(|id| state.open.get_key_value(id)))
            }
            (None, None) => Box::new(state.open.iter()),
        };
        candidates.filter(|(id, open)| fits(id, open)).map(|(id, open)| (*id, open.clone())).collect()
    }

    /// Of these connections, those that are open.
    pub fn of(&self, ids: &[ClientId]) -> Vec<(ClientId, Open)> {
        let state = self.state.lock();
        ids.iter().filter_map(|id| state.open.get(id).map(|open| (*id, open.clone()))).collect()
    }

    /// Has a user's connections to a channel ask again whether they may read it; `None`: everybody's.
    pub fn recheck(&self, user: Option<&str>, channel: &Channel) {
        let selector = Selector { user, channel: Some(channel), ..Selector::default() };
        for (_, open) in self.select(&selector) {
            open.queue.order(Order::Recheck);
        }
    }

    /// Has every connection ask again.
    pub fn recheck_all(&self) {
        self.state.lock().open.values().for_each(|open| open.queue.order(Order::Recheck));
    }

    /// The queues of all connections.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.state.lock().open.values().map(|open| Arc::clone(&open.queue)).collect()
    }

    /// Connections, and different users among them.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.open.len(), state.per_user.len())
    }
}

/// Different users among connections.
pub(crate) fn users(open: &[(ClientId, Open)]) -> HashSet<&UserId> {
    open.iter().map(|(_, open)| &open.user).collect()
}

impl Registration {
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The connection reads a channel from now on.
    pub fn enter(&self, channel: &Channel) {
        self.change(|open| open.channels.push(channel.clone()));
    }

    /// The connection reads a channel no longer.
    pub fn leave(&self, channel: &Channel) {
        self.change(|open| open.channels.retain(|own| own != channel));
    }

    /// The connection will end at another moment.
    pub fn expires_at(&self, moment: Timestamp) {
        self.change(|open| open.expires_at = moment);
    }

    fn change(&self, change: impl FnOnce(&mut Open)) {
        let Some(sessions) = self.sessions.upgrade() else { return };
        if let Some(open) = sessions.state.lock().open.get_mut(&self.id) {
            change(open);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(sessions) = self.sessions.upgrade() else { return };
        let mut state = sessions.state.lock();
        let Some(open) = state.open.remove(&self.id) else { return };
        if let Some(of_user) = state.per_user.get_mut(&open.user) {
            of_user.retain(|id| *id != self.id);
            if of_user.is_empty() {
                state.per_user.remove(&open.user);
            }
        }
        gauge!("realtime_edge_connections").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::queue::Bound;

    fn open(user: &str, channel: &str) -> Open {
        Open {
            user: user.parse().unwrap(),
            protocol: "platepal",
            address: None,
            connected_at: Timestamp::from_micros(0),
            expires_at: Timestamp::from_micros(1),
            info: None,
            channels: SmallVec::from_iter([channel.parse().unwrap()]),
            secret: None,
            queue: Arc::new(Queue::new(Bound { frames: 1, latest: 1, bytes: 1 })),
        }
    }

    #[test]
    fn a_user_has_a_bound_and_a_closed_socket_makes_room() {
        let sessions = Sessions::new(1, 2, 3);
        let first = sessions.register(open("7", "customer:7")).unwrap();
        let _second = sessions.register(open("7", "customer:7")).unwrap();
        assert!(sessions.register(open("7", "customer:7")).is_none());
        assert!(sessions.register(open("8", "customer:8")).is_some());
        drop(first);
        assert!(sessions.register(open("7", "customer:7")).is_some());
        // A link has a bound of its own.
        let links: Vec<_> = (0..4).map(|_| sessions.register(open("share:7", "track:7"))).collect();
        assert_eq!(links.iter().flatten().count(), 3);
        assert!(sessions.register(open("share:8", "track:8")).is_some());
    }

    #[test]
    fn those_are_selected_to_whom_everything_applies() {
        let sessions = Sessions::new(1, 9, 9);
        let chat = sessions.register(open("7", "chat:1")).unwrap();
        let own = sessions.register(open("7", "customer:7")).unwrap();
        let _other = sessions.register(open("8", "chat:1")).unwrap();
        let ids = |selector: Selector<'_>| {
            let mut ids: Vec<u64> = sessions.select(&selector).iter().map(|(id, _)| id.0).collect();
            ids.sort_unstable();
            ids
        };
        let channel: Channel = "chat:1".parse().unwrap();
        assert_eq!(ids(Selector { user: Some("7"), ..Selector::default() }), [0, 1]);
        assert_eq!(ids(Selector { channel: Some(&channel), ..Selector::default() }), [0, 2]);
        assert_eq!(ids(Selector { user: Some("7"), channel: Some(&channel), ..Selector::default() }), [0]);
        assert_eq!(ids(Selector { client: Some(own.id()), ..Selector::default() }), [1]);
        assert_eq!(ids(Selector { client: Some(own.id()), user: Some("8"), ..Selector::default() }), [0; 0]);
        chat.leave(&channel);
        assert_eq!(ids(Selector { channel: Some(&channel), ..Selector::default() }), [2]);
        let name = sessions.client_name(own.id());
        assert_eq!(sessions.client_of(&name), Some(own.id()));
        assert_eq!(Sessions::new(2, 9, 9).client_of(&name), None);
    }
}
