//! State, snapshots, and who may read.

use platepal_auth::Principal;
use platepal_service::domain::{Domain, Verdict};
use platepal_testkit::{rng, seed};
use rand::Rng;

use super::*;

on_both! {
    state_plus_events_equals_fresh_state
    an_update_between_snapshot_and_stream_is_neither_lost_nor_repeated
    a_snapshot_survives_a_new_log
    several_replicas_may_start_at_once
    participants_read_their_order_and_grants_can_be_taken_back
}

/// What a reader knows of an order: from a snapshot, from events, from a fresh read.
#[derive(Debug, Clone, PartialEq)]
struct Known(u64, String, Value);

fn known(data: &Value) -> Option<Known> {
    let status = data["status"].as_str()?.to_owned();
    Some(Known(data["order_version"].as_u64()?, status, data["payload"].clone()))
}

async fn state_plus_events_equals_fresh_state(world: World) {
    let seed = seed();
    let mut random = rng(seed);
    let replicas = [world.replica().await, world.replica().await];
    let start = Clock.now();
    for n in 0..60u32 {
        let order = random.random_range(1..=4).to_string();
        let version = random.random_range(1..=12);
        let status = Status::ALL[random.random_range(0..10)];
        let moment = start.plus_millis(i64::try_from(version).unwrap() * 1_000);
        let event = format!("e{}", if random.random_bool(0.1) { n / 2 } else { n });
        take(&replicas[n as usize % 2], at(&order, &event, status, version, moment)).await;
    }
    for order in ["1", "2", "3", "4"] {
        let name = channel(&format!("order:{order}"));
        let Some(read) = replicas[0].store.read(order).await.unwrap() else { continue };
        let fresh = Known(
            read.order.version,
            read.order.status.word().to_owned(),
            serde_json::from_str(&read.payload).unwrap(),
        );
        let entries = world.told(name.as_str()).await;
        let from_events = entries.iter().filter_map(|entry| known(&data(entry))).next_back().unwrap();
        assert_eq!(from_events, fresh, "order {order}, seed {seed}");
        let (event, position) = replicas[1].snapshot(&name).await.unwrap().state.unwrap();
        let snapshot = known(&serde_json::from_slice(&event.payload).unwrap()).unwrap();
        assert_eq!(snapshot, fresh, "order {order}, seed {seed}");
        assert_eq!(position, world.bus.head(&name).await.unwrap());
    }
}

async fn an_update_between_snapshot_and_stream_is_neither_lost_nor_repeated(world: World) {
    let orders = world.replica().await;
    let name = channel("order:5012");
    assert!(orders.snapshot(&name).await.unwrap().state.is_none());
    take(&orders, update("5012", "e1", Status::Pending, 1)).await;
    // Kept but not told, as by a call that is just between the two.
    let between = update("5012", "e2", Status::Accepted, 2);
    orders.store.keep(between.clone(), Audience::Participants(vec![]), Clock.now()).await.unwrap();
    let (event, position) = orders.snapshot(&name).await.unwrap().state.unwrap();
    let snapshot: Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!((&snapshot["order_version"], &snapshot["type"]), (&json!(2), &json!("order.snapshot")));
    // Somebody else's event, then an update: exactly these follow.
    let other = v1::Event { r#type: "delivery.assigned".into(), payload: "{}".into(), ..Default::default() };
    world.bus.append(std::slice::from_ref(&name), &Event::parse(other, Clock.now()).unwrap()).await.unwrap();
    take(&orders, update("5012", "e3", Status::Preparing, 3)).await;
    let page = world.bus.read(&name, position.offset, 10).await.unwrap();
    let types: Vec<&str> = page.entries.iter().map(|entry| entry.event.kind.as_str()).collect();
    assert_eq!((types, page.complete), (vec!["delivery.assigned", "order.preparing"], true));
}

async fn a_snapshot_survives_a_new_log(world: World) {
    let orders = world.replica().await;
    let name = channel("order:5012");
    take(&orders, update("5012", "e1", Status::Pending, 1)).await;
    let bus = open_bus(&world.folder.path().join("another"));
    let orders = world.replica_on(bus.clone()).await;
    let (_, position) = orders.snapshot(&name).await.unwrap().state.unwrap();
    assert_eq!(position, bus.head(&name).await.unwrap());
    take(&orders, update("5012", "e2", Status::Accepted, 2)).await;
    let page = bus.read(&name, position.offset, 10).await.unwrap();
    assert_eq!((page.entries.len(), page.complete), (1, true));
}

async fn several_replicas_may_start_at_once(world: World) {
    let (a, b, c) = tokio::join!(world.replica(), world.replica(), world.replica());
    take(&a, update("1", "a", Status::Pending, 1)).await;
    take(&b, update("1", "b", Status::Accepted, 2)).await;
    assert_eq!(c.store.read("1").await.unwrap().unwrap().order.version, 2);
}

fn user(id: &str, restaurants: &[&str]) -> Principal {
    Principal {
        user_id: id.parse().unwrap(),
        roles: vec![],
        restaurant_ids: restaurants.iter().map(|id| (*id).to_owned()).collect(),
        renew_at: Clock.now().plus_millis(3_600_000),
        expires_at: Clock.now().plus_millis(3_600_000),
        issued_at: None,
        token_id: None,
        name: None,
        info: None,
        channels: vec![],
    }
}

async fn participants_read_their_order_and_grants_can_be_taken_back(world: World) {
    let orders = world.replica().await;
    take(&orders, Update { rider: Some("31".into()), ..update("5012", "e1", Status::Assigned, 1) }).await;
    let order = channel("order:5012");
    let allowed = async |who: &Principal, channel: &Channel| {
        matches!(orders.authorize(who, "", channel).await, Verdict::Allowed(_))
    };
    assert!(allowed(&user("7", &[]), &order).await);
    assert!(allowed(&user("31", &[]), &order).await);
    assert!(allowed(&user("99", &["12"]), &order).await);
    assert!(!allowed(&user("8", &[]), &order).await);

    let restaurant = channel("restaurant:12");
    orders.grant("8", &restaurant, None).await.unwrap();
    assert!(allowed(&user("8", &[]), &restaurant).await && allowed(&user("8", &[]), &order).await);
    assert!(orders.revoke("8", &restaurant).await.unwrap());
    assert!(!orders.revoke("8", &restaurant).await.unwrap());
    assert!(!allowed(&user("8", &[]), &restaurant).await && !allowed(&user("8", &[]), &order).await);
    let news = world.bus.read(&Channel::sessions(), 0, 10).await.unwrap().entries;
    assert_eq!(news.len(), 2);
    assert_eq!(
        (news[0].event.kind.as_str(), data(&news[0])),
        ("grant.revoked", json!({"user_id": "8", "channel": "restaurant:12"}))
    );

    orders.grant("8", &restaurant, Some(Clock.now().plus_millis(-1))).await.unwrap();
    assert!(!allowed(&user("8", &[]), &restaurant).await, "an expired grant is none");
    let refused = orders.grant("8", &channel("customer:7"), None).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}
