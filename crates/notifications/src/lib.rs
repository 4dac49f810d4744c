//! The notifications domain: an inbox per user, live on all of the user's devices, and pushes, e-mails and text messages
//! beside it.
//!
//! A notification is answered when it is kept *and* told. What else goes out is planned in the same transaction: pushes
//! by timers, when no device has shown the notification; e-mails and text messages into a feed that Django reads. Most
//! notifications are made of other domains' events, by a table of rules.
//!
//! - `rules`: what becomes a notification, what it says, and when it may leave the inbox. Pure;
//! - `store`: keeps it, in PostgreSQL or SQLite;
//! - `pusher`: sends what is due, by [`platepal_push`];
//! - `grpc`: what is asked; `worker`: what happens by itself.
//!
//! Invariants: nobody sees another's inbox; the count of the unread is that of the inbox; what was planned is sent, given
//! up or not wanted, and says which.

mod grpc;
mod pusher;
mod rules;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;

use platepal_events::ChannelKind;
use platepal_proto::v1::notifications_service_server::NotificationsServiceServer;
use platepal_push::Senders;
use platepal_service::{
    Database, Parts, RoleError,
    access::Access,
    domain,
    grpc::{Door, Server},
    learning,
};

pub use settings::Settings;

/// Starts the domain: opens its store, serves it at the doors, and works until the shutdown. Returns when it
/// serves. `senders` reach the devices.
pub async fn run(
    settings: Settings,
    senders: Senders,
    access: platepal_service::access::Settings,
    parts: Parts,
    doors: Vec<Door>,
) -> Result<(), RoleError> {
    describe_metrics();
    let gate = parts.readiness.gate("notifications");
    // Before it serves: texts that can't be used are a reason not to start.
    let templates = Arc::new(settings.read_templates().map_err(RoleError::Other)?);
    let database = Database::open(&parts.settings, "notifications").await?;
    let connections = parts.settings.database_connections;
    let store = store::Store::open(database, Arc::clone(&parts.bus), &settings, connections).await?;
    let access =
        Access::new(&access, Arc::new(store.grants.clone()), parts.clock).map_err(RoleError::Other)?;
    let senders = Arc::new(senders);
    let notifications = grpc::Notifications {
        store: store.clone(),
        bus: Arc::clone(&parts.bus),
        access,
        clock: parts.clock,
        shutdown: parts.shutdown.clone(),
        templates: Arc::clone(&templates),
        senders: Arc::clone(&senders),
    };

    let message_bytes = parts.settings.grpc_message_bytes.0;
    Server::new("notifications", &parts)
        .with_service(
            NotificationsServiceServer::new(notifications.clone())
                .max_decoding_message_size(message_bytes)
                .max_encoding_message_size(message_bytes),
        )
        .with_service(domain::service(Arc::new(notifications), parts.clock, message_bytes))
        .serve(doors, None::<tonic::service::Routes>)
        .await?;
    let (clock, shutdown) = (parts.clock, parts.shutdown.clone());
    let rounds = worker::Rounds { store: store.clone(), edges: Some(parts.edges.clone()) };
    shutdown.spawn(platepal_service::worker::run(rounds, settings.pace(), clock, shutdown.clone()));
    let pusher = pusher::Pusher { store: store.clone(), senders, clock };
    shutdown.spawn(pusher.run(settings.poll_interval, shutdown.clone()));
    if settings.produce {
        let producer = worker::Producer { store, templates, clock };
        let kinds = &[ChannelKind::Customer, ChannelKind::Rider];
        shutdown.spawn(learning::run(producer, parts.bus, "notifications", kinds, shutdown.clone()));
    }
    gate.open();
    Ok(())
}

fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge};
    platepal_service::outbox::describe_metrics();
    platepal_service::feed::describe_metrics();
    platepal_push::describe_metrics();
    learning::describe_metrics();
    describe_counter!(
        "realtime_notifications_made_total",
        "Notifications that were made, by what made them."
    );
    describe_counter!("realtime_notifications_read_total", "Notifications that were marked as read.");
    describe_counter!("realtime_notifications_devices_total", "Devices that came and went, by which of it.");
    describe_counter!(
        "realtime_notifications_deliveries_total",
        "Notes of what became of notifications, by way and state."
    );
    describe_gauge!("realtime_notifications_pushes_open", "Pushes that this process is sending.");
    describe_counter!(
        "realtime_notifications_forgotten_total",
        "Notifications that were dropped after their time."
    );
}
