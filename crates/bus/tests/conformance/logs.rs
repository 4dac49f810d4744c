//! Appending and reading.

use futures_util::future::join_all;
use platepal_events::Channel;

use super::*;

pub async fn an_event_that_is_appended_twice_keeps_its_first_position(house: &impl House) {
    let bus = house.open(&[]).await;
    let (seven, eight) = (channel("customer:7"), channel("customer:8"));
    let first = bus.append(std::slice::from_ref(&seven), &event("a")).await.unwrap();
    append(&*bus, &seven, "b").await;
    let again = bus.append(&[seven.clone(), eight.clone()], &event("a")).await.unwrap();
    assert!(!first[0].duplicate);
    assert!(again[0].duplicate);
    assert_eq!(again[0].position, first[0].position);
    assert!(!again[1].duplicate, "an id is known per channel");
    assert_eq!(ids(&bus.read(&seven, 0, 100).await.unwrap().entries), ["a", "b"]);
    assert_eq!(ids(&bus.read(&eight, 0, 100).await.unwrap().entries), ["a"]);
}

pub async fn one_event_goes_to_several_channels_in_the_order_given(house: &impl House) {
    let bus = house.open(&[]).await;
    let channels: Vec<Channel> = (1..=100).map(|n| channel(&format!("order:{n}"))).collect();
    let appended = bus.append(&channels, &event("a")).await.unwrap();
    assert_eq!(appended.len(), channels.len());
    for (channel, appended) in channels.iter().zip(appended) {
        let page = bus.read(channel, 0, 10).await.unwrap();
        assert_eq!((ids(&page.entries), page.head), (vec!["a".to_owned()], appended.position));
    }
    assert_eq!(bus.append(&[], &event("b")).await.unwrap(), []);
}

pub async fn offsets_grow_and_each_event_names_its_predecessor(house: &impl House) {
    let bus = house.open(&[]).await;
    let (seven, admin) = (channel("customer:7"), channel("admin"));
    assert_eq!(bus.head(&seven).await.unwrap().offset, 0);
    for n in 0..10 {
        append(&*bus, &seven, &format!("c{n}")).await;
        append(&*bus, &admin, &format!("a{n}")).await;
    }
    let page = bus.read(&seven, 0, 100).await.unwrap();
    assert!(page.complete);
    let mut before = 0;
    for entry in &page.entries {
        assert_eq!(entry.previous_offset, before);
        assert!(entry.position.offset > before);
        assert_eq!(entry.position.epoch, page.head.epoch);
        before = entry.position.offset;
    }
    assert_eq!((before, page.entries.len()), (page.head.offset, 10));
    assert_eq!(bus.head(&seven).await.unwrap(), page.head);
}

pub async fn an_event_comes_back_whole(house: &impl House) {
    let bus = house.open(&[]).await;
    let seven = channel("chat:7");
    let mut sent = event("0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11");
    sent.payload = "{\"id\": 5012,  \"note\":\"\\u00e9 – ü\"}".into();
    sent.version = "2.1".into();
    sent.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into();
    let mut live = bus.subscribe(&seven).await.unwrap();
    bus.append(std::slice::from_ref(&seven), &sent).await.unwrap();
    let entry = bus.read(&seven, 0, 1).await.unwrap().entries.remove(0);
    assert_eq!(*entry.event, sent);
    assert_eq!(entry.channel, seven);
    let told = next_entry(&mut live).await;
    assert_eq!((&*told.event, told.position, told.channel), (&sent, entry.position, seven));
}

pub async fn a_log_is_read_page_by_page(house: &impl House) {
    let bus = house.open(&[]).await;
    let seven = channel("customer:7");
    append_many(&*bus, &seven, 0..25).await;
    let mut read = Vec::new();
    let mut after = 0;
    loop {
        let page = bus.read(&seven, after, 10).await.unwrap();
        assert!(page.complete);
        assert!(page.entries.len() <= 10);
        let Some(last) = page.entries.last() else { break };
        after = last.position.offset;
        assert_eq!(page.head, bus.head(&seven).await.unwrap());
        read.extend(ids(&page.entries));
    }
    assert_eq!(read, numbers(0..25));
    let page = bus.read(&seven, after, 10).await.unwrap();
    assert_eq!((page.entries.len(), page.complete, page.head.offset), (0, true, after));
    assert!(!bus.read(&seven, after + 1_000, 10).await.unwrap().complete, "a place that the log never had");
}

pub async fn two_channels_do_not_mix(house: &impl House) {
    let bus = house.open(&[]).await;
    // Names of which one starts like the other.
    let names = ["customer:7", "customer:77", "customer:7_1", "admin", "all"];
    let mut subscriptions = Vec::new();
    for name in names {
        subscriptions.push(bus.subscribe(&channel(name)).await.unwrap());
    }
    for name in names {
        let id = name.replace(':', "-");
        append(&*bus, &channel(name), &id).await;
        bus.append(&[channel(name)], &value(&format!("v-{id}"), "k")).await.unwrap();
    }
    for (name, subscription) in names.iter().zip(&mut subscriptions) {
        let id = name.replace(':', "-");
        assert_eq!(ids(&bus.read(&channel(name), 0, 10).await.unwrap().entries), std::slice::from_ref(&id));
        assert_eq!(ids(&bus.latest(&channel(name)).await.unwrap()), [format!("v-{id}")]);
        let mut got = ids(&[next_entry(subscription).await, next_entry(subscription).await]);
        got.sort();
        assert_eq!(got, [id.clone(), format!("v-{id}")]);
    }
}

pub async fn an_event_is_found_by_its_id(house: &impl House) {
    let bus = house.open(&[("REALTIME_BUS_RETENTION_EVENTS", "300")]).await;
    let seven = channel("customer:7");
    assert_eq!(bus.find(&seven, &id("a")).await.unwrap(), None);
    let a = append(&*bus, &seven, "a").await;
    append_many(&*bus, &seven, 0..280).await;
    let b = append(&*bus, &seven, "b").await;
    assert_eq!(bus.find(&seven, &id("a")).await.unwrap(), Some(a));
    assert_eq!(bus.find(&seven, &id("b")).await.unwrap(), Some(b));
    assert_eq!(bus.find(&channel("customer:8"), &id("a")).await.unwrap(), None);
    append_many(&*bus, &seven, 300..320).await;
    assert_eq!(bus.find(&seven, &id("a")).await.unwrap(), None, "no longer retained");
}

pub async fn only_the_newest_value_of_a_key_is_kept(house: &impl House) {
    let bus = house.open(&[]).await;
    let seven = channel("order:7");
    for n in 0..10 {
        bus.append(std::slice::from_ref(&seven), &value(&format!("a{n}"), "a")).await.unwrap();
        bus.append(std::slice::from_ref(&seven), &value(&format!("b{n}"), "b")).await.unwrap();
    }
    let again = bus.append(std::slice::from_ref(&seven), &value("a3", "a")).await.unwrap();
    assert!(again[0].duplicate, "a late repeat does not replace a newer value");
    let values = bus.latest(&seven).await.unwrap();
    assert_eq!(ids(&values), ["a9", "b9"]);
    assert!(values[0].position.offset < values[1].position.offset);
    assert_eq!(values[0].previous_offset, 0);
    assert_eq!(bus.read(&seven, 0, 10).await.unwrap().entries, [], "values are not in the log");
    assert_eq!(bus.latest(&channel("order:8")).await.unwrap(), []);
}

pub async fn the_tiers_own_channel_is_a_channel_like_any_other(house: &impl House) {
    let bus = house.open(&[]).await;
    let own = Channel::sessions();
    let mut live = bus.subscribe(&own).await.unwrap();
    append(&*bus, &own, "a").await;
    let page = bus.read(&own, 0, 10).await.unwrap();
    assert_eq!((ids(&page.entries), &page.entries[0].channel), (vec!["a".to_owned()], &own));
    assert_eq!(next_entry(&mut live).await.channel, own);
}

pub async fn many_appends_at_once_are_all_kept(house: &impl House) {
    let bus =
        house.open(&[("REALTIME_BUS_APPEND_QUEUE", "8"), ("REALTIME_BUS_RETENTION_EVENTS", "5000")]).await;
    let seven = channel("customer:7");
    let events: Vec<Event> = (0..2_000).map(|n| event(&n.to_string())).collect();
    let channels = [seven.clone()];
    let appends = join_all(events.iter().map(|event| bus.append(&channels, event))).await;
    let mut offsets: Vec<u64> = appends.into_iter().map(|a| a.unwrap()[0].position.offset).collect();
    offsets.sort_unstable();
    let mut kept = Vec::new();
    loop {
        let page = bus.read(&seven, kept.last().copied().unwrap_or_default(), 1_000).await.unwrap();
        if page.entries.is_empty() {
            break;
        }
        kept.extend(page.entries.iter().map(|entry| entry.position.offset));
    }
    assert_eq!(kept, offsets);
}

pub async fn the_largest_events_fit_into_pages(house: &impl House) {
    let bus = house.open(&[]).await;
    let seven = channel("customer:7");
    for n in 0..100 {
        let mut large = event(&n.to_string());
        large.payload = format!("\"{}\"", "x".repeat(platepal_events::PAYLOAD_BYTES_MAX - 2)).into();
        bus.append(std::slice::from_ref(&seven), &large).await.unwrap();
    }
    let mut read = Vec::new();
    while read.len() < 100 {
        let after = read.last().map_or(0, |entry: &Entry| entry.position.offset);
        let page = bus.read(&seven, after, 1_000).await.unwrap();
        assert!(page.complete && !page.entries.is_empty());
        read.extend(page.entries);
    }
    assert_eq!(ids(&read), numbers(0..100));
}
