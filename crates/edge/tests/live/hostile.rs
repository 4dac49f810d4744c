//! Clients that mean no good: each is answered or ended, and nobody else feels it.

use std::{sync::OnceLock, time::Duration};

use platepal_service::Metrics;
use platepal_testkit::{PATIENCE, eventually};
use tokio::io::AsyncWriteExt;

use crate::{
    house::{House, event, id, sized, token},
    wire::{Wire, handshake},
};

/// How many handshakes have ended so far in this process.
fn handshakes(result: &str) -> u64 {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    let metrics = METRICS.get_or_init(|| Metrics::install().unwrap()).render();
    let name = format!("realtime_edge_handshakes_total{{result=\"{result}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn a_client_that_never_finishes_its_request_is_ended_in_time() {
    let before = handshakes("too_slow");
    let house = House::with(&[("REALTIME_EDGE_HANDSHAKE_TIMEOUT", "300ms")]).await;
    let mut bystander = house.live("/ws/customer/7", 7, "customer:7").await;
    let mut silent = Wire::open(&house.address).await;
    let mut half = Wire::open(&house.address).await;
    half.send("GET /ws/customer/7 HTTP/1.1\r\nhost: ").await;
    assert_eq!(silent.rest().await, "");
    assert_eq!(half.rest().await, "");
    // One byte now and then does not help.
    let mut drip = Wire::open(&house.address).await;
    let mut bytes = b"GET / HTTP/1.1\r\nx: ".iter().copied().chain(std::iter::repeat(b'y'));
    let ended = tokio::time::timeout(PATIENCE, async {
        while drip.0.write_all(&[bytes.next().unwrap()]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ended.await.expect("the drip is ended");
    // One that was answered is not kept for ever, either.
    let mut answered = Wire::open(&house.address).await;
    answered.send("GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answered.rest().await.starts_with("HTTP/1.1 404 "));
    eventually("they are counted", || async { handshakes("too_slow") >= before + 3 }).await;
    house.greet(&mut bystander, "customer:7").await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let before = handshakes("too_large");
    let house = House::open().await;
    let long = "y".repeat(20_000);
    let lines: String = (0..65).map(|n| format!("x-{n}: y\r\n")).collect();
    for request in [
        format!("GET /ws/customer/7 HTTP/1.1\r\nhost: x\r\nx: {long}\r\n\r\n"),
        format!("GET /ws/customer/7?token={long} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("GET /ws/customer/7 HTTP/1.1\r\n{lines}\r\n"),
    ] {
        let mut wire = Wire::open(&house.address).await;
        wire.send(&request).await;
        let answer = wire.rest().await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?} to {}", &request[..40]);
    }
    eventually("they are counted", || async { handshakes("too_large") >= before + 3 }).await;
    // As many as are allowed are no harm.
    let lines: Vec<(String, &str)> = (0..50).map(|n| (format!("x-{n}"), "y")).collect();
    let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let mut wire = Wire::open(&house.address).await;
    wire.send(handshake("/ws/customer/7", 7, &lines)).await;
    assert!(wire.head().await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn two_opinions_on_where_a_request_ends_get_one_answer() {
    let before = handshakes("malformed");
    let house = House::open().await;
    let smuggled = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    for (head, status) in [
        ("content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 426),
        ("transfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n0\r\n\r\n", 426),
        ("transfer-encoding: chunked\r\n\r\n0\r\n\r\n", 426),
        ("content-length: 3\r\ncontent-length: 4\r\n\r\nabc", 400),
        ("content-length: +3\r\n\r\nabc", 400),
        ("content-length: 3, 3\r\n\r\nabc", 400),
        ("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        ("transfer-encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        ("x: y\r\n z\r\n\r\n", 400),
        ("\0: y\r\n\r\n", 400),
    ] {
        let mut wire = Wire::open(&house.address).await;
        wire.send(format!("POST /ws/customer/7 HTTP/1.1\r\nhost: x\r\n{head}{smuggled}")).await;
        let answers = wire.rest().await;
        assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{answers:?} to {head:?}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers:?} to {head:?}");
    }
    let mut old = Wire::open(&house.address).await;
    old.send("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").await;
    assert!(old.rest().await.contains(" 400 "));
    // A body of a handshake would be frames to us.
    for body in [("content-length", "5"), ("transfer-encoding", "chunked")] {
        let mut wire = Wire::open(&house.address).await;
        wire.send(handshake("/ws/customer/7", 7, &[body, ("connection", "close")])).await;
        wire.send("hello").await;
        let answer = wire.rest().await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad_request"), "{answer:?}");
    }
    eventually("they are counted", || async { handshakes("malformed") >= before + 8 }).await;
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let house = House::open().await;
    for head in
        ["content-length: 1000000", "transfer-encoding: chunked", "content-length: 18446744073709551615"]
    {
        let mut wire = Wire::open(&house.address).await;
        wire.send(format!("POST /ws/customer/7 HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n")).await;
        let answer = wire.rest().await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer:?} to {head}");
    }
}

#[tokio::test]
async fn a_body_has_a_limit_of_bytes_and_of_time() {
    let house =
        House::with(&[("REALTIME_EDGE_BODY_TIMEOUT", "300ms"), ("REALTIME_EDGE_BODY_BYTES_MAX", "1KiB")])
            .await;
    let (large, chunk) = ("x".repeat(2_000), format!("3e8\r\n{}\r\n", "x".repeat(1_000)));
    for (head, body, status, word) in [
        ("content-length: 100", "half", 408, "body_too_slow"),
        ("transfer-encoding: chunked", "4\r\nhalf\r\n", 408, "body_too_slow"),
        ("content-length: 2000", large.as_str(), 413, "body_too_large"),
        ("transfer-encoding: chunked", chunk.repeat(2).as_str(), 413, "body_too_large"),
        ("content-length: 4", "half", 400, "bad_request"),
    ] {
        let mut wire = Wire::open(&house.address).await;
        let connection = if status == 400 { "close" } else { "keep-alive" };
        wire.send(format!(
            "POST /emulation HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\n{head}\r\n\r\n"
        ))
        .await;
        wire.send(body).await;
        let answer = wire.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer:?} to {head}");
        assert!(answer.contains(word), "{answer:?} to {head}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stream_that_nobody_reads_is_dropped_and_makes_room() {
    let house = House::with(&[
        ("REALTIME_EDGE_WRITE_TIMEOUT", "500ms"),
        ("REALTIME_EDGE_STALL_TIMEOUT", "1s"),
        ("REALTIME_EDGE_CONNECTIONS_MAX", "2"),
    ])
    .await;
    let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
    let mut deaf = Wire::deaf(&house.address).await;
    deaf.send(format!("GET /events/customer/7?token={} HTTP/1.1\r\nhost: x\r\n\r\n", token(7))).await;
    assert!(deaf.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(house.connect("/ws/customer/8", 8).attempt().await.unwrap_err().status, 503);
    // More than the kernels hold.
    for nth in 0..400 {
        house.publish("customer:7", &sized(&format!("e-{nth}"), 40_000)).await;
        assert_eq!(id(&socket.json().await), format!("e-{nth}"));
    }
    eventually("there is room again", || async {
        house.connect("/ws/customer/8", 8).attempt().await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_connection_carries_so_many_requests_and_no_more() {
    let house = House::with(&[("REALTIME_EDGE_REQUESTS_PER_CONNECTION_MAX", "3")]).await;
    for request in [
        "GET /nothing HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut wire = Wire::open(&house.address).await;
        wire.send(request.repeat(10)).await;
        let answers = wire.rest().await;
        assert_eq!(answers.matches(" 404 Not Found").count(), 3, "{answers}");
    }
    // A handshake may be the last of them.
    let mut wire = Wire::open(&house.address).await;
    for _ in 0..2 {
        wire.send("HEAD /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(wire.head().await.contains(" 404 "));
    }
    wire.send(handshake("/ws/customer/7", 7, &[])).await;
    assert!(wire.head().await.starts_with("HTTP/1.1 101 "));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_reads_no_answers_is_dropped() {
    let house = House::with(&[
        ("REALTIME_EDGE_WRITE_TIMEOUT", "500ms"),
        ("REALTIME_EDGE_STALL_TIMEOUT", "1s"),
        ("REALTIME_EDGE_REQUESTS_PER_CONNECTION_MAX", "1000000"),
    ])
    .await;
    let mut deaf = Wire::deaf(&house.address).await;
    let requests = "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000);
    let dropped = async { while deaf.0.write_all(requests.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), dropped).await.expect("it is dropped");
}

/// What a hostile connection does, by its number; it stays until it is ended or dropped.
async fn attack(nth: usize, address: String) {
    let mut wire = Wire::open(&address).await;
    let user = 1_000 + nth as u64;
    let path = format!("/ws/customer/{user}");
    match nth % 8 {
        // Nothing at all.
        0 => {}
        1 => wire.send("GET /ws/customer/7 HTTP/1.1\r\nhost: ").await,
        2 => wire.send([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]).await,
        3 => wire.send(format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(20_000))).await,
        4 => wire.send("GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50)).await,
        // Sockets that ask without end and read nothing; that break the protocol; that send too much.
        5 => {
            wire.send(handshake(&path, user, &[])).await;
            wire.send([0x89, 0x80, 0, 0, 0, 0].repeat(200)).await;
        }
        6 => {
            wire.send(handshake(&path, user, &[])).await;
            wire.send([0x83, 0x80, 0, 0, 0, 0].repeat(100)).await;
        }
        _ => {
            wire.send(handshake(&path, user, &[])).await;
            wire.send([0x81, 0x82, 0, 0, 0, 0, b'{', b'}'].repeat(200)).await;
        }
    }
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_hostile_connections_take_nothing_from_a_client_that_behaves() {
    const HOSTILE: usize = 2_000;
    const EVENTS: usize = 200;
    let house = House::with(&[("REALTIME_EDGE_HANDSHAKE_TIMEOUT", "2s")]).await;
    let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
    let mut attacks = tokio::task::JoinSet::new();
    for nth in 0..EVENTS {
        for n in 0..HOSTILE / EVENTS {
            attacks.spawn(attack(nth * (HOSTILE / EVENTS) + n, house.address.clone()));
        }
        house.publish("customer:7", &event(&format!("e-{nth}"))).await;
    }
    for nth in 0..EVENTS {
        assert_eq!(id(&socket.json().await), format!("e-{nth}"));
    }
    // Newcomers get in, too, while all of them are there.
    let mut newcomer = house.connect_since("/ws/customer/7", 7, "e-0").open().await;
    for nth in 1..EVENTS {
        assert_eq!(id(&newcomer.json().await), format!("e-{nth}"));
    }
    attacks.shutdown().await;
    house.greet(&mut socket, "customer:7").await;
}
