//! Numbers of messages: whole, unique among all replicas, handed out in blocks.

use parking_lot::Mutex;
use platepal_service::Database;

/// Numbers that a process takes at once; it forgets what it did not use.
const BLOCK: i64 = 1_000;

/// The numbers that this process has left: from the first up to and without the second.
#[derive(Debug, Default)]
pub(super) struct Ids(Mutex<(i64, i64)>);

impl Ids {
    /// So many numbers that nobody else has.
    pub(super) async fn take(&self, database: &Database, count: usize) -> Result<Vec<i64>, sqlx::Error> {
        let mut ids = Vec::with_capacity(count);
        loop {
            {
                let mut left = self.0.lock();
                while ids.len() < count && left.0 < left.1 {
                    ids.push(left.0);
                    left.0 += 1;
                }
            }
            if ids.len() == count {
                return Ok(ids);
            }
            let sql =
                "UPDATE chat_ids SET last_used = last_used + $1 WHERE name = 'messages' RETURNING last_used";
            let rows = database.rows(sql, &[BLOCK.into()]).await?;
            let last = rows.first().ok_or(sqlx::Error::RowNotFound)?.int("last_used")?;
            // Two callers may each have fetched a block; the numbers of one are left out.
            *self.0.lock() = (last - BLOCK + 1, last + 1);
        }
    }
}
