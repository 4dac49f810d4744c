//! What is kept: menus with their versions, items, timers, what is to be told.
//!
//! One transaction keeps an update and everything that follows from it: the menu's row is locked, the pure rules decide,
//! and items, timers and outbox are written together. Nothing here decides.
//!
//! A menu has two streams in the outbox. In that of `menu:12` are the values for whoever reads the menu, and nothing
//! else, so its place is the one up to which a state has them. In that of `restaurant:12` is what happened, in order.
//!
//! SQLite and PostgreSQL understand the same statements ([`platepal_service::sql`]), so there is one store; its tests run
//! on both.

mod back;
mod items;
mod retention;

use std::sync::Arc;

use platepal_bus::Bus;
use platepal_events::{Channel, ChannelKind, Epoch, Event, EventId, Position, Timestamp};
use platepal_service::{
    Database, DatabaseError, Group, Keeper, keep, keep_together,
    outbox::{Letter, Outbox, OutboxError},
    sql::Transaction,
    timers::Timers,
};

use crate::{
    rules::{
        item::Item,
        menu::{Outcome, Step, Telling, Update},
    },
    settings::Settings,
};

/// What became of an update.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) outcome: Outcome,
    /// The event id was known: nothing was kept again.
    pub(crate) repeated: bool,
    /// The menu's version now.
    pub(crate) menu_version: u64,
    /// Of the changes, so many were older than what is held, and so many contradicted it.
    pub(crate) older: usize,
    pub(crate) conflicts: usize,
    /// Streams in which something waits now.
    pub(crate) streams: Vec<Channel>,
}

/// A menu, and how far its values were told.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) menu_version: u64,
    /// By their ids, without those that are no longer on the menu.
    pub(crate) items: Vec<Item>,
    /// The newest value that `menu:{id}` has; `None`: none yet.
    pub(crate) told: Option<Position>,
    /// Something is kept but not told yet.
    pub(crate) waits: bool,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the store is unavailable: {0}; nothing was kept, repeat with the same event_id")]
    Database(#[from] sqlx::Error),
    #[error("item {0} is kept in a form that does not read: {1}; was it written by a newer version?")]
    State(String, serde_json::Error),
    #[error("{0}")]
    Name(#[from] platepal_events::ChannelError),
    #[error(
        "the menu would have {0} items, the limit is {1} (REALTIME_MENUS_ITEMS); nothing was kept; remove items that are \
         no longer on it"
    )]
    Full(u64, u32),
}

/// The tables of menus.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
    pub(crate) timers: Timers,
    pub(crate) settings: Settings,
    /// SQLite: updates that come at the same time are kept in one commit.
    together: Option<Group<Job, Result<Kept, StoreError>>>,
}

/// An update to keep.
type Job = (Update, Timestamp);

/// Updates of one commit of SQLite.
const JOBS: usize = 64;
/// Events that the outbox takes at once.
const LETTERS_MAX: usize = 1_000;

/// A menu's row, locked.
struct Menu {
    version: u64,
    items: i64,
}

impl Store {
    /// Brings the tables up to date.
    pub(crate) async fn open(
        database: Database,
        bus: Arc<dyn Bus>,
        settings: &Settings,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        database.migrate("menus", sqlx::migrate!("./migrations")).await?;
        let store = Self {
            outbox: Outbox::new(database.clone(), bus, "menus", connections),
            timers: Timers::new(database.clone(), "menus"),
            settings: settings.clone(),
            database,
            together: None,
        };
        let together = matches!(store.database, Database::Sqlite(_)).then(|| {
            let store = store.clone();
            Group::new(JOBS, move |jobs| keep_together(store.clone(), jobs))
        });
        Ok(Self { together, ..store })
    }

    /// Keeps an update and all that follows from it.
    pub(crate) async fn keep(&self, update: Update, now: Timestamp) -> Result<Kept, StoreError> {
        match &self.together {
            Some(together) => together.run((update, now)).await.ok_or(sqlx::Error::PoolClosed)?,
            None => keep(self, &(update, now)).await,
        }
    }

    async fn keep_in(
        &self,
        tx: &mut Transaction,
        update: &Update,
        now: Timestamp,
    ) -> Result<Kept, StoreError> {
        let Update { event_id, restaurant_id, stamp, changes, telling, .. } = update;
        let streams = Streams::of(restaurant_id)?;
        let menu = self.lock(tx, restaurant_id).await?;
        if let Some((owner, outcome)) = self.known(tx, event_id).await? {
            return self.repeat(tx, update, (&owner, outcome), menu.version, &streams, now).await;
        }
        let ids: Vec<&str> = changes.iter().map(|change| change.item_id.as_str()).collect();
        let held = self.held(tx, restaurant_id, &ids).await?;
        let mut step = Step::of(&held, changes, *stamp, self.settings.low_inventory);
        let is_told = step.is_told();
        let menu_version = menu.version + u64::from(is_told);
        self.save_step(tx, restaurant_id, &mut step, &menu, menu_version, now).await?;

        let mut letters = streams.values(&step, restaurant_id, update.at(), &update.traceparent);
        let mut outcome = step.outcome;
        match telling {
            Telling::Derived(channels) => {
                let source = ["menus", event_id.as_str()];
                let events = step.happenings(restaurant_id, &source, update.at());
                letters.extend(streams.happenings(events, channels, &update.traceparent));
            }
            // What Django says is told, unless it is known to be over.
            Telling::Verbatim(event, channels) if changes.is_empty() || outcome != Outcome::Superseded => {
                outcome = Outcome::New;
                let channels = streams.audience(event, channels);
                letters.push(Letter { stream: streams.restaurant.clone(), event: event.clone(), channels });
            }
            Telling::Verbatim(..) => {}
        }
        let waiting = self.put(tx, &letters, now).await?;
        self.remember(tx, update, outcome, menu_version, now).await?;
        let Step { older, conflicts, .. } = step;
        Ok(Kept { outcome, repeated: false, menu_version, older, conflicts, streams: waiting })
    }

    /// An update whose event id is known. Django may send one change to several groups, one event each: whoever was not
    /// told yet is told now.
    async fn repeat(
        &self,
        tx: &mut Transaction,
        update: &Update,
        (owner, outcome): (&str, Outcome),
        menu_version: u64,
        streams: &Streams,
        now: Timestamp,
    ) -> Result<Kept, StoreError> {
        let mut kept = Kept {
            outcome: if outcome == Outcome::New { Outcome::Duplicate } else { outcome },
            repeated: true,
            menu_version,
            older: 0,
            conflicts: 0,
            streams: vec![streams.menu.clone(), streams.restaurant.clone()],
        };
        // Else the id was used for another menu.
        if let Telling::Verbatim(event, channels) = &update.telling
            && outcome == Outcome::New
            && owner == update.restaurant_id
        {
            let channels = streams.audience(event, channels);
            let letter = Letter { stream: streams.restaurant.clone(), event: event.clone(), channels };
            let missing = self.outbox.missing(tx, &letter).await?;
            self.outbox.put_all(tx, &missing, now).await?;
            if !missing.is_empty() {
                kept.outcome = Outcome::New;
            }
        }
        Ok(kept)
    }

    /// A menu that nobody else changes until the transaction ends.
    async fn lock(&self, tx: &mut Transaction, restaurant_id: &str) -> Result<Menu, StoreError> {
        tx.execute(
            "INSERT INTO menus_menus (restaurant_id, version, items) VALUES ($1, 0, 0) \
             ON CONFLICT (restaurant_id) DO NOTHING",
            &[restaurant_id.into()],
        )
        .await?;
        let sql =
            format!("SELECT version, items FROM menus_menus WHERE restaurant_id = $1{}", tx.for_update());
        let row = tx.row(&sql, &[restaurant_id.into()]).await?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(Menu { version: u64::try_from(row.int("version")?).unwrap_or_default(), items: row.int("items")? })
    }

    /// The menu and the outcome of an event id that was taken before.
    async fn known(
        &self,
        tx: &mut Transaction,
        event_id: &EventId,
    ) -> Result<Option<(String, Outcome)>, StoreError> {
        let sql = "SELECT restaurant_id, outcome FROM menus_updates WHERE event_id = $1";
        let Some(row) = tx.row(sql, &[event_id.as_str().into()]).await? else { return Ok(None) };
        Ok(Some((row.text("restaurant_id")?, Outcome::from_word(&row.text("outcome")?))))
    }

    async fn remember(
        &self,
        tx: &mut Transaction,
        update: &Update,
        outcome: Outcome,
        menu_version: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO menus_updates (event_id, restaurant_id, outcome, menu_version, kept_at) \
                   VALUES ($1, $2, $3, $4, $5)";
        let values = [
            update.event_id.as_str().into(),
            (&update.restaurant_id).into(),
            outcome.word().into(),
            number(menu_version).into(),
            now.micros().into(),
        ];
        tx.execute(sql, &values).await?;
        Ok(())
    }

    /// Puts events into the outbox; the streams in which something waits then.
    async fn put(
        &self,
        tx: &mut Transaction,
        letters: &[Letter],
        now: Timestamp,
    ) -> Result<Vec<Channel>, StoreError> {
        let mut streams: Vec<Channel> = Vec::new();
        for letters in letters.chunks(LETTERS_MAX) {
            self.outbox.put_all(tx, letters, now).await?;
        }
        for Letter { stream, .. } in letters {
            if !streams.contains(stream) {
                streams.push(stream.clone());
            }
        }
        Ok(streams)
    }

    /// Tells what waits in some streams.
    pub(crate) async fn drain(&self, streams: &[Channel], now: Timestamp) -> Result<(), OutboxError> {
        let (first, rest) = match streams {
            [] => return Ok(()),
            [first, rest @ ..] => (first, rest),
        };
        // At once: what happens in one takes nothing from the other.
        let (told, others) = tokio::join!(self.outbox.drain(first, now), async {
            for stream in rest {
                self.outbox.drain(stream, now).await?;
            }
            Ok(())
        });
        told.and(others)
    }

    /// A menu as it is now.
    pub(crate) async fn read(&self, restaurant_id: &str) -> Result<Read, StoreError> {
        let menu = Channel::new(ChannelKind::Menu, restaurant_id)?;
        // What is committed between this statement and the next is in the items, with a newer version, and is told later:
        // who has it already sees that by its version.
        let sql = "SELECT m.version, COALESCE(s.seq, 0) AS seq, COALESCE(s.told_seq, 0) AS told_seq, \
                   COALESCE(s.told_epoch, '') AS told_epoch, COALESCE(s.told_offset, 0) AS told_offset \
                   FROM menus_menus m LEFT JOIN menus_streams s ON s.stream = $2 WHERE m.restaurant_id = $1";
        let rows = self.database.rows(sql, &[restaurant_id.into(), menu.as_str().into()]).await?;
        let Some(row) = rows.first() else {
            return Ok(Read { menu_version: 0, items: Vec::new(), told: None, waits: false });
        };
        let items = self.all(restaurant_id).await?;
        let epoch = row.text("told_epoch")?;
        let offset = u64::try_from(row.int("told_offset")?).unwrap_or_default();
        Ok(Read {
            menu_version: u64::try_from(row.int("version")?).unwrap_or_default(),
            items,
            told: (!epoch.is_empty()).then(|| Position { epoch: Epoch::new(epoch), offset }),
            waits: row.int("seq")? > row.int("told_seq")?,
        })
    }
}

impl Keeper for Store {
    type Job = Job;
    type Answer = Kept;
    type Error = StoreError;

    async fn keep_all(&self, jobs: &[Job]) -> Result<Vec<Result<Kept, StoreError>>, StoreError> {
        let mut tx = self.database.begin().await?;
        let mut kept = Vec::with_capacity(jobs.len());
        for (update, now) in jobs {
            kept.push(Ok(self.keep_in(&mut tx, update, *now).await?));
        }
        tx.commit().await?;
        Ok(kept)
    }
}

/// The streams of a menu, named after who is told.
struct Streams {
    menu: Channel,
    restaurant: Channel,
}

impl Streams {
    fn of(restaurant_id: &str) -> Result<Self, StoreError> {
        Ok(Self {
            menu: Channel::new(ChannelKind::Menu, restaurant_id)?,
            restaurant: Channel::new(ChannelKind::Restaurant, restaurant_id)?,
        })
    }

    fn values(&self, step: &Step, restaurant_id: &str, at: Timestamp, traceparent: &str) -> Vec<Letter> {
        let letter = |event: Event| Letter {
            stream: self.menu.clone(),
            event: Event { traceparent: traceparent.into(), ..event },
            channels: vec![self.menu.clone()],
        };
        step.values(restaurant_id, at).into_iter().map(letter).collect()
    }

    fn happenings(&self, events: Vec<Event>, more: &[Channel], traceparent: &str) -> Vec<Letter> {
        let mut channels = vec![self.restaurant.clone()];
        channels.extend(more.iter().filter(|channel| **channel != self.restaurant).cloned());
        let letter = |event: Event| Letter {
            stream: self.restaurant.clone(),
            event: Event { traceparent: traceparent.into(), ..event },
            channels: channels.clone(),
        };
        events.into_iter().map(letter).collect()
    }

    /// Who is told of an event of Django's: those whom it names, the restaurant, and, of what concerns them, whoever reads
    /// the menu.
    fn audience(&self, event: &Event, named: &[Channel]) -> Vec<Channel> {
        let concerns_readers = matches!(event.kind.as_str(), "menu.updated" | "item_sold_out");
        let mut channels = named.to_vec();
        for (channel, is_told) in [(&self.restaurant, true), (&self.menu, concerns_readers)] {
            if is_told && !channels.contains(channel) {
                channels.push(channel.clone());
            }
        }
        channels
    }
}

impl Update {
    /// When it happened.
    fn at(&self) -> Timestamp {
        Timestamp::from_micros(self.stamp.at)
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Superseded => "superseded",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
        }
    }

    fn from_word(word: &str) -> Self {
        let all = [Self::New, Self::Superseded, Self::Duplicate, Self::Conflict];
        all.into_iter().find(|outcome| outcome.word() == word).unwrap_or(Self::Duplicate)
    }
}

/// As the databases keep it.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
