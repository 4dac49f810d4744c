//! The support desk: which rooms wait, who has which, and that one agent at a time takes one.

use platepal_events::{Channel, ChannelKind};
use platepal_service::sql::Transaction;

use super::{
    Store, StoreError,
    rooms::{Changed, Place, ROOM, Read, read_room},
    send::{Line, Said},
};
use crate::rules::{
    message::{Draft, MessageType},
    payload,
    room::{Face, Member, Room},
};

/// Why an agent does not get a room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AssignError {
    #[error("this room is with {0} now")]
    With(String),
    #[error("nobody has this room now")]
    Free,
    #[error("this room is closed")]
    Closed,
    #[error("the room has {0} members already; one must go before an agent can come")]
    Full(usize),
}

impl Store {
    /// Rooms that wait, the longest first; or those of one agent, the most recently changed first.
    pub(crate) async fn desk(&self, agent_id: &str, limit: i64) -> Result<Vec<Read>, StoreError> {
        let rows = match agent_id {
            "" => {
                let sql = format!("{ROOM} WHERE waiting_since IS NOT NULL ORDER BY waiting_since LIMIT $1");
                self.database.rows(&sql, &[limit.into()]).await?
            }
            agent_id => {
                let sql = format!(
                    "{ROOM} WHERE agent_id = $1 AND agent_id <> '' AND closed_at IS NULL ORDER BY changed_at DESC LIMIT $2"
                );
                self.database.rows(&sql, &[agent_id.into(), limit.into()]).await?
            }
        };
        rows.iter().map(read_room).collect()
    }

    /// Gives a room to an agent, or back to the queue, if it is with whom the caller thinks; says a line with it.
    /// `None`: there is no such room.
    pub(crate) async fn assign(
        &self,
        place: &Place<'_>,
        agent: Option<Member>,
        from: &str,
        line: Option<String>,
    ) -> Result<Option<Result<Changed, AssignError>>, StoreError> {
        let id = self.ids.one().await?;
        let mut tx = self.database.begin().await?;
        let Some(before) = self.lock_room(&mut tx, place.room_id).await? else { return Ok(None) };
        let with = before.room.agent().map_or("", |agent| &agent.user_id);
        let to = agent.as_ref().map_or("", |agent| &agent.user_id);
        if !to.is_empty() && with == to {
            // A repeat.
            return Ok(Some(Ok(Changed::nothing(before, place))));
        }
        if with != from {
            let why = if with.is_empty() { AssignError::Free } else { AssignError::With(with.to_owned()) };
            return Ok(Some(Err(why)));
        }
        if before.room.is_closed() {
            return Ok(Some(Err(AssignError::Closed)));
        }
        let room = before.room.given_to(agent, place.now);
        if room.members.len() > crate::rules::room::MEMBERS_MAX {
            return Ok(Some(Err(AssignError::Full(before.room.members.len()))));
        }
        let mut changed = self.change(&mut tx, place, before, room).await?;
        if let Some(content) = line {
            let draft = Draft { kind: MessageType::System, content, attachment: None };
            let said = Said { id, sender_id: "", client_id: &format!("desk-{id}"), sender: Face::default() };
            let line = Line { draft: &draft, reason: "", held: false };
            self.say(&mut tx, place, &mut changed.read, said, line).await?;
        }
        tx.commit().await?;
        self.feed.wake();
        Ok(Some(Ok(changed)))
    }

    /// Tells the operations feed when a room begins to wait, and when somebody has it.
    pub(super) async fn tell_desk(
        &self,
        tx: &mut Transaction,
        place: &Place<'_>,
        before: &Room,
        room: &Room,
    ) -> Result<(), StoreError> {
        let agents = (before.agent().map(|agent| &agent.user_id), room.agent().map(|agent| &agent.user_id));
        let kind = match (before.waiting_since, room.waiting_since) {
            (None, Some(_)) => "chat_waiting",
            _ if agents.1.is_some() && agents.0 != agents.1 => "chat_assigned",
            _ => return Ok(()),
        };
        let admin = Channel::new(ChannelKind::Admin, "")?;
        let payload = payload::desk(place.room_id, room);
        self.put_event(tx, &place.channel, vec![admin], (kind, payload), place.traceparent, place.now)
            .await?;
        Ok(())
    }
}
