//! What is known of one user, taken away.

use super::{Store, StoreError};

impl Store {
    /// Deletes everything of a user; how many notifications.
    pub(crate) async fn erase(&self, user_id: &str) -> Result<u64, StoreError> {
        let mut tx = self.database.begin().await?;
        self.lock_user(&mut tx, user_id).await?;
        let own = "(SELECT id FROM notifications_inbox WHERE user_id = $1)";
        for sql in [
            format!("DELETE FROM notifications_pushes WHERE notification_id IN {own}"),
            format!("DELETE FROM notifications_deliveries WHERE notification_id IN {own}"),
            "DELETE FROM notifications_timers WHERE subject IN (SELECT CAST(id AS TEXT) FROM notifications_inbox WHERE user_id = $1)".to_owned(),
        ] {
            tx.execute(&sql, &[user_id.into()]).await?;
        }
        let deleted =
            tx.execute("DELETE FROM notifications_inbox WHERE user_id = $1", &[user_id.into()]).await?;
        for sql in [
            "DELETE FROM notifications_seen WHERE user_id = $1",
            "DELETE FROM notifications_devices WHERE user_id = $1",
            "DELETE FROM notifications_feed WHERE subject = $1",
            "DELETE FROM notifications_users WHERE user_id = $1",
        ] {
            tx.execute(sql, &[user_id.into()]).await?;
        }
        tx.commit().await?;
        Ok(deleted)
    }
}
