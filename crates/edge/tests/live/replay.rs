//! Coming back: exactly what was missed, once, in order.

use std::{sync::Arc, time::Duration};

use platepal_testkit::{Next, PATIENCE, rng, seed};
use rand::Rng;
use tokio::sync::watch;

use crate::house::{House, event, id, rider_location, sized};

#[tokio::test]
async fn a_reader_that_missed_two_events_gets_exactly_those_two() {
    let house = House::open().await;
    for name in ["e-1", "e-2", "e-3"] {
        house.publish("customer:7", &event(name)).await;
    }
    house.publish("customer:8", &event("of-another")).await;
    let mut socket = house.connect_since("/ws/customer/7", 7, "e-1").open().await;
    assert_eq!(id(&socket.json().await), "e-2");
    assert_eq!(id(&socket.json().await), "e-3");
    house.publish("customer:7", &event("e-4")).await;
    assert_eq!(id(&socket.json().await), "e-4");
}

#[tokio::test]
async fn an_unknown_id_replays_what_is_kept_and_no_id_replays_nothing() {
    let house = House::open().await;
    for name in ["e-1", "e-2"] {
        house.publish("customer:7", &event(name)).await;
    }
    for unknown in ["e-0", "not%20an%20id", &"x".repeat(300)] {
        let mut socket = house.connect_since("/ws/customer/7", 7, unknown).open().await;
        assert_eq!(id(&socket.json().await), "e-1");
        assert_eq!(id(&socket.json().await), "e-2");
    }
    let mut fresh = house.connect("/ws/customer/7", 7).open().await;
    house.greet(&mut fresh, "customer:7").await;
}

/// Cuts of one run.
const CUTS: usize = 300;
/// Events by which the publisher may be ahead of the client; beyond the ring, within the retention.
const LEAD: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_cuts_during_publishing_lose_and_repeat_nothing() {
    let mut rng = rng(seed());
    // A small ring, so that both it and the log are replayed from; a short linger, so that feeds come and go.
    let house =
        Arc::new(House::with(&[("REALTIME_EDGE_RING_EVENTS", "20"), ("REALTIME_EDGE_LINGER", "1ms")]).await);
    house.publish("customer:7", &event("e-0")).await;
    let (progress, mut seen) = watch::channel(0);
    let publisher = tokio::spawn({
        let house = Arc::clone(&house);
        async move {
            let mut published = 0;
            while seen.wait_for(|seen| published < seen + LEAD).await.is_ok() {
                published += 1;
                house.publish("customer:7", &event(&format!("e-{published}"))).await;
            }
        }
    });
    let (mut last, mut number) = ("e-0".to_owned(), 0);
    for cut in 0..CUTS {
        let mut socket = house.connect_since("/ws/customer/7", 7, &last).open().await;
        // Mostly short ones, some that come up to the live end.
        let frames = if rng.random_bool(0.1) { rng.random_range(0..400) } else { rng.random_range(0..6) };
        for _ in 0..frames {
            let got = id(&socket.json().await);
            number += 1;
            assert_eq!(got, format!("e-{number}"), "after {cut} cuts");
            last = got;
            progress.send_replace(number);
        }
        if rng.random_bool(0.5) { socket.cut() } else { socket.close().await }
    }
    drop(progress);
    publisher.await.unwrap();
}

#[tokio::test]
async fn a_thousand_retained_events_reach_a_slow_client_whole_while_more_are_published() {
    let house =
        House::with(&[("REALTIME_EDGE_QUEUE_FRAMES", "100"), ("REALTIME_EDGE_QUEUE_BYTES", "64KiB")]).await;
    let bytes = 2_000;
    for number in 0..900 {
        house.publish("customer:7", &sized(&format!("e-{number}"), bytes)).await;
    }
    let mut socket = house.connect_since("/ws/customer/7", 7, "e-0").receive_buffer(4096).open().await;
    // Nobody reads while much more than the queue's bound is published: the reader is behind, not slow.
    for number in 900..1_000 {
        house.publish("customer:7", &sized(&format!("e-{number}"), bytes)).await;
    }
    for number in 1..1_000 {
        assert_eq!(id(&socket.json().await), format!("e-{number}"));
    }
    house.publish("customer:7", &event("live")).await;
    assert_eq!(id(&socket.json().await), "live");
}

#[tokio::test]
async fn a_replay_over_its_bound_goes_on_after_a_reconnect() {
    let house = House::with(&[("REALTIME_EDGE_REPLAY_FRAMES", "100")]).await;
    for number in 0..300 {
        house.publish("customer:7", &event(&format!("e-{number}"))).await;
    }
    let (mut last, mut seen, mut connections) = ("e-0".to_owned(), 0, 0);
    while seen < 299 {
        let mut socket = house.connect_since("/ws/customer/7", 7, &last).open().await;
        connections += 1;
        loop {
            match socket.next(PATIENCE).await {
                Next::Json(frame) => {
                    seen += 1;
                    last = id(&frame);
                    assert_eq!(last, format!("e-{seen}"));
                    if seen == 299 {
                        break;
                    }
                }
                Next::Closed(code, reason) => {
                    assert_eq!(code, 1013, "{reason}");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(connections > 1);
}

#[tokio::test]
async fn a_slow_reader_is_closed_with_4008_and_healed_and_others_are_not_harmed() {
    let house =
        House::with(&[("REALTIME_EDGE_QUEUE_FRAMES", "50"), ("REALTIME_EDGE_QUEUE_BYTES", "256KiB")]).await;
    house.allow(7, "admin");
    house.allow(8, "admin");
    let mut slow = house.connect("/ws/admin", 7).receive_buffer(4096).open().await;
    house.greet(&mut slow, "admin").await;
    let mut quick = house.live("/ws/admin", 8, "admin").await;
    // Greetings of the second are events of the first.
    house.publish("admin", &event("begin")).await;
    let quick_reader = tokio::spawn(async move {
        let mut ids = Vec::new();
        while ids.last().is_none_or(|last| last != "e-599") {
            ids.push(id(&quick.json().await));
        }
        ids
    });
    for number in 0..600 {
        house.publish("admin", &sized(&format!("e-{number}"), 20_000)).await;
        if number % 10 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let quick_ids = quick_reader.await.unwrap();
    assert_eq!(quick_ids.iter().filter(|id| id.starts_with("e-")).count(), 600);

    let mut slow_ids = Vec::new();
    let code = loop {
        match slow.next(PATIENCE).await {
            Next::Json(frame) => slow_ids.push(id(&frame)),
            Next::Closed(code, _) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 4008);
    let last = slow_ids.last().unwrap().clone();
    let mut healed = house.connect_since("/ws/admin", 7, &last).open().await;
    while slow_ids.last().unwrap() != "e-599" {
        slow_ids.push(id(&healed.json().await));
    }
    let slow_ids: Vec<&String> = slow_ids.iter().filter(|id| id.starts_with("e-")).collect();
    assert_eq!(slow_ids, quick_ids.iter().filter(|id| id.starts_with("e-")).collect::<Vec<_>>());
    healed.assert_quiet(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn a_client_that_saw_a_value_last_gets_what_came_after_it_and_nothing_twice() {
    let house = House::open().await;
    let mut socket = house.live("/ws/customer/7", 7, "customer:7").await;
    house.publish("customer:7", &event("before")).await;
    house.publish("customer:7", &rider_location("1", 9)).await;
    assert_eq!(id(&socket.json().await), "before");
    let value = socket.json().await;
    assert_eq!(value["data"]["eta_minutes"], 9);
    socket.cut();
    house.publish("customer:7", &event("after")).await;
    let mut socket = house.connect_since("/ws/customer/7", 7, &id(&value)).open().await;
    // A newcomer is given the newest values at once.
    assert_eq!(socket.json().await["data"]["eta_minutes"], 9);
    assert_eq!(id(&socket.json().await), "after");
    house.publish("customer:7", &event("last")).await;
    assert_eq!(id(&socket.json().await), "last");
}
