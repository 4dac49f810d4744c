//! An update meets the order that is held.

use platepal_events::{Event, Stamp, Timestamp};
use serde::{Deserialize, Serialize};

use super::status::{Status, Way};

/// An id that was learned, and from which update: a late one must not undo a newer one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Learned {
    pub(crate) id: String,
    stamp: Stamp,
}

/// An order as the rules know it; its payload is kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) order_id: String,
    pub(crate) status: Status,
    pub(crate) way: Option<Way>,
    /// Grows with every update that is told.
    pub(crate) version: u64,
    /// Of the update that made it what it is.
    pub(crate) stamp: Stamp,
    /// The newest version that the caller gave, and what it said.
    caller: Option<(u64, String)>,
    pub(crate) customer: Option<Learned>,
    pub(crate) restaurant: Option<Learned>,
    pub(crate) rider: Option<Learned>,
    /// The earliest that is known, in microseconds since 1970.
    pub(crate) placed_at: Option<i64>,
    pub(crate) accepted_at: Option<i64>,
    /// Minutes from acceptance to a breach; `None` until it is settled.
    pub(crate) sla_minutes: Option<u32>,
    /// Names of the timers that have fired; they never do again.
    pub(crate) fired: Vec<String>,
}

/// What happened to an order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Update {
    /// Id, type and moment; the payload is the order, or for [`Update::verbatim`] what is told.
    pub(crate) event: Event,
    /// It is told as it came, byte for byte; else in the envelope of this domain.
    pub(crate) verbatim: bool,
    pub(crate) order_id: String,
    pub(crate) status: Status,
    pub(crate) way: Option<Way>,
    pub(crate) stamp: Stamp,
    pub(crate) customer: Option<String>,
    pub(crate) restaurant: Option<String>,
    pub(crate) rider: Option<String>,
    /// The order as JSON, as it came.
    pub(crate) payload: String,
    /// Equal for equal content.
    pub(crate) digest: String,
    pub(crate) sla_minutes: Option<u32>,
}

/// What an update is to the order that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is what the order is now. `unusual`: the step that the graph does not know.
    New { unusual: Option<(Status, Status)> },
    /// Older than what is held.
    Superseded,
    /// The version that is held, with the same content.
    Duplicate,
    /// The version that is held, with other content.
    Conflict,
}

/// The order after an update, and what the update was to it. An older update may still add what was not known:
/// an id, or an earlier moment of acceptance.
pub(crate) fn apply(held: Option<Order>, update: &Update) -> (Order, Outcome) {
    let Some(mut order) = held else {
        let mut order = Order {
            order_id: update.order_id.clone(),
            status: update.status,
            way: update.way,
            version: update.stamp.version.max(1),
            stamp: update.stamp,
            caller: caller(update),
            customer: None,
            restaurant: None,
            rider: None,
            placed_at: None,
            accepted_at: None,
            sla_minutes: None,
            fired: Vec::new(),
        };
        order.learn(update);
        return (order, Outcome::New { unusual: None });
    };
    let outcome = order.judge(update);
    match outcome {
        Outcome::New { .. } => {
            order.status = update.status;
            order.version = update.stamp.version.max(order.version + 1);
            order.stamp = update.stamp;
            order.caller = caller(update).or(order.caller);
            order.learn(update);
        }
        Outcome::Superseded => order.learn(update),
        Outcome::Duplicate | Outcome::Conflict => {}
    }
    (order, outcome)
}

fn caller(update: &Update) -> Option<(u64, String)> {
    (update.stamp.version > 0).then(|| (update.stamp.version, update.digest.clone()))
}

impl Order {
    fn judge(&self, update: &Update) -> Outcome {
        let unusual = (!self.status.may_become(update.status, update.way.or(self.way)))
            .then_some((self.status, update.status));
        match &self.caller {
            Some((version, digest)) if update.stamp.version > 0 => {
                match (update.stamp.version.cmp(version), *digest == update.digest) {
                    (std::cmp::Ordering::Less, _) => Outcome::Superseded,
                    (std::cmp::Ordering::Equal, true) => Outcome::Duplicate,
                    (std::cmp::Ordering::Equal, false) => Outcome::Conflict,
                    (std::cmp::Ordering::Greater, _) => Outcome::New { unusual },
                }
            }
            // Ties by arrival: the same moment is not older.
            _ if update.stamp.at < self.stamp.at => Outcome::Superseded,
            _ => Outcome::New { unusual },
        }
    }

    fn learn(&mut self, update: &Update) {
        let learn = |known: &mut Option<Learned>, id: &Option<String>| {
            let Some(id) = id else { return };
            if !known.as_ref().is_some_and(|known| update.stamp.is_before(known.stamp)) {
                *known = Some(Learned { id: id.clone(), stamp: update.stamp });
            }
        };
        learn(&mut self.customer, &update.customer);
        learn(&mut self.restaurant, &update.restaurant);
        learn(&mut self.rider, &update.rider);
        if self.way.is_none() || !update.stamp.is_before(self.stamp) {
            self.way = update.way.or(self.way);
        }
        let earliest =
            |known: Option<i64>| Some(known.map_or(update.stamp.at, |known| known.min(update.stamp.at)));
        if update.status == Status::Pending {
            self.placed_at = earliest(self.placed_at);
        }
        if update.status.is_accepted() {
            self.accepted_at = earliest(self.accepted_at);
        }
        if update.sla_minutes.is_some() && (self.sla_minutes.is_none() || !update.stamp.is_before(self.stamp))
        {
            self.sla_minutes = update.sla_minutes;
        }
    }

    /// When the update that made it what it is happened.
    pub(crate) fn occurred_at(&self) -> Timestamp {
        Timestamp::from_micros(self.stamp.at)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use platepal_proto::v1;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn update(id: &str, status: Status, version: u64, at: i64) -> Update {
        let payload = format!("{{\"id\": 5012, \"n\": {at}}}");
        let message = v1::Event {
            event_id: id.into(),
            r#type: status.type_name().into(),
            payload: payload.clone().into(),
            timestamp: Some(Timestamp::from_micros(at).into()),
            ..Default::default()
        };
        Update {
            event: Event::parse(message, Timestamp::from_micros(at)).unwrap(),
            verbatim: false,
            order_id: "5012".into(),
            status,
            way: Some(Way::Delivery),
            stamp: Stamp { version, at },
            customer: Some("7".into()),
            restaurant: None,
            rider: None,
            digest: format!("{status:?} {payload}"),
            payload,
            sla_minutes: None,
        }
    }

    fn all(updates: &[Update]) -> (Order, Vec<(u64, Outcome)>) {
        let mut held = None;
        let mut outcomes = Vec::new();
        for update in updates {
            let (order, outcome) = apply(held.take(), update);
            outcomes.push((order.version, outcome));
            held = Some(order);
        }
        (held.unwrap(), outcomes)
    }

    #[test]
    fn older_same_and_other_content_are_told_apart() {
        let two = update("b", Status::Accepted, 2, 20);
        let other = Update { digest: "other".into(), ..two.clone() };
        let (order, outcomes) = all(&[two.clone(), update("a", Status::Pending, 1, 10), two, other]);
        let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        let new = Outcome::New { unusual: None };
        assert_eq!(outcomes, [new, Outcome::Superseded, Outcome::Duplicate, Outcome::Conflict]);
        assert_eq!((order.status, order.version), (Status::Accepted, 2));
        assert_eq!(order.placed_at, Some(10), "the older one still says when it was placed");
    }

    #[test]
    fn without_versions_time_decides_and_ties_go_by_arrival() {
        let (order, outcomes) = all(&[
            update("a", Status::Pending, 0, 10),
            update("b", Status::Accepted, 0, 30),
            update("c", Status::Preparing, 0, 30),
            update("d", Status::Cancelled, 0, 20),
        ]);
        assert_eq!((order.status, order.version), (Status::Preparing, 3));
        assert_eq!(outcomes[3].1, Outcome::Superseded);
    }

    #[test]
    fn a_step_that_the_graph_does_not_know_is_taken_and_marked() {
        let (order, outcomes) =
            all(&[update("a", Status::Delivered, 1, 10), update("b", Status::Preparing, 2, 20)]);
        assert_eq!(order.status, Status::Preparing);
        assert_eq!(outcomes[1].1, Outcome::New { unusual: Some((Status::Delivered, Status::Preparing)) });
    }

    fn updates() -> impl Strategy<Value = Vec<Update>> {
        proptest::collection::vec(
            (0usize..10, proptest::option::of("[1-3]"), proptest::option::of("[1-3]")),
            1..9,
        )
        .prop_map(|steps| {
            steps
                .into_iter()
                .zip(1u64..)
                .map(|((status, rider, restaurant), n)| {
                    let at = i64::try_from(n).unwrap() * 10;
                    let update = update(&format!("e{n}"), Status::ALL[status], n, at);
                    Update { rider, restaurant, ..update }
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn any_shuffle_gives_the_same_order_and_told_versions_only_grow(
            (sorted, shuffled) in updates().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
            versioned in any::<bool>(),
        ) {
            let strip = |all: Vec<Update>| -> Vec<Update> {
                all.into_iter().map(|mut update| {
                    if !versioned { update.stamp.version = 0; }
                    update
                }).collect()
            };
            let (expected, _) = all(&strip(sorted));
            let (mut order, outcomes) = all(&strip(shuffled));
            let told: Vec<u64> = outcomes.iter()
                .filter(|(_, outcome)| matches!(outcome, Outcome::New { .. })).map(|(version, _)| *version).collect();
            prop_assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
            if !versioned {
                // Assigned by arrival; everything else must be the same.
                order.version = expected.version;
            }
            prop_assert_eq!(order, expected);
        }

        #[test]
        fn duplicates_change_nothing(all_updates in updates(), repeat in 0usize..9) {
            let (expected, _) = all(&all_updates);
            let mut more = all_updates.clone();
            more.push(all_updates[repeat % all_updates.len()].clone());
            let (order, _) = all(&more);
            prop_assert_eq!(order, expected);
        }
    }
}
