//! How far everybody has read, and what they have not.

use platepal_service::feed::Entry;

use super::{Store, StoreError, rooms::Place};
use crate::rules::payload;

/// Unread messages that are counted in one room.
const COUNT_MAX: i64 = 1_000;
/// Rooms in one answer.
const ROOMS_MAX: i64 = 1_000;

/// What somebody has not read of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) room_id: String,
    pub(crate) unread: i64,
    pub(crate) read_sequence: i64,
    pub(crate) sequence: i64,
}

/// Why there is no mark to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoMark {
    NoRoom,
    NotAMember,
}

impl Store {
    /// Moves a member's mark on to a sequence, at most to the room's newest; never back. The mark, and whether it moved.
    pub(crate) async fn mark_read(
        &self,
        place: &Place<'_>,
        user_id: &str,
        sequence: i64,
    ) -> Result<Result<(i64, bool), NoMark>, StoreError> {
        let mut tx = self.database.begin().await?;
        let Some(read) = self.lock_room(&mut tx, place.room_id).await? else {
            return Ok(Err(NoMark::NoRoom));
        };
        let sql = "SELECT read_sequence FROM chat_members WHERE room_id = $1 AND user_id = $2";
        let Some(row) = tx.row(sql, &[place.room_id.into(), user_id.into()]).await? else {
            return Ok(Err(NoMark::NotAMember));
        };
        let (mark, sequence) = (row.int("read_sequence")?, sequence.min(read.sequence));
        if sequence <= mark {
            return Ok(Ok((mark, false)));
        }
        let sql = "UPDATE chat_members SET read_sequence = $3 WHERE room_id = $1 AND user_id = $2";
        tx.execute(sql, &[place.room_id.into(), user_id.into(), sequence.into()]).await?;
        tx.execute(
            "UPDATE chat_messages SET read_at = $4 WHERE room_id = $1 AND sequence <= $2 AND read_at IS NULL AND sender_id <> $3",
            &[place.room_id.into(), sequence.into(), user_id.into(), place.now.micros().into()],
        )
        .await?;
        let payload = payload::read(place.room_id, user_id, sequence, place.now);
        let entry = Entry { subject: place.room_id, kind: "read", payload: &payload, at: place.now };
        self.feed.put(&mut tx, entry).await?;
        tx.commit().await?;
        self.feed.wake();
        Ok(Ok((sequence, true)))
    }

    /// Rooms of which a user has not read everything, the one where something happened last first. Own messages do not
    /// count.
    pub(crate) async fn unread(&self, user_id: &str) -> Result<Vec<Unread>, StoreError> {
        let sql = format!(
            "SELECT u.room_id, u.read_sequence, r.sequence, (SELECT COUNT(*) FROM (SELECT 1 FROM chat_messages m \
             WHERE m.room_id = u.room_id AND m.sequence > u.read_sequence AND m.sender_id <> $1 AND m.deleted_at IS NULL \
             LIMIT {COUNT_MAX}) AS counted) AS unread FROM chat_members u JOIN chat_rooms r ON r.room_id = u.room_id \
             WHERE u.user_id = $1 AND r.sequence > u.read_sequence ORDER BY r.last_message_at DESC LIMIT {ROOMS_MAX}"
        );
        let rows = self.database.rows(&sql, &[user_id.into()]).await?;
        let unread = rows.iter().map(|row| {
            Ok(Unread {
                room_id: row.text("room_id")?,
                unread: row.int("unread")?,
                read_sequence: row.int("read_sequence")?,
                sequence: row.int("sequence")?,
            })
        });
        let unread: Vec<Unread> = unread.collect::<Result<_, StoreError>>()?;
        Ok(unread.into_iter().filter(|room| room.unread > 0).collect())
    }
}
