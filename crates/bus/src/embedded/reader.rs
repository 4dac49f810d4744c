//! Reads, on a few read-only connections, away from the async threads.
//!
//! Each read is one transaction, so that what it says of floor, entries and head was true at one moment.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use metrics::counter;
use parking_lot::Mutex;
use platepal_events::{Channel, ChannelKind, Entry, Epoch, EventId, Position, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    log::{self, from_sql, to_sql},
    too_slow,
};
use crate::{BusError, PAGE_BYTES_MAX, PAGE_EVENTS_MAX, Page, body, measure, subscription};

/// Connections for reading, and so reads at the same time; others wait, up to the request timeout.
const CONNECTIONS_MAX: usize = 4;
/// Offsets that one page for a group looks at.
const GROUP_SCAN_OFFSETS: u64 = 4_096;
/// Newest values given for one channel.
const NEWEST_MAX: usize = 10_000;

pub(super) struct Readers {
    path: PathBuf,
    epoch: Epoch,
    timeout: Duration,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

/// A channel's row.
struct Known {
    id: i64,
    born: u64,
    head: u64,
    floor: u64,
}

impl Readers {
    pub fn new(path: PathBuf, epoch: Epoch, timeout: Duration) -> Self {
        Self {
            path,
            epoch,
            timeout,
            turns: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            idle: Mutex::default(),
        }
    }

    fn position(&self, offset: u64) -> Position {
        Position { epoch: self.epoch.clone(), offset }
    }

    pub async fn head(self: &Arc<Self>, channel: &Channel) -> Result<Position, BusError> {
        let name = channel.clone();
        let head = self.with(move |_, log| Ok(known(log, &name)?.map_or(0, |known| known.head))).await?;
        Ok(self.position(head))
    }

    pub async fn find(self: &Arc<Self>, channel: &Channel, id: &EventId) -> Result<Option<u64>, BusError> {
        let (channel, id) = (channel.clone(), id.clone());
        self.with(move |_, log| {
            let mut statement = log.prepare_cached(
                "SELECT log.offset FROM log JOIN channels ON channels.id = log.channel
                 WHERE channels.name = ?1 AND log.event_id = ?2 AND log.offset > channels.floor",
            )?;
            let offset: Option<i64> =
                statement.query_row(params![channel.as_str(), id.as_str()], |row| row.get(0)).optional()?;
            Ok(offset.map(from_sql))
        })
        .await
    }

    pub async fn page(
        self: &Arc<Self>,
        channel: &Channel,
        after: u64,
        limit: usize,
    ) -> Result<Page, BusError> {
        let channel = channel.clone();
        let limit = limit.clamp(1, PAGE_EVENTS_MAX);
        self.with(move |readers, log| {
            let Some(known) = known(log, &channel)? else {
                // A channel that never had an event, or none for so long that it is forgotten.
                return Ok(Page { entries: Vec::new(), head: readers.position(0), complete: after == 0 });
            };
            // An offset below the channel's birth is from before it was forgotten, and one above its head from
            // another log.
            let mut complete =
                after >= known.floor && after <= known.head && (after == 0 || after >= known.born);
            let mut statement = log.prepare_cached(
                "SELECT offset, previous, kept_at, event FROM log
                 WHERE channel = ?1 AND offset > ?2 ORDER BY offset LIMIT ?3",
            )?;
            let from = to_sql(after.max(known.floor));
            let mut rows =
                statement.query(params![known.id, from, i64::try_from(limit).unwrap_or(i64::MAX)])?;
            let mut entries = Vec::new();
            let mut bytes = 0;
            while let Some(row) = rows.next()?
                && bytes < PAGE_BYTES_MAX
            {
                match readers.entry(&channel, row)? {
                    Some(entry) => {
                        bytes += entry.event.payload.len();
                        entries.push(entry);
                    }
                    None => complete = false,
                }
            }
            Ok(Page { entries, head: readers.position(known.head), complete })
        })
        .await
    }

    pub async fn newest(self: &Arc<Self>, channel: &Channel) -> Result<Vec<Entry>, BusError> {
        let channel = channel.clone();
        self.with(move |readers, log| {
            let mut statement = log.prepare_cached(
                "SELECT sequence, 0, kept_at, event FROM latest WHERE channel = ?1 ORDER BY sequence DESC LIMIT ?2",
            )?;
            let limit = i64::try_from(NEWEST_MAX).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![channel.as_str(), limit])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                entries.extend(readers.entry(&channel, row)?);
            }
            entries.reverse();
            Ok(entries)
        })
        .await
    }

    /// The next retained events of some kinds of channels, and the offset up to which these are all; at most
    /// `upto`.
    pub async fn group_page(
        self: &Arc<Self>,
        after: u64,
        upto: u64,
        kinds: Arc<[ChannelKind]>,
        limit: usize,
    ) -> Result<(Vec<Entry>, u64), BusError> {
        self.with(move |readers, log| {
            let end = upto.min(after.saturating_add(GROUP_SCAN_OFFSETS));
            let mut statement = log.prepare_cached(
                "SELECT log.offset, log.previous, log.kept_at, log.event, channels.name, channels.kind
                 FROM log JOIN channels ON channels.id = log.channel
                 WHERE log.offset > ?1 AND log.offset <= ?2 AND log.offset > channels.floor ORDER BY log.offset",
            )?;
            let mut rows = statement.query(params![to_sql(after), to_sql(end)])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let kind = row.get_ref(5)?.as_str()?;
                if !kinds.iter().any(|wanted| wanted.word() == kind) {
                    continue;
                }
                if entries.len() == limit {
                    let last = entries.last().map_or(after, |entry: &Entry| entry.position.offset);
                    return Ok((entries, last));
                }
                if let Ok(channel) = body::channel_named(row.get_ref(4)?.as_str()?) {
                    entries.extend(readers.entry(&channel, row)?);
                }
            }
            Ok((entries, end))
        })
        .await
    }

    /// `None`: it can't be read, which is said and costs the others nothing.
    fn entry(&self, channel: &Channel, row: &Row<'_>) -> rusqlite::Result<Option<Entry>> {
        let offset = from_sql(row.get(0)?);
        let kept_at = Timestamp::from_micros(row.get(2)?);
        let bytes = bytes::Bytes::copy_from_slice(row.get_ref(3)?.as_blob()?);
        match body::decode(bytes, kept_at) {
            Ok(event) => Ok(Some(Entry {
                channel: channel.clone(),
                event,
                position: self.position(offset),
                previous_offset: from_sql(row.get(1)?),
                kept_at,
            })),
            Err(why) => {
                counter!(measure::UNREADABLE).increment(1);
                tracing::error!(%channel, offset, why, "a stored event can't be read; it is passed over");
                Ok(None)
            }
        }
    }

    async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, BusError> {
        let result = timeout(self.timeout, async {
            let turn = Arc::clone(&self.turns).acquire_owned().await;
            let readers = Arc::clone(self);
            let done = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                readers.on_connection(work)
            });
            done.await.map_err(|why| BusError::Unavailable(why.to_string()))?
        })
        .await
        .unwrap_or_else(|_| Err(too_slow(self.timeout)));
        if result.is_err() {
            counter!(measure::ERRORS).increment(1);
        }
        result
    }

    fn on_connection<T>(
        &self,
        work: impl FnOnce(&Self, &Connection) -> rusqlite::Result<T>,
    ) -> Result<T, BusError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => log::open_to_read(&self.path).map_err(log::unavailable)?,
        };
        // A connection whose read failed is not used again.
        let result = connection
            .unchecked_transaction()
            .and_then(|transaction| {
                let result = work(self, &transaction)?;
                transaction.commit()?;
                Ok(result)
            })
            .map_err(log::unavailable)?;
        self.idle.lock().push(connection);
        Ok(result)
    }
}

fn known(log: &Connection, channel: &Channel) -> rusqlite::Result<Option<Known>> {
    log.prepare_cached("SELECT id, born, head, floor FROM channels WHERE name = ?1")?
        .query_row([channel.as_str()], |row| {
            Ok(Known {
                id: row.get(0)?,
                born: from_sql(row.get(1)?),
                head: from_sql(row.get(2)?),
                floor: from_sql(row.get(3)?),
            })
        })
        .optional()
}

/// What subscriptions heal from; it does not keep the engine open.
#[async_trait]
impl subscription::Log for Arc<Readers> {
    async fn read(&self, channel: &Channel, after: u64, limit: usize) -> Result<Page, BusError> {
        self.page(channel, after, limit).await
    }

    async fn latest(&self, channel: &Channel) -> Result<Vec<Entry>, BusError> {
        self.newest(channel).await
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("path", &self.path)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
