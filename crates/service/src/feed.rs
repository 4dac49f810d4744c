//! A durable feed: what a domain hands to a worker of Django's, in order, never lost.
//!
//! A domain puts an entry in the transaction that keeps what it tells ([`Feed::put`]). Entries get their positions
//! afterwards, by whoever reads ([`Feed::number`], one at a time): a position is given only to what is committed, so no
//! reader can pass by an entry whose transaction was slow. Readers are known by name; an entry is forgotten when
//! every known reader has acknowledged it ([`Feed::forget`]).
//!
//! Tables, made by the domain's migrations: `{domain}_feed(subject, seq, position, kind, payload, at)`,
//! `{domain}_feed_readers(reader, acknowledged)` and `{domain}_feed_head(id, position, forgotten)` with one row.
//!
//! Invariants: positions grow, and entries of one subject have them in the order in which they were put.

use std::{collections::HashMap, sync::Arc, time::Duration};

use platepal_events::Timestamp;
use platepal_proto::v1;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    Database, Shutdown,
    grpc::invalid,
    sql::{self, Transaction, Value},
};

/// Entries that are numbered in one transaction, and read at once.
const CHUNK: i64 = 500;
/// Entries of one stream that were read and not sent yet; then the client's reading sets the pace.
const AHEAD: usize = 64;
/// How often a stream looks for entries that another process put.
const POLL: Duration = Duration::from_millis(250);
/// Names of readers: each keeps entries from being forgotten.
const READERS_MAX: i64 = 16;
/// The longest name of a reader.
const READER_CHARS_MAX: usize = 64;

/// What is handed over.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// What it is about. The caller's transaction holds a lock on it, or it has this one entry only.
    pub subject: &'a str,
    /// What it is.
    pub kind: &'a str,
    /// JSON.
    pub payload: &'a str,
    /// When it happened.
    pub at: Timestamp,
}

/// A domain's feed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    database: Database,
    domain: &'static str,
    put: Arc<Notify>,
}

/// Describes the metrics of all feeds.
pub fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge};
    describe_counter!("realtime_feed_sent_total", "Entries of durable feeds that were sent to readers.");
    describe_counter!(
        "realtime_feed_forgotten_total",
        "Entries of durable feeds that nobody needs any more."
    );
    describe_gauge!(
        "realtime_feed_waiting_entries",
        "Entries of durable feeds that some reader has not acknowledged."
    );
}

impl Feed {
    /// The feed in the tables of a domain.
    pub fn new(database: Database, domain: &'static str) -> Self {
        Self { database, domain, put: Arc::default() }
    }

    /// Puts an entry, as part of a transaction. After the commit, [`Feed::wake`].
    pub async fn put(&self, tx: &mut Transaction, entry: Entry<'_>) -> Result<(), sqlx::Error> {
        self.put_all(tx, &[entry]).await
    }

    /// Puts entries, in this order, as part of a transaction; at most 1,000. After the commit, [`Feed::wake`].
    pub async fn put_all(&self, tx: &mut Transaction, entries: &[Entry<'_>]) -> Result<(), sqlx::Error> {
        let mut nth: HashMap<&str, i64> = HashMap::new();
        let mut rows: Vec<[Value<'_>; 5]> = Vec::with_capacity(entries.len());
        for Entry { subject, kind, payload, at } in entries {
            let nth = nth.entry(subject).or_default();
            *nth += 1;
            rows.push([
                (*subject).into(),
                (*nth).into(),
                (*kind).into(),
                (*payload).into(),
                at.micros().into(),
            ]);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO {0}_feed (subject, seq, position, kind, payload, at) \
             SELECT column1, column2 + (SELECT COALESCE(MAX(seq), 0) FROM {0}_feed WHERE subject = column1), NULL, \
             column3, column4, column5 FROM (VALUES {1}) AS v",
            self.domain,
            sql::list(&rows)
        );
        tx.execute(&sql, rows.as_flattened()).await?;
        Ok(())
    }

    /// Tells the streams of this process that something was put.
    pub fn wake(&self) {
        self.put.notify_waiters();
    }

    /// Gives positions to what is committed; how many entries got one.
    pub async fn number(&self) -> Result<u64, sqlx::Error> {
        let waits = format!("SELECT 1 AS waits FROM {}_feed WHERE position IS NULL LIMIT 1", self.domain);
        if self.database.rows(&waits, &[]).await?.is_empty() {
            return Ok(0);
        }
        let mut tx = self.database.begin().await?;
        let sql = format!("SELECT position FROM {}_feed_head WHERE id = 1{}", self.domain, tx.for_update());
        let head = tx.row(&sql, &[]).await?.ok_or(sqlx::Error::RowNotFound)?.int("position")?;
        // By `seq` first: what was put before in the same subject has a smaller one and is never left behind.
        let sql = format!(
            "UPDATE {0}_feed SET position = n.position FROM (SELECT subject, seq, \
             $1 + ROW_NUMBER() OVER (ORDER BY seq, at, subject) AS position FROM (SELECT subject, seq, at FROM {0}_feed \
             WHERE position IS NULL ORDER BY seq, at, subject LIMIT $2) AS waiting) AS n \
             WHERE {0}_feed.subject = n.subject AND {0}_feed.seq = n.seq",
            self.domain
        );
        let numbered = tx.execute(&sql, &[head.into(), CHUNK.into()]).await?;
        let sql = format!("UPDATE {}_feed_head SET position = position + $1 WHERE id = 1", self.domain);
        tx.execute(&sql, &[i64::try_from(numbered).unwrap_or(CHUNK).into()]).await?;
        tx.commit().await?;
        Ok(numbered)
    }

    /// Entries after a position, in order.
    pub async fn read(&self, after: i64, limit: i64) -> Result<Vec<v1::FeedEntry>, sqlx::Error> {
        let sql = format!(
            "SELECT position, kind, subject, payload, at FROM {}_feed WHERE position > $1 ORDER BY position LIMIT $2",
            self.domain
        );
        let rows = self.database.rows(&sql, &[after.into(), limit.into()]).await?;
        rows.iter()
            .map(|row| {
                Ok(v1::FeedEntry {
                    position: row.int("position")?.unsigned_abs(),
                    kind: row.text("kind")?,
                    subject: row.text("subject")?,
                    payload: row.text("payload")?.into_bytes().into(),
                    at: Some(Timestamp::from_micros(row.int("at")?).into()),
                })
            })
            .collect()
    }

    /// The newest position, and up to which entries are forgotten.
    async fn head(&self) -> Result<(i64, i64), sqlx::Error> {
        let sql = format!("SELECT position, forgotten FROM {}_feed_head WHERE id = 1", self.domain);
        let rows = self.database.rows(&sql, &[]).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok((row.int("position")?, row.int("forgotten")?))
    }

    async fn acknowledged(&self, reader: &str) -> Result<Option<i64>, sqlx::Error> {
        let sql = format!("SELECT acknowledged FROM {}_feed_readers WHERE reader = $1", self.domain);
        let rows = self.database.rows(&sql, &[reader.into()]).await?;
        rows.first().map(|row| row.int("acknowledged")).transpose()
    }

    /// Makes a reader known, if it is not, and says after which position it goes on.
    async fn begin(&self, reader: &str, after: Option<u64>) -> Result<i64, Status> {
        check_reader(reader)?;
        let (head, forgotten) = self.head().await.map_err(|why| unavailable(&why))?;
        let known = self.acknowledged(reader).await.map_err(|why| unavailable(&why))?;
        if known.is_none() {
            let sql = format!("SELECT COUNT(*) AS readers FROM {}_feed_readers", self.domain);
            let rows = self.database.rows(&sql, &[]).await.map_err(|why| unavailable(&why))?;
            let readers =
                rows.first().map_or(Ok(0), |row| row.int("readers")).map_err(|why| unavailable(&why))?;
            if readers >= READERS_MAX {
                return Err(Status::resource_exhausted(format!(
                    "{READERS_MAX} readers are known already; each keeps entries from being forgotten: use one of \
                     their names"
                )));
            }
        }
        let after = match after {
            Some(after) => i64::try_from(after).unwrap_or(i64::MAX),
            None => known.unwrap_or(forgotten),
        };
        if after > head {
            return Err(invalid("after", format!("must be at most {head}, the newest position")));
        }
        if after < forgotten {
            return Err(Status::out_of_range(format!(
                "entries up to {forgotten} were acknowledged by all readers and are gone; read on after that, and fetch \
                 what you lack by the domain's other calls"
            )));
        }
        self.note(reader, after).await.map_err(|why| unavailable(&why))?;
        Ok(after)
    }

    async fn note(&self, reader: &str, position: i64) -> Result<(), sqlx::Error> {
        let sql = format!(
            "INSERT INTO {0}_feed_readers (reader, acknowledged) VALUES ($1, $2) ON CONFLICT (reader) \
             DO UPDATE SET acknowledged = $2 WHERE {0}_feed_readers.acknowledged < $2",
            self.domain
        );
        self.database.execute(&sql, &[reader.into(), position.into()]).await?;
        Ok(())
    }

    /// Notes that a reader has stored everything up to a position.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`: there is no such position. `UNAVAILABLE`: nothing was noted; repeat.
    pub async fn acknowledge(&self, request: v1::AcknowledgeFeedRequest) -> Result<(), Status> {
        let v1::AcknowledgeFeedRequest { reader, position } = request;
        check_reader(&reader)?;
        let (head, _) = self.head().await.map_err(|why| unavailable(&why))?;
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        if position > head {
            return Err(invalid("position", format!("must be at most {head}, the newest position")));
        }
        self.note(&reader, position).await.map_err(|why| unavailable(&why))
    }

    /// Streams entries to a reader until it goes or the process ends.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, `RESOURCE_EXHAUSTED`: see the request. `OUT_OF_RANGE`: entries after that position are gone.
    pub async fn stream(
        &self,
        request: v1::ReadFeedRequest,
        shutdown: &Shutdown,
    ) -> Result<ReceiverStream<Result<v1::FeedEntry, Status>>, Status> {
        let after = self.begin(&request.reader, request.after).await?;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (feed, told) = (self.clone(), shutdown.told());
        shutdown.spawn(async move {
            tokio::select! {
                () = told => {}
                () = sender.closed() => {}
                () = feed.send(after, &sender) => {}
            }
        });
        Ok(ReceiverStream::new(receiver))
    }

    async fn send(&self, mut after: i64, sender: &mpsc::Sender<Result<v1::FeedEntry, Status>>) {
        loop {
            // Before looking, so that what is put meanwhile is heard of.
            let woken = self.put.notified();
            let entries = async {
                self.number().await?;
                self.read(after, CHUNK).await
            };
            let entries = match entries.await {
                Ok(entries) => entries,
                Err(why) => {
                    let _ = sender.send(Err(unavailable(&why))).await;
                    return;
                }
            };
            if entries.is_empty() {
                // Late or early makes no difference: it looks again.
                let _ = tokio::time::timeout(POLL, woken).await;
                continue;
            }
            for entry in entries {
                after = i64::try_from(entry.position).unwrap_or(i64::MAX);
                if sender.send(Ok(entry)).await.is_err() {
                    return;
                }
                metrics::counter!("realtime_feed_sent_total", "domain" => self.domain).increment(1);
            }
        }
    }

    /// Forgets what every known reader has acknowledged; without any reader, what was put before a moment, a chunk of
    /// it. How many entries.
    pub async fn forget(&self, put_before: Timestamp) -> Result<u64, sqlx::Error> {
        // Without a reader nobody else does.
        while self.number().await? == CHUNK.unsigned_abs() {}
        let domain = self.domain;
        let mut tx = self.database.begin().await?;
        let sql =
            format!("SELECT position, forgotten FROM {domain}_feed_head WHERE id = 1{}", tx.for_update());
        let head = tx.row(&sql, &[]).await?.ok_or(sqlx::Error::RowNotFound)?;
        let (head, before) = (head.int("position")?, head.int("forgotten")?);
        let sql = format!("SELECT MIN(acknowledged) AS least FROM {domain}_feed_readers");
        let least = tx.row(&sql, &[]).await?.map(|row| row.maybe_int("least")).transpose()?.flatten();
        let up_to = match least {
            Some(least) => least,
            None => {
                // The oldest only: what is new is not looked at each time.
                let sql = format!(
                    "SELECT MAX(position) AS newest FROM (SELECT position, at FROM {domain}_feed WHERE position > $1 \
                     ORDER BY position LIMIT $2) AS oldest WHERE at < $3"
                );
                let values = [before.into(), (CHUNK * 20).into(), put_before.micros().into()];
                let row = tx.row(&sql, &values).await?;
                row.map(|row| row.maybe_int("newest")).transpose()?.flatten().unwrap_or(before)
            }
        };
        let mut forgotten = 0;
        if up_to > before {
            let sql = format!("DELETE FROM {domain}_feed WHERE position <= $1");
            forgotten = tx.execute(&sql, &[up_to.into()]).await?;
            let sql = format!("UPDATE {domain}_feed_head SET forgotten = $1 WHERE id = 1");
            tx.execute(&sql, &[up_to.into()]).await?;
        }
        tx.commit().await?;
        metrics::gauge!("realtime_feed_waiting_entries", "domain" => domain)
            .set((head - up_to.max(before)) as f64);
        metrics::counter!("realtime_feed_forgotten_total", "domain" => domain).increment(forgotten);
        Ok(forgotten)
    }
}

fn check_reader(reader: &str) -> Result<(), Status> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if reader.is_empty() || reader.len() > READER_CHARS_MAX || !reader.bytes().all(is_name) {
        return Err(invalid("reader", "must be 1-64 characters of A-Z a-z 0-9 _ -"));
    }
    Ok(())
}

fn unavailable(why: &sqlx::Error) -> Status {
    Status::unavailable(format!("the store is unavailable: {why}; nothing is lost, repeat"))
}
