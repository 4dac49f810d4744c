//! Which life a stream is in: made again, it counts from one, and offsets of before say nothing.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use platepal_events::Epoch;
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    streams::{self, State},
    subjects::fnv1a,
};
use crate::BusError;

/// How often the streams are looked at without a sign.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The wait after a look failed.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Partition {
    number: u16,
    log_stream: String,
    latest_stream: String,
    epochs: RwLock<Epochs>,
    /// A sequence went backwards: look before the next read.
    suspect: AtomicBool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Epochs {
    pub log: Epoch,
    pub latest: Epoch,
}

impl Partition {
    pub fn new(number: u16, log_stream: String, latest_stream: String, log: &State, latest: &State) -> Self {
        let epochs =
            Epochs { log: epoch(&log_stream, &log.created), latest: epoch(&latest_stream, &latest.created) };
        Self {
            number,
            log_stream,
            latest_stream,
            epochs: RwLock::new(epochs),
            suspect: AtomicBool::new(false),
        }
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    pub fn log_stream(&self) -> &str {
        &self.log_stream
    }

    pub fn latest_stream(&self) -> &str {
        &self.latest_stream
    }

    pub fn epochs(&self) -> Epochs {
        self.epochs.read().clone()
    }

    pub fn log_epoch(&self) -> Epoch {
        self.epochs.read().log.clone()
    }

    pub fn suspect(&self) {
        self.suspect.store(true, Ordering::Release);
    }

    /// The epoch of the log, looked up again if there was a sign of a new one.
    pub async fn sure_log_epoch(&self, shared: &Shared) -> Result<Epoch, BusError> {
        if self.suspect.load(Ordering::Acquire) {
            self.look(shared).await?;
        }
        Ok(self.log_epoch())
    }

    /// Asks the streams for their epochs. True if one is new.
    async fn look(&self, shared: &Shared) -> Result<bool, BusError> {
        // Before the question: a sign that comes after it counts again.
        let suspect = self.suspect.swap(false, Ordering::AcqRel);
        match self.ask(shared).await {
            Ok(now) => {
                let mut epochs = self.epochs.write();
                let is_new = *epochs != now;
                *epochs = now;
                Ok(is_new)
            }
            Err(why) => {
                self.suspect.fetch_or(suspect, Ordering::AcqRel);
                Err(why)
            }
        }
    }

    /// On the connection of live events, so that what was asked for there before is in force when this is
    /// answered.
    async fn ask(&self, shared: &Shared) -> Result<Epochs, BusError> {
        let log = streams::state(&shared.live, &self.log_stream, None).await?;
        let latest = streams::state(&shared.live, &self.latest_stream, None).await?;
        Ok(Epochs {
            log: epoch(&self.log_stream, &log.created),
            latest: epoch(&self.latest_stream, &latest.created),
        })
    }
}

/// Short, as every position carries it.
fn epoch(stream: &str, created: &str) -> Epoch {
    Epoch::new(format!("{:016x}", fnv1a(format!("{stream} {created}").as_bytes())))
}

/// Looks at the streams after every sign and from time to time, makes those again that are gone, and tells the
/// subscriptions to heal.
pub(super) async fn watch(shared: Weak<Shared>, end: CancellationToken) {
    let mut healed = true;
    let Some(signs) = shared.upgrade().map(|shared| Arc::clone(&shared.signs)) else { return };
    loop {
        let wait = if healed { LOOK_EVERY } else { LOOK_AGAIN };
        tokio::select! {
            () = end.cancelled() => return,
            () = signs.look.notified() => healed = false,
            () = tokio::time::sleep(wait) => {}
        }
        let Some(shared) = shared.upgrade() else { return };
        match look_at_all(&shared).await {
            Ok(is_new) => {
                if is_new || !healed {
                    signs.doubt.send_modify(|times| *times = times.wrapping_add(1));
                }
                healed = true;
            }
            Err(why) => {
                tracing::debug!(%why, "the streams can't be looked at");
                healed = false;
            }
        }
    }
}

async fn look_at_all(shared: &Shared) -> Result<bool, BusError> {
    let mut is_new = false;
    for partition in &shared.partitions {
        is_new |= match partition.look(shared).await {
            Ok(is_new) => is_new,
            Err(_) => {
                // Perhaps it is gone; if so this makes it again.
                streams::open(&shared.context, partition.number(), &shared.settings).await?;
                partition.look(shared).await?
            }
        };
    }
    Ok(is_new)
}
