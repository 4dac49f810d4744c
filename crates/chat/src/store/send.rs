//! Sending: a message gets its place in its room, and everybody who is told of it, in one transaction.
//!
//! Messages that come at the same time share a commit, and its statements: what is known of all of them is read, each is
//! decided in the order in which it came, and what came of it is written. Rooms of one commit are locked in the order of
//! their ids, so that two commits never wait for each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use platepal_events::Timestamp;
use platepal_service::{
    Keeper,
    feed::Entry,
    outbox::Letter,
    sql::{self, Transaction, Value},
};

use super::{
    Store, StoreError, letter,
    messages::{MESSAGE, read_message},
    rooms::{Place, ROOM, Read, read_room},
};
use crate::rules::{
    message::{Draft, Message, MessageStatus},
    pace::Pace,
    payload,
    room::{Face, Objection},
    words::Verdict,
};

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// Django itself, or this tier.
    Platform,
    User {
        id: String,
        is_staff: bool,
    },
}

impl From {
    fn id(&self) -> &str {
        match self {
            Self::Platform => "",
            Self::User { id, .. } => id,
        }
    }
}

/// A message to keep.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) room_id: String,
    pub(crate) from: From,
    pub(crate) client_id: String,
    pub(crate) draft: Draft,
    pub(crate) verdict: Verdict,
    pub(crate) traceparent: String,
    pub(crate) now: Timestamp,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) message: Message,
    /// It was sent before.
    pub(crate) duplicate: bool,
}

/// Why a message was not kept.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SendError {
    #[error("there is no room {0}")]
    NoRoom(String),
    #[error(transparent)]
    Objection(#[from] Objection),
    /// Whole seconds.
    #[error("too many messages; wait {0} s")]
    TooFast(i64),
    #[error("{0}")]
    Store(std::sync::Arc<StoreError>),
}

impl<E: Into<StoreError>> std::convert::From<E> for SendError {
    fn from(why: E) -> Self {
        Self::Store(std::sync::Arc::new(why.into()))
    }
}

/// A new message's names.
pub(super) struct Said<'a> {
    pub(super) id: i64,
    pub(super) sender_id: &'a str,
    pub(super) client_id: &'a str,
    pub(super) sender: Face,
}

/// What it says.
pub(super) struct Line<'a> {
    pub(super) draft: &'a Draft,
    pub(super) reason: &'a str,
    pub(super) held: bool,
}

/// Something that happened to a message, and that everybody in its room is told.
pub(super) struct Told<'a> {
    pub(super) place: &'a Place<'a>,
    pub(super) message: &'a Message,
    pub(super) kind: &'static str,
}

/// Gives a new message its place in its locked room, unless it is held.
fn said(place: &Place<'_>, read: &mut Read, said: Said<'_>, line: Line<'_>) -> Message {
    let mut message = Message {
        id: said.id,
        room_id: place.room_id.to_owned(),
        sequence: 0,
        changed: 0,
        sender_id: said.sender_id.to_owned(),
        client_id: said.client_id.to_owned(),
        sender: said.sender,
        kind: line.draft.kind,
        content: line.draft.content.clone(),
        attachment: line.draft.attachment.clone(),
        status: if line.held { MessageStatus::Held } else { MessageStatus::Shown },
        reason: line.reason.to_owned(),
        created_at: place.now.micros(),
        edited_at: None,
        deleted_at: None,
        read_at: None,
    };
    if !line.held {
        read.sequence += 1;
        message.sequence = read.sequence;
        message.changed = read.sequence;
    }
    message
}

/// What is known of the jobs of one commit; its rooms are locked.
struct Known<'a> {
    rooms: HashMap<String, Read>,
    /// Messages with the names of jobs: they were sent before.
    sent: Vec<Message>,
    /// When messages were sent lately, by room and sender, the newest first.
    lately: BTreeMap<(&'a str, &'a str), Vec<Timestamp>>,
    /// Messages to write.
    new: Vec<(Place<'a>, Message)>,
}

impl<'a> Known<'a> {
    /// What becomes of a job; a new message is written later.
    fn keep(&mut self, pace: Pace, job: &'a Job, id: i64) -> Result<Sent, SendError> {
        let place = Place::new(&job.room_id, &job.traceparent, job.now)?;
        let Some(read) = self.rooms.get_mut(&job.room_id) else {
            return Err(SendError::NoRoom(job.room_id.clone()));
        };
        let sender_id = job.from.id();
        let is_same = |message: &&Message| {
            message.client_id == job.client_id
                && message.sender_id == sender_id
                && message.room_id == job.room_id
        };
        let new = self.new.iter().map(|(_, message)| message);
        if let Some(message) = self.sent.iter().chain(new).find(is_same).cloned() {
            return Ok(Sent { message, duplicate: true });
        }
        let mut sender = Face::default();
        if let From::User { id, is_staff } = &job.from {
            read.room.admits(id, *is_staff)?;
            let lately = self.lately.entry((&job.room_id, sender_id)).or_default();
            if let Some(seconds) = pace.wait(lately, job.now) {
                return Err(SendError::TooFast(seconds));
            }
            lately.insert(0, job.now);
            sender = read.room.member(id).map(|member| member.face.clone()).unwrap_or_default();
        }
        let names = Said { id, sender_id, client_id: &job.client_id, sender };
        let masked;
        let line = match &job.verdict {
            Verdict::Show => Line { draft: &job.draft, reason: "", held: false },
            Verdict::Mask(content) => {
                masked = Draft { content: content.clone(), ..job.draft.clone() };
                Line { draft: &masked, reason: "", held: false }
            }
            Verdict::Hold(reason) => Line { draft: &job.draft, reason, held: true },
        };
        let message = said(&place, read, names, line);
        self.new.push((place, message.clone()));
        Ok(Sent { message, duplicate: false })
    }
}

impl Store {
    /// Keeps a message; in one commit with those that come at the same time.
    pub(crate) async fn send(&self, job: Job) -> Result<Sent, SendError> {
        let room_id = job.room_id.clone();
        let sent = self.lanes.run(&room_id, job).await.ok_or(sqlx::Error::PoolClosed)?;
        self.feed.wake();
        sent
    }

    /// Locks the rooms of jobs, and reads what is known of their messages.
    async fn known<'a>(&self, tx: &mut Transaction, jobs: &'a [Job]) -> Result<Known<'a>, StoreError> {
        let rooms = self.lock_rooms(tx, jobs.iter().map(|job| job.room_id.as_str()).collect()).await?;
        let sent = self.sent_before(tx, jobs).await?;
        let lately = self.sent_lately(tx, jobs).await?;
        Ok(Known { rooms, sent, lately, new: Vec::with_capacity(jobs.len()) })
    }

    /// Rooms that nobody else changes until the transaction ends.
    async fn lock_rooms(
        &self,
        tx: &mut Transaction,
        ids: BTreeSet<&str>,
    ) -> Result<HashMap<String, Read>, StoreError> {
        let ids: Vec<[Value<'_>; 1]> = ids.into_iter().map(|id| [id.into()]).collect();
        let sql = format!(
            "{ROOM} WHERE room_id IN (VALUES {}) ORDER BY room_id{}",
            sql::list(&ids),
            tx.for_update()
        );
        let rows = tx.rows(&sql, ids.as_flattened()).await?;
        rows.iter().map(|row| read_room(row).map(|read| (read.room_id.clone(), read))).collect()
    }

    /// Messages with the names of jobs.
    async fn sent_before(&self, tx: &mut Transaction, jobs: &[Job]) -> Result<Vec<Message>, StoreError> {
        let names: Vec<[Value<'_>; 3]> = jobs
            .iter()
            .map(|job| [(&job.room_id).into(), job.from.id().into(), (&job.client_id).into()])
            .collect();
        let sql = format!(
            "{MESSAGE} JOIN (VALUES {}) AS v \
             ON m.room_id = v.column1 AND m.sender_id = v.column2 AND m.client_id = v.column3",
            sql::list(&names)
        );
        tx.rows(&sql, names.as_flattened()).await?.iter().map(read_message).collect()
    }

    /// When the senders of jobs have sent messages to their rooms, as far as it matters to their pace.
    async fn sent_lately<'a>(
        &self,
        tx: &mut Transaction,
        jobs: &'a [Job],
    ) -> Result<BTreeMap<(&'a str, &'a str), Vec<Timestamp>>, StoreError> {
        // Older ones don't count; a clock that went back makes nobody wait longer.
        let since = |job: &Job| job.now.plus_millis(-self.settings.message_pace().window_millis).micros();
        let mut senders: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for job in jobs.iter().filter(|job| matches!(job.from, From::User { .. })) {
            let earliest = senders.entry((&job.room_id, job.from.id())).or_insert(i64::MAX);
            *earliest = (*earliest).min(since(job));
        }
        if senders.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names: Vec<[Value<'_>; 4]> = (0..)
            .zip(&senders)
            .map(|(index, ((room_id, sender_id), since))| {
                [i64::into(index), (*room_id).into(), (*sender_id).into(), (*since).into()]
            })
            .collect();
        let sql = format!(
            "SELECT v.column1 AS sender, m.created_at FROM (VALUES {}) AS v JOIN chat_messages m \
             ON m.room_id = v.column2 AND m.sender_id = v.column3 AND m.created_at > v.column4 \
             ORDER BY m.created_at DESC",
            sql::list(&names)
        );
        let mut lately: Vec<Vec<Timestamp>> = senders.iter().map(|_| Vec::new()).collect();
        for row in tx.rows(&sql, names.as_flattened()).await? {
            let sender = usize::try_from(row.int("sender")?).unwrap_or(usize::MAX);
            if let Some(moments) = lately.get_mut(sender) {
                moments.push(Timestamp::from_micros(row.int("created_at")?));
            }
        }
        Ok(senders.into_keys().zip(lately).collect())
    }

    /// Says something in a locked room.
    pub(super) async fn say(
        &self,
        tx: &mut Transaction,
        place: &Place<'_>,
        read: &mut Read,
        names: Said<'_>,
        line: Line<'_>,
    ) -> Result<(), StoreError> {
        let message = said(place, read, names, line);
        self.write(tx, &[(place, &message)]).await
    }

    /// Writes new messages of locked rooms and tells them, unless they are held.
    async fn write(&self, tx: &mut Transaction, new: &[(&Place<'_>, &Message)]) -> Result<(), StoreError> {
        self.insert(tx, new.iter().map(|(_, message)| *message)).await?;
        let shown = new.iter().filter(|(_, message)| message.status == MessageStatus::Shown);
        let told: Vec<Told<'_>> =
            shown.map(|(place, message)| Told { place, message, kind: "chat_message" }).collect();
        self.tell(tx, &told).await
    }

    /// Moves rooms on to what has just happened to messages of them, and puts what everybody is told of that.
    pub(super) async fn tell(&self, tx: &mut Transaction, told: &[Told<'_>]) -> Result<(), StoreError> {
        let Some(now) = told.iter().map(|told| told.place.now).max() else { return Ok(()) };
        // The newest of a room is the last.
        let mut rooms: BTreeMap<&str, (i64, Option<i64>)> = BTreeMap::new();
        for Told { place, message, kind } in told {
            let (sequence, said_at) = rooms.entry(place.room_id).or_default();
            *sequence = message.changed;
            *said_at = if *kind == "chat_message" { Some(place.now.micros()) } else { *said_at };
        }
        let rows: Vec<[Value<'_>; 3]> = rooms
            .into_iter()
            .map(|(room_id, (sequence, said_at))| [room_id.into(), sequence.into(), said_at.into()])
            .collect();
        let sql = format!(
            "UPDATE chat_rooms SET sequence = v.column2, last_message_at = COALESCE(v.column3, last_message_at) \
             FROM (VALUES {}) AS v WHERE room_id = v.column1",
            sql::list(&rows)
        );
        tx.execute(&sql, rows.as_flattened()).await?;
        let payloads: Vec<String> = told.iter().map(|told| payload::message(told.message)).collect();
        let entries: Vec<Entry<'_>> = told
            .iter()
            .zip(&payloads)
            .map(|(Told { place, .. }, payload)| Entry {
                subject: place.room_id,
                kind: "message",
                payload,
                at: place.now,
            })
            .collect();
        self.feed.put_all(tx, &entries).await?;
        let letters: Vec<Letter> = told
            .iter()
            .zip(payloads)
            .map(|(Told { place, kind, .. }, payload)| {
                letter(
                    &place.channel,
                    vec![place.channel.clone()],
                    (kind, payload),
                    place.traceparent,
                    place.now,
                )
            })
            .collect();
        self.outbox.put_all(tx, &letters, now).await?;
        Ok(())
    }
}

impl Keeper for Store {
    type Job = Job;
    type Answer = Sent;
    type Error = SendError;

    async fn keep_all(&self, jobs: &[Job]) -> Result<Vec<Result<Sent, SendError>>, SendError> {
        metrics::histogram!("realtime_chat_commit_messages").record(jobs.len() as f64);
        let ids = self.ids.take(jobs.len()).await?;
        let mut tx = self.database.begin().await?;
        let mut known = self.known(&mut tx, jobs).await?;
        let pace = self.settings.message_pace();
        let answers = jobs.iter().zip(ids).map(|(job, id)| known.keep(pace, job, id)).collect();
        let new: Vec<_> = known.new.iter().map(|(place, message)| (place, message)).collect();
        self.write(&mut tx, &new).await?;
        tx.commit().await?;
        Ok(answers)
    }
}
