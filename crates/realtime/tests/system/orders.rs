//! Orders: a screen never goes backwards, a newcomer misses nothing, timers survive.

use platepal_proto::v1::{self, OrderStatus, Outcome};
use platepal_testkit::{Next, PATIENCE, Role, Shape, Tier, rng, seed};
use rand::seq::SliceRandom;
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    both_shapes,
    publishing::{new_id, order_update, publish_order},
};

/// Updates that arrive shuffled, and how many are on their way at once.
const UPDATES: u64 = 2_000;
const ORDERS: u64 = 40;
const AT_ONCE: usize = 32;
/// Newcomers to one order; a user may have 20 sockets.
const NEWCOMERS_MAX: usize = 15;

/// The order in a frame of the broadcaster's shape.
fn order(frame: &Value) -> &Value {
    &frame["data"]["payload"]
}

both_shapes! {
    async fn two_thousand_shuffled_updates_never_take_a_screen_backwards(tier: Tier) {
        let seed = seed();
        let mut socket = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
        // Read all the time, as a screen does: one that answers no ping while a slow machine publishes is closed.
        let (screen, mut frames) = mpsc::channel(usize::try_from(UPDATES).unwrap());
        tokio::spawn(async move {
            loop {
                let sent = match socket.next(PATIENCE).await {
                    Next::Json(frame) => screen.send(frame).await.is_ok(),
                    other => matches!(other, Next::Nothing),
                };
                if !sent {
                    return;
                }
            }
        });
        let mut updates: Vec<v1::OrderUpdate> = (0..UPDATES)
            .map(|number| {
                let version = number / ORDERS + 1;
                let status = OrderStatus::try_from(i32::try_from(version % 8).unwrap() + 1).unwrap();
                order_update(number % ORDERS + 1, status, version)
            })
            .collect();
        updates.shuffle(&mut rng(seed));
        let last_of_all = UPDATES / ORDERS;
        let mut told = 0u64;
        for chunk in updates.chunks(AT_ONCE) {
            let calls = chunk.iter().map(|update| {
                let (clients, update) = (tier.grpc(), update.clone());
                tokio::spawn(async move { publish_order(&clients, update).await })
            });
            for call in calls.collect::<Vec<_>>() {
                let answer = call.await.unwrap().expect("Django's updates are never refused");
                match answer.outcome() {
                    Outcome::Published => told += 1,
                    Outcome::Superseded => {}
                    other => panic!("{other:?}: {answer:?}, seed {seed}"),
                }
            }
        }
        let mut versions = vec![0; usize::try_from(ORDERS).unwrap() + 1];
        for _ in 0..told {
            let frame = timeout(PATIENCE, frames.recv()).await.expect("the next frame").expect("connected");
            let (id, version) = (order(&frame)["id"].as_u64().unwrap(), order(&frame)["version"].as_u64().unwrap());
            let shown = &mut versions[usize::try_from(id).unwrap()];
            assert!(version > *shown, "order {id} went from {shown} to {version}, seed {seed}");
            *shown = version;
        }
        assert!(versions[1..].iter().all(|version| *version == last_of_all), "{versions:?}, seed {seed}");
        let ids = (1..=ORDERS).map(|id| id.to_string()).collect();
        let orders = tier.grpc().orders().batch_get_orders(v1::BatchGetOrdersRequest { order_ids: ids }).await;
        let orders = orders.unwrap().into_inner().orders;
        assert_eq!(orders.len() as u64, ORDERS);
        assert!(orders.iter().all(|order| order.version == last_of_all));
    }
}

both_shapes! {
    async fn the_same_update_twice_is_a_duplicate_and_other_content_a_conflict(tier: Tier) {
        let clients = tier.grpc();
        let first = order_update(1, OrderStatus::Pending, 1);
        let outcome = |answer: Result<v1::PublishOrderResponse, tonic::Status>| answer.unwrap().outcome();
        assert_eq!(outcome(publish_order(&clients, first.clone()).await), Outcome::Published);
        assert_eq!(outcome(publish_order(&clients, first.clone()).await), Outcome::Duplicate);
        let renamed = v1::OrderUpdate { event_id: new_id(), ..first.clone() };
        assert_eq!(outcome(publish_order(&clients, renamed).await), Outcome::Duplicate);
        let other = v1::OrderUpdate { event_id: new_id(), status: OrderStatus::Cancelled.into(), ..first };
        assert_eq!(outcome(publish_order(&clients, other).await), Outcome::Conflict);
        assert_eq!(outcome(publish_order(&clients, order_update(1, OrderStatus::Accepted, 2)).await), Outcome::Published);
        assert_eq!(outcome(publish_order(&clients, order_update(1, OrderStatus::Pending, 1)).await), Outcome::Superseded);
    }
}

both_shapes! {
    async fn a_newcomer_to_an_order_gets_its_state_and_then_every_update_once(tier: Tier) {
        let clients = tier.grpc();
        publish_order(&clients, order_update(1, OrderStatus::Pending, 1)).await.unwrap();
        let publisher = {
            let clients = clients.clone();
            tokio::spawn(async move {
                for version in 2..=60 {
                    publish_order(&clients, order_update(1, OrderStatus::Accepted, version)).await.unwrap();
                }
            })
        };
        // Newcomers join while updates land between their attaching and their reading.
        let mut newcomers = Vec::new();
        while !publisher.is_finished() && newcomers.len() < NEWCOMERS_MAX {
            newcomers.push(tier.connect("/ws/order/1", &tier.token(7)).open().await);
        }
        publisher.await.unwrap();
        newcomers.push(tier.connect("/ws/order/1", &tier.token(7)).open().await);
        for socket in &mut newcomers {
            let snapshot = socket.json().await;
            assert_eq!(snapshot["type"], "order_snapshot", "{snapshot}");
            let mut version = order(&snapshot)["version"].as_u64().unwrap();
            while version < 60 {
                let frame = socket.json().await;
                let next = order(&frame)["version"].as_u64().unwrap();
                assert_eq!(next, version + 1, "a gap or a repeat after {version}");
                version = next;
            }
        }
    }
}

async fn a_breach_survives_a_restart(shape: Shape) {
    let mut tier =
        Tier::builder(crate::BINARY).shape(shape).set("REALTIME_ORDERS_ACCEPT_TIME", "3s").start().await;
    let clients = tier.grpc();
    publish_order(&clients, order_update(1, OrderStatus::Pending, 1)).await.unwrap();
    publish_order(&clients, order_update(2, OrderStatus::Pending, 1)).await.unwrap();
    publish_order(&clients, order_update(2, OrderStatus::Accepted, 2)).await.unwrap();
    tier.kill(Role::ORDERS);
    tier.start(Role::ORDERS).await;
    let mut restaurant = tier
        .connect(&format!("/ws/orders/12?since_event_id={}", new_id()), &tier.token(3).restaurants([12]))
        .open()
        .await;
    let breach = restaurant.json_of_type("sla_breach").await;
    assert_eq!(breach["data"]["aggregate_id"], "1", "{breach}");
    assert_eq!(breach["data"]["payload"]["kind"], "acceptance", "{breach}");
    // Once: nothing but what was there before comes after it.
    restaurant.assert_quiet(std::time::Duration::from_millis(1500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breach_of_the_sla_survives_a_restart_of_the_tier() {
    a_breach_survives_a_restart(Shape::AllInOne).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breach_of_the_sla_survives_a_restart_of_the_orders_process() {
    a_breach_survives_a_restart(Shape::Split).await;
}
