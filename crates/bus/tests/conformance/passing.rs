//! Events that are told to whoever listens now, and kept nowhere.

use super::*;

pub async fn a_passing_event_goes_to_all_who_listen_and_to_nobody_who_comes_later(house: &impl House) {
    let bus = house.open(&[]).await;
    let seven = channel("customer:7");
    // Nobody listens, and that is no error.
    bus.pass(&channel("customer:9"), &event("unheard")).await.unwrap();
    // It is on its way when `pass` is answered; whoever has heard it knows that it has been told to all.
    let mut witness = bus.subscribe(&seven).await.unwrap();
    bus.pass(&seven, &event("early")).await.unwrap();
    assert_eq!(next_passing(&mut witness).await.id.as_str(), "early");
    let mut first = bus.subscribe(&seven).await.unwrap();
    let mut second = bus.subscribe(&seven).await.unwrap();
    let mut elsewhere = bus.subscribe(&channel("customer:8")).await.unwrap();
    bus.pass(&seven, &event("now")).await.unwrap();
    for subscription in [&mut witness, &mut first, &mut second] {
        assert_eq!(next_passing(subscription).await.id.as_str(), "now");
    }
    let mut late = bus.subscribe(&seven).await.unwrap();
    append(&*bus, &seven, "kept").await;
    append(&*bus, &channel("customer:8"), "other").await;
    for subscription in [&mut first, &mut second, &mut late] {
        assert_eq!(next_entry(subscription).await.event.id.as_str(), "kept");
    }
    assert_eq!(next_entry(&mut elsewhere).await.event.id.as_str(), "other");
}

pub async fn a_passing_event_is_kept_nowhere_and_changes_no_position(house: &impl House) {
    let bus = house.open(&[]).await;
    let seven = channel("customer:7");
    let before = append(&*bus, &seven, "before").await;
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    let (head, position) = (bus.head(&seven).await.unwrap(), subscription.position().clone());
    bus.pass(&seven, &event("passing")).await.unwrap();
    bus.pass(&seven, &value("passing-value", "a")).await.unwrap();
    assert_eq!(next_passing(&mut subscription).await.id.as_str(), "passing");
    assert_eq!(next_passing(&mut subscription).await.id.as_str(), "passing-value");

    assert_eq!(subscription.position(), &position);
    assert_eq!(bus.head(&seven).await.unwrap(), head);
    assert_eq!(ids(&bus.read(&seven, 0, 10).await.unwrap().entries), ["before"]);
    assert_eq!(bus.find(&seven, &id("passing")).await.unwrap(), None);
    assert_eq!(bus.latest(&seven).await.unwrap(), []);

    let after = append(&*bus, &seven, "after").await;
    let entry = next_entry(&mut subscription).await;
    assert_eq!((entry.position.offset, entry.previous_offset), (after, before));
    let page = bus.read(&seven, before, 10).await.unwrap();
    assert_eq!((ids(&page.entries), page.complete), (vec!["after".to_owned()], true));
}

pub async fn a_passing_event_is_whole_and_may_be_of_any_class_and_told_again(house: &impl House) {
    let bus = house.open(&[]).await;
    let order = channel("order:7");
    let mut subscription = bus.subscribe(&order).await.unwrap();
    let (of_log, of_latest) = (event("a"), value("b", "k"));
    for passed in [&of_log, &of_latest, &of_latest, &of_log] {
        bus.pass(&order, passed).await.unwrap();
    }
    for passed in [&of_log, &of_latest, &of_latest, &of_log] {
        assert_eq!(*next_passing(&mut subscription).await, *passed);
    }
    // Having passed by does not make it a repeat.
    for kept in [&of_log, &of_latest] {
        let appended = bus.append(std::slice::from_ref(&order), kept).await.unwrap();
        assert!(!appended[0].duplicate);
        assert_eq!(*next_entry(&mut subscription).await.event, *kept);
    }
}

pub async fn passing_events_between_appends_make_no_gap_and_no_repeat(house: &impl House) {
    // A gap would be healed at once, and seen: the log is read, and what it gives has other predecessors.
    let bus = house.open(&[("REALTIME_BUS_HEAL_INTERVAL", "10m")]).await;
    let seven = channel("customer:7");
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    let passing = {
        let (bus, seven) = (Arc::clone(&bus), seven.clone());
        tokio::spawn(async move {
            for n in 0..200 {
                bus.pass(&seven, &event(&format!("p{n}"))).await.unwrap();
            }
        })
    };
    append_many(&*bus, &seven, 0..200).await;
    passing.await.unwrap();
    let (mut kept, mut passed) = (Vec::new(), Vec::new());
    let mut before = None;
    while kept.len() + passed.len() < 400 {
        match next(&mut subscription).await {
            Delivery::Entry(entry) => {
                if let Some(before) = before.replace(entry.position.offset) {
                    assert_eq!(entry.previous_offset, before);
                }
                kept.push(entry);
            }
            Delivery::Passing(event) => passed.push(event.id.to_string()),
            reset @ Delivery::Reset { .. } => panic!("{reset:?}"),
        }
    }
    assert_eq!(ids(&kept), numbers(0..200));
    let expected: Vec<String> = (0..200).map(|n| format!("p{n}")).collect();
    assert_eq!(passed, expected, "the queue holds them all");
    assert_eq!(ids(&bus.read(&seven, 0, 1_000).await.unwrap().entries), numbers(0..200));
}

pub async fn a_reader_slower_than_its_queue_may_lose_what_passes_and_nothing_that_is_kept(
    house: &impl House,
) {
    let bus =
        house.open(&[("REALTIME_BUS_SUBSCRIPTION_QUEUE", "4"), ("REALTIME_BUS_HEAL_INTERVAL", "1s")]).await;
    let seven = channel("customer:7");
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    for n in 0..200 {
        bus.pass(&seven, &event(&format!("p{n}"))).await.unwrap();
        append(&*bus, &seven, &n.to_string()).await;
    }
    let (mut kept, mut passed) = (Vec::new(), 0);
    while kept.len() < 200 {
        match next(&mut subscription).await {
            Delivery::Entry(entry) => kept.push(entry),
            Delivery::Passing(_) => passed += 1,
            reset @ Delivery::Reset { .. } => panic!("{reset:?}"),
        }
    }
    assert_eq!(ids(&kept), numbers(0..200));
    assert!(passed < 200, "the queue holds four");
}

pub async fn a_passing_event_that_is_too_large_is_refused_and_nobody_is_told(house: &impl House) {
    let bus = house.open(&[("REALTIME_BUS_PASSING_BYTES", "1000")]).await;
    let seven = channel("customer:7");
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    let sized =
        |id: &str, bytes: usize| make("order.accepted", id, "", format!("\"{}\"", "x".repeat(bytes - 2)));
    let error = bus.pass(&seven, &sized("large", 1_001)).await.unwrap_err();
    assert!(!error.is_temporary(), "{error}");
    for part in ["1001 bytes", "the limit is 1000", "REALTIME_BUS_PASSING_BYTES"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    bus.pass(&seven, &sized("fits", 1_000)).await.unwrap();
    assert_eq!(next_passing(&mut subscription).await.id.as_str(), "fits");
}
