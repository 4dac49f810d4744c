//! What a delivery costs when all read one channel.
//!
//! An event is published when all readers have the one before. So no server can gain by writing several events at
//! once, none is overloaded, and every delivery is a wakeup and a write of its own: the dearest way to deliver, and the
//! usual one outside of a rush.

use std::time::{Duration, Instant};

use super::{Plan, QUIET, cost, ensure_complete};
use crate::{peers::Peer, publisher::Feed, results::Cost, stage::Stage};

/// Events before it is measured.
const WARM: u64 = 3;
/// Events that are measured, at least.
const EVENTS_MIN: u64 = 3;
/// An event that did not reach everybody by then is lost.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn measure(peer: Peer, plan: &Plan, readers: u64) -> anyhow::Result<Cost> {
    let stage = Stage::shared(peer, readers).await?;
    for _ in 0..WARM {
        deliver(&stage).await?;
    }
    stage.reset().await?;
    let since = stage.since()?;
    let began = Instant::now();
    let limit = Duration::from_secs_f64(plan.fan_out_seconds);
    let mut events = 0;
    while events < EVENTS_MIN || (events * readers < plan.fan_out_deliveries && began.elapsed() < limit) {
        deliver(&stage).await?;
        events += 1;
    }
    let cost = cost(&since, readers, events * readers, began.elapsed().as_secs_f64())?;
    ensure_complete(&stage).await?;
    Ok(cost)
}

async fn deliver(stage: &Stage) -> anyhow::Result<()> {
    stage.publisher.publish(Feed::Shared).await?;
    let wanted = stage.publisher.taken().0 * stage.readers();
    let deadline = Instant::now() + PATIENCE;
    let mut got = stage.until_got(wanted, QUIET).await;
    while got < wanted && Instant::now() < deadline {
        got = stage.until_got(wanted, QUIET).await;
    }
    anyhow::ensure!(got == wanted, "of {wanted} deliveries {got} came");
    Ok(())
}
