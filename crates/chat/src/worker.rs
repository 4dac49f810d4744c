//! What happens without being asked: rooms close, with their order too, and what is old is forgotten.

use async_trait::async_trait;
use platepal_events::{Channel, Entry, Timestamp, millis};
use platepal_service::{
    Clock,
    learning::Learner,
    outbox::Outbox,
    timers::{Timer, Timers},
    worker::Chores,
};

use crate::store::{Store, rooms::Place};

/// With these an order has ended.
const ENDS: &[&str] = &["order.completed", "order.cancelled", "order.rejected", "order.refunded"];

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
        let rooms = self.forget(now).await.map_err(|why| why.to_string())?;
        metrics::counter!("realtime_chat_forgotten_total").increment(rooms);
        Ok(())
    }
}

/// Lets rooms close with their orders.
pub(crate) struct OrdersEnd {
    pub(crate) store: Store,
    pub(crate) grace: std::time::Duration,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Learner for OrdersEnd {
    async fn learn(&self, entry: &Entry) -> Result<(), String> {
        if !ENDS.contains(&entry.event.kind.as_str()) {
            return Ok(());
        }
        let closes_at = entry.event.timestamp.plus_millis(millis(self.grace));
        for room_id in self.store.rooms_of_order(entry.channel.id()).await.map_err(|why| why.to_string())? {
            let now = self.clock.now();
            let place = Place::new(&room_id, &entry.event.traceparent, now).map_err(|why| why.to_string())?;
            let changed = self.store.close_room_at(&place, closes_at).await.map_err(|why| why.to_string())?;
            for stream in changed.into_iter().flat_map(|changed| changed.streams) {
                if let Err(why) = self.store.outbox.drain(&stream, now).await {
                    tracing::warn!(%stream, %why, "when a room closes is kept but not told yet; will try again");
                }
            }
        }
        Ok(())
    }
}
