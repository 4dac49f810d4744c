//! Leases: which replica takes the fixes of which partition's riders.
//!
//! A lease ends by itself, so that the riders of a replica that was killed get another. Its `term` grows with every
//! change of hands; what an owner writes checks its term in the same transaction ([`Store::holds`]), so that one that
//! was asleep for too long can write nothing. That does not depend on clocks; when a lease ends is told by the
//! database's.

use platepal_events::Timestamp;
use platepal_service::{
    Database,
    sql::{Transaction, Value},
};

use super::{Store, StoreError};

/// Who has a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) partition: i64,
    /// Empty: nobody.
    pub(crate) owner: String,
    /// Where the owner's gRPC is.
    pub(crate) url: String,
    pub(crate) term: i64,
    pub(crate) expires_at: Timestamp,
}

impl Store {
    /// Whether several replicas may share the tables.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.database, Database::Postgres(_))
    }

    /// Now, by the database's clock where several replicas have it: their own clocks may differ by more than a lease
    /// lasts.
    pub(crate) async fn now(&self, own: Timestamp) -> Result<Timestamp, StoreError> {
        if !self.is_shared() {
            return Ok(own);
        }
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now";
        let rows = self.database.rows(sql, &[]).await?;
        Ok(rows.first().map(|row| row.int("now")).transpose()?.map_or(own, Timestamp::from_micros))
    }

    /// All leases, also those that have ended.
    pub(crate) async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        let sql = "SELECT partition_no, owner, url, term, expires_at FROM tracking_leases";
        let rows = self.database.rows(sql, &[]).await?;
        let mut leases = Vec::with_capacity(rows.len());
        for row in rows {
            leases.push(Lease {
                partition: row.int("partition_no")?,
                owner: row.text("owner")?,
                url: row.text("url")?,
                term: row.int("term")?,
                expires_at: Timestamp::from_micros(row.int("expires_at")?),
            });
        }
        Ok(leases)
    }

    /// Says that a replica is alive, prolongs what it holds, and counts the living.
    pub(crate) async fn renew(
        &self,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<i64, StoreError> {
        let until = until.micros();
        self.database
            .execute(
                "INSERT INTO tracking_replicas (owner, expires_at) VALUES ($1, $2) \
                 ON CONFLICT (owner) DO UPDATE SET expires_at = $2",
                &[owner.into(), until.into()],
            )
            .await?;
        self.database
            .execute("DELETE FROM tracking_replicas WHERE expires_at < $1", &[now.micros().into()])
            .await?;
        // Locked in the order in which writes hold them ([`Store::holds`]): in another one both wait for each other.
        let lock = if self.is_shared() { " FOR NO KEY UPDATE" } else { "" };
        let sql = format!(
            "UPDATE tracking_leases SET expires_at = $2 WHERE owner = $1 AND partition_no IN \
             (SELECT partition_no FROM tracking_leases WHERE owner = $1 ORDER BY partition_no{lock})"
        );
        self.database.execute(&sql, &[owner.into(), until.into()]).await?;
        let rows = self.database.rows("SELECT COUNT(*) AS replicas FROM tracking_replicas", &[]).await?;
        Ok(rows.first().map(|row| row.int("replicas")).transpose()?.unwrap_or(1))
    }

    /// Takes a partition that nobody has, or whose lease has ended by `now`; the new term, or `None` if somebody was
    /// quicker.
    pub(crate) async fn claim(&self, lease: &Lease, now: Timestamp) -> Result<Option<i64>, StoreError> {
        let rows = self
            .database
            .rows(
                "INSERT INTO tracking_leases (partition_no, owner, url, term, expires_at) VALUES ($1, $2, $3, 1, $4) \
                 ON CONFLICT (partition_no) DO UPDATE \
                 SET owner = $2, url = $3, term = tracking_leases.term + 1, expires_at = $4 \
                 WHERE tracking_leases.owner = '' OR tracking_leases.expires_at < $5 RETURNING term",
                &[
                    lease.partition.into(),
                    (&lease.owner).into(),
                    (&lease.url).into(),
                    lease.expires_at.micros().into(),
                    now.micros().into(),
                ],
            )
            .await?;
        Ok(rows.first().map(|row| row.int("term")).transpose()?)
    }

    /// Gives partitions back. One that has another owner by now stays as it is.
    pub(crate) async fn release(&self, owner: &str, partitions: &[i64]) -> Result<(), StoreError> {
        for partition in partitions {
            self.database
                .execute(
                    "UPDATE tracking_leases SET owner = '', expires_at = 0 WHERE partition_no = $1 AND owner = $2",
                    &[(*partition).into(), owner.into()],
                )
                .await?;
        }
        Ok(())
    }

    /// Says that a replica is gone.
    pub(crate) async fn leave(&self, owner: &str) -> Result<(), StoreError> {
        self.database.execute("DELETE FROM tracking_replicas WHERE owner = $1", &[owner.into()]).await?;
        Ok(())
    }

    /// Whether an owner still has partitions at their terms; they stay its own until the end of the transaction.
    pub(crate) async fn holds(
        &self,
        tx: &mut Transaction,
        owner: &str,
        terms: &[(i64, i64)],
    ) -> Result<bool, StoreError> {
        if terms.is_empty() {
            return Ok(true);
        }
        let lock = if matches!(tx, Transaction::Postgres(_)) { " FOR SHARE" } else { "" };
        let places: Vec<String> = (2..terms.len() + 2).map(|place| format!("${place}")).collect();
        let sql = format!(
            "SELECT partition_no, term FROM tracking_leases WHERE owner = $1 AND partition_no IN ({}) \
             ORDER BY partition_no{lock}",
            places.join(", ")
        );
        let mut values: Vec<Value<'_>> = vec![owner.into()];
        values.extend(terms.iter().map(|(partition, _)| Value::from(*partition)));
        let mut held = std::collections::BTreeSet::new();
        for row in tx.rows(&sql, &values).await? {
            held.insert((row.int("partition_no")?, row.int("term")?));
        }
        Ok(terms.iter().all(|term| held.contains(term)))
    }
}
