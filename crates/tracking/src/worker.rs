//! What happens without being asked: offers expire, what is old is forgotten.

use async_trait::async_trait;
use platepal_events::{Channel, Timestamp};
use platepal_service::{
    outbox::Outbox,
    timers::{Timer, Timers},
    worker::{Chores, Pace},
};

use crate::{settings::Settings, store::Store};

impl Settings {
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            poll_interval: self.poll_interval,
            relay_after: self.relay_after,
            sweep_interval: self.sweep_interval,
            chunk: self.chunk,
        }
    }
}

#[async_trait]
impl Chores for Store {
    fn timers(&self) -> &Timers {
        &self.timers
    }

    fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    async fn fire(&self, timer: &Timer, now: Timestamp) -> Result<Option<Vec<Channel>>, String> {
        let stream = self.expire(timer, now).await.map_err(|why| why.to_string())?;
        if stream.is_some() {
            metrics::counter!("realtime_tracking_timers_fired_total", "timer" => timer.name.clone())
                .increment(1);
        }
        Ok(stream.map(|stream| vec![stream]))
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), String> {
        let forgotten = self.forget(now).await.map_err(|why| why.to_string())?;
        for (what, count) in forgotten.counts() {
            metrics::counter!("realtime_tracking_forgotten_total", "what" => what).increment(count);
        }
        Ok(())
    }
}
