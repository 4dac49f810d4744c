//! What is kept: inboxes, preferences, devices, pushes to send, what became of them, what is handed over.
//!
//! One transaction keeps a notification and everything that follows from it: its user's row is locked, the pure rules
//! decide, and inbox, counts, plans, outbox and hand-over are written together. Nothing here decides.
//!
//! Locks are taken in one order everywhere: user, inbox, pushes, timers, the feed, streams. So no two transactions wait
//! for each other.
//!
//! SQLite and PostgreSQL understand the same statements ([`platepal_service::sql`]), so there is one store; its tests run
//! on both.

pub(crate) mod deliveries;
pub(crate) mod devices;
pub(crate) mod inbox;
pub(crate) mod people;
pub(crate) mod preferences;
pub(crate) mod pushes;
mod retention;

use std::sync::Arc;

use platepal_bus::Bus;
use platepal_events::{Channel, ChannelKind, Event, EventId, EventType, Timestamp};
use platepal_service::{
    Database, DatabaseError,
    access::Granted,
    feed::Feed,
    ids::Ids,
    outbox::{Letter, Outbox},
    sql::Transaction,
    timers::Timers,
};

use crate::{rules::preferences::Preferences, settings::Settings};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the store is unavailable: {0}; nothing was kept, repeat with the same keys")]
    Database(#[from] sqlx::Error),
    #[error("{0} is kept in a form that does not read: {1}; was it written by a newer version?")]
    State(String, serde_json::Error),
    #[error("notification {0} is kept with a word that this version does not know")]
    Word(i64),
    #[error("{0}")]
    Name(#[from] platepal_events::ChannelError),
}

/// The tables of notifications.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
    pub(crate) timers: Timers,
    pub(crate) grants: Granted,
    pub(crate) feed: Feed,
    pub(crate) settings: Settings,
    ids: Ids,
}

/// A user's row, locked.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) user_id: String,
    pub(crate) sequence: i64,
    pub(crate) unread: i64,
    pub(crate) preferences: Preferences,
    pub(crate) promo_day: String,
    pub(crate) promo_count: i64,
}

impl Store {
    /// Brings the tables up to date.
    pub(crate) async fn open(
        database: Database,
        bus: Arc<dyn Bus>,
        settings: &Settings,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        database.migrate("notifications", sqlx::migrate!("./migrations")).await?;
        let outbox = Outbox::forgetting(database.clone(), bus, "notifications", connections);
        Ok(Self {
            grants: Granted::new(database.clone(), outbox.clone(), "notifications"),
            timers: Timers::new(database.clone(), "notifications"),
            feed: Feed::new(database.clone(), "notifications"),
            ids: Ids::new(database.clone(), "notifications", "notifications"),
            settings: settings.clone(),
            outbox,
            database,
        })
    }

    /// A user whom nobody else changes until the transaction ends.
    async fn lock_user(&self, tx: &mut Transaction, user_id: &str) -> Result<User, StoreError> {
        tx.execute(
            "INSERT INTO notifications_users (user_id, sequence, unread, preferences, promo_day, promo_count) \
             VALUES ($1, 0, 0, '', '', 0) ON CONFLICT (user_id) DO NOTHING",
            &[user_id.into()],
        )
        .await?;
        let sql = format!(
            "SELECT sequence, unread, preferences, promo_day, promo_count FROM notifications_users WHERE user_id = $1{}",
            tx.for_update()
        );
        let row = tx.row(&sql, &[user_id.into()]).await?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(User {
            user_id: user_id.to_owned(),
            sequence: row.int("sequence")?,
            unread: row.int("unread")?,
            preferences: preferences::read(user_id, &row.text("preferences")?)?,
            promo_day: row.text("promo_day")?,
            promo_count: row.int("promo_count")?,
        })
    }

    async fn save_user(&self, tx: &mut Transaction, user: &User) -> Result<(), StoreError> {
        let sql = "UPDATE notifications_users SET sequence = $2, unread = $3, promo_day = $4, promo_count = $5 WHERE user_id = $1";
        tx.execute(
            sql,
            &[
                (&user.user_id).into(),
                user.sequence.into(),
                user.unread.into(),
                (&user.promo_day).into(),
                user.promo_count.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Puts an event of a user's inbox into the outbox, as part of a transaction; the stream to drain.
    async fn put_event(
        &self,
        tx: &mut Transaction,
        user_id: &str,
        (kind, payload): (&'static str, String),
        traceparent: &str,
        now: Timestamp,
    ) -> Result<Channel, StoreError> {
        let stream = Channel::new(ChannelKind::Inbox, user_id)?;
        // PlatePal's frontends have one feed per role; which of them is this user's is not known here.
        let channels = vec![
            stream.clone(),
            Channel::new(ChannelKind::Customer, user_id)?,
            Channel::new(ChannelKind::Rider, user_id)?,
        ];
        let event = Event {
            traceparent: traceparent.into(),
            ..Event::new(EventId::make(), EventType::named(kind), payload, now)
        };
        self.outbox.put(tx, &Letter { stream: stream.clone(), event, channels }, now).await?;
        Ok(stream)
    }
}
