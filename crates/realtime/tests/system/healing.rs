//! Whatever happens to a client, it comes back, names its last event, and gets exactly what it missed.

use platepal_proto::v1;
use platepal_testkit::{Bus, PlatePalClient, Tier, rng, seed};
use rand::Rng;

use crate::{
    both_shapes,
    publishing::{event, new_id, publish, publish_numbered, publish_until, publish_until_kept},
};

/// Clients that are cut at random while events are published, and how often each.
const CLIENTS: usize = 10;
const CUTS: u32 = 100;

/// A client that has seen one event, and so has something to name when it comes back.
async fn client_with_history(tier: &Tier, path: &str, user: u64, channel: &str) -> (PlatePalClient, String) {
    let mut client = PlatePalClient::open(&tier.socket_url(path), &tier.token(user).sign());
    client.connected().await;
    let first = publish_numbered(&tier.grpc(), channel, 0..1).await.remove(0);
    client.wait_for_event(&first).await;
    (client, first)
}

both_shapes! {
    async fn clients_that_are_cut_at_random_while_events_come_lose_none_and_see_none_twice(tier: Tier) {
        let seed = seed();
        let clients = tier.grpc();
        let mut readers = Vec::new();
        for number in 0..CLIENTS {
            let user = 100 + number as u64;
            let (path, channel) = (format!("/ws/customer/{user}"), format!("customer:{user}"));
            readers.push((client_with_history(&tier, &path, user, &channel).await, channel));
        }
        let channels: Vec<String> = readers.iter().map(|(_, channel)| channel.clone()).collect();
        let stop = tokio_util::sync::CancellationToken::new();
        let publisher = tokio::spawn(publish_until(clients.clone(), channels.clone(), stop.clone()));
        let mut random = rng(seed);
        for _ in 0..CUTS {
            // A cut somewhere in the stream: after a random number of further frames of a random client.
            for ((client, _), _) in &mut readers {
                let seen = client.frames().len();
                client.wait_for_frames(seen + random.random_range(0..3)).await;
                client.cut();
            }
        }
        stop.cancel();
        let published = publisher.await.expect("the publisher ran");
        let last = published.last().expect("events were published while clients were cut");
        for ((client, first), channel) in &mut readers {
            client.wait_for_event(last).await;
            let expected: Vec<String> = std::iter::once(first.clone()).chain(published.iter().cloned()).collect();
            assert_eq!(client.event_ids(), expected, "{channel}, seed {seed}");
        }
    }
}

both_shapes! {
    async fn a_reader_that_was_away_gets_exactly_what_its_own_feed_carried(tier: Tier) {
        let (mut client, first) = client_with_history(&tier, "/ws/customer/7", 7, "customer:7").await;
        client.offline();
        publish_numbered(&tier.grpc(), "customer:8", 0..5).await;
        let missed = publish_numbered(&tier.grpc(), "customer:7", 1..41).await;
        publish_numbered(&tier.grpc(), "customer:8", 5..10).await;
        client.online();
        client.wait_for_event(missed.last().unwrap()).await;
        let expected: Vec<String> = std::iter::once(first).chain(missed).collect();
        assert_eq!(client.event_ids(), expected);
    }
}

both_shapes! {
    async fn an_unknown_event_id_replays_what_the_feed_has_retained(tier: Tier) {
        let ids = publish_numbered(&tier.grpc(), "customer:7", 0..20).await;
        let path = format!("/ws/customer/7?since_event_id={}", new_id());
        let mut socket = tier.connect(&path, &tier.token(7)).open().await;
        for id in &ids {
            assert_eq!(socket.json().await["event_id"], id.as_str());
        }
        let live = publish_numbered(&tier.grpc(), "customer:7", 20..21).await;
        assert_eq!(socket.json().await["event_id"], live[0].as_str());
    }
}

both_shapes! {
    async fn a_newcomer_gets_the_newest_position_of_each_key_and_then_what_is_newer(tier: Tier) {
        let at = |key: &str, number: u64| v1::Event {
            r#type: "rider_location".to_owned(),
            key: key.to_owned(),
            payload: serde_json::json!({ "delivery_id": key, "number": number }).to_string().into(),
            ..Default::default()
        };
        let clients = tier.grpc();
        for number in 0..10 {
            publish(&clients, at("1", number), &["customer:7"]).await;
            publish(&clients, at("2", number), &["customer:7"]).await;
        }
        let mut socket = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
        for delivery in ["1", "2"] {
            let frame = socket.json().await;
            assert_eq!((&frame["data"]["delivery_id"], &frame["data"]["number"]), (&delivery.into(), &9.into()));
        }
        publish(&clients, at("1", 10), &["customer:7"]).await;
        assert_eq!(socket.json().await["data"]["number"], 10);
    }
}

/// NATS is killed and comes back while events are published: publishers repeat, readers heal, nothing is lost.
async fn nats_is_restarted_mid_stream(mut tier: Tier) {
    let (mut client, first) = client_with_history(&tier, "/ws/customer/7", 7, "customer:7").await;
    let publisher = {
        let clients = tier.grpc();
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for number in 0..300u64 {
                let id = new_id();
                let event = event(&id, &serde_json::json!({ "number": number }));
                publish_until_kept(&clients, &event, &["customer:7"]).await;
                ids.push(id);
            }
            ids
        })
    };
    for round in 1..=3 {
        client.wait_for_frames(round * 40).await;
        tier.nats().kill();
        tier.nats().restart().await;
    }
    let published = publisher.await.expect("every event was kept in the end");
    client.wait_for_event(published.last().unwrap()).await;
    let expected: Vec<String> = std::iter::once(first).chain(published).collect();
    assert_eq!(client.event_ids(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_restarted_mid_stream_heals_in_one_process() {
    nats_is_restarted_mid_stream(Tier::builder(crate::BINARY).bus(Bus::Nats).start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_restarted_mid_stream_heals_with_a_process_per_role() {
    nats_is_restarted_mid_stream(Tier::split(crate::BINARY).await).await;
}
