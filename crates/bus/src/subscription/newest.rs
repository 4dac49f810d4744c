//! Which value of each key was delivered last, in bounded space.

use std::{collections::HashMap, sync::Arc};

use platepal_events::{Epoch, Position};

/// Keys remembered per subscription. Beyond it the longest unchanged half is forgotten, so that such a value may
/// be delivered once more after a reconnect: harmless, as a value replaces itself.
const KEYS_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Newest {
    /// Another epoch counts from the start.
    epoch: Option<Epoch>,
    offsets: HashMap<Arc<str>, u64>,
}

impl Newest {
    /// Whether a value is newer than the one known of its key; it is then the one known.
    pub fn admits(&mut self, key: &Arc<str>, position: &Position) -> bool {
        if self.epoch.as_ref() != Some(&position.epoch) {
            self.epoch = Some(position.epoch.clone());
            self.offsets.clear();
        }
        let offset = position.offset;
        match self.offsets.get_mut(key) {
            Some(known) if *known >= offset => return false,
            Some(known) => *known = offset,
            None => {
                if self.offsets.len() >= KEYS_MAX {
                    self.forget_half();
                }
                self.offsets.insert(Arc::clone(key), offset);
            }
        }
        true
    }

    fn forget_half(&mut self) {
        let mut offsets: Vec<u64> = self.offsets.values().copied().collect();
        let middle = offsets.len() / 2;
        let (_, median, _) = offsets.select_nth_unstable(middle);
        let median = *median;
        self.offsets.retain(|_, offset| *offset > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { epoch: Epoch::new("one"), offset }
    }

    #[test]
    fn another_epoch_counts_from_the_start() {
        let mut newest = Newest::default();
        let a: Arc<str> = "a".into();
        assert!(newest.admits(&a, &at(5)));
        assert!(newest.admits(&a, &Position { epoch: Epoch::new("two"), offset: 1 }));
    }

    #[test]
    fn only_a_newer_value_of_a_key_is_admitted() {
        let mut newest = Newest::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        assert!(newest.admits(&a, &at(5)));
        assert!(!newest.admits(&a, &at(5)));
        assert!(!newest.admits(&a, &at(4)));
        assert!(newest.admits(&b, &at(4)));
        assert!(newest.admits(&a, &at(6)));
    }

    #[test]
    fn it_never_remembers_more_keys_than_its_bound_and_keeps_the_freshest() {
        let mut newest = Newest::default();
        for offset in 1..=5_000 {
            assert!(newest.admits(&Arc::from(offset.to_string()), &at(offset)));
            assert!(newest.offsets.len() <= KEYS_MAX);
        }
        assert!(!newest.admits(&Arc::from("5000"), &at(5_000)));
    }
}
