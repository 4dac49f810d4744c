//! Forgetting: what nobody asks for any more goes, in chunks.

use platepal_events::{Timestamp, millis};

use super::{Store, StoreError};

impl Store {
    /// Forgets orders that did not change for long, with their event ids and history, and what else is out of
    /// date; how many orders. An order of which something is untold stays.
    pub(crate) async fn forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let before = now.plus_millis(-millis(self.settings.keep)).micros();
        let chunk = i64::from(self.settings.chunk);
        let mut tx = self.database.begin().await?;
        let sql = format!(
            "SELECT order_id FROM orders_orders o WHERE changed_at < $1 AND NOT EXISTS (SELECT 1 FROM orders_streams s \
             WHERE s.stream = 'order:' || o.order_id AND s.seq > s.told_seq) ORDER BY changed_at LIMIT $2{}",
            tx.for_update()
        );
        let rows = tx.rows(&sql, &[before.into(), chunk.into()]).await?;
        for row in &rows {
            let order_id = row.text("order_id")?;
            let stream = format!("order:{order_id}");
            for sql in [
                "DELETE FROM orders_orders WHERE order_id = $1",
                "DELETE FROM orders_updates WHERE order_id = $1",
                "DELETE FROM orders_timers WHERE subject = $1",
            ] {
                tx.execute(sql, &[(&order_id).into()]).await?;
            }
            for sql in [
                "DELETE FROM orders_outbox WHERE stream = $1",
                "DELETE FROM orders_streams WHERE stream = $1",
            ] {
                tx.execute(sql, &[(&stream).into()]).await?;
            }
        }
        let since = self.window_start(now).micros();
        tx.execute("DELETE FROM orders_rejections WHERE at < $1", &[since.into()]).await?;
        // Orders' rows go with their orders; these belong to none.
        tx.execute(
            "DELETE FROM orders_outbox WHERE kept IS NOT NULL AND put_at < $1 AND stream NOT LIKE 'order:%'",
            &[before.into()],
        )
        .await?;
        tx.commit().await?;
        self.grants.forget(now).await?;
        Ok(rows.len() as u64)
    }
}
