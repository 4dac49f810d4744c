//! What became of one event on this edge: heard, put into so many queues, written so many times.
//!
//! Kept beside the event in the ring of its channel, and gone with it. Replays are not counted: they are no part of how an
//! event was told.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use platepal_events::{Event, Timestamp};
use platepal_proto::v1;
use platepal_service::{Clock, trace::Sampled};

/// Relaxed everywhere: people look at it.
const ORDER: Ordering = Ordering::Relaxed;

#[derive(Debug)]
pub(crate) struct Journey {
    /// When the bus had kept it.
    pub kept_at: Timestamp,
    /// Its trace, if that is recorded.
    sampled: Option<Sampled>,
    heard_at: AtomicI64,
    readers: AtomicU32,
    written: AtomicU32,
    last_written_at: AtomicI64,
}

impl Journey {
    pub fn of(event: &Event, kept_at: Timestamp) -> Self {
        Self {
            kept_at,
            sampled: Sampled::of(event),
            heard_at: AtomicI64::new(0),
            readers: AtomicU32::new(0),
            written: AtomicU32::new(0),
            last_written_at: AtomicI64::new(0),
        }
    }

    /// It came, and was put into the queues of so many readers.
    pub fn heard(&self, readers: u64, clock: Clock) {
        self.heard_at.store(clock.now().micros(), ORDER);
        self.readers.store(u32::try_from(readers).unwrap_or(u32::MAX), ORDER);
    }

    /// It was written to one of them.
    pub fn written(&self, now: Timestamp) {
        self.written.fetch_add(1, ORDER);
        self.last_written_at.fetch_max(now.micros(), ORDER);
        if let Some(sampled) = &self.sampled {
            sampled.written(self.kept_at, now);
        }
    }

    /// `None`: it was read from the log, not heard here.
    pub fn message(&self, edge: String) -> Option<v1::JourneyHere> {
        let moment = |micros: &AtomicI64| match micros.load(ORDER) {
            0 => None,
            micros => Some(Timestamp::from_micros(micros).into()),
        };
        let heard_at = moment(&self.heard_at)?;
        Some(v1::JourneyHere {
            edge,
            heard_at: Some(heard_at),
            readers: self.readers.load(ORDER),
            written: self.written.load(ORDER),
            last_written_at: moment(&self.last_written_at),
        })
    }
}
