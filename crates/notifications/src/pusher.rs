//! Sends pushes that are due, some at once, until the shutdown.
//!
//! Invariant: a push is this process's for as long as its lease; what becomes of it is noted before it is nobody's again.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use platepal_push::{Outcome, Senders};
use platepal_service::{Clock, Shutdown};

use crate::store::{Store, pushes::Taken};

/// Sends pushes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pusher {
    pub(crate) store: Store,
    pub(crate) senders: Arc<Senders>,
    pub(crate) clock: Clock,
}

impl Pusher {
    /// Works until the shutdown; what is being sent then is noted or, after its lease, sent by another.
    pub(crate) async fn run(self, poll: Duration, shutdown: Shutdown) {
        let told = shutdown.told();
        tokio::pin!(told);
        loop {
            let sent = tokio::select! {
                () = &mut told => return,
                sent = self.send_due() => sent,
            };
            // As long as there is work there is no pause.
            if sent > 0 {
                continue;
            }
            tokio::select! {
                () = &mut told => return,
                () = tokio::time::sleep(poll) => {}
            }
        }
    }

    /// Sends what is due now, one batch; how many.
    pub(crate) async fn send_due(&self) -> usize {
        let most = self.store.settings.pushes;
        let taken = match self.store.take_pushes(most, self.clock.now()).await {
            Ok(taken) => taken,
            Err(why) => {
                tracing::warn!(%why, "pushes can't be read now; will try again");
                return 0;
            }
        };
        let count = taken.len();
        stream::iter(taken).for_each_concurrent(most, |taken| self.send(taken)).await;
        count
    }

    async fn send(&self, taken: Taken) {
        metrics::gauge!("realtime_notifications_pushes_open").increment(1.0);
        let service = taken.device.device.service();
        let outcome = match self.senders.of(service) {
            Some(sender) => sender.send(&taken.device.device, &taken.push()).await,
            None => Outcome::Refused { why: format!("{} is not configured here", service.word()) },
        };
        metrics::gauge!("realtime_notifications_pushes_open").decrement(1.0);
        if let Outcome::Refused { why } | Outcome::Later { why, .. } = &outcome {
            tracing::debug!(
                notification = taken.notification.id,
                service = service.word(),
                why,
                "a push did not go out"
            );
        }
        let jitter = rand::random();
        if let Err(why) = self.store.pushed(&taken, &outcome, jitter, self.clock.now()).await {
            tracing::warn!(notification = taken.notification.id, %why, "what became of a push is not noted; it may be sent again");
        }
    }
}
