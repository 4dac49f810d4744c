//! `kill -9` of the tier while publishes are acknowledged: what was acknowledged is there afterwards, once.

use std::collections::HashSet;

use platepal_proto::v1;
use platepal_testkit::{Bus, Role, Tier, rng, seed};
use rand::Rng;
use tokio::sync::mpsc;

use crate::publishing::{event, new_id, try_publish};

/// Publishers at work when the tier is killed, and how often it is.
const PUBLISHERS: u64 = 8;
const ROUNDS: usize = 6;

/// What a channel has, oldest first.
async fn kept(tier: &Tier, channel: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let request = v1::ReadRequest { channel: channel.to_owned(), after, limit: 1000 };
        let page = tier.grpc().events().read(request).await.expect("the tier answers").into_inner();
        let Some(last) = page.entries.last() else { return ids };
        after = last.position.clone();
        ids.extend(page.entries.iter().map(|entry| entry.event.clone().unwrap_or_default().event_id));
    }
}

async fn nothing_acknowledged_is_lost(mut tier: Tier, victims: &[Role]) {
    let seed = seed();
    let mut random = rng(seed);
    let mut acknowledged: Vec<Vec<String>> = vec![Vec::new(); PUBLISHERS as usize];
    for _ in 0..ROUNDS {
        let (answered, mut answers) = mpsc::channel(16);
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                let (clients, answered) = (tier.grpc(), answered.clone());
                tokio::spawn(async move {
                    let channel = format!("customer:{number}");
                    loop {
                        let id = new_id();
                        let event = event(&id, &serde_json::json!({ "publisher": number }));
                        if try_publish(&clients, event, &[&channel]).await.is_err() {
                            return;
                        }
                        if answered.send((number, id)).await.is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        drop(answered);
        let until_the_end = random.random_range(1..120);
        let mut count = 0;
        while let Some((number, id)) = answers.recv().await {
            acknowledged[usize::try_from(number).unwrap()].push(id);
            count += 1;
            if count == until_the_end {
                victims.iter().for_each(|victim| tier.kill(*victim));
            }
        }
        for publisher in publishers {
            publisher.await.expect("publishers end with an error, not a panic");
        }
        for victim in victims {
            tier.start(*victim).await;
        }
    }
    for (number, expected) in acknowledged.iter().enumerate() {
        let kept = kept(&tier, &format!("customer:{number}")).await;
        let distinct: HashSet<&String> = kept.iter().collect();
        assert_eq!(distinct.len(), kept.len(), "an event is kept twice, seed {seed}");
        // An event whose answer was lost may be there; one that was acknowledged must be, in its place.
        let mut there = kept.iter();
        for id in expected {
            assert!(
                there.any(|kept| kept == id),
                "{id} of customer:{number} is lost or out of order, seed {seed}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_tier_on_its_embedded_bus_loses_nothing_acknowledged() {
    nothing_acknowledged_is_lost(Tier::all_in_one(crate::BINARY).await, &[Role::Gateway]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_tier_on_nats_loses_nothing_acknowledged() {
    let tier = Tier::builder(crate::BINARY).bus(Bus::Nats).start().await;
    nothing_acknowledged_is_lost(tier, &[Role::Gateway]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_every_process_of_a_split_tier_loses_nothing_acknowledged() {
    let tier = Tier::split(crate::BINARY).await;
    nothing_acknowledged_is_lost(tier, &[Role::Gateway, Role::ORDERS, Role::EDGE]).await;
}
