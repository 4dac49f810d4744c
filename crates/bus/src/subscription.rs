//! A subscription: a live feed that may lose events, made whole.
//!
//! The one place where healing lives, for both engines. An engine gives a raw feed in which events may be
//! missing or repeated, a doubt that it raises when it knows that something may be missing, and the log. The
//! subscription delivers a *log* event only if its predecessor is the one it delivered last; else it reads the
//! log from there on. A silent one looks into the log from time to time, as the last event before a silence is
//! the one whose loss no successor shows.
//!
//! Invariant: never two events out of order, never one twice, never one skipped without
//! [`Delivery::Reset`]. Passing events go by beside all this, and change none of it.

mod newest;

use std::{collections::VecDeque, fmt, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use metrics::{counter, gauge};
use platepal_events::{Channel, Class, Entry, Event, Position};
use rand::Rng;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use self::newest::Newest;
use crate::{BusError, Page, Settings, measure};

/// Events read from the log at once while healing.
const HEAL_PAGE_EVENTS: usize = 256;
/// The first wait after the log could not be read; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest wait between two tries to read the log.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// What a subscription delivers.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// The next event: for the *log* class the direct successor of the one before.
    Entry(Entry),
    /// Events were missed that are no longer retained, or the log is a new one: take a snapshot, go on from here.
    Reset {
        /// Deliveries that follow come after this.
        position: Position,
        /// For people.
        reason: String,
    },
    /// An event that was told and is kept nowhere. It says nothing of the position.
    Passing(Arc<Event>),
}

/// The log, as far as healing needs it.
#[async_trait]
pub(crate) trait Log: Send + Sync {
    async fn read(&self, channel: &Channel, after: u64, limit: usize) -> Result<Page, BusError>;
    async fn latest(&self, channel: &Channel) -> Result<Vec<Entry>, BusError>;
}

/// What an engine's live side gives to a subscription.
pub(crate) struct Feed {
    /// Events as they are appended; may lose and repeat some. Ends when the bus is shut down. Dropping it
    /// unsubscribes.
    pub live: Pin<Box<dyn Stream<Item = Signal> + Send + Sync>>,
    /// Changes when events may be missing: a queue was full, a connection was lost.
    pub doubt: watch::Receiver<u64>,
}

/// What comes through a feed.
pub(crate) enum Signal {
    /// An event was appended.
    Told(Entry),
    /// An event came by that is not kept.
    Passing(Arc<Event>),
    /// Something may be missing right after what came before.
    Doubt,
}

/// A channel's events, live and healed. Dropping it unsubscribes.
pub struct Subscription {
    channel: Channel,
    log: Arc<dyn Log>,
    feed: Feed,
    /// Everything up to here was delivered, or was before the subscription.
    last: Position,
    newest: Newest,
    /// Bounded by what one read gives: it is filled only when empty.
    ready: VecDeque<Delivery>,
    /// The log must be read from `last` on.
    behind: bool,
    /// Newest values may have been missed.
    stale: bool,
    retry_in: Duration,
    retry_at: Option<Instant>,
    heal_interval: Duration,
    retention_age: Duration,
    /// When it was last known that nothing is missing.
    sure_at: Instant,
    look_at: Instant,
}

impl Subscription {
    /// `head` must have been read after `feed` was attached.
    pub(crate) fn new(
        channel: Channel,
        log: Arc<dyn Log>,
        feed: Feed,
        head: Position,
        settings: &Settings,
    ) -> Self {
        gauge!(measure::SUBSCRIPTIONS).increment(1);
        Self {
            channel,
            log,
            feed,
            last: head,
            newest: Newest::default(),
            ready: VecDeque::new(),
            behind: false,
            stale: false,
            retry_in: RETRY_FIRST,
            retry_at: None,
            heal_interval: settings.heal_interval,
            retention_age: settings.retention_age,
            sure_at: Instant::now(),
            look_at: next_look(settings.heal_interval),
        }
    }

    /// The next delivery; waits for it. `None` when the bus was shut down. Safe to cancel.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.ready.pop_front() {
                return Some(delivery);
            }
            if self.behind || self.stale {
                if let Some(at) = self.retry_at {
                    tokio::select! {
                        () = sleep_until(at) => self.retry_at = None,
                        // What was kept is read from the log later; but the feed may end.
                        signal = self.feed.live.next() => match signal? {
                            Signal::Passing(event) => self.ready.push_back(Delivery::Passing(event)),
                            Signal::Told(_) | Signal::Doubt => (self.behind, self.stale) = (true, true),
                        },
                    }
                    continue;
                }
                if self.behind {
                    let page = self.log.read(&self.channel, self.last.offset, HEAL_PAGE_EVENTS).await;
                    self.heal(page);
                } else {
                    let values = self.log.latest(&self.channel).await;
                    self.refresh(values);
                }
                continue;
            }
            tokio::select! {
                biased;
                Ok(()) = self.feed.doubt.changed() => {
                    self.behind = true;
                    self.stale = true;
                }
                signal = self.feed.live.next() => match signal? {
                    Signal::Told(entry) => self.take(entry),
                    Signal::Passing(event) => {
                        self.ready.push_back(Delivery::Passing(event));
                        // Unlike events of the log they don't show that nothing is missing, however many come.
                        self.behind = Instant::now() >= self.look_at;
                    }
                    Signal::Doubt => (self.behind, self.stale) = (true, true),
                },
                () = sleep_until(self.look_at) => self.behind = true,
            }
        }
    }

    /// A channel's events up to here were delivered, or were before the subscription.
    pub fn position(&self) -> &Position {
        &self.last
    }

    fn take(&mut self, entry: Entry) {
        match entry.event.kind.class() {
            Class::Latest => {
                if self.newest.admits(&entry.event.key, &entry.position) {
                    self.ready.push_back(Delivery::Entry(entry));
                }
            }
            Class::Log if entry.position.epoch != self.last.epoch => self.behind = true,
            Class::Log if entry.position.offset <= self.last.offset => {}
            // Smaller, when `last` is a place after the predecessor: a channel's events are counted together
            // with those of others, and nothing of this one lies in between.
            Class::Log if entry.previous_offset <= self.last.offset => self.deliver(entry),
            Class::Log => self.behind = true,
        }
    }

    fn deliver(&mut self, entry: Entry) {
        self.last = entry.position.clone();
        self.settle();
        self.ready.push_back(Delivery::Entry(entry));
    }

    fn heal(&mut self, page: Result<Page, BusError>) {
        let page = match page {
            Ok(page) => page,
            Err(why) => return self.retry(&why),
        };
        if page.head.epoch != self.last.epoch {
            return self.reset(page.head, "the log is a new one");
        }
        if page.head.offset < self.last.offset {
            return self.reset(page.head, "the log has lost events that were delivered");
        }
        // A channel that fell silent so long ago that it is empty now: what it could have had since the last look
        // would still be there.
        let only_aged = page.entries.is_empty() && self.sure_at.elapsed() < self.retention_age;
        if !page.complete && !only_aged {
            return self.reset(page.head, "events were missed that are no longer retained");
        }
        if page.entries.is_empty() {
            self.last = page.head.clone();
        } else {
            counter!(measure::GAPS_HEALED).increment(1);
            counter!(measure::HEALED).increment(u64::try_from(page.entries.len()).unwrap_or_default());
        }
        for entry in page.entries {
            self.deliver(entry);
        }
        self.behind = self.last.offset < page.head.offset;
        self.settle();
    }

    fn refresh(&mut self, values: Result<Vec<Entry>, BusError>) {
        match values {
            Ok(values) => {
                for value in values {
                    self.take(value);
                }
                self.stale = false;
                self.settle();
            }
            Err(why) => self.retry(&why),
        }
    }

    fn reset(&mut self, position: Position, reason: &str) {
        counter!(measure::RESETS).increment(1);
        tracing::debug!(channel = %self.channel, from = ?self.last, to = ?position, reason, "subscription reset");
        self.stale |= position.epoch != self.last.epoch;
        self.last = position.clone();
        self.ready.push_back(Delivery::Reset { position, reason: reason.to_owned() });
        self.behind = false;
        self.settle();
    }

    fn settle(&mut self) {
        self.retry_in = RETRY_FIRST;
        self.sure_at = Instant::now();
        self.look_at = next_look(self.heal_interval);
    }

    fn retry(&mut self, why: &dyn fmt::Display) {
        counter!(measure::HEAL_RETRIES).increment(1);
        tracing::debug!(channel = %self.channel, %why, again_in = ?self.retry_in, "can't heal yet");
        self.retry_at = Some(Instant::now() + self.retry_in.mul_f64(rand::rng().random_range(0.5..1.0)));
        self.retry_in = (self.retry_in * 2).min(RETRY_MAX);
    }
}

/// A little earlier or later each time, so that subscriptions made together do not ask together for ever.
fn next_look(interval: Duration) -> Instant {
    Instant::now() + interval.mul_f64(rand::rng().random_range(0.75..1.25))
}

impl Drop for Subscription {
    fn drop(&mut self) {
        gauge!(measure::SUBSCRIPTIONS).decrement(1);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("channel", &self.channel)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}
