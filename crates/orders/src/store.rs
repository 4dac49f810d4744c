//! What is kept: orders, the ids of their updates, what is still to be told and to become due, grants.
//!
//! One transaction keeps an update and everything that follows from it: the order's row is locked, the pure
//! rule decides, and order, event id, outbox and timers are written together. Nothing here decides.
//!
//! Locks are taken in one order everywhere: order, restaurant, timers, streams. So no two transactions wait for
//! each other.
//!
//! SQLite and PostgreSQL understand the same statements ([`platepal_service::sql`]), so there is one store; its
//! tests run on both.

mod deadlines;
mod retention;

use platepal_bus::Bus;
use platepal_events::{Channel, ChannelKind, Epoch, Event, EventId, Position, Timestamp, millis};
use platepal_service::{
    Database, DatabaseError, Group, Keeper,
    access::Granted,
    keep, keep_together,
    outbox::{Letter, Outbox, OutboxError},
    sql::{Row, Transaction},
    timers::Timers,
};
use std::sync::Arc;

use crate::{
    rules::{
        deadlines::timers,
        envelope,
        order::{Order, Outcome, Update, apply},
    },
    settings::Settings,
};

/// Who is told of an update.
#[derive(Debug, Clone)]
pub(crate) enum Audience {
    /// The order, its customer, restaurant and rider, and these.
    Participants(Vec<Channel>),
    /// These, and the order.
    Named(Vec<Channel>),
}

/// What became of an update.
#[derive(Debug)]
pub(crate) struct Kept {
    /// As it is now.
    pub(crate) order: Order,
    pub(crate) outcome: Outcome,
    /// The event id was known: nothing was done.
    pub(crate) repeated: bool,
    /// The event that has told this version, where it is not this one.
    pub(crate) told_by: Option<EventId>,
    /// Streams in which something waits now.
    pub(crate) streams: Vec<Channel>,
}

/// An order, its payload, and how far it was told.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) order: Order,
    pub(crate) payload: String,
    /// The newest event of the order that `order:{id}` has; `None`: none yet.
    pub(crate) told: Option<Position>,
    /// Something is kept but not told yet.
    pub(crate) waits: bool,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the store is unavailable: {0}; nothing was kept, repeat with the same event_id")]
    Database(#[from] sqlx::Error),
    #[error("order {0} is kept in a form that does not read: {1}; was it written by a newer version?")]
    State(String, serde_json::Error),
    #[error("{0}")]
    Name(#[from] platepal_events::ChannelError),
}

/// The orders' tables.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
    pub(crate) timers: Timers,
    pub(crate) grants: Granted,
    settings: Settings,
    /// SQLite: updates that come at the same time are kept in one commit.
    together: Option<Group<Job, Result<Kept, StoreError>>>,
}

/// An update to keep.
type Job = (Update, Audience, Timestamp);

/// Updates of one commit of SQLite.
const JOBS: usize = 128;

impl Store {
    /// Brings the tables up to date.
    pub(crate) async fn open(
        database: Database,
        bus: Arc<dyn Bus>,
        settings: &Settings,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        database.migrate("orders", sqlx::migrate!("./migrations")).await?;
        let outbox = Outbox::new(database.clone(), bus, "orders", connections);
        let store = Self {
            grants: Granted::new(database.clone(), outbox.clone(), "orders"),
            outbox,
            timers: Timers::new(database.clone(), "orders"),
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
    pub(crate) async fn keep(
        &self,
        update: Update,
        audience: Audience,
        now: Timestamp,
    ) -> Result<Kept, StoreError> {
        match &self.together {
            Some(together) => together.run((update, audience, now)).await.ok_or(sqlx::Error::PoolClosed)?,
            None => keep(self, &(update, audience, now)).await,
        }
    }

    async fn keep_in(
        &self,
        tx: &mut Transaction,
        update: &Update,
        audience: &Audience,
        now: Timestamp,
    ) -> Result<Kept, StoreError> {
        let stream = Channel::new(ChannelKind::Order, &update.order_id)?;
        // A row to lock, also for an order that is new.
        tx.execute(
            "INSERT INTO orders_orders (order_id, state, payload, changed_at) VALUES ($1, '', '', $2) \
             ON CONFLICT (order_id) DO NOTHING",
            &[(&update.order_id).into(), now.micros().into()],
        )
        .await?;
        let held = self.lock(tx, &update.order_id).await?;
        if let Some(repeated) = self.repeated(tx, update, audience, &held, now).await? {
            return Ok(Kept { streams: vec![stream], ..repeated });
        }
        let before = held.clone();
        let (mut order, outcome) = apply(held, update);
        self.settle_sla(tx, &mut order, update).await?;

        let is_new = matches!(outcome, Outcome::New { .. });
        let mut channels = audience.channels(&order, &stream);
        let mut told_by = None;
        let mut answer = outcome;
        if outcome == Outcome::Duplicate {
            let (by, told) = self.told(tx, update).await?;
            // Django may send one change to several groups, one event each: nobody misses it, nobody gets it twice.
            channels.retain(|channel| !told.contains(channel));
            if matches!(audience, Audience::Participants(_)) {
                channels.clear();
            }
            told_by = by;
        }
        let tell = is_new || (outcome == Outcome::Duplicate && !channels.is_empty());
        let sql = "INSERT INTO orders_updates (event_id, order_id, outcome, kind, version, kept_at, payload) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let word = match outcome {
            _ if tell => "published",
            Outcome::New { .. } => "published",
            Outcome::Superseded => "superseded",
            Outcome::Duplicate => "duplicate",
            Outcome::Conflict => "conflict",
        };
        let conflict = (outcome == Outcome::Conflict).then_some(update.payload.as_str());
        tx.execute(
            sql,
            &[
                update.event.id.as_str().into(),
                (&update.order_id).into(),
                word.into(),
                update.event.kind.as_str().into(),
                i64::try_from(order.version).unwrap_or(i64::MAX).into(),
                now.micros().into(),
                platepal_service::sql::Value::Text(conflict),
            ],
        )
        .await?;

        let mut streams = Vec::new();
        if before.as_ref() != Some(&order) {
            self.save(tx, &order, is_new.then_some(update.payload.as_str()), now).await?;
            if is_new && update.event.kind.as_str() == "order.rejected" {
                streams.extend(self.count_rejection(tx, &order, now).await?);
            }
            let due = timers(&order, &self.settings.limits());
            if before.is_none_or(|before| timers(&before, &self.settings.limits()) != due) {
                self.timers.replace(tx, &order.order_id, &due).await?;
            }
        }
        if tell {
            let event = told_event(update, &order);
            self.outbox.put(tx, &Letter { stream: stream.clone(), event, channels }, now).await?;
            if outcome == Outcome::Duplicate {
                answer = Outcome::New { unusual: None };
            }
            streams.insert(0, stream);
        }
        Ok(Kept { order, outcome: answer, repeated: false, told_by, streams })
    }

    async fn lock(&self, tx: &mut Transaction, order_id: &str) -> Result<Option<Order>, StoreError> {
        let sql = format!("SELECT state FROM orders_orders WHERE order_id = $1{}", tx.for_update());
        match tx.row(&sql, &[order_id.into()]).await? {
            Some(row) => parse(order_id, &row.text("state")?),
            None => Ok(None),
        }
    }

    /// The answer to an event id that is known. Django may send one event to several groups: whoever was not told yet is
    /// told now, unless the order has moved on.
    async fn repeated(
        &self,
        tx: &mut Transaction,
        update: &Update,
        audience: &Audience,
        held: &Option<Order>,
        now: Timestamp,
    ) -> Result<Option<Kept>, StoreError> {
        let sql = "SELECT order_id, outcome, version FROM orders_updates WHERE event_id = $1";
        let Some(row) = tx.row(sql, &[update.event.id.as_str().into()]).await? else { return Ok(None) };
        let order_id = row.text("order_id")?;
        let order = match held {
            Some(order) if order.order_id == order_id => Some(order.clone()),
            // The id was used for another order.
            _ => {
                let sql = "SELECT state FROM orders_orders WHERE order_id = $1";
                let row = tx.row(sql, &[(&order_id).into()]).await?;
                row.map(|row| parse(&order_id, &row.text("state")?)).transpose()?.flatten()
            }
        };
        let Some(order) = order else { return Ok(None) };
        let mut outcome = Outcome::Duplicate;
        if let Audience::Named(_) = audience
            && order.order_id == update.order_id
            && row.text("outcome")? == "published"
        {
            let stream = Channel::new(ChannelKind::Order, &order.order_id)?;
            let channels = audience.channels(&order, &stream);
            let missing =
                self.outbox.missing(tx, &Letter { stream, event: update.event.clone(), channels }).await?;
            let is_current = u64::try_from(row.int("version")?).ok() == Some(order.version);
            outcome = match (missing.is_empty(), is_current) {
                (true, _) => Outcome::Duplicate,
                (false, false) => Outcome::Superseded,
                (false, true) => Outcome::New { unusual: None },
            };
            if is_current {
                self.outbox.put_all(tx, &missing, now).await?;
            }
        }
        Ok(Some(Kept { order, outcome, repeated: true, told_by: None, streams: Vec::new() }))
    }

    /// Which event told the version that an update repeats, and which channels had it with the update's type.
    async fn told(
        &self,
        tx: &mut Transaction,
        update: &Update,
    ) -> Result<(Option<EventId>, Vec<Channel>), StoreError> {
        let sql = "SELECT o.event_id, o.kind, o.channels FROM orders_outbox o \
                   JOIN orders_updates u ON u.event_id = o.event_id \
                   WHERE u.order_id = $1 AND u.version = $2 ORDER BY o.seq";
        let version = i64::try_from(update.stamp.version).unwrap_or(i64::MAX);
        let rows = tx.rows(sql, &[(&update.order_id).into(), version.into()]).await?;
        let mut channels = Vec::new();
        let mut by = None;
        for row in rows {
            by = by.or(row.text("event_id")?.parse().ok());
            if row.text("kind")? == update.event.kind.as_str() {
                channels.extend(row.text("channels")?.split(' ').filter_map(|name| name.parse().ok()));
            }
        }
        Ok((by, channels))
    }

    async fn save(
        &self,
        tx: &mut Transaction,
        order: &Order,
        payload: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let state =
            serde_json::to_string(order).map_err(|why| StoreError::State(order.order_id.clone(), why))?;
        tx.execute(
            "UPDATE orders_orders SET state = $2, payload = COALESCE($3, payload), changed_at = $4 WHERE order_id = $1",
            &[
                (&order.order_id).into(),
                (&state).into(),
                platepal_service::sql::Value::Text(payload),
                now.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// An order, read in one statement with how far it was told.
    pub(crate) async fn read(&self, order_id: &str) -> Result<Option<Read>, StoreError> {
        let rows = self.database.rows(&format!("{READ} WHERE o.order_id = $1"), &[order_id.into()]).await?;
        rows.first().map(read).transpose()
    }

    /// Those of some orders that are known.
    pub(crate) async fn read_all(&self, order_ids: &[String]) -> Result<Vec<Read>, StoreError> {
        let places: Vec<String> = (1..=order_ids.len()).map(|n| format!("${n}")).collect();
        let values: Vec<_> = order_ids.iter().map(Into::into).collect();
        let sql = format!("{READ} WHERE o.order_id IN ({}) ORDER BY o.order_id", places.join(", "));
        self.database.rows(&sql, &values).await?.iter().map(read).collect()
    }

    /// Tells what waits in some streams.
    pub(crate) async fn drain(&self, streams: &[Channel], now: Timestamp) -> Result<(), OutboxError> {
        for stream in streams {
            self.outbox.drain(stream, now).await?;
        }
        Ok(())
    }
}

impl Keeper for Store {
    type Job = Job;
    type Answer = Kept;
    type Error = StoreError;

    async fn keep_all(&self, jobs: &[Job]) -> Result<Vec<Result<Kept, StoreError>>, StoreError> {
        let mut tx = self.database.begin().await?;
        let mut kept = Vec::with_capacity(jobs.len());
        for (update, audience, now) in jobs {
            kept.push(Ok(self.keep_in(&mut tx, update, audience, *now).await?));
        }
        tx.commit().await?;
        Ok(kept)
    }
}

const READ: &str = "SELECT o.order_id, o.state, o.payload, COALESCE(s.seq, 0) AS seq, \
                    COALESCE(s.told_seq, 0) AS told_seq, COALESCE(s.told_epoch, '') AS told_epoch, \
                    COALESCE(s.told_offset, 0) AS told_offset FROM orders_orders o \
                    LEFT JOIN orders_streams s ON s.stream = 'order:' || o.order_id";

fn read(row: &Row) -> Result<Read, StoreError> {
    let order_id = row.text("order_id")?;
    let order = parse(&order_id, &row.text("state")?)?.ok_or(sqlx::Error::RowNotFound)?;
    let epoch = row.text("told_epoch")?;
    let offset = u64::try_from(row.int("told_offset")?).unwrap_or_default();
    Ok(Read {
        order,
        payload: row.text("payload")?,
        told: (!epoch.is_empty()).then(|| Position { epoch: Epoch::new(epoch), offset }),
        waits: row.int("seq")? > row.int("told_seq")?,
    })
}

fn parse(order_id: &str, state: &str) -> Result<Option<Order>, StoreError> {
    if state.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(state).map(Some).map_err(|why| StoreError::State(order_id.to_owned(), why))
}

fn told_event(update: &Update, order: &Order) -> Event {
    if update.verbatim {
        return update.event.clone();
    }
    let Event { id, kind, timestamp, traceparent, .. } = update.event.clone();
    envelope::about_order(id, kind, timestamp, order, &update.payload, &traceparent)
}

impl Audience {
    fn channels(&self, order: &Order, own: &Channel) -> Vec<Channel> {
        let mut channels = Vec::new();
        let mut add = |channel: Channel| {
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        };
        match self {
            Self::Participants(more) => {
                add(own.clone());
                let people = [
                    (ChannelKind::Customer, &order.customer),
                    (ChannelKind::Restaurant, &order.restaurant),
                    (ChannelKind::Rider, &order.rider),
                ];
                for (kind, learned) in people {
                    if let Some(channel) =
                        learned.as_ref().and_then(|learned| Channel::new(kind, &learned.id).ok())
                    {
                        add(channel);
                    }
                }
                more.iter().cloned().for_each(&mut add);
            }
            Self::Named(named) => {
                named.iter().cloned().for_each(&mut add);
                add(own.clone());
            }
        }
        channels
    }
}

impl Store {
    /// The window in which rejections count, before a moment.
    fn window_start(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(-millis(self.settings.rejection_window))
    }
}
