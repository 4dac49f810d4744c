//! Who is let in when many come: from one address, through a proxy, or all at once.

use std::time::Duration;

use futures_util::future::join_all;
use platepal_testkit::{Connect, Next, Refusal, Socket, eventually, http};
use serde_json::{Value, json};

use crate::{
    house::{House, token},
    wire::{Wire, handshake},
};

/// All addresses are counted, those of this machine too.
const COUNTED: (&str, &str) = ("REALTIME_EDGE_UNCOUNTED_NETWORKS", "none");

fn error(refusal: &Refusal) -> Value {
    let body: Value = serde_json::from_str(&refusal.body).unwrap_or_else(|_| panic!("{refusal:?}"));
    let (_, header) =
        refusal.headers.iter().find(|(name, _)| name == "retry-after").expect("a time to come back");
    let wait_ms = body["retry_after_ms"].as_u64().unwrap();
    assert!(header.parse::<u64>().unwrap() * 1000 >= wait_ms, "{refusal:?}");
    body["error"].clone()
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_others_do_not_feel_it() {
    let house = House::with(&[COUNTED, ("REALTIME_EDGE_CONNECTIONS_PER_ADDRESS_MAX", "2")]).await;
    let first = house.live("/ws/customer/7", 7, "customer:7").await;
    // A connection that asks for nothing has its place, too.
    let silent = Wire::open(&house.address).await;
    eventually("the third is refused", || async {
        let Err(refusal) = house.connect("/ws/customer/7", 7).attempt().await else { return false };
        (refusal.status, error(&refusal)) == (429, json!("too_many_connections"))
    })
    .await;
    let mut other = Wire::open_from("127.0.0.2", &house.address).await;
    other.send(handshake("/ws/customer/8", 8, &[])).await;
    assert!(other.head().await.starts_with("HTTP/1.1 101 "));
    drop(first);
    eventually("there is room again", || async {
        house.connect("/ws/customer/7", 7).attempt().await.is_ok()
    })
    .await;
    drop(silent);
}

#[tokio::test]
async fn behind_a_proxy_each_client_is_counted_by_what_the_proxy_says() {
    let house = House::with(&[
        COUNTED,
        ("REALTIME_TRUSTED_PROXIES", "127.0.0.0/8"),
        ("REALTIME_EDGE_CONNECTIONS_PER_ADDRESS_MAX", "2"),
    ])
    .await;
    let connect = |forwarded: &str| house.connect("/ws/customer/7", 7).header("x-forwarded-for", forwarded);
    let mut kept = Vec::new();
    for n in 0..6 {
        kept.push(connect(&format!("203.0.113.{}", n % 3)).open().await);
    }
    // What the client itself claims stands left of what the proxy wrote.
    let refusal = connect("198.51.100.1, 203.0.113.0").attempt().await.unwrap_err();
    assert_eq!((refusal.status, error(&refusal)), (429, json!("too_many_connections")));
    // The network of one IPv6 client counts as one.
    for n in 0..2 {
        kept.push(connect(&format!("2001:db8::{n}")).open().await);
    }
    assert_eq!(connect("2001:db8::9").attempt().await.unwrap_err().status, 429);
    connect("2001:db8:0:1::1").open().await;
    kept.remove(0).close().await;
    eventually("there is room again", || async { connect("203.0.113.0").attempt().await.is_ok() }).await;
}

#[tokio::test]
async fn one_address_shakes_hands_so_often_and_its_plain_requests_are_still_answered() {
    let house = House::with(&[
        COUNTED,
        ("REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_PER_SECOND", "1"),
        ("REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_BURST", "3"),
        ("REALTIME_EDGE_RETRY_SPREAD", "1s"),
    ])
    .await;
    let outcomes = join_all((0..10).map(|_| house.connect("/ws/customer/7", 7).attempt())).await;
    let (opened, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert!(opened.len() >= 3);
    assert!(!refused.is_empty());
    for refusal in refused.into_iter().map(Result::unwrap_err) {
        assert_eq!((refusal.status, error(&refusal)), (429, json!("too_many_handshakes")));
    }
    assert_eq!(http::get(&format!("http://{}/", house.address)).await.status, 200);
    assert_eq!(http::get(&format!("http://{}/nothing", house.address)).await.status, 404);
    comes_back(&house, 7).await;
}

#[tokio::test]
async fn feeds_without_sockets_are_let_in_by_the_same_door() {
    let house = House::with(&[
        COUNTED,
        ("REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_PER_SECOND", "1"),
        ("REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_BURST", "3"),
    ])
    .await;
    let mut statuses = Vec::new();
    for nth in 0..10 {
        let wait = if nth % 2 == 0 { "" } else { "&wait=0s" };
        let url = format!("http://{}/events/customer/7?token={}{wait}", house.address, token(7));
        statuses.push(http::Stream::open("GET", &url, &[], "").await.unwrap().status);
    }
    assert_eq!(statuses[..3], [200, 200, 200]);
    assert!(statuses.contains(&429), "{statuses:?}");
}

/// A client that does what it is told: comes back when the answer says.
async fn comes_back(house: &House, user: u64) -> (Socket, usize) {
    let mut refused = 0;
    loop {
        match house.connect(&format!("/ws/customer/{user}"), user).attempt().await {
            Ok(socket) => return (socket, refused),
            Err(refusal) => {
                let body: Value =
                    serde_json::from_str(&refusal.body).unwrap_or_else(|_| panic!("{refusal:?}"));
                tokio::time::sleep(Duration::from_millis(body["retry_after_ms"].as_u64().unwrap())).await;
                refused += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_storm_is_let_in_evenly_and_everybody_gets_in_who_comes_back_when_told() {
    let house = House::with(&[
        ("REALTIME_EDGE_HANDSHAKES_PER_SECOND", "100"),
        ("REALTIME_EDGE_HANDSHAKES_BURST", "20"),
        ("REALTIME_EDGE_HANDSHAKE_WAIT_MAX", "200ms"),
        ("REALTIME_EDGE_RETRY_SPREAD", "1s"),
    ])
    .await;
    let mut bystander = house.live("/ws/customer/7000", 7000, "customer:7000").await;
    let mut clients = join_all((0..200).map(|user| comes_back(&house, user))).await;
    assert!(clients.iter().any(|(_, refused)| *refused > 0), "a storm of 200 is more than 20 + 20");
    assert!(clients.iter().any(|(_, refused)| *refused == 0));
    let (socket, _) = clients.last_mut().unwrap();
    house.greet(socket, "customer:199").await;
    house.greet(&mut bystander, "customer:7000").await;
}

#[tokio::test]
async fn a_refusal_for_a_storm_says_so() {
    let house = House::with(&[
        ("REALTIME_EDGE_HANDSHAKES_PER_SECOND", "1"),
        ("REALTIME_EDGE_HANDSHAKES_BURST", "1"),
        ("REALTIME_EDGE_HANDSHAKE_WAIT_MAX", "0ms"),
    ])
    .await;
    let outcomes = join_all((0..5).map(|_| house.connect("/ws/customer/7", 7).attempt())).await;
    let refused: Vec<Refusal> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    for refusal in &refused {
        assert_eq!((refusal.status, error(refusal)), (503, json!("busy")));
    }
    // What is no handshake takes nobody's turn.
    for _ in 0..5 {
        assert_eq!(Connect::to(house.url("/ws/kitchen/7")).attempt().await.unwrap_err().status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_clients_come_back_together_and_none_is_refused() {
    let house = House::with(&[("REALTIME_EDGE_OPENING_TIMEOUT", "20s")]).await;
    let connect = |user: u64| house.connect(&format!("/ws/customer/{user}"), user).attempt();
    let mut sockets: Vec<Socket> =
        join_all((0..400).map(connect)).await.into_iter().collect::<Result<_, _>>().unwrap();
    for user in [0, 77, 399] {
        let socket = &mut sockets[user];
        house.greet(socket, &format!("customer:{user}")).await;
        assert_eq!(socket.next(Duration::from_millis(20)).await, Next::Nothing);
    }
}
