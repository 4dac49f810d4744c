//! What happens without being asked: pushes and text messages become due, other domains' events become notifications,
//! what is old is forgotten.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use platepal_events::{Channel, Entry, Timestamp};
use platepal_proto::v1;
use platepal_service::{
    Clock,
    edges::Edges,
    learning::Learner,
    outbox::Outbox,
    timers::{Timer, Timers},
    worker::Chores,
};

use crate::{
    rules::{
        kinds::{self, Way},
        produce::{Produced, produce},
        templates::Templates,
    },
    store::{Store, inbox::New},
};

/// The rounds of a replica.
pub(crate) struct Rounds {
    pub(crate) store: Store,
    /// Who is connected; `None`: nobody can be asked, and an open socket shows nothing.
    pub(crate) edges: Option<Edges>,
}

impl Rounds {
    /// Whether a socket is open on which the user sees notifications.
    async fn is_connected(&self, user_id: &str) -> bool {
        let Some(edges) = self.edges.as_ref().filter(|_| self.store.settings.connected_shows) else {
            return false;
        };
        let request = v1::ConnectedRequest { user_id: user_id.to_owned(), limit: 100, ..Default::default() };
        let connected = edges.connected(request).await;
        let shows = |name: &String| {
            [format!("inbox:{user_id}"), format!("customer:{user_id}"), format!("rider:{user_id}")]
                .contains(name)
        };
        connected.sessions.iter().any(|session| session.channels.iter().any(shows))
    }
}

#[async_trait]
impl Chores for Rounds {
    fn timers(&self) -> &Timers {
        &self.store.timers
    }

    fn outbox(&self) -> &Outbox {
        &self.store.outbox
    }

    async fn fire(&self, timer: &Timer, now: Timestamp) -> Result<Option<Vec<Channel>>, String> {
        let user_id = self.store.user_of(timer).await.map_err(|why| why.to_string())?;
        let fired = match &user_id {
            Some(user_id) => {
                let is_connected = self.is_connected(user_id).await;
                self.store.fire_way(timer, user_id, is_connected, now).await
            }
            None => self.store.drop_timer(timer).await.map(|()| false),
        };
        // A push is no event: nothing waits to be told.
        fired.map(|fired| fired.then(Vec::new)).map_err(|why| why.to_string())
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), String> {
        let forgotten = self.store.forget(now).await.map_err(|why| why.to_string())?;
        metrics::counter!("realtime_notifications_forgotten_total").increment(forgotten);
        Ok(())
    }
}

/// Makes notifications of other domains' events.
pub(crate) struct Producer {
    pub(crate) store: Store,
    pub(crate) templates: Arc<Templates>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Learner for Producer {
    async fn learn(&self, entry: &Entry) -> Result<(), String> {
        let Some(produced) = produce(entry) else { return Ok(()) };
        let Produced { user_id, kind, data, dedupe_key, collapse_key } = produced;
        let (category, priority) = kinds::defaults(kind);
        let new = New {
            user_id,
            kind: kind.to_owned(),
            category,
            priority,
            words: None,
            data,
            dedupe_key: Some(dedupe_key),
            collapse_key,
            ways: BTreeSet::from([Way::Push]),
            ttl: None,
            traceparent: entry.event.traceparent.to_string(),
        };
        let now = self.clock.now();
        let made = self.store.make(new, &self.templates, now).await.map_err(|why| why.to_string())?;
        let source = if made.duplicate { "repeat" } else { "event" };
        metrics::counter!("realtime_notifications_made_total", "source" => source).increment(1);
        if let Err(why) = self.store.outbox.drain(&made.stream, now).await {
            tracing::warn!(stream = %made.stream, %why, "a notification is kept but not told yet; will try again");
        }
        Ok(())
    }
}
