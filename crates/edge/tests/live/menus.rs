//! Feeds that everybody may read, and whose state changes by values.

use std::sync::atomic::Ordering;

use platepal_service::domain::Snapshot;
use platepal_testkit::Connect;
use serde_json::{Value, json};

use crate::{
    centrifuge::Client,
    house::{House, event, id, value},
};

/// The state of `menu:12` up to the newest of these values; the version of each is its place in the list.
async fn state_with(house: &House, items: &[&str]) {
    let mut upto = None;
    for (version, item) in items.iter().enumerate() {
        upto = Some(publish(house, item, version).await);
    }
    let log = house.publish("menu:12", &event(&format!("before-{}", items.len()))).await;
    let snapshot = Snapshot { state: Some((event("state"), log)), values: upto };
    house.rules.snapshots.lock().unwrap().insert("menu:12".into(), snapshot);
}

async fn publish(house: &House, item: &str, version: usize) -> platepal_events::Position {
    house.publish("menu:12", &value("menu_item", item, &json!({ "item": item, "version": version }))).await
}

fn item(frame: &Value) -> (String, u64) {
    (
        frame["data"]["item"].as_str().unwrap_or("none").to_owned(),
        frame["data"]["version"].as_u64().unwrap_or(0),
    )
}

#[tokio::test]
async fn values_that_are_in_the_state_are_not_repeated_and_later_ones_come() {
    let house = House::open().await;
    state_with(&house, &["a", "b"]).await;
    publish(&house, "b", 5).await;
    let mut socket = house.connect("/ws/menu/12", 7).open().await;
    assert_eq!(socket.json().await["data"]["id"], "state");
    assert_eq!(item(&socket.json().await), ("b".into(), 5));
    publish(&house, "a", 6).await;
    assert_eq!(item(&socket.json().await), ("a".into(), 6));
    // The state is remembered: it is as good as a new one.
    let mut second = house.connect("/ws/menu/12", 8).open().await;
    assert_eq!(second.json().await["data"]["id"], "state");
    let later = [item(&second.json().await), item(&second.json().await)];
    assert_eq!(later, [("b".into(), 5), ("a".into(), 6)]);
}

#[tokio::test]
async fn whoever_comes_back_gets_the_state_and_the_events_that_they_missed() {
    let house = House::open().await;
    state_with(&house, &["a"]).await;
    let mut socket = house.connect("/ws/menu/12", 7).open().await;
    let state = socket.json().await;
    house.publish("menu:12", &event("e-1")).await;
    assert_eq!(id(&socket.json().await), "e-1");
    house.publish("menu:12", &event("e-2")).await;
    for (since, expected) in [("e-1".to_owned(), vec!["e-2"]), (id(&state), vec!["e-1", "e-2"])] {
        let mut back = house.connect_since("/ws/menu/12", 7, &since).open().await;
        assert_eq!(back.json().await["data"]["id"], "state");
        for expected in expected {
            assert_eq!(id(&back.json().await), expected, "since {since}");
        }
    }
}

#[tokio::test]
async fn many_who_come_together_ask_for_the_state_once() {
    let house = House::with(&[("REALTIME_EDGE_SNAPSHOT_CACHE_TIME", "1m")]).await;
    state_with(&house, &["a"]).await;
    let sockets = (0..50).map(|user| house.connect("/ws/menu/12", user).open());
    for mut socket in futures_util::future::join_all(sockets).await {
        assert_eq!(socket.json().await["data"]["id"], "state");
    }
    assert_eq!(house.rules.snapshots_asked.load(Ordering::SeqCst), 1);
    assert_eq!(house.rules.questions.load(Ordering::SeqCst), 0, "a public feed needs no decision");
}

#[tokio::test]
async fn a_channel_without_a_state_is_asked_for_again() {
    let house = House::open().await;
    let _early = house.connect("/ws/menu/12", 7).open().await;
    state_with(&house, &["a"]).await;
    let mut socket = house.connect("/ws/menu/12", 8).open().await;
    assert_eq!(socket.json().await["data"]["id"], "state");
}

#[tokio::test]
async fn without_a_token_only_what_is_public_can_be_read_and_only_where_that_is_allowed() {
    let house = House::open().await;
    let anybody = |house: &House, path: &str| Connect::to(house.url(path));
    assert_eq!(anybody(&house, "/ws/menu/12").open().await.closed().await.0, 4001);

    let house =
        House::with(&[("REALTIME_EDGE_ANONYMOUS", "true"), ("REALTIME_EDGE_CONNECTIONS_PER_USER_MAX", "1")])
            .await;
    state_with(&house, &["a"]).await;
    // Each is somebody else.
    let (mut one, mut other) =
        (anybody(&house, "/ws/menu/12").open().await, anybody(&house, "/ws/menu/12").open().await);
    for socket in [&mut one, &mut other] {
        assert_eq!(socket.json().await["data"]["id"], "state");
    }
    one.send_json(&json!({ "type": "anything", "id": 1 })).await;
    let answer = one.json().await;
    assert_eq!(answer["type"], "error", "{answer}");
    for path in ["/ws/customer/7", "/ws/order/5012", "/ws/admin"] {
        assert_eq!(anybody(&house, path).open().await.closed().await.0, 4001, "{path}");
    }
    // A token that is no good does not become nobody's.
    let wrong = anybody(&house, "/ws/menu/12?token=nonsense");
    assert_eq!(wrong.open().await.closed().await.0, 4001);
}

#[tokio::test]
async fn over_centrifuge_the_state_comes_with_the_subscription_and_with_its_recovery() {
    let house = House::open().await;
    state_with(&house, &["a", "b"]).await;
    publish(&house, "b", 5).await;
    let mut client = Client::connect(&house, 7).await;
    let reply = client.subscribe(json!({ "channel": "menu:12" })).await["subscribe"].clone();
    assert_eq!(reply["data"]["data"]["id"], "state", "{reply}");
    assert_eq!(item(&client.push("menu:12").await["pub"]["data"]), ("b".into(), 5));
    house.publish("menu:12", &event("e-1")).await;
    assert_eq!(client.publication("menu:12").await, "e-1");

    let mut back = Client::connect(&house, 7).await;
    let place =
        json!({ "channel": "menu:12", "recover": true, "epoch": reply["epoch"], "offset": reply["offset"] });
    let reply = back.subscribe(place).await["subscribe"].clone();
    assert_eq!(
        (&reply["recovered"], &reply["data"]["data"]["id"]),
        (&json!(true), &json!("state")),
        "{reply}"
    );
    assert_eq!(id(&reply["publications"][0]["data"]), "e-1");
    assert_eq!(item(&back.push("menu:12").await["pub"]["data"]), ("b".into(), 5));
}

#[tokio::test]
async fn over_centrifuge_too_whoever_is_not_signed_in_only_reads_what_is_public() {
    let house = House::open().await;
    let (code, reason) = {
        let mut socket = crate::centrifuge::open(&house).await;
        socket.send_json(&json!({ "id": 1, "connect": {} })).await;
        socket.closed().await
    };
    assert_eq!(code, 3501, "{reason}");

    let house = House::with(&[("REALTIME_EDGE_ANONYMOUS", "true")]).await;
    state_with(&house, &["a"]).await;
    let mut client = Client::with(&house, json!({})).await;
    assert_eq!((&client.connected["expires"], &client.connected["subs"]), (&Value::Null, &Value::Null));
    let reply = client.subscribe(json!({ "channel": "menu:12" })).await;
    assert_eq!(reply["subscribe"]["data"]["data"]["id"], "state", "{reply}");
    for (id, channel) in [(3, "customer:7"), (4, "order:5"), (5, "all"), (6, "restaurant:12")] {
        let reply = client.ask(json!({ "id": id, "subscribe": { "channel": channel } })).await;
        assert_eq!(reply["error"]["code"], 103, "{channel}: {reply}");
    }
    for command in [
        json!({ "id": 9, "rpc": { "method": "menus.get", "data": {} } }),
        json!({ "id": 9, "publish": { "channel": "menu:12", "data": {} } }),
        json!({ "id": 9, "presence": { "channel": "menu:12" } }),
    ] {
        assert_eq!(client.ask(command.clone()).await["error"]["code"], 103, "{command}");
    }
    assert_eq!(house.rules.questions.load(Ordering::SeqCst), 0, "nobody is asked about nobody");
}
