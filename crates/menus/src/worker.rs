//! What happens without being asked: items come back at their time, what is old is forgotten.

use async_trait::async_trait;
use platepal_events::{Channel, Timestamp};
use platepal_service::{
    outbox::Outbox,
    timers::{Timer, Timers},
    worker::Chores,
};

use crate::store::Store;

#[async_trait]
impl Chores for Store {
    fn timers(&self) -> &Timers {
        &self.timers
    }

    fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    async fn fire(&self, timer: &Timer, now: Timestamp) -> Result<Option<Vec<Channel>>, String> {
        self.come_back(timer, now).await.map_err(|why| why.to_string())
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), String> {
        let items = self.forget(now).await.map_err(|why| why.to_string())?;
        metrics::counter!("realtime_menus_forgotten_total").increment(items);
        Ok(())
    }
}
