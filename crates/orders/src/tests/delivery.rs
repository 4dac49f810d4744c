//! What is kept is told: once, in order, whatever happens in between.

use platepal_events::Event;
use platepal_service::domain::Domain;
use tokio::task::JoinSet;

use super::*;

on_both! {
    an_update_is_told_to_everybody_whom_it_concerns
    updates_of_two_replicas_at_once_keep_the_told_order
    a_crash_between_keeping_and_telling_is_healed_by_the_worker
    a_repeat_after_a_restart_answers_the_first_places
    without_a_bus_the_caller_is_told_that_it_is_kept
    one_change_sent_to_two_groups_reaches_both_once
    one_event_sent_to_two_groups_reaches_both_once_unless_the_order_moved_on
    a_generic_event_passes_byte_for_byte_and_an_older_one_is_not_told
    an_event_that_was_told_long_ago_but_not_marked_is_not_told_again
}

async fn an_update_is_told_to_everybody_whom_it_concerns(world: World) {
    let orders = world.replica().await;
    let update = Update { rider: Some("31".into()), ..update("5012", "e1", Status::Assigned, 1) };
    let told = orders.take(update, Audience::Participants(vec![channel("admin")])).await.unwrap();
    let channels: Vec<&str> = told.kept.iter().map(|kept| kept.channel.as_str()).collect();
    assert_eq!(channels, ["order:5012", "customer:7", "restaurant:12", "rider:31", "admin"]);
    for name in channels {
        let entries = world.told(name).await;
        assert_eq!(entries.len(), 1, "{name}");
        let data = data(&entries[0]);
        assert_eq!((&data["type"], &data["aggregate_id"]), (&json!("order.assigned"), &json!("5012")));
        assert_eq!(data["payload"], json!({"id": "5012", "status": "ASSIGNED", "n": 1}));
    }
}

async fn updates_of_two_replicas_at_once_keep_the_told_order(world: World) {
    let replicas = [world.replica().await, world.replica().await];
    let mut calls = JoinSet::new();
    for version in 1..=24u64 {
        let orders = replicas[version as usize % 2].clone();
        calls.spawn(async move {
            let update = update("5012", &format!("e{version}"), Status::ALL[version as usize % 8], version);
            take(&orders, update).await.outcome
        });
    }
    let outcomes = calls.join_all().await;
    let published = outcomes.iter().filter(|outcome| **outcome == v1::Outcome::Published).count();
    let entries = world.told("order:5012").await;
    let versions: Vec<u64> =
        entries.iter().map(|entry| data(entry)["order_version"].as_u64().unwrap()).collect();
    assert_eq!(versions.len(), published);
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    assert_eq!(versions.last(), Some(&24));
    let customer: Vec<_> =
        world.told("customer:7").await.iter().map(|entry| entry.event.id.clone()).collect();
    assert_eq!(customer, entries.iter().map(|entry| entry.event.id.clone()).collect::<Vec<_>>());
}

async fn a_crash_between_keeping_and_telling_is_healed_by_the_worker(world: World) {
    let orders = world.replica().await;
    let now = Clock.now();
    for (version, status) in [(1, Status::Pending), (2, Status::Accepted)] {
        let update = update("5012", &format!("e{version}"), status, version);
        orders.store.keep(update.clone(), Audience::Participants(vec![]), now).await.unwrap();
    }
    assert!(world.told("order:5012").await.is_empty());
    let two = [world.replica().await, world.replica().await];
    let (a, b) =
        tokio::join!(two[0].store.outbox.relay(now, now, 100), two[1].store.outbox.relay(now, now, 100),);
    assert_eq!((a.unwrap(), b.unwrap()), (0, 0));
    assert_eq!(world.told_types("order:5012").await, ["order.created", "order.accepted"]);
    assert!(orders.store.outbox.waiting(now, 10).await.unwrap().is_empty());
}

async fn a_repeat_after_a_restart_answers_the_first_places(world: World) {
    let first = take(&world.replica().await, update("5012", "e1", Status::Accepted, 1)).await;
    let orders = world.replica().await;
    take(&orders, update("5012", "e2", Status::Preparing, 2)).await;
    let again = take(&orders, update("5012", "e1", Status::Accepted, 1)).await;
    assert_eq!((again.outcome, again.version), (v1::Outcome::Duplicate, 2));
    let places = |told: &Told| told.kept.iter().map(|kept| kept.position.clone()).collect::<Vec<_>>();
    assert_eq!(places(&again), places(&first));
    // Another id, same version, same and other content.
    let same = take(&orders, update("5012", "e3", Status::Preparing, 2)).await;
    assert_eq!(same.outcome, v1::Outcome::Duplicate);
    assert!(same.kept.iter().all(|kept| kept.duplicate) && !same.kept.is_empty());
    let other = take(&orders, update("5012", "e4", Status::Ready, 2)).await;
    assert_eq!(other.outcome, v1::Outcome::Conflict);
    let older = take(&orders, update("5012", "e5", Status::Pending, 1)).await;
    assert_eq!(older.outcome, v1::Outcome::Superseded);
    assert_eq!(world.told("order:5012").await.len(), 2);
}

async fn without_a_bus_the_caller_is_told_that_it_is_kept(mut world: World) {
    let orders = world.replica().await;
    take(&orders, update("5012", "e1", Status::Pending, 1)).await;
    world.bus.close().await;
    let refused =
        orders.take(update("5012", "e2", Status::Accepted, 2), Audience::Participants(vec![])).await;
    let status = refused.err().unwrap();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(status.message().starts_with("kept; will be told"), "{status}");
    drop(orders);
    world.bus_back().await;
    let orders = world.replica().await;
    // The caller's repeat tells it, and what came before it.
    let again = take(&orders, update("5012", "e2", Status::Accepted, 2)).await;
    assert_eq!(again.outcome, v1::Outcome::Duplicate);
    assert_eq!(world.told_types("order:5012").await, ["order.created", "order.accepted"]);
    assert_eq!(again.kept.len(), 3);
}

fn event(id: &str, kind: &str, payload: &str) -> Event {
    let message = v1::Event {
        event_id: id.into(),
        r#type: kind.into(),
        payload: payload.to_owned().into(),
        ..Default::default()
    };
    Event::parse(message, Clock.now()).unwrap()
}

async fn one_change_sent_to_two_groups_reaches_both_once(world: World) {
    let orders = world.replica().await;
    let payload = r#"{"id":5012,"status":"READY","version":4}"#;
    for (id, group) in [("a", "customer_7"), ("b", "restaurant_12"), ("c", "restaurant_12")] {
        orders.publish(event(id, "order_updated", payload), vec![channel(group)]).await.unwrap();
    }
    for name in ["customer:7", "restaurant:12", "order:5012"] {
        assert_eq!(world.told_types(name).await, ["order.updated"], "{name}");
    }
}

async fn one_event_sent_to_two_groups_reaches_both_once_unless_the_order_moved_on(world: World) {
    let orders = world.replica().await;
    let payload = r#"{"id":5012,"status":"READY","version":4}"#;
    for (group, outcome) in [
        ("customer_7", v1::Outcome::Published),
        ("restaurant_12", v1::Outcome::Published),
        ("restaurant_12", v1::Outcome::Duplicate),
        ("customer_7", v1::Outcome::Duplicate),
    ] {
        let told = orders.publish(event("a", "order_updated", payload), vec![channel(group)]).await.unwrap();
        assert_eq!(told.outcome(), outcome, "{group}: {}", told.note);
        let own = told.kept.iter().filter(|kept| kept.channel == channel(group).to_string());
        assert_eq!(own.count(), 1, "{group}: {:?}", told.kept);
    }
    for name in ["customer:7", "restaurant:12", "order:5012"] {
        assert_eq!(world.told_types(name).await, ["order.updated"], "{name}");
    }
    let newer = r#"{"id":5012,"status":"DELIVERED","version":5}"#;
    orders.publish(event("b", "order_updated", newer), vec![channel("customer_7")]).await.unwrap();
    let late = orders.publish(event("a", "order_updated", payload), vec![channel("admin")]).await.unwrap();
    assert_eq!((late.outcome(), late.kept.len()), (v1::Outcome::Superseded, 0));
    assert!(world.told("admin").await.is_empty());
}

async fn a_generic_event_passes_byte_for_byte_and_an_older_one_is_not_told(world: World) {
    let orders = world.replica().await;
    let payload = r#"{"event_id":"x", "type":"order.accepted","version":"1.0","aggregate_type":"order","aggregate_id":"5012","payload":{"status":"ACCEPTED",  "updated_at":"2026-11-24T11:30:00Z","customer":7}}"#;
    let told =
        orders.publish(event("a", "order.accepted", payload), vec![channel("customer:7")]).await.unwrap();
    assert_eq!(told.outcome(), v1::Outcome::Published);
    assert_eq!(
        told.kept.iter().map(|kept| kept.channel.as_str()).collect::<Vec<_>>(),
        ["customer:7", "order:5012"]
    );
    assert_eq!(world.told("customer:7").await[0].event.payload, payload);
    let older = payload.replace("11:30", "11:29").replace("ACCEPTED", "PENDING");
    let told =
        orders.publish(event("b", "order.created", &older), vec![channel("customer:7")]).await.unwrap();
    assert_eq!(told.outcome(), v1::Outcome::Superseded);
    assert_eq!(world.told("customer:7").await.len(), 1);
    // Not about an order's status: told as it is.
    let told =
        orders.publish(event("c", "restaurant_alert", "[1]"), vec![channel("restaurant:12")]).await.unwrap();
    assert_eq!((told.outcome(), told.kept.len()), (v1::Outcome::Published, 1));
}

async fn an_event_that_was_told_long_ago_but_not_marked_is_not_told_again(world: World) {
    let orders = world.replica().await;
    let long_ago = Clock.now().plus_millis(-3_600_000);
    let update = update("5012", "e1", Status::Pending, 1);
    let audience = Audience::Participants(vec![]);
    orders.store.keep(update.clone(), audience, long_ago).await.unwrap();
    // The replica that told it crashed before it could mark it; one channel was missing.
    let kept = orders.store.read("5012").await.unwrap().unwrap();
    assert!(kept.waits);
    orders.bus.append(&[channel("order:5012")], &update.event).await.unwrap();
    let forgetful = Forgetful(world.bus.clone());
    let orders = world.replica_on(Arc::new(forgetful)).await;
    orders.store.outbox.relay(Clock.now(), Clock.now(), 10).await.unwrap();
    assert_eq!(world.told("order:5012").await.len(), 1);
    assert_eq!(world.told("customer:7").await.len(), 1);
}

/// A bus whose window for duplicates is over: any append of something that it has is seen by the test.
struct Forgetful(Arc<Embedded>);

#[async_trait::async_trait]
impl Bus for Forgetful {
    async fn append(
        &self,
        channels: &[Channel],
        event: &Event,
    ) -> Result<Vec<platepal_bus::Appended>, platepal_bus::BusError> {
        for channel in channels {
            assert_eq!(self.0.find(channel, &event.id).await?, None, "{channel} is told twice");
        }
        self.0.append(channels, event).await
    }

    async fn pass(&self, channel: &Channel, event: &Event) -> Result<(), platepal_bus::BusError> {
        self.0.pass(channel, event).await
    }

    async fn read(
        &self,
        channel: &Channel,
        after: u64,
        limit: usize,
    ) -> Result<platepal_bus::Page, platepal_bus::BusError> {
        self.0.read(channel, after, limit).await
    }

    async fn head(&self, channel: &Channel) -> Result<platepal_events::Position, platepal_bus::BusError> {
        self.0.head(channel).await
    }

    async fn find(
        &self,
        channel: &Channel,
        id: &platepal_events::EventId,
    ) -> Result<Option<u64>, platepal_bus::BusError> {
        self.0.find(channel, id).await
    }

    async fn latest(&self, channel: &Channel) -> Result<Vec<Entry>, platepal_bus::BusError> {
        self.0.latest(channel).await
    }

    async fn subscribe(
        &self,
        channel: &Channel,
    ) -> Result<platepal_bus::Subscription, platepal_bus::BusError> {
        self.0.subscribe(channel).await
    }

    async fn consume(
        &self,
        group: &str,
        kinds: &[platepal_events::ChannelKind],
    ) -> Result<platepal_bus::Consumer, platepal_bus::BusError> {
        self.0.consume(group, kinds).await
    }

    async fn check(&self) -> Result<(), platepal_bus::BusError> {
        self.0.check().await
    }
}
