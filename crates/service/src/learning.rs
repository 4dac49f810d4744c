//! What a domain learns of others: every *log* event of some kinds of channels, at least once.
//!
//! Domains never call each other. What one needs of another it learns from events, and acknowledges after its own
//! commit; replicas share the work.

use std::time::Duration;

use async_trait::async_trait;
use platepal_bus::Bus;
use platepal_events::{ChannelKind, Entry};

use crate::Shutdown;

/// The first wait after a failure; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Somebody who learns.
#[async_trait]
pub trait Learner: Send + Sync + 'static {
    /// Keeps what follows from an event; may be told the same one again. An error: it is told again, later.
    async fn learn(&self, entry: &Entry) -> Result<(), String>;
}

/// Describes the metrics of all that learn.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "realtime_learned_total",
        "Events of other domains that a domain looked at, by domain and result."
    );
}

/// Learns until the shutdown. `group` is the domain's name, the same in all its replicas.
pub async fn run(
    learner: impl Learner,
    bus: std::sync::Arc<dyn Bus>,
    group: &'static str,
    kinds: &'static [ChannelKind],
    shutdown: Shutdown,
) {
    let told = shutdown.told();
    tokio::select! {
        () = told => {}
        () = follow(&learner, &*bus, group, kinds) => {}
    }
}

async fn follow(learner: &impl Learner, bus: &dyn Bus, group: &'static str, kinds: &[ChannelKind]) {
    let mut wait = RETRY_FIRST;
    loop {
        match bus.consume(group, kinds).await {
            Ok(mut consumer) => {
                while let Ok(unacknowledged) = consumer.next().await {
                    let learned = learner.learn(&unacknowledged.entry).await;
                    let result = if learned.is_ok() { "learned" } else { "failed" };
                    metrics::counter!("realtime_learned_total", "domain" => group, "result" => result)
                        .increment(1);
                    match learned {
                        Ok(()) => {
                            wait = RETRY_FIRST;
                            if let Err(why) = unacknowledged.acknowledge().await {
                                tracing::debug!(group, %why, "an event was not acknowledged; it comes again");
                            }
                        }
                        Err(why) => {
                            tracing::warn!(group, event = %unacknowledged.entry.event.id, why, "an event could not be learned; it comes again");
                            tokio::time::sleep(wait).await;
                            wait = (wait * 2).min(RETRY_MAX);
                        }
                    }
                }
            }
            Err(why) => tracing::warn!(group, %why, "events of others can't be read now; will try again"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}
