//! What is known of one user: handed out, and taken away.

use platepal_events::{Channel, Timestamp};
use platepal_service::sql::Transaction;

use super::{
    Store, StoreError,
    messages::{MESSAGE, read_message},
    rooms::{Place, Read},
};
use crate::rules::{message::Message, room::Face};

impl Store {
    /// What a user wrote, by id, after one.
    pub(crate) async fn written_by(
        &self,
        user_id: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Message>, StoreError> {
        let sql = format!("{MESSAGE} WHERE m.sender_id = $1 AND m.id > $2 ORDER BY m.id LIMIT $3");
        let rows = self.database.rows(&sql, &[user_id.into(), after.into(), limit.into()]).await?;
        rows.iter().map(read_message).collect()
    }

    /// Takes the words and the sender's name from a page of what a user wrote, of one room; the room's stream and how many.
    /// `None`: nothing is left.
    pub(crate) async fn erase_some(
        &self,
        user_id: &str,
        limit: i64,
        now: Timestamp,
    ) -> Result<Option<(Channel, u64)>, StoreError> {
        let nobody = serde_json::to_string(&Face::default()).unwrap_or_default();
        let left = "m.sender_id = $1 AND (m.deleted_at IS NULL OR m.sender <> $2)";
        let sql = format!("SELECT m.room_id FROM chat_messages m WHERE {left} ORDER BY m.id LIMIT 1");
        let rows = self.database.rows(&sql, &[user_id.into(), (&nobody).into()]).await?;
        let Some(room_id) = rows.first().map(|row| row.text("room_id")).transpose()? else { return Ok(None) };
        let place = Place::new(&room_id, "", now)?;
        let mut tx = self.database.begin().await?;
        // A room is never forgotten before its messages.
        let mut read = self.lock_room(&mut tx, &room_id).await?.ok_or(sqlx::Error::RowNotFound)?;
        let sql = format!("{MESSAGE} WHERE {left} AND m.room_id = $3 ORDER BY m.id LIMIT $4");
        let rows =
            tx.rows(&sql, &[user_id.into(), (&nobody).into(), (&room_id).into(), limit.into()]).await?;
        let mut erased = 0;
        for row in &rows {
            let mut message = Message { sender: Face::default(), ..read_message(row)?.emptied(now) };
            if message.sequence == 0 {
                message.status = crate::rules::message::MessageStatus::Dropped;
                self.update(&mut tx, &message).await?;
            } else {
                self.move_on(&mut tx, &place, &mut read, &mut message, "chat_message_deleted").await?;
            }
            erased += 1;
        }
        // As a member, nothing is left but the id.
        self.erase_face(&mut tx, &mut read, user_id).await?;
        tx.commit().await?;
        self.feed.wake();
        Ok(Some((place.channel, erased)))
    }

    /// Takes a user's name from rooms in which the user wrote nothing.
    pub(crate) async fn erase_faces(&self, user_id: &str) -> Result<(), StoreError> {
        let sql = "SELECT room_id FROM chat_members WHERE user_id = $1 ORDER BY room_id";
        for row in self.database.rows(sql, &[user_id.into()]).await? {
            let room_id = row.text("room_id")?;
            let mut tx = self.database.begin().await?;
            let Some(mut read) = self.lock_room(&mut tx, &room_id).await? else { continue };
            self.erase_face(&mut tx, &mut read, user_id).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn erase_face(
        &self,
        tx: &mut Transaction,
        read: &mut Read,
        user_id: &str,
    ) -> Result<(), StoreError> {
        let face = read.room.members.iter_mut().find(|member| member.user_id == user_id);
        let Some(member) = face.filter(|member| member.face != Face::default()) else { return Ok(()) };
        member.face = Face::default();
        let state = serde_json::to_string(&read.room)
            .map_err(|why| StoreError::State(format!("room {}", read.room_id), why))?;
        let sql = "UPDATE chat_rooms SET state = $2 WHERE room_id = $1";
        tx.execute(sql, &[(&read.room_id).into(), (&state).into()]).await?;
        Ok(())
    }
}
