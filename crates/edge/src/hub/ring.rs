//! The newest events of one channel, in memory: most replays are answered from here.
//!
//! Invariant: `entries` are consecutive, the first comes right after `floor`, and the last is at `head`.

use std::{collections::VecDeque, sync::Arc};

use platepal_events::{EventId, Position};

use crate::codec::Encoded;

/// How much a ring holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingBound {
    pub events: usize,
    pub bytes: usize,
}

#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Arc<Encoded>>,
    cost_bytes: usize,
    floor: u64,
    head: Position,
    bound: RingBound,
}

impl Ring {
    /// Empty, at the head of the channel.
    pub fn new(head: Position, bound: RingBound) -> Self {
        Self { entries: VecDeque::new(), cost_bytes: 0, floor: head.offset, head, bound }
    }

    pub fn head(&self) -> &Position {
        &self.head
    }

    pub fn bound(&self) -> RingBound {
        self.bound
    }

    /// Everything after this offset is here.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    pub fn push(&mut self, encoded: Arc<Encoded>) {
        self.head = encoded.entry.position.clone();
        self.cost_bytes += encoded.cost_bytes();
        self.entries.push_back(encoded);
        self.fit();
    }

    /// Puts older events, read from the log up to the floor, in front; false if they do not meet it any more.
    pub fn prepend(&mut self, older: VecDeque<Arc<Encoded>>) -> bool {
        let Some(first) = older.front() else { return true };
        if older.back().is_none_or(|last| last.entry.position.offset != self.floor) {
            return false;
        }
        self.floor = first.entry.previous_offset;
        for encoded in older.into_iter().rev() {
            self.cost_bytes += encoded.cost_bytes();
            self.entries.push_front(encoded);
        }
        self.fit();
        true
    }

    /// At most `limit` events after an offset; `None` when they are not all here.
    pub fn after(&self, offset: u64, limit: usize) -> Option<Vec<Arc<Encoded>>> {
        if offset < self.floor {
            return None;
        }
        let start = self.entries.partition_point(|encoded| encoded.entry.position.offset <= offset);
        Some(self.entries.iter().skip(start).take(limit).cloned().collect())
    }

    /// Where an event stands.
    pub fn find(&self, id: &EventId) -> Option<u64> {
        self.entry(id).map(|encoded| encoded.entry.position.offset)
    }

    /// An event that is in it.
    pub fn entry(&self, id: &EventId) -> Option<&Arc<Encoded>> {
        // A client that reconnects missed little: from the newest on.
        self.entries.iter().rev().find(|encoded| encoded.entry.event.id == *id)
    }

    fn fit(&mut self) {
        while self.entries.len() > self.bound.events || self.cost_bytes > self.bound.bytes {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.cost_bytes -= oldest.cost_bytes();
            self.floor = oldest.entry.position.offset;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_events::{Entry, Epoch, Event, Timestamp};
    use platepal_proto::v1;
    use proptest::prelude::*;

    use super::*;

    fn position(offset: u64) -> Position {
        Position { epoch: Epoch::new("e"), offset }
    }

    fn encoded(offset: u64, previous_offset: u64) -> Arc<Encoded> {
        let now = Timestamp::from_micros(0);
        let message = v1::Event {
            event_id: format!("id-{offset}"),
            r#type: "order.updated".into(),
            payload: "{}".into(),
            ..Default::default()
        };
        Arc::new(Encoded::new(Entry {
            channel: "customer:7".parse().unwrap(),
            event: Arc::new(Event::parse(message, now).unwrap()),
            position: position(offset),
            previous_offset,
            kept_at: now,
        }))
    }

    proptest! {
        #[test]
        fn what_it_gives_is_exactly_what_came_after(
            gaps in proptest::collection::vec(1u64..4, 1..60), events in 1usize..40, older in 0usize..60, ask in 0u64..200
        ) {
            let mut offsets = vec![0];
            for gap in gaps {
                offsets.push(offsets.last().unwrap() + gap);
            }
            let older = older.min(offsets.len() - 1);
            let pair = |i: usize| encoded(offsets[i], offsets[i - 1]);
            let mut ring = Ring::new(position(offsets[older]), RingBound { events, bytes: usize::MAX });
            (older + 1..offsets.len()).for_each(|i| ring.push(pair(i)));
            let _ = ring.prepend((1..=older).map(pair).collect());

            prop_assert!(ring.entries.len() <= events);
            let expected: Vec<u64> = offsets.iter().copied().filter(|o| *o > ask && *o > 0).collect();
            if let Some(given) = ring.after(ask, usize::MAX) {
                let given: Vec<u64> = given.iter().map(|e| e.entry.position.offset).collect();
                prop_assert_eq!(given, expected);
            } else {
                prop_assert!(ask < ring.floor());
            }
            for encoded in &ring.entries {
                prop_assert_eq!(ring.find(&encoded.entry.event.id), Some(encoded.entry.position.offset));
            }
        }
    }
}
