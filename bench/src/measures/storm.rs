//! All clients lose their connections at once, miss some events, and come back at once.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{Plan, QUIET};
use crate::{load::Counts, peers::Peer, publisher::Feed, results::Storm, stage::Stage};

/// Calls under way at the same time.
const IN_FLIGHT: usize = 64;
/// How long all clients may take to come back.
const BACK: Duration = Duration::from_secs(60);
/// A server may take this long to notice that its clients are gone.
const NOTICED: Duration = Duration::from_millis(500);

pub(super) async fn measure(peer: Peer, plan: &Plan) -> anyhow::Result<Storm> {
    let stage = Stage::own(peer, plan.storm_clients).await?;
    stage.swarm.be_persistent().await?;
    // Each client has seen an event: that is what it resumes by.
    publish(&stage, 1).await?;
    let seen = stage.publisher.taken().0;
    let got = stage.until_got(seen, QUIET).await;
    ensure!(got == seen, "before the storm, {got} of {seen} events came");
    stage.swarm.cut().await?;
    stage.reset().await?;
    let cut = Instant::now();
    publish(&stage, plan.storm_missed).await?;
    tokio::time::sleep(NOTICED.saturating_sub(cut.elapsed())).await;
    let (missed, sum) = stage.publisher.taken();

    let since = stage.since()?;
    let began = stage.swarm.come_back().await?;
    let opened = |counts: &Counts| counts.opened.load(Ordering::Relaxed) >= plan.storm_clients;
    let are_back = stage.swarm.until(opened, BACK).await;
    let counts = stage.swarm.counts();
    ensure!(
        are_back,
        "{} of {} clients were back after {BACK:?} ({})",
        counts.opened.load(Ordering::Relaxed),
        plan.storm_clients,
        counts.trouble().unwrap_or_default()
    );
    let got = stage.until_got(missed, QUIET).await;
    let spent = since.spent()?;
    let got_sum = counts.sum.load(Ordering::Relaxed);
    ensure!(got < missed || (got, got_sum) == (missed, sum), "other events came than were missed");
    let seconds = |micros: u64| micros.saturating_sub(began) as f64 / 1e6;
    let last_event = counts.last_event_micros.load(Ordering::Relaxed);
    let back_seconds = seconds(counts.last_opened_micros.load(Ordering::Relaxed));
    Ok(Storm {
        clients: plan.storm_clients,
        back_seconds,
        recovered_seconds: (got == missed).then(|| seconds(last_event).max(back_seconds)),
        missed,
        lost: missed - got,
        refusals: counts.retries.load(Ordering::Relaxed),
        server_seconds: spent.server.as_secs_f64(),
        load_seconds: spent.load.as_secs_f64(),
    })
}

/// Publishes as many events to each client's channel.
async fn publish(stage: &Stage, each: u64) -> anyhow::Result<()> {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut calls = JoinSet::new();
    for _ in 0..each {
        for client in 1..=stage.readers() {
            let permit = Arc::clone(&permits).acquire_owned().await?;
            let publisher = stage.publisher.clone();
            calls.spawn(async move {
                let result = publisher.publish(Feed::Own(client)).await;
                drop(permit);
                result
            });
        }
        // A channel's events are published in their order.
        while let Some(done) = calls.join_next().await {
            done??;
        }
    }
    Ok(())
}
