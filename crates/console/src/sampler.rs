//! Samples of what the tier does, at a pace, for the plots.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use platepal_events::Timestamp;
use platepal_proto::v1;
use serde::Serialize;
use tokio::sync::watch;

use crate::{Console, numbers::Counts, processes::All};

/// The newest samples, and whoever waits for the next.
pub(crate) struct Sampler {
    max: usize,
    samples: Mutex<VecDeque<Arc<Sample>>>,
    newest: watch::Sender<Option<Arc<Sample>>>,
}

/// What the tier did since the sample before.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    pub at: String,
    pub connections: f64,
    /// Channels that are subscribed on the bus, those included that are kept for a while after their last reader.
    pub subscriptions: f64,
    /// Per second.
    pub rates: Rates,
    /// In milliseconds; null: there was nothing to measure.
    pub delays: Delays,
    /// Streams whose events wait for the relay.
    pub outbox_waiting: f64,
    pub services: Vec<Service>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Rates {
    /// Events that backends sent, whatever became of them.
    pub published: f64,
    pub appended: f64,
    /// Events put into connections' queues.
    pub delivered: f64,
    pub handshakes: f64,
    pub messages: f64,
    pub replayed: f64,
    pub conflated: f64,
    pub slow_closes: f64,
    pub errors: f64,
}

/// Half, and 99 of 100, were at most so long.
#[derive(Debug, Serialize)]
pub(crate) struct Delay {
    pub p50: Option<f64>,
    pub p99: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Delays {
    /// From a backend's call to its answer.
    pub publish: Delay,
    /// From the bus's keeping to a socket.
    pub deliver: Delay,
    /// From keeping in a domain to telling.
    pub outbox: Delay,
    /// Of one append to the bus.
    pub append: Delay,
}

/// A process, or a role that does not answer.
#[derive(Debug, Serialize)]
pub(crate) struct Service {
    /// Empty: nobody knows.
    pub process: String,
    pub roles: Vec<String>,
    pub version: String,
    pub started_at: String,
    /// `ready`, `not_ready`, `draining`, `silent`.
    pub state: &'static str,
    /// Why it is not ready.
    pub why: String,
    pub connections: f64,
    pub memory_bytes: f64,
    /// Since it began, in seconds.
    pub cpu_seconds: f64,
}

impl Sampler {
    pub fn new(max: usize) -> Self {
        Self { max, samples: Mutex::default(), newest: watch::Sender::new(None) }
    }

    /// All that are remembered, the oldest first.
    pub fn remembered(&self) -> Vec<Arc<Sample>> {
        self.samples.lock().iter().cloned().collect()
    }

    /// Each that comes from now on; a slow reader passes some by.
    pub fn follow(&self) -> watch::Receiver<Option<Arc<Sample>>> {
        self.newest.subscribe()
    }

    /// How many follow.
    pub fn watchers(&self) -> usize {
        self.newest.receiver_count()
    }

    fn take(&self, sample: Sample) {
        let sample = Arc::new(sample);
        let mut samples = self.samples.lock();
        samples.push_back(Arc::clone(&sample));
        if samples.len() > self.max {
            samples.pop_front();
        }
        drop(samples);
        self.newest.send_replace(Some(sample));
    }
}

/// Samples until the shutdown.
pub(crate) async fn run(console: Arc<Console>) {
    let told = console.parts.shutdown.told();
    tokio::pin!(told);
    let mut ticks = tokio::time::interval(console.settings.sample_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before: Option<(Timestamp, BTreeMap<String, Counts>)> = None;
    loop {
        tokio::select! {
            () = &mut told => return,
            _ = ticks.tick() => {}
        }
        let all = console.processes.describe(v1::DescribeRequest { metrics: true, settings: false }).await;
        let now = console.parts.clock.now();
        let counts: BTreeMap<String, Counts> =
            all.processes.iter().map(|(id, process)| (id.clone(), Counts::of(&process.metrics))).collect();
        if let Some((at, before)) = &before {
            console.sampler.take(sample(now, now.millis_since(*at), &counts, before, &all));
        }
        before = Some((now, counts));
    }
}

/// By process. What a process counted before it was known is no part of what happened since.
fn sample(
    now: Timestamp,
    millis: i64,
    of_now: &BTreeMap<String, Counts>,
    of_before: &BTreeMap<String, Counts>,
    all: &All,
) -> Sample {
    let counts = Counts::sum(of_now.values());
    let known = |counts: &BTreeMap<String, Counts>| {
        let in_both = counts.iter().filter(|(id, _)| of_now.contains_key(*id) && of_before.contains_key(*id));
        Counts::sum(in_both.map(|(_, counts)| counts))
    };
    let (since, before) = (known(of_now), known(of_before));
    let seconds = (millis.max(1)) as f64 / 1e3;
    let rate = |name: &str| since.rate(&before, name, seconds);
    let delay = |name: &str| Delay {
        p50: since.quantile(&before, name, 0.5).map(|seconds| seconds * 1e3),
        p99: since.quantile(&before, name, 0.99).map(|seconds| seconds * 1e3),
    };
    Sample {
        at: now.to_string(),
        connections: counts.value("realtime_edge_connections"),
        subscriptions: counts.value("realtime_edge_subscriptions"),
        rates: Rates {
            published: rate("realtime_gateway_events_total"),
            appended: rate("realtime_bus_appended_total"),
            delivered: rate("realtime_edge_deliveries_total"),
            handshakes: rate("realtime_edge_handshakes_total"),
            messages: rate("realtime_edge_messages_total"),
            replayed: rate("realtime_edge_replayed_frames_total"),
            conflated: rate("realtime_edge_conflated_total"),
            slow_closes: rate("realtime_edge_slow_closes_total"),
            errors: rate("realtime_bus_errors_total") + rate("realtime_database_errors_total"),
        },
        delays: Delays {
            publish: delay("realtime_gateway_publish_seconds"),
            deliver: delay("realtime_edge_publish_to_write_seconds"),
            outbox: delay("realtime_outbox_lag_seconds"),
            append: delay("realtime_bus_append_seconds"),
        },
        outbox_waiting: counts.value("realtime_outbox_waiting_streams"),
        services: services(all),
    }
}

/// Every process, and every role that does not answer.
pub(crate) fn services(all: &All) -> Vec<Service> {
    let answered = all.processes.values().map(|process| {
        let own = Counts::of(&process.metrics);
        let why: Vec<String> = process.missing.iter().map(|(what, why)| format!("{what}: {why}")).collect();
        Service {
            process: process.process_id.clone(),
            roles: process.roles.clone(),
            version: process.version.clone(),
            started_at: moment(process.started_at),
            state: match (process.draining, why.is_empty()) {
                (true, _) => "draining",
                (false, true) => "ready",
                (false, false) => "not_ready",
            },
            why: why.join("; "),
            connections: own.value("realtime_edge_connections"),
            memory_bytes: own.value("process_resident_memory_bytes"),
            cpu_seconds: own.value("process_cpu_seconds_total"),
        }
    });
    let silent = all.silent.iter().map(|(role, why)| Service {
        process: String::new(),
        roles: vec![role.clone()],
        version: String::new(),
        started_at: String::new(),
        state: "silent",
        why: why.clone(),
        connections: 0.0,
        memory_bytes: 0.0,
        cpu_seconds: 0.0,
    });
    answered.chain(silent).collect()
}

pub(crate) fn moment(at: Option<prost_types::Timestamp>) -> String {
    at.and_then(|at| Timestamp::try_from(at).ok()).map(|at| at.to_string()).unwrap_or_default()
}
