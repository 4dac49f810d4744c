//! Subscriptions: no gap, no repeat, one order.

use rand::Rng;

use super::*;

pub async fn a_subscription_gets_what_is_appended_after_it_and_nothing_else(house: &impl House) {
    let bus = house.open(&[]).await;
    let seven = channel("customer:7");
    append_many(&*bus, &seven, 0..5).await;
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    append(&*bus, &channel("customer:8"), "x").await;
    append_many(&*bus, &seven, 5..50).await;
    for id in numbers(5..50) {
        assert_eq!(next_entry(&mut subscription).await.event.id.as_str(), id);
    }
    let silence = tokio::time::timeout(Duration::from_millis(100), subscription.next()).await;
    assert!(silence.is_err(), "{silence:?}");
}

pub async fn attaching_and_then_reading_leaves_no_gap_and_no_repeat(house: &impl House) {
    let seed = platepal_testkit::seed();
    let mut random = platepal_testkit::rng(seed);
    let bus = house.open(&[("REALTIME_BUS_SUBSCRIPTION_QUEUE", "16")]).await;
    const EVENTS: u32 = 400;
    for round in 0..5 {
        let seven = channel(&format!("customer:{round}"));
        let writers: Vec<_> = (0..4u32)
            .map(|writer| {
                let (bus, seven) = (Arc::clone(&bus), seven.clone());
                tokio::spawn(async move {
                    for n in (writer * EVENTS / 4)..((writer + 1) * EVENTS / 4) {
                        append(&*bus, &seven, &n.to_string()).await;
                    }
                })
            })
            .collect();
        let mut readers = Vec::new();
        for _ in 0..8 {
            let (bus, seven) = (Arc::clone(&bus), seven.clone());
            let cut = random.random_range(0..EVENTS as usize * 3 / 4);
            readers.push(tokio::spawn(async move {
                until("enough events", || async {
                    bus.read(&seven, 0, 1_000).await.unwrap().entries.len() >= cut
                })
                .await;
                let mut subscription = bus.subscribe(&seven).await.unwrap();
                let mut seen = bus.read(&seven, 0, 1_000).await.unwrap().entries;
                while seen.len() < EVENTS as usize {
                    let entry = next_entry(&mut subscription).await;
                    if entry.position.offset > seen.last().map_or(0, |last| last.position.offset) {
                        seen.push(entry);
                    }
                }
                seen
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let kept = bus.read(&seven, 0, 1_000).await.unwrap().entries;
        assert_eq!(kept.len(), EVENTS as usize);
        for reader in readers {
            assert_eq!(ids(&reader.await.unwrap()), ids(&kept), "seed {seed}");
        }
    }
}

pub async fn a_reader_slower_than_its_queue_gets_every_event_in_order(house: &impl House) {
    let bus =
        house.open(&[("REALTIME_BUS_SUBSCRIPTION_QUEUE", "4"), ("REALTIME_BUS_HEAL_INTERVAL", "1s")]).await;
    let seven = channel("customer:7");
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    append_many(&*bus, &seven, 0..600).await;
    let mut got = Vec::new();
    for _ in 0..600 {
        got.push(next_entry(&mut subscription).await);
    }
    assert_eq!(ids(&got), numbers(0..600));
    let mut before = 0;
    for entry in got {
        assert_eq!(entry.previous_offset, before, "as read from the log");
        before = entry.position.offset;
    }
    append(&*bus, &seven, "600").await;
    assert_eq!(next_entry(&mut subscription).await.event.id.as_str(), "600");
}

pub async fn a_newcomer_gets_newest_values_and_then_newer_ones(house: &impl House) {
    let bus = house.open(&[]).await;
    let order = channel("order:7");
    bus.append(std::slice::from_ref(&order), &value("a1", "a")).await.unwrap();
    bus.append(std::slice::from_ref(&order), &value("a2", "a")).await.unwrap();
    let mut subscription = bus.subscribe(&order).await.unwrap();
    assert_eq!(ids(&bus.latest(&order).await.unwrap()), ["a2"]);
    bus.append(std::slice::from_ref(&order), &value("a3", "a")).await.unwrap();
    bus.append(std::slice::from_ref(&order), &value("b1", "b")).await.unwrap();
    assert_eq!(next_entry(&mut subscription).await.event.id.as_str(), "a3");
    let b = next_entry(&mut subscription).await;
    assert_eq!((b.event.id.as_str(), &*b.event.key), ("b1", "b"));
    assert_eq!(ids(&bus.latest(&order).await.unwrap()), ["a3", "b1"]);
}

pub async fn cancelled_waits_lose_nothing(house: &impl House) {
    let bus = house.open(&[("REALTIME_BUS_SUBSCRIPTION_QUEUE", "8")]).await;
    let seven = channel("customer:7");
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    let writer = {
        let (bus, seven) = (Arc::clone(&bus), seven.clone());
        tokio::spawn(async move { append_many(&*bus, &seven, 0..300).await })
    };
    let mut got = Vec::new();
    let by = tokio::time::Instant::now() + PATIENCE;
    while got.len() < 300 {
        assert!(tokio::time::Instant::now() < by, "only {} of 300 events", got.len());
        // Mostly too short for a read of the log.
        let wait = Duration::from_micros(rand::rng().random_range(0..2_000));
        if let Ok(delivery) = tokio::time::timeout(wait, subscription.next()).await {
            match delivery.unwrap() {
                Delivery::Entry(entry) => got.push(entry),
                other => panic!("{other:?}"),
            }
        }
    }
    writer.await.unwrap();
    assert_eq!(ids(&got), numbers(0..300));
}
