//! The outbox: what a domain has kept is told, once, in the order in which it was kept.
//!
//! A domain writes what happened and the event that tells it in *one* transaction ([`Outbox::put`]). After the
//! commit the event's stream is drained ([`Outbox::drain`]): its untold events go to the bus in order, each
//! marked when the bus has it. Whoever crashes in between leaves rows that any replica's worker tells later
//! ([`Outbox::waiting`]); the bus recognises what it had already.
//!
//! A *stream* is what has one order, and is named after a channel: `order:5012`. Two replicas never tell one
//! stream at the same time (PostgreSQL: the untold rows are locked; SQLite is one process: a lock here), so an
//! event can never overtake an earlier one of its stream.
//!
//! Tables, made by the domain's migrations: `{domain}_streams(stream, seq, told_seq, told_epoch, told_offset)`
//! and `{domain}_outbox(stream, seq, event_id, kind, at, version, payload, traceparent, channels, put_at,
//! kept)`. `told_epoch` and `told_offset` are the place of the stream's newest told event in the channel of its
//! name. A told row keeps its places (`kept`) and loses its payload; or it goes ([`Outbox::forgetting`]).
//!
//! Invariant: an event is marked as told only after the bus has acknowledged it.

use std::{hash::BuildHasher, sync::Arc, time::Duration};

use platepal_bus::{Bus, BusError};
use platepal_events::{Channel, Epoch, Event, EventId, Position, Timestamp, millis};
use tokio::sync::{Mutex, Semaphore};
use tonic::Status;
use tracing::Instrument;

use crate::{
    Database, Group,
    sql::{Row, Transaction},
    trace,
};

/// Rows told in one transaction.
const CHUNK_EVENTS: usize = 50;
/// Locks of streams in one process; two streams that share one only wait for each other.
const LOCKS: usize = 64;
/// Marks of one commit of SQLite.
const MARKS: usize = 256;
/// From this age on a row may have been told longer ago than the bus remembers event ids; the log is asked.
const DOUBTFUL_AGE: Duration = Duration::from_secs(60);

/// Where an event stands in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The channel.
    pub channel: Channel,
    /// Its place there.
    pub position: Position,
}

/// What happened, and to whom it is told.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The channel whose order it keeps.
    pub stream: Channel,
    /// What happened.
    pub event: Event,
    /// Who is told.
    pub channels: Vec<Channel>,
}

/// Why something is not told yet. It stays in the outbox.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The database failed.
    #[error("the store is unavailable: {0}")]
    Database(#[from] sqlx::Error),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A row does not read as an event.
    #[error("the outbox of {stream} holds a row that is no event ({why}); it has to be repaired by hand")]
    Row {
        /// The stream that waits because of it.
        stream: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What an error is to whoever asked for what is kept and not told yet.
pub fn untold_status(error: OutboxError) -> Status {
    Status::unavailable(format!("kept; will be told when the bus is back; repeating is harmless ({error})"))
}

/// A domain's outbox. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    database: Database,
    bus: Arc<dyn Bus>,
    domain: &'static str,
    locks: Arc<[Mutex<()>]>,
    hasher: std::hash::RandomState,
    /// SQLite: streams that are told at the same time are marked in one commit.
    marks: Option<Group<Mark, Result<(), sqlx::Error>>>,
    /// Told rows go at once.
    forgets: bool,
    /// Drains hold a connection while the bus works; half of the pool stays free for keeping.
    drains: Arc<Semaphore>,
}

impl Outbox {
    /// The outbox in the tables of a domain. `connections` is the size of the database's pool.
    pub fn new(database: Database, bus: Arc<dyn Bus>, domain: &'static str, connections: u32) -> Self {
        let marks = match &database {
            Database::Sqlite(_) => {
                let database = database.clone();
                Some(Group::new(MARKS, move |marks| mark_together(database.clone(), domain, marks)))
            }
            Database::Postgres(_) => None,
        };
        Self {
            marks,
            database,
            bus,
            domain,
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            hasher: std::hash::RandomState::new(),
            forgets: false,
            drains: Arc::new(Semaphore::new((connections as usize / 2).max(1))),
        }
    }

    /// For events of which nobody asks where they were told: their rows go when they are told, and
    /// [`Outbox::places`] knows nothing of them.
    pub fn forgetting(self) -> Self {
        Self { forgets: true, ..self }
    }

    /// Puts an event at the end of its stream, as part of a transaction.
    pub async fn put(
        &self,
        tx: &mut Transaction,
        letter: &Letter,
        now: Timestamp,
    ) -> Result<i64, sqlx::Error> {
        let Letter { stream, event, channels } = letter;
        let sql = format!(
            "INSERT INTO {0}_streams (stream, seq, told_seq, told_epoch, told_offset) VALUES ($1, 1, 0, '', 0) \
             ON CONFLICT (stream) DO UPDATE SET seq = {0}_streams.seq + 1 RETURNING seq",
            self.domain
        );
        // Also locks the stream until the commit: numbers are committed in their order.
        let row = tx.row(&sql, &[stream.as_str().into()]).await?.ok_or(sqlx::Error::RowNotFound)?;
        let seq = row.int("seq")?;
        let sql = format!(
            "INSERT INTO {}_outbox (stream, seq, event_id, kind, at, version, payload, traceparent, channels, \
             put_at, kept) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL)",
            self.domain
        );
        let payload = String::from_utf8_lossy(&event.payload);
        let names: Vec<&str> = channels.iter().map(Channel::as_str).collect();
        tx.execute(
            &sql,
            &[
                stream.as_str().into(),
                seq.into(),
                event.id.as_str().into(),
                event.kind.as_str().into(),
                event.timestamp.micros().into(),
                (&*event.version).into(),
                (&*payload).into(),
                (&*event.traceparent).into(),
                names.join(" ").as_str().into(),
                now.micros().into(),
            ],
        )
        .await?;
        Ok(seq)
    }

    /// Tells what waits in a stream, in order. When it returns without an error, everything that was put before
    /// the call is told, by this process or by another.
    pub async fn drain(&self, stream: &Channel, now: Timestamp) -> Result<(), OutboxError> {
        loop {
            let told = match &self.database {
                Database::Sqlite(_) => self.drain_alone(stream, now).await?,
                Database::Postgres(_) => self.drain_locked(stream, now).await?,
            };
            if told < CHUNK_EVENTS {
                return Ok(());
            }
        }
    }

    /// One process: the lock is here, and no transaction waits for the bus.
    async fn drain_alone(&self, stream: &Channel, now: Timestamp) -> Result<usize, OutboxError> {
        let slot = self.hasher.hash_one(stream) as usize % LOCKS;
        let Some(lock) = self.locks.get(slot) else { return Ok(0) };
        let _alone = lock.lock().await;
        let rows = self.database.rows(&self.untold_sql(""), &[stream.as_str().into()]).await?;
        let told = rows.len();
        for row in rows {
            let (seq, places) = self.tell(stream, &row, now).await?;
            let mark = Mark { stream: stream.clone(), seq, places, forget: self.forgets };
            let Some(marks) = &self.marks else { continue };
            marks.run(mark).await.ok_or(sqlx::Error::PoolClosed)??;
        }
        Ok(told)
    }

    /// Many processes: the rows are locked until they are told.
    async fn drain_locked(&self, stream: &Channel, now: Timestamp) -> Result<usize, OutboxError> {
        // The semaphore is never closed.
        let _permit = self.drains.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let mut tx = self.database.begin().await?;
        let sql = self.untold_sql(tx.for_update());
        let rows = tx.rows(&sql, &[stream.as_str().into()]).await?;
        let told = rows.len();
        for row in rows {
            match self.tell(stream, &row, now).await {
                Ok((seq, places)) => {
                    let mark = Mark { stream: stream.clone(), seq, places, forget: self.forgets };
                    mark.write(&mut tx, self.domain).await?;
                }
                Err(why) => {
                    // What was told so far is told.
                    tx.commit().await?;
                    return Err(why);
                }
            }
        }
        tx.commit().await?;
        Ok(told)
    }

    fn untold_sql(&self, lock: &str) -> String {
        format!(
            "SELECT seq, event_id, kind, at, version, payload, traceparent, channels, put_at FROM {}_outbox \
             WHERE stream = $1 AND kept IS NULL ORDER BY seq LIMIT {CHUNK_EVENTS}{lock}",
            self.domain
        )
    }

    async fn tell(
        &self,
        stream: &Channel,
        row: &Row,
        now: Timestamp,
    ) -> Result<(i64, Vec<Place>), OutboxError> {
        let broken = |why: String| OutboxError::Row { stream: stream.to_string(), why };
        let seq = row.int("seq")?;
        let channels = row.text("channels")?;
        let channels: Vec<Channel> = channels.split(' ').filter_map(named).collect();
        let event = Event {
            id: row.text("event_id")?.parse().map_err(|why| broken(format!("{why}")))?,
            kind: row.text("kind")?.parse().map_err(|why| broken(format!("{why}")))?,
            timestamp: Timestamp::from_micros(row.int("at")?),
            version: row.text("version")?.into(),
            payload: row.text("payload")?.into_bytes().into(),
            key: "".into(),
            traceparent: row.text("traceparent")?.into(),
        };
        let age = now.millis_since(Timestamp::from_micros(row.int("put_at")?));
        let doubtful = age >= millis(DOUBTFUL_AGE);
        let mut places = Vec::with_capacity(channels.len());
        let mut missing = Vec::with_capacity(channels.len());
        for channel in channels {
            match if doubtful { self.bus.find(&channel, &event.id).await? } else { None } {
                Some(offset) => {
                    let epoch = self.bus.head(&channel).await?.epoch;
                    places.push(Place { channel, position: Position { epoch, offset } });
                }
                None => missing.push(channel),
            }
        }
        // The relay tells long after the call that put the event; its part of the trace is the event's.
        let span =
            tracing::debug_span!("outbox.tell", %stream, event.id = %event.id, event.r#type = %event.kind);
        trace::follow(&span, &event.traceparent);
        let appended = self.bus.append(&missing, &event).instrument(span).await?;
        let new = missing.into_iter().zip(appended);
        places.extend(new.map(|(channel, appended)| Place { channel, position: appended.position }));
        metrics::counter!("realtime_outbox_told_total", "domain" => self.domain).increment(1);
        metrics::histogram!("realtime_outbox_lag_seconds", "domain" => self.domain)
            .record(std::time::Duration::from_millis(age.max(0).unsigned_abs()));
        Ok((seq, places))
    }

    /// Where an event was told; `None` if it waits or was never put.
    pub async fn places(&self, event: &EventId) -> Result<Option<Vec<Place>>, sqlx::Error> {
        let sql = format!("SELECT kept FROM {}_outbox WHERE event_id = $1", self.domain);
        let rows = self.database.rows(&sql, &[event.as_str().into()]).await?;
        let kept = rows.first().map(|row| row.maybe_text("kept")).transpose()?.flatten();
        Ok(kept.map(|text| read_places(&text)))
    }

    /// Streams in which something waits that was put before a moment, the longest waiting first.
    pub async fn waiting(&self, put_before: Timestamp, limit: i64) -> Result<Vec<Channel>, sqlx::Error> {
        let sql = format!(
            "SELECT stream, MIN(put_at) AS since FROM {}_outbox WHERE kept IS NULL AND put_at <= $1 \
             GROUP BY stream ORDER BY since LIMIT $2",
            self.domain
        );
        let rows = self.database.rows(&sql, &[put_before.micros().into(), limit.into()]).await?;
        rows.iter().map(|row| Ok(named(&row.text("stream")?))).filter_map(Result::transpose).collect()
    }

    /// Tells what waits in streams since before a moment; how many streams could not be told.
    pub async fn relay(
        &self,
        put_before: Timestamp,
        now: Timestamp,
        limit: i64,
    ) -> Result<usize, sqlx::Error> {
        let streams = self.waiting(put_before, limit).await?;
        metrics::gauge!("realtime_outbox_waiting_streams", "domain" => self.domain).set(streams.len() as f64);
        let mut failed = 0;
        for stream in streams {
            if let Err(why) = self.drain(&stream, now).await {
                failed += 1;
                tracing::warn!(domain = self.domain, %stream, %why, "kept events are not told yet; will try again");
                // The bus fails for every stream alike: no use in waiting for it once per stream.
                if matches!(why, OutboxError::Bus(_)) {
                    break;
                }
            }
        }
        Ok(failed)
    }
}

/// An event that was told.
#[derive(Debug, Clone)]
struct Mark {
    stream: Channel,
    seq: i64,
    places: Vec<Place>,
    forget: bool,
}

impl Mark {
    async fn write(&self, tx: &mut Transaction, domain: &str) -> Result<(), sqlx::Error> {
        let Self { stream, seq, places, forget } = self;
        if *forget {
            let sql = format!("DELETE FROM {domain}_outbox WHERE stream = $1 AND seq = $2");
            tx.execute(&sql, &[stream.as_str().into(), (*seq).into()]).await?;
        } else {
            let kept = write_places(places);
            let sql = format!(
                "UPDATE {domain}_outbox SET kept = $3, payload = '' WHERE stream = $1 AND seq = $2 AND kept IS NULL"
            );
            tx.execute(&sql, &[stream.as_str().into(), (*seq).into(), kept.as_str().into()]).await?;
        }
        let own = places.iter().find(|place| place.channel == *stream).map(|place| &place.position);
        let epoch = own.map(|position| position.epoch.as_str());
        let offset = own.and_then(|position| i64::try_from(position.offset).ok());
        let sql = format!(
            "UPDATE {domain}_streams SET told_seq = $2, told_epoch = COALESCE($3, told_epoch), \
             told_offset = COALESCE($4, told_offset) WHERE stream = $1"
        );
        let values = [stream.as_str().into(), (*seq).into(), crate::sql::Value::Text(epoch), offset.into()];
        tx.execute(&sql, &values).await?;
        Ok(())
    }
}

/// Writes marks in one commit; if that fails, each in its own, so that each has its own answer.
async fn mark_together(
    database: Database,
    domain: &'static str,
    marks: Vec<Mark>,
) -> Vec<Result<(), sqlx::Error>> {
    let write = async |marks: &[Mark]| {
        let mut tx = database.begin().await?;
        for mark in marks {
            mark.write(&mut tx, domain).await?;
        }
        tx.commit().await
    };
    if write(&marks).await.is_ok() {
        return marks.iter().map(|_| Ok(())).collect();
    }
    let mut answers = Vec::with_capacity(marks.len());
    for mark in &marks {
        answers.push(write(std::slice::from_ref(mark)).await);
    }
    answers
}

/// Describes the metrics of all outboxes.
pub fn describe_metrics() {
    metrics::describe_counter!("realtime_outbox_told_total", "Events told from a domain's outbox.");
    metrics::describe_histogram!("realtime_outbox_lag_seconds", "From keeping an event to telling it.");
    metrics::describe_gauge!("realtime_outbox_waiting_streams", "Streams whose events wait for the relay.");
}

/// As parsing, but it knows the tier's own channel, which nobody outside can name.
fn named(text: &str) -> Option<Channel> {
    let own = Channel::sessions();
    if text == own.as_str() { Some(own) } else { text.parse().ok() }
}

fn write_places(places: &[Place]) -> String {
    let lines: Vec<String> = places
        .iter()
        .map(|place| format!("{} {} {}", place.channel, place.position.offset, place.position.epoch.as_str()))
        .collect();
    lines.join("\n")
}

fn read_places(text: &str) -> Vec<Place> {
    text.lines()
        .filter_map(|line| {
            let (channel, rest) = line.split_once(' ')?;
            let (offset, epoch) = rest.split_once(' ')?;
            let position = Position { epoch: Epoch::new(epoch), offset: offset.parse().ok()? };
            Some(Place { channel: named(channel)?, position })
        })
        .collect()
}
