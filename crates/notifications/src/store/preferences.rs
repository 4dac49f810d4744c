//! What users want.

use platepal_events::Timestamp;

use super::{Store, StoreError};
use crate::rules::preferences::Preferences;

pub(super) fn read(user_id: &str, json: &str) -> Result<Preferences, StoreError> {
    match json {
        "" => Ok(Preferences::default()),
        json => serde_json::from_str(json).map_err(|why| StoreError::State(format!("user {user_id}"), why)),
    }
}

impl Store {
    pub(crate) async fn preferences(&self, user_id: &str) -> Result<Preferences, StoreError> {
        let sql = "SELECT preferences FROM notifications_users WHERE user_id = $1";
        let rows = self.database.rows(sql, &[user_id.into()]).await?;
        let json = rows.first().map(|row| row.text("preferences")).transpose()?.unwrap_or_default();
        read(user_id, &json)
    }

    /// Changes them by what they were.
    pub(crate) async fn set_preferences(
        &self,
        user_id: &str,
        change: impl FnOnce(Preferences) -> Preferences + Send,
    ) -> Result<Preferences, StoreError> {
        let mut tx = self.database.begin().await?;
        let preferences = change(self.lock_user(&mut tx, user_id).await?.preferences);
        let json = serde_json::to_string(&preferences)
            .map_err(|why| StoreError::State(format!("user {user_id}"), why))?;
        let sql = "UPDATE notifications_users SET preferences = $2 WHERE user_id = $1";
        tx.execute(sql, &[user_id.into(), (&json).into()]).await?;
        tx.commit().await?;
        Ok(preferences)
    }

    /// Lets nothing disturb until a moment.
    pub(crate) async fn snooze(&self, user_id: &str, until: Option<Timestamp>) -> Result<(), StoreError> {
        let snoozed_until = until.map(Timestamp::micros);
        self.set_preferences(user_id, |preferences| Preferences { snoozed_until, ..preferences })
            .await
            .map(drop)
    }
}
