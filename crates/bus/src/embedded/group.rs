//! A group of workers: which events are handed out, which are acknowledged.
//!
//! All workers of a group are in this process, so what is handed out is in memory; what is acknowledged is in
//! the log's file, in the same commits as the appends. After a restart everything that was not acknowledged is
//! handed out again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use metrics::counter;
use parking_lot::Mutex;
use platepal_events::{ChannelKind, Entry};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    closed,
    reader::Readers,
    too_slow,
    writer::{Command, GroupStart},
};
use crate::{BusError, Settings, Unacknowledged, consumer, measure};

/// Events read ahead for a group.
const AHEAD_EVENTS: usize = 256;

pub(super) struct Group {
    name: Arc<str>,
    kinds: Arc<[ChannelKind]>,
    state: Mutex<State>,
    /// One worker reads ahead for all.
    reading: tokio::sync::Mutex<()>,
    /// Something became free or ready.
    changed: Notify,
    readers: Arc<Readers>,
    commands: mpsc::WeakSender<Command>,
    ack_wait: Duration,
    request_timeout: Duration,
    held_max: usize,
}

struct State {
    /// Everything up to here was looked at.
    read_upto: u64,
    ahead: VecDeque<Entry>,
    /// Handed out and not acknowledged. Bounded by the setting.
    held: BTreeMap<u64, (Instant, Entry)>,
    /// Acknowledged before a restart, though something before was not.
    also: BTreeSet<u64>,
}

enum Turn {
    Take(Box<Entry>),
    Read(u64),
    Wait(Option<Instant>),
}

impl Group {
    pub fn new(
        name: &str,
        kinds: &[ChannelKind],
        start: GroupStart,
        readers: Arc<Readers>,
        commands: mpsc::WeakSender<Command>,
        settings: &Settings,
    ) -> Self {
        Self {
            name: name.into(),
            kinds: sorted(kinds),
            state: Mutex::new(State {
                read_upto: start.acknowledged,
                ahead: VecDeque::new(),
                held: BTreeMap::new(),
                also: start.also.into_iter().collect(),
            }),
            reading: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            readers,
            commands,
            ack_wait: settings.ack_wait,
            request_timeout: settings.request_timeout,
            held_max: settings.unacknowledged.max(1),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_for(&self, kinds: &[ChannelKind]) -> bool {
        self.kinds == sorted(kinds)
    }

    fn turn(&self) -> Turn {
        let mut state = self.state.lock();
        let now = Instant::now();
        let until = now + self.ack_wait;
        if let Some((due, entry)) = state.held.values_mut().find(|(due, _)| *due <= now) {
            *due = until;
            counter!(measure::REDELIVERED).increment(1);
            return Turn::Take(Box::new(entry.clone()));
        }
        if state.held.len() < self.held_max {
            let Some(entry) = state.ahead.pop_front() else { return Turn::Read(state.read_upto) };
            state.held.insert(entry.position.offset, (until, entry.clone()));
            return Turn::Take(Box::new(entry));
        }
        Turn::Wait(state.next_due())
    }

    /// Reads ahead. False: there is nothing new.
    async fn read(&self, from: u64, committed: u64) -> Result<bool, BusError> {
        let _reading = self.reading.lock().await;
        if self.state.lock().read_upto != from {
            return Ok(true);
        }
        if from >= committed {
            return Ok(false);
        }
        let (entries, upto) =
            self.readers.group_page(from, committed, Arc::clone(&self.kinds), AHEAD_EVENTS).await?;
        let mut state = self.state.lock();
        for entry in entries {
            if !state.also.remove(&entry.position.offset) {
                state.ahead.push_back(entry);
            }
        }
        state.read_upto = upto;
        drop(state);
        self.changed.notify_waiters();
        Ok(true)
    }

    async fn acknowledge(&self, offset: u64) -> Result<(), BusError> {
        let upto = self.state.lock().acknowledged_without(offset);
        let commands = self.commands.upgrade().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        let command = Command::Acknowledge { group: Arc::clone(&self.name), offset, upto, answer };
        let asked = async {
            commands.send(command).await.map_err(|_| closed())?;
            answered.await.map_err(|_| closed())?
        };
        timeout(self.request_timeout, asked).await.unwrap_or_else(|_| Err(too_slow(self.request_timeout)))?;
        self.state.lock().held.remove(&offset);
        self.changed.notify_waiters();
        Ok(())
    }
}

impl State {
    fn next_due(&self) -> Option<Instant> {
        self.held.values().map(|(due, _)| *due).min()
    }

    /// The offset up to which nothing is left to do, once this one is acknowledged.
    fn acknowledged_without(&self, offset: u64) -> u64 {
        let held = self.held.keys().find(|held| **held != offset).copied();
        let ahead = self.ahead.front().map(|entry| entry.position.offset);
        let open = held.into_iter().chain(ahead).min();
        open.map_or(self.read_upto, |open| open.saturating_sub(1))
    }
}

pub(super) struct Worker {
    group: Arc<Group>,
    committed: watch::Receiver<u64>,
}

impl Worker {
    pub fn new(group: Arc<Group>, committed: watch::Receiver<u64>) -> Self {
        Self { group, committed }
    }
}

#[async_trait]
impl consumer::Worker for Worker {
    async fn next(&mut self) -> Result<Unacknowledged, BusError> {
        loop {
            // Before the look, so that no change after it is missed.
            let mut changed = Box::pin(self.group.changed.notified());
            changed.as_mut().enable();
            let committed = *self.committed.borrow_and_update();
            let due = match self.group.turn() {
                Turn::Take(entry) => {
                    let receipt = Receipt { group: Arc::clone(&self.group), offset: entry.position.offset };
                    return Ok(Unacknowledged::new(*entry, receipt));
                }
                Turn::Read(from) => {
                    if self.group.read(from, committed).await? {
                        continue;
                    }
                    self.group.state.lock().next_due()
                }
                Turn::Wait(due) => due,
            };
            tokio::select! {
                is_open = self.committed.changed() => is_open.map_err(|_| closed())?,
                () = changed => {}
                () = until(due) => {}
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

struct Receipt {
    group: Arc<Group>,
    offset: u64,
}

#[async_trait]
impl consumer::Receipt for Receipt {
    async fn acknowledge(self: Box<Self>) -> Result<(), BusError> {
        self.group.acknowledge(self.offset).await
    }
}

fn sorted(kinds: &[ChannelKind]) -> Arc<[ChannelKind]> {
    let kinds: BTreeSet<ChannelKind> = kinds.iter().copied().collect();
    kinds.into_iter().collect()
}
