//! An update as a whole: what it makes of a menu, and what is told of it.

use std::collections::BTreeMap;

use platepal_events::{Channel, Event, EventId, EventType, Stamp, Timestamp};

use super::{
    item::{Change, Item, Shown, Taken},
    payload,
};

/// What happened to a menu.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Update {
    pub(crate) event_id: EventId,
    pub(crate) restaurant_id: String,
    pub(crate) stamp: Stamp,
    /// Each item once; none: only the event is told.
    pub(crate) changes: Vec<Change>,
    pub(crate) telling: Telling,
    pub(crate) traceparent: String,
}

/// What the restaurant is told of an update.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Telling {
    /// What this domain makes of it; and these channels, too.
    Derived(Vec<Channel>),
    /// This event as it came, to these channels.
    Verbatim(Event, Vec<Channel>),
}

/// What an update is to the menu that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Something of it is what the menu is now.
    New,
    /// All of it is older than what is held.
    Superseded,
    /// It is held already.
    Duplicate,
    /// The version that is held, with other content.
    Conflict,
}

/// An item after an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) item: Item,
    taken: Taken,
    /// Whoever reads the menu sees it change.
    pub(crate) is_seen: bool,
    /// It can't be ordered since now.
    sold_out: bool,
    /// When it comes back by itself is another moment now.
    pub(crate) is_retimed: bool,
    /// How many more items the menu has: -1, 0, 1.
    pub(crate) listed: i64,
}

/// What an update makes of a menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) outcome: Outcome,
    /// Items that are to be kept, as they are now.
    pub(crate) moved: Vec<Moved>,
    /// How many changes were older than what is held, and how many contradicted it.
    pub(crate) older: usize,
    pub(crate) conflicts: usize,
}

impl Step {
    /// What changes make of items, of which these are held.
    pub(crate) fn of(
        held: &BTreeMap<String, Item>,
        changes: &[Change],
        stamp: Stamp,
        usual_low: u32,
    ) -> Self {
        let moved: Vec<Moved> = changes
            .iter()
            .map(|change| {
                let before = held.get(&change.item_id).cloned();
                let before = before.unwrap_or_else(|| Item::unknown(&change.item_id));
                let mut item = before.clone();
                let taken = item.apply(change, stamp, usual_low);
                let is_known = held.contains_key(&change.item_id);
                Moved::between(&before, item, taken, is_known)
            })
            .collect();
        let count = |is: fn(&Taken) -> bool| moved.iter().filter(|own| is(&own.taken)).count();
        let (new, older, conflicts) =
            (count(|own| own.is_new), count(|own| own.is_older), count(|own| own.is_conflict));
        let outcome = match (new, conflicts, older) {
            (1.., _, _) => Outcome::New,
            (0, 1.., _) => Outcome::Conflict,
            (0, 0, 1..) => Outcome::Superseded,
            (0, 0, 0) => Outcome::Duplicate,
        };
        Self { outcome, moved, older, conflicts }
    }

    /// An item's time has come; `None`: it has another one now.
    pub(crate) fn back(item: Item, due_at: Timestamp) -> Option<Self> {
        let before = item.clone();
        let mut item = item;
        item.come_back(due_at).then(|| {
            let moved = Moved::between(&before, item, Taken::default(), true);
            Self { outcome: Outcome::New, moved: vec![moved], older: 0, conflicts: 0 }
        })
    }

    /// Whether anything is told of it.
    pub(crate) fn is_told(&self) -> bool {
        self.moved.iter().any(|own| own.is_seen || own.taken.low || own.taken.restocked)
    }

    /// Marks what is seen to change with the menu's new version.
    pub(crate) fn mark(&mut self, menu_version: u64) {
        for moved in self.moved.iter_mut().filter(|own| own.is_seen) {
            moved.item.menu_version = menu_version;
        }
    }

    /// The values for whoever reads the menu: one per item that they see change.
    pub(crate) fn values(&self, restaurant_id: &str, at: Timestamp) -> Vec<Event> {
        let seen = self.moved.iter().filter(|own| own.is_seen);
        seen.map(|own| payload::value(restaurant_id, &own.item, at)).collect()
    }

    /// What the restaurant is told: each item that is sold out, low or restocked by itself, all other changes together.
    /// `source` names what they come from, so that the same step always has the same ids.
    pub(crate) fn happenings(&self, restaurant_id: &str, source: &[&str], at: Timestamp) -> Vec<Event> {
        let id = |kind: &str, of: &str| EventId::derived(&[source, &[kind, of]].concat());
        let mut events = Vec::new();
        let mut others = Vec::new();
        for Moved { item, taken, is_seen, sold_out, .. } in &self.moved {
            let kinds = [
                (*sold_out, "item_sold_out"),
                (taken.low, "inventory_low"),
                (taken.restocked, "inventory_restocked"),
            ];
            for (_, kind) in kinds.into_iter().filter(|(happened, _)| *happened) {
                let id = id(kind, &item.item_id);
                events.push(payload::happening(id, EventType::named(kind), restaurant_id, item, at));
            }
            if *is_seen && !sold_out {
                others.push(item);
            }
        }
        if !others.is_empty() {
            events.push(payload::updated(id("menu.updated", ""), restaurant_id, &others, at));
        }
        events
    }
}

impl Moved {
    fn between(before: &Item, after: Item, taken: Taken, is_known: bool) -> Self {
        let (was, is): (Shown<'_>, Shown<'_>) = (before.shown(), after.shown());
        Self {
            taken,
            is_seen: was != is,
            sold_out: was.available && !is.available && !is.removed,
            is_retimed: was.until != is.until,
            listed: i64::from(after.is_listed()) - i64::from(is_known && before.is_listed()),
            item: after,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::item::{Sale, tests::at};

    fn change(item_id: &str, sale: Option<Sale>, inventory: Option<u32>) -> Change {
        Change { item_id: item_id.into(), sale, inventory, ..Change::default() }
    }

    fn kinds(events: &[Event]) -> Vec<String> {
        events.iter().map(|event| event.kind.to_string()).collect()
    }

    #[test]
    fn a_step_tells_readers_each_item_once_and_the_restaurant_what_happened() {
        let off = Some(Sale::Off { until: None });
        let changes = [
            change("1", off, None),
            change("2", None, Some(3)),
            change("3", Some(Sale::On), None),
            Change { price: Some(Some("4.50".into())), ..change("4", None, None) },
            change("5", Some(Sale::Removed), None),
        ];
        let mut step = Step::of(&BTreeMap::new(), &changes, at(1), 5);
        step.mark(7);
        let now = Timestamp::from_micros(0);
        let values = step.values("12", now);
        let keys: Vec<&str> = values.iter().map(|event| &*event.key).collect();
        assert_eq!(keys, ["1", "4", "5"], "what is taken for granted is no value");
        let told = step.happenings("12", &["e"], now);
        assert_eq!(kinds(&told), ["item_sold_out", "inventory_low", "menu.updated"]);
        let again = step.happenings("12", &["e"], now);
        assert_eq!(told, again, "the same step has the same ids");
        let listed: i64 = step.moved.iter().map(|own| own.listed).sum();
        assert_eq!(listed, 4);
    }

    #[test]
    fn a_step_is_what_the_best_of_its_changes_is() {
        let held = |item_id: &str, stamp: Stamp, sale: Sale| {
            let mut item = Item::unknown(item_id);
            item.apply(&change(item_id, Some(sale), None), stamp, 5);
            (item_id.to_owned(), item)
        };
        let second = Stamp { version: 2, at: 1 };
        let held: BTreeMap<String, Item> =
            [held("1", second, Sale::On), held("2", second, Sale::On)].into_iter().collect();
        let off = Some(Sale::Off { until: None });
        let outcome = |changes: &[Change], version| {
            let step = Step::of(&held, changes, Stamp { version, at: 2 }, 5);
            (step.outcome, step.older, step.conflicts)
        };
        assert_eq!(outcome(&[change("1", Some(Sale::On), None)], 2), (Outcome::Duplicate, 0, 0));
        assert_eq!(outcome(&[change("1", off, None)], 1), (Outcome::Superseded, 1, 0));
        assert_eq!(outcome(&[change("1", off, None)], 2), (Outcome::Conflict, 0, 1));
        assert_eq!(outcome(&[change("1", off, None), change("3", off, None)], 1), (Outcome::New, 1, 0));
        assert_eq!(outcome(&[], 3), (Outcome::Duplicate, 0, 0));
    }
}
