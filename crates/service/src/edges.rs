//! All edges that are alive, and what they are asked together: who is connected, what is read, how much each
//! holds.
//!
//! Each edge tells of itself every few seconds ([`Edges::announce`]); whoever asks follows that
//! ([`Edges::follow`]) and asks all at once, with one time limit. An edge that does not answer is named, never
//! waited for, and forgotten once it has not told of itself for a while. The edge of this very process is
//! reached in memory and needs no announcement.
//!
//! Invariant: an answer names every edge that it lacks.

mod alive;
mod ask;
mod living;
mod settings;

use std::sync::Arc;

use self::{alive::Alive, living::Living};
pub use self::{ask::LIMIT_MAX, settings::Settings};
use crate::{Clock, Shutdown, grpc::Link};
use platepal_bus::Bus;
use platepal_events::Timestamp;

/// The edge of this process.
#[derive(Debug, Clone)]
pub struct Own {
    /// Names it among all edges, and its clients' ids.
    pub id: u64,
    /// How it is reached within the process.
    pub link: Link,
    /// Where others reach it; `None`: there are no others.
    pub url: Option<String>,
}

/// All edges. Cheap to clone.
#[derive(Clone)]
pub struct Edges(Arc<Inner>);

struct Inner {
    settings: Settings,
    own: Option<Own>,
    key: Option<String>,
    message_bytes_max: usize,
    living: Living,
}

/// An edge's name among all edges.
pub fn name(id: u64) -> String {
    format!("{id:016x}")
}

pub(crate) fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge};
    describe_gauge!("realtime_edges_alive", "Edges that this process knows to be alive, its own included");
    describe_counter!("realtime_edges_asked_total", "Questions to one edge, by question and result");
}

impl Edges {
    /// None is known yet but the one of this process. `key` opens the others' doors.
    pub fn new(settings: Settings, own: Option<Own>, key: Option<&str>, message_bytes_max: usize) -> Self {
        let key = key.map(str::to_owned);
        let living = Living::new(settings.edges_max);
        Self(Arc::new(Inner { settings, own, key, message_bytes_max, living }))
    }

    /// The edge of this process.
    pub fn own(&self) -> Option<&Own> {
        self.0.own.as_ref()
    }

    /// Learns of edges that come and go, until the shutdown.
    pub fn follow(&self, bus: Arc<dyn Bus>, clock: Clock, shutdown: &Shutdown) {
        let (edges, told) = (self.clone(), shutdown.told());
        shutdown.spawn(async move {
            tokio::select! {
                () = told => {}
                () = living::follow(&edges, &*bus, clock) => {}
            }
        });
    }

    /// Tells all others of the edge of this process until the shutdown, and then that it is gone.
    pub fn announce(&self, bus: Arc<dyn Bus>, clock: Clock, started_at: Timestamp, shutdown: &Shutdown) {
        let Some(own) = self.0.own.clone() else { return };
        let alive = Alive::of(&own, started_at, self.0.settings.alive_interval);
        let told = shutdown.told();
        shutdown.spawn(alive::announce(alive, bus, clock, told));
    }
}
