//! One channel with local readers: its subscription, its ring, its newest values.
//!
//! A reader is either *behind*, and then it takes pages at its own speed, or *live*, and then every event is
//! pushed into its queue. It turns live under the lock under which events are pushed, and only when it has
//! everything up to the head: so there is no gap and no repeat, and a slow replay holds one page.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use metrics::counter;
use parking_lot::Mutex;
use platepal_bus::{Bus, BusError};
use platepal_events::{Channel, Class, Entry, EventId, Position, Spelling};
use tokio::sync::{Notify, watch};

use super::ring::{Ring, RingBound};
use crate::{
    close::{Close, Code},
    codec::Encoded,
    queue::{Outgoing, Queue},
};

/// Events read from the log at once while the ring is filled.
const FILL_PAGE_EVENTS: usize = 256;

/// Whether a feed can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Live,
    Failed(String),
}

/// One channel.
#[derive(Debug)]
pub(super) struct Feed {
    pub channel: Channel,
    pub phase: watch::Sender<Phase>,
    /// Told when the last member has left.
    pub idle: Notify,
    /// True once the ring was filled from the log; held while it is filled, so that a storm fills it once.
    filled: tokio::sync::Mutex<bool>,
    state: Mutex<State>,
    spelling: Spelling,
    latest_keys: usize,
}

#[derive(Debug)]
struct State {
    /// `None` until the subscription has a position.
    ring: Option<Ring>,
    latest: HashMap<Arc<str>, Arc<Encoded>>,
    readers: HashMap<u64, Reader>,
    next_reader: u64,
    /// Readers, and those that are about to become one.
    members: usize,
}

#[derive(Debug)]
struct Reader {
    queue: Arc<Queue>,
    live: bool,
}

/// A page of a replay.
#[derive(Debug)]
pub(crate) enum Page {
    /// These are next; the reader is then at this offset.
    Frames(Vec<Outgoing>, u64),
    /// Nothing is missing: from now on events come through the queue.
    Live,
    /// The ring does not reach back so far: ask [`super::Membership::read_log`].
    InLog,
}

impl Feed {
    pub fn new(channel: Channel, spelling: Spelling, latest_keys: usize) -> Self {
        let state =
            State { ring: None, latest: HashMap::new(), readers: HashMap::new(), next_reader: 0, members: 0 };
        Self {
            channel,
            phase: watch::Sender::new(Phase::Starting),
            idle: Notify::new(),
            filled: tokio::sync::Mutex::new(false),
            state: Mutex::new(state),
            spelling,
            latest_keys,
        }
    }

    pub fn start(&self, head: Position, bound: RingBound, latest: Vec<Entry>) {
        let mut state = self.state.lock();
        state.ring = Some(Ring::new(head, bound));
        for entry in latest {
            state.keep_latest(Arc::new(Encoded::new(entry)), self.latest_keys);
        }
        drop(state);
        self.phase.send_replace(Phase::Live);
    }

    pub fn enter(&self) {
        self.state.lock().members += 1;
    }

    pub fn leave(&self, reader: Option<u64>) {
        let mut state = self.state.lock();
        if let Some(reader) = reader {
            state.readers.remove(&reader);
        }
        state.members -= 1;
        if state.members == 0 {
            self.idle.notify_one();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.state.lock().members == 0
    }

    /// Adds a reader that is behind. Gives its number, the head at this moment, and the newest values; newer
    /// ones come through the queue.
    pub fn attach(&self, queue: &Arc<Queue>) -> Option<(u64, Position, Vec<Outgoing>)> {
        let mut state = self.state.lock();
        let head = state.ring.as_ref()?.head().clone();
        let mut latest: Vec<&Arc<Encoded>> = state.latest.values().collect();
        latest.sort_by_key(|encoded| encoded.entry.position.offset);
        let latest = latest.into_iter().map(|encoded| self.outgoing(encoded, false)).collect();
        let reader = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(reader, Reader { queue: Arc::clone(queue), live: false });
        Some((reader, head, latest))
    }

    /// Tells every reader.
    pub fn deliver(&self, entry: Entry) {
        let is_latest = entry.event.kind.class() == Class::Latest;
        let encoded = Arc::new(Encoded::new(entry));
        let mut state = self.state.lock();
        if is_latest {
            state.keep_latest(Arc::clone(&encoded), self.latest_keys);
        } else if let Some(ring) = &mut state.ring {
            ring.push(Arc::clone(&encoded));
        }
        let mut told = 0;
        for reader in state.readers.values().filter(|reader| reader.live || is_latest) {
            reader.queue.push(self.outgoing(&encoded, true));
            told += 1;
        }
        counter!("realtime_edge_deliveries_total").increment(told);
    }

    /// Goes on from another place: readers can't, and come back with their last event id.
    pub fn reset(&self, position: Position) {
        let mut state = self.state.lock();
        if let Some(ring) = &mut state.ring {
            let bound = ring.bound();
            *ring = Ring::new(position, bound);
        }
        state.close_all(&Code::Restart.because("the feed starts afresh; reconnect"));
    }

    pub fn close_all(&self, close: &Close) {
        self.state.lock().close_all(close);
    }

    pub fn page(&self, reader: u64, after: u64, limit: usize) -> Page {
        let mut state = self.state.lock();
        let Some(ring) = &state.ring else { return Page::InLog };
        match ring.after(after, limit) {
            None => Page::InLog,
            Some(entries) => match entries.last() {
                Some(last) => {
                    let offset = last.entry.position.offset;
                    Page::Frames(
                        entries.iter().map(|encoded| self.outgoing(encoded, false)).collect(),
                        offset,
                    )
                }
                None => {
                    if let Some(reader) = state.readers.get_mut(&reader) {
                        reader.live = true;
                    }
                    Page::Live
                }
            },
        }
    }

    /// Events after an offset, from the log; and the offset of the last.
    pub async fn read_log(
        &self,
        bus: &dyn Bus,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Outgoing>, u64), Close> {
        let page = bus.read(&self.channel, after, limit).await.map_err(|why| unavailable(&why))?;
        // From 0 the reader asked for whatever is retained.
        let gap = after > 0 && !page.complete;
        let other = self.state.lock().ring.as_ref().is_none_or(|ring| ring.head().epoch != page.head.epoch);
        if gap || other || page.entries.is_empty() {
            return Err(Code::Restart.because("events were missed that are no longer kept; reconnect"));
        }
        let last = page.entries.last().map_or(after, |entry| entry.position.offset);
        let frames = page.entries.into_iter().map(|entry| self.outgoing(&Encoded::new(entry), false));
        Ok((frames.collect(), last))
    }

    /// The offset of an event, and where it was found.
    pub async fn find(&self, bus: &dyn Bus, id: &EventId) -> Result<Option<(u64, &'static str)>, BusError> {
        if let Some(offset) = self.in_ring(id) {
            return Ok(Some((offset, "ring")));
        }
        self.fill(bus).await?;
        if let Some(offset) = self.in_ring(id) {
            return Ok(Some((offset, "ring")));
        }
        Ok(bus.find(&self.channel, id).await?.map(|offset| (offset, "log")))
    }

    fn in_ring(&self, id: &EventId) -> Option<u64> {
        self.state.lock().ring.as_ref().and_then(|ring| ring.find(id))
    }

    /// Reads the retained window into the ring, once.
    async fn fill(&self, bus: &dyn Bus) -> Result<(), BusError> {
        let mut filled = self.filled.lock().await;
        if *filled {
            return Ok(());
        }
        let (floor, bound) = match &self.state.lock().ring {
            Some(ring) => (ring.floor(), ring.bound()),
            None => return Ok(()),
        };
        let mut older: VecDeque<Arc<Encoded>> = VecDeque::new();
        let (mut after, mut cost_bytes) = (0, 0);
        while after < floor {
            let page = bus.read(&self.channel, after, FILL_PAGE_EVENTS).await?;
            let Some(last) = page.entries.last().map(|entry| entry.position.offset) else { break };
            after = last;
            for entry in page.entries.into_iter().filter(|entry| entry.position.offset <= floor) {
                let encoded = Arc::new(Encoded::new(entry));
                cost_bytes += encoded.cost_bytes();
                older.push_back(encoded);
                while older.len() > bound.events || cost_bytes > bound.bytes {
                    let Some(oldest) = older.pop_front() else { break };
                    cost_bytes -= oldest.cost_bytes();
                }
            }
        }
        if let Some(ring) = &mut self.state.lock().ring {
            // False: the ring has moved on in the meantime, and is full without.
            let _ = ring.prepend(older);
        }
        *filled = true;
        Ok(())
    }

    fn outgoing(&self, encoded: &Encoded, live: bool) -> Outgoing {
        let event = &encoded.entry.event;
        Outgoing {
            frame: encoded.frame(self.spelling),
            key: (event.kind.class() == Class::Latest)
                .then(|| (self.channel.clone(), Arc::clone(&event.key))),
            kept_at: live.then_some(encoded.entry.kept_at),
        }
    }
}

impl State {
    fn keep_latest(&mut self, encoded: Arc<Encoded>, keys_max: usize) {
        let key = Arc::clone(&encoded.entry.event.key);
        self.latest.insert(key, encoded);
        if self.latest.len() > keys_max {
            let oldest = self.latest.iter().min_by_key(|(_, encoded)| encoded.entry.position.offset);
            if let Some(key) = oldest.map(|(key, _)| Arc::clone(key)) {
                self.latest.remove(&key);
            }
        }
    }

    fn close_all(&self, close: &Close) {
        for reader in self.readers.values() {
            reader.queue.close(close.clone());
        }
    }
}

pub(super) fn unavailable(why: &BusError) -> Close {
    tracing::warn!(%why, "a channel can't be read");
    Code::TryAgain.because("the feed is not available now; try again later")
}
