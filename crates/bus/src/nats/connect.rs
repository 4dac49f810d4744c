//! The two connections, and what their errors mean.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, RequestErrorKind};
use rand::Rng;
use tokio::time::{Instant, sleep};

use super::Signs;
use crate::{BusError, Settings};

/// How long a start waits for a server.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// The longest wait between two tries to connect again.
const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// The connection for appends and reads, and the one for live events.
pub(super) async fn both(settings: &Settings, signs: &Arc<Signs>) -> Result<(Client, Client), BusError> {
    let commands = one(settings, || options(settings, "platepal-realtime")).await?;
    let live = one(settings, || {
        let signs = Arc::clone(signs);
        options(settings, "platepal-realtime live")
            .subscription_capacity(settings.subscription_queue.max(1))
            .event_callback(move |event| {
                note(&signs, &event);
                std::future::ready(())
            })
    })
    .await?;
    Ok((commands, live))
}

fn options(settings: &Settings, name: &str) -> ConnectOptions {
    ConnectOptions::new()
        .name(name)
        .request_timeout(Some(settings.request_timeout))
        .max_reconnects(None)
        .ping_interval(Duration::from_secs(10))
        .reconnect_delay_callback(|attempts| {
            let attempts = u32::try_from(attempts.min(8)).unwrap_or_default();
            let wait = Duration::from_millis(10) * 2_u32.pow(attempts);
            // Not all clients of a server that comes back at the same moment.
            wait.min(RECONNECT_MAX).mul_f64(rand::rng().random_range(0.5..1.0))
        })
}

async fn one(settings: &Settings, options: impl Fn() -> ConnectOptions) -> Result<Client, BusError> {
    let Some(url) = &settings.nats_url else {
        return Err(BusError::Refused("REALTIME_NATS_URL is not set".into()));
    };
    let by = Instant::now() + START_PATIENCE;
    loop {
        match options().connect(url.as_str()).await {
            Ok(client) => return Ok(client),
            Err(why) if Instant::now() >= by => {
                // Without the user and the password that the address may have.
                let host = url.host_str().unwrap_or_default();
                return Err(BusError::Unavailable(format!(
                    "no connection to NATS at {host}:{} for {START_PATIENCE:?}: {why}",
                    url.port().unwrap_or(4222)
                )));
            }
            Err(why) => {
                tracing::warn!(%why, "no connection to NATS yet");
                let wait = RECONNECT_MAX.mul_f64(rand::rng().random_range(0.1..0.3));
                sleep(wait).await;
            }
        }
    }
}

fn note(signs: &Signs, event: &Event) {
    match event {
        Event::SlowConsumer(_) => {
            signs.slow.fetch_add(1, Ordering::Release);
        }
        Event::Connected => {
            tracing::info!("connected to NATS");
            signs.look.notify_one();
        }
        other => tracing::warn!(event = %other, "the connection to NATS"),
    }
}

pub(super) fn too_slow(limit: Duration) -> BusError {
    BusError::Unavailable(format!("NATS did not answer within {limit:?} (REALTIME_BUS_REQUEST_TIMEOUT)"))
}

/// What an error of a request means.
pub(super) fn unanswered(why: async_nats::RequestError) -> BusError {
    match why.kind() {
        RequestErrorKind::NoResponders => {
            BusError::Unavailable("NATS answers, but JetStream does not (it may be starting)".into())
        }
        _ => unavailable(why),
    }
}

pub(super) fn unavailable(why: impl std::fmt::Display) -> BusError {
    BusError::Unavailable(format!("NATS: {why}"))
}
