//! Forgetting: what nobody asks for any more goes, in chunks.

use platepal_events::{Timestamp, millis};

use super::{
    Store, StoreError,
    inbox::{NOTIFICATION, read},
};

impl Store {
    /// Forgets old notifications, what became of them and their keys, and what else is out of date; how many
    /// notifications.
    pub(crate) async fn forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let before = now.plus_millis(-millis(self.settings.keep)).micros();
        let chunk = i64::from(self.settings.chunk);
        let sql = format!("{NOTIFICATION} WHERE created_at < $1 ORDER BY created_at LIMIT $2");
        let old = self.database.rows(&sql, &[before.into(), chunk.into()]).await?;
        let mut forgotten = 0;
        for row in &old {
            let (id, user_id) = (row.int("id")?, row.text("user_id")?);
            let mut tx = self.database.begin().await?;
            let mut user = self.lock_user(&mut tx, &user_id).await?;
            // It may have been read or deleted meanwhile.
            let Some(row) = tx.row(&format!("{NOTIFICATION} WHERE id = $1"), &[id.into()]).await? else {
                continue;
            };
            let notification = read(&row)?;
            self.remove(&mut tx, &notification).await?;
            if notification.read_at.is_none() {
                user.unread -= 1;
                self.save_user(&mut tx, &user).await?;
            }
            tx.commit().await?;
            forgotten += 1;
        }
        for sql in [
            "DELETE FROM notifications_seen WHERE (user_id, dedupe_key) IN (SELECT user_id, dedupe_key \
             FROM notifications_seen WHERE at < $1 ORDER BY at LIMIT $2)",
            "DELETE FROM notifications_deliveries WHERE (notification_id, way, device_id) IN (SELECT notification_id, way, \
             device_id FROM notifications_deliveries WHERE changed_at < $1 ORDER BY changed_at LIMIT $2)",
        ] {
            self.database.execute(sql, &[before.into(), chunk.into()]).await?;
        }
        self.grants.forget(now).await?;
        self.feed.forget(now.plus_millis(-millis(self.settings.handover_keep))).await?;
        Ok(forgotten)
    }
}
