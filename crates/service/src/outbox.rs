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

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use platepal_bus::{Bus, BusError};
use platepal_events::{Channel, Epoch, Event, EventId, Position, Timestamp, millis};
use tokio::sync::{Mutex, Semaphore};
use tonic::Status;
use tracing::Instrument;

use crate::{
    Database, Group,
    sql::{self, Row, Transaction, Value},
    trace,
};

/// Rows told in one transaction.
const CHUNK_EVENTS: usize = 50;
/// Locks of streams in one process; two streams that share one wait for each other, through the commits of the bus and
/// of the marks. So there are more than streams are told at once.
const LOCKS: usize = 4096;
/// SQLite: streams that are read in one statement, and marks of one commit.
const TOGETHER: usize = 256;
/// What [`Outbox::tell`] reads.
const ROW: &str =
    "o.seq, o.event_id, o.kind, o.at, o.version, o.payload, o.traceparent, o.channels, o.put_at";
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

#[derive(Clone)]
struct Together {
    reads: Group<Channel, Result<Vec<Row>, sqlx::Error>>,
    marks: Group<Mark, Result<(), sqlx::Error>>,
}

impl Together {
    fn new(database: &Database, domain: &'static str, forgets: bool) -> Self {
        let (reading, marking) = (database.clone(), database.clone());
        Self {
            reads: Group::new(TOGETHER, move |streams| read_together(reading.clone(), domain, streams)),
            marks: Group::new(TOGETHER, move |marks| mark_together(marking.clone(), domain, forgets, marks)),
        }
    }
}

/// A domain's outbox. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    database: Database,
    bus: Arc<dyn Bus>,
    domain: &'static str,
    locks: Arc<[Mutex<()>]>,
    hasher: std::hash::RandomState,
    /// SQLite: streams that are told at the same time share statements and commits.
    together: Option<Together>,
    /// Told rows go at once.
    forgets: bool,
    /// Drains hold a connection while the bus works; half of the pool stays free for keeping.
    drains: Arc<Semaphore>,
}

impl Outbox {
    /// The outbox in the tables of a domain. `connections` is the size of the database's pool.
    pub fn new(database: Database, bus: Arc<dyn Bus>, domain: &'static str, connections: u32) -> Self {
        let together = match &database {
            Database::Sqlite(_) => Some(Together::new(&database, domain, false)),
            Database::Postgres(_) => None,
        };
        Self {
            together,
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
        let together = self.together.map(|_| Together::new(&self.database, self.domain, true));
        Self { forgets: true, together, ..self }
    }

    /// Puts an event at the end of its stream, as part of a transaction.
    pub async fn put(
        &self,
        tx: &mut Transaction,
        letter: &Letter,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        self.put_all(tx, std::slice::from_ref(letter), now).await
    }

    /// Puts events at the ends of their streams, in this order, as part of a transaction. At most 1,000.
    pub async fn put_all(
        &self,
        tx: &mut Transaction,
        letters: &[Letter],
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let mut last = self.take_numbers(tx, letters).await?;
        let texts: Vec<_> = letters
            .iter()
            .map(|letter| {
                let names: Vec<&str> = letter.channels.iter().map(Channel::as_str).collect();
                (String::from_utf8_lossy(&letter.event.payload), names.join(" "))
            })
            .collect();
        let mut rows: Vec<[Value<'_>; 10]> = Vec::with_capacity(letters.len());
        // From the end: the last event of a stream has its last number.
        for (Letter { stream, event, .. }, (payload, channels)) in letters.iter().zip(&texts).rev() {
            let Some(seq) = last.get_mut(stream.as_str()) else { continue };
            rows.push([
                stream.as_str().into(),
                (*seq).into(),
                event.id.as_str().into(),
                event.kind.as_str().into(),
                event.timestamp.micros().into(),
                (&*event.version).into(),
                (&**payload).into(),
                (&*event.traceparent).into(),
                channels.into(),
                now.micros().into(),
            ]);
            *seq -= 1;
        }
        if rows.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO {}_outbox (stream, seq, event_id, kind, at, version, payload, traceparent, channels, put_at) \
             VALUES {}",
            self.domain,
            sql::list(&rows)
        );
        tx.execute(&sql, rows.as_flattened()).await?;
        Ok(())
    }

    /// Takes the next numbers of the letters' streams; the last of each. Also locks the streams until the commit, so
    /// numbers are committed in their order; by their names, so that no two transactions wait for each other.
    async fn take_numbers<'a>(
        &self,
        tx: &mut Transaction,
        letters: &'a [Letter],
    ) -> Result<BTreeMap<&'a str, i64>, sqlx::Error> {
        let mut streams: BTreeMap<&str, i64> = BTreeMap::new();
        for letter in letters {
            *streams.entry(letter.stream.as_str()).or_default() += 1;
        }
        let rows: Vec<[Value<'_>; 2]> =
            streams.iter().map(|(stream, count)| [(*stream).into(), (*count).into()]).collect();
        if rows.is_empty() {
            return Ok(streams);
        }
        let sql = format!(
            "INSERT INTO {0}_streams (stream, seq, told_seq, told_epoch, told_offset) \
             SELECT column1, column2, 0, '', 0 FROM (VALUES {1}) AS v WHERE true ORDER BY column1 \
             ON CONFLICT (stream) DO UPDATE SET seq = {0}_streams.seq + excluded.seq RETURNING stream, seq",
            self.domain,
            sql::list(&rows)
        );
        for row in tx.rows(&sql, rows.as_flattened()).await? {
            let (stream, seq) = (row.text("stream")?, row.int("seq")?);
            if let Some(last) = streams.get_mut(stream.as_str()) {
                *last = seq;
            }
        }
        Ok(streams)
    }

    /// Tells what waits in a stream, in order. When it returns without an error, everything that was put before
    /// the call is told, by this process or by another.
    pub async fn drain(&self, stream: &Channel, now: Timestamp) -> Result<(), OutboxError> {
        loop {
            let told = match &self.together {
                Some(together) => self.drain_alone(together, stream, now).await?,
                None => self.drain_locked(stream, now).await?,
            };
            if told < CHUNK_EVENTS {
                return Ok(());
            }
        }
    }

    /// One process: the lock is here, and no transaction waits for the bus.
    async fn drain_alone(
        &self,
        Together { reads, marks: shared }: &Together,
        stream: &Channel,
        now: Timestamp,
    ) -> Result<usize, OutboxError> {
        let slot = self.hasher.hash_one(stream) as usize % LOCKS;
        let Some(lock) = self.locks.get(slot) else { return Ok(0) };
        let _alone = lock.lock().await;
        let rows = reads.run(stream.clone()).await.ok_or(sqlx::Error::PoolClosed)??;
        let (marks, failed) = self.tell_rows(stream, &rows, now).await;
        // At once, so that they go into one commit.
        for marked in join_all(marks.into_iter().map(|mark| shared.run(mark))).await {
            marked.ok_or(sqlx::Error::PoolClosed)??;
        }
        failed.map_or(Ok(rows.len()), Err)
    }

    /// Many processes: the rows are locked until they are told.
    async fn drain_locked(&self, stream: &Channel, now: Timestamp) -> Result<usize, OutboxError> {
        // The semaphore is never closed.
        let _permit = self.drains.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let mut tx = self.database.begin().await?;
        let sql = format!(
            "SELECT {ROW} FROM {}_outbox o WHERE o.stream = $1 AND o.kept IS NULL ORDER BY o.seq LIMIT {CHUNK_EVENTS}{}",
            self.domain,
            tx.for_update()
        );
        let rows = tx.rows(&sql, &[stream.as_str().into()]).await?;
        let (marks, failed) = self.tell_rows(stream, &rows, now).await;
        // What was told is told, also if the next was not.
        write_marks(&mut tx, self.domain, self.forgets, &marks).await?;
        tx.commit().await?;
        failed.map_or(Ok(rows.len()), Err)
    }

    /// Tells rows of a stream in order, up to the first that fails: what is told now, and why no more.
    async fn tell_rows(
        &self,
        stream: &Channel,
        rows: &[Row],
        now: Timestamp,
    ) -> (Vec<Mark>, Option<OutboxError>) {
        let mut marks = Vec::with_capacity(rows.len());
        for row in rows {
            match self.tell(stream, row, now).await {
                Ok((seq, places)) => marks.push(Mark { stream: stream.clone(), seq, places }),
                Err(why) => return (marks, Some(why)),
            }
        }
        (marks, None)
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
}

/// Writes that events were told, and up to where their streams are.
async fn write_marks(
    tx: &mut Transaction,
    domain: &str,
    forgets: bool,
    marks: &[Mark],
) -> Result<(), sqlx::Error> {
    if marks.is_empty() {
        return Ok(());
    }
    if forgets {
        let rows: Vec<[Value<'_>; 2]> =
            marks.iter().map(|mark| [mark.stream.as_str().into(), mark.seq.into()]).collect();
        let sql = format!("DELETE FROM {domain}_outbox WHERE (stream, seq) IN (VALUES {})", sql::list(&rows));
        tx.execute(&sql, rows.as_flattened()).await?;
    } else {
        let kept: Vec<String> = marks.iter().map(|mark| write_places(&mark.places)).collect();
        let rows: Vec<[Value<'_>; 3]> = marks
            .iter()
            .zip(&kept)
            .map(|(mark, kept)| [mark.stream.as_str().into(), mark.seq.into(), kept.into()])
            .collect();
        let sql = format!(
            "UPDATE {domain}_outbox SET kept = v.column3, payload = '' FROM (VALUES {}) AS v \
             WHERE stream = v.column1 AND seq = v.column2 AND kept IS NULL",
            sql::list(&rows)
        );
        tx.execute(&sql, rows.as_flattened()).await?;
    }
    // The newest of a stream; its place in its own channel is that of the newest that was told there.
    let mut newest: BTreeMap<&str, (i64, Option<&Position>)> = BTreeMap::new();
    for Mark { stream, seq, places } in marks {
        let own = places.iter().find(|place| place.channel == *stream).map(|place| &place.position);
        let newest = newest.entry(stream.as_str()).or_default();
        *newest = (*seq, own.or(newest.1));
    }
    let rows: Vec<[Value<'_>; 4]> = newest
        .iter()
        .map(|(stream, (seq, own))| {
            let epoch = own.map(|position| position.epoch.as_str());
            let offset = own.and_then(|position| i64::try_from(position.offset).ok());
            [(*stream).into(), (*seq).into(), Value::Text(epoch), offset.into()]
        })
        .collect();
    let sql = format!(
        "UPDATE {domain}_streams SET told_seq = v.column2, told_epoch = COALESCE(v.column3, told_epoch), \
         told_offset = COALESCE(v.column4, told_offset) FROM (VALUES {}) AS v WHERE stream = v.column1",
        sql::list(&rows)
    );
    tx.execute(&sql, rows.as_flattened()).await?;
    Ok(())
}

/// Writes marks in one commit. What fails is the database, so it fails for all of them; their events are told again, and
/// the bus knows them.
async fn mark_together(
    database: Database,
    domain: &'static str,
    forgets: bool,
    marks: Vec<Mark>,
) -> Vec<Result<(), sqlx::Error>> {
    let write = async {
        let mut tx = database.begin().await?;
        write_marks(&mut tx, domain, forgets, &marks).await?;
        tx.commit().await
    };
    let written = write.await;
    marks.iter().map(|_| written.as_ref().copied().map_err(everybodys)).collect()
}

/// Reads what waits in streams, a chunk of each, in one statement.
async fn read_together(
    database: Database,
    domain: &'static str,
    streams: Vec<Channel>,
) -> Vec<Result<Vec<Row>, sqlx::Error>> {
    let names: Vec<[Value<'_>; 1]> = streams.iter().map(|stream| [stream.as_str().into()]).collect();
    // Events are told in order and marked with their stream: what waits are the numbers after it.
    let sql = format!(
        "SELECT o.stream, {ROW} FROM (VALUES {1}) AS v JOIN {0}_streams s ON s.stream = v.column1 \
         JOIN {0}_outbox o ON o.stream = s.stream AND o.seq > s.told_seq AND o.seq <= s.told_seq + {CHUNK_EVENTS} \
         ORDER BY o.stream, o.seq",
        domain,
        sql::list(&names)
    );
    let read = async {
        let mut waiting: HashMap<String, Vec<Row>> = HashMap::new();
        for row in database.rows(&sql, names.as_flattened()).await? {
            waiting.entry(row.text("stream")?).or_default().push(row);
        }
        Ok(waiting)
    };
    match read.await {
        Ok(mut waiting) => {
            streams.iter().map(|stream| Ok(waiting.remove(stream.as_str()).unwrap_or_default())).collect()
        }
        Err(why) => streams.iter().map(|_| Err(everybodys(&why))).collect(),
    }
}

/// An error for each of those who shared a statement.
fn everybodys(why: &sqlx::Error) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(why.to_string()))
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
