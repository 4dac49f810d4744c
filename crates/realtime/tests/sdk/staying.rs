//! How a connection is kept, and how it ends when the server wants it to.

use platepal_testkit::{Proxy, Role, Tier, eventually};
use serde_json::{Value, json};

use crate::{
    BINARY,
    client::{Client, Language, every_sdk, with_every_sdk},
    publishing::{event, new_id, publish, publish_numbered, publish_until_kept},
};

/// The client's own code for a server that was not heard of.
const NO_PING: u64 = 2;

/// The client's own code for a server that takes no message of this size.
const TOO_BIG: u64 = 3;

/// The code with which a connected client is connecting again.
async fn next_code(client: &Client) -> u64 {
    client.count("connecting", 2).await;
    codes(client)[1]
}

/// The codes with which a client has been connecting so far.
fn codes(client: &Client) -> Vec<u64> {
    client.all("connecting").iter().map(|event| event["code"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_that_answers_pings_stays() {
    let tier = Tier::builder(BINARY)
        .set("REALTIME_EDGE_PING_INTERVAL", "1s")
        .set("REALTIME_EDGE_PONG_TIMEOUT", "500ms")
        .start()
        .await;
    with_every_sdk(&tier, async |life| {
        let client = life
            .client_with(json!({ "token": life.token().sign(), "maxServerPingDelay": 1500 }), false)
            .await;
        client.connect().await;
        client.event("connected").await;
        // Three pings of a second each: the server would have closed after the first, the client after 2.5 s.
        tokio::time::sleep(std::time::Duration::from_millis(3500)).await;
        let ids = publish_numbered(&tier.grpc(), &life.feed(), 0..1).await;
        client.ids_until(&life.feed(), &ids[0]).await;
        assert_eq!(codes(&client), [0], "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_went_silent_is_noticed_and_left() {
    let tier = Tier::builder(BINARY).set("REALTIME_EDGE_PING_INTERVAL", "1s").start().await;
    with_every_sdk(&tier, async |life| {
        let proxy = Proxy::start(tier.public_address(Role::EDGE)).await;
        let endpoint = json!(format!("ws://{}/connection/websocket", proxy.address()));
        let options = json!({ "token": life.token().sign(), "maxServerPingDelay": 500 });
        let client = life.client_at(endpoint, options, false).await;
        client.connect().await;
        client.event_of("subscribed", &life.feed()).await;
        client.event("connecting").await;
        proxy.black_hole();
        assert_eq!(client.event("connecting").await["code"], NO_PING, "{life}");
        let ids = publish_numbered(&tier.grpc(), &life.feed(), 0..3).await;
        proxy.cut();
        proxy.forward();
        assert_eq!(client.ids_until(&life.feed(), &ids[2]).await, ids, "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_tells_its_clients_and_they_go_on_at_the_next() {
    let mut tier = Tier::builder(BINARY).set("REALTIME_DRAIN_TIME", "2s").start().await;
    let mut readers = Vec::new();
    for life in every_sdk(&tier).await {
        let client = life.connected().await;
        client.event_of("subscribed", &life.feed()).await;
        let ids = publish_numbered(&tier.grpc(), &life.feed(), 0..2).await;
        client.ids_until(&life.feed(), &ids[1]).await;
        readers.push((life.to_string(), life.feed(), client, ids));
    }
    tier.terminate(Role::EDGE);
    tier.wait_ended(Role::EDGE).await;
    tier.start(Role::EDGE).await;
    for (life, feed, client, mut ids) in readers {
        let id = new_id();
        publish_until_kept(&tier.grpc(), &event(&id, &json!({})), &[&feed]).await;
        ids.push(id.clone());
        assert_eq!(client.ids_until(&feed, &id).await, ids, "{life}");
        assert_eq!(codes(&client)[..2], [0, 3001], "{life}");
        assert!(client.all("disconnected").is_empty(), "{life}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_big_ends_the_connection() {
    let tier = Tier::builder(BINARY).set("REALTIME_EDGE_MESSAGE_BYTES_MAX", "4KiB").start().await;
    with_every_sdk(&tier, async |life| {
        let client = life.connected().await;
        let big = json!({ "text": "x".repeat(8 * 1024) });
        client.rpc("orders.get", big).await.unwrap_err();
        // To JavaScript that is no accident that could be over at the next attempt; Python tries.
        match life.language {
            Language::JavaScript => assert_eq!(client.disconnected().await.0, TOO_BIG, "{life}"),
            Language::Python => assert_eq!(next_code(&client).await, TOO_BIG, "{life}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_without_end_is_told_to_wait_and_then_sent_away_for_a_while() {
    let tier = Tier::builder(BINARY)
        .set("REALTIME_EDGE_MESSAGES_PER_SECOND", "1")
        .set("REALTIME_EDGE_MESSAGES_BURST", "5")
        .start()
        .await;
    with_every_sdk(&tier, async |life| {
        let client = life.connected().await;
        let limited = std::cell::Cell::new(0);
        eventually("it is sent away", async || {
            let answer = client.rpc("nobody.knows", json!({})).await;
            limited.set(limited.get() + u32::from(answer.is_err_and(|refused| refused.code == 111)));
            codes(&client).len() > 1
        })
        .await;
        assert!(limited.get() > 0, "{life}: it is told first");
        assert_eq!(codes(&client)[1], 3013, "{life}");
        eventually("it comes back", async || client.all("connected").len() > 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_too_slowly_is_sent_away_and_made_whole() {
    let tier = Tier::builder(BINARY)
        .set("REALTIME_EDGE_QUEUE_FRAMES", "20")
        .set("REALTIME_EDGE_WRITE_TIMEOUT", "1s")
        .start()
        .await;
    with_every_sdk(&tier, async |life| {
        let proxy = Proxy::start(tier.public_address(Role::EDGE)).await;
        let endpoint = json!(format!("ws://{}/connection/websocket", proxy.address()));
        let client = life.client_at(endpoint, json!({ "token": life.token().sign() }), false).await;
        client.connect().await;
        let feed = life.feed();
        client.event_of("subscribed", &feed).await;
        proxy.black_hole();
        let text = "x".repeat(60_000);
        let mut ids = Vec::new();
        // More than the kernels' buffers hold.
        for number in 0..200 {
            let id = new_id();
            let event = event(&id, &json!({ "number": number, "text": text }));
            publish(&tier.grpc(), event, &[&feed]).await;
            ids.push(id);
        }
        eventually("the server gives it up", async || {
            tier.metric(Role::EDGE, "realtime_edge_slow_closes_total").await >= 1.0
        })
        .await;
        proxy.forward();
        assert_eq!(client.ids_until(&feed, &ids[199]).await, ids, "{life}");
        let _: Value = client.event("connected").await;
    })
    .await;
}
