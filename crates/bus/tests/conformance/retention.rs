//! What is no longer kept is said.

use super::*;

pub async fn a_channel_keeps_its_newest_events_and_says_that_older_ones_are_gone(house: &impl House) {
    let bus = house.open(&[("REALTIME_BUS_RETENTION_EVENTS", "10")]).await;
    let (seven, eight) = (channel("customer:7"), channel("customer:8"));
    append_many(&*bus, &eight, 0..3).await;
    let mut offsets = Vec::new();
    for n in 0..25 {
        offsets.push(append(&*bus, &seven, &n.to_string()).await);
    }
    let page = bus.read(&seven, 0, 100).await.unwrap();
    assert_eq!((ids(&page.entries), page.complete), (numbers(15..25), false));
    let page = bus.read(&seven, offsets[4], 100).await.unwrap();
    assert_eq!((ids(&page.entries), page.complete), (numbers(15..25), false));
    let page = bus.read(&seven, offsets[15], 100).await.unwrap();
    assert_eq!((ids(&page.entries), page.complete), (numbers(16..25), true));
    let page = bus.read(&eight, 0, 100).await.unwrap();
    assert_eq!((ids(&page.entries), page.complete), (numbers(0..3), true), "a quiet channel keeps all");
    let again = bus.append(std::slice::from_ref(&seven), &event("2")).await.unwrap();
    assert_eq!(
        (again[0].duplicate, again[0].position.offset),
        (true, offsets[2]),
        "within the duplicate window"
    );
}

pub async fn a_subscription_that_missed_what_is_gone_is_reset(house: &impl House) {
    let bus = house
        .open(&[
            ("REALTIME_BUS_RETENTION_EVENTS", "10"),
            ("REALTIME_BUS_SUBSCRIPTION_QUEUE", "4"),
            ("REALTIME_BUS_HEAL_INTERVAL", "1s"),
        ])
        .await;
    let seven = channel("customer:7");
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    append_many(&*bus, &seven, 0..100).await;
    let head = bus.head(&seven).await.unwrap();
    // What still fits into the queue may come first.
    let mut before = 0;
    let position = loop {
        match next(&mut subscription).await {
            Delivery::Entry(entry) => {
                assert_eq!(entry.event.id.as_str(), before.to_string());
                before += 1;
            }
            Delivery::Reset { position, reason } => {
                assert!(reason.contains("no longer retained"), "{reason}");
                break position;
            }
            Delivery::Passing(event) => panic!("nothing was passed: {event:?}"),
        }
    };
    assert!(before < 90, "{before} events came, though the log has the last ten and the queue holds four");
    assert_eq!(position, head);
    append(&*bus, &seven, "new").await;
    let entry = next_entry(&mut subscription).await;
    assert_eq!((entry.event.id.as_str(), entry.previous_offset), ("new", head.offset));
}

pub async fn events_leave_by_age(house: &impl House) {
    let bus =
        house.open(&[("REALTIME_BUS_RETENTION_AGE", "2s"), ("REALTIME_BUS_DUPLICATE_WINDOW", "1s")]).await;
    let seven = channel("customer:7");
    let first = append(&*bus, &seven, "a").await;
    append(&*bus, &seven, "b").await;
    bus.append(std::slice::from_ref(&seven), &value("v", "k")).await.unwrap();
    until("all events are too old", || async {
        let page = bus.read(&seven, 0, 10).await.unwrap();
        page.entries.is_empty() && !page.complete && bus.latest(&seven).await.unwrap().is_empty()
    })
    .await;
    assert!(!bus.read(&seven, first, 10).await.unwrap().complete);
    let again = bus.append(std::slice::from_ref(&seven), &event("a")).await.unwrap();
    assert!(!again[0].duplicate, "out of the duplicate window it is a new event");
    let page = bus.read(&seven, 0, 10).await.unwrap();
    assert_eq!(ids(&page.entries), ["a"]);
    assert!(page.head.offset > first);
}
