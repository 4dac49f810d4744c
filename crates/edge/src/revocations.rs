//! Follows what the domains say of grants that were taken back, and has the sockets concerned ask again.

use std::{sync::Arc, time::Duration};

use platepal_bus::{Bus, Delivery};
use platepal_events::Channel;
use platepal_service::Gate;

use crate::{Edge, access::revoked};

/// The first wait after the bus could not be reached; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Runs until told to end. The gate opens once revocations are heard.
pub(crate) async fn run(edge: Arc<Edge>, bus: Arc<dyn Bus>, gate: Gate) {
    let told = edge.shutdown.told();
    tokio::pin!(told);
    tokio::select! {
        () = follow(&edge, &*bus, &gate) => {}
        () = &mut told => {}
    }
}

async fn follow(edge: &Edge, bus: &dyn Bus, gate: &Gate) {
    let mut wait = RETRY_FIRST;
    loop {
        match bus.subscribe(&Channel::sessions()).await {
            Ok(mut subscription) => {
                wait = RETRY_FIRST;
                // What was said while nobody listened is not known.
                edge.access.revoke_all();
                edge.sessions.recheck_all();
                gate.open();
                while let Some(delivery) = subscription.next().await {
                    hear(edge, delivery);
                }
                gate.close("revocations are not heard: the bus was shut down");
            }
            Err(why) => gate.close(format!("revocations are not heard: {why}")),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

fn hear(edge: &Edge, delivery: Delivery) {
    match delivery {
        Delivery::Reset { .. } => {
            edge.access.revoke_all();
            edge.sessions.recheck_all();
        }
        Delivery::Entry(entry) if entry.event.kind.as_str() == "grant.revoked" => match revoked(&entry.event)
        {
            Some((user, channel)) => {
                tracing::debug!(user, %channel, "a grant was revoked");
                edge.access.revoke(&user, channel.as_str());
                edge.sessions.recheck(&user, &channel);
            }
            None => {
                // Whom it concerns can't be read, so it may concern everybody.
                tracing::warn!(event = %entry.event.id, "a revocation can't be read; all sockets ask again");
                edge.access.revoke_all();
                edge.sessions.recheck_all();
            }
        },
        Delivery::Entry(_) | Delivery::Passing(_) => {}
    }
}
