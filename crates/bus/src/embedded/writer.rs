//! The one thread that writes: takes everything that waits, one transaction, one sync, then answers everybody.
//!
//! The longer a sync takes, the more appends share the next one: the rate grows with the number of callers, not
//! with the speed of the disk.

mod append;

pub(super) use self::append::before;

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{counter, histogram};
use platepal_events::{Channel, Entry, Epoch, Event, Timestamp};
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot, watch};

use self::append::{RecentIds, Told};
use super::{
    live::Live,
    log::{self, to_sql},
    retention,
};
use crate::{Appended, BusError, Settings, clock, measure};

/// Commands in one transaction, so that the first of a long queue is not kept waiting for the last.
const COMMIT_COMMANDS_MAX: usize = 2_048;
/// Bytes of events in one transaction.
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, BusError>>;

/// What the writer is asked to do.
pub(super) enum Command {
    /// Keep an event in some channels.
    Append { channels: Box<[Channel]>, event: Arc<Event>, body: Vec<u8>, answer: Answer<Vec<Appended>> },
    /// Make a group if it is not there, and say what it has done.
    Group { name: Box<str>, answer: Answer<GroupStart> },
    /// One event was dealt with by a group, and all up to another one.
    Acknowledge { group: Arc<str>, offset: u64, upto: u64, answer: Answer<()> },
    /// Write something, to see whether one can.
    Probe(Answer<()>),
    /// Let go of what is too old.
    Sweep,
    /// Commit and end.
    Close(Answer<()>),
}

/// Where a group goes on.
#[derive(Debug)]
pub(super) struct GroupStart {
    /// All up to here is acknowledged.
    pub acknowledged: u64,
    /// And these.
    pub also: Vec<u64>,
}

pub(super) struct Writer {
    /// `None` after a failure that a new connection may mend.
    connection: Option<Connection>,
    path: PathBuf,
    epoch: Epoch,
    live: Arc<Live>,
    committed: watch::Sender<u64>,
    bounds: Bounds,
    recent: RecentIds,
    /// Time never goes back in the log, whatever the clock does: retention relies on it.
    latest_time: Timestamp,
    /// Held for as long as the file is written.
    _lock: fs::File,
}

/// The settings that a write needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub retention_age: Duration,
    pub retention_events: u32,
    pub duplicate_window: Duration,
}

impl Writer {
    pub fn new(
        connection: Connection,
        path: PathBuf,
        epoch: Epoch,
        live: Arc<Live>,
        committed: watch::Sender<u64>,
        settings: &Settings,
        lock: fs::File,
    ) -> Self {
        let bounds = Bounds {
            retention_age: settings.retention_age,
            retention_events: settings.retention_events.max(1),
            duplicate_window: settings.duplicate_window,
        };
        Self {
            connection: Some(connection),
            path,
            epoch,
            live,
            committed,
            bounds,
            recent: RecentIds::default(),
            latest_time: Timestamp::from_micros(0),
            _lock: lock,
        }
    }

    pub fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut batch = Vec::new();
        let mut closers = Vec::new();
        while let Some(first) = queue.blocking_recv() {
            let mut bytes = 0;
            let mut next = Some(first);
            while let Some(command) = next {
                if let Command::Append { body, channels, .. } = &command {
                    bytes += body.len() * channels.len();
                }
                match command {
                    Command::Close(answer) => closers.push(answer),
                    command => batch.push(command),
                }
                let is_full = batch.len() >= COMMIT_COMMANDS_MAX || bytes >= COMMIT_BYTES_MAX;
                next = if is_full { None } else { queue.try_recv().ok() };
            }
            self.write(std::mem::take(&mut batch));
            if !closers.is_empty() {
                // What was sent before the close is committed, what comes later is refused.
                queue.close();
            }
        }
        self.live.end();
        if let Some(connection) = self.connection.take() {
            // Moves the write-ahead log into the file; without it that happens at the next start.
            let _ = connection.close();
        }
        drop(self);
        for answer in closers {
            let _ = answer.send(Ok(()));
        }
    }

    /// One batch: all of it is kept, or nothing.
    fn write(&mut self, batch: Vec<Command>) {
        if batch.is_empty() {
            return;
        }
        let began = Instant::now();
        self.latest_time = self.latest_time.max(clock::now());
        let mut answers = Vec::with_capacity(batch.len());
        let mut told = Vec::new();
        let result = self.transact(&batch, &mut answers, &mut told);
        let result = result.map_err(|why| {
            tracing::warn!(%why, "a commit of the embedded bus failed");
            self.recent.forget();
            // Whatever broke may be mended by opening the file again, at the next batch.
            self.connection = None;
            log::unavailable(why)
        });
        match result {
            Ok(newest) => {
                histogram!(measure::COMMIT_SECONDS).record(began.elapsed());
                histogram!(measure::COMMIT_APPENDS).record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
                self.tell(told, newest);
                self.answer(batch, answers);
            }
            Err(why) => refuse(batch, &why),
        }
    }

    fn transact(
        &mut self,
        batch: &[Command],
        answers: &mut Vec<Option<Outcome>>,
        told: &mut Vec<Told>,
    ) -> rusqlite::Result<u64> {
        if self.connection.is_none() {
            let (connection, _) = log::open(&self.path).map_err(|why| {
                tracing::warn!(%why, "the embedded bus can't open its file");
                rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
                    Some(why.to_string()),
                )
            })?;
            self.connection = Some(connection);
        }
        let Some(connection) = self.connection.as_mut() else { return Err(rusqlite::Error::InvalidQuery) };
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let now = self.latest_time;
        for command in batch {
            let outcome = match command {
                Command::Append { channels, event, body, .. } => {
                    let mut appended = Vec::with_capacity(channels.len());
                    for channel in channels {
                        let (offset, duplicate) = append::append(
                            &transaction,
                            &mut self.recent,
                            &self.bounds,
                            append::New { channel, event, body, now },
                            told,
                        )?;
                        appended.push((offset, duplicate));
                    }
                    Some(Outcome::Appended(appended))
                }
                Command::Group { name, .. } => Some(Outcome::Group(group(&transaction, name)?)),
                Command::Acknowledge { group, offset, upto, .. } => {
                    acknowledge(&transaction, group, *offset, *upto)?;
                    Some(Outcome::Done)
                }
                Command::Probe(_) => {
                    transaction.execute("UPDATE meta SET value = value + 1 WHERE name = 'probe'", [])?;
                    Some(Outcome::Done)
                }
                Command::Sweep => {
                    retention::sweep(&transaction, &self.bounds, now)?;
                    None
                }
                Command::Close(_) => None,
            };
            answers.push(outcome);
        }
        let newest = log::newest_offset(&transaction)?;
        transaction.commit()?;
        Ok(newest)
    }

    fn tell(&self, told: Vec<Told>, newest: u64) {
        for told in told {
            if self.live.has_readers(&told.channel) {
                self.live.tell(&Entry {
                    channel: told.channel,
                    event: told.event,
                    position: self.position(told.offset),
                    previous_offset: told.previous,
                    kept_at: self.latest_time,
                });
            }
        }
        self.committed.send_if_modified(|known| {
            let grew = newest > *known;
            *known = newest;
            grew
        });
    }

    fn answer(&self, batch: Vec<Command>, outcomes: Vec<Option<Outcome>>) {
        // A caller that no longer waits has dropped its end; that is its business.
        for (command, outcome) in batch.into_iter().zip(outcomes) {
            match (command, outcome) {
                (Command::Append { answer, .. }, Some(Outcome::Appended(places))) => {
                    let repeats = places.iter().filter(|(_, duplicate)| *duplicate).count();
                    counter!(measure::DUPLICATES).increment(u64::try_from(repeats).unwrap_or_default());
                    counter!(measure::APPENDED)
                        .increment(u64::try_from(places.len() - repeats).unwrap_or_default());
                    let appended = places
                        .into_iter()
                        .map(|(offset, duplicate)| Appended { position: self.position(offset), duplicate })
                        .collect();
                    let _ = answer.send(Ok(appended));
                }
                (Command::Group { answer, .. }, Some(Outcome::Group(start))) => {
                    let _ = answer.send(Ok(start));
                }
                (Command::Acknowledge { answer, .. } | Command::Probe(answer), _) => {
                    let _ = answer.send(Ok(()));
                }
                _ => {}
            }
        }
    }

    fn position(&self, offset: u64) -> platepal_events::Position {
        platepal_events::Position { epoch: self.epoch.clone(), offset }
    }
}

/// What a command came to, before it is durable.
enum Outcome {
    Appended(Vec<(u64, bool)>),
    Group(GroupStart),
    Done,
}

fn refuse(batch: Vec<Command>, why: &BusError) {
    for command in batch {
        match command {
            Command::Append { answer, .. } => drop(answer.send(Err(why.clone()))),
            Command::Group { answer, .. } => drop(answer.send(Err(why.clone()))),
            Command::Acknowledge { answer, .. } | Command::Probe(answer) | Command::Close(answer) => {
                drop(answer.send(Err(why.clone())));
            }
            Command::Sweep => {}
        }
    }
}

/// A new group starts behind everything that there is.
fn group(transaction: &Connection, name: &str) -> rusqlite::Result<GroupStart> {
    let newest = log::newest_offset(transaction)?;
    transaction.execute("INSERT OR IGNORE INTO groups VALUES (?1, ?2)", params![name, to_sql(newest)])?;
    let acknowledged: i64 =
        transaction.query_row("SELECT acknowledged FROM groups WHERE name = ?1", [name], |row| row.get(0))?;
    let mut statement = transaction.prepare_cached("SELECT offset FROM acknowledged WHERE name = ?1")?;
    let also = statement.query_map([name], |row| row.get(0).map(log::from_sql))?.collect::<Result<_, _>>()?;
    Ok(GroupStart { acknowledged: log::from_sql(acknowledged), also })
}

fn acknowledge(transaction: &Connection, group: &str, offset: u64, upto: u64) -> rusqlite::Result<()> {
    if offset > upto {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO acknowledged VALUES (?1, ?2)")?
            .execute(params![group, to_sql(offset)])?;
    }
    transaction
        .prepare_cached("UPDATE groups SET acknowledged = max(acknowledged, ?2) WHERE name = ?1")?
        .execute(params![group, to_sql(upto)])?;
    transaction
        .prepare_cached("DELETE FROM acknowledged WHERE name = ?1 AND offset <= ?2")?
        .execute(params![group, to_sql(upto)])?;
    Ok(())
}
