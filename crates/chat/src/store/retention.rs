//! Forgetting: what nobody asks for any more goes, in chunks.

use platepal_events::{Timestamp, millis};

use super::{Store, StoreError};

impl Store {
    /// Forgets rooms that were closed long ago with their messages, and what else is out of date; how many rooms. A room
    /// of which something is untold stays.
    pub(crate) async fn forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let before = now.plus_millis(-millis(self.settings.keep)).micros();
        let chunk = i64::from(self.settings.chunk);
        let mut tx = self.database.begin().await?;
        let sql = format!(
            "SELECT room_id FROM chat_rooms r WHERE closed_at < $1 AND NOT EXISTS (SELECT 1 FROM chat_streams s \
             WHERE s.stream = 'chat:' || r.room_id AND s.seq > s.told_seq) ORDER BY room_id LIMIT $2{}",
            tx.for_update()
        );
        let rows = tx.rows(&sql, &[before.into(), chunk.into()]).await?;
        for row in &rows {
            let room_id = row.text("room_id")?;
            let stream = format!("chat:{room_id}");
            for sql in [
                "DELETE FROM chat_messages WHERE room_id = $1",
                "DELETE FROM chat_members WHERE room_id = $1",
                "DELETE FROM chat_timers WHERE subject = $1",
                "DELETE FROM chat_rooms WHERE room_id = $1",
            ] {
                tx.execute(sql, &[(&room_id).into()]).await?;
            }
            for sql in
                ["DELETE FROM chat_outbox WHERE stream = $1", "DELETE FROM chat_streams WHERE stream = $1"]
            {
                tx.execute(sql, &[(&stream).into()]).await?;
            }
        }
        tx.commit().await?;
        self.grants.forget(now).await?;
        self.feed.forget(now.plus_millis(-millis(self.settings.mirror_keep))).await?;
        Ok(rows.len() as u64)
    }
}
