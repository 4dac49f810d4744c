//! Where WebSockets do not get through: the JavaScript SDK falls back to HTTP streams, and has all the same.

use platepal_testkit::{Proxy, Role, Tier, eventually};
use serde_json::{Value, json};

use crate::{
    BINARY,
    client::{Client, Language, Life, with_every_sdk},
    publishing::publish_numbered,
};

/// Transports other than WebSockets that a life can use; Python has none, and events are text.
fn transports(life: &Life<'_>) -> &'static [&'static str] {
    match (life.language, life.protobuf) {
        (Language::Python, _) => &[],
        (Language::JavaScript, true) => &["http_stream"],
        (Language::JavaScript, false) => &["http_stream", "sse"],
    }
}

/// A client that is told of a WebSocket which is blocked, and of another transport.
async fn blocked(life: &Life<'_>, transport: &str, proxy: &Proxy, token: &str) -> Client {
    let address = proxy.address();
    let endpoint = json!([
        { "transport": "websocket", "endpoint": format!("ws://{address}/blocked") },
        { "transport": transport, "endpoint": format!("http://{address}/connection/{transport}") },
    ]);
    let emulation = format!("http://{address}/emulation");
    life.client_at(endpoint, json!({ "token": token, "emulationEndpoint": emulation }), false).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_websockets_are_blocked_a_stream_takes_their_place() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        for transport in transports(life) {
            let proxy = Proxy::start(tier.public_address(Role::EDGE)).await;
            let client = blocked(life, transport, &proxy, &life.token().sign()).await;
            client.connect().await;
            assert_eq!(client.event("connected").await["transport"], *transport, "{life}");
            let (feed, chat) = (life.feed(), format!("chat:{}", life.user));
            client.event_of("subscribed", &feed).await;
            client.subscribe("chat:1").await;
            assert_eq!(client.event_of("unsubscribed", "chat:1").await["code"], 103, "{life}");
            life.grant(&chat).await;
            client.subscribed(&chat).await;
            let mut all = publish_numbered(&tier.grpc(), &chat, 0..30).await;
            assert_eq!(client.ids_until(&chat, &all[29]).await, all, "{life} by {transport}");
            let history = client.history(&chat, json!({ "limit": 1, "reverse": true })).await.unwrap();
            assert_eq!(history["publications"][0]["data"]["event_id"], *all.last().unwrap());
            assert_eq!(client.rpc("nobody.knows", json!({})).await.unwrap_err().code, 104);
            let stats = json!({ "clients": 1, "users": 1 });
            assert_eq!(client.presence_stats(&chat).await.unwrap(), stats, "{life} by {transport}");

            client.event_of("subscribing", &chat).await;
            proxy.refuse();
            client.event_of("subscribing", &chat).await;
            all.extend(publish_numbered(&tier.grpc(), &chat, 30..130).await);
            proxy.forward();
            assert_eq!(
                client.event_of("subscribed", &chat).await["recovered"],
                true,
                "{life} by {transport}"
            );
            assert_eq!(client.ids_until(&chat, &all[129]).await, all, "{life} by {transport}");

            client.unsubscribe(&chat).await;
            client.event_of("unsubscribed", &chat).await;
            client.disconnect().await;
            client.disconnected().await;
            let observer = life.connected().await;
            eventually("the place of the stream is free", async || {
                let people = observer.presence(&feed).await.unwrap();
                people.as_array().is_some_and(|people| people.len() == 1)
            })
            .await;
            observer.disconnect().await;
            observer.disconnected().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_told_why_it_ends() {
    let mut tier = Tier::builder(BINARY).set("REALTIME_DRAIN_TIME", "2s").start().await;
    let proxy = Proxy::start(tier.public_address(Role::EDGE)).await;
    let mut readers = Vec::new();
    for life in crate::client::every_sdk(&tier).await {
        for transport in transports(&life) {
            let foreign = life.token().signed_with("another-secret-that-django-does-not-have").sign();
            let refused = blocked(&life, transport, &proxy, &foreign).await;
            refused.connect().await;
            assert_eq!(refused.disconnected().await.0, 3500, "{life} by {transport}");
            let client = blocked(&life, transport, &proxy, &life.token().sign()).await;
            client.connect().await;
            client.event("connected").await;
            readers.push((format!("{life} by {transport}"), client));
        }
    }
    tier.terminate(Role::EDGE);
    tier.wait_ended(Role::EDGE).await;
    tier.start(Role::EDGE).await;
    for (who, client) in readers {
        client.count("connected", 2).await;
        let codes: Vec<Value> = client.all("connecting").iter().map(|event| event["code"].clone()).collect();
        assert_eq!(codes[..2], [json!(0), json!(3001)], "{who}");
    }
}
