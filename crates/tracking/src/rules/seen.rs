//! Which moments were taken before, so that a repeat is recognised.
//!
//! A device measures once at a moment, so the moment (in milliseconds) is what names a fix of a rider. Devices measure
//! at an even pace: the newest moments are held as changes of the step from one to the next, in variable length (LEB128,
//! zigzag). That is one byte for a step within 64 ms of the one before and two within 8 s, so that a batch of 1,000
//! fixes that is sent again is recognised. What is older than all of them is not known here; in the trail it
//! falls on the same moment, so that it is harmless there as well.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How the buffer grows, in bytes.
const GROWTH_BYTES: usize = 64;

/// The moments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Milliseconds since 1970 of the oldest; nothing is held while `count` is 0.
    first: i64,
    last: i64,
    count: u32,
    /// The step before the first and before the last.
    first_step: i64,
    last_step: i64,
    /// How the step changes from each moment to the next.
    changes: Vec<u8>,
}

impl Seen {
    /// Notes a moment; `false`: it was there. At most `bytes_max` are held: the oldest moments go.
    pub(crate) fn note(&mut self, moment: i64, bytes_max: usize) -> bool {
        if self.count == 0 {
            self.rebuild(&[moment]);
        } else if moment > self.last {
            self.push(moment);
        } else {
            let mut moments = self.moments();
            let Err(place) = moments.binary_search(&moment) else { return false };
            if place == 0 && self.changes.len() + 2 > bytes_max {
                // Older than all that can be held.
                return true;
            }
            moments.insert(place, moment);
            self.rebuild(&moments);
        }
        while self.changes.len() > bytes_max {
            let Some((change, length)) = read(&self.changes) else { break };
            self.changes.drain(..length);
            self.first_step = self.first_step.wrapping_add(change);
            self.first = self.first.wrapping_add(self.first_step);
            self.count = self.count.saturating_sub(1);
        }
        true
    }

    fn moments(&self) -> Vec<i64> {
        let mut moments = Vec::with_capacity(self.changes.len() + 2);
        let (mut moment, mut step, mut rest) = (self.first, self.first_step, self.changes.as_slice());
        moments.push(moment);
        while let Some((change, length)) = read(rest) {
            step = step.wrapping_add(change);
            moment = moment.wrapping_add(step);
            moments.push(moment);
            rest = rest.get(length..).unwrap_or_default();
        }
        moments
    }

    fn rebuild(&mut self, moments: &[i64]) {
        self.changes.clear();
        let Some((first, later)) = moments.split_first() else { return };
        (self.first, self.last, self.count) = (*first, *first, 1);
        (self.first_step, self.last_step) = (0, 0);
        for moment in later {
            self.push(*moment);
        }
    }

    fn push(&mut self, moment: i64) {
        if self.changes.len() + 10 > self.changes.capacity() {
            self.changes.reserve_exact(GROWTH_BYTES);
        }
        let step = moment.wrapping_sub(self.last);
        let change = step.wrapping_sub(self.last_step);
        let mut rest = ((change << 1) ^ (change >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.changes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.changes.push(rest as u8);
        (self.last, self.last_step) = (moment, step);
        self.count = self.count.saturating_add(1);
    }

    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.changes.capacity()
    }
}

/// The first number and its length in bytes.
fn read(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some(((number >> 1).cast_signed() ^ -(number & 1).cast_signed(), index + 1));
        }
    }
    None
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.first, self.first_step, self.count, STANDARD_NO_PAD.encode(&self.changes)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (first, first_step, count, changes): (i64, i64, u32, String) =
            Deserialize::deserialize(deserializer)?;
        let changes = STANDARD_NO_PAD.decode(changes).map_err(serde::de::Error::custom)?;
        let mut seen = Self { first, last: first, count, first_step, last_step: first_step, changes };
        if count > 0 {
            let mut moments = seen.moments();
            moments.sort_unstable();
            seen.rebuild(&moments);
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const BYTES: usize = 1_344;

    #[test]
    fn a_batch_of_a_thousand_that_is_sent_again_is_recognised() {
        let mut seen = Seen::default();
        let batch: Vec<i64> =
            (0..1_000).map(|index| 1_795_519_800_000 + index * 5_003 + index * 7 % 23).collect();
        assert!(batch.iter().all(|moment| seen.note(*moment, BYTES)));
        assert!(batch.iter().all(|moment| !seen.note(*moment, BYTES)));
        assert!(seen.heap_bytes() <= BYTES + GROWTH_BYTES, "{}", seen.heap_bytes());
    }

    #[test]
    fn what_is_older_than_everything_held_is_not_held() {
        let mut seen = Seen::default();
        for index in 0..5_000 {
            assert!(seen.note(index * 1_000, 100));
        }
        assert!(seen.note(5, 100) && seen.note(5, 100));
        assert!(!seen.note(4_999_000, 100));
    }

    proptest! {
        #[test]
        fn it_is_a_set(moments in proptest::collection::vec(-1_000_i64..100_000, 0..300)) {
            let (mut seen, mut set) = (Seen::default(), BTreeSet::new());
            for moment in moments {
                prop_assert_eq!(seen.note(moment, 10_000), set.insert(moment));
            }
            let stored: Seen = serde_json::from_str(&serde_json::to_string(&seen).unwrap()).unwrap();
            prop_assert_eq!(stored.moments(), seen.moments());
        }

        #[test]
        fn no_moment_and_no_bytes_make_it_panic(
            moments in proptest::collection::vec(any::<i64>(), 0..50), first: i64, step: i64, count: u32,
            changes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let text = serde_json::to_string(&(first, step, count, STANDARD_NO_PAD.encode(changes))).unwrap();
            let mut seen: Seen = serde_json::from_str(&text).unwrap();
            for moment in moments {
                seen.note(moment, 64);
            }
        }
    }
}
