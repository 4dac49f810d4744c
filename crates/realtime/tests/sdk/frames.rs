//! The protocol's frames without an SDK between: what the server says, and what it does not put up with.

use std::time::Duration;

use platepal_testkit::{Connect, Next, PATIENCE, Socket, Tier};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    BINARY,
    publishing::{event, publish},
};

const PATH: &str = "/connection/websocket";

async fn open(tier: &Tier) -> Socket {
    Connect::to(tier.socket_url(PATH)).open().await
}

/// A socket of user 7 whose connect has been answered, and the answer.
async fn connected(tier: &Tier) -> (Socket, Value) {
    let mut socket = open(tier).await;
    socket.send_json(&json!({ "id": 1, "connect": { "token": tier.token(7).sign() } })).await;
    let answer = socket.json().await;
    (socket, answer)
}

/// Replaces what differs from run to run.
fn masked(mut value: Value) -> Value {
    const CHANGING: &[&str] = &["client", "epoch", "time", "timestamp", "version", "ttl", "event_id"];
    match &mut value {
        Value::Object(fields) => {
            // People are listed by their clients' ids.
            if let Some(Value::Object(people)) = fields.get_mut("presence")
                && !people.contains_key("presence")
            {
                *people = people.iter().map(|(_, info)| ("[client]".to_owned(), info.clone())).collect();
            }
            for (name, field) in fields.iter_mut() {
                if CHANGING.contains(&name.as_str()) {
                    *field = json!(format!("[{name}]"));
                } else {
                    *field = masked(field.take());
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|own| *own = masked(own.take())),
        _ => {}
    }
    value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_is_answered_in_json_as_the_protocol_says() {
    let tier = Tier::builder(BINARY).set("REALTIME_EDGE_OWN_FEEDS", "false").start().await;
    let (mut socket, connect) = connected(&tier).await;
    let mut said = vec![connect];
    let commands = [
        json!({ "id": 2, "subscribe": { "channel": "customer:7", "flag": 1 } }),
        json!({ "id": 3, "subscribe": { "channel": "customer:7" } }),
        json!({ "id": 4, "subscribe": { "channel": "customer:8" } }),
        json!({ "id": 5, "subscribe": { "channel": "kitchen:1" } }),
        json!({ "id": 6, "subscribe": { "channel": "chat:1", "type": 1 } }),
        json!({ "id": 7, "subscribe": { "channel": "rider:7", "recover": true, "epoch": "_", "flag": 2 } }),
        json!({ "id": 8, "publish": { "channel": "customer:7", "data": {} } }),
        json!({ "id": 9, "publish": { "channel": "customer:7" } }),
        json!({ "id": 10, "presence": { "channel": "customer:7" } }),
        json!({ "id": 11, "presence_stats": { "channel": "customer:7" } }),
        json!({ "id": 12, "presence": { "channel": "all" } }),
        json!({ "id": 13, "history": { "channel": "customer:7", "limit": 10 } }),
        json!({ "id": 14, "history": { "channel": "customer:7", "limit": 1, "since": { "offset": 1, "epoch": "another" } } }),
        json!({ "id": 15, "history": { "channel": "customer:7", "limit": 1, "reverse": true, "since": { "epoch": "" } } }),
        json!({ "id": 16, "rpc": { "method": "nobody.knows", "data": {} } }),
        json!({ "id": 17, "ping": {} }),
        json!({ "id": 18, "refresh": { "token": tier.token(7).sign() } }),
        json!({ "id": 19, "sub_refresh": { "channel": "customer:8", "token": "" } }),
        json!({ "id": 20, "unsubscribe": { "channel": "chat:1" } }),
    ];
    for command in commands {
        socket.send_json(&command).await;
        said.push(socket.json().await);
    }
    publish(&tier.grpc(), event("5a7c1d0e-0000-4000-8000-000000000001", &json!({ "a": 1 })), &["customer:7"])
        .await;
    said.push(socket.json().await);
    socket.send_json(&json!({ "id": 21, "history": { "channel": "customer:7", "limit": 1 } })).await;
    said.push(socket.json().await);
    socket.send_json(&json!({ "id": 22, "unsubscribe": { "channel": "customer:7" } })).await;
    said.push(socket.json().await);
    let lines: Vec<String> = said.into_iter().map(|value| masked(value).to_string()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_breaks_the_protocol_is_sent_away_and_told_why() {
    let tier = Tier::all_in_one(BINARY).await;
    let token = tier.token(7).sign();
    let connect = json!({ "id": 1, "connect": { "token": token } });
    let twice = format!("{connect}\n{}", json!({ "id": 2, "connect": { "token": token } }));
    let with = |command: &str| Message::text(format!("{connect}\n{command}"));
    let breaches: Vec<(&str, Message)> = vec![
        ("no JSON", Message::text("hello")),
        ("half a command", Message::text("{\"id\":1,\"connect\":{")),
        ("no object", Message::text("[]")),
        ("an empty frame", Message::text("")),
        ("a frame without commands", Message::text("\n")),
        ("another kind of frame", Message::binary(b"\x00".to_vec())),
        ("a command before connect", Message::text("{\"id\":1,\"subscribe\":{\"channel\":\"chat:1\"}}")),
        ("a pong before connect", Message::text("{}")),
        ("connect without id", Message::text(json!({ "connect": { "token": token } }).to_string())),
        ("no token", Message::text("{\"id\":1,\"connect\":{}}")),
        ("a negative id", Message::text("{\"id\":-1,\"connect\":{}}")),
        ("connect twice", Message::text(twice)),
        ("a command that does nothing", with("{\"id\":2}")),
        ("an unknown command", with("{\"id\":2,\"dance\":{}}")),
        ("a channel without name", with("{\"id\":2,\"subscribe\":{}}")),
        ("nonsense after connect", with("nonsense")),
    ];
    for (what, message) in breaches {
        let mut socket = open(&tier).await;
        socket.send(message).await;
        let (code, reason) = socket.closed().await;
        assert_eq!(code, 3501, "{what}: {reason}");
        assert!(!reason.is_empty() && !reason.contains("eyJ"), "{what}: {reason}");
    }
    // Nobody else was disturbed, and a pong without need is no breach.
    let (mut socket, _) = connected(&tier).await;
    socket.send_text("{}").await;
    socket.send_json(&json!({ "id": 2, "ping": {} })).await;
    assert_eq!(socket.json().await, json!({ "id": 2, "ping": {} }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protobuf_is_spoken_with_whoever_asks_for_it_and_broken_messages_end_it() {
    let tier = Tier::all_in_one(BINARY).await;
    let by_query = ["?format=protobuf", "?cf_protocol=protobuf"];
    for query in by_query {
        for (what, bytes) in [
            ("an unfinished message", b"\x05\x08\x01".to_vec()),
            ("an unfinished length", vec![0xff; 11]),
            ("subscribe before connect", b"\x09\x08\x02\x2a\x05\x0a\x01a\x70\x01".to_vec()),
        ] {
            let mut socket = Connect::to(tier.socket_url(&format!("{PATH}{query}"))).open().await;
            socket.send(Message::binary(bytes)).await;
            assert_eq!(socket.closed().await.0, 3501, "{query}: {what}");
        }
    }
    let mut socket = Connect::to(tier.socket_url(&format!("{PATH}?format=protobuf"))).open().await;
    socket.send_text("{}").await;
    assert_eq!(socket.closed().await.0, 3501, "a text frame");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_say_who_it_is_in_time_is_stale() {
    let tier = Tier::builder(BINARY).set("REALTIME_EDGE_CONNECT_TIMEOUT", "200ms").start().await;
    let mut socket = open(&tier).await;
    assert_eq!(socket.closed().await, (3502, "stale".to_owned()));
    let (mut connected, _) = connected(&tier).await;
    connected.assert_quiet(Duration::from_millis(400)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_answers_no_ping_is_left_and_one_that_wants_none_gets_none() {
    let tier = Tier::builder(BINARY)
        .set("REALTIME_EDGE_PING_INTERVAL", "1s")
        .set("REALTIME_EDGE_PONG_TIMEOUT", "300ms")
        .set("REALTIME_EDGE_OWN_FEEDS", "false")
        .start()
        .await;
    let (mut mute, connect) = connected(&tier).await;
    assert_eq!((&connect["connect"]["ping"], &connect["connect"]["pong"]), (&json!(1), &json!(true)));
    assert_eq!(mute.json().await, json!({}));
    assert_eq!(mute.closed().await.0, 3012);

    // Pings of the WebSocket protocol are answered below.
    let mut native = Connect::to(tier.socket_url(&format!("{PATH}?cf_ws_frame_ping_pong=true"))).open().await;
    native.send_json(&json!({ "id": 1, "connect": { "token": tier.token(7).sign() } })).await;
    let connect = native.json().await;
    assert!(
        connect["connect"].get("ping").is_none() && connect["connect"].get("pong").is_none(),
        "{connect}"
    );
    native.assert_quiet(Duration::from_millis(2500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_without_end_for_what_it_may_not_have_is_sent_away() {
    let tier = Tier::builder(BINARY).set("REALTIME_EDGE_CHANNELS_MAX", "60").start().await;
    let (mut socket, _) = connected(&tier).await;
    let line = |id: u64| json!({ "id": id, "subscribe": { "channel": "chat:1" } }).to_string();
    let mut codes = Vec::new();
    for round in 0..100 {
        let frame: Vec<String> = (0..10).map(|number| line(2 + round * 10 + number)).collect();
        socket.send_text(&frame.join("\n")).await;
    }
    let code = loop {
        match socket.next(PATIENCE).await {
            Next::Json(reply) => codes.push(reply["error"]["code"].as_u64().unwrap()),
            Next::Closed(code, _) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 3013);
    let refused = codes.iter().filter(|code| matches!(code, 103 | 105)).count();
    assert!(refused >= 50 && codes.contains(&111), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_error_to_connect_the_connection_ends_and_nothing_else_is_answered() {
    let tier = Tier::all_in_one(BINARY).await;
    let mut socket = open(&tier).await;
    let connect = json!({ "id": 1, "connect": { "token": tier.token(7).expired().sign() } });
    let subscribe = json!({ "id": 2, "subscribe": { "channel": "customer:7" } });
    socket.send_text(&format!("{connect}\n{subscribe}")).await;
    assert_eq!(socket.json().await, json!({ "id": 1, "error": { "code": 109, "message": "token expired" } }));
    match socket.next(PATIENCE).await {
        Next::Closed(code, _) => assert_eq!(code, 3005),
        other => panic!("the connection goes on: {other:?}"),
    }
}
