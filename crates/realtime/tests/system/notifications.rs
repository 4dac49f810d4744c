//! Inboxes: live on all of a user's devices, made of other domains' events, pushed when nobody is there to see.

use std::time::Duration;

use platepal_proto::v1;
use platepal_testkit::{Clients, Role, Shape, Tier, eventually, rng, seed};
use rand::Rng;
use serde_json::{Value, json};

use crate::{both_shapes, publishing::new_id};

/// With notifications of other domains' events, which are off in other tests.
async fn producing(shape: Shape) -> Tier {
    Tier::builder(crate::BINARY).shape(shape).set("REALTIME_NOTIFICATIONS_PRODUCE", true).start().await
}

fn note(user_id: u64, title: &str) -> v1::NotifyRequest {
    v1::NotifyRequest {
        user_id: user_id.to_string(),
        r#type: "SYSTEM".to_owned(),
        title: title.to_owned(),
        dedupe_key: new_id(),
        ..Default::default()
    }
}

async fn accept_order(clients: &Clients, order_id: u64) {
    let update = v1::OrderUpdate {
        event_id: new_id(),
        order_id: order_id.to_string(),
        status: v1::OrderStatus::Accepted.into(),
        customer_id: "7".to_owned(),
        restaurant_id: "12".to_owned(),
        payload: json!({"id": order_id, "restaurant_name": "Bella Napoli"}).to_string().into(),
        ..Default::default()
    };
    let request = v1::PublishOrderRequest { update: Some(update), channels: Vec::new() };
    clients.orders().publish_order(request).await.unwrap();
}

async fn states(clients: &Clients, id: u64) -> Vec<(v1::Way, v1::DeliveryState)> {
    let request = v1::ListDeliveriesRequest { notification_id: id };
    let deliveries = clients.notifications().list_deliveries(request).await.unwrap().into_inner().deliveries;
    deliveries.into_iter().map(|record| (record.way(), record.state())).collect()
}

async fn an_accepted_order_rings_the_bell_on_every_device_of_its_customer(tier: Tier) {
    let clients = tier.grpc();
    let mut page = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
    let mut phone = tier.connect("/ws/inbox/7", &tier.token(7)).open().await;
    accept_order(&clients, 5012).await;
    for socket in [&mut page, &mut phone] {
        let told = socket.json_of_type("notification").await;
        let data = &told["data"];
        let seen = json!([
            data["type"],
            data["title"],
            data["message"],
            data["unread_count"],
            data["data"]["order_id"]
        ]);
        let words = "Bella Napoli is preparing your order 5012.";
        assert_eq!(seen, json!(["ORDER_ACCEPTED", "Order accepted", words, 1, "5012"]), "{told}");
    }
    // What is read on one device is read on the other.
    phone.send_json(&json!({"type": "mark_notifications_read", "all": true, "id": 1})).await;
    let answer = phone.json_of_type("mark_notifications_read_result").await;
    assert_eq!(answer["data"], json!({"marked": 1, "unread_count": 0}));
    assert_eq!(page.json_of_type("notification_read").await["data"]["unread_count"], json!(0));
    page.send_json(&json!({"type": "list_notifications", "id": 2})).await;
    let listed = page.json_of_type("list_notifications_result").await;
    assert_eq!(listed["data"]["notifications"][0]["is_read"], json!(true), "{listed}");
    assert_eq!(tier.connect("/ws/inbox/7", &tier.token(8)).open().await.closed().await.0, 4003);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_order_rings_the_bell_in_one_process() {
    an_accepted_order_rings_the_bell_on_every_device_of_its_customer(producing(Shape::AllInOne).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_order_rings_the_bell_in_many_processes() {
    an_accepted_order_rings_the_bell_on_every_device_of_its_customer(producing(Shape::Split).await).await;
}

both_shapes! {
    async fn who_is_connected_has_seen_it_and_who_is_not_is_pushed_to(tier: Tier) {
        let clients = tier.grpc();
        let _page = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
        let notify = async |user| {
            let made = clients.notifications().notify(note(user, "hello")).await.unwrap().into_inner();
            made.notification.unwrap().id
        };
        let (here, away) = (notify(7).await, notify(8).await);
        let settled = async |id| {
            let mut states = states(&clients, id).await;
            states.retain(|(_, state)| *state != v1::DeliveryState::Waiting);
            states.contains(&(v1::Way::Push, v1::DeliveryState::Skipped)).then_some(states)
        };
        eventually("both are settled", async || {
            settled(here).await.is_some() && settled(away).await.is_some()
        })
        .await;
        assert!(settled(here).await.unwrap().contains(&(v1::Way::Socket, v1::DeliveryState::Shown)));
        // That user has no device to push to.
        assert_eq!(settled(away).await.unwrap(), [(v1::Way::Push, v1::DeliveryState::Skipped)]);
    }
}

/// Users, notifications of each, and how often the domain is killed.
const USERS: u64 = 4;
const NOTES: usize = 25;
const KILLS: usize = 4;

async fn every_inbox_has_everything_once(mut tier: Tier, victim: Role) {
    let seed = seed();
    let mut random = rng(seed);
    let notifying = (0..USERS).map(|user| {
        let clients = tier.grpc();
        tokio::spawn(async move {
            for number in 0..NOTES {
                let request =
                    v1::NotifyRequest { dedupe_key: number.to_string(), ..note(user, &number.to_string()) };
                while clients.notifications().notify(request.clone()).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        })
    });
    let notifying = futures_util::future::join_all(notifying.collect::<Vec<_>>());
    tokio::pin!(notifying);
    for _ in 0..KILLS {
        let pause = Duration::from_millis(random.random_range(50..500));
        tokio::select! {
            _ = &mut notifying => break,
            () = tokio::time::sleep(pause) => {}
        }
        tier.kill(victim);
        tier.start(victim).await;
    }
    for done in notifying.await {
        done.unwrap();
    }
    for user in 0..USERS {
        let request = v1::ListInboxRequest { user_id: user.to_string(), limit: 100, ..Default::default() };
        let page = tier.grpc().notifications().list_inbox(request).await.unwrap().into_inner();
        let titles: Vec<usize> =
            page.notifications.iter().rev().map(|one| one.title.parse().unwrap()).collect();
        assert_eq!(titles, (0..NOTES).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(page.unread, NOTES as u64, "seed {seed}");
        let told = async || {
            let request = v1::ReadRequest { channel: format!("inbox:{user}"), after: None, limit: 1_000 };
            let page = tier.grpc().events().read(request).await.unwrap().into_inner();
            let data = page.entries.into_iter().map(|entry| {
                serde_json::from_slice::<Value>(&entry.event.unwrap().payload).unwrap()["title"].clone()
            });
            data.collect::<Vec<Value>>()
        };
        eventually("all of it is told", async || told().await.len() >= NOTES).await;
        let expected: Vec<Value> = (0..NOTES).map(|number| json!(number.to_string())).collect();
        assert_eq!(told().await, expected, "seed {seed}: once, in order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_notifications_are_killed_while_they_are_made() {
    let tier = Tier::builder(crate::BINARY).shape(Shape::Split).start().await;
    every_inbox_has_everything_once(tier, Role::NOTIFICATIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_tier_is_killed_while_notifications_are_made() {
    let tier = Tier::builder(crate::BINARY).start().await;
    let victim = tier.roles().first().copied().unwrap();
    every_inbox_has_everything_once(tier, victim).await;
}
