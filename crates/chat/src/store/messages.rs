//! Messages: read, edited, deleted, decided.

use platepal_events::{Channel, Timestamp};
use platepal_service::sql::{self, Row, Transaction, Value};

use super::{
    Store, StoreError,
    rooms::{Place, Read},
    send::Told,
};
use crate::rules::message::{By, ChangeError, Message, MessageStatus, MessageType};

pub(super) const MESSAGE: &str = "SELECT m.id, m.room_id, m.sequence, m.changed, m.sender_id, m.client_id, m.sender, m.kind, \
     m.content, m.attachment, m.status, m.reason, m.created_at, m.edited_at, m.deleted_at, m.read_at FROM chat_messages m";

pub(super) fn read_message(row: &Row) -> Result<Message, StoreError> {
    let id = row.int("id")?;
    let state = |why| StoreError::State(format!("message {id}"), why);
    let (kind, status) = (row.text("kind")?, row.text("status")?);
    let attachment = row.text("attachment")?;
    Ok(Message {
        id,
        room_id: row.text("room_id")?,
        sequence: row.maybe_int("sequence")?.unwrap_or_default(),
        changed: row.maybe_int("changed")?.unwrap_or_default(),
        sender_id: row.text("sender_id")?,
        client_id: row.text("client_id")?,
        sender: serde_json::from_str(&row.text("sender")?).map_err(state)?,
        kind: MessageType::from_word(&kind).ok_or(StoreError::Word(id))?,
        content: row.text("content")?,
        attachment: match attachment.as_str() {
            "" => None,
            json => serde_json::from_str(json).map_err(state)?,
        },
        status: MessageStatus::from_word(&status).ok_or(StoreError::Word(id))?,
        reason: row.text("reason")?,
        created_at: row.int("created_at")?,
        edited_at: row.maybe_int("edited_at")?,
        deleted_at: row.maybe_int("deleted_at")?,
        read_at: row.maybe_int("read_at")?,
    })
}

/// Where a page begins, and which way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// The newest before a sequence; `None`: of all.
    Before(Option<i64>),
    /// What is new or was changed after a sequence.
    After(i64),
}

/// What a change came to.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) message: Message,
    /// The stream in which something may wait.
    pub(crate) stream: Channel,
}

/// What to do with a message.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Edit { by: By, content: String },
    Delete { by: By },
}

/// Who sent a message and what is attached to it, as they are kept.
fn texts(message: &Message) -> Result<(String, String), StoreError> {
    let state = |why| StoreError::State(format!("message {}", message.id), why);
    let sender = serde_json::to_string(&message.sender).map_err(state)?;
    let attachment = message.attachment.as_ref().map(serde_json::to_string).transpose().map_err(state)?;
    Ok((sender, attachment.unwrap_or_default()))
}

/// A sequence as it is kept: null until there is one.
fn number(sequence: i64) -> Option<i64> {
    Some(sequence).filter(|sequence| *sequence > 0)
}

impl Store {
    pub(super) async fn insert<'a>(
        &self,
        tx: &mut Transaction,
        messages: impl Iterator<Item = &'a Message>,
    ) -> Result<(), StoreError> {
        let texts = messages
            .map(|message| texts(message).map(|texts| (message, texts)))
            .collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<[Value<'_>; 13]> = texts
            .iter()
            .map(|(message, (sender, attachment))| {
                [
                    message.id.into(),
                    (&message.room_id).into(),
                    number(message.sequence).into(),
                    number(message.changed).into(),
                    (&message.sender_id).into(),
                    (&message.client_id).into(),
                    sender.into(),
                    message.kind.word().into(),
                    (&message.content).into(),
                    attachment.into(),
                    message.status.word().into(),
                    (&message.reason).into(),
                    message.created_at.into(),
                ]
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO chat_messages (id, room_id, sequence, changed, sender_id, client_id, sender, kind, content, \
             attachment, status, reason, created_at) VALUES {}",
            sql::list(&rows)
        );
        tx.execute(&sql, rows.as_flattened()).await?;
        Ok(())
    }

    /// A message, whatever has become of it.
    pub(crate) async fn message(&self, id: i64) -> Result<Option<Message>, StoreError> {
        let rows = self.database.rows(&format!("{MESSAGE} WHERE m.id = $1"), &[id.into()]).await?;
        rows.first().map(read_message).transpose()
    }

    /// A page of a room's messages, upwards, and whether there are more in its direction.
    pub(crate) async fn messages(
        &self,
        room_id: &str,
        page: Page,
        limit: usize,
    ) -> Result<(Vec<Message>, bool), StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
        let (sql, from) = match page {
            Page::Before(before) => ("m.sequence < $2 ORDER BY m.sequence DESC", before.unwrap_or(i64::MAX)),
            Page::After(after) => ("m.changed > $2 ORDER BY m.changed", after),
        };
        let sql = format!("{MESSAGE} WHERE m.room_id = $1 AND {sql} LIMIT $3");
        let rows = self.database.rows(&sql, &[room_id.into(), from.into(), most.into()]).await?;
        let mut messages = rows.iter().map(read_message).collect::<Result<Vec<_>, _>>()?;
        let more = messages.len() > limit;
        messages.truncate(limit);
        if matches!(page, Page::Before(_)) {
            messages.reverse();
        }
        Ok((messages, more))
    }

    /// Messages that wait for somebody to decide, the longest first.
    pub(crate) async fn held(&self, limit: i64) -> Result<Vec<Message>, StoreError> {
        let sql = format!("{MESSAGE} WHERE m.status = 'held' ORDER BY m.created_at LIMIT $1");
        self.database.rows(&sql, &[limit.into()]).await?.iter().map(read_message).collect()
    }

    /// Edits or deletes a message of a room. `None`: there is no such message in it.
    pub(crate) async fn change_message(
        &self,
        room_id: &str,
        id: i64,
        change: &Change,
        (traceparent, now): (&str, Timestamp),
    ) -> Result<Option<Result<Changed, ChangeError>>, StoreError> {
        let place = Place::new(room_id, traceparent, now)?;
        let mut tx = self.database.begin().await?;
        let Some(mut read) = self.lock_room(&mut tx, room_id).await? else { return Ok(None) };
        let Some(held) = self.message_in(&mut tx, room_id, id).await? else { return Ok(None) };
        let (changed, kind) = match change {
            Change::Edit { by, content } => (held.edited(by, content.clone(), now), "chat_message_edited"),
            Change::Delete { by } => (held.deleted(by, now), "chat_message_deleted"),
        };
        let mut message = match changed {
            Ok(message) if message == held => {
                return Ok(Some(Ok(Changed { message, stream: place.channel })));
            }
            Ok(message) => message,
            Err(why) => return Ok(Some(Err(why))),
        };
        self.move_on(&mut tx, &place, &mut read, &mut message, kind).await?;
        tx.commit().await?;
        self.feed.wake();
        Ok(Some(Ok(Changed { message, stream: place.channel })))
    }

    /// Shows a held message at the end of its room, or drops it. One that was decided stays as it is. `None`: there is no
    /// such message in the room.
    pub(crate) async fn decide(
        &self,
        room_id: &str,
        id: i64,
        show: bool,
        (traceparent, now): (&str, Timestamp),
    ) -> Result<Option<Changed>, StoreError> {
        let place = Place::new(room_id, traceparent, now)?;
        let mut tx = self.database.begin().await?;
        let Some(mut read) = self.lock_room(&mut tx, room_id).await? else { return Ok(None) };
        let Some(mut message) = self.message_in(&mut tx, room_id, id).await? else { return Ok(None) };
        match (message.status, show) {
            (MessageStatus::Held, true) => {
                message.status = MessageStatus::Shown;
                message.sequence = read.sequence + 1;
                self.move_on(&mut tx, &place, &mut read, &mut message, "chat_message").await?;
            }
            (MessageStatus::Held, false) => {
                message.status = MessageStatus::Dropped;
                self.update(&mut tx, &message).await?;
            }
            (MessageStatus::Shown | MessageStatus::Dropped, _) => {}
        }
        tx.commit().await?;
        self.feed.wake();
        Ok(Some(Changed { message, stream: place.channel }))
    }

    async fn message_in(
        &self,
        tx: &mut Transaction,
        room_id: &str,
        id: i64,
    ) -> Result<Option<Message>, StoreError> {
        let sql = format!("{MESSAGE} WHERE m.id = $1 AND m.room_id = $2");
        tx.row(&sql, &[id.into(), room_id.into()]).await?.as_ref().map(read_message).transpose()
    }

    /// Gives a changed message the room's next sequence, and tells it.
    pub(super) async fn move_on(
        &self,
        tx: &mut Transaction,
        place: &Place<'_>,
        read: &mut Read,
        message: &mut Message,
        kind: &'static str,
    ) -> Result<(), StoreError> {
        message.changed = read.sequence + 1;
        self.update(tx, message).await?;
        read.sequence = message.changed;
        self.tell(tx, &[Told { place, message, kind }]).await
    }

    pub(super) async fn update(&self, tx: &mut Transaction, message: &Message) -> Result<(), StoreError> {
        let (sender, attachment) = texts(message)?;
        tx.execute(
            "UPDATE chat_messages SET sequence = $2, changed = $3, sender = $4, content = $5, attachment = $6, status = $7, \
             edited_at = $8, deleted_at = $9 WHERE id = $1",
            &[
                message.id.into(),
                number(message.sequence).into(),
                number(message.changed).into(),
                (&sender).into(),
                (&message.content).into(),
                (&attachment).into(),
                message.status.word().into(),
                message.edited_at.into(),
                message.deleted_at.into(),
            ],
        )
        .await?;
        Ok(())
    }
}
