//! Numbers that are whole and unique among all replicas of a domain, handed out in blocks.
//!
//! Table, made by the domain's migrations: `{domain}_ids(name, last_used)`, with a row for each name.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Database, sql};

/// Numbers that a process takes at once; it forgets what it did not use.
const BLOCK: i64 = 1_000;

/// The numbers of a name. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ids {
    database: Database,
    domain: &'static str,
    name: &'static str,
    /// What this process has left: from the first up to and without the second.
    left: Arc<Mutex<(i64, i64)>>,
}

impl Ids {
    /// The numbers of a name in the table of a domain.
    pub fn new(database: Database, domain: &'static str, name: &'static str) -> Self {
        Self { database, domain, name, left: Arc::default() }
    }

    /// So many numbers that nobody else has.
    pub async fn take(&self, count: usize) -> Result<Vec<i64>, sql::Error> {
        let mut ids = Vec::with_capacity(count);
        loop {
            {
                let mut left = self.left.lock();
                while ids.len() < count && left.0 < left.1 {
                    ids.push(left.0);
                    left.0 += 1;
                }
            }
            if ids.len() == count {
                return Ok(ids);
            }
            let sql = format!(
                "UPDATE {}_ids SET last_used = last_used + $1 WHERE name = $2 RETURNING last_used",
                self.domain
            );
            let rows = self.database.rows(&sql, &[BLOCK.into(), self.name.into()]).await?;
            let last = rows.first().ok_or(sqlx::Error::RowNotFound)?.int("last_used")?;
            // Two callers may each have fetched a block; the numbers of one are left out.
            *self.left.lock() = (last - BLOCK + 1, last + 1);
        }
    }

    /// One number that nobody else has.
    pub async fn one(&self) -> Result<i64, sql::Error> {
        self.take(1).await?.pop().ok_or(sqlx::Error::RowNotFound)
    }
}
