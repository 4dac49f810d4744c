//! Web push, from a subscription to what the browser decrypts; and the notifications killed while they push.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use p256::{SecretKey, elliptic_curve::sec1::ToEncodedPoint};
use platepal_proto::v1;
use platepal_testkit::{Clients, PushService, Pushed, Role, Shape, Tier, TierBuilder, eventually, rng, seed};
use rand::Rng;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::publishing::new_id;

/// A browser that has subscribed, with the half of its keys that it keeps.
struct Browser {
    secret: SecretKey,
    auth: [u8; 16],
}

impl Browser {
    fn new() -> Self {
        let secret = SecretKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
        Self { secret, auth: *b"sixteen bytes of" }
    }

    fn p256dh(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.secret.public_key().to_encoded_point(false).as_bytes())
    }

    fn auth(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.auth)
    }

    fn read(&self, pushed: &Pushed) -> Value {
        let plain = web_push_native::decrypt(pushed.body.clone(), &self.secret, &self.auth.into()).unwrap();
        serde_json::from_slice(&plain).unwrap()
    }
}

/// A tier with keys of its own, which may push to this machine. `seconds` is how long devices have to show something.
async fn builder(seconds: u32) -> TierBuilder {
    let made = Command::new(crate::BINARY).arg("vapid").output().await.unwrap();
    let printed = String::from_utf8(made.stdout).unwrap();
    let key = printed.lines().find_map(|line| line.strip_prefix("REALTIME_PUSH_VAPID_PRIVATE_KEY=")).unwrap();
    Tier::builder(crate::BINARY)
        .set("REALTIME_PUSH_VAPID_PRIVATE_KEY", key)
        .set("REALTIME_PUSH_VAPID_CONTACT", "mailto:ada@example.org")
        .set("REALTIME_PUSH_PRIVATE_HOSTS", "127.0.0.1")
        .set("REALTIME_NOTIFICATIONS_PRODUCE", true)
        .set("REALTIME_PUSH_TIMEOUT", "500ms")
        .set("REALTIME_NOTIFICATIONS_PUSH_LEASE", "3s")
        .set("REALTIME_NOTIFICATIONS_GRACE", format!("{seconds}s"))
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

async fn subscribe(clients: &Clients, user_id: u64, browser: &Browser, endpoint: String) {
    let web = v1::WebPushSubscription { endpoint, p256dh: browser.p256dh(), auth: browser.auth() };
    let device = v1::Device { address: Some(v1::device::Address::Web(web)), ..Default::default() };
    let request = v1::AddDeviceRequest { user_id: user_id.to_string(), device: Some(device) };
    clients.notifications().add_device(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_is_closed_gets_what_its_user_missed() {
    let tier = builder(1).await.start().await;
    let (service, browser) = (PushService::start().await, Browser::new());
    // The page subscribes over its socket, and is closed.
    let page = tier.connect("/ws/inbox/7", &tier.token(7)).open().await;
    page.close().await;
    subscribe(&tier.grpc(), 7, &browser, service.endpoint("firefox")).await;
    let update = v1::OrderUpdate {
        event_id: new_id(),
        order_id: "5012".to_owned(),
        status: v1::OrderStatus::Ready.into(),
        customer_id: "7".to_owned(),
        restaurant_id: "12".to_owned(),
        payload: r#"{"id":5012}"#.into(),
        ..Default::default()
    };
    let request = v1::PublishOrderRequest { update: Some(update), channels: Vec::new() };
    tier.grpc().orders().publish_order(request).await.unwrap();
    eventually("it is pushed", async || !service.pushed().is_empty()).await;
    let pushed = service.pushed().remove(0);
    assert_eq!(pushed.path, "/push/firefox");
    let message = browser.read(&pushed);
    assert_eq!(
        (&message["title"], &message["tag"]),
        (&json!("Order ready"), &json!("order:5012")),
        "{message}"
    );
    let id = message["id"].as_str().unwrap().parse().unwrap();
    let request = v1::ListDeliveriesRequest { notification_id: id };
    let sent = async || {
        let answer = tier.grpc().notifications().list_deliveries(request).await.unwrap();
        answer.into_inner().deliveries.iter().any(|record| record.state() == v1::DeliveryState::Sent)
    };
    eventually("that is known", sent).await;
}

/// Notifications, and how often the domain is killed while it pushes them.
const NOTES: usize = 24;
const KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_notifications_are_killed_while_they_push() {
    let seed = seed();
    let mut random = rng(seed);
    let mut tier =
        builder(0).await.shape(Shape::Split).replica(Role::Replica("notifications", 1)).start().await;
    let (service, browser) = (PushService::start().await, Browser::new());
    subscribe(&tier.grpc(), 7, &browser, service.endpoint("firefox")).await;
    let mut made = Vec::new();
    for kill in 0..KILLS {
        for number in 0..NOTES / KILLS {
            let request = note(7, &format!("{kill} {number}"));
            let answer = tier.grpc().notifications().notify(request).await.unwrap().into_inner();
            made.push(answer.notification.unwrap().id.to_string());
        }
        tokio::time::sleep(std::time::Duration::from_millis(random.random_range(0..700))).await;
        tier.kill(Role::NOTIFICATIONS);
        tier.start(Role::NOTIFICATIONS).await;
    }
    let by_id = || {
        let mut by_id: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pushed in service.pushed() {
            let id = browser.read(&pushed)["id"].as_str().unwrap().to_owned();
            let topic = pushed.headers.get("topic").unwrap().to_str().unwrap().to_owned();
            by_id.entry(id).or_default().push(topic);
        }
        by_id
    };
    eventually("all of it is pushed", async || by_id().len() == NOTES).await;
    for (id, topics) in by_id() {
        assert!(made.contains(&id), "seed {seed}");
        // What came again takes the place of the first: at most one repeat for each kill.
        assert!(topics.iter().all(|topic| *topic == topics[0]), "seed {seed}: {topics:?}");
        assert!(topics.len() <= KILLS + 1, "seed {seed}: {topics:?}");
    }
}
