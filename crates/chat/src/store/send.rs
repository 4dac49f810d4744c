//! Sending: a message gets its place in its room, and everybody who is told of it, in one transaction.
//!
//! Messages that come at the same time share a commit. Rooms of one commit are locked in the order of their ids, so that
//! two commits never wait for each other.

use platepal_events::Timestamp;
use platepal_service::{feed::Entry, sql::Transaction};

use super::{
    Store, StoreError,
    rooms::{Place, Read},
};
use crate::rules::{
    message::{Draft, Message, MessageStatus},
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

impl Store {
    /// Keeps a message; in one commit with those that come at the same time.
    pub(crate) async fn send(&self, job: Job) -> Result<Sent, SendError> {
        let lane =
            job.room_id.bytes().fold(5_381_usize, |hash, byte| hash.wrapping_mul(33) ^ usize::from(byte));
        let lane = self.lanes.get(lane % self.lanes.len().max(1)).ok_or(sqlx::Error::PoolClosed)?;
        let sent = lane.run(job).await.ok_or(sqlx::Error::PoolClosed)?;
        self.feed.wake();
        sent
    }

    async fn keep(&self, tx: &mut Transaction, job: &Job, id: i64) -> Result<Sent, SendError> {
        let place = Place::new(&job.room_id, &job.traceparent, job.now)?;
        let Some(mut read) = self.lock_room(tx, &job.room_id).await? else {
            return Err(SendError::NoRoom(job.room_id.clone()));
        };
        let sender_id = job.from.id();
        if let Some(message) = self.sent_before(tx, &job.room_id, sender_id, &job.client_id).await? {
            return Ok(Sent { message, duplicate: true });
        }
        let mut sender = Face::default();
        if let From::User { id, is_staff } = &job.from {
            read.room.admits(id, *is_staff)?;
            self.pace(tx, job).await?;
            sender = read.room.member(id).map(|member| member.face.clone()).unwrap_or_default();
        }
        let said = Said { id, sender_id, client_id: &job.client_id, sender };
        let masked;
        let line = match &job.verdict {
            Verdict::Show => Line { draft: &job.draft, reason: "", held: false },
            Verdict::Mask(content) => {
                masked = Draft { content: content.clone(), ..job.draft.clone() };
                Line { draft: &masked, reason: "", held: false }
            }
            Verdict::Hold(reason) => Line { draft: &job.draft, reason, held: true },
        };
        let message = self.say(tx, &place, &mut read, said, line).await?;
        Ok(Sent { message, duplicate: false })
    }

    async fn pace(&self, tx: &mut Transaction, job: &Job) -> Result<(), SendError> {
        let pace = self.settings.message_pace();
        // Older ones don't count; a clock that went back makes nobody wait longer.
        let sql = "SELECT created_at FROM chat_messages WHERE room_id = $1 AND sender_id = $2 AND created_at > $3 \
                   ORDER BY created_at DESC LIMIT $4";
        let since = job.now.plus_millis(-pace.window_millis).micros();
        let limit = i64::try_from(pace.messages).unwrap_or(i64::MAX);
        let values = [(&job.room_id).into(), job.from.id().into(), since.into(), limit.into()];
        let rows = tx.rows(sql, &values).await?;
        let sent = rows.iter().map(|row| row.int("created_at").map(Timestamp::from_micros));
        let sent = sent.collect::<Result<Vec<_>, _>>()?;
        pace.wait(&sent, job.now).map_or(Ok(()), |seconds| Err(SendError::TooFast(seconds)))
    }

    /// Writes a new message of a locked room and tells it, unless it is held.
    pub(super) async fn say(
        &self,
        tx: &mut Transaction,
        place: &Place<'_>,
        read: &mut Read,
        said: Said<'_>,
        line: Line<'_>,
    ) -> Result<Message, StoreError> {
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
            message.sequence = read.sequence + 1;
            message.changed = message.sequence;
        }
        self.insert(tx, &message).await?;
        if !line.held {
            self.tell(tx, place, read, &message, "chat_message").await?;
        }
        Ok(message)
    }

    /// Moves the room on to what has just happened to a message of it, and puts what everybody is told of that.
    pub(super) async fn tell(
        &self,
        tx: &mut Transaction,
        place: &Place<'_>,
        read: &mut Read,
        message: &Message,
        kind: &'static str,
    ) -> Result<(), StoreError> {
        read.sequence = message.changed;
        let is_new = kind == "chat_message";
        read.last_message_at = if is_new { Some(place.now.micros()) } else { read.last_message_at };
        tx.execute(
            "UPDATE chat_rooms SET sequence = $2, last_message_at = $3 WHERE room_id = $1",
            &[place.room_id.into(), read.sequence.into(), read.last_message_at.into()],
        )
        .await?;
        let payload = payload::message(message);
        let entry = Entry { subject: place.room_id, kind: "message", payload: &payload, at: place.now };
        self.feed.put(tx, entry).await?;
        let channels = vec![place.channel.clone()];
        self.put_event(tx, &place.channel, channels, (kind, payload), place.traceparent, place.now).await?;
        Ok(())
    }
}

/// Keeps messages in one transaction. If that fails, each in its own, so that one that can't be kept costs no other.
pub(super) async fn keep_together(store: Store, jobs: Vec<Job>) -> Vec<Result<Sent, SendError>> {
    metrics::histogram!("realtime_chat_commit_messages").record(jobs.len() as f64);
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    // Stable: messages of one room stay in the order in which they came.
    order.sort_by(|a, b| room_of(&jobs, *a).cmp(room_of(&jobs, *b)));
    match keep_all(&store, &jobs, &order).await {
        Ok(answers) => answers,
        Err(why) if jobs.len() == 1 => vec![Err(why)],
        Err(_) => {
            let mut answers = Vec::with_capacity(jobs.len());
            for index in 0..jobs.len() {
                let one = keep_all(&store, jobs.get(index..=index).unwrap_or_default(), &[0]).await;
                answers
                    .push(one.and_then(|mut one| one.pop().unwrap_or(Err(sqlx::Error::RowNotFound.into()))));
            }
            answers
        }
    }
}

fn room_of(jobs: &[Job], index: usize) -> &str {
    jobs.get(index).map_or("", |job| &job.room_id)
}

/// Answers in the order of `jobs`. An error of the database: nothing was kept.
async fn keep_all(
    store: &Store,
    jobs: &[Job],
    order: &[usize],
) -> Result<Vec<Result<Sent, SendError>>, SendError> {
    let ids = store.ids.take(jobs.len()).await?;
    let mut tx = store.database.begin().await?;
    let mut answers: Vec<Option<Result<Sent, SendError>>> = jobs.iter().map(|_| None).collect();
    for (index, id) in order.iter().zip(ids) {
        let (Some(job), Some(answer)) = (jobs.get(*index), answers.get_mut(*index)) else { continue };
        let kept = store.keep(&mut tx, job, id).await;
        if let Err(SendError::Store(why)) = &kept {
            return Err(SendError::Store(std::sync::Arc::clone(why)));
        }
        *answer = Some(kept);
    }
    tx.commit().await?;
    Ok(answers.into_iter().map(|answer| answer.unwrap_or(Err(sqlx::Error::RowNotFound.into()))).collect())
}
