//! What every engine must do. Each test is a function over a [`House`]; [`conformance!`] makes them tests of one
//! engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, dead_code)]

pub mod consumers;
pub mod logs;
pub mod model;
pub mod passing;
pub mod retention;
pub mod subscriptions;

use std::{sync::Arc, time::Duration};

use platepal_bus::{Bus, Delivery, Settings, Subscription};
use platepal_events::{Channel, Entry, Event, EventId, Timestamp};
use platepal_proto::v1;

/// How long anything may take before a test calls it lost.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where an engine keeps its events; may be opened several times, one after the other.
#[async_trait::async_trait]
pub trait House: Send + Sync + Sized {
    /// An empty house.
    async fn new() -> Self;
    /// The bus in it.
    async fn open(&self, variables: &[(&'static str, &str)]) -> Arc<dyn Bus>;
    /// Whether a read from 0 can always tell that a channel is complete.
    fn tells_from_zero(&self) -> bool {
        true
    }
}

/// Settings from variables.
pub fn settings(variables: &[(&'static str, &str)]) -> Settings {
    let mut reader = platepal_settings::Reader::new(variables.iter().map(|(name, value)| (*name, *value)));
    let settings = reader.read::<Settings>();
    reader.finish(Settings::SPECS).unwrap();
    settings.unwrap()
}

pub fn channel(name: &str) -> Channel {
    name.parse().unwrap()
}

fn make(kind: &str, id: &str, key: &str, payload: String) -> Event {
    let message = v1::Event {
        event_id: id.into(),
        r#type: kind.into(),
        key: key.into(),
        payload: payload.into(),
        ..Default::default()
    };
    Event::parse(message, Timestamp::from_micros(1_795_519_800_123_456)).unwrap()
}

/// An event of the *log* class.
pub fn event(id: &str) -> Event {
    make("order.accepted", id, "", format!("{{\"id\":\"{id}\"}}"))
}

/// An event of the *latest* class.
pub fn value(id: &str, key: &str) -> Event {
    make("rider_location", id, key, format!("{{\"id\":\"{id}\"}}"))
}

/// Appends a *log* event; its offset.
pub async fn append(bus: &dyn Bus, channel: &Channel, id: &str) -> u64 {
    let appended = bus.append(std::slice::from_ref(channel), &event(id)).await.unwrap();
    appended[0].position.offset
}

pub async fn append_many(bus: &dyn Bus, channel: &Channel, ids: std::ops::Range<u32>) {
    for id in ids {
        append(bus, channel, &id.to_string()).await;
    }
}

pub fn ids(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.event.id.to_string()).collect()
}

pub fn id(text: &str) -> EventId {
    text.parse().unwrap()
}

pub fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|id| id.to_string()).collect()
}

/// The next delivery, in time.
pub async fn next(subscription: &mut Subscription) -> Delivery {
    tokio::time::timeout(PATIENCE, subscription.next())
        .await
        .expect("a delivery in time")
        .expect("an open bus")
}

/// The next delivery, which is an event.
pub async fn next_entry(subscription: &mut Subscription) -> Entry {
    match next(subscription).await {
        Delivery::Entry(entry) => entry,
        other => panic!("not an event that is kept: {other:?}"),
    }
}

/// The next delivery, which is a passing event.
pub async fn next_passing(subscription: &mut Subscription) -> Arc<Event> {
    match next(subscription).await {
        Delivery::Passing(event) => event,
        other => panic!("not a passing event: {other:?}"),
    }
}

/// Waits until something is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let by = tokio::time::Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < by, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every test of the suite, for one engine.
#[macro_export]
macro_rules! conformance {
    ($house:ty) => {
        $crate::conformance!(@tests $house,
            logs::an_event_that_is_appended_twice_keeps_its_first_position,
            logs::one_event_goes_to_several_channels_in_the_order_given,
            logs::offsets_grow_and_each_event_names_its_predecessor,
            logs::an_event_comes_back_whole,
            logs::a_log_is_read_page_by_page,
            logs::two_channels_do_not_mix,
            logs::an_event_is_found_by_its_id,
            logs::only_the_newest_value_of_a_key_is_kept,
            logs::the_tiers_own_channel_is_a_channel_like_any_other,
            logs::many_appends_at_once_are_all_kept,
            logs::the_largest_events_fit_into_pages,
            subscriptions::a_subscription_gets_what_is_appended_after_it_and_nothing_else,
            subscriptions::attaching_and_then_reading_leaves_no_gap_and_no_repeat,
            subscriptions::a_reader_slower_than_its_queue_gets_every_event_in_order,
            subscriptions::a_newcomer_gets_newest_values_and_then_newer_ones,
            subscriptions::cancelled_waits_lose_nothing,
            passing::a_passing_event_goes_to_all_who_listen_and_to_nobody_who_comes_later,
            passing::a_passing_event_is_kept_nowhere_and_changes_no_position,
            passing::a_passing_event_is_whole_and_may_be_of_any_class_and_told_again,
            passing::passing_events_between_appends_make_no_gap_and_no_repeat,
            passing::a_reader_slower_than_its_queue_may_lose_what_passes_and_nothing_that_is_kept,
            passing::a_passing_event_that_is_too_large_is_refused_and_nobody_is_told,
            retention::a_channel_keeps_its_newest_events_and_says_that_older_ones_are_gone,
            retention::a_subscription_that_missed_what_is_gone_is_reset,
            retention::events_leave_by_age,
            consumers::what_is_not_acknowledged_is_delivered_again,
            consumers::a_group_shares_its_events_between_workers,
            consumers::a_group_goes_on_where_it_was,
            consumers::two_groups_see_everything_each,
            model::any_sequence_of_appends_and_reads_agrees_with_a_list,
        );
    };
    (@tests $house:ty, $($module:ident :: $name:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let house = <$house as conformance::House>::new().await;
                conformance::$module::$name(&house).await;
            }
        )+
    };
}
