//! Rooms: put, closed, read.

use platepal_events::{Channel, Timestamp};
use platepal_service::{
    feed::Entry,
    sql::{Row, Transaction},
    timers::Timer,
};

use super::{Store, StoreError, channel};
use crate::rules::{
    payload,
    room::{Put, Room, Update},
};

/// The timer that closes a room.
const CLOSE: &str = "close";

/// A room, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) room_id: String,
    pub(crate) room: Room,
    pub(crate) sequence: i64,
    pub(crate) last_message_at: Option<i64>,
}

/// What became of a change.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) read: Read,
    /// A newer version was known.
    pub(crate) stale: bool,
    /// Streams in which something waits now.
    pub(crate) streams: Vec<Channel>,
}

impl Changed {
    /// Nothing was changed; what an earlier call kept may still wait.
    pub(crate) fn nothing(read: Read, place: &Place<'_>) -> Self {
        Self { read, stale: false, streams: vec![place.channel.clone()] }
    }
}

/// Which room a change is of.
pub(crate) struct Place<'a> {
    pub(crate) room_id: &'a str,
    pub(crate) channel: Channel,
    pub(crate) traceparent: &'a str,
    pub(crate) now: Timestamp,
}

impl<'a> Place<'a> {
    pub(crate) fn new(room_id: &'a str, traceparent: &'a str, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self { room_id, channel: channel(room_id)?, traceparent, now })
    }
}

pub(super) const ROOM: &str = "SELECT room_id, state, sequence, last_message_at FROM chat_rooms";

pub(super) fn read_room(row: &Row) -> Result<Read, StoreError> {
    let room_id = row.text("room_id")?;
    let state = row.text("state")?;
    let room = match state.as_str() {
        // Only just made, by the transaction that looks.
        "" => Room::default(),
        state => {
            serde_json::from_str(state).map_err(|why| StoreError::State(format!("room {room_id}"), why))?
        }
    };
    let (sequence, last_message_at) = (row.int("sequence")?, row.maybe_int("last_message_at")?);
    Ok(Read { room_id, room, sequence, last_message_at })
}

impl Store {
    /// A room as it is now.
    pub(crate) async fn room(&self, room_id: &str) -> Result<Option<Read>, StoreError> {
        let rows = self.database.rows(&format!("{ROOM} WHERE room_id = $1"), &[room_id.into()]).await?;
        rows.first().map(read_room).transpose()
    }

    /// A room that nobody else changes until the transaction ends.
    pub(super) async fn lock_room(
        &self,
        tx: &mut Transaction,
        room_id: &str,
    ) -> Result<Option<Read>, StoreError> {
        let sql = format!("{ROOM} WHERE room_id = $1{}", tx.for_update());
        tx.row(&sql, &[room_id.into()]).await?.as_ref().map(read_room).transpose()
    }

    /// Keeps what Django says of a room, and all that follows from it.
    pub(crate) async fn put_room(&self, place: &Place<'_>, update: Update) -> Result<Changed, StoreError> {
        let mut tx = self.database.begin().await?;
        // A row to lock, also for a room that is new.
        tx.execute(
            "INSERT INTO chat_rooms (room_id, state, order_id, sequence, agent_id, changed_at) \
             VALUES ($1, '', '', 0, '', $2) ON CONFLICT (room_id) DO NOTHING",
            &[place.room_id.into(), place.now.micros().into()],
        )
        .await?;
        let before = self.lock_room(&mut tx, place.room_id).await?.ok_or(sqlx::Error::RowNotFound)?;
        // Putting a room is the first thing that happens in it.
        let is_known = before.sequence > 0;
        let room = match before.room.put(update, is_known, place.now) {
            Put::Stale => return Ok(Changed { stale: true, ..Changed::nothing(before, place) }),
            Put::Same => return Ok(Changed::nothing(before, place)),
            Put::Changed(room) => *room,
        };
        let changed = self.change(&mut tx, place, before, room).await?;
        tx.commit().await?;
        self.feed.wake();
        Ok(changed)
    }

    /// Closes a room now; `None`: there is no such room.
    pub(crate) async fn close_room(&self, place: &Place<'_>) -> Result<Option<Changed>, StoreError> {
        let mut tx = self.database.begin().await?;
        let Some(before) = self.lock_room(&mut tx, place.room_id).await? else { return Ok(None) };
        if before.room.is_closed() {
            return Ok(Some(Changed::nothing(before, place)));
        }
        let room = before.room.closed(place.now);
        let changed = self.change(&mut tx, place, before, room).await?;
        tx.commit().await?;
        self.feed.wake();
        Ok(Some(changed))
    }

    /// Lets a room close by itself, at a moment; a room that closes earlier keeps its time. `None`: no such room.
    pub(crate) async fn close_room_at(
        &self,
        place: &Place<'_>,
        at: Timestamp,
    ) -> Result<Option<Changed>, StoreError> {
        let mut tx = self.database.begin().await?;
        let Some(before) = self.lock_room(&mut tx, place.room_id).await? else { return Ok(None) };
        let closes_earlier = before.room.closes_at.is_some_and(|earlier| earlier <= at.micros());
        if before.room.is_closed() || closes_earlier {
            return Ok(Some(Changed::nothing(before, place)));
        }
        let room = Room { closes_at: Some(at.micros()), ..before.room.clone() };
        let changed = self.change(&mut tx, place, before, room).await?;
        tx.commit().await?;
        self.feed.wake();
        Ok(Some(changed))
    }

    /// Open rooms of an order.
    pub(crate) async fn rooms_of_order(&self, order_id: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT room_id FROM chat_rooms WHERE order_id = $1 AND order_id <> '' AND closed_at IS NULL ORDER BY room_id";
        let rows = self.database.rows(sql, &[order_id.into()]).await?;
        rows.iter().map(|row| Ok(row.text("room_id")?)).collect()
    }

    /// Closes a room whose time has come; the stream to drain. `None`: it was done by somebody else, or moved.
    pub(crate) async fn fire(&self, timer: &Timer, now: Timestamp) -> Result<Option<Channel>, StoreError> {
        let place = Place::new(&timer.subject, "", now)?;
        let mut tx = self.database.begin().await?;
        let before = self.lock_room(&mut tx, place.room_id).await?;
        if !self.timers.take(&mut tx, timer).await? {
            return Ok(None);
        }
        if let Some(before) = before.filter(|before| !before.room.is_closed()) {
            let room = before.room.closed(now);
            self.change(&mut tx, &place, before, room).await?;
            metrics::counter!("realtime_chat_rooms_closed_total", "by" => "timer").increment(1);
        }
        tx.commit().await?;
        self.feed.wake();
        Ok(Some(place.channel))
    }

    /// Writes a changed room and what follows: members, the timer, what everybody is told, and that those who left may not
    /// read any more.
    pub(super) async fn change(
        &self,
        tx: &mut Transaction,
        place: &Place<'_>,
        before: Read,
        room: Room,
    ) -> Result<Changed, StoreError> {
        let (room_id, now) = (place.room_id, place.now);
        let sequence = before.sequence + 1;
        let state =
            serde_json::to_string(&room).map_err(|why| StoreError::State(format!("room {room_id}"), why))?;
        let agent_id = room.agent().map_or("", |agent| &agent.user_id);
        tx.execute(
            "UPDATE chat_rooms SET state = $2, order_id = $3, sequence = $4, agent_id = $5, waiting_since = $6, \
             closed_at = $7, changed_at = $8 WHERE room_id = $1",
            &[
                room_id.into(),
                (&state).into(),
                (&room.order_id).into(),
                sequence.into(),
                agent_id.into(),
                room.waiting_since.into(),
                room.closed_at.into(),
                now.micros().into(),
            ],
        )
        .await?;
        let left = room.left_by(&before.room);
        for user_id in &left {
            let sql = "DELETE FROM chat_members WHERE room_id = $1 AND user_id = $2";
            tx.execute(sql, &[room_id.into(), user_id.into()]).await?;
        }
        for member in &room.members {
            // What was said before somebody came is read: nobody is shown a bell for it.
            tx.execute(
                "INSERT INTO chat_members (room_id, user_id, read_sequence) VALUES ($1, $2, $3) \
                 ON CONFLICT (room_id, user_id) DO NOTHING",
                &[room_id.into(), (&member.user_id).into(), before.sequence.into()],
            )
            .await?;
        }
        let closes_at = room.closes_at.map(Timestamp::from_micros);
        self.timers.replace(tx, room_id, closes_at.map(|at| (CLOSE, at)).as_slice()).await?;
        let payload = payload::room(room_id, &room, sequence);
        self.feed.put(tx, Entry { subject: room_id, kind: "room", payload: &payload, at: now }).await?;
        let channels = vec![place.channel.clone()];
        self.put_event(tx, &place.channel, channels, ("chat_room", payload), place.traceparent, now).await?;
        self.tell_desk(tx, place, &before.room, &room).await?;
        let mut streams = vec![place.channel.clone()];
        for user_id in &left {
            let stream = self.grants.put_revocation(tx, user_id, &place.channel, now).await?;
            if !streams.contains(&stream) {
                // First: who may not read any more is cut before others are told of it.
                streams.insert(0, stream);
            }
        }
        let read = Read { room, sequence, ..before };
        Ok(Changed { read, stale: false, streams })
    }
}
