//! The edge: terminates client connections, authenticates, and fans channels' events out to them.
//!
//! A request becomes an [`Arrival`](session::Arrival) ([`handshake`], [`routes`]); a session opens it (token,
//! access, channel), replays what the client missed, and goes live ([`session`], [`hub`]); its frames wait in
//! one bounded [`queue`] and leave in one write ([`socket`]).
//!
//! Guarantees to a client that names the last event it saw: exactly the events after it, once, in order; or,
//! when that event is no longer kept, the whole retained window (or a snapshot).
//! Not guaranteed: every value of the *latest* class; a slow client gets the newest.
//!
//! Invariant: knows channels and protocols, never a domain; [`routes`] is the one table. Holds nothing that a
//! restart would lose.

mod access;
mod addresses;
mod admission;
mod body;
mod centrifuge;
mod close;
mod codec;
mod crowd;
mod drain;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod handshake;
mod http;
mod hub;
mod instructions;
mod journey;
mod limits;
mod line;
mod listen;
mod owners;
mod platepal;
mod questions;
mod queue;
mod revocations;
mod routes;
mod session;
mod sessions;
mod settings;
mod snapshots;
mod socket;
mod stream;

use std::{sync::Arc, time::Duration};

use platepal_auth::Verifier;
use platepal_bus::Bus;
use platepal_events::Timestamp;
use platepal_service::{Clock, Parts, RoleError, Shutdown, edges::Edges, grpc::Door};

pub use close::Code;
pub use settings::Settings;

use crate::{
    access::Access, admission::Entrance, http::Streams, hub::Hub, owners::Owners, revocations::Revocations,
    sessions::Sessions, snapshots::Snapshots,
};

/// The page at `/`, as HTML.
#[derive(Debug, Clone)]
pub struct Landing(pub String);

/// What every connection of one edge shares.
struct Edge {
    settings: Settings,
    entrance: Entrance,
    verifier: Verifier,
    owners: Owners,
    access: Access,
    snapshots: Snapshots,
    revocations: Revocations,
    bus: Arc<dyn Bus>,
    hub: Hub,
    sessions: Arc<Sessions>,
    streams: Streams,
    /// All of them, this one included.
    edges: Edges,
    clock: Clock,
    shutdown: Shutdown,
    drain_time: Duration,
    started_at: Timestamp,
}

/// Starts the edge; returns once it listens. It ends with the process's shutdown. At `doors` the gateway and
/// other edges ask of it; `parts.edges` must know it as the process's own.
///
/// # Errors
/// An address can't be listened on.
pub async fn run(
    settings: Settings,
    verifier: Verifier,
    parts: Parts,
    landing: Option<Landing>,
    doors: Vec<Door>,
) -> Result<(), RoleError> {
    describe_metrics();
    let own = parts.edges.own().map(|own| own.id);
    let id = own.ok_or_else(|| RoleError::Other("the edge of this process has no name".to_owned()))?;
    let gate = parts.readiness.gate("edge");
    let owners = Owners::new(parts.links.clone(), parts.settings.grpc_message_bytes.0);
    let edge = Arc::new(Edge {
        entrance: Entrance::new(&settings),
        verifier,
        access: Access::new(&settings, owners.clone()),
        snapshots: Snapshots::new(&settings, owners.clone(), parts.clock),
        owners,
        bus: Arc::clone(&parts.bus),
        hub: Hub::new(&settings, Arc::clone(&parts.bus), parts.shutdown.clone()),
        revocations: Revocations::new(settings.revocations),
        sessions: Sessions::new(id, settings.connections_per_user_max, settings.connections_per_link_max),
        edges: parts.edges.clone(),
        streams: Streams::default(),
        clock: parts.clock,
        shutdown: parts.shutdown.clone(),
        drain_time: parts.settings.drain_time,
        started_at: parts.clock.now(),
        settings,
    });
    let listener = listen::bind(&edge)?;
    tracing::info!(address = %edge.settings.http_addr, "the edge is listening");
    parts.shutdown.spawn(drain::run(Arc::clone(&edge)));
    grpc::serve(&edge, &parts, doors).await?;
    edge.edges.announce(Arc::clone(&parts.bus), edge.clock, edge.started_at, &parts.shutdown);
    parts.shutdown.spawn(instructions::run(Arc::clone(&edge), parts.bus, gate));
    parts.shutdown.spawn(listen::accept(edge, listener, landing));
    Ok(())
}

fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_gauge!("realtime_edge_connections", "Open sockets");
    describe_gauge!("realtime_edge_subscriptions", "Channels that are subscribed on the bus");
    describe_counter!("realtime_edge_handshakes_total", "Handshakes, by how they ended");
    describe_histogram!(
        "realtime_edge_handshake_wait_seconds",
        Unit::Seconds,
        "How long handshakes of a storm waited for their turn; those that did not wait are not in it"
    );
    describe_gauge!("realtime_edge_handshakes_waiting", "Handshakes of a storm that wait for their turn");
    describe_gauge!("realtime_edge_addresses", "Addresses whose connections and handshakes are counted");
    describe_counter!(
        "realtime_edge_drained_total",
        "Clients that were told to reconnect elsewhere at the end"
    );
    describe_counter!("realtime_edge_access_total", "Questions who may read a channel, by answer");
    describe_counter!("realtime_edge_deliveries_total", "Events put into connections' queues");
    describe_histogram!(
        "realtime_edge_queue_frames",
        Unit::Count,
        "Frames that waited for a connection when it took them"
    );
    describe_counter!("realtime_edge_conflated_total", "Waiting values that a newer one replaced");
    describe_counter!("realtime_edge_slow_closes_total", "Connections closed because they read too slowly");
    describe_counter!("realtime_edge_closes_total", "Closed connections, by code");
    describe_counter!(
        "realtime_edge_instructions_total",
        "Orders from elsewhere for open sessions, by kind, and how many sessions each concerned"
    );
    describe_gauge!("realtime_edge_revocations", "Revoked users and tokens that are remembered");
    describe_counter!(
        "realtime_edge_revoked_tokens_total",
        "Times a token was refused, or its session ended, because it was revoked"
    );
    describe_counter!("realtime_edge_messages_total", "Messages from clients, by what became of them");
    describe_counter!(
        "realtime_edge_calls_total",
        "What clients asked of domains, by how it was answered; late: not in time"
    );
    describe_histogram!(
        "realtime_edge_call_seconds",
        Unit::Seconds,
        "How long domains took to answer clients, without the waiting for a turn"
    );
    describe_counter!(
        "realtime_edge_replays_total",
        "Replays, by where the last seen event was found; window: nowhere"
    );
    describe_counter!("realtime_edge_replayed_frames_total", "Frames sent in replays");
    describe_counter!("realtime_edge_polls_total", "Long polls, by whether there was anything");
    describe_counter!(
        "realtime_edge_snapshots_total",
        "States that newcomers were given, by whether the owner was asked"
    );
    describe_histogram!(
        "realtime_edge_publish_to_write_seconds",
        Unit::Seconds,
        "From the bus's keeping of an event to its write to a socket"
    );
}
