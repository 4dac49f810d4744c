//! What is kept: rooms, messages, how far everybody has read, what is still to be told and to become due.
//!
//! One transaction keeps a change and everything that follows from it: the room's row is locked, the pure rule decides,
//! and message, sequence, outbox and Django's copy are written together. Nothing here decides.
//!
//! Locks are taken in one order everywhere: rooms by their ids, timers, the feed, streams. So no two transactions wait
//! for each other.
//!
//! SQLite and PostgreSQL understand the same statements ([`platepal_service::sql`]), so there is one store; its tests run
//! on both. Only searching words differs.

pub(crate) mod desk;
pub(crate) mod messages;
pub(crate) mod people;
pub(crate) mod reads;
mod retention;
pub(crate) mod rooms;
pub(crate) mod search;
pub(crate) mod send;

use std::sync::Arc;

use platepal_bus::Bus;
use platepal_events::{Channel, ChannelKind, Event, EventId, EventType, Timestamp};
use platepal_service::{
    Database, DatabaseError, Lanes,
    access::Granted,
    feed::Feed,
    ids::Ids,
    keep_together,
    outbox::{Letter, Outbox},
    sql::Transaction,
    timers::Timers,
};

use crate::settings::Settings;
use send::{Job, SendError, Sent};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the store is unavailable: {0}; nothing was kept, repeat with the same ids")]
    Database(#[from] sqlx::Error),
    #[error("{0} is kept in a form that does not read: {1}; was it written by a newer version?")]
    State(String, serde_json::Error),
    #[error("message {0} is kept with a word that this version does not know")]
    Word(i64),
    #[error("{0}")]
    Name(#[from] platepal_events::ChannelError),
}

/// The chat's tables.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
    pub(crate) timers: Timers,
    pub(crate) grants: Granted,
    pub(crate) feed: Feed,
    settings: Settings,
    ids: Ids,
    lanes: Lanes<Job, Result<Sent, SendError>>,
}

impl Store {
    /// Brings the tables up to date.
    pub(crate) async fn open(
        database: Database,
        bus: Arc<dyn Bus>,
        settings: &Settings,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        database.migrate("chat", sqlx::migrate!("./migrations")).await?;
        search::index(&database).await.map_err(|why| DatabaseError::Migrate {
            domain: "chat",
            source: sqlx::migrate::MigrateError::Execute(why),
        })?;
        let outbox = Outbox::forgetting(database.clone(), bus, "chat", connections);
        let store = Self {
            grants: Granted::new(database.clone(), outbox.clone(), "chat"),
            timers: Timers::new(database.clone(), "chat"),
            feed: Feed::new(database.clone(), "chat"),
            ids: Ids::new(database.clone(), "chat", "messages"),
            // They write to the store, which has to be there first.
            lanes: Lanes::default(),
            settings: settings.clone(),
            outbox,
            database,
        };
        let count = match &store.database {
            Database::Sqlite(_) => 1,
            // Half of the connections stay free for everything else.
            Database::Postgres(_) => settings.lanes.clamp(1, (connections as usize / 2).max(1)),
        };
        let kept_by = store.clone();
        let lanes =
            Lanes::new(count, settings.group.max(1), move |jobs| keep_together(kept_by.clone(), jobs));
        Ok(Self { lanes, ..store })
    }

    /// Puts an event of a room into the outbox, as part of a transaction.
    pub(super) async fn put_event(
        &self,
        tx: &mut Transaction,
        room: &Channel,
        channels: Vec<Channel>,
        (kind, payload): (&'static str, String),
        traceparent: &str,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        self.outbox.put(tx, &letter(room, channels, (kind, payload), traceparent, now), now).await
    }
}

/// An event of a room.
fn letter(
    room: &Channel,
    channels: Vec<Channel>,
    (kind, payload): (&'static str, String),
    traceparent: &str,
    now: Timestamp,
) -> Letter {
    let event = Event {
        traceparent: traceparent.into(),
        ..Event::new(EventId::make(), EventType::named(kind), payload, now)
    };
    Letter { stream: room.clone(), event, channels }
}

/// The channel of a room.
pub(crate) fn channel(room_id: &str) -> Result<Channel, platepal_events::ChannelError> {
    Channel::new(ChannelKind::Chat, room_id)
}
