//! What a delivery costs when each event has one reader: publishing counts in full.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::task::JoinSet;

use super::{Plan, QUIET, cost};
use crate::{
    peers::Peer,
    publisher::{Feed, Publisher},
    results::{Cost, Unicast},
    stage::Stage,
};

/// Calls under way at the same time.
const IN_FLIGHT: u64 = 64;
/// The same, of calls that carry a batch.
const BATCHES_IN_FLIGHT: u64 = 4;
/// Events of a batch.
const BATCH: u64 = 100;
/// Channels from here on have no reader.
const NOBODY: u64 = 1_000_000;

/// One event per call and, where there is a call for it, in batches.
pub(super) async fn measure(peer: Peer, plan: &Plan) -> anyhow::Result<(Unicast, Option<Unicast>)> {
    let stage = Stage::own(peer, plan.unicast_readers).await?;
    let single = both(&stage, plan.unicast_events, 1).await?;
    let batched = match stage.publisher.has_batches() {
        true => Some(both(&stage, plan.unicast_events, BATCH).await?),
        false => None,
    };
    Ok((single, batched))
}

/// With readers, and without.
async fn both(stage: &Stage, events: u64, batch: u64) -> anyhow::Result<Unicast> {
    publish(stage, events / 20, 1, batch).await?;
    let cost = publish(stage, events, 1, batch).await?;
    let publishing = publish(stage, events, NOBODY, batch).await?;
    Ok(Unicast { cost, publishing_seconds: publishing.server_seconds })
}

async fn publish(stage: &Stage, events: u64, first: u64, batch: u64) -> anyhow::Result<Cost> {
    stage.reset().await?;
    let since = stage.since()?;
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..if batch == 1 { IN_FLIGHT } else { BATCHES_IN_FLIGHT } {
        let caller = Caller {
            publisher: stage.publisher.clone(),
            next: Arc::clone(&next),
            events,
            first,
            channels: stage.readers(),
            batch,
        };
        callers.spawn(caller.run());
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    let (taken, sum) = stage.publisher.taken();
    if first != NOBODY {
        let got = stage.until_got(taken, QUIET).await;
        let got_sum = stage.swarm.counts().sum.load(Ordering::Relaxed);
        anyhow::ensure!(
            (got, got_sum) == (taken, sum),
            "of {taken} events {got} came, or others than were published"
        );
    }
    cost(&since, stage.readers(), taken, began.elapsed().as_secs_f64())
}

struct Caller {
    publisher: Publisher,
    next: Arc<AtomicU64>,
    events: u64,
    first: u64,
    channels: u64,
    batch: u64,
}

impl Caller {
    async fn run(self) -> anyhow::Result<()> {
        loop {
            let start = self.next.fetch_add(self.batch, Ordering::Relaxed);
            if start >= self.events {
                return Ok(());
            }
            let feed = |number: u64| Feed::Own(self.first + number % self.channels);
            if self.batch == 1 {
                self.publisher.publish(feed(start)).await?;
            } else {
                let feeds: Vec<Feed> = (start..start + self.batch).map(feed).collect();
                self.publisher.publish_batch(&feeds).await?;
            }
        }
    }
}
