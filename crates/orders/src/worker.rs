//! What happens without being asked: timers fire, old orders are forgotten.

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
        let stream = Store::fire(self, timer, now).await.map_err(|why| why.to_string())?;
        Ok(stream.map(|stream| vec![stream]))
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), String> {
        let orders = self.forget(now).await.map_err(|why| why.to_string())?;
        metrics::counter!("realtime_orders_forgotten_total").increment(orders);
        Ok(())
    }
}
