//! The sockets that are open on this edge, by user: for limits, revocations and drain.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use metrics::gauge;
use parking_lot::Mutex;
use platepal_auth::UserId;
use platepal_events::Channel;

use crate::queue::Queue;

/// All open sockets.
#[derive(Debug)]
pub(crate) struct Sessions {
    per_user_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Open>,
    per_user: HashMap<UserId, usize>,
}

#[derive(Debug)]
struct Open {
    user: UserId,
    channel: Channel,
    queue: Arc<Queue>,
}

/// A socket's entry; dropping it takes it out.
#[derive(Debug)]
pub(crate) struct Registration {
    sessions: Weak<Sessions>,
    id: u64,
}

impl Sessions {
    pub fn new(per_user_max: usize) -> Arc<Self> {
        Arc::new(Self { per_user_max, state: Mutex::default() })
    }

    /// Enters a socket; `None` when its user has too many.
    pub fn register(
        self: &Arc<Self>,
        user: &UserId,
        channel: &Channel,
        queue: &Arc<Queue>,
    ) -> Option<Registration> {
        let mut state = self.state.lock();
        let count = state.per_user.entry(user.clone()).or_default();
        if *count >= self.per_user_max {
            return None;
        }
        *count += 1;
        let id = state.next;
        state.next += 1;
        let open = Open { user: user.clone(), channel: channel.clone(), queue: Arc::clone(queue) };
        state.open.insert(id, open);
        gauge!("realtime_edge_connections").increment(1);
        Some(Registration { sessions: Arc::downgrade(self), id })
    }

    /// Has a user's sockets on a channel ask again whether they may read it.
    pub fn recheck(&self, user: &str, channel: &Channel) {
        let state = self.state.lock();
        for open in state.open.values() {
            if open.user.as_str() == user && open.channel == *channel {
                open.queue.recheck();
            }
        }
    }

    /// Has every socket ask again.
    pub fn recheck_all(&self) {
        self.state.lock().open.values().for_each(|open| open.queue.recheck());
    }

    /// The queues of all sockets.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.state.lock().open.values().map(|open| Arc::clone(&open.queue)).collect()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(sessions) = self.sessions.upgrade() else { return };
        let mut state = sessions.state.lock();
        let Some(open) = state.open.remove(&self.id) else { return };
        if let Some(count) = state.per_user.get_mut(&open.user) {
            *count -= 1;
            if *count == 0 {
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

    #[test]
    fn a_user_has_a_bound_and_a_closed_socket_makes_room() {
        let sessions = Sessions::new(2);
        let queue = Arc::new(Queue::new(Bound { frames: 1, bytes: 1 }));
        let (user, channel) = ("7".parse().unwrap(), "customer:7".parse().unwrap());
        let first = sessions.register(&user, &channel, &queue).unwrap();
        let _second = sessions.register(&user, &channel, &queue).unwrap();
        assert!(sessions.register(&user, &channel, &queue).is_none());
        assert!(sessions.register(&"8".parse().unwrap(), &channel, &queue).is_some());
        drop(first);
        assert!(sessions.register(&user, &channel, &queue).is_some());
    }
}
