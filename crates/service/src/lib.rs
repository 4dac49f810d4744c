//! What every process of the tier does the same way: settings, logs and metrics, health, gRPC doors and links,
//! access decisions, databases, shutdown.
//!
//! A role (the edge, the gateway, a domain) is a function `run(settings, parts)`: it gets [`Parts`], starts its
//! tasks under [`Shutdown`], says when it is ready, and ends when it is told to.
//!
//! Invariant: knows how a service runs, never what a domain means.

pub mod access;
pub mod admin;
mod clock;
mod database;
pub mod domain;
pub mod edges;
pub mod feed;
mod group;
pub mod grpc;
pub mod history;
pub mod ids;
pub mod instruction;
pub mod json;
pub mod learning;
mod metrics;
pub mod outbox;
pub mod process;
mod readiness;
pub mod revocation;
mod settings;
mod shutdown;
pub mod sql;
mod telemetry;
pub mod timers;
pub mod trace;
pub mod worker;

use std::sync::Arc;

use platepal_bus::Bus;

pub use clock::Clock;
pub use database::{Database, DatabaseError};
pub use group::{Answers, Group, Keeper, Lanes, keep, keep_together};
pub use metrics::Metrics;
pub use readiness::{Gate, Readiness};
pub use settings::Settings;
pub use shutdown::Shutdown;
pub use telemetry::Telemetry;

/// Describes the metrics of what every process does.
fn describe_metrics() {
    grpc::describe_metrics();
    access::describe_metrics();
    edges::describe_metrics();
    sql::describe_metrics();
    trace::export::describe_metrics();
    ::metrics::describe_gauge!("realtime_build_info", "1, with the release as its label `version`");
    ::metrics::describe_gauge!(
        "realtime_drain_seconds",
        ::metrics::Unit::Seconds,
        "For how long this process has been ending; 0 until it is told to"
    );
}

/// What a role is given. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    /// The settings that all roles share.
    pub settings: Arc<Settings>,
    /// What this process says of itself.
    pub process: Arc<process::Process>,
    /// Where events are kept and told.
    pub bus: Arc<dyn Bus>,
    /// How to reach the domains.
    pub links: grpc::Links,
    /// All edges, and the one of this process.
    pub edges: edges::Edges,
    /// The keys that open gRPC to others; empty on loopback only.
    pub keys: platepal_auth::ApiKeys,
    /// The one source of time.
    pub clock: Clock,
    /// When to end.
    pub shutdown: Shutdown,
    /// Where a role says that it can work.
    pub readiness: Readiness,
}

/// Why a role could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// An address is taken or not ours.
    #[error("can't listen on {address}, set by {setting}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Where it comes from.
        setting: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database can't be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The bus can't be used.
    #[error(transparent)]
    Bus(#[from] platepal_bus::BusError),
    /// Anything else, said by the role.
    #[error("{0}")]
    Other(String),
}
