//! Whatever happens to the connection or to the tier, a client has every event once and in order, or is told.

use platepal_testkit::{Bus, Proxy, Role, Shape, Tier};
use serde_json::json;

use crate::{
    BINARY,
    client::{Client, Language, Life, every_sdk, with_every_sdk},
    publishing::{event, new_id, publish, publish_numbered, publish_until_kept},
};

/// A connected client behind a proxy of its own, subscribed to a chat that has carried three events.
async fn reader(life: &Life<'_>, chat: &str) -> (Proxy, Client, Vec<String>) {
    life.grant(chat).await;
    let proxy = Proxy::start(life.tier.public_address(Role::EDGE)).await;
    let endpoint = json!(format!("ws://{}/connection/websocket", proxy.address()));
    let client = life.client_at(endpoint, json!({ "token": life.token().sign() }), false).await;
    client.connect().await;
    client.subscribed(chat).await;
    let ids = publish_numbered(&life.tier.grpc(), chat, 0..3).await;
    client.ids_until(chat, &ids[2]).await;
    // Of the first subscribe.
    client.event_of("subscribing", chat).await;
    (proxy, client, ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_was_away_gets_exactly_what_it_missed_however_much() {
    // Less in memory than was missed: what comes is read from the log, page by page.
    let tier = Tier::builder(BINARY).set("REALTIME_EDGE_RING_EVENTS", "16").start().await;
    with_every_sdk(&tier, async |life| {
        let chat = format!("chat:{}", life.user);
        let (proxy, client, mut all) = reader(life, &chat).await;
        for count in [0, 1, 400] {
            proxy.refuse();
            client.event_of("subscribing", &chat).await;
            all.extend(publish_numbered(&tier.grpc(), &chat, 0..count).await);
            proxy.forward();
            let back = client.event_of("subscribed", &chat).await;
            assert_eq!(
                (&back["wasRecovering"], &back["recovered"]),
                (&json!(true), &json!(true)),
                "{life}: {back}"
            );
            all.extend(publish_numbered(&tier.grpc(), &chat, 0..2).await);
            assert_eq!(
                client.ids_until(&chat, all.last().unwrap()).await,
                all,
                "{life}: {count} were missed"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_place_is_not_kept_any_more_is_told_and_goes_on_from_now() {
    let tier = Tier::builder(BINARY)
        .set("REALTIME_BUS_RETENTION_EVENTS", "5")
        .set("REALTIME_EDGE_RING_EVENTS", "5")
        .start()
        .await;
    with_every_sdk(&tier, async |life| {
        let chat = format!("chat:{}", life.user);
        let (proxy, client, mut all) = reader(life, &chat).await;
        proxy.refuse();
        client.event_of("subscribing", &chat).await;
        publish_numbered(&tier.grpc(), &chat, 0..40).await;
        proxy.forward();
        let back = client.event_of("subscribed", &chat).await;
        assert_eq!(
            (&back["wasRecovering"], &back["recovered"]),
            (&json!(true), &json!(false)),
            "{life}: {back}"
        );
        all.extend(publish_numbered(&tier.grpc(), &chat, 0..2).await);
        assert_eq!(client.ids_until(&chat, all.last().unwrap()).await, all, "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_subscribe_may_name_a_place_to_go_on_from() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        // Python has no such option.
        if life.language == Language::Python {
            return;
        }
        let chat = format!("chat:{}", life.user);
        life.grant(&chat).await;
        let ids = publish_numbered(&tier.grpc(), &chat, 0..10).await;
        let observer = life.connected().await;
        let history = observer.history(&chat, json!({ "limit": 4 })).await.unwrap();
        let place = json!({ "offset": history["publications"][3]["offset"], "epoch": history["epoch"] });
        let client = life.connected().await;
        client.subscribe_with(&[&chat], json!({ "since": place }), false).await;
        assert_eq!(client.event_of("subscribed", &chat).await["recovered"], true);
        assert_eq!(client.ids_until(&chat, &ids[9]).await, ids[4..], "{life}");

        let another_log = json!({ "offset": place["offset"], "epoch": "another" });
        let lost = life.connected().await;
        lost.subscribe_with(&[&chat], json!({ "since": another_log }), false).await;
        let subscribed = lost.event_of("subscribed", &chat).await;
        assert_eq!((&subscribed["wasRecovering"], &subscribed["recovered"]), (&json!(true), &json!(false)));
        let live = publish_numbered(&tier.grpc(), &chat, 10..11).await;
        assert_eq!(lost.ids_until(&chat, &live[0]).await, live, "{life}");
    })
    .await;
}

/// The tier is killed under its clients and comes back: they have everything that was kept, once, in order.
async fn the_tier_is_killed(mut tier: Tier, victims: &[Role]) {
    const EVENTS: usize = 150;
    let mut readers = Vec::new();
    for life in every_sdk(&tier).await {
        let chat = format!("chat:{}", life.user);
        life.grant(&chat).await;
        let client = life.connected().await;
        client.subscribed(&chat).await;
        readers.push((client, chat, life.feed()));
    }
    let channels: Vec<String> =
        readers.iter().flat_map(|(_, chat, feed)| [chat.clone(), feed.clone()]).collect();
    let publisher = {
        let clients = tier.grpc();
        tokio::spawn(async move {
            let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
            let mut ids = Vec::new();
            for number in 0..EVENTS {
                let id = new_id();
                publish_until_kept(&clients, &event(&id, &json!({ "number": number })), &channels).await;
                ids.push(id);
            }
            ids
        })
    };
    for (seen, (client, chat, _)) in [30, 60].into_iter().zip(&readers) {
        client.count_of("publication", chat, seen).await;
        victims.iter().for_each(|victim| tier.kill(*victim));
        for victim in victims {
            tier.start(*victim).await;
        }
    }
    let published = publisher.await.expect("every event was kept in the end");
    for (client, chat, feed) in &readers {
        for channel in [chat, feed] {
            assert_eq!(
                client.ids_until(channel, published.last().unwrap()).await,
                published,
                "{}",
                client.story_of(channel)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tier_in_one_process_that_is_killed_costs_its_clients_nothing() {
    the_tier_is_killed(Tier::all_in_one(BINARY).await, &[Role::EDGE]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_and_gateway_that_are_killed_cost_their_clients_nothing() {
    let tier = Tier::builder(BINARY).shape(Shape::Split).start().await;
    the_tier_is_killed(tier, &[Role::Gateway, Role::EDGE]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_lost_is_another_log_and_clients_are_told() {
    let mut tier = Tier::builder(BINARY).bus(Bus::Nats).start().await;
    let mut readers = Vec::new();
    for life in every_sdk(&tier).await {
        let client = life.connected().await;
        let feed = life.feed();
        client.event_of("subscribed", &feed).await;
        let ids = publish_numbered(&tier.grpc(), &feed, 0..3).await;
        client.ids_until(&feed, &ids[2]).await;
        readers.push((client, feed, ids));
    }
    tier.kill(Role::EDGE);
    tier.nats().restart_empty().await;
    tier.start(Role::EDGE).await;
    for (client, feed, mut all) in readers {
        let back = client.event_of("subscribed", &feed).await;
        assert_eq!((&back["wasRecovering"], &back["recovered"]), (&json!(true), &json!(false)), "{back}");
        let id = new_id();
        publish(&tier.grpc(), event(&id, &json!({})), &[&feed]).await;
        all.push(id.clone());
        assert_eq!(client.ids_until(&feed, &id).await, all);
    }
}
