//! The gateway: the one gRPC address that Django needs.
//!
//! `EventsService` takes any event and gives it to the domain that owns its type; `SessionsService` gives
//! grants to the domain that owns the channel, asks all edges, and gives orders to them; calls to a domain's own
//! service pass through by name. [`http_api`] is much of that for backends that speak Centrifugo's HTTP API.
//!
//! Invariant: decides nothing and keeps nothing. It checks form, finds the owner, and passes on.

mod events;
mod http_api;
mod instruct;
mod pass_through;
mod publish;
mod sessions;
mod settings;

use platepal_proto::v1::{
    events_service_server::EventsServiceServer, sessions_service_server::SessionsServiceServer,
};
use platepal_service::{
    Parts, RoleError,
    grpc::{Door, Server},
};

pub use settings::Settings;

use crate::{
    events::Events, http_api::HttpApi, instruct::Instructor, pass_through::PassThrough, publish::Publisher,
    sessions::Sessions,
};

/// Serves the gateway; returns when it is listening.
pub async fn run(settings: Settings, parts: Parts, doors: Vec<Door>) -> Result<(), RoleError> {
    metrics::describe_counter!(
        "realtime_gateway_passed_through_total",
        "Calls passed through to a domain's own service, by domain and result"
    );
    let gate = parts.readiness.gate("gateway");
    let bytes_max = parts.settings.grpc_message_bytes.0;
    let (publisher, instructor) = (Publisher::new(&settings, &parts), Instructor::new(&settings, &parts));
    let events = EventsServiceServer::new(Events::new(publisher.clone(), &settings, &parts))
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(bytes_max);
    let sessions = SessionsServiceServer::new(Sessions::new(&parts, instructor.clone()));
    Server::new("gateway", &parts)
        .with_service(events)
        .with_service(sessions)
        .with_http("/api/{*method}", HttpApi::new(&settings, &parts, publisher, instructor))
        .serve(doors, Some(PassThrough::new(&parts)))
        .await?;
    gate.open();
    Ok(())
}
