//! Items that come back by themselves at their time.

use platepal_events::{Channel, Timestamp};
use platepal_service::timers::Timer;

use super::{Store, StoreError, Streams};
use crate::rules::menu::Step;

/// The one timer that an item has.
pub(super) const BACK: &str = "back";

/// What an item's timer is about; a colon is in no id.
pub(super) fn subject(restaurant_id: &str, item_id: &str) -> String {
    format!("{restaurant_id}:{item_id}")
}

impl Store {
    /// An item's time has come; the streams in which something waits then, or `None` if it was taken or moved meanwhile.
    pub(crate) async fn come_back(
        &self,
        timer: &Timer,
        now: Timestamp,
    ) -> Result<Option<Vec<Channel>>, StoreError> {
        let (restaurant_id, item_id) = timer.subject.split_once(':').unwrap_or((timer.subject.as_str(), ""));
        let streams = Streams::of(restaurant_id)?;
        let mut tx = self.database.begin().await?;
        let menu = self.lock(&mut tx, restaurant_id).await?;
        if !self.timers.take(&mut tx, timer).await? {
            return Ok(None);
        }
        let item = self.held(&mut tx, restaurant_id, &[item_id]).await?.remove(item_id);
        let Some(mut step) = item.and_then(|item| Step::back(item, timer.due_at)) else {
            tx.commit().await?;
            return Ok(None);
        };
        let menu_version = menu.version + u64::from(step.is_told());
        self.save_step(&mut tx, restaurant_id, &mut step, &menu, menu_version, now).await?;
        let due_at = timer.due_at.micros().to_string();
        let happenings = step.happenings(restaurant_id, &["menus", "back", item_id, &due_at], now);
        let mut letters = streams.values(&step, restaurant_id, now, "");
        letters.extend(streams.happenings(happenings, &[], ""));
        let waiting = self.put(&mut tx, &letters, now).await?;
        tx.commit().await?;
        metrics::counter!("realtime_menus_returned_total").increment(1);
        Ok(Some(waiting))
    }
}
