//! The orders domain: status, versions, timers, and who may read the feeds.
//!
//! Django is the source of truth; this domain keeps what it says of an order, in the order in which it
//! happened, and tells those whom it concerns. An update is answered when it is kept *and* told: it goes into
//! the store and the outbox in one transaction, and from there to the bus, before the next update of the same
//! order can ([`platepal_service::outbox`]).
//!
//! - `rules`: what an update is to an order, and what follows. Pure;
//! - `store`: keeps it, in PostgreSQL or SQLite;
//! - `grpc`: what is asked; `worker`: what happens by itself.
//!
//! Invariant: what is told was kept before, and what is kept is told once.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod rules;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;

use platepal_proto::v1::orders_service_server::OrdersServiceServer;
use platepal_service::{
    Database, Parts, RoleError,
    access::Access,
    domain,
    grpc::{Door, Server},
};

pub use settings::Settings;

/// Starts the domain: opens its store, serves it at the doors, and works until the shutdown. Returns when it
/// serves.
pub async fn run(
    settings: Settings,
    access: platepal_service::access::Settings,
    parts: Parts,
    doors: Vec<Door>,
) -> Result<(), RoleError> {
    describe_metrics();
    let gate = parts.readiness.gate("orders");
    let database = Database::open(&parts.settings, "orders").await?;
    let connections = parts.settings.database_connections;
    let store = store::Store::open(database, Arc::clone(&parts.bus), &settings, connections).await?;
    let valid_for = access.cache_time;
    let access =
        Access::new(&access, Arc::new(store.grants.clone()), parts.clock).map_err(RoleError::Other)?;
    let orders = grpc::Orders {
        store: store.clone(),
        bus: Arc::clone(&parts.bus),
        access,
        valid_for,
        clock: parts.clock,
    };

    let message_bytes = parts.settings.grpc_message_bytes.0;
    Server::new("orders", &parts)
        .with_service(
            OrdersServiceServer::new(orders.clone())
                .max_decoding_message_size(message_bytes)
                .max_encoding_message_size(message_bytes),
        )
        .with_service(domain::service(Arc::new(orders), parts.clock, message_bytes))
        .serve(doors, None::<tonic::service::Routes>)
        .await?;
    let worker = platepal_service::worker::run(store, settings.pace(), parts.clock, parts.shutdown.clone());
    parts.shutdown.spawn(worker);
    gate.open();
    Ok(())
}

fn describe_metrics() {
    use metrics::describe_counter;
    platepal_service::outbox::describe_metrics();
    describe_counter!("realtime_orders_updates_total", "Updates of orders, by outcome.");
    describe_counter!(
        "realtime_orders_unexpected_steps_total",
        "Status changes that the graph does not know; told all the same."
    );
    describe_counter!("realtime_orders_timers_fired_total", "SLA timers that fired, by timer.");
    describe_counter!(
        "realtime_orders_rejection_alerts_total",
        "Alerts of restaurants that reject too often."
    );
    describe_counter!("realtime_orders_forgotten_total", "Orders that were dropped after their time.");
}
