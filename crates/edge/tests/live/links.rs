//! Links that show one delivery to somebody without an account.

use std::time::Duration;

use platepal_service::domain::Verdict;
use platepal_testkit::{
    Connect, Socket, Token,
    http::{Stream, get},
};
use serde_json::json;

use crate::{
    centrifuge::Client,
    house::{House, SECRET, SHARE_SECRET, event, id, link, rider_location},
};

const HOUR: Duration = Duration::from_secs(3600);

/// The domain lets whoever has the link to a delivery read its channel.
fn shared(house: &House, delivery_id: &str) {
    let key = (format!("share:{delivery_id}"), format!("track:{delivery_id}"));
    house.rules.verdicts.lock().unwrap().insert(key, Verdict::Allowed(HOUR));
}

async fn open(house: &House, path: &str, token: &str) -> Socket {
    Connect::to(format!("{}?token={token}", house.url(path))).open().await
}

#[tokio::test]
async fn a_link_shows_its_delivery_over_a_socket_a_stream_and_a_poll() {
    let house = House::open().await;
    shared(&house, "5012");
    let token = link("5012", HOUR);
    house.publish("track:5012", &rider_location("31", 9)).await;
    let mut socket = open(&house, "/ws/track/5012", &token).await;
    assert_eq!(socket.json().await["data"]["eta_minutes"], 9, "the newest value comes at once");
    house.greet(&mut socket, "track:5012").await;
    let path = format!("http://{}/events/track/5012?token={token}", house.address);
    let mut stream = Stream::open("GET", &path, &[], "").await.unwrap();
    assert_eq!(stream.status, 200);
    while let Some(line) = stream.line(Duration::from_secs(5)).await {
        if line.contains("\"eta_minutes\":9") {
            break;
        }
    }
    let polled = get(&format!("{path}&wait=1s")).await.json();
    assert_eq!(polled["events"][0]["data"]["eta_minutes"], 9);
}

#[tokio::test]
async fn a_link_opens_nothing_else_whatever_the_owners_allow() {
    let house = House::open().await;
    let token = link("5012", HOUR);
    for (path, channel) in [
        ("/ws/track/5013", "track:5013"),
        ("/ws/order/5012", "order:5012"),
        ("/ws/customer/5012", "customer:5012"),
        ("/ws/delivery/5012", "rider:5012"),
        ("/ws/area/u33dc", "area:u33dc"),
        ("/ws/admin", "admin"),
    ] {
        let key = ("share:5012".to_owned(), channel.to_owned());
        house.rules.verdicts.lock().unwrap().insert(key, Verdict::Allowed(HOUR));
        let (code, reason) = open(&house, path, &token).await.closed().await;
        assert_eq!(code, 4003, "{path}");
        assert!(reason.contains("one delivery"), "{reason}");
    }
    let path = format!("http://{}/events/order/5012?token={token}", house.address);
    assert_eq!(get(&path).await.status, 403);
}

#[tokio::test]
async fn whoever_has_a_link_can_only_look() {
    let house = House::open().await;
    shared(&house, "5012");
    let token = link("5012", HOUR);
    let mut socket = open(&house, "/ws/track/5012", &token).await;
    socket.send_json(&json!({ "type": "location", "data": {} })).await;
    let answer = loop {
        let frame = socket.json().await;
        if frame["type"] == "error" {
            break frame;
        }
    };
    assert!(answer["message"].as_str().unwrap().contains("can only read"), "{answer}");
    let mut client = Client::with(&house, json!({ "token": token })).await;
    assert_eq!(client.connected["subs"], json!(null), "{}", client.connected);
    let reply = client.subscribe(json!({ "channel": "track:5012" })).await;
    assert!(reply.get("error").is_none(), "{reply}");
    house.publish("track:5012", &event("one")).await;
    assert_eq!(client.publication("track:5012").await, "one");
    for command in [
        json!({ "id": 3, "rpc": { "method": "tracking.report", "data": {} } }),
        json!({ "id": 4, "publish": { "channel": "track:5012", "data": {} } }),
        json!({ "id": 5, "presence": { "channel": "track:5012" } }),
        json!({ "id": 6, "presence_stats": { "channel": "admin" } }),
        json!({ "id": 7, "subscribe": { "channel": "all" } }),
        json!({ "id": 8, "subscribe": { "channel": "order:5012" } }),
        json!({ "id": 9, "history": { "channel": "order:5012" } }),
    ] {
        let reply = client.ask(command).await;
        assert_eq!(reply["error"]["code"], 103, "{reply}");
        assert!(reply["error"]["message"].as_str().unwrap().contains("link"), "{reply}");
    }
    assert!(house.rules.asked.lock().unwrap().is_empty(), "nothing reached a domain");
}

#[tokio::test]
async fn a_link_ends_with_its_time_or_with_the_delivery() {
    let house = House::open().await;
    shared(&house, "5012");
    let mut socket = open(&house, "/ws/track/5012", &link("5012", Duration::from_secs(2))).await;
    house.greet(&mut socket, "track:5012").await;
    assert_eq!(socket.closed().await.0, 4001);
    let forged = Token::new(SHARE_SECRET, "share:5012").sign();
    assert_eq!(open(&house, "/ws/track/5012", &forged).await.closed().await.0, 4001, "it is no link");
    let djangos = Token::new(SECRET, "share:5012").claim("token_type", "share").sign();
    assert_eq!(open(&house, "/ws/track/5012", &djangos).await.closed().await.0, 4001, "it is not ours");
    // The owner lets nobody look at this one any more.
    let ended = open(&house, "/ws/track/5013", &link("5013", HOUR)).await.closed().await;
    assert_eq!(ended.0, 4003);
}

#[tokio::test]
async fn a_link_that_is_passed_on_has_a_limit_of_its_own() {
    let limits =
        [("REALTIME_EDGE_CONNECTIONS_PER_USER_MAX", "1"), ("REALTIME_EDGE_CONNECTIONS_PER_LINK_MAX", "3")];
    let house = House::with(&limits).await;
    for delivery in ["5012", "5013"] {
        shared(&house, delivery);
        let path = format!("/ws/track/{delivery}");
        let mut open_ones = Vec::new();
        for _ in 0..3 {
            let mut socket = open(&house, &path, &link(delivery, HOUR)).await;
            house.greet(&mut socket, &format!("track:{delivery}")).await;
            open_ones.push(socket);
        }
        // Another token of the same delivery is the same link.
        assert_eq!(open(&house, &path, &link(delivery, HOUR)).await.closed().await.0, 4029);
    }
    let mut user = house.live("/ws/customer/7", 7, "customer:7").await;
    house.publish("customer:7", &event("one")).await;
    assert_eq!(id(&user.json().await), "one");
}
