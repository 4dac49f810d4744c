//! Where riders are: the channels of deliveries and of areas, for newcomers, for maps, and for slow readers.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use platepal_events::{Event, Timestamp};
use platepal_proto::v1;
use platepal_testkit::{
    Connect, Next,
    http::{Stream, get},
};
use serde_json::{Value, json};

use crate::{
    centrifuge::Client,
    house::{House, event, rider_location, token},
};

fn rider_left(key: &str) -> Event {
    let payload = json!({ "rider_id": key }).to_string();
    let message = v1::Event {
        r#type: "rider_left".into(),
        key: key.into(),
        payload: payload.into(),
        ..Default::default()
    };
    Event::parse(message, Timestamp::from_micros(1_795_519_800_123_456)).unwrap()
}

/// One that fills the buffers on the way soon.
fn large_location(rider: usize, eta_minutes: usize) -> Event {
    let payload = json!({ "eta_minutes": eta_minutes, "filler": "x".repeat(3_000) }).to_string();
    let message = v1::Event {
        r#type: "rider_location".into(),
        key: rider.to_string(),
        payload: payload.into(),
        ..Default::default()
    };
    Event::parse(message, Timestamp::from_micros(1_795_519_800_123_456)).unwrap()
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_newcomer_to_an_area_is_given_each_riders_newest_place_at_once() {
    let house = House::open().await;
    house.allow(1, "area:u33dc");
    for (key, eta) in [("31", 9), ("32", 5), ("31", 8)] {
        house.publish("area:u33dc", &rider_location(key, eta)).await;
    }
    let values = |frames: &[Value]| -> Vec<u64> {
        frames.iter().map(|frame| frame["data"]["eta_minutes"].as_u64().unwrap()).collect()
    };
    let mut socket = house.connect("/ws/area/u33dc", 1).open().await;
    let first = [socket.json().await, socket.json().await];
    assert_eq!(values(&first), [5, 8]);
    let path = format!("http://{}/events/area/u33dc?token={}", house.address, token(1));
    let mut stream = Stream::open("GET", &path, &[], "").await.unwrap();
    let mut streamed = Vec::new();
    while streamed.len() < 2 {
        let line = stream.line(Duration::from_secs(5)).await.expect("the stream goes on");
        streamed.extend(line.strip_prefix("data: ").map(|json| serde_json::from_str::<Value>(json).unwrap()));
    }
    assert_eq!(values(&streamed), [5, 8]);
    let polled = get(&format!("{path}&wait=20s")).await.json();
    assert_eq!(values(polled["events"].as_array().unwrap()), [5, 8]);
    let mut client = Client::connect(&house, 1).await;
    client.subscribe(json!({ "channel": "area:u33dc" })).await;
    let pushed = [client.push("area:u33dc").await, client.push("area:u33dc").await];
    assert_eq!(values(&pushed.map(|push| push["pub"]["data"].clone())), [5, 8]);
}

#[tokio::test]
async fn a_cell_that_is_none_is_refused_with_words() {
    let house = House::open().await;
    for cell in ["U33DC", "a", "0123456789bcd"] {
        let refusal = Connect::to(format!("{}?token={}", house.url(&format!("/ws/area/{cell}")), token(1)))
            .attempt()
            .await
            .unwrap_err();
        assert_eq!(refusal.status, 400, "{refusal:?}");
        assert!(refusal.body.contains("geohash"), "{refusal:?}");
    }
    let mut client = Client::connect(&house, 1).await;
    assert_eq!(client.subscribe(json!({ "channel": "area:U33DC" })).await["error"]["code"], 102);
    let reply = client.subscribe(json!({ "channel": "area:u33dc" })).await;
    assert_eq!(reply["error"]["code"], 103, "nobody allowed it: {reply}");
}

#[tokio::test]
async fn a_map_holds_several_cells_over_one_connection_and_sees_a_rider_cross_over() {
    let house = House::open().await;
    let cells = ["u33dc", "u33df", "u33dg"];
    let mut client = Client::connect(&house, 1).await;
    for cell in cells {
        house.allow(1, &format!("area:{cell}"));
        let reply = client.subscribe(json!({ "channel": format!("area:{cell}") })).await;
        assert!(reply.get("error").is_none(), "{reply}");
    }
    house.publish("area:u33dc", &rider_location("31", 9)).await;
    house.publish("area:u33dc", &rider_left("31")).await;
    house.publish("area:u33df", &rider_location("31", 8)).await;
    let mut map: BTreeMap<(String, String), Value> = BTreeMap::new();
    while !map.contains_key(&("area:u33df".to_owned(), "rider_location".to_owned())) {
        let push = client.next().await["push"].clone();
        let data = &push["pub"]["data"];
        let key = (push["channel"].as_str().unwrap().to_owned(), data["type"].as_str().unwrap().to_owned());
        map.insert(key, data["data"].clone());
    }
    let mut newcomer = Client::connect(&house, 1).await;
    newcomer.subscribe(json!({ "channel": "area:u33dc" })).await;
    let frame = newcomer.push("area:u33dc").await;
    assert_eq!(frame["pub"]["data"]["type"], "rider_left", "who has left is no longer shown there: {frame}");
    newcomer.subscribe(json!({ "channel": "area:u33df" })).await;
    let frame = newcomer.push("area:u33df").await;
    assert_eq!(frame["pub"]["data"]["type"], "rider_location", "{frame}");
}

#[tokio::test]
async fn a_reader_that_stops_gets_each_riders_newest_place_and_is_not_closed() {
    const RIDERS: usize = 1_000;
    const MOVES: usize = 4;
    // However slow the machine is that publishes.
    let patient = [
        ("REALTIME_EDGE_WRITE_TIMEOUT", "2m"),
        ("REALTIME_EDGE_STALL_TIMEOUT", "3m"),
        ("REALTIME_EDGE_QUEUE_BYTES", "16MiB"),
    ];
    let house = House::with(&patient).await;
    house.allow(1, "area:u33dc");
    let url = format!("{}?token={}", house.url("/ws/area/u33dc"), token(1));
    let mut socket = Connect::to(url).receive_buffer(4096).open().await;
    house.greet(&mut socket, "area:u33dc").await;
    // While it reads nothing, every rider moves some times.
    for eta in 0..MOVES {
        let moves: Vec<Event> = (0..RIDERS).map(|rider| large_location(rider, eta)).collect();
        join_all(moves.iter().map(|moved| house.publish("area:u33dc", moved))).await;
    }
    house.publish("area:u33dc", &rider_left("0")).await;
    house.publish("area:u33dc", &event("last")).await;
    let (mut frames, mut newest) = (0, BTreeMap::new());
    loop {
        match socket.next(Duration::from_secs(10)).await {
            Next::Json(frame) if frame["type"] == "order_accepted" => break,
            Next::Json(frame) => {
                frames += 1;
                let eta = frame["data"]["eta_minutes"].as_u64();
                // Which rider it is, only the key says, and it is not sent: count the newest values.
                *newest.entry(eta).or_insert(0) += 1;
            }
            other => panic!("after {frames} frames: {other:?}"),
        }
    }
    assert!(newest.get(&Some(MOVES as u64 - 1)).copied().unwrap_or(0) >= RIDERS - 1, "{newest:?}");
    assert_eq!(newest.get(&None), Some(&1), "the one that left: {newest:?}");
    assert!(frames < MOVES * RIDERS, "{frames}: what was old is not sent");
}

#[tokio::test]
async fn the_newest_value_of_a_rider_that_left_is_that_it_left() {
    let house = House::open().await;
    house.allow(1, "track:5012");
    house.publish("track:5012", &rider_location("31", 9)).await;
    house.publish("track:5012", &rider_left("31")).await;
    let mut socket = house.connect("/ws/track/5012", 1).open().await;
    let first = socket.json().await;
    assert_eq!(kinds(&[first]), ["rider_left"]);
}
