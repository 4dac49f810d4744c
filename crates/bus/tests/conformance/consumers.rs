//! Groups of workers.

use std::collections::BTreeSet;

use platepal_bus::{Consumer, Unacknowledged};
use platepal_events::ChannelKind;

use super::*;

const KINDS: [ChannelKind; 2] = [ChannelKind::Customer, ChannelKind::Admin];

async fn next_of(consumer: &mut Consumer) -> Unacknowledged {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("an event in time").unwrap()
}

pub async fn what_is_not_acknowledged_is_delivered_again(house: &impl House) {
    let bus = house.open(&[("REALTIME_BUS_ACK_WAIT", "1s")]).await;
    append(&*bus, &channel("customer:1"), "before").await;
    let mut worker = bus.consume("watch", &KINDS).await.unwrap();
    append(&*bus, &channel("customer:7"), "a").await;
    append(&*bus, &channel("order:7"), "other-kind").await;
    bus.append(&[channel("customer:7")], &value("not-log", "k")).await.unwrap();
    append(&*bus, &channel("admin"), "b").await;

    let a = next_of(&mut worker).await;
    assert_eq!((a.entry.event.id.as_str(), a.entry.channel.as_str()), ("a", "customer:7"));
    drop(a);
    let b = next_of(&mut worker).await;
    assert_eq!((b.entry.event.id.as_str(), b.entry.channel.as_str()), ("b", "admin"));
    b.acknowledge().await.unwrap();
    let a = next_of(&mut worker).await;
    assert_eq!(a.entry.event.id.as_str(), "a", "again");
    a.acknowledge().await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(1_500), worker.next()).await;
    assert!(silence.is_err(), "{silence:?}");
}

pub async fn a_group_shares_its_events_between_workers(house: &impl House) {
    let bus = house.open(&[]).await;
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(bus.consume("watch", &KINDS).await.unwrap());
    }
    let (done, mut dones) = tokio::sync::mpsc::channel(1_000);
    for (number, mut worker) in workers.into_iter().enumerate() {
        let done = done.clone();
        tokio::spawn(async move {
            while let Ok(unacknowledged) = worker.next().await {
                let id = unacknowledged.entry.event.id.to_string();
                unacknowledged.acknowledge().await.unwrap();
                // A worker that is busy leaves the rest to the other.
                tokio::time::sleep(Duration::from_millis(1)).await;
                done.send((number, id)).await.unwrap();
            }
        });
    }
    for n in 0..200 {
        append(&*bus, &channel(&format!("customer:{}", n % 7)), &n.to_string()).await;
    }
    let (mut seen, mut by_worker) = (BTreeSet::new(), [0, 0]);
    for _ in 0..200 {
        let (number, id) = tokio::time::timeout(PATIENCE, dones.recv()).await.unwrap().unwrap();
        assert!(seen.insert(id.clone()), "{id} twice, though it was acknowledged");
        by_worker[number] += 1;
    }
    assert!(by_worker.iter().all(|count| *count > 0), "{by_worker:?}");
}

pub async fn a_group_goes_on_where_it_was(house: &impl House) {
    let seven = channel("customer:7");
    let variables = [("REALTIME_BUS_ACK_WAIT", "2s")];
    let bus = house.open(&variables).await;
    let mut worker = bus.consume("watch", &KINDS).await.unwrap();
    append_many(&*bus, &seven, 0..10).await;
    for n in 0..6 {
        let unacknowledged = next_of(&mut worker).await;
        assert_eq!(unacknowledged.entry.event.id.as_str(), n.to_string());
        // 3 is left, also across the restart.
        if n != 3 {
            unacknowledged.acknowledge().await.unwrap();
        }
    }
    drop((worker, bus));

    let bus = house.open(&variables).await;
    append_many(&*bus, &seven, 10..12).await;
    let mut worker = bus.consume("watch", &KINDS).await.unwrap();
    let mut rest = BTreeSet::new();
    for _ in 0..7 {
        let unacknowledged = next_of(&mut worker).await;
        rest.insert(unacknowledged.entry.event.id.as_str().parse::<u32>().unwrap());
        unacknowledged.acknowledge().await.unwrap();
    }
    assert_eq!(rest.into_iter().collect::<Vec<_>>(), [3, 6, 7, 8, 9, 10, 11]);
}

pub async fn two_groups_see_everything_each(house: &impl House) {
    let bus = house.open(&[]).await;
    let mut one = bus.consume("one", &KINDS).await.unwrap();
    let mut two = bus.consume("two", &[ChannelKind::Customer]).await.unwrap();
    append_many(&*bus, &channel("customer:7"), 0..20).await;
    for worker in [&mut one, &mut two] {
        for n in 0..20 {
            let unacknowledged = next_of(worker).await;
            assert_eq!(unacknowledged.entry.event.id.as_str(), n.to_string());
            unacknowledged.acknowledge().await.unwrap();
        }
    }
}
