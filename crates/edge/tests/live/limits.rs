//! What a client may send and hold, and what happens beyond.

use bytes::Bytes;
use platepal_events::Timestamp;
use platepal_service::instruction::{Instruction, Whom};
use platepal_testkit::{Next, PATIENCE};
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    centrifuge::Client,
    house::{House, event, id, sized},
    wire::{Wire, handshake},
};

#[tokio::test]
async fn what_no_socket_takes_is_answered_and_costs_nothing_else() {
    let house = House::open().await;
    let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
    for (sent, word) in [
        (Message::text(r#"{"type":"hello"}"#), "hello"),
        (Message::text(r#"{"kind":"hello"}"#), "no \"type\""),
        (Message::text("rubbish"), "JSON"),
        (Message::text("[1,2]"), "JSON"),
        (Message::binary(vec![1, 2, 3]), "binary"),
    ] {
        socket.send(sent).await;
        let answer = socket.json().await;
        assert_eq!(answer["type"], json!("error"));
        assert!(answer["message"].as_str().unwrap().contains(word), "{answer}");
    }
    house.greet(&mut socket, "customer:7").await;
}

#[tokio::test]
async fn a_message_over_the_limit_closes_with_1009() {
    let house = House::with(&[("REALTIME_EDGE_MESSAGE_BYTES_MAX", "1KiB")]).await;
    let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
    socket.send(Message::text("x".repeat(2_000))).await;
    assert_eq!(socket.closed().await.0, 1009);
}

#[tokio::test]
async fn pieces_that_make_a_message_over_the_limit_close_with_1009() {
    let house = House::with(&[("REALTIME_EDGE_MESSAGE_BYTES_MAX", "1KiB")]).await;
    let mut bystander = house.live("/ws/customer/8", 8, "customer:8").await;
    let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
    // A text of 600 bytes that goes on, and a piece of 600 bytes more; masked with zeros.
    for opcode in [0x01, 0x00] {
        let mut piece = vec![opcode, 0x80 | 126, 2, 88, 0, 0, 0, 0];
        piece.extend([b'x'; 600]);
        socket.send_bytes(&piece).await;
    }
    assert_eq!(socket.closed().await.0, 1009);
    house.greet(&mut bystander, "customer:8").await;
}

#[tokio::test]
async fn compression_is_not_agreed_on_and_a_compressed_frame_is_a_broken_one() {
    let house = House::open().await;
    let offer = "permessage-deflate; client_max_window_bits";
    let mut wire = Wire::open(&house.address).await;
    wire.send(handshake("/ws/customer/7", 7, &[("sec-websocket-extensions", offer)])).await;
    let head = wire.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(!head.contains("extensions"), "{head}");
    // RSV1 on a text: a few bytes that might inflate to gigabytes.
    let mut socket =
        house.connect("/ws/customer/7", 7).header("sec-websocket-extensions", offer).open().await;
    socket.send_bytes(&[0xc1, 0x84, 0, 0, 0, 0, 0x4b, 0x4c, 0x04, 0x00]).await;
    assert_eq!(socket.closed().await.0, 1002);
}

#[tokio::test]
async fn a_broken_protocol_closes_its_own_socket_only() {
    let house = House::open().await;
    let mut other = house.live("/ws/customer/7", 7, "customer:7").await;
    // Unmasked text; masked text that is not UTF-8; reserved opcode.
    for (bytes, code) in [
        (vec![0x81, 0x01, b'x'], 1002),
        (vec![0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (vec![0x83, 0x80, 0, 0, 0, 0], 1002),
    ] {
        let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
        socket.send_bytes(&bytes).await;
        assert_eq!(socket.closed().await.0, code, "{bytes:?}");
    }
    house.greet(&mut other, "customer:7").await;
}

#[tokio::test]
async fn a_client_that_sends_too_much_is_warned_and_then_closed() {
    let house =
        House::with(&[("REALTIME_EDGE_MESSAGES_PER_SECOND", "1"), ("REALTIME_EDGE_MESSAGES_BURST", "5")])
            .await;
    let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
    for _ in 0..100 {
        socket.send_text(r#"{"type":"x"}"#).await;
    }
    let mut warnings = 0;
    let code = loop {
        match socket.next(PATIENCE).await {
            Next::Json(frame) => {
                warnings += usize::from(frame["message"] == json!("too many messages; slow down"))
            }
            Next::Closed(code, _) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 1008);
    assert!(warnings > 0);
}

#[tokio::test]
async fn pieces_of_nothing_without_end_close_with_1008() {
    // They count by their bytes: 17 KiB, which no message can have, count as one.
    let house = House::with(&[
        ("REALTIME_EDGE_MESSAGE_BYTES_MAX", "1KiB"),
        ("REALTIME_EDGE_MESSAGES_PER_SECOND", "2"),
    ])
    .await;
    let mut bystander = house.live("/ws/customer/8", 8, "customer:8").await;
    let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
    // Masked with zeros: a text that begins, then pieces of it with nothing in them.
    socket.send_bytes(&[0x01, 0x80, 0, 0, 0, 0]).await;
    let pieces = [0x00, 0x80, 0, 0, 0, 0].repeat(1_000);
    for _ in 0..600 {
        socket.send_bytes(&pieces).await;
    }
    assert_eq!(socket.closed().await.0, 1008);
    house.greet(&mut bystander, "customer:8").await;
}

#[tokio::test]
async fn an_old_socket_is_told_to_reconnect_and_misses_nothing() {
    let house = House::with(&[("REALTIME_EDGE_LIFETIME_MAX", "1s")]).await;
    let mut socket = house.connect("/ws/customer/7", 7).open().await;
    house.publish("customer:7", &event("e-1")).await;
    assert_eq!(id(&socket.json().await), "e-1");
    assert_eq!(socket.closed().await.0, 1012);
    house.publish("customer:7", &event("e-2")).await;
    let mut back = house.connect_since("/ws/customer/7", 7, "e-1").open().await;
    assert_eq!(id(&back.json().await), "e-2");
}

#[tokio::test]
async fn one_user_has_so_many_sockets_and_no_more() {
    let house = House::with(&[("REALTIME_EDGE_CONNECTIONS_PER_USER_MAX", "2")]).await;
    let first = house.live("/ws/customer/7", 7, "customer:7").await;
    let _second = house.live("/ws/customer/7", 7, "customer:7").await;
    assert_eq!(house.connect("/ws/customer/7", 7).open().await.closed().await.0, 4029);
    house.live("/ws/customer/8", 8, "customer:8").await;
    first.close().await;
    platepal_testkit::eventually("the closed socket makes room", || async {
        let mut socket = house.connect("/ws/customer/7", 7).open().await;
        socket.next(std::time::Duration::from_millis(50)).await == Next::Nothing
    })
    .await;
}

#[tokio::test]
async fn a_full_edge_answers_503_and_has_room_again_later() {
    let house = House::with(&[("REALTIME_EDGE_CONNECTIONS_MAX", "2")]).await;
    let first = house.live("/ws/customer/7", 7, "customer:7").await;
    let _second = house.live("/ws/customer/7", 7, "customer:7").await;
    let refusal = house.connect("/ws/customer/7", 7).attempt().await.unwrap_err();
    assert_eq!(refusal.status, 503);
    let body: serde_json::Value = serde_json::from_str(&refusal.body).unwrap();
    assert_eq!(body["error"], json!("unavailable"));
    let wait = body["retry_after_ms"].as_f64().unwrap() / 1000.0;
    assert!((2.0..=7.0).contains(&wait), "{refusal:?}");
    let header = refusal.headers.iter().find(|(name, _)| name == "retry-after").unwrap();
    assert_eq!(header.1, wait.ceil().to_string(), "never earlier than the body says");
    first.cut();
    platepal_testkit::eventually("there is room again", || async {
        house.connect("/ws/customer/7", 7).attempt().await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed_and_one_that_does_stays() {
    let house =
        House::with(&[("REALTIME_EDGE_PING_INTERVAL", "1s"), ("REALTIME_EDGE_PONG_TIMEOUT", "500ms")]).await;
    // A client that reads answers pings; one that does not read does not.
    let mut silent = house.live("/ws/customer/7", 7, "customer:7").await;
    let mut lively = house.live("/ws/customer/8", 8, "customer:8").await;
    lively.assert_quiet(std::time::Duration::from_millis(2_500)).await;
    assert_eq!(silent.closed().await.0, 4010);
    house.greet(&mut lively, "customer:8").await;
}

#[tokio::test]
async fn a_close_of_the_client_is_answered() {
    let house = House::open().await;
    let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
    socket.send(Message::Close(None)).await;
    assert!(matches!(socket.next(PATIENCE).await, Next::Closed(..)));
}

#[tokio::test]
async fn a_client_that_pings_without_end_is_closed() {
    let house = House::with(&[("REALTIME_EDGE_MESSAGES_BURST", "5")]).await;
    let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
    for _ in 0..100 {
        socket.send(Message::Ping(Bytes::new())).await;
    }
    assert_eq!(socket.closed().await.0, 1008);
    let mut polite = house.live("/ws/customer/7", 7, "customer:7").await;
    polite.send(Message::Ping(Bytes::new())).await;
    house.greet(&mut polite, "customer:7").await;
}

#[tokio::test]
async fn a_connection_that_is_old_or_idle_is_told_to_come_back() {
    for setting in ["REALTIME_EDGE_LIFETIME_MAX", "REALTIME_EDGE_IDLE_MAX"] {
        let house = House::with(&[(setting, "1s")]).await;
        let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
        let (code, reason) = socket.closed().await;
        assert_eq!(code, 1012, "{setting}: {reason}");
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_like_any_other() {
    let house = House::with(&[
        ("REALTIME_EDGE_QUEUE_BYTES", "64MiB"),
        ("REALTIME_EDGE_WRITE_TIMEOUT", "300s"),
        ("REALTIME_EDGE_STALL_TIMEOUT", "600s"),
        ("REALTIME_EDGE_PONG_TIMEOUT", "300s"),
    ])
    .await;
    house.allow(7, "chat:1");
    house.allow(8, "chat:1");
    let stalled = house.connect("/ws/chat/1", 8).receive_buffer(4096).open().await;
    // More than both kernels hold.
    for number in 0..200 {
        house.publish("chat:1", &sized(&format!("large-{number}"), 60_000)).await;
    }
    let mut client = Client::connect(&house, 7).await;
    let mut readers = async || {
        let reply = client.ask(json!({ "id": 2, "presence_stats": { "channel": "chat:1" } })).await;
        reply["presence_stats"]["num_clients"].as_u64()
    };
    assert_eq!(readers().await, Some(1));
    let whom = Whom { user: Some("8".into()), ..Whom::default() };
    let order = Instruction::Disconnect { whom, code: None, reason: "banned".into(), except: vec![] };
    order.give(&*house.bus, Timestamp::from_micros(0)).await.unwrap();
    let began = Instant::now();
    while readers().await != Some(0) {
        assert!(began.elapsed() < PATIENCE, "it still reads");
    }
    drop(stalled);
}
