//! What clients say on a room's socket, publish to its channel, or call by name. Arguments and answers are JSON.
//!
//! Invariant: a room is shown only to whoever may read its channel, and only members and staff write in it.

use bytes::Bytes;
use platepal_auth::Principal;
use platepal_events::{Channel, ChannelKind};
use platepal_service::{
    domain::{Sender, Verdict},
    grpc::{
        fields::{self, JsonId, id},
        invalid,
    },
    json::{answer, arguments},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tonic::Status;

use super::{
    Chat,
    messages::{PAGE, page},
    no_room, store_status,
};
use crate::{
    rules::{
        message::{Attachment, By, Draft, Message, MessageType},
        payload,
        room::{Face, Member, MemberRole, is_staff},
    },
    store::{
        messages::Change,
        rooms::Read,
        search::Within,
        send::{From, Sent},
    },
};

/// Which room, where the feed does not say it.
#[derive(Deserialize)]
struct Where {
    room_id: Option<JsonId>,
}

#[derive(Deserialize)]
struct SendArguments {
    #[serde(default)]
    content: String,
    message_type: Option<String>,
    client_id: Option<String>,
    attachment: Option<Attachment>,
    image_url: Option<String>,
    file_url: Option<String>,
}

#[derive(Deserialize)]
struct TypingArguments {
    is_typing: bool,
}

#[derive(Deserialize)]
struct ReadArguments {
    sequence: i64,
}

#[derive(Deserialize)]
struct EditArguments {
    message_id: i64,
    content: String,
}

#[derive(Deserialize)]
struct DeleteArguments {
    message_id: i64,
}

#[derive(Deserialize)]
struct HistoryArguments {
    #[serde(default)]
    before_sequence: u64,
    #[serde(default)]
    after_sequence: u64,
    #[serde(default)]
    limit: u32,
}

#[derive(Deserialize)]
struct SearchArguments {
    words: String,
    #[serde(default)]
    limit: u32,
}

#[derive(Deserialize)]
struct TakeArguments {
    /// Who has it now, as the caller sees it.
    #[serde(default)]
    from: Option<JsonId>,
    /// Another agent; left out: the caller.
    to: Option<JsonId>,
    #[serde(default)]
    name: String,
}

#[derive(Serialize)]
struct SentJson {
    message: Box<RawValue>,
    duplicate: bool,
    held: bool,
}

#[derive(Serialize)]
struct PageJson {
    messages: Vec<Box<RawValue>>,
    more: bool,
    sequence: i64,
}

/// What a message says, and its client's id; the platform's words are staff's alone.
pub(crate) fn said(data: &[u8], is_staff: bool) -> Result<(Draft, String), Status> {
    let said: SendArguments = arguments(data, r#"{"content":"…","message_type":"TEXT","client_id":"…"}"#)?;
    let kind = said.message_type.as_deref().unwrap_or("TEXT");
    let kind = MessageType::from_word(kind)
        .filter(|kind| *kind != MessageType::System || is_staff)
        .ok_or_else(|| invalid("message_type", "must be TEXT, IMAGE or FILE"))?;
    let url = |url: Option<String>| url.map(|url| Attachment { url, content_type: String::new(), bytes: 0 });
    let attachment = said.attachment.or(url(said.image_url)).or(url(said.file_url));
    Ok((Draft { kind, content: said.content, attachment }, said.client_id.unwrap_or_default()))
}

fn raw(json: String) -> Result<Box<RawValue>, Status> {
    RawValue::from_string(json).map_err(|why| Status::internal(why.to_string()))
}

fn raw_messages(messages: &[Message]) -> Result<Vec<Box<RawValue>>, Status> {
    messages.iter().map(|message| raw(payload::message(message))).collect()
}

fn by(principal: &Principal) -> By {
    By::User { id: principal.user_id.to_string(), is_staff: is_staff(principal) }
}

impl Chat {
    /// What a client publishes to a room's channel: a message, or that it types.
    pub(super) async fn publish_json(
        &self,
        sender: &Sender,
        channel: &Channel,
        data: &[u8],
    ) -> Result<(), Status> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "type")]
            kind: Option<String>,
        }
        let Kind { kind } = arguments(data, r#"{"type":"send_message","content":"…"}"#)?;
        match kind.as_deref() {
            None | Some("send_message") => self.send_json(sender, channel, data).await.map(drop),
            Some("typing") => self.typing_json(sender, channel, data).await.map(drop),
            Some(_) => {
                Err(invalid("data.type", "must be send_message or typing; call anything else by name"))
            }
        }
    }

    pub(super) async fn call_json(
        &self,
        sender: &Sender,
        method: &str,
        data: &[u8],
    ) -> Result<Bytes, Status> {
        match method {
            "send" => self.send_json(sender, &self.feed(sender, data)?, data).await,
            "typing" => self.typing_json(sender, &self.feed(sender, data)?, data).await,
            "read" => self.read_json(sender, &self.feed(sender, data)?, data).await,
            "edit" => self.edit_json(sender, &self.feed(sender, data)?, data).await,
            "delete" => self.delete_json(sender, &self.feed(sender, data)?, data).await,
            "history" => self.history_json(sender, &self.feed(sender, data)?, data).await,
            "presence" => self.presence_json(sender, &self.feed(sender, data)?).await,
            "search" => self.search_json(sender, data).await,
            "unread" => self.unread_json(sender).await,
            "desk" => self.desk_json(sender).await,
            "take" => self.take_json(sender, &self.feed(sender, data)?, data).await,
            "release" => self.release_json(sender, &self.feed(sender, data)?).await,
            _ => Err(Status::unimplemented(format!("chat has no method {method:?}"))),
        }
    }

    /// The room that a client means: that of its feed, else the one that it names.
    fn feed(&self, sender: &Sender, data: &[u8]) -> Result<Channel, Status> {
        if let Some(channel) = &sender.channel {
            return Ok(channel.clone());
        }
        let Where { room_id } = arguments(data, r#"{"room_id":88}"#)?;
        let room_id: String = room_id.ok_or_else(|| invalid("room_id", "must be set"))?.into();
        Channel::new(ChannelKind::Chat, &room_id).map_err(|why| invalid("room_id", why))
    }

    /// A room that a client may read. A stranger is not told whether there is such a room.
    async fn readable(&self, sender: &Sender, channel: &Channel) -> Result<Read, Status> {
        match self.may_read(&sender.principal, &sender.token, channel).await {
            Verdict::Allowed(_) => {}
            Verdict::Denied(reason) => {
                tracing::debug!(user = %sender.principal.user_id, %channel, reason, "denied");
                return Err(Status::permission_denied("permission denied: you are not in this room"));
            }
            Verdict::Undecided(why) => {
                tracing::warn!(user = %sender.principal.user_id, %channel, why, "access can't be decided now");
                return Err(Status::unavailable("access can't be decided now; try again later"));
            }
        }
        let read = self.store.room(channel.id()).await.map_err(store_status)?;
        read.ok_or_else(|| no_room(channel.id()))
    }

    /// A room that a client may write in.
    async fn writable(&self, sender: &Sender, channel: &Channel) -> Result<Read, Status> {
        let read = self.store.room(channel.id()).await.map_err(store_status)?;
        let (user, staff) = (sender.principal.user_id.as_str(), is_staff(&sender.principal));
        let denied = || Status::permission_denied("permission denied: you are not in this room");
        // A stranger is not told whether there is such a room.
        let read = read.ok_or_else(|| if staff { no_room(channel.id()) } else { denied() })?;
        read.room.admits(user, staff).map_err(|why| match why {
            crate::rules::room::Objection::Stranger => denied(),
            crate::rules::room::Objection::Closed => Status::failed_precondition(why.to_string()),
        })?;
        Ok(read)
    }

    async fn send_json(&self, sender: &Sender, channel: &Channel, data: &[u8]) -> Result<Bytes, Status> {
        let (draft, client_id) = said(data, is_staff(&sender.principal))?;
        // Before anybody is asked what to think of it.
        if self.check.asks_others() {
            self.writable(sender, channel).await?;
        }
        let principal = &sender.principal;
        let from = From::User { id: principal.user_id.to_string(), is_staff: is_staff(principal) };
        let sent = self.say(channel.id(), from, client_id, draft).await;
        let Sent { message, duplicate } = sent.map_err(|status| self.veiled(sender, status))?;
        let held = message.sequence == 0;
        answer(&SentJson { message: raw(payload::message(&message))?, duplicate, held })
    }

    /// A stranger is not told whether there is a room.
    fn veiled(&self, sender: &Sender, status: Status) -> Status {
        if status.code() == tonic::Code::NotFound && !is_staff(&sender.principal) {
            return Status::permission_denied("permission denied: you are not in this room");
        }
        status
    }

    async fn typing_json(&self, sender: &Sender, channel: &Channel, data: &[u8]) -> Result<Bytes, Status> {
        let TypingArguments { is_typing } = arguments(data, r#"{"is_typing":true}"#)?;
        let (room_id, user_id, now) = (channel.id(), sender.principal.user_id.as_str(), self.clock.now());
        if self.typing.hears(room_id, user_id, is_typing, now) {
            let read = self.writable(sender, channel).await?;
            let name = read.room.member(user_id).map(|member| member.face.name.as_str()).unwrap_or_default();
            self.typing.say(room_id, user_id, name, is_typing, now).await;
        }
        Ok(Bytes::from_static(b"{}"))
    }

    async fn read_json(&self, sender: &Sender, channel: &Channel, data: &[u8]) -> Result<Bytes, Status> {
        let ReadArguments { sequence } = arguments(data, r#"{"sequence":12}"#)?;
        let marked = self.mark(channel.id(), sender.principal.user_id.as_str(), sequence).await;
        let sequence = marked.map_err(|status| self.veiled(sender, status))?;
        answer(&serde_json::json!({ "sequence": sequence }))
    }

    async fn edit_json(&self, sender: &Sender, channel: &Channel, data: &[u8]) -> Result<Bytes, Status> {
        let EditArguments { message_id, content } = arguments(data, r#"{"message_id":41,"content":"…"}"#)?;
        self.writable(sender, channel).await?;
        let change = Change::Edit { by: by(&sender.principal), content };
        let message = self.change(message_id, change, Some(channel.id())).await?;
        answer(&raw(payload::message(&message))?)
    }

    async fn delete_json(&self, sender: &Sender, channel: &Channel, data: &[u8]) -> Result<Bytes, Status> {
        let DeleteArguments { message_id } = arguments(data, r#"{"message_id":41}"#)?;
        self.writable(sender, channel).await?;
        let change = Change::Delete { by: by(&sender.principal) };
        let message = self.change(message_id, change, Some(channel.id())).await?;
        answer(&raw(payload::message(&message))?)
    }

    async fn history_json(&self, sender: &Sender, channel: &Channel, data: &[u8]) -> Result<Bytes, Status> {
        let asked: HistoryArguments = arguments(data, r#"{"before_sequence":120,"limit":50}"#)?;
        self.readable(sender, channel).await?;
        let limit = fields::limit("limit", asked.limit, PAGE.0, PAGE.1)?;
        let page = page(asked.before_sequence, asked.after_sequence)?;
        let (messages, more, sequence) = self.list(channel.id(), page, limit).await?;
        answer(&PageJson { messages: raw_messages(&messages)?, more, sequence })
    }

    async fn presence_json(&self, sender: &Sender, channel: &Channel) -> Result<Bytes, Status> {
        self.readable(sender, channel).await?;
        let users = self.present(channel.id()).await?;
        let users: Vec<_> = users.iter().map(|user| platepal_events::WireId(user)).collect();
        answer(&serde_json::json!({ "user_ids": users }))
    }

    async fn search_json(&self, sender: &Sender, data: &[u8]) -> Result<Bytes, Status> {
        let SearchArguments { words, limit } = arguments(data, r#"{"words":"late courier","room_id":88}"#)?;
        let Where { room_id } = arguments(data, r#"{"room_id":88}"#)?;
        let user_id = sender.principal.user_id.to_string();
        let room_id =
            room_id.map(String::from).or_else(|| sender.channel.as_ref().map(|room| room.id().to_owned()));
        let messages = match room_id {
            None => self.find(Within::RoomsOf(&user_id), &words, limit).await?,
            Some(room_id) => {
                id("room_id", &room_id)?;
                let channel =
                    Channel::new(ChannelKind::Chat, &room_id).map_err(|why| invalid("room_id", why))?;
                self.readable(sender, &channel).await?;
                self.find(Within::Room(&room_id), &words, limit).await?
            }
        };
        answer(&serde_json::json!({ "messages": raw_messages(&messages)? }))
    }

    async fn unread_json(&self, sender: &Sender) -> Result<Bytes, Status> {
        let rooms = self.store.unread(sender.principal.user_id.as_str()).await.map_err(store_status)?;
        let unread: i64 = rooms.iter().map(|room| room.unread).sum();
        let rooms: Vec<_> = rooms
            .iter()
            .map(|room| {
                serde_json::json!({
                    "room": platepal_events::WireId(&room.room_id),
                    "unread": room.unread,
                    "read_sequence": room.read_sequence,
                    "sequence": room.sequence,
                })
            })
            .collect();
        answer(&serde_json::json!({ "unread": unread, "rooms": rooms }))
    }

    fn staff_only(sender: &Sender) -> Result<(), Status> {
        match is_staff(&sender.principal) {
            true => Ok(()),
            false => Err(Status::permission_denied("permission denied: only staff may do this")),
        }
    }

    async fn desk_json(&self, sender: &Sender) -> Result<Bytes, Status> {
        Self::staff_only(sender)?;
        let waiting = self.store.desk("", i64::from(PAGE.1)).await.map_err(store_status)?;
        let mine = self
            .store
            .desk(sender.principal.user_id.as_str(), i64::from(PAGE.1))
            .await
            .map_err(store_status)?;
        let shown = |reads: Vec<Read>| -> Result<Vec<_>, Status> {
            reads.iter().map(|read| raw(payload::desk(&read.room_id, &read.room))).collect()
        };
        answer(&serde_json::json!({ "waiting": shown(waiting)?, "mine": shown(mine)? }))
    }

    async fn take_json(&self, sender: &Sender, channel: &Channel, data: &[u8]) -> Result<Bytes, Status> {
        Self::staff_only(sender)?;
        let TakeArguments { from, to, name } = arguments(data, r#"{"room_id":88,"name":"Sam"}"#)?;
        fields::text("name", &name, 100)?;
        let user_id = to.map_or_else(|| sender.principal.user_id.to_string(), String::from);
        id("to", &user_id)?;
        let face = Face { name, ..Face::default() };
        let agent = Member { user_id, role: MemberRole::Agent, face };
        let from = from.map(String::from).unwrap_or_default();
        let read = self.assign(channel.id(), Some(agent), &from).await?;
        answer(&raw(payload::desk(&read.room_id, &read.room))?)
    }

    async fn release_json(&self, sender: &Sender, channel: &Channel) -> Result<Bytes, Status> {
        Self::staff_only(sender)?;
        let read = self.assign(channel.id(), None, sender.principal.user_id.as_str()).await?;
        answer(&raw(payload::desk(&read.room_id, &read.room))?)
    }
}
