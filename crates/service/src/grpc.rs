//! gRPC: doors that are served ([`Server`]), links that are called ([`Links`]), and the one place where errors
//! become statuses.
//!
//! In one process and in many it is the same gRPC: a link to a domain in the same process goes through a pipe in
//! memory instead of a socket.

mod calls;
pub mod fields;
mod key;
mod link;
mod server;

pub(crate) use calls::describe_metrics;
pub use key::AttachKey;
pub use link::{Link, Links, MemoryDoor, memory};
pub use server::{Door, Server};
use tonic::Status;

/// The status of a bad field: `event.payload: not JSON: …`. What is wrong is wrong with the request.
pub fn invalid(field: &str, why: impl std::fmt::Display) -> Status {
    let why = why.to_string();
    // Errors of events start with their field already.
    let last = field.rsplit('.').next().unwrap_or(field);
    let reason = why.strip_prefix(last).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&why);
    let mut status = Status::invalid_argument(format!("{field}: {reason}"));
    if let Ok(field) = field.parse() {
        status.metadata_mut().insert("realtime-field", field);
    }
    status
}

/// The status of a bus error.
pub fn bus_status(error: &platepal_bus::BusError) -> Status {
    match error {
        platepal_bus::BusError::Unavailable(_) => Status::unavailable(error.to_string()),
        _ => Status::internal(error.to_string()),
    }
}

/// The field that a status from [`invalid`] blames; empty when it blames none.
pub fn blamed_field(status: &Status) -> &str {
    status.metadata().get("realtime-field").and_then(|field| field.to_str().ok()).unwrap_or_default()
}
