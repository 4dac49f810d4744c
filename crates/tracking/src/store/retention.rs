//! Forgetting: what is older than its time goes, in chunks; and a rider who asks for it goes at once.

use platepal_events::{Timestamp, millis};
use platepal_service::sql::Value;

use super::{Store, StoreError};

/// What one round forgot.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Forgotten {
    pub(crate) deliveries: u64,
    pub(crate) trails: u64,
    pub(crate) riders: u64,
}

impl Forgotten {
    /// For the metric, by what it is.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 3] {
        [("deliveries", self.deliveries), ("trails", self.trails), ("riders", self.riders)]
    }
}

impl Store {
    /// Forgets what did not change for long: trails, deliveries with their offers and history, riders without a
    /// shift, and what else is out of date. A delivery of which something is untold stays.
    pub(crate) async fn forget(&self, now: Timestamp) -> Result<Forgotten, StoreError> {
        let before = now.plus_millis(-millis(self.settings.keep)).micros();
        let chunk = i64::from(self.settings.chunk);
        let deliveries = self.forget_deliveries(before, chunk).await?;
        let trails = self
            .database
            .execute(
                "DELETE FROM tracking_trails WHERE (rider_id, delivery_id, started_at) IN (SELECT rider_id, \
                 delivery_id, started_at FROM tracking_trails WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)",
                &[before.into(), chunk.into()],
            )
            .await?;
        // The last place of a rider is in the state; without a shift nobody asks for it.
        let riders = self
            .database
            .execute(
                "DELETE FROM tracking_riders WHERE rider_id IN (SELECT rider_id FROM tracking_riders \
                 WHERE changed_at < $1 AND (shift_started_at IS NULL OR shift_ended_at < $1) LIMIT $2)",
                &[before.into(), chunk.into()],
            )
            .await?;
        self.grants.forget(now).await?;
        // Deliveries' rows go with their deliveries; these belong to none.
        self.database
            .execute(
                "DELETE FROM tracking_outbox WHERE kept IS NOT NULL AND put_at < $1 AND stream NOT LIKE 'track:%'",
                &[before.into()],
            )
            .await?;
        Ok(Forgotten { deliveries, trails, riders })
    }

    async fn forget_deliveries(&self, before: i64, chunk: i64) -> Result<u64, StoreError> {
        let mut tx = self.database.begin().await?;
        let sql = format!(
            "SELECT delivery_id FROM tracking_deliveries d WHERE changed_at < $1 AND NOT EXISTS (SELECT 1 FROM \
             tracking_streams s WHERE s.stream = 'track:' || d.delivery_id AND s.seq > s.told_seq) \
             ORDER BY changed_at LIMIT $2{}",
            tx.for_update()
        );
        let rows = tx.rows(&sql, &[before.into(), chunk.into()]).await?;
        for row in &rows {
            let delivery_id = row.text("delivery_id")?;
            let stream = format!("track:{delivery_id}");
            let delivery: Value<'_> = (&delivery_id).into();
            for sql in [
                "DELETE FROM tracking_timers WHERE subject IN (SELECT offer_id FROM tracking_offers WHERE delivery_id = $1)",
                "DELETE FROM tracking_offers WHERE delivery_id = $1",
                "DELETE FROM tracking_changes WHERE delivery_id = $1",
                "DELETE FROM tracking_deliveries WHERE delivery_id = $1",
            ] {
                tx.execute(sql, &[delivery]).await?;
            }
            for sql in [
                "DELETE FROM tracking_outbox WHERE stream = $1",
                "DELETE FROM tracking_streams WHERE stream = $1",
            ] {
                tx.execute(sql, &[(&stream).into()]).await?;
            }
        }
        tx.commit().await?;
        Ok(rows.len() as u64)
    }
}
