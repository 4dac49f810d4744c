//! The chat domain: rooms, messages in one order, the support desk, and Django's copy.
//!
//! A message is answered when it is kept *and* told: it goes into the store, the outbox and the feed for Django in one
//! transaction, and from there to the bus, before the next message of the same room can
//! ([`platepal_service::outbox`]). Everything that happens in a room takes the room's next sequence, so that a reader sees
//! what it lacks.
//!
//! - `rules`: what may happen in a room, and what follows. Pure;
//! - `store`: keeps it, in PostgreSQL or SQLite;
//! - `check`: what is asked before a message is shown; `typing`: who types;
//! - `grpc`: what is asked; `worker`: what happens by itself.
//!
//! Invariants: the order of a room is the same for everybody; nobody but members and staff sees what is in it; what is told
//! was kept before, and what is kept is told once.

mod check;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod rules;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod typing;
mod worker;

use std::sync::Arc;

use platepal_events::ChannelKind;
use platepal_proto::v1::chat_service_server::ChatServiceServer;
use platepal_service::{
    Database, Parts, RoleError,
    access::Access,
    domain,
    grpc::{Door, Server},
    learning,
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
    let gate = parts.readiness.gate("chat");
    // Before it serves: files that can't be used are a reason not to start.
    let check = check::Check::new(&settings)?;
    let canned = settings.read_canned().map_err(RoleError::Other)?;
    let database = Database::open(&parts.settings, "chat").await?;
    let connections = parts.settings.database_connections;
    let store = store::Store::open(database, Arc::clone(&parts.bus), &settings, connections).await?;
    let valid_for = access.cache_time;
    let access =
        Access::new(&access, Arc::new(store.grants.clone()), parts.clock).map_err(RoleError::Other)?;
    let typing = typing::Typing::new(&settings, Arc::clone(&parts.bus));
    let chat = grpc::Chat {
        store: store.clone(),
        bus: Arc::clone(&parts.bus),
        access,
        valid_for,
        clock: parts.clock,
        shutdown: parts.shutdown.clone(),
        limits: Arc::new(settings.limits()),
        edges: Some(parts.edges.clone()),
        canned: Arc::new(canned),
        check,
        typing: typing.clone(),
    };

    let message_bytes = parts.settings.grpc_message_bytes.0;
    Server::new("chat", &parts)
        .with_service(
            ChatServiceServer::new(chat.clone())
                .max_decoding_message_size(message_bytes)
                .max_encoding_message_size(message_bytes),
        )
        .with_service(domain::service(Arc::new(chat), parts.clock, message_bytes))
        .serve(doors, None::<tonic::service::Routes>)
        .await?;
    let (clock, shutdown) = (parts.clock, parts.shutdown.clone());
    shutdown.spawn(platepal_service::worker::run(store.clone(), settings.pace(), clock, shutdown.clone()));
    shutdown.spawn(typing.run(clock, shutdown.clone()));
    let orders = worker::OrdersEnd { store, grace: settings.order_grace, clock };
    shutdown.spawn(learning::run(orders, parts.bus, "chat", &[ChannelKind::Order], shutdown.clone()));
    gate.open();
    Ok(())
}

fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    platepal_service::outbox::describe_metrics();
    platepal_service::feed::describe_metrics();
    learning::describe_metrics();
    describe_counter!("realtime_chat_messages_total", "Messages that were sent, by what became of them.");
    describe_counter!("realtime_chat_refused_total", "Messages that were refused, by why.");
    describe_counter!("realtime_chat_changes_total", "Messages that were edited, deleted or decided.");
    describe_counter!("realtime_chat_reads_total", "Marks of how far somebody has read that moved.");
    describe_counter!("realtime_chat_rooms_total", "What Django said of rooms, by outcome.");
    describe_counter!("realtime_chat_rooms_closed_total", "Rooms that were closed, by whom.");
    describe_counter!(
        "realtime_chat_assigned_total",
        "Rooms that were given to an agent, or back, by result."
    );
    describe_counter!("realtime_chat_checks_total", "Messages about which somebody was asked, by result.");
    describe_counter!("realtime_chat_typing_total", "Words that somebody types, by what became of them.");
    describe_gauge!("realtime_chat_typing_users", "Users who type, by this process.");
    describe_histogram!("realtime_chat_commit_messages", "Messages that shared one commit.");
    describe_counter!("realtime_chat_forgotten_total", "Rooms that were dropped after their time.");
}
