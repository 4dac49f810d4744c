//! The menus domain: which items can be ordered, at which price.
//!
//! Django is the source of truth; this domain keeps the live part of what it says of a menu. An update is answered when it
//! is kept *and* told: to whoever reads the menu by one value per item, of which only the newest matters; to the restaurant
//! by what happened.
//!
//! - `rules`: what is said of an item meets what is known, and what follows. Pure;
//! - `store`: keeps it, in PostgreSQL or SQLite;
//! - `grpc`: what is asked; `worker`: what happens by itself.
//!
//! Invariants: a menu's state and the values after it are the menu; an item that nothing is left of can't be ordered; one
//! that comes back at a time comes back once.

mod grpc;
mod rules;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;

use platepal_proto::v1::menus_service_server::MenusServiceServer;
use platepal_service::{
    Database, Parts, RoleError, domain,
    grpc::{Door, Server},
};

pub use settings::Settings;

/// Starts the domain: opens its store, serves it at the doors, and works until the shutdown. Returns when it
/// serves.
pub async fn run(settings: Settings, parts: Parts, doors: Vec<Door>) -> Result<(), RoleError> {
    describe_metrics();
    let gate = parts.readiness.gate("menus");
    let database = Database::open(&parts.settings, "menus").await?;
    let connections = parts.settings.database_connections;
    let store = store::Store::open(database, Arc::clone(&parts.bus), &settings, connections).await?;
    let menus = grpc::Menus { store: store.clone(), bus: Arc::clone(&parts.bus), clock: parts.clock };

    let message_bytes = parts.settings.grpc_message_bytes.0;
    Server::new("menus", &parts)
        .with_service(
            MenusServiceServer::new(menus.clone())
                .max_decoding_message_size(message_bytes)
                .max_encoding_message_size(message_bytes),
        )
        .with_service(domain::service(Arc::new(menus), parts.clock, message_bytes))
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
    describe_counter!("realtime_menus_updates_total", "Updates of menus, by outcome.");
    describe_counter!(
        "realtime_menus_items_total",
        "Changes of items that were said, by whether they were new."
    );
    describe_counter!("realtime_menus_returned_total", "Items that could be ordered again at their time.");
    describe_counter!("realtime_menus_forgotten_total", "Items that were dropped after their time.");
}
