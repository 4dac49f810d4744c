//! Who was allowed by hand to read a channel.

use async_trait::async_trait;
use platepal_events::{Channel, Event, EventId, Timestamp};
use platepal_service::{access::Grants, outbox::Letter};
use serde_json::json;

use super::{Store, StoreError};

#[async_trait]
impl Grants for Store {
    async fn has(&self, user: &str, channel: &Channel, now: Timestamp) -> Result<bool, String> {
        let sql = "SELECT 1 AS found FROM tracking_grants WHERE user_id = $1 AND channel = $2 \
                   AND (expires_at IS NULL OR expires_at > $3)";
        let values = [user.into(), channel.as_str().into(), now.micros().into()];
        self.database.rows(sql, &values).await.map(|rows| !rows.is_empty()).map_err(|why| why.to_string())
    }
}

impl Store {
    /// Keeps a grant; a second one replaces the first.
    pub(crate) async fn grant(
        &self,
        user: &str,
        channel: &Channel,
        expires_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.database
            .execute(
                "INSERT INTO tracking_grants (user_id, channel, expires_at) VALUES ($1, $2, $3) \
                 ON CONFLICT (user_id, channel) DO UPDATE SET expires_at = $3",
                &[user.into(), channel.as_str().into(), expires_at.map(Timestamp::micros).into()],
            )
            .await?;
        Ok(())
    }

    /// Takes a grant back and, in the same transaction, puts the news for the edges: the stream to drain, and
    /// whether there was a grant. The news go out in any case: an edge may remember an expired grant.
    pub(crate) async fn revoke(
        &self,
        user: &str,
        channel: &Channel,
        now: Timestamp,
    ) -> Result<(Channel, bool), StoreError> {
        let mut tx = self.database.begin().await?;
        let sql = "DELETE FROM tracking_grants WHERE user_id = $1 AND channel = $2";
        let existed = tx.execute(sql, &[user.into(), channel.as_str().into()]).await? > 0;
        let stream = Channel::sessions();
        let event = Event {
            id: EventId::make(),
            kind: super::kind("grant.revoked"),
            timestamp: now,
            version: "1.0".into(),
            payload: json!({"user_id": user, "channel": channel.as_str()}).to_string().into_bytes().into(),
            key: "".into(),
            traceparent: "".into(),
        };
        let letter = Letter { stream: stream.clone(), event, channels: vec![stream.clone()] };
        self.outbox.put(&mut tx, &letter, now).await?;
        tx.commit().await?;
        Ok((stream, existed))
    }
}
