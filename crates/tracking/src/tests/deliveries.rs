//! What Django says of a delivery is kept and told: once, in order, to whom it concerns.

use platepal_events::Timestamp;
use platepal_proto::v1::{DeliveryStatus, Outcome};
use tokio::task::JoinSet;

use super::*;
use crate::rules::fence::Zone;

on_both! {
    a_delivery_is_told_to_everybody_whom_it_concerns
    versions_of_two_replicas_at_once_keep_the_told_order
    a_repeat_is_a_duplicate_and_other_content_a_conflict
    another_rider_gets_it_and_the_old_one_learns_that_it_is_gone
    an_end_closes_the_channel_for_all
    an_accepted_delivery_arrives_once_whoever_sees_it
    an_arrival_and_djangos_next_step_at_once_leave_djangos
    old_deliveries_are_forgotten_and_untold_ones_stay
    an_unknown_delivery_can_not_end
    what_waits_is_told_by_the_worker
}

async fn a_delivery_is_told_to_everybody_whom_it_concerns(world: World) {
    let tracking = world.replica().await;
    let request = v1::PutDeliveryRequest {
        event_id: "e1".into(),
        delivery: Some(delivery(DeliveryStatus::Assigned, 1, "31")),
        channels: vec!["admin".into()],
    };
    let told = tracking.put_delivery(request).await.unwrap();
    assert_eq!((told.outcome(), told.event_id.as_str(), told.note.as_str()), (Outcome::Published, "e1", ""));
    for name in ["customer:7", "restaurant:12", "rider:31", "admin"] {
        let entries = world.told(name).await;
        assert_eq!(entries.len(), 1, "{name}");
        let data = data(&entries[0]);
        assert_eq!((&data["event_id"], &data["type"]), (&json!("e1"), &json!("delivery.assigned")));
        assert_eq!((&data["aggregate_type"], &data["aggregate_id"]), (&json!("delivery"), &json!("9")));
        let payload = &data["payload"];
        assert_eq!(
            (&payload["id"], &payload["version"], &payload["status"]),
            (&json!(9), &json!(1), &json!("ASSIGNED"))
        );
        assert_eq!((&payload["previous_status"], &payload["rider_id"]), (&Value::Null, &json!(31)));
    }
    // Whoever follows by a link is shown nothing of Django's object.
    let track = &world.payloads("track:9", "delivery.assigned").await[0];
    assert_eq!((&track["delivery_id"], &track["id"]), (&json!(9), &Value::Null));
    let read = tracking.get_delivery(v1::GetDeliveryRequest { delivery_id: "9".into() }).await.unwrap();
    let read = read.delivery.unwrap();
    assert_eq!((read.status(), read.version, read.rider_id.as_str()), (DeliveryStatus::Assigned, 1, "31"));
    assert_eq!(&read.payload[..], br#"{"id":9,"version":1}"#);
}

async fn versions_of_two_replicas_at_once_keep_the_told_order(world: World) {
    let replicas = [world.replica().await, world.replica().await];
    let statuses = [DeliveryStatus::Assigned, DeliveryStatus::Accepted, DeliveryStatus::PickedUp];
    let mut calls = JoinSet::new();
    for version in 1..=24u64 {
        let tracking = replicas[version as usize % 2].clone();
        let delivery = delivery(statuses[version as usize % 3], version, "31");
        calls.spawn(async move { put(&tracking, delivery).await.outcome() });
    }
    let outcomes = calls.join_all().await;
    let published = outcomes.iter().filter(|outcome| **outcome == Outcome::Published).count();
    let versions: Vec<u64> = world
        .told("customer:7")
        .await
        .iter()
        .map(|entry| data(entry)["payload"]["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions.len(), published);
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    assert_eq!(versions.last(), Some(&24));
}

async fn a_repeat_is_a_duplicate_and_other_content_a_conflict(world: World) {
    let tracking = world.replica().await;
    put_as(&tracking, "e1", delivery(DeliveryStatus::Accepted, 2, "31")).await;
    let again = put_as(&tracking, "e1", delivery(DeliveryStatus::Accepted, 2, "31")).await;
    assert_eq!((again.outcome(), again.note.as_str()), (Outcome::Duplicate, "this event_id was kept before"));
    let renamed = put_as(&tracking, "e2", delivery(DeliveryStatus::Accepted, 2, "31")).await;
    assert_eq!(renamed.outcome(), Outcome::Duplicate);
    let other = put_as(&tracking, "e3", delivery(DeliveryStatus::PickedUp, 2, "31")).await;
    assert_eq!(other.outcome(), Outcome::Conflict);
    let older = put_as(&tracking, "e4", delivery(DeliveryStatus::Assigned, 1, "31")).await;
    assert_eq!(older.outcome(), Outcome::Superseded);
    assert_eq!(older.delivery.unwrap().status(), DeliveryStatus::Accepted);
    assert_eq!(world.told("customer:7").await.len(), 1);
    let unusual = put_as(&tracking, "e5", delivery(DeliveryStatus::Pending, 3, "")).await;
    assert_eq!(unusual.outcome(), Outcome::Published);
    let strange = put_as(&tracking, "e6", delivery(DeliveryStatus::Delivered, 4, "31")).await;
    assert_eq!(strange.outcome(), Outcome::Published);
    assert!(strange.note.contains("from PENDING to DELIVERED"), "{}", strange.note);
}

async fn another_rider_gets_it_and_the_old_one_learns_that_it_is_gone(world: World) {
    let tracking = world.replica().await;
    put(&tracking, delivery(DeliveryStatus::Assigned, 1, "31")).await;
    put(&tracking, delivery(DeliveryStatus::Assigned, 2, "32")).await;
    assert_eq!(world.told_types("rider:32").await, ["delivery.assigned"]);
    assert_eq!(world.told_types("rider:31").await, ["delivery.assigned", "delivery.status_changed"]);
    let gone = &world.payloads("rider:31", "delivery.status_changed").await[0];
    assert_eq!(
        (&gone["reassigned"], &gone["rider_id"], &gone["id"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    put(&tracking, delivery(DeliveryStatus::Accepted, 3, "")).await;
    assert_eq!(world.told("rider:31").await.len(), 2, "nothing further");
    assert_eq!(world.told("rider:32").await.len(), 2);
}

async fn an_end_closes_the_channel_for_all(world: World) {
    let tracking = world.replica().await;
    put(&tracking, delivery(DeliveryStatus::InTransit, 1, "31")).await;
    assert!(world.told("sessions").await.is_empty());
    let end = |event_id: &str| v1::EndDeliveryRequest {
        event_id: event_id.into(),
        delivery_id: "9".into(),
        status: DeliveryStatus::Delivered.into(),
        occurred_at: None,
    };
    let ended = tracking.end_delivery(end("e9")).await.unwrap();
    assert_eq!(
        (ended.outcome(), ended.delivery.unwrap().status()),
        (Outcome::Published, DeliveryStatus::Delivered)
    );
    assert_eq!(tracking.end_delivery(end("e9")).await.unwrap().outcome(), Outcome::Duplicate);
    let news = world.told("sessions").await;
    assert_eq!((news.len(), news[0].event.kind.as_str()), (1, "grant.revoked"));
    assert_eq!(data(&news[0]), json!({"channel": "track:9"}));
    // Its last event is told before the channel is closed.
    assert_eq!(world.told_types("track:9").await.last().map(String::as_str), Some("delivery.status_changed"));
    let not_an_end = v1::EndDeliveryRequest { status: DeliveryStatus::Accepted.into(), ..end("") };
    assert_eq!(tracking.end_delivery(not_an_end).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}

/// The rider of delivery 9 is seen to arrive, in a commit of its own.
async fn arrive(tracking: &Tracking, rider: &str, zone: Zone, at: Timestamp) -> bool {
    let now = Clock.now();
    let mut tx = tracking.store.database.begin().await.unwrap();
    let stream = tracking.store.arrive(&mut tx, ("9", rider), zone, at, now).await.unwrap();
    tx.commit().await.unwrap();
    if let Some(stream) = &stream {
        tracking.store.outbox.drain(stream, now).await.unwrap();
    }
    stream.is_some()
}

async fn an_accepted_delivery_arrives_once_whoever_sees_it(world: World) {
    let two = [world.replica().await, world.replica().await];
    put(&two[0], delivery(DeliveryStatus::Accepted, 1, "31")).await;
    let at = Clock.now();
    assert!(!arrive(&two[0], "32", Zone::Pickup, at).await, "who does not bring it arrives nowhere");
    let mut seen = JoinSet::new();
    for n in 0..8i64 {
        let tracking = two[n as usize % 2].clone();
        seen.spawn(async move { arrive(&tracking, "31", Zone::Pickup, at.plus_millis(n)).await });
    }
    assert_eq!(seen.join_all().await.into_iter().filter(|moved| *moved).count(), 1);
    for name in ["customer:7", "restaurant:12", "rider:31", "track:9"] {
        let changes = world.payloads(name, "delivery.status_changed").await;
        assert_eq!(changes.len(), 1, "{name}");
        assert_eq!(changes[0]["status"], "ARRIVED_AT_PICKUP");
        assert_eq!(changes[0]["previous_status"], "ACCEPTED");
    }
    arrive(&two[0], "31", Zone::Dropoff, at).await;
    let read = two[1].get_delivery(v1::GetDeliveryRequest { delivery_id: "9".into() }).await.unwrap();
    assert!(read.arrived_at_pickup.is_some());
    assert_eq!(read.arrived_at_dropoff, Some(at.into()));
    assert_eq!(world.told("customer:7").await.len(), 2, "an arrival at the customer's is kept, not told");
}

async fn an_arrival_and_djangos_next_step_at_once_leave_djangos(world: World) {
    let two = [world.replica().await, world.replica().await];
    put(&two[0], delivery(DeliveryStatus::Accepted, 1, "31")).await;
    let (_, told) = tokio::join!(
        arrive(&two[0], "31", Zone::Pickup, Clock.now().plus_millis(30_000)),
        put(&two[1], delivery(DeliveryStatus::PickedUp, 2, "31")),
    );
    assert_eq!(told.outcome(), Outcome::Published);
    let read = two[0].get_delivery(v1::GetDeliveryRequest { delivery_id: "9".into() }).await.unwrap();
    assert_eq!(read.delivery.unwrap().status(), DeliveryStatus::PickedUp);
    let last = world.payloads("customer:7", "delivery.status_changed").await;
    assert_eq!(last.last().unwrap()["status"], "PICKED_UP");
}

async fn old_deliveries_are_forgotten_and_untold_ones_stay(world: World) {
    let tracking = world.replica().await;
    put(&tracking, delivery(DeliveryStatus::Delivered, 1, "31")).await;
    let untold = crate::store::deliveries::Put {
        event_id: "u".parse().unwrap(),
        update: crate::rules::record::Update {
            customer_id: "7".into(),
            ..crate::rules::record::Update::of_status(
                "10".into(),
                crate::rules::delivery::DeliveryStatus::Pending,
                Clock.now(),
            )
        },
        channels: Vec::new(),
        traceparent: String::new(),
    };
    tracking.store.put(&untold, Clock.now()).await.unwrap();
    let later = Clock.now().plus_millis(31 * 24 * 3_600_000);
    assert_eq!(tracking.store.forget(later).await.unwrap().deliveries, 1);
    assert!(tracking.store.delivery("9").await.unwrap().is_none());
    assert!(tracking.store.delivery("10").await.unwrap().is_some());
}

async fn an_unknown_delivery_can_not_end(world: World) {
    let tracking = world.replica().await;
    let end = v1::EndDeliveryRequest {
        delivery_id: "404".into(),
        status: DeliveryStatus::Failed.into(),
        ..Default::default()
    };
    assert_eq!(tracking.end_delivery(end).await.unwrap_err().code(), tonic::Code::NotFound);
    let get = v1::GetDeliveryRequest { delivery_id: "404".into() };
    assert_eq!(tracking.get_delivery(get).await.unwrap_err().code(), tonic::Code::NotFound);
}

async fn what_waits_is_told_by_the_worker(mut world: World) {
    let tracking = world.replica().await;
    world.bus.close().await;
    let request = v1::PutDeliveryRequest {
        event_id: "e1".into(),
        delivery: Some(delivery(DeliveryStatus::Assigned, 1, "31")),
        channels: Vec::new(),
    };
    let refused = tracking.put_delivery(request.clone()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    assert!(refused.message().starts_with("kept; will be told"), "{refused}");
    drop(tracking);
    world.bus = open_bus(&world.folder.path().join("bus"));
    let tracking = world.replica().await;
    tracking.store.outbox.relay(Clock.now(), Clock.now(), 10).await.unwrap();
    assert_eq!(world.told_types("customer:7").await, ["delivery.assigned"]);
    assert_eq!(tracking.put_delivery(request).await.unwrap().outcome(), Outcome::Duplicate);
    assert_eq!(world.told_types("customer:7").await, ["delivery.assigned"]);
}
