//! From the publisher's call to the reader's read, at a load that every server takes easily.

use std::time::Duration;

use anyhow::ensure;
use tokio::{task::JoinSet, time::interval};

use super::{Plan, QUIET};
use crate::{peers::Peer, publisher::Feed, results::Latency, stage::Stage};

/// Seconds before it is measured.
const WARM: f64 = 1.0;

pub(super) async fn measure(peer: Peer, plan: &Plan) -> anyhow::Result<Latency> {
    let stage = Stage::own(peer, plan.latency_readers).await?;
    publish(&stage, plan.latency_rate, WARM).await?;
    stage.reset().await?;
    stage.swarm.record_latencies().await?;
    publish(&stage, plan.latency_rate, plan.latency_seconds).await?;
    let latencies = stage.swarm.take_latencies().await?;
    let at = |quantile: f64| latencies.value_at_quantile(quantile);
    Ok(Latency {
        readers: plan.latency_readers,
        per_second: plan.latency_rate,
        samples: latencies.len(),
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
    })
}

async fn publish(stage: &Stage, rate: f64, seconds: f64) -> anyhow::Result<()> {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    let mut calls = JoinSet::new();
    for event in 0..(rate * seconds) as u64 {
        ticks.tick().await;
        let publisher = stage.publisher.clone();
        let feed = Feed::Own(1 + event % stage.readers());
        calls.spawn(async move { publisher.publish(feed).await });
        while let Some(done) = calls.try_join_next() {
            done??;
        }
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    let taken = stage.publisher.taken().0;
    let got = stage.until_got(taken, QUIET).await;
    ensure!(got == taken, "of {taken} events {got} came");
    Ok(())
}
