//! The measures. Each starts a server of its own, so that none sees what another left behind.

mod fan_out;
mod highest;
mod idle;
mod latency;
mod storm;
mod unicast;

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    peers::Peer,
    publisher::Feed,
    results::{Cost, Findings},
    stage::{Since, Stage},
};

/// Nothing more comes when nothing came for this long.
const QUIET: Duration = Duration::from_secs(2);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Memory per idle connection.
    Idle,
    /// CPU time per delivery, one channel for all, at several numbers of connections.
    FanOut,
    /// CPU time per delivery, a channel for each.
    Unicast,
    /// The highest rate of one channel without a loss.
    Highest,
    /// All clients cut at once.
    Storm,
    /// From publishing to reading.
    Latency,
}

/// How large they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Small, to see that all works: its numbers mean little.
    pub quick: bool,
    /// Idle connections.
    pub idle: u64,
    /// Connections at which fan-out is measured.
    pub fan_out: Vec<u64>,
    /// Deliveries of each such measure, at least, if the time allows.
    pub fan_out_deliveries: u64,
    /// Seconds after which it ends all the same.
    pub fan_out_seconds: f64,
    /// Readers with a channel each.
    pub unicast_readers: u64,
    /// Events to them.
    pub unicast_events: u64,
    /// Readers of the one channel whose rate is raised.
    pub highest_readers: u64,
    /// Seconds at each rate.
    pub highest_seconds: f64,
    /// Clients of the storm.
    pub storm_clients: u64,
    /// Events that each of them misses.
    pub storm_missed: u64,
    /// Readers with a channel each.
    pub latency_readers: u64,
    /// Events per second to them.
    pub latency_rate: f64,
    /// For so many seconds.
    pub latency_seconds: f64,
}

impl Plan {
    /// What the docs show. `connections_max`: what the limit on open files allows.
    pub fn full(connections_max: u64) -> Self {
        Self {
            quick: false,
            idle: 5_000.min(connections_max),
            fan_out: [1_000, 5_000, 10_000, 19_000].map(|count: u64| count.min(connections_max)).into(),
            fan_out_deliveries: 400_000,
            fan_out_seconds: 12.0,
            unicast_readers: 1_000,
            unicast_events: 50_000,
            highest_readers: 1_000,
            highest_seconds: 3.0,
            storm_clients: 2_000,
            storm_missed: 3,
            latency_readers: 1_000,
            latency_rate: 300.0,
            latency_seconds: 30.0,
        }
    }

    /// To see that all works.
    pub fn quick() -> Self {
        Self {
            quick: true,
            idle: 500,
            fan_out: vec![200, 1_000],
            fan_out_deliveries: 20_000,
            fan_out_seconds: 3.0,
            unicast_readers: 200,
            unicast_events: 4_000,
            highest_readers: 200,
            highest_seconds: 0.5,
            storm_clients: 200,
            storm_missed: 3,
            latency_readers: 200,
            latency_rate: 200.0,
            latency_seconds: 3.0,
        }
    }

    /// Measures one peer and notes what it gave.
    pub async fn measure(&self, measure: Measure, peer: Peer, findings: &mut Findings) {
        match measure {
            Measure::Idle => {
                findings.idle_own = Some(idle::measure(peer, self.idle, Feed::Own).await.into());
                findings.idle_shared = Some(idle::measure(peer, self.idle, |_| Feed::Shared).await.into());
            }
            Measure::FanOut => {
                for readers in &self.fan_out {
                    findings.fan_out.push(fan_out::measure(peer, self, *readers).await.into());
                }
            }
            Measure::Unicast => match unicast::measure(peer, self).await {
                Ok((single, batched)) => {
                    findings.unicast = Some(Ok(single).into());
                    findings.unicast_batched = batched.map(|batched| Ok(batched).into());
                }
                Err(why) => findings.unicast = Some(Err(why).into()),
            },
            Measure::Highest => findings.highest = Some(highest::measure(peer, self).await.into()),
            Measure::Storm => findings.storm = Some(storm::measure(peer, self).await.into()),
            Measure::Latency => findings.latency = Some(latency::measure(peer, self).await.into()),
        }
    }
}

/// CPU time per million deliveries. `seconds`: how long they took.
fn cost(since: &Since, readers: u64, deliveries: u64, seconds: f64) -> anyhow::Result<Cost> {
    let spent = since.spent()?;
    let per_million = |time: Duration| time.as_secs_f64() * 1e6 / deliveries.max(1) as f64;
    Ok(Cost {
        readers,
        deliveries,
        per_second: deliveries as f64 / seconds.max(f64::MIN_POSITIVE),
        server_seconds: per_million(spent.server),
        load_seconds: per_million(spent.load),
    })
}

/// Makes sure that every reader of a shared feed got every event, and no other.
async fn ensure_complete(stage: &Stage) -> anyhow::Result<()> {
    let (events, sum) = stage.publisher.taken();
    let unlike = stage.swarm.unlike(events, sum).await?;
    anyhow::ensure!(unlike == 0, "{unlike} of {} readers did not get each event once", stage.readers());
    Ok(())
}
