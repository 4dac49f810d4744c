//! What was measured, as it is written to a file and read by tables and plots.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{machine::Machine, measures::Plan, peers::Peer};

/// A run over all peers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// Where it ran.
    pub machine: Machine,
    /// The command that repeats it.
    pub command: String,
    /// How large the measures were.
    pub plan: Plan,
    /// Share of the machine's CPU time that was used by others, from 0 to 1.
    pub disturbance: f64,
    /// What was measured.
    pub peers: BTreeMap<Peer, Findings>,
}

/// Everything about one server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Version of the server and of what it runs on.
    pub version: String,
    /// Why it was left out.
    pub left_out: Option<String>,
    /// Memory with a feed for each connection.
    pub idle_own: Option<Measured<Idle>>,
    /// Memory with one feed for all.
    pub idle_shared: Option<Measured<Idle>>,
    /// Fan-out at several numbers of readers, in their order.
    pub fan_out: Vec<Measured<Cost>>,
    /// A channel per reader, one event per call.
    pub unicast: Option<Measured<Unicast>>,
    /// The same in batches, where there is such a call.
    pub unicast_batched: Option<Measured<Unicast>>,
    /// The most that one channel delivers.
    pub highest: Option<Measured<Highest>>,
    /// All clients cut at once.
    pub storm: Option<Measured<Storm>>,
    /// From publishing to reading.
    pub latency: Option<Measured<Latency>>,
}

/// A measure, or why there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured<T> {
    /// What it gave.
    Got(T),
    /// Why it gave nothing.
    Failed(String),
}

impl<T> Measured<T> {
    /// What it gave, if anything.
    pub fn got(&self) -> Option<&T> {
        match self {
            Self::Got(value) => Some(value),
            Self::Failed(_) => None,
        }
    }
}

impl<T> From<anyhow::Result<T>> for Measured<T> {
    fn from(result: anyhow::Result<T>) -> Self {
        match result {
            Ok(value) => Self::Got(value),
            Err(why) => Self::Failed(format!("{why:#}")),
        }
    }
}

/// Memory of idle connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Idle {
    /// How many.
    pub connections: u64,
    /// Of each.
    pub bytes_each: f64,
    /// Of the server without them.
    pub bytes_before: u64,
}

/// CPU time of deliveries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cost {
    /// Connections.
    pub readers: u64,
    /// Events that readers got.
    pub deliveries: u64,
    /// Deliveries per second, which follow from how the load is made.
    pub per_second: f64,
    /// Server's CPU seconds per million deliveries.
    pub server_seconds: f64,
    /// The same of readers and publisher, which are not part of the server.
    pub load_seconds: f64,
}

/// CPU time where each event has one reader.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unicast {
    /// Publishing and delivering.
    pub cost: Cost,
    /// Server's CPU seconds per million events that nobody reads: publishing alone.
    pub publishing_seconds: f64,
}

/// The highest rate without a loss.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Highest {
    /// The best of the attempts.
    pub cost: Cost,
    /// What ended the search, for people.
    pub ended_by: String,
}

/// All clients cut at once, and back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Storm {
    /// How many.
    pub clients: u64,
    /// Seconds until the last one was a reader again.
    pub back_seconds: f64,
    /// Seconds until the last missed event was there; none where any was lost.
    pub recovered_seconds: Option<f64>,
    /// Events published while nobody was there.
    pub missed: u64,
    /// Those that never came.
    pub lost: u64,
    /// Attempts that the server refused.
    pub refusals: u64,
    /// CPU seconds of the server from the return of the first until everything was recovered.
    pub server_seconds: f64,
    /// The same of the clients.
    pub load_seconds: f64,
}

/// From publishing to reading, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Latency {
    /// Readers, with a channel each.
    pub readers: u64,
    /// Events per second.
    pub per_second: f64,
    /// Events that were measured.
    pub samples: u64,
    /// Half are faster.
    pub p50: u64,
    /// 99 % are faster.
    pub p99: u64,
    /// 99.9 % are faster.
    pub p999: u64,
}
