//! A deploy: edges are restarted one after the other while events are published, and nobody notices.

use platepal_testkit::{Balancer, PlatePalClient, Role, Shape, Tier};
use tokio_util::sync::CancellationToken;

use crate::publishing::{publish_numbered, publish_until};

const CLIENTS: u64 = 90;
const EDGES: [Role; 2] = [Role::Edge(0), Role::Edge(1)];
/// Handshakes that one edge admits per second, and at once: fewer than there are clients to move.
const ADMITTED: (u32, u32) = (60, 20);

async fn behind_a_balancer() -> (Tier, Balancer) {
    let tier = Tier::builder(crate::BINARY)
        .shape(Shape::Split)
        .edges(EDGES.len())
        .set("REALTIME_DRAIN_TIME", "3s")
        .set("REALTIME_EDGE_HANDSHAKES_PER_SECOND", ADMITTED.0)
        .set("REALTIME_EDGE_HANDSHAKES_BURST", ADMITTED.1)
        .start()
        .await;
    let balancer = Balancer::start(EDGES.map(|edge| tier.public_address(edge)).to_vec()).await;
    (tier, balancer)
}

async fn connections(tier: &Tier) -> Vec<f64> {
    let mut connections = Vec::new();
    for edge in EDGES {
        connections.push(tier.metric(edge, "realtime_edge_connections").await);
    }
    connections
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_that_are_restarted_one_by_one_move_their_clients_and_lose_nothing() {
    let (mut tier, balancer) = behind_a_balancer().await;
    let mut readers = Vec::new();
    for user in 0..CLIENTS {
        let url = format!("ws://{}/ws/customer/{user}", balancer.address());
        readers.push(PlatePalClient::open(&url, &tier.token(user).sign()));
    }
    let channels: Vec<String> = (0..CLIENTS).map(|user| format!("customer:{user}")).collect();
    for (reader, channel) in readers.iter_mut().zip(&channels) {
        reader.connected().await;
        // Whoever has seen nothing has no place to go on from.
        let first = publish_numbered(&tier.grpc(), channel, 0..1).await.remove(0);
        reader.wait_for_event(&first).await;
    }
    assert!(connections(&tier).await.iter().all(|count| *count > 0.0), "both edges have clients");

    let stop = CancellationToken::new();
    let publisher = tokio::spawn(publish_until(tier.grpc(), channels.clone(), stop.clone()));
    for edge in EDGES {
        let here = tier.metric(edge, "realtime_edge_connections").await;
        tier.terminate(edge);
        assert!(tier.wait_ended(edge).await.status.success(), "it ends by itself");
        let told: usize =
            readers.iter().filter(|reader| reader.closes().iter().any(|(code, _)| *code == 1012)).count();
        assert!(told as f64 >= here, "{told} were told, {here} had to be");
        for reader in &mut readers {
            reader.connected().await;
        }
        tier.start(edge).await;
    }
    stop.cancel();
    let published = publisher.await.expect("the publisher ran");
    let last = published.last().expect("events were published meanwhile");
    for (user, reader) in readers.iter_mut().enumerate() {
        reader.wait_for_event(last).await;
        let ids = reader.event_ids();
        assert_eq!(ids.len(), published.len() + 1, "user {user}: {:?}", reader.closes());
        assert_eq!(&ids[1..], published, "user {user}");
        assert!(reader.closes().iter().all(|(code, _)| *code == 1012), "user {user}: {:?}", reader.closes());
    }
}
