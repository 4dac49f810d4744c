//! Who gets in, and what the others are told.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use platepal_service::domain::{Snapshot, Verdict};
use platepal_testkit::{Connect, PATIENCE, Token, eventually, http};
use serde_json::json;

use crate::house::{House, SECRET, event, id, revoked, revoked_for_all, rider_location, token};

#[tokio::test]
async fn every_path_carries_its_feed_with_and_without_the_final_slash() {
    let house = House::open().await;
    for channel in ["restaurant:12", "admin", "chat:88", "order:5012"] {
        house.allow(7, channel);
    }
    for (path, channel) in [
        ("/ws/customer/7", "customer:7"),
        ("/ws/orders/12", "restaurant:12"),
        ("/ws/delivery/7", "rider:7"),
        ("/ws/admin", "admin"),
        ("/ws/chat/88", "chat:88"),
        ("/ws/order/5012", "order:5012"),
    ] {
        let mut bare = house.live(path, 7, channel).await;
        let mut slashed = house.live(&format!("{path}/"), 7, channel).await;
        let position = house.publish(channel, &event(&format!("to-{}", channel.replace(':', "-")))).await;
        assert!(position.offset > 0);
        for socket in [&mut bare, &mut slashed] {
            loop {
                let frame = socket.json().await;
                if !id(&frame).starts_with("greeting") {
                    assert_eq!(frame["data"]["id"], json!(format!("to-{}", channel.replace(':', "-"))));
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_frame_is_the_one_that_the_frontends_read_byte_for_byte() {
    for (spelling, expected) in [("underscored", "order_accepted"), ("dotted", "order.accepted")] {
        let house = House::with(&[("REALTIME_EDGE_EVENT_TYPES", spelling)]).await;
        house.publish("customer:7", &event("e-1")).await;
        house.publish("customer:7", &event("e-2")).await;
        let url = format!("{}?token={}&since_event_id=e-1", house.url("/ws/customer/7"), token(7));
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let message = futures_util::StreamExt::next(&mut socket).await.unwrap().unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(message.to_text().unwrap().replace(expected, "TYPE"), @r#"{"type":"TYPE","data":{"filler":"","id":"e-2"},"event_id":"e-2","timestamp":"2026-11-24T11:30:00.123456+00:00","version":"1.0"}"#);
        }
    }
}

#[tokio::test]
async fn a_bad_token_is_told_why_with_4001() {
    let house = House::open().await;
    let good = Token::new(SECRET, 7);
    let url = house.url("/ws/customer/7");
    for (query, word) in [
        (String::new(), "missing"),
        ("?token=".to_owned(), "missing"),
        ("?token=rubbish".to_owned(), "can't be read"),
        (format!("?token={}", Token::new("another secret of more than 32 bytes", 7).sign()), "signature"),
        (format!("?token={}", good.clone().claim("exp", 1_000).sign()), "expired"),
        (format!("?token={}", good.clone().claim("token_type", "refresh").sign()), "access token"),
        (format!("?token={}", good.clone().without("user_id").sign()), "no user"),
    ] {
        let (code, reason) = Connect::to(format!("{url}{query}")).open().await.closed().await;
        assert_eq!(code, 4001, "{reason}");
        assert!(reason.contains(word), "{reason:?} lacks {word:?}");
    }
    // A server may send it as a header.
    let mut socket = Connect::to(&url).bearer(&good.sign()).open().await;
    house.greet(&mut socket, "customer:7").await;
}

#[tokio::test]
async fn a_feed_of_somebody_else_is_closed_with_4003_and_nobody_is_asked() {
    let house = House::open().await;
    for path in ["/ws/customer/8", "/ws/delivery/8"] {
        assert_eq!(house.connect(path, 7).open().await.closed().await.0, 4003);
    }
    assert_eq!(house.rules.questions.load(Ordering::SeqCst), 0);
    assert_eq!(house.connect("/ws/admin", 7).open().await.closed().await, (4003, "forbidden".into()));
    assert_eq!(house.rules.questions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_nobody_can_decide_now_invites_a_retry_and_is_not_remembered() {
    let house = House::open().await;
    house.rule(7, "admin", Verdict::Undecided("Django is down".into()));
    let (code, reason) = house.connect("/ws/admin", 7).open().await.closed().await;
    assert_eq!(code, 1013, "{reason}");
    assert!(!reason.contains("Django"), "{reason}");
    house.allow(7, "admin");
    house.live("/ws/admin", 7, "admin").await;
}

#[tokio::test]
async fn an_allowed_answer_is_reused_and_a_denied_one_is_not() {
    let house = House::open().await;
    assert_eq!(house.connect("/ws/chat/1", 7).open().await.closed().await.0, 4003);
    house.allow(7, "chat:1");
    for _ in 0..3 {
        house.live("/ws/chat/1", 7, "chat:1").await;
    }
    assert_eq!(house.rules.questions.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_revoked_socket_is_closed_within_a_second_and_others_stay() {
    let house = House::open().await;
    house.allow(7, "chat:1");
    house.allow(8, "chat:1");
    let mut revoked_one = house.live("/ws/chat/1", 7, "chat:1").await;
    let mut other = house.live("/ws/chat/1", 8, "chat:1").await;
    house.rule(7, "chat:1", Verdict::Denied("left the room".into()));
    let began = Instant::now();
    house.tell_edges(&revoked(7, "chat:1")).await;
    assert_eq!(revoked_one.closed().await.0, 4003);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    house.greet(&mut other, "chat:1").await;
    assert_eq!(
        house.connect("/ws/chat/1", 7).open().await.closed().await.0,
        4003,
        "the cached answer is gone"
    );
}

#[tokio::test]
async fn a_channel_that_has_ended_is_closed_for_all_its_readers_and_no_other_channel_is() {
    let house = House::open().await;
    let mut ended = Vec::new();
    for user in [7, 8] {
        house.allow(user, "chat:1");
        ended.push(house.live("/ws/chat/1", user, "chat:1").await);
    }
    house.allow(7, "chat:2");
    let mut other = house.live("/ws/chat/2", 7, "chat:2").await;
    for user in [7, 8] {
        house.rule(user, "chat:1", Verdict::Denied("it has ended".into()));
    }
    house.tell_edges(&revoked_for_all("chat:1")).await;
    for socket in &mut ended {
        assert_eq!(socket.closed().await.0, 4003);
    }
    house.greet(&mut other, "chat:2").await;
    assert_eq!(house.connect("/ws/chat/1", 8).open().await.closed().await.0, 4003);
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_before_the_upgrade() {
    let house = House::with(&[("REALTIME_ALLOWED_ORIGINS", "https://app.example")]).await;
    let refusal =
        house.connect("/ws/customer/7", 7).origin("https://evil.example").attempt().await.unwrap_err();
    assert_eq!(refusal.status, 403);
    assert!(refusal.body.contains("REALTIME_ALLOWED_ORIGINS"), "{}", refusal.body);
    house.connect("/ws/customer/7", 7).origin("https://app.example").open().await;
    house.connect("/ws/customer/7", 7).origin(&format!("http://{}", house.address)).open().await;
}

#[tokio::test]
async fn what_is_no_socket_is_answered_in_json() {
    let house = House::open().await;
    let base = format!("http://{}", house.address);
    for (path, status, word) in [
        ("/ws/customer/7", 426, "upgrade_required"),
        ("/ws/customer/7?token=x", 426, "upgrade_required"),
        ("/ws/kitchen/7", 404, "not_found"),
        ("/ws", 404, "not_found"),
        ("/wp-login.php", 404, "not_found"),
        ("/ws/customer/a.b", 400, "bad_id"),
    ] {
        let response = http::get(&format!("{base}{path}")).await;
        assert_eq!((response.status, response.json()["error"].clone()), (status, json!(word)), "{path}");
    }
    assert_eq!(http::request("POST", &format!("{base}/ws/customer/7"), &[], "x").await.status, 426);
    assert_eq!(http::get(&base).await.status, 200);
    assert_eq!(house.connect("/ws/kitchen/7", 7).attempt().await.unwrap_err().status, 404);
}

#[tokio::test]
async fn a_token_that_expires_closes_its_socket() {
    let house = House::open().await;
    let token = Token::new(SECRET, 7).expires_in(Duration::from_secs(2)).sign();
    let mut socket = Connect::to(format!("{}?token={token}", house.url("/ws/customer/7"))).open().await;
    house.greet(&mut socket, "customer:7").await;
    assert_eq!(socket.closed().await, (4001, "token expired".into()));
}

#[tokio::test]
async fn an_order_starts_with_its_state_and_goes_on_without_gap_or_repeat() {
    let house = House::open().await;
    house.allow(7, "order:5");
    house.publish("order:5", &event("e-1")).await;
    let position = house.publish("order:5", &event("e-2")).await;
    let state = event("state");
    let snapshot = Snapshot { state: Some((state, position)), values: None };
    house.rules.snapshots.lock().unwrap().insert("order:5".into(), snapshot);
    // Later than the snapshot, before the socket: it must come, from the log.
    house.publish("order:5", &event("e-3")).await;
    let mut socket = house.connect("/ws/order/5", 7).open().await;
    let first = socket.json().await;
    assert_eq!(first["data"]["id"], "state");
    assert_eq!(id(&socket.json().await), "e-3");
    house.publish("order:5", &event("e-4")).await;
    assert_eq!(id(&socket.json().await), "e-4");
    // A client that has a place in the feed needs no state.
    let mut back = house.connect_since("/ws/order/5", 7, "e-3").open().await;
    assert_eq!(id(&back.json().await), "e-4");
    // Nor one that saw nothing after its state.
    let mut early = house.connect_since("/ws/order/5", 7, &id(&first)).open().await;
    assert_eq!(id(&early.json().await), "e-3");
    // One whose place nobody knows does.
    let mut lost = house.connect_since("/ws/order/5", 7, "unknown").open().await;
    assert_eq!(lost.json().await["data"]["id"], "state");
}

#[tokio::test]
async fn a_newcomer_gets_the_newest_values_at_once() {
    let house = House::open().await;
    for eta in [9, 8, 7] {
        house.publish("customer:7", &rider_location("rider-1", eta)).await;
    }
    let mut socket = house.connect("/ws/customer/7", 7).open().await;
    assert_eq!(socket.json().await["data"], json!({ "eta_minutes": 7 }));
    house.publish("customer:7", &rider_location("rider-1", 6)).await;
    assert_eq!(socket.json().await["data"], json!({ "eta_minutes": 6 }));
    // The second one is told from memory.
    let mut second = house.connect("/ws/customer/7", 7).open().await;
    assert_eq!(second.json().await["data"], json!({ "eta_minutes": 6 }));
}

#[tokio::test]
async fn at_the_end_clients_are_sent_elsewhere_and_nobody_new_gets_in() {
    let house = House::open().await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(house.live("/ws/customer/7", 7, "customer:7").await);
    }
    house.shutdown.tell();
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, (1012, "service restart".into()));
    }
    eventually("the listener is closed", || async {
        tokio::net::TcpStream::connect(&house.address).await.is_err()
    })
    .await;
    drop(sockets);
    assert!(house.shutdown.wait(PATIENCE).await, "a task did not end");
}

#[tokio::test]
async fn a_bus_that_is_down_closes_newcomers_with_1013() {
    let house = House::open().await;
    house.bus.close().await;
    let (code, _) = house.connect("/ws/customer/7", 7).open().await.closed().await;
    assert_eq!(code, 1013);
    eventually("the edge is not ready", || async { !house.readiness.closed().is_empty() }).await;
}
