//! The bounded queue between a channel and one connection.
//!
//! The one type that holds frames for a slow client. Its bound: frames, newest values, and bytes of both; its
//! policy: a *latest* frame replaces the waiting one of its channel and key, and a frame that still does not fit
//! closes the connection as slow; its metrics: `realtime_edge_conflated_total`, `realtime_edge_slow_closes_total`.
//!
//! Invariant: pushing never waits, takes the same time however much waits, and nothing is dropped without the
//! connection being closed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use metrics::{Histogram, counter, histogram};
use parking_lot::Mutex;
use platepal_events::{Channel, Timestamp};
use platepal_service::Clock;
use tokio::sync::Notify;

use crate::{
    close::{Close, Code},
    journey::Journey,
};

/// Orders that wait for one connection.
const ORDERS_MAX: usize = 256;
/// Frames that wait for one connection and are looked through one by one for a key; where more wait, an index is made.
/// Most connections never have as many, and an index costs more than a short look.
const SCAN_MAX: usize = 16;

/// Looked up once: it is recorded with each delivery.
static PUBLISH_TO_WRITE: LazyLock<Histogram> =
    LazyLock::new(|| histogram!("realtime_edge_publish_to_write_seconds"));
static QUEUE_FRAMES: LazyLock<Histogram> = LazyLock::new(|| histogram!("realtime_edge_queue_frames"));

/// The most that a queue holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// Besides newest values.
    pub frames: usize,
    /// Newest values, one per channel and key.
    pub latest: usize,
    /// Of all of them.
    pub bytes: usize,
}

/// What a newest value replaces: the one of the same channel and key.
pub(crate) type Key = (Channel, Arc<str>);

/// A frame on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub frame: Bytes,
    /// What it replaces, for the *latest* class.
    pub key: Option<Key>,
    /// What becomes of its event, for frames that were sent live.
    pub journey: Option<Arc<Journey>>,
}

impl Outgoing {
    pub fn plain(frame: Bytes) -> Self {
        Self { frame, key: None, journey: None }
    }

    /// It was written. `now` is looked up once for all frames of a write.
    pub fn written(&self, now: &mut Option<Timestamp>, clock: Clock) {
        let Some(journey) = &self.journey else { return };
        let now = *now.get_or_insert_with(|| clock.now());
        let seconds = (now.micros() - journey.kept_at.micros()).max(0) as f64 / 1e6;
        PUBLISH_TO_WRITE.record(seconds);
        journey.written(now);
    }
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Outgoing>,
    bytes: usize,
    latest_waiting: u32,
    /// Where the newest values wait among the frames, which only grow until all are taken; made when there are many.
    #[allow(clippy::box_collection, reason = "a connection that has none is to hold a pointer, not a map")]
    index: Option<Box<HashMap<Key, usize>>>,
    close: Option<Close>,
    orders: Vec<Order>,
}

/// Something that a connection is to do, besides sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Ask again whether it may read its channels.
    Recheck,
    /// Look whether its token was revoked.
    CheckToken,
    /// The channel goes on from a place to which this connection has no way.
    Missed(Channel),
    /// Read one more channel, until a moment; for protocols that hold several.
    Subscribe(Channel, Option<Timestamp>),
    /// Read a channel no longer.
    Unsubscribe(Channel),
    /// End at this moment, in place of the token's expiry.
    ExpireAt(Timestamp),
    /// End now, without what waits.
    End(Close),
}

/// What a connection takes out at once.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub frames: VecDeque<Outgoing>,
    /// Close after these frames.
    pub close: Option<Close>,
    pub orders: Vec<Order>,
}

/// Frames and orders for one connection.
#[derive(Debug)]
pub(crate) struct Queue {
    bound: Bound,
    state: Mutex<State>,
    changed: Notify,
}

impl Queue {
    pub fn new(bound: Bound) -> Self {
        Self { bound, state: Mutex::default(), changed: Notify::new() }
    }

    /// Adds a frame, or closes the connection as slow.
    pub fn push(&self, outgoing: Outgoing) {
        let mut state = self.state.lock();
        if state.close.is_some() {
            return;
        }
        state.add(outgoing);
        let latest = usize::try_from(state.latest_waiting).unwrap_or(usize::MAX);
        let others = state.frames.len() - latest;
        // A single frame always fits: otherwise a large event could never be delivered.
        if others > self.bound.frames
            || latest > self.bound.latest
            || (state.bytes > self.bound.bytes && state.frames.len() > 1)
        {
            *state = State { close: Some(Code::TooSlow.into()), ..State::default() };
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Closes the connection after what waits; the first reason counts.
    pub fn close(&self, close: impl Into<Close>) {
        self.state.lock().close.get_or_insert(close.into());
        self.changed.notify_one();
    }

    /// Gives an order; one that waits already is not given twice. Too many: the connection is closed, to come
    /// back and find out where it stands.
    pub fn order(&self, order: Order) {
        let mut state = self.state.lock();
        if state.orders.contains(&order) {
            return;
        }
        if state.orders.len() >= ORDERS_MAX {
            state.close.get_or_insert(Code::TryAgain.into());
        } else {
            state.orders.push(order);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Everything that waits.
    pub fn take(&self) -> Taken {
        let mut state = self.state.lock();
        if !state.frames.is_empty() {
            QUEUE_FRAMES.record(state.frames.len() as f64);
        }
        Taken {
            frames: state.take_frames(),
            close: state.close.clone(),
            orders: std::mem::take(&mut state.orders),
        }
    }

    /// The frames that wait; orders go on waiting.
    pub fn take_frames(&self) -> VecDeque<Outgoing> {
        self.state.lock().take_frames()
    }

    /// Whether the connection is to be closed at once, without what waits.
    pub fn is_slow(&self) -> bool {
        self.state.lock().close.as_ref().is_some_and(|close| close.code == Code::TooSlow)
    }

    /// What is to be done, for a connection that can't take its frames now.
    pub fn take_orders(&self) -> Vec<Order> {
        std::mem::take(&mut self.state.lock().orders)
    }

    /// Completes after a push or an order; one that came before the call counts.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl State {
    fn add(&mut self, outgoing: Outgoing) {
        let place = outgoing.key.as_ref().and_then(|key| self.find(key));
        if let Some(waiting) = place.and_then(|place| self.frames.get_mut(place)) {
            // In its place: a value that changes all the time must not be put off for ever.
            let (old, new) = (waiting.frame.len(), outgoing.frame.len());
            *waiting = outgoing;
            self.bytes = self.bytes - old + new;
            counter!("realtime_edge_conflated_total").increment(1);
            return;
        }
        if let Some(key) = &outgoing.key {
            self.latest_waiting += 1;
            if let Some(index) = &mut self.index {
                index.insert(key.clone(), self.frames.len());
            }
        }
        self.bytes += outgoing.frame.len();
        self.frames.push_back(outgoing);
    }

    /// Where the value of a key waits.
    fn find(&mut self, key: &Key) -> Option<usize> {
        if self.latest_waiting == 0 {
            return None;
        }
        if self.frames.len() <= SCAN_MAX {
            return self.frames.iter().position(|waiting| waiting.key.as_ref() == Some(key));
        }
        let frames = &self.frames;
        let index = self.index.get_or_insert_with(|| {
            let places = frames.iter().enumerate();
            Box::new(places.filter_map(|(place, frame)| Some((frame.key.clone()?, place))).collect())
        });
        index.get(key).copied()
    }

    fn take_frames(&mut self) -> VecDeque<Outgoing> {
        self.bytes = 0;
        self.latest_waiting = 0;
        self.index = None;
        std::mem::take(&mut self.frames)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    const BOUND: Bound = Bound { frames: 4, latest: 30, bytes: 400 };

    fn frame(text: &str) -> Outgoing {
        Outgoing::plain(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn latest(key: &str, text: &str) -> Outgoing {
        Outgoing { key: Some(("order:1".parse().unwrap(), key.into())), ..frame(text) }
    }

    fn texts(taken: &Taken) -> Vec<&str> {
        taken.frames.iter().map(|frame| std::str::from_utf8(&frame.frame).unwrap()).collect()
    }

    #[test]
    fn a_newer_value_takes_the_place_of_the_waiting_one() {
        let queue = Queue::new(BOUND);
        for outgoing in [latest("7", "a"), frame("b"), latest("7", "c"), latest("8", "d")] {
            queue.push(outgoing);
        }
        assert_eq!(texts(&queue.take()), ["c", "b", "d"]);
        queue.push(latest("7", "e"));
        assert_eq!(texts(&queue.take()), ["e"]);
    }

    #[test]
    fn over_the_bound_the_reader_is_closed_as_slow_and_holds_nothing() {
        let queue = Queue::new(BOUND);
        (0..5).for_each(|_| queue.push(frame("x")));
        let taken = queue.take();
        assert_eq!((taken.frames.len(), taken.close.unwrap().code), (0, Code::TooSlow));
        assert!(queue.is_slow());
    }

    #[test]
    fn a_single_frame_larger_than_the_bound_is_delivered() {
        let queue = Queue::new(BOUND);
        queue.push(frame(&"x".repeat(500)));
        assert_eq!(queue.take().frames.len(), 1);
    }

    #[test]
    fn what_waits_is_sent_before_an_orderly_close() {
        let queue = Queue::new(BOUND);
        queue.push(frame("a"));
        queue.close(Code::Restart);
        queue.push(frame("late"));
        let taken = queue.take();
        assert_eq!((texts(&taken), taken.close.clone().unwrap().code), (vec!["a"], Code::Restart));
    }

    #[test]
    fn values_of_one_key_on_two_channels_are_two() {
        let queue = Queue::new(BOUND);
        let on = |channel: &str, text: &str| Outgoing {
            key: Some((channel.parse().unwrap(), "31".into())),
            ..frame(text)
        };
        for outgoing in [on("area:u33dc", "a"), on("area:u33dd", "b"), on("area:u33dc", "c")] {
            queue.push(outgoing);
        }
        assert_eq!(texts(&queue.take()), ["c", "b"]);
    }

    #[test]
    fn many_newest_values_wait_without_closing_the_reader_as_slow() {
        let queue = Queue::new(BOUND);
        (0..30).for_each(|key| queue.push(latest(&key.to_string(), "x")));
        (0..4).for_each(|_| queue.push(frame("y")));
        assert!(!queue.is_slow());
        queue.push(latest("30", "x"));
        assert!(queue.is_slow());
    }

    #[test]
    fn a_waiting_connection_holds_little() {
        // Bytes. There is one for every connection; look twice before allowing more.
        assert!(size_of::<Queue>() <= 192, "{}", size_of::<Queue>());
    }

    /// The least time of a few that 10 rounds of values of so many keys take, per value.
    fn time_per_value(keys: usize) -> Duration {
        let bound = Bound { frames: 1, latest: keys, bytes: usize::MAX };
        let channel: Channel = "area:u33dc".parse().unwrap();
        let values: Vec<Outgoing> = (0..keys)
            .map(|key| Outgoing { key: Some((channel.clone(), key.to_string().into())), ..frame("x") })
            .collect();
        let rounds = (0..5).map(|_| {
            let queue = Queue::new(bound);
            let began = Instant::now();
            for _ in 0..10 {
                values.iter().for_each(|value| queue.push(value.clone()));
            }
            let took = began.elapsed();
            assert_eq!(queue.take().frames.len(), keys);
            took
        });
        rounds.min().unwrap() / u32::try_from(10 * keys).unwrap()
    }

    #[test]
    fn a_value_takes_about_the_same_time_however_many_wait() {
        let (few, many) = (time_per_value(100), time_per_value(4_000));
        // Looking through all of them would be 40 times as much; the rest is caches, and other work on the machine.
        assert!(many < few * 12, "{few:?} with 100 waiting, {many:?} with 4,000");
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_bound(pushes in proptest::collection::vec((0u8..60, 0usize..60), 0..120)) {
            let queue = Queue::new(BOUND);
            for (key, length) in pushes {
                let text = "x".repeat(length);
                queue.push(if key == 0 { frame(&text) } else { latest(&key.to_string(), &text) });
                let state = queue.state.lock();
                let latest = state.frames.iter().filter(|frame| frame.key.is_some()).count();
                prop_assert!(state.frames.len() - latest <= BOUND.frames && latest <= BOUND.latest);
                prop_assert_eq!(latest, state.latest_waiting as usize);
                prop_assert!(state.bytes <= BOUND.bytes || state.frames.len() == 1);
                prop_assert_eq!(state.bytes, state.frames.iter().map(|f| f.frame.len()).sum::<usize>());
            }
        }

        #[test]
        fn what_is_taken_is_each_keys_newest_value_at_the_place_of_its_first(
            keys in proptest::collection::vec(0u8..40, 0..200)
        ) {
            let queue = Queue::new(Bound { frames: 200, latest: 200, bytes: usize::MAX });
            let mut expected: Vec<(u8, String)> = Vec::new();
            for (number, key) in keys.into_iter().enumerate() {
                let text = number.to_string();
                queue.push(if key == 0 { frame(&text) } else { latest(&key.to_string(), &text) });
                match expected.iter_mut().find(|(waiting, _)| key != 0 && *waiting == key) {
                    Some((_, old)) => *old = text,
                    None => expected.push((key, text)),
                }
            }
            let expected: Vec<String> = expected.into_iter().map(|(_, text)| text).collect();
            let taken = queue.take();
            prop_assert_eq!(texts(&taken), expected);
        }
    }
}
