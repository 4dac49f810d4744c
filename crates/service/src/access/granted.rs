//! Who was allowed by hand to read a channel, in a domain's database.
//!
//! Table, made by the domain's migrations: `{domain}_grants(user_id, channel, expires_at)`.

use async_trait::async_trait;
use platepal_events::{Channel, Event, EventId, EventType, Timestamp};
use serde_json::json;

use super::Grants;
use crate::{
    Database,
    outbox::{Letter, Outbox},
    sql::{self, Transaction},
};

/// A domain's grants. Cheap to clone.
#[derive(Clone)]
pub struct Granted {
    database: Database,
    outbox: Outbox,
    domain: &'static str,
}

#[async_trait]
impl Grants for Granted {
    async fn has(&self, user: &str, channel: &Channel, now: Timestamp) -> Result<bool, String> {
        let sql = format!(
            "SELECT 1 AS found FROM {}_grants WHERE user_id = $1 AND channel = $2 \
             AND (expires_at IS NULL OR expires_at > $3)",
            self.domain
        );
        let values = [user.into(), channel.as_str().into(), now.micros().into()];
        self.database.rows(&sql, &values).await.map(|rows| !rows.is_empty()).map_err(|why| why.to_string())
    }
}

impl Granted {
    /// The grants in the table of a domain.
    pub fn new(database: Database, outbox: Outbox, domain: &'static str) -> Self {
        Self { database, outbox, domain }
    }

    /// Keeps a grant; a second one replaces the first.
    pub async fn grant(
        &self,
        user: &str,
        channel: &Channel,
        expires_at: Option<Timestamp>,
    ) -> Result<(), sql::Error> {
        let sql = format!(
            "INSERT INTO {}_grants (user_id, channel, expires_at) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, channel) DO UPDATE SET expires_at = $3",
            self.domain
        );
        let expires_at = expires_at.map(Timestamp::micros).into();
        self.database.execute(&sql, &[user.into(), channel.as_str().into(), expires_at]).await?;
        Ok(())
    }

    /// Takes a grant back and, in the same transaction, puts the news for the edges: the stream to drain, and
    /// whether there was a grant. The news go out in any case: an edge may remember an expired grant.
    pub async fn revoke(
        &self,
        user: &str,
        channel: &Channel,
        now: Timestamp,
    ) -> Result<(Channel, bool), sql::Error> {
        let mut tx = self.database.begin().await?;
        let sql = format!("DELETE FROM {}_grants WHERE user_id = $1 AND channel = $2", self.domain);
        let existed = tx.execute(&sql, &[user.into(), channel.as_str().into()]).await? > 0;
        let stream = self.put_revocation(&mut tx, user, channel, now).await?;
        tx.commit().await?;
        Ok((stream, existed))
    }

    /// Puts the news that a user may not read a channel any more, as part of a transaction: open sockets ask again.
    /// The stream to drain.
    pub async fn put_revocation(
        &self,
        tx: &mut Transaction,
        user: &str,
        channel: &Channel,
        now: Timestamp,
    ) -> Result<Channel, sql::Error> {
        let stream = Channel::sessions();
        let payload = json!({"user_id": user, "channel": channel.as_str()}).to_string();
        let event = Event::new(EventId::make(), EventType::named("grant.revoked"), payload, now);
        let letter = Letter { stream: stream.clone(), event, channels: vec![stream.clone()] };
        self.outbox.put(tx, &letter, now).await?;
        Ok(stream)
    }

    /// Forgets grants that have expired.
    pub async fn forget(&self, now: Timestamp) -> Result<(), sql::Error> {
        let sql = format!("DELETE FROM {}_grants WHERE expires_at < $1", self.domain);
        self.database.execute(&sql, &[now.micros().into()]).await?;
        Ok(())
    }
}
