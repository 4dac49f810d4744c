//! Channels that a client asks for: who may have them, how many, and what they bring.

use std::time::Duration;

use platepal_proto::v1::{self, OrderStatus};
use platepal_testkit::Tier;
use serde_json::json;

use crate::{
    BINARY,
    client::{Language, with_every_sdk},
    publishing::{event, new_id, order_update, publish, publish_numbered, publish_order},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publications_are_platepals_frames_in_order_with_growing_offsets() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let chat = format!("chat:{}", life.user);
        life.grant(&chat).await;
        let client = life.connected().await;
        let subscribed = client.subscribed(&chat).await;
        assert_eq!((&subscribed["recoverable"], &subscribed["positioned"]), (&json!(true), &json!(true)));
        let ids = publish_numbered(&tier.grpc(), &chat, 0..20).await;
        assert_eq!(client.ids_until(&chat, ids.last().unwrap()).await, ids, "{life}");
        let publications = client.all("publication");
        let first = &publications[0]["data"];
        assert_eq!(first["type"], "promo_published");
        assert_eq!(first["data"], json!({ "number": 0 }));
        assert!(first["timestamp"].is_string() && first["version"].is_string(), "{first}");
        let offsets: Vec<u64> = publications.iter().map(|own| own["offset"].as_u64().unwrap()).collect();
        assert!(offsets.is_sorted_by(|before, after| before < after), "{life}: {offsets:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orders_channel_brings_its_state_and_then_its_changes() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let order = 5000 + life.user;
        let channel = format!("order:{order}");
        let update = |status, version| v1::OrderUpdate {
            customer_id: life.user.to_string(),
            ..order_update(order, status, version)
        };
        publish_order(&tier.grpc(), update(OrderStatus::Pending, 1)).await.unwrap();
        let client = life.connected().await;
        let subscribed = client.subscribed(&channel).await;
        assert_eq!(subscribed["data"]["data"]["status"], "PENDING", "{life}: {subscribed}");
        publish_order(&tier.grpc(), update(OrderStatus::Accepted, 2)).await.unwrap();
        let accepted = client.event_of("publication", &channel).await;
        assert_eq!(accepted["data"]["type"], "order_accepted", "{life}: {accepted}");
        assert_eq!(accepted["data"]["data"]["status"], "ACCEPTED");
        assert!(accepted["offset"].as_u64() > subscribed["offset"].as_u64(), "{subscribed} {accepted}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_can_not_be_had_is_refused_and_costs_the_others_nothing() {
    let tier = Tier::builder(BINARY).set("REALTIME_EDGE_CHANNELS_MAX", "4").start().await;
    with_every_sdk(&tier, async |life| {
        let chats: Vec<String> = (0..4).map(|number| format!("chat:{}", life.user * 10 + number)).collect();
        for chat in &chats {
            life.grant(chat).await;
        }
        let client = life.connected().await;
        // Its own feed is one of the four already.
        let feed = life.feed();
        let refused = [
            (format!("customer:{}", life.user + 100), 103),
            ("chat:1".to_owned(), 103),
            ("restaurant:12".to_owned(), 103),
            ("admin".to_owned(), 103),
            ("kitchen:1".to_owned(), 102),
            ("customer_7".to_owned(), 102),
            ("x".repeat(300), 102),
            (feed.clone(), 105),
        ];
        for (channel, code) in &refused {
            client.subscribe(channel).await;
            let unsubscribed = client.event_of("unsubscribed", channel).await;
            assert_eq!(unsubscribed["code"], *code, "{life}: {channel}: {unsubscribed}");
            assert!(!unsubscribed["reason"].as_str().unwrap().is_empty());
        }
        for chat in &chats[..3] {
            client.subscribed(chat).await;
        }
        client.subscribe(&chats[3]).await;
        assert_eq!(client.event_of("unsubscribed", &chats[3]).await["code"], 106, "{life}");
        // One less, and there is room.
        client.unsubscribe(&chats[0]).await;
        client.event_of("unsubscribed", &chats[0]).await;
        client.resubscribe(&chats[3]).await;
        client.event_of("subscribed", &chats[3]).await;
        assert_eq!(client.all("connected").len(), 1, "{life}: {:?}", client.all("connecting"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_channels_are_subscribed_to_at_once_and_each_brings_its_own() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let token = life.token().role("ADMIN").sign();
        // Four such crowds at once may take a slow machine longer than the 5 s that SDKs wait.
        let client = match life.language {
            Language::JavaScript => {
                life.client_with(json!({ "token": token, "timeout": 20_000 }), false).await
            }
            Language::Python => life.client_with(json!({ "token": token, "timeout": 20 }), false).await,
        };
        client.connect().await;
        client.event("connected").await;
        let chats: Vec<String> =
            (0..100).map(|number| format!("chat:{}", life.user * 1000 + number)).collect();
        let names: Vec<&str> = chats.iter().map(String::as_str).collect();
        client.subscribe_with(&names, json!({}), false).await;
        for chat in &chats {
            client.event_of("subscribed", chat).await;
        }
        let id = new_id();
        publish(&tier.grpc(), event(&id, &json!({})), &names).await;
        for chat in &chats {
            assert_eq!(client.ids_until(chat, &id).await, std::slice::from_ref(&id), "{life}");
        }
        // Asking for many at once is not held against it.
        client.unsubscribe(&chats[0]).await;
        client.event_of("unsubscribed", &chats[0]).await;
        client.resubscribe(&chats[0]).await;
        client.event_of("subscribed", &chats[0]).await;
        client.history(&chats[0], json!({ "limit": 1 })).await.unwrap();
        assert_eq!(client.all("connected").len(), 1, "{life}: {:?}", client.all("connecting"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_was_left_brings_nothing_until_it_is_taken_up_again() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let chat = format!("chat:{}", life.user);
        life.grant(&chat).await;
        let client = life.connected().await;
        client.subscribed(&chat).await;
        let before = publish_numbered(&tier.grpc(), &chat, 0..1).await;
        client.ids_until(&chat, &before[0]).await;
        client.unsubscribe(&chat).await;
        assert_eq!(client.event_of("unsubscribed", &chat).await["code"], 0);
        let away = publish_numbered(&tier.grpc(), &chat, 1..3).await;
        // What is published to another channel comes, so that what did not come will not.
        let feed = publish_numbered(&tier.grpc(), &life.feed(), 0..1).await;
        client.ids_until(&life.feed(), &feed[0]).await;
        client.resubscribe(&chat).await;
        let subscribed = client.event_of("subscribed", &chat).await;
        let after = publish_numbered(&tier.grpc(), &chat, 3..4).await;
        let ids = client.ids_until(&chat, &after[0]).await;
        // JavaScript goes on from where it was; both are right, and neither has anything twice.
        let all = [before.clone(), away, after.clone()].concat();
        let expected = if subscribed["recovered"] == true { all } else { [before, after].concat() };
        assert_eq!(ids, expected, "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_one_channel_opens_it_for_as_long_as_it_is_renewed() {
    let tier = Tier::builder(BINARY)
        .set("REALTIME_JWT_LEEWAY", "0s")
        .set("REALTIME_EDGE_REFRESH_GRACE", "1s")
        .start()
        .await;
    with_every_sdk(&tier, async |life| {
        let chat = format!("chat:{}", life.user);
        let short = || life.channel_token(&chat).expires_in(Duration::from_secs(3)).sign();
        let client = life.connected().await;
        client.subscribe_with(&[&chat], json!({}), true).await;
        client.give(json!(chat), Some(&short())).await;
        client.event_of("subscribed", &chat).await;
        // Renewed once, and then not in time: it is taken away, and asked for again.
        client.give(json!(chat), Some(&short())).await;
        let ids = publish_numbered(&tier.grpc(), &chat, 0..1).await;
        client.ids_until(&chat, &ids[0]).await;
        client.event_of("subscribing", &chat).await;
        let again = client.event_of("subscribing", &chat).await;
        assert_eq!(again["code"], 2501, "{life}: {again}");
        let missed = publish_numbered(&tier.grpc(), &chat, 1..3).await;
        client.give(json!(chat), Some(&life.channel_token(&chat).sign())).await;
        client.give(json!(chat), Some(&life.channel_token(&chat).sign())).await;
        let subscribed = client.event_of("subscribed", &chat).await;
        assert_eq!(subscribed["recovered"], true, "{life}: {subscribed}");
        assert_eq!(client.ids_until(&chat, &missed[1]).await, [ids, missed].concat(), "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_for_this_channel_opens_nothing() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let chat = format!("chat:{}", life.user);
        let good = life.channel_token(&chat);
        let foreign = good.clone().signed_with("another-secret-that-django-does-not-have").sign();
        let client = life.connected().await;
        client.subscribe_with(&[&chat], json!({ "token": foreign }), false).await;
        assert_eq!(client.event_of("unsubscribed", &chat).await["code"], 103, "{life}");

        let expired = life.connected().await;
        expired.subscribe_with(&[&chat], json!({ "token": good.clone().expired().sign() }), true).await;
        expired.give(json!(chat), Some(&good.sign())).await;
        expired.event_of("subscribed", &chat).await;

        let anothers = good.clone().claim("sub", "1").sign();
        for token in [life.channel_token("chat:1").sign(), anothers] {
            let client = life.connected().await;
            client.subscribe_with(&[&chat], json!({ "token": token }), false).await;
            assert_eq!(client.disconnected().await.0, 3500, "{life}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_grant_takes_the_channel_away_and_leaves_the_rest() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let chat = format!("chat:{}", life.user);
        life.grant(&chat).await;
        let client = life.connected().await;
        client.subscribed(&chat).await;
        let revoke = v1::RevokeRequest { user_id: life.user.to_string(), channel: chat.clone() };
        tier.grpc().sessions().revoke(revoke).await.unwrap();
        assert_eq!(client.event_of("unsubscribed", &chat).await["code"], 2000, "{life}");
        let ids = publish_numbered(&tier.grpc(), &life.feed(), 0..1).await;
        client.ids_until(&life.feed(), &ids[0]).await;
    })
    .await;
}
