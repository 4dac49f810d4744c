//! The outbox: what a domain has kept is told, once, in the order in which it was kept.
//!
//! A domain writes what happened and the event that tells it in *one* transaction ([`Outbox::put`]). After the
//! commit the event's stream is drained ([`Outbox::drain`]): its untold events go to the bus in order, each
//! marked when the bus has it. Whoever crashes in between leaves rows that any replica's worker tells later
//! ([`Outbox::waiting`]); the bus recognises what it had already.
//!
//! A *stream* is what has one order, and is named after a channel: `order:5012`. It is told by one lane of this process,
//! and never by two replicas at the same time (PostgreSQL: the untold rows are locked; SQLite is one process), so an event
//! can never overtake an earlier one of its stream. Streams that wait for the same lane are told together.
//!
//! Tables, made by the domain's migrations: `{domain}_streams(stream, seq, told_seq, told_epoch, told_offset)`
//! and `{domain}_outbox(stream, seq, event_id, kind, at, version, payload, latest_key, traceparent, channels, put_at,
//! kept)`. `told_epoch` and `told_offset` are the place of the stream's newest told event in the channel of its
//! name: in its log, or among its values if the stream has those. A told row keeps its places (`kept`) and loses its payload; or it goes ([`Outbox::forgetting`]).
//!
//! Invariant: an event is marked as told only after the bus has acknowledged it.

mod teller;

use std::{collections::BTreeMap, sync::Arc};

use platepal_bus::{Bus, BusError};
use platepal_events::{Channel, Epoch, Event, EventId, Position, Timestamp};
use tonic::Status;
use tracing::Span;

use self::teller::{Job, Teller};
use crate::{
    Database, Lanes,
    sql::{self, Transaction, Value},
};

/// Events of a stream that are told in one round of its lane.
const CHUNK_EVENTS: usize = 50;
/// Streams of one round; as many more wait, and then whoever asks.
const STREAMS_MAX: usize = 256;

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
#[derive(Debug, Clone, thiserror::Error)]
pub enum OutboxError {
    /// The database failed.
    #[error("the store is unavailable: {0}")]
    Database(Arc<sqlx::Error>),
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

impl From<sqlx::Error> for OutboxError {
    fn from(why: sqlx::Error) -> Self {
        Self::Database(Arc::new(why))
    }
}

/// What an error is to whoever asked for what is kept and not told yet.
pub fn untold_status(error: OutboxError) -> Status {
    Status::unavailable(format!("kept; will be told when the bus is back; repeating is harmless ({error})"))
}

/// A domain's outbox. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    database: Database,
    domain: &'static str,
    /// Streams of one lane are told together; a lane holds a connection while it tells, so half of the pool stays free
    /// for keeping. How many events of a stream were told.
    lanes: Lanes<Job, Result<usize, OutboxError>>,
}

impl Outbox {
    /// The outbox in the tables of a domain. `connections` is the size of the database's pool.
    pub fn new(database: Database, bus: Arc<dyn Bus>, domain: &'static str, connections: u32) -> Self {
        Self::told_by(Teller { database, bus, domain, forgets: false }, connections)
    }

    /// For events of which nobody asks where they were told: their rows go when they are told, and
    /// [`Outbox::places`] knows nothing of them.
    pub fn forgetting(database: Database, bus: Arc<dyn Bus>, domain: &'static str, connections: u32) -> Self {
        Self::told_by(Teller { database, bus, domain, forgets: true }, connections)
    }

    fn told_by(teller: Teller, connections: u32) -> Self {
        let count = match &teller.database {
            // While one waits for the bus, the other reads and marks.
            Database::Sqlite(_) => 2,
            Database::Postgres(_) => (connections as usize / 2).max(1),
        };
        let (database, domain) = (teller.database.clone(), teller.domain);
        let lanes = Lanes::new(count, STREAMS_MAX, move |jobs: Vec<Job>| {
            let teller = teller.clone();
            async move { teller.tell_streams(&jobs).await }
        });
        Self { database, domain, lanes }
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
        let mut rows: Vec<[Value<'_>; 11]> = Vec::with_capacity(letters.len());
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
                (&*event.key).into(),
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
            "INSERT INTO {}_outbox (stream, seq, event_id, kind, at, version, payload, latest_key, traceparent, \
             channels, put_at) VALUES {}",
            self.domain,
            sql::list(&rows)
        );
        tx.execute(&sql, rows.as_flattened()).await?;
        Ok(())
    }

    /// What is missing of an event that was put before: a letter for each of its channels for which it was not, under an id
    /// of its own, that a repeat has, too. The caller holds a lock under which all of the event's repeats come.
    pub async fn missing(&self, tx: &mut Transaction, letter: &Letter) -> Result<Vec<Letter>, sqlx::Error> {
        let Letter { stream, event, channels } = letter;
        let ids: Vec<EventId> = channels.iter().map(|channel| again(&event.id, channel)).collect();
        let known: Vec<[Value<'_>; 1]> =
            std::iter::once(&event.id).chain(&ids).map(|id| [id.as_str().into()]).collect();
        let sql = format!(
            "SELECT channels FROM {}_outbox WHERE event_id IN (VALUES {})",
            self.domain,
            sql::list(&known)
        );
        let mut told = Vec::new();
        for row in tx.rows(&sql, known.as_flattened()).await? {
            told.extend(row.text("channels")?.split(' ').filter_map(named));
        }
        let missing = channels
            .iter()
            .zip(ids)
            .filter(|(channel, _)| !told.contains(channel))
            .map(|(channel, id)| Letter {
                stream: stream.clone(),
                event: Event { id, ..event.clone() },
                channels: vec![channel.clone()],
            })
            .collect();
        Ok(missing)
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
            let job = Job { stream: stream.clone(), now, caller: Span::current() };
            let told = self.lanes.run(stream, job).await.ok_or(sqlx::Error::PoolClosed)??;
            if told < CHUNK_EVENTS {
                return Ok(());
            }
        }
    }

    /// Where an event was told so far. `later`: channels for which it may have been put later ([`Outbox::missing`]).
    pub async fn places(&self, event: &EventId, later: &[Channel]) -> Result<Vec<Place>, sqlx::Error> {
        let ids: Vec<EventId> = later.iter().map(|channel| again(event, channel)).collect();
        let ids: Vec<[Value<'_>; 1]> =
            std::iter::once(event).chain(&ids).map(|id| [id.as_str().into()]).collect();
        let sql = format!(
            "SELECT kept FROM {}_outbox WHERE kept IS NOT NULL AND event_id IN (VALUES {}) ORDER BY seq",
            self.domain,
            sql::list(&ids)
        );
        let mut places = Vec::new();
        for row in self.database.rows(&sql, ids.as_flattened()).await? {
            places.extend(read_places(&row.text("kept")?));
        }
        Ok(places)
    }

    /// Streams in which something waits that was put before a moment, the longest waiting first.
    pub async fn waiting(&self, put_before: Timestamp, limit: i64) -> Result<Vec<Channel>, sqlx::Error> {
        // In the words of the index of all that waits.
        let sql = format!(
            "SELECT stream, MIN(put_at) AS since FROM {}_outbox WHERE kept IS NULL AND put_at > 0 AND put_at <= $1 \
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

/// The id under which a channel is told of an event that others were told of before.
fn again(event: &EventId, channel: &Channel) -> EventId {
    EventId::derived(&["again", event.as_str(), channel.as_str()])
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
