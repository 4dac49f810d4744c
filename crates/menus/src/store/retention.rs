//! Forgetting: what nobody asks for any more goes, in chunks.

use platepal_events::{Timestamp, millis};

use super::{Store, StoreError, items::read, number};
use crate::rules::item::Item;

impl Store {
    /// Forgets items of which there is nothing to say and that did not change for long, event ids, and what was told; how
    /// many items. What can't be ordered, or has a price of its own, stays.
    pub(crate) async fn forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let before = now.plus_millis(-millis(self.settings.keep)).micros();
        let chunk = i64::from(self.settings.chunk);
        let sql = "SELECT restaurant_id FROM menus_items WHERE is_plain = 1 AND changed_at < $1 ORDER BY changed_at LIMIT $2";
        let mut menus = Vec::new();
        for row in self.database.rows(sql, &[before.into(), chunk.into()]).await? {
            menus.push(row.text("restaurant_id")?);
        }
        menus.sort();
        menus.dedup();
        let mut forgotten = 0;
        for restaurant_id in menus {
            forgotten += self.forget_items(&restaurant_id, before).await?;
        }
        for sql in [
            "DELETE FROM menus_updates WHERE event_id IN (SELECT event_id FROM menus_updates WHERE kept_at < $1 LIMIT $2)",
            "DELETE FROM menus_outbox WHERE event_id IN (SELECT event_id FROM menus_outbox WHERE kept IS NOT NULL AND \
             put_at < $1 LIMIT $2)",
        ] {
            let mut tx = self.database.begin().await?;
            tx.execute(sql, &[before.into(), chunk.into()]).await?;
            tx.commit().await?;
        }
        Ok(forgotten)
    }

    async fn forget_items(&self, restaurant_id: &str, before: i64) -> Result<u64, StoreError> {
        let mut tx = self.database.begin().await?;
        self.lock(&mut tx, restaurant_id).await?;
        let sql = "DELETE FROM menus_items WHERE restaurant_id = $1 AND is_plain = 1 AND changed_at < $2 \
                   RETURNING item_id, state";
        let gone = tx.rows(sql, &[restaurant_id.into(), before.into()]).await?;
        let gone: Vec<Item> = gone.iter().map(read).collect::<Result<_, _>>()?;
        let listed = gone.iter().filter(|item| item.is_listed()).count();
        let sql = "UPDATE menus_menus SET items = items - $2 WHERE restaurant_id = $1";
        tx.execute(sql, &[restaurant_id.into(), number(listed as u64).into()]).await?;
        tx.commit().await?;
        Ok(gone.len() as u64)
    }
}
