//! The tracking domain: riders' positions, deliveries, job offers, trails.
//!
//! A fix is answered when it is kept. Each rider's fixes are taken in order by one replica at a time, which holds
//! the rider in memory and can be rebuilt from the store. What a delivery becomes goes into the store and the outbox
//! in one transaction ([`platepal_service::outbox`]); positions are *latest* values, told after they were kept.
//!
//! - `rules`: what a fix is, and what follows. Pure;
//! - `store`: keeps it, in PostgreSQL or SQLite;
//! - `riders`: who owns which rider, and the riders in memory;
//! - `grpc`: what is asked; `worker`: what happens by itself.
//!
//! Invariant: a position is shown to those whose delivery it concerns, while it lasts, and to nobody else.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
pub mod replay;
mod riders;
mod rules;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;

use platepal_auth::ShareSigner;
use platepal_proto::v1::{
    rider_owner_service_server::RiderOwnerServiceServer, tracking_service_server::TrackingServiceServer,
};
use platepal_service::{
    Database, Parts, RoleError,
    access::Access,
    domain,
    grpc::{AttachKey, Door, Server},
};

use riders::drives::Drives;

pub use settings::Settings;

/// Starts the domain: opens its store, serves it at the doors, and works until the shutdown. Returns when it
/// serves. `share` signs links to deliveries; without it there are none.
pub async fn run(
    settings: Settings,
    access: platepal_service::access::Settings,
    share: Option<ShareSigner>,
    parts: Parts,
    doors: Vec<Door>,
) -> Result<(), RoleError> {
    describe_metrics();
    let gate = parts.readiness.gate("tracking");
    let database = Database::open(&parts.settings, "tracking").await?;
    let connections = parts.settings.database_connections;
    let store = store::Store::open(database, Arc::clone(&parts.bus), &settings, connections).await?;
    let valid_for = access.cache_time;
    let access =
        Access::new(&access, Arc::new(store.grants.clone()), parts.clock).map_err(RoleError::Other)?;
    let limits = settings.limits();
    // Before it serves: a map that can't be used is a reason not to start.
    let map = riders::map::read(settings.map.as_deref()).await.map_err(RoleError::Other)?;
    let (roads, drives): (Arc<dyn rules::road::Ahead>, _) = match map {
        Some(map) => {
            let drives =
                Drives::learn(Arc::clone(&map), store.clone(), &settings, parts.clock, &parts.shutdown);
            (map, drives)
        }
        None => (Arc::new(rules::road::NoRoads), Drives::default()),
    };
    let around = riders::Around {
        bus: Arc::clone(&parts.bus),
        clock: parts.clock,
        shutdown: parts.shutdown.clone(),
        key: AttachKey::new(parts.keys.first()),
        url: settings.url(parts.settings.grpc_addr),
    };
    let riders = riders::Riders::start(store.clone(), &settings, limits, roads, around)
        .await
        .map_err(|why| RoleError::Other(why.to_string()))?;
    let tracking = grpc::Tracking {
        store: store.clone(),
        bus: Arc::clone(&parts.bus),
        access,
        valid_for,
        clock: parts.clock,
        shutdown: parts.shutdown.clone(),
        settings: settings.clone(),
        riders,
        drives,
        shares: grpc::share::Shares::new(share, &settings),
        replays: grpc::trails::Replays::new(settings.replays),
    };

    let message_bytes = parts.settings.grpc_message_bytes.0;
    Server::new("tracking", &parts)
        .with_service(
            TrackingServiceServer::new(tracking.clone())
                .max_decoding_message_size(message_bytes)
                .max_encoding_message_size(message_bytes),
        )
        .with_service(
            RiderOwnerServiceServer::new(tracking.clone())
                .max_decoding_message_size(message_bytes)
                .max_encoding_message_size(message_bytes),
        )
        .with_service(domain::service(Arc::new(tracking), parts.clock, message_bytes))
        .serve(doors, None::<tonic::service::Routes>)
        .await?;
    let worker = platepal_service::worker::run(store, settings.pace(), parts.clock, parts.shutdown.clone());
    parts.shutdown.spawn(worker);
    gate.open();
    Ok(())
}

fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge};
    platepal_service::outbox::describe_metrics();
    riders::describe_metrics();
    riders::drives::describe_metrics();
    describe_counter!(
        "realtime_tracking_changes_total",
        "Changes of deliveries that Django told, by outcome."
    );
    describe_counter!(
        "realtime_tracking_unexpected_steps_total",
        "Status changes of deliveries that the graph does not know; told all the same."
    );
    describe_counter!(
        "realtime_tracking_arrivals_total",
        "Deliveries that arrived at the pick-up because their rider was seen there."
    );
    describe_counter!("realtime_tracking_offers_total", "Job offers, by what they became.");
    describe_counter!("realtime_tracking_escalations_total", "Deliveries that nobody took.");
    describe_counter!("realtime_tracking_shifts_total", "Shifts that started and ended.");
    describe_counter!("realtime_tracking_links_total", "Links to deliveries that were signed.");
    describe_counter!("realtime_tracking_timers_fired_total", "Timers that fired, by timer.");
    describe_counter!(
        "realtime_tracking_forgotten_total",
        "What was dropped after its time, by what it was."
    );
    describe_gauge!("realtime_tracking_replays_open", "Trails that are being played back.");
}
