//! One channel with local readers: its subscription, its ring, its newest values.
//!
//! A reader is first *attached*: nothing is pushed, so that its client is answered before anything comes. Then it
//! is *behind*, and takes pages at its own speed; or *live*, and every event is pushed into its queue. It turns
//! live under the lock under which events are pushed, and only when it has everything up to the head: so there
//! is no gap and no repeat, and a slow replay holds one page.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use metrics::counter;
use parking_lot::Mutex;
use platepal_bus::{Bus, BusError};
use platepal_events::{Channel, Class, Entry, Event, EventId, Position, Spelling};
use platepal_service::Clock;
use tokio::sync::{Notify, watch};

use super::ring::{Ring, RingBound};
use crate::{
    centrifuge::{coming_or_going, is_presence},
    close::{Close, Code},
    codec::{Encoded, Frames, Wire},
    journey::Journey,
    queue::{Order, Outgoing, Queue},
    sessions::ClientId,
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
    /// Grows with every newest value.
    latest_version: u64,
    readers: HashMap<u64, Reader>,
    next_reader: u64,
    /// Readers, and those that are about to become one.
    members: usize,
}

/// A connection that reads a channel.
#[derive(Debug)]
pub(crate) struct Reader {
    queue: Arc<Queue>,
    client: ClientId,
    pub wire: Wire,
    /// It wants to be told who comes and goes.
    pub join_leave: bool,
    stage: Stage,
    /// The newest values that it was given are those of this version.
    latest_version: u64,
    /// It has the values up to here, in the state that it was given.
    values: Option<Position>,
    /// It has the log up to here, which may be beyond what was told here: it was read from the log, or was told
    /// by another edge.
    upto: u64,
}

impl Reader {
    pub fn new(queue: &Arc<Queue>, client: ClientId, wire: Wire) -> Self {
        let queue = Arc::clone(queue);
        Self {
            queue,
            client,
            wire,
            join_leave: false,
            stage: Stage::Attached,
            latest_version: 0,
            values: None,
            upto: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Attached,
    Behind,
    Live,
}

/// What a reader at offset 0 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FromZero {
    /// Nothing; it wants what is kept.
    WhatIsKept,
    /// Everything, as the log was empty when it was there.
    Everything,
}

/// A page of a replay.
#[derive(Debug)]
pub(crate) enum Page {
    /// These are next; the reader is then at this offset.
    Entries(Vec<Arc<Encoded>>, u64),
    /// Nothing is missing: after these newest values, which changed meanwhile, events come through the queue.
    Live(Vec<Outgoing>),
    /// The ring does not reach back so far: ask [`super::Membership::read_log`].
    InLog,
}

/// A page of a replay that was read from the log.
#[derive(Debug)]
pub(crate) enum LogPage {
    /// These are next; the reader is then at this offset.
    Entries(Vec<Arc<Encoded>>, u64),
    /// What comes next is no longer kept, or was in another life of the log.
    Gap,
}

impl Feed {
    pub fn new(channel: Channel, spelling: Spelling, latest_keys: usize) -> Self {
        let state = State {
            ring: None,
            latest: HashMap::new(),
            latest_version: 0,
            readers: HashMap::new(),
            next_reader: 0,
            members: 0,
        };
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

    pub fn open(&self, head: Position, bound: RingBound, latest: Vec<Entry>) {
        let mut state = self.state.lock();
        state.ring = Some(Ring::new(head, bound));
        let place = state.ring.as_ref().map(|ring| ring.head().clone());
        for entry in latest {
            let encoded = match &place {
                Some(place) => Encoded::latest(entry, place.clone()),
                None => Encoded::new(entry),
            };
            state.keep_latest(Arc::new(encoded), self.latest_keys);
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

    /// Adds a reader. Gives its number, and the head at this moment.
    pub fn attach(&self, reader: Reader) -> Option<(u64, Position)> {
        let mut state = self.state.lock();
        let head = state.ring.as_ref()?.head().clone();
        let number = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(number, reader);
        Some((number, head))
    }

    /// The reader has a state with the channel's values up to here.
    pub fn has_values(&self, reader: u64, upto: Position) {
        if let Some(reader) = self.state.lock().readers.get_mut(&reader) {
            reader.values = Some(upto);
        }
    }

    /// From now on the reader may take pages. Gives the newest values of now, for a reader that has the log up to
    /// an offset; newer ones come when it is live.
    pub fn start(&self, reader: u64, offset: u64) -> Vec<Outgoing> {
        let mut state = self.state.lock();
        let version = state.latest_version;
        let Some(reader) = state.readers.get_mut(&reader) else { return Vec::new() };
        reader.stage = Stage::Behind;
        reader.latest_version = version;
        let (wire, values) = (reader.wire, reader.values.clone());
        self.newest(&state, wire, offset, values.as_ref())
    }

    /// All newest values, for a reader that has the log up to an offset; without those that are in its state.
    fn newest(&self, state: &State, wire: Wire, offset: u64, has: Option<&Position>) -> Vec<Outgoing> {
        let Some(ring) = &state.ring else { return Vec::new() };
        let place = Position { offset, ..ring.head().clone() };
        let is_new = |own: &&Arc<Encoded>| !has.is_some_and(|has| own.entry.position.is_within(has));
        let mut latest: Vec<&Arc<Encoded>> = state.latest.values().filter(is_new).collect();
        latest.sort_by_key(|encoded| encoded.entry.position.offset);
        let placed = latest.into_iter().map(|own| match own.is_placed_at(&place) {
            // Where nothing but values is told, as on a map, each is encoded once for all newcomers.
            true => Arc::clone(own),
            false => Arc::new(Encoded::latest(own.entry.clone(), place.clone())),
        });
        placed.map(|encoded| self.outgoing(&encoded, wire, false)).collect()
    }

    /// The connections that read this channel.
    pub fn clients(&self) -> Vec<ClientId> {
        self.state.lock().readers.values().map(|reader| reader.client).collect()
    }

    /// How many read this channel.
    pub fn clients_count(&self) -> usize {
        self.state.lock().readers.len()
    }

    /// Tells every reader.
    pub fn deliver(&self, entry: Entry) {
        let is_latest = entry.event.kind.class() == Class::Latest;
        let mut state = self.state.lock();
        let place = state.ring.as_ref().filter(|_| is_latest).map(|ring| ring.head().clone());
        let encoded = Arc::new(match place {
            Some(place) => Encoded::latest(entry, place),
            None => Encoded::new(entry),
        });
        if is_latest {
            state.keep_latest(Arc::clone(&encoded), self.latest_keys);
        } else if let Some(ring) = &mut state.ring {
            ring.push(Arc::clone(&encoded));
        }
        let mut told = 0;
        let version = state.latest_version;
        let position = &encoded.entry.position;
        for reader in state.readers.values_mut().filter(|reader| reader.stage == Stage::Live) {
            reader.latest_version = version;
            let has = match is_latest {
                true => reader.values.as_ref().is_some_and(|values| position.is_within(values)),
                false => position.offset <= reader.upto,
            };
            if has {
                continue;
            }
            reader.queue.push(self.outgoing(&encoded, reader.wire, true));
            told += 1;
        }
        encoded.journey.heard(told, Clock);
        counter!("realtime_edge_deliveries_total").increment(told);
    }

    /// What became of an event that is in the ring.
    pub fn journey(&self, id: &EventId) -> Option<Arc<Journey>> {
        let state = self.state.lock();
        state.ring.as_ref()?.entry(id).map(|encoded| Arc::clone(&encoded.journey))
    }

    /// Tells what is kept nowhere: who came or went to the readers that want to know, anything else to all.
    pub fn pass(&self, event: &Event) {
        let presence = is_presence(event).then(|| coming_or_going(&self.channel, event));
        let frames = Frames::default();
        let state = self.state.lock();
        // One that is not told yet that it is a reader must not hear of others first.
        for reader in state.readers.values().filter(|own| own.stage != Stage::Attached) {
            let frame = match &presence {
                Some(Some(push)) if reader.join_leave => reader.wire.reply(push),
                Some(_) => continue,
                None => frames.get(reader.wire, || reader.wire.passing(&self.channel, event, self.spelling)),
            };
            reader.queue.push(Outgoing::plain(frame));
        }
    }

    /// Goes on from another place: readers can't.
    pub fn reset(&self, position: Position) {
        let mut state = self.state.lock();
        if let Some(ring) = &mut state.ring {
            let bound = ring.bound();
            *ring = Ring::new(position, bound);
        }
        for reader in state.readers.values() {
            reader.queue.order(Order::Missed(self.channel.clone()));
        }
    }

    pub fn close_all(&self, close: &Close) {
        for reader in self.state.lock().readers.values() {
            reader.queue.close(close.clone());
        }
    }

    /// At most `limit` events after an offset; with none left the reader is live.
    pub fn page(&self, reader: u64, after: u64, limit: usize) -> Page {
        let mut state = self.state.lock();
        let page = state.peek(after, limit);
        let version = state.latest_version;
        let (Page::Live(_), Some(reader)) = (&page, state.readers.get_mut(&reader)) else { return page };
        reader.stage = Stage::Live;
        reader.upto = after;
        let has_all = std::mem::replace(&mut reader.latest_version, version) == version;
        let (wire, values) = (reader.wire, reader.values.clone());
        Page::Live(if has_all { Vec::new() } else { self.newest(&state, wire, after, values.as_ref()) })
    }

    /// As [`Feed::page`], and changes nothing.
    pub fn peek(&self, after: u64, limit: usize) -> Page {
        self.state.lock().peek(after, limit)
    }

    /// Events after an offset, from the log. From 0, whatever is retained is no gap, unless `from_zero` says that
    /// the reader knows to have everything before.
    pub async fn read_log(
        &self,
        bus: &dyn Bus,
        after: u64,
        limit: usize,
        from_zero: FromZero,
    ) -> Result<LogPage, BusError> {
        let page = bus.read(&self.channel, after, limit).await?;
        let lenient = after == 0 && from_zero == FromZero::WhatIsKept;
        let other = self.state.lock().ring.as_ref().is_none_or(|ring| ring.head().epoch != page.head.epoch);
        if other || !(page.complete || lenient) {
            return Ok(LogPage::Gap);
        }
        // Without events, the place moves up to the head: the ring, which does not reach back to `after`, does
        // reach back to there.
        let offset = page.entries.last().map_or(page.head.offset, |entry| entry.position.offset);
        if offset <= after {
            return Ok(LogPage::Gap);
        }
        let entries = page.entries.into_iter().map(|entry| Arc::new(Encoded::new(entry)));
        Ok(LogPage::Entries(entries.collect(), offset))
    }

    /// The offset of an event, and where it was found.
    pub async fn find(&self, bus: &dyn Bus, id: &EventId) -> Result<Option<(u64, &'static str)>, BusError> {
        if let Some(place) = id.place() {
            return self.check(bus, &place).await;
        }
        if let Some(offset) = self.in_ring(id) {
            return Ok(Some((offset, "ring")));
        }
        self.fill(bus).await?;
        if let Some(offset) = self.in_ring(id) {
            return Ok(Some((offset, "ring")));
        }
        Ok(bus.find(&self.channel, id).await?.map(|offset| (offset, "log")))
    }

    /// Whether everything after a place that a client names is kept.
    async fn check(&self, bus: &dyn Bus, place: &Position) -> Result<Option<(u64, &'static str)>, BusError> {
        let known = self.state.lock().ring.as_ref().map(|ring| (ring.head().clone(), ring.floor()));
        let Some((head, floor)) = known.filter(|(head, _)| head.epoch == place.epoch) else {
            return Ok(None);
        };
        if place.offset > head.offset {
            return Ok(None);
        }
        if place.offset >= floor {
            return Ok(Some((place.offset, "ring")));
        }
        let page = bus.read(&self.channel, place.offset, 1).await?;
        let is_kept = page.complete && page.head.epoch == place.epoch;
        Ok(is_kept.then_some((place.offset, "log")))
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

    /// An event as it is sent to a connection.
    pub fn outgoing(&self, encoded: &Encoded, wire: Wire, live: bool) -> Outgoing {
        let event = &encoded.entry.event;
        Outgoing {
            frame: encoded.frame(wire, self.spelling),
            key: (event.kind.class() == Class::Latest)
                .then(|| (self.channel.clone(), Arc::clone(&event.key))),
            journey: live.then(|| Arc::clone(&encoded.journey)),
        }
    }
}

impl State {
    fn keep_latest(&mut self, encoded: Arc<Encoded>, keys_max: usize) {
        let key = Arc::clone(&encoded.entry.event.key);
        self.latest_version += 1;
        self.latest.insert(key, encoded);
        if self.latest.len() > keys_max {
            let oldest = self.latest.iter().min_by_key(|(_, encoded)| encoded.entry.position.offset);
            if let Some(key) = oldest.map(|(key, _)| Arc::clone(key)) {
                self.latest.remove(&key);
            }
        }
    }

    fn peek(&self, after: u64, limit: usize) -> Page {
        let Some(entries) = self.ring.as_ref().and_then(|ring| ring.after(after, limit)) else {
            return Page::InLog;
        };
        match entries.last().map(|last| last.entry.position.offset) {
            Some(offset) => Page::Entries(entries, offset),
            None => Page::Live(Vec::new()),
        }
    }
}

pub(crate) fn unavailable(why: &BusError) -> Close {
    tracing::warn!(%why, "a channel can't be read");
    Code::TryAgain.because("the feed is not available now; try again later")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_events::{Epoch, Timestamp};
    use platepal_proto::v1;

    use super::*;
    use crate::queue::Bound;

    fn position(offset: u64) -> Position {
        Position { epoch: Epoch::new("e"), offset }
    }

    fn entry(offset: u64) -> Entry {
        let now = Timestamp::from_micros(0);
        let message = v1::Event {
            event_id: format!("id-{offset}"),
            r#type: "order.updated".into(),
            payload: "{}".into(),
            ..Default::default()
        };
        Entry {
            channel: "customer:7".parse().unwrap(),
            event: Arc::new(Event::parse(message, now).unwrap()),
            position: position(offset),
            previous_offset: offset - 1,
            kept_at: now,
        }
    }

    #[test]
    fn a_reader_that_is_ahead_of_what_was_told_is_not_told_it_again() {
        let feed = Feed::new("customer:7".parse().unwrap(), Spelling::Underscored, 10);
        feed.open(position(5), RingBound { events: 10, bytes: usize::MAX }, Vec::new());
        let queue = Arc::new(Queue::new(Bound { frames: 10, latest: 10, bytes: usize::MAX }));
        let (reader, _) =
            feed.attach(Reader::new(&queue, ClientId::default(), Wire::PlatePalSocket)).unwrap();
        feed.start(reader, 5);
        // It has read 6 and 7 from the log before they were told here.
        assert!(matches!(feed.page(reader, 7, 10), Page::Live(_)));
        (6..=8).for_each(|offset| feed.deliver(entry(offset)));
        assert_eq!(queue.take().frames.len(), 1);
    }
}
