//! What is said of an item meets what is known of it.
//!
//! An item is three things that change by themselves: whether it can be ordered, its price, how many are left. Each keeps
//! the stamp of what said it last, so a late change of one undoes no newer change of it, and a newer change of another
//! does not keep it out.

use platepal_events::{Stamp, Timestamp};
use serde::{Deserialize, Serialize};

/// An item as the rules know it. One of which nothing was ever said can be ordered, at its usual price.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) item_id: String,
    sold_out: Option<SoldOut>,
    /// It is no longer on the menu.
    removed: bool,
    /// `None`: the usual.
    price: Option<String>,
    /// `None`: nobody counts.
    inventory: Option<u32>,
    /// At or below which it is low; `None`: the setting's.
    low_at: Option<u32>,
    is_low: bool,
    sale_stamp: Option<Stamp>,
    price_stamp: Option<Stamp>,
    inventory_stamp: Option<Stamp>,
    /// The version of the menu in which it last changed for whoever reads it.
    pub(crate) menu_version: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct SoldOut {
    by: By,
    /// Microseconds since 1970.
    until: Option<i64>,
}

/// What made an item sold out, and therefore what brings it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum By {
    /// The restaurant said so.
    Restaurant,
    /// Nothing is left.
    Inventory,
}

/// What is said of an item; what is `None` does not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) item_id: String,
    pub(crate) sale: Option<Sale>,
    /// `Some(None)`: the usual again.
    pub(crate) price: Option<Option<String>>,
    pub(crate) inventory: Option<u32>,
    pub(crate) low_at: Option<u32>,
}

/// Whether an item can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sale {
    On,
    Off { until: Option<Timestamp> },
    Removed,
}

/// What readers of the menu see of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown<'a> {
    pub(crate) available: bool,
    pub(crate) until: Option<Timestamp>,
    pub(crate) price: Option<&'a str>,
    pub(crate) removed: bool,
}

/// What a change was to an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Something of it was new.
    pub(crate) is_new: bool,
    /// Something of it was older than what is known.
    pub(crate) is_older: bool,
    /// Something of it contradicts what the same version said.
    pub(crate) is_conflict: bool,
    /// Few are left since now.
    pub(crate) low: bool,
    /// There are enough again since now.
    pub(crate) restocked: bool,
}

impl Taken {
    /// Whether something that was said with this stamp is to be written over what is held.
    fn judge(&mut self, held: &mut Option<Stamp>, stamp: Stamp, is_same: bool) -> bool {
        match *held {
            Some(known) if stamp.is_before(known) => {
                self.is_older = true;
                return false;
            }
            Some(known) if !is_same && stamp.is_same_version(known) => {
                self.is_conflict = true;
                return false;
            }
            // What says the same later keeps out what was said in between.
            Some(_) if is_same => {}
            _ => self.is_new = true,
        }
        *held = Some(stamp);
        true
    }
}

impl Item {
    /// One of which nothing was said yet.
    pub(crate) fn unknown(item_id: &str) -> Self {
        Self { item_id: item_id.to_owned(), ..Self::default() }
    }

    /// Takes what is said of it. `usual_low`: at or below which an item is low that was not given a number of its own.
    pub(crate) fn apply(&mut self, change: &Change, stamp: Stamp, usual_low: u32) -> Taken {
        let mut taken = Taken::default();
        if let Some(sale) = change.sale {
            let by = if change.inventory == Some(0) { By::Inventory } else { By::Restaurant };
            let is_same = self.says(sale);
            if taken.judge(&mut self.sale_stamp, stamp, is_same) && !is_same {
                self.sell(sale, by);
            }
        }
        if let Some(price) = &change.price
            && taken.judge(&mut self.price_stamp, stamp, self.price == *price)
        {
            self.price.clone_from(price);
        }
        if let Some(left) = change.inventory {
            let is_same = self.inventory == Some(left);
            if taken.judge(&mut self.inventory_stamp, stamp, is_same) {
                self.low_at = change.low_at.or(self.low_at);
                self.count(left, self.low_at.unwrap_or(usual_low), &mut taken);
            }
        }
        taken
    }

    fn says(&self, sale: Sale) -> bool {
        match sale {
            Sale::Removed => self.removed,
            Sale::On => !self.removed && self.sold_out.is_none(),
            Sale::Off { until } => {
                let until = until.map(Timestamp::micros);
                !self.removed && self.sold_out.is_some_and(|sold_out| sold_out.until == until)
            }
        }
    }

    fn sell(&mut self, sale: Sale, by: By) {
        self.removed = sale == Sale::Removed;
        self.sold_out = match sale {
            Sale::Off { until } => Some(SoldOut { by, until: until.map(Timestamp::micros) }),
            Sale::On | Sale::Removed => None,
        };
        // Who says that it can be ordered knows of some that were not counted.
        if sale == Sale::On && self.inventory == Some(0) {
            self.forget_inventory();
        }
    }

    fn count(&mut self, left: u32, low_at: u32, taken: &mut Taken) {
        let before = self.inventory.replace(left);
        let (was_low, is_low) = (self.is_low, left <= low_at);
        self.is_low = is_low;
        if left == 0 {
            self.sold_out = self.sold_out.or(Some(SoldOut { by: By::Inventory, until: None }));
            return;
        }
        self.sold_out = self.sold_out.filter(|sold_out| sold_out.by != By::Inventory);
        let has_more = before.is_some_and(|before| left > before);
        taken.restocked = has_more && (before == Some(0) || was_low && !is_low);
        taken.low = is_low && !was_low;
    }

    /// Its time has come: it can be ordered again, unless nothing is left. False if that is not its time any more.
    pub(crate) fn come_back(&mut self, due_at: Timestamp) -> bool {
        let Some(SoldOut { by, until: Some(until) }) = self.sold_out else { return false };
        if until != due_at.micros() {
            return false;
        }
        self.sold_out = None;
        match by {
            // What was to come has come; how many, nobody has said.
            By::Inventory => self.forget_inventory(),
            By::Restaurant if self.inventory == Some(0) => {
                self.sold_out = Some(SoldOut { by: By::Inventory, until: None });
            }
            By::Restaurant => {}
        }
        true
    }

    fn forget_inventory(&mut self) {
        self.inventory = None;
        self.is_low = false;
    }

    pub(crate) fn shown(&self) -> Shown<'_> {
        let available = !self.removed && self.sold_out.is_none();
        Shown { available, until: self.due_at(), price: self.price.as_deref(), removed: self.removed }
    }

    /// When it comes back by itself.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        self.sold_out.and_then(|sold_out| sold_out.until).map(Timestamp::from_micros)
    }

    pub(crate) fn inventory(&self) -> Option<u32> {
        self.inventory
    }

    /// It is on the menu.
    pub(crate) fn is_listed(&self) -> bool {
        !self.removed
    }

    /// There is nothing about it that a reader of the menu would not take for granted.
    pub(crate) fn is_plain(&self) -> bool {
        self.removed || (self.sold_out.is_none() && self.price.is_none())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const LOW: u32 = 5;

    pub(crate) fn at(seconds: i64) -> Stamp {
        Stamp { version: 0, at: seconds * 1_000_000 }
    }

    fn moment(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn sale(sale: Sale) -> Change {
        Change { sale: Some(sale), ..Change::default() }
    }

    fn count(left: u32) -> Change {
        Change { inventory: Some(left), ..Change::default() }
    }

    fn off() -> Change {
        sale(Sale::Off { until: None })
    }

    fn told(changes: &[(Change, i64)]) -> (Item, Vec<Taken>) {
        let mut item = Item::unknown("501");
        let taken = changes.iter().map(|(change, seconds)| item.apply(change, at(*seconds), LOW)).collect();
        (item, taken)
    }

    #[test]
    fn nothing_left_is_sold_out_and_more_brings_it_back() {
        let (mut item, _) = told(&[(count(0), 1)]);
        assert!(!item.shown().available);
        let taken = item.apply(&count(3), at(2), LOW);
        assert!(item.shown().available && taken.restocked && !taken.low);
        // What the restaurant has taken off stays off, however many are left.
        let (mut item, _) = told(&[(off(), 1), (count(0), 2)]);
        item.apply(&count(9), at(3), LOW);
        assert!(!item.shown().available);
        // Both said together: it is off because nothing is left.
        let both = Change { inventory: Some(0), ..off() };
        let (mut item, _) = told(&[(both, 1)]);
        item.apply(&count(9), at(2), LOW);
        assert!(item.shown().available);
    }

    #[test]
    fn who_says_that_it_can_be_ordered_is_believed_over_an_old_count() {
        let (item, _) = told(&[(count(0), 1), (sale(Sale::On), 2)]);
        assert_eq!((item.shown().available, item.inventory()), (true, None));
    }

    #[test]
    fn low_is_said_once_on_the_way_down_and_restocked_once_on_the_way_up() {
        let (_, taken) = told(&[
            (count(20), 1),
            (count(5), 2),
            (count(4), 3),
            (count(0), 4),
            (count(2), 5),
            (count(7), 6),
            (count(9), 7),
            (count(3), 8),
        ]);
        let said: String = taken
            .iter()
            .map(|taken| match (taken.low, taken.restocked) {
                (true, true) => 'X',
                (true, false) => 'l',
                (false, true) => 'r',
                (false, false) => '-',
            })
            .collect();
        assert_eq!(said, "-l--rr-l");
        // A number of its own, which stays.
        let own = Change { low_at: Some(10), ..count(12) };
        let (_, taken) = told(&[(own, 1), (count(10), 2)]);
        assert!(taken[1].low);
    }

    #[test]
    fn what_is_older_changes_nothing_but_what_nobody_said_anything_newer_of() {
        let mut item = Item::unknown("501");
        assert!(item.apply(&off(), at(5), LOW).is_new);
        let late = Change { price: Some(Some("9.50".into())), ..sale(Sale::On) };
        let taken = item.apply(&late, at(3), LOW);
        assert!(taken.is_new && taken.is_older && !taken.is_conflict);
        assert_eq!((item.shown().available, item.shown().price), (false, Some("9.50")));
        // The same again is neither; it keeps out what was said before it.
        assert_eq!(item.apply(&off(), at(8), LOW), Taken::default());
        assert!(item.apply(&sale(Sale::On), at(7), LOW).is_older);
    }

    #[test]
    fn one_version_that_says_two_things_is_a_conflict_and_the_first_stays() {
        let mut item = Item::unknown("501");
        let third = Stamp { version: 3, at: 1 };
        item.apply(&off(), third, LOW);
        assert!(item.apply(&sale(Sale::On), Stamp { at: 2, ..third }, LOW).is_conflict);
        assert!(!item.shown().available);
        assert_eq!(item.apply(&off(), third, LOW), Taken::default());
    }

    #[test]
    fn it_comes_back_at_its_time_and_only_then() {
        let until = Sale::Off { until: Some(moment(60)) };
        let (mut item, _) = told(&[(sale(until), 1)]);
        assert_eq!(item.due_at(), Some(moment(60)));
        assert!(!item.come_back(moment(50)));
        assert!(item.come_back(moment(60)) && item.shown().available);
        assert!(!item.come_back(moment(60)), "once");
        // Nothing is left by then: it stays sold out, without a time.
        let (mut item, _) = told(&[(sale(until), 1), (count(0), 2)]);
        assert!(item.come_back(moment(60)));
        assert_eq!((item.shown().available, item.due_at()), (false, None));
        item.apply(&count(4), at(70), LOW);
        assert!(item.shown().available);
        // The time of a delivery: what was to come has come.
        let (mut item, _) = told(&[(Change { inventory: Some(0), ..sale(until) }, 1)]);
        assert!(item.come_back(moment(60)));
        assert_eq!((item.shown().available, item.inventory()), (true, None));
    }

    #[test]
    fn what_is_removed_comes_back_only_by_a_newer_word() {
        let (mut item, _) = told(&[(sale(Sale::Removed), 5)]);
        assert!(item.apply(&sale(Sale::On), at(4), LOW).is_older);
        assert!(item.shown().removed && item.is_plain() && !item.is_listed());
        item.apply(&off(), at(6), LOW);
        assert!(item.is_listed() && !item.shown().available);
    }

    fn any_change() -> impl Strategy<Value = Change> {
        let sale = prop_oneof![
            Just(Sale::On),
            Just(Sale::Removed),
            proptest::option::of(100i64..105).prop_map(|until| Sale::Off { until: until.map(moment) })
        ];
        let price = proptest::option::of("[1-3]\\.50");
        (proptest::option::of(sale), proptest::option::of(price), proptest::option::of(0u32..9))
            .prop_map(|(sale, price, inventory)| Change { sale, price, inventory, ..Change::default() })
    }

    proptest! {
        /// Each change has a moment of its own: their order of arrival does not matter for what stands by itself.
        #[test]
        fn sale_and_price_are_those_of_the_newest_whatever_came_first(
            changes in proptest::collection::vec(any_change(), 1..8),
            order in any::<u64>(),
        ) {
            let changes: Vec<(Change, i64)> =
                changes.into_iter().map(|own| Change { inventory: None, ..own }).zip(1..).collect();
            let mut shuffled = changes.clone();
            shuffled.sort_by_key(|(_, seconds)| (*seconds as u64).wrapping_mul(order | 1).rotate_left(17));
            let (straight, _) = told(&changes);
            let (other, _) = told(&shuffled);
            prop_assert_eq!(straight, other);
        }

        #[test]
        fn nothing_left_can_never_be_ordered(changes in proptest::collection::vec(any_change(), 1..12)) {
            let changes: Vec<(Change, i64)> = changes.into_iter().zip(1..).collect();
            let (item, _) = told(&changes);
            prop_assert!(item.inventory() != Some(0) || !item.shown().available, "{item:?}");
        }

        #[test]
        fn the_same_twice_is_nothing_new(changes in proptest::collection::vec(any_change(), 1..6)) {
            let changes: Vec<(Change, i64)> = changes.into_iter().zip(1..).collect();
            let (mut item, _) = told(&changes);
            let before = item.clone();
            let (last, seconds) = changes.last().unwrap();
            let taken = item.apply(last, at(*seconds), LOW);
            prop_assert!(!taken.low && !taken.restocked);
            // A count that the same words have made unknown is the one thing that they say anew.
            if last.inventory.is_none() || last.sale.is_none() {
                prop_assert_eq!(item, before);
                prop_assert!(!taken.is_new);
            }
        }
    }
}
