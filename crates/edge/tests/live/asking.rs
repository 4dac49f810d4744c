//! What clients ask of the domains over PlatePal's sockets and in Centrifuge's protocol.

use std::{sync::atomic::Ordering, time::Duration};

use platepal_testkit::{Connect, Next, Socket, eventually};
use serde_json::{Value, json};

use crate::{
    centrifuge::Client,
    house::{House, event, id},
};

async fn rider(house: &House) -> Socket {
    house.live("/ws/delivery/31", 31, "rider:31").await
}

fn location(number: u64) -> Value {
    json!({ "type": "location", "data": { "number": number }, "id": number })
}

/// From now on the domain answers only as many questions as are allowed.
fn hold(house: &House) {
    house.rules.answers.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
}

fn asked(house: &House) -> Vec<(String, String, Value)> {
    house.rules.asked.lock().unwrap().clone()
}

#[tokio::test]
async fn what_a_rider_says_on_its_feed_is_answered_by_the_owner_of_the_feed() {
    let house = House::open().await;
    let mut socket = rider(&house).await;
    let data = json!({ "latitude": 52.5, "longitude": 13.4, "accuracy": 8 });
    socket.send_json(&json!({ "type": "location", "data": data, "id": "a-1" })).await;
    let answer = json!({ "type": "location_result", "data": { "heard": data }, "id": "a-1" });
    assert_eq!(socket.json().await, answer);
    let accept = json!({ "offer_id": "o-1", "accept": true });
    socket.send_json(&json!({ "type": "offer_response", "data": accept })).await;
    assert_eq!(socket.json().await, json!({ "type": "offer_response_result", "data": { "heard": accept } }));
    let decline = json!({ "offer_id": "o-2", "accept": false, "reason": "too far" });
    socket.send_json(&json!({ "type": "offer_response", "data": decline, "id": 2 })).await;
    assert_eq!(socket.json().await["id"], 2);
    let expected = [("report", data), ("accept_offer", accept), ("decline_offer", decline)];
    let expected = expected.map(|(method, data)| ("31".to_owned(), method.to_owned(), data));
    assert_eq!(asked(&house), expected);
}

#[tokio::test]
async fn a_refusal_is_told_in_words_and_a_failure_of_ours_without_its_cause() {
    let house = House::open().await;
    let mut socket = rider(&house).await;
    for (data, words) in [
        (json!({ "refuse": "words" }), "no shift is running; start one first"),
        (json!({ "refuse": "broken" }), "this could not be done now; try again later"),
    ] {
        socket.send_json(&json!({ "type": "location", "data": data, "id": 1 })).await;
        assert_eq!(socket.json().await, json!({ "type": "error", "message": words, "id": 1 }));
    }
    // The rider goes on.
    socket.send_json(&location(2)).await;
    assert_eq!(socket.json().await["type"], "location_result");
}

#[tokio::test]
async fn other_feeds_take_no_location() {
    let house = House::open().await;
    house.allow(7, "order:1");
    for (path, channel) in [("/ws/customer/7", "customer:7"), ("/ws/order/1", "order:1")] {
        let mut socket = house.live(path, 7, channel).await;
        socket.send_json(&location(1)).await;
        let answer = socket.json().await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("error"), &json!(1)));
    }
    assert_eq!(asked(&house), []);
    // And nobody speaks on another rider's.
    assert_eq!(house.connect("/ws/delivery/32", 31).open().await.closed().await.0, 4003);
}

#[tokio::test]
async fn messages_are_handed_over_one_after_the_other_in_their_order() {
    let house = House::open().await;
    let mut socket = rider(&house).await;
    hold(&house);
    for number in 0..10 {
        socket.send_json(&location(number)).await;
    }
    eventually("the first is asked", || async { asked(&house).len() == 1 }).await;
    house.rules.answers.add_permits(10);
    for number in 0..10 {
        assert_eq!(socket.json().await["id"], number);
    }
    let numbers: Vec<u64> = asked(&house).iter().map(|(.., data)| data["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..10).collect::<Vec<u64>>());
    assert_eq!(house.rules.open_max.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_slow_domain_keeps_neither_events_nor_pings_nor_other_clients_waiting() {
    let house =
        House::with(&[("REALTIME_EDGE_PING_INTERVAL", "1s"), ("REALTIME_EDGE_PONG_TIMEOUT", "500ms")]).await;
    let (mut socket, mut other) = (rider(&house).await, house.live("/ws/customer/7", 7, "customer:7").await);
    hold(&house);
    socket.send_json(&location(1)).await;
    eventually("it is asked", || async { asked(&house).len() == 1 }).await;
    house.publish("rider:31", &event("offer")).await;
    assert_eq!(id(&socket.json().await), "offer");
    house.publish("customer:7", &event("other")).await;
    assert_eq!(id(&other.json().await), "other");
    // It is pinged, and its pongs are heard: otherwise it would be closed.
    socket.assert_quiet(Duration::from_millis(2_500)).await;
    house.rules.answers.add_permits(1);
    assert_eq!(socket.json().await["type"], "location_result");
}

#[tokio::test]
async fn more_messages_than_may_wait_are_answered_by_an_error_and_the_others_are_done() {
    let house = House::with(&[("REALTIME_EDGE_CALLS_MAX", "2")]).await;
    let mut socket = rider(&house).await;
    hold(&house);
    for number in 0..4 {
        socket.send_json(&location(number)).await;
    }
    for number in [2, 3] {
        let answer = socket.json().await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("error"), &json!(number)), "{answer}");
        assert!(answer["message"].as_str().unwrap().contains("wait for"), "{answer}");
    }
    house.rules.answers.add_permits(10);
    for number in [0, 1] {
        assert_eq!(socket.json().await["id"], number);
    }
    // There is room again.
    socket.send_json(&location(4)).await;
    assert_eq!(socket.json().await["type"], "location_result");
}

#[tokio::test]
async fn a_domain_that_does_not_answer_in_time_is_an_error_and_the_next_message_has_its_turn() {
    let house = House::with(&[("REALTIME_EDGE_CALL_TIMEOUT", "200ms")]).await;
    let mut socket = rider(&house).await;
    hold(&house);
    socket.send_json(&location(1)).await;
    let answer = socket.json().await;
    assert_eq!((&answer["type"], &answer["id"]), (&json!("error"), &json!(1)), "{answer}");
    house.rules.answers.add_permits(10);
    socket.send_json(&location(2)).await;
    assert_eq!(socket.json().await["id"], 2);
}

#[tokio::test]
async fn who_asks_too_often_is_told_and_then_closed_and_nobody_else_notices() {
    let limits = [("REALTIME_EDGE_MESSAGES_PER_SECOND", "1"), ("REALTIME_EDGE_MESSAGES_BURST", "5")];
    let house = House::with(&limits).await;
    let (mut socket, mut other) = (rider(&house).await, house.live("/ws/delivery/32", 32, "rider:32").await);
    for number in 0..200 {
        socket.send_json(&location(number)).await;
    }
    assert_eq!(socket.closed().await.0, 1008);
    assert!(asked(&house).len() <= 6, "{}", asked(&house).len());
    other.send_json(&location(1)).await;
    assert_eq!(other.json().await["type"], "location_result");
}

#[tokio::test]
async fn a_rider_that_leaves_while_it_waits_leaves_nothing_behind() {
    let house = House::with(&[("REALTIME_EDGE_CONNECTIONS_PER_USER_MAX", "1")]).await;
    let mut socket = rider(&house).await;
    hold(&house);
    socket.send_json(&location(1)).await;
    eventually("it is asked", || async { asked(&house).len() == 1 }).await;
    drop(socket);
    // Its place is free although the domain has not answered.
    eventually("its place is free", || async {
        let mut again = house.connect("/ws/delivery/31", 31).open().await;
        !matches!(again.next(Duration::from_millis(100)).await, Next::Closed(4029, _))
    })
    .await;
}

#[tokio::test]
async fn in_centrifuges_protocol_calls_and_publications_keep_their_order_too() {
    let house = House::open().await;
    let mut client = Client::connect(&house, 31).await;
    hold(&house);
    for number in 0..8_u64 {
        let data = json!({ "number": number });
        let command = match number % 2 {
            0 => json!({ "id": 10 + number, "rpc": { "method": "tracking.report", "data": data } }),
            _ => json!({ "id": 10 + number, "publish": { "channel": "rider:31", "data": data } }),
        };
        client.send(command).await;
    }
    eventually("the first is asked", || async { asked(&house).len() == 1 }).await;
    house.rules.answers.add_permits(100);
    for number in 0..8_u64 {
        let reply = client.next().await;
        assert_eq!(reply["id"], 10 + number, "{reply}");
        assert!(reply.get("error").is_none(), "{reply}");
    }
    let numbers: Vec<u64> = asked(&house).iter().map(|(.., data)| data["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..8).collect::<Vec<u64>>());
    assert_eq!(house.rules.open_max.load(Ordering::SeqCst), 1);
    let refused = json!({ "id": 30, "rpc": { "method": "tracking.report", "data": { "refuse": "words" } } });
    let reply = client.ask(refused).await;
    assert_eq!(reply["error"]["message"], "no shift is running; start one first", "{reply}");
    let unknown = client.ask(json!({ "id": 31, "rpc": { "method": "kitchen.cook" } })).await;
    assert_eq!(unknown["error"]["code"], 104, "{unknown}");
}

#[tokio::test]
async fn a_socket_that_is_not_open_yet_asks_nothing() {
    let house = House::open().await;
    let mut socket = Connect::to(house.url("/ws/delivery/31")).open().await;
    socket.send_json(&location(1)).await;
    assert_eq!(socket.closed().await.0, 4001);
    assert_eq!(asked(&house), []);
}
