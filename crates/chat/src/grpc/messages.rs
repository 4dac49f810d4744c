//! Messages: sent, changed, listed, searched.

use platepal_proto::v1;
use platepal_service::grpc::{fields, invalid};
use tonic::Status;
use uuid::Uuid;

use super::{Chat, convert, no_room, number, room_id, store_status};
use crate::{
    rules::{
        message::{By, ChangeError, Draft, Message, check_content},
        words::Verdict,
    },
    store::{
        channel,
        messages::{Change, Page},
        search::Within,
        send::{From, Job, SendError, Sent},
    },
};

/// Messages on a page, unless it is said, and at most.
pub(super) const PAGE: (u32, u32) = (50, 200);
/// The longest text that is searched for, in characters.
const SEARCH_CHARS_MAX: usize = 200;

impl Chat {
    pub(crate) async fn send_message(
        &self,
        request: v1::SendMessageRequest,
    ) -> Result<v1::SendMessageResponse, Status> {
        let mut kind = request.r#type();
        let v1::SendMessageRequest {
            room_id: id, sender_id, client_id, mut content, attachment, canned, ..
        } = request;
        room_id(&id)?;
        fields::maybe_id("sender_id", &sender_id)?;
        if !canned.is_empty() {
            if !content.is_empty() {
                return Err(invalid("canned", "must be empty when there is a content"));
            }
            content = self.canned.text(&canned, "").ok_or_else(|| {
                let names: Vec<&str> = self.canned.names().collect();
                invalid("canned", format!("{canned:?} is none of {}", names.join(", ")))
            })?;
            kind = v1::MessageType::System;
        }
        let from = match sender_id.as_str() {
            "" if kind != v1::MessageType::System => {
                return Err(invalid("sender_id", "may be empty for messages of type SYSTEM only"));
            }
            "" => From::Platform,
            // Who calls has the platform's key: it may let staff write who are no members.
            _ => From::User { id: sender_id, is_staff: kind == v1::MessageType::System },
        };
        let draft = convert::draft(kind, content, attachment);
        let Sent { message, duplicate } = self.say(&id, from, client_id, draft).await?;
        Ok(v1::SendMessageResponse { message: Some(convert::message(message)), duplicate })
    }

    /// Sends a message: checked, judged, kept, told.
    pub(super) async fn say(
        &self,
        room_id: &str,
        from: From,
        client_id: String,
        draft: Draft,
    ) -> Result<Sent, Status> {
        fields::maybe_id("client_id", &client_id)?;
        draft.check(&self.limits).map_err(|why| refused("draft", convert::draft_status(&why)))?;
        let verdict = match &from {
            From::Platform => Verdict::Show,
            From::User { id, .. } => self.check.judge(room_id, id, &draft).await,
        };
        let now = self.clock.now();
        let client_id = if client_id.is_empty() { Uuid::now_v7().to_string() } else { client_id };
        let job = Job {
            room_id: room_id.to_owned(),
            from,
            client_id,
            draft,
            verdict,
            traceparent: Self::traceparent(),
            now,
        };
        let sent = self.store.send(job).await.map_err(|why| send_status(&why))?;
        let stream = channel(room_id).map_err(|why| invalid("room_id", why))?;
        self.drain(&[stream], now).await?;
        let outcome = match (&sent.message, sent.duplicate) {
            (_, true) => "duplicate",
            (message, _) => message.status.word(),
        };
        metrics::counter!("realtime_chat_messages_total", "outcome" => outcome).increment(1);
        Ok(sent)
    }

    pub(crate) async fn edit_message(
        &self,
        request: v1::EditMessageRequest,
    ) -> Result<v1::EditMessageResponse, Status> {
        let v1::EditMessageRequest { id, user_id, content } = request;
        let by = by_call(user_id)?;
        let message = self.change(number("id", id)?, Change::Edit { by, content }, None).await?;
        Ok(v1::EditMessageResponse { message: Some(convert::message(message)) })
    }

    pub(crate) async fn delete_message(
        &self,
        request: v1::DeleteMessageRequest,
    ) -> Result<v1::DeleteMessageResponse, Status> {
        let v1::DeleteMessageRequest { id, user_id } = request;
        let message = self.change(number("id", id)?, Change::Delete { by: by_call(user_id)? }, None).await?;
        Ok(v1::DeleteMessageResponse { message: Some(convert::message(message)) })
    }

    /// Edits or deletes a message: of a room, if one is named.
    pub(super) async fn change(
        &self,
        id: i64,
        change: Change,
        within: Option<&str>,
    ) -> Result<Message, Status> {
        let unknown = || Status::not_found(format!("there is no message {id}"));
        let held = self.store.message(id).await.map_err(store_status)?.ok_or_else(unknown)?;
        if within.is_some_and(|room_id| room_id != held.room_id) {
            return Err(unknown());
        }
        let change = match change {
            Change::Edit { by, content } => {
                let draft = Draft { kind: held.kind, content, attachment: held.attachment.clone() };
                if draft.attachment.is_none() {
                    draft.check(&self.limits).map_err(|why| refused("draft", convert::draft_status(&why)))?;
                } else {
                    let checked = check_content(&draft.content, &self.limits);
                    checked.map_err(|why| refused("draft", convert::draft_status(&why)))?;
                }
                Change::Edit { content: self.judged(&held, &by, draft).await?, by }
            }
            delete @ Change::Delete { .. } => delete,
        };
        let word = if matches!(change, Change::Edit { .. }) { "edited" } else { "deleted" };
        let (now, traceparent) = (self.clock.now(), Self::traceparent());
        let changed = self.store.change_message(&held.room_id, id, &change, (&traceparent, now)).await;
        let changed = changed.map_err(store_status)?.ok_or_else(unknown)?.map_err(change_status)?;
        self.drain(&[changed.stream], now).await?;
        metrics::counter!("realtime_chat_changes_total", "change" => word).increment(1);
        Ok(changed.message)
    }

    /// An edit can't be held: what is shown would be gone meanwhile.
    async fn judged(&self, held: &Message, by: &By, draft: Draft) -> Result<String, Status> {
        let By::User { id, .. } = by else { return Ok(draft.content) };
        match self.check.judge(&held.room_id, id, &draft).await {
            Verdict::Show => Ok(draft.content),
            Verdict::Mask(content) => Ok(content),
            Verdict::Hold(_) => Err(refused(
                "held",
                Status::failed_precondition("this can't be said; the message stays as it was"),
            )),
        }
    }

    pub(crate) async fn list_messages(
        &self,
        request: v1::ListMessagesRequest,
    ) -> Result<v1::ListMessagesResponse, Status> {
        let v1::ListMessagesRequest { room_id: id, before_sequence, after_sequence, limit } = request;
        room_id(&id)?;
        let page = page(before_sequence, after_sequence)?;
        let limit = fields::limit("limit", limit, PAGE.0, PAGE.1)?;
        let (messages, more, sequence) = self.list(&id, page, limit).await?;
        let messages = messages.into_iter().map(convert::message).collect();
        Ok(v1::ListMessagesResponse { messages, more, sequence: sequence.unsigned_abs() })
    }

    /// A page of a room, whether there is more, and the room's sequence when the page was asked for.
    pub(super) async fn list(
        &self,
        room_id: &str,
        page: Page,
        limit: usize,
    ) -> Result<(Vec<Message>, bool, i64), Status> {
        // First: what happens meanwhile is on the page or after the sequence, or both.
        let read = self.store.room(room_id).await.map_err(store_status)?.ok_or_else(|| no_room(room_id))?;
        let (messages, more) = self.store.messages(room_id, page, limit).await.map_err(store_status)?;
        Ok((messages, more, read.sequence))
    }

    pub(crate) async fn search_messages(
        &self,
        request: v1::SearchMessagesRequest,
    ) -> Result<v1::SearchMessagesResponse, Status> {
        let v1::SearchMessagesRequest { user_id, room_id, words, limit } = request;
        fields::maybe_id("user_id", &user_id)?;
        fields::maybe_id("room_id", &room_id)?;
        let within = match (user_id.as_str(), room_id.as_str()) {
            ("", "") => return Err(invalid("user_id", "must be set when no room is named")),
            (user_id, "") => Within::RoomsOf(user_id),
            ("", room_id) => Within::Room(room_id),
            (user_id, room_id) => {
                let read = self.store.room(room_id).await.map_err(store_status)?;
                let is_in = read.is_some_and(|read| read.room.member(user_id).is_some());
                if !is_in {
                    return Err(Status::permission_denied(format!("{user_id} is not in room {room_id}")));
                }
                Within::Room(room_id)
            }
        };
        let found = self.find(within, &words, limit).await?;
        Ok(v1::SearchMessagesResponse { messages: found.into_iter().map(convert::message).collect() })
    }

    pub(super) async fn find(
        &self,
        within: Within<'_>,
        words: &str,
        limit: u32,
    ) -> Result<Vec<Message>, Status> {
        fields::text("words", words, SEARCH_CHARS_MAX)?;
        let limit = fields::limit("limit", limit, PAGE.0, PAGE.1)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.store.search(within, words, limit).await.map_err(store_status)
    }
}

pub(super) fn page(before: u64, after: u64) -> Result<Page, Status> {
    match (number("before_sequence", before)?, number("after_sequence", after)?) {
        (0, 0) => Ok(Page::Before(None)),
        (before, 0) => Ok(Page::Before(Some(before))),
        (0, after) => Ok(Page::After(after)),
        _ => Err(invalid("before_sequence", "must be 0 when after_sequence is set")),
    }
}

/// Django says for whom it changes a message.
fn by_call(user_id: String) -> Result<By, Status> {
    fields::maybe_id("user_id", &user_id)?;
    Ok(if user_id.is_empty() { By::Platform } else { By::User { id: user_id, is_staff: false } })
}

fn refused(why: &'static str, status: Status) -> Status {
    metrics::counter!("realtime_chat_refused_total", "why" => why).increment(1);
    status
}

fn send_status(why: &SendError) -> Status {
    use crate::rules::room::Objection;
    match why {
        SendError::NoRoom(room_id) => refused("room", no_room(room_id)),
        SendError::Objection(Objection::Stranger) => {
            refused("stranger", Status::permission_denied(why.to_string()))
        }
        SendError::Objection(Objection::Closed) => {
            refused("closed", Status::failed_precondition(why.to_string()))
        }
        SendError::TooFast(_) => refused("pace", Status::resource_exhausted(why.to_string())),
        SendError::Store(_) => Status::unavailable(why.to_string()),
    }
}

fn change_status(why: ChangeError) -> Status {
    match why {
        ChangeError::NotYours => Status::permission_denied(why.to_string()),
        ChangeError::Deleted | ChangeError::NotShown | ChangeError::System => {
            Status::failed_precondition(why.to_string())
        }
    }
}
