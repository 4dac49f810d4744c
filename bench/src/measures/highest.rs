//! The most that one channel delivers: the rate is doubled until something is lost or the server falls behind, then the
//! border is narrowed.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{Plan, cost};
use crate::{
    peers::Peer,
    publisher::Feed,
    results::{Cost, Highest},
    stage::Stage,
};

/// The first rate, in events per second.
const START: f64 = 4.0;
/// The border is known well enough when its sides are this close.
const CLOSE: f64 = 1.12;
/// Attempts in all.
const ATTEMPTS_MAX: usize = 18;
/// Calls under way at the same time.
const IN_FLIGHT: usize = 256;
/// A server that needs this much longer than the publisher has fallen behind.
const BEHIND: f64 = 1.1;
/// And this, in seconds, whatever the rate: the last event has its way to go.
const BEHIND_SECONDS: f64 = 0.3;
/// Nothing more comes when nothing came for this long.
const QUIET: Duration = Duration::from_secs(3);

struct Attempt {
    cost: Cost,
    trouble: Option<String>,
    kept_up: bool,
}

pub(super) async fn measure(peer: Peer, plan: &Plan) -> anyhow::Result<Highest> {
    let mut stage = Stage::shared(peer, plan.highest_readers).await?;
    let (mut rate, mut floor, mut ceiling) = (START, None, None::<f64>);
    let mut best: Option<Cost> = None;
    let mut ended_by = "the number of attempts".to_owned();
    for _ in 0..ATTEMPTS_MAX {
        let attempt = attempt(&stage, rate, plan.highest_seconds).await?;
        let is_lossless = attempt.trouble.is_none();
        // One that fell behind and lost nothing counts: it delivered what it could.
        if is_lossless && best.as_ref().is_none_or(|best| attempt.cost.per_second > best.per_second) {
            best = Some(attempt.cost);
        }
        if is_lossless && attempt.kept_up {
            floor = Some(rate);
        } else {
            ceiling = Some(rate);
            ended_by = attempt.trouble.unwrap_or_else(|| "saturated without a loss".to_owned());
        }
        if !is_lossless {
            drop(stage);
            stage = Stage::shared(peer, plan.highest_readers).await?;
        }
        rate = match (floor, ceiling) {
            (Some(floor), Some(ceiling)) if ceiling / floor <= CLOSE => break,
            (Some(floor), Some(ceiling)) => (floor * ceiling).sqrt(),
            (_, None) => rate * 2.0,
            (None, Some(_)) => rate / 2.0,
        };
    }
    let cost = best.ok_or_else(|| anyhow::anyhow!("events were lost at every rate: {ended_by}"))?;
    Ok(Highest { cost, ended_by })
}

async fn attempt(stage: &Stage, rate: f64, seconds: f64) -> anyhow::Result<Attempt> {
    stage.reset().await?;
    let since = stage.since()?;
    let events = (rate * seconds).ceil().max(2.0) as u64;
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    // Rates above a thousand need more than one event per tick of the timer.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut calls = JoinSet::new();
    let began = Instant::now();
    let began_micros = stage.now_micros();
    let mut refused = None;
    for _ in 0..events {
        ticks.tick().await;
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let publisher = stage.publisher.clone();
        calls.spawn(async move {
            let result = publisher.publish(Feed::Shared).await;
            drop(permit);
            result
        });
        while let Some(done) = calls.try_join_next() {
            refused = refused.or(done?.err());
        }
    }
    while let Some(done) = calls.join_next().await {
        refused = refused.or(done?.err());
    }
    let (taken, sum) = stage.publisher.taken();
    let wanted = taken * stage.readers();
    let got = stage.until_got(wanted, QUIET).await;
    let counts = stage.swarm.counts();
    let took_micros = counts.last_event_micros.load(Ordering::Relaxed).saturating_sub(began_micros);
    let took = (took_micros as f64 / 1e6).min(began.elapsed().as_secs_f64());
    let closed = counts.closed.load(Ordering::Relaxed);
    let unlike = stage.swarm.unlike(taken, sum).await?;
    let trouble = if let Some(why) = refused {
        Some(format!("publishing failed: {why:#}"))
    } else if closed > 0 {
        Some(format!("{closed} readers were closed ({})", counts.trouble().unwrap_or_default()))
    } else if got < wanted {
        Some(format!("{:.1} % were lost", (wanted - got) as f64 * 100.0 / wanted as f64))
    } else {
        (unlike > 0).then(|| format!("{unlike} readers got other events than were published"))
    };
    let nominal = events as f64 / rate;
    Ok(Attempt {
        cost: cost(&since, stage.readers(), got, took)?,
        trouble,
        kept_up: took <= nominal * BEHIND + BEHIND_SECONDS,
    })
}
