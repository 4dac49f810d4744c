//! The operators' console: what the tier does now, and what an operator may do about it.
//!
//! It asks every process what it says of itself, at a pace; looks into channels when it is asked to; and gives the same
//! orders as a backend, for one user at a time. Nothing passes through it, and nothing needs it.
//!
//! - `door`: who gets in;
//! - `processes`: all of them, asked at once; `sampler`, `numbers`: what they count, as rates and delays;
//! - `channels`, `users`: what is looked into, and done;
//! - `http`: the page and its API.
//!
//! Invariants: without the password nothing is answered but the page; no secret and no token is ever shown; whatever an
//! operator does is in the log.

mod channels;
mod door;
mod http;
mod numbers;
mod processes;
mod sampler;
mod settings;
mod users;

use std::sync::Arc;

use platepal_service::{Parts, RoleError};
use tokio::net::TcpListener;

use crate::{door::Door, processes::Processes, sampler::Sampler};

pub use settings::Settings;

/// What every request may need.
struct Console {
    settings: Settings,
    parts: Parts,
    door: Door,
    processes: Processes,
    sampler: Sampler,
}

/// Starts the console, if there is a password; returns when it is listening.
///
/// # Errors
/// Its address can't be listened on, or the gateway's is none.
pub async fn run(settings: Settings, parts: Parts) -> Result<(), RoleError> {
    describe_metrics();
    let Some(password) = &settings.password else {
        tracing::info!("there is no console: REALTIME_CONSOLE_PASSWORD is not set");
        return Ok(());
    };
    let gate = parts.readiness.gate("console");
    let door = Door::new(password.reveal(), &settings, parts.clock);
    let processes = Processes::new(&parts, settings.gateway_url.as_ref()).map_err(RoleError::Other)?;
    let address = settings.addr;
    let listener = TcpListener::bind(address).await.map_err(|source| RoleError::Listen {
        address,
        setting: "REALTIME_CONSOLE_ADDR",
        source,
    })?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "the console is listening");
    let sampler = Sampler::new(settings.samples);
    let shutdown = parts.shutdown.clone();
    let console = Arc::new(Console { settings, parts, door, processes, sampler });
    shutdown.spawn(sampler::run(Arc::clone(&console)));
    shutdown.spawn(http::serve(console, listener));
    gate.open();
    Ok(())
}

fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge};
    describe_counter!("realtime_console_logins_total", "Operators who signed in, or tried to, by result");
    describe_gauge!("realtime_console_watchers", "Pages of operators that follow what is happening");
    describe_counter!("realtime_console_actions_total", "What operators did, by action");
}
