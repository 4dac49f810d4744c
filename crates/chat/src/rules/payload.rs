//! What clients and Django's copy are told, as JSON.
//!
//! A message's contracted keys come first, as Django's serialiser has them; then ours: `sequence`, `changed`, `client_id`,
//! `edited_at`, `deleted_at`. Ids that are whole numbers are written as numbers.

use platepal_events::{Timestamp, WireId};
use serde::Serialize;

use super::{
    message::{Attachment, Message, MessageType},
    room::{Member, Room},
};

#[derive(Serialize)]
struct MessageJson<'a> {
    id: i64,
    room: WireId<'a>,
    sender: Option<WireId<'a>>,
    sender_name: &'a str,
    sender_email: &'a str,
    sender_photo: Option<&'a str>,
    message_type: &'static str,
    content: &'a str,
    image_url: Option<&'a str>,
    file_url: Option<&'a str>,
    is_read: bool,
    read_at: Option<String>,
    created_at: String,
    sequence: i64,
    changed: i64,
    client_id: &'a str,
    edited_at: Option<String>,
    deleted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<&'a Attachment>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    held: bool,
}

#[derive(Serialize)]
struct RoomJson<'a> {
    room: WireId<'a>,
    room_type: &'static str,
    order: Option<WireId<'a>>,
    is_active: bool,
    closes_at: Option<String>,
    participants: Vec<MemberJson<'a>>,
    sequence: i64,
}

#[derive(Serialize)]
struct MemberJson<'a> {
    user: WireId<'a>,
    role: &'static str,
    name: &'a str,
    photo: Option<&'a str>,
}

#[derive(Serialize)]
struct ReadJson<'a> {
    room: WireId<'a>,
    user_id: WireId<'a>,
    sequence: i64,
    read_at: String,
}

#[derive(Serialize)]
struct TypingJson<'a> {
    user_id: WireId<'a>,
    user_name: &'a str,
    is_typing: bool,
}

#[derive(Serialize)]
struct DeskJson<'a> {
    room: WireId<'a>,
    order: Option<WireId<'a>>,
    waiting_since: Option<String>,
    agent: Option<MemberJson<'a>>,
}

fn json(value: &impl Serialize) -> String {
    // Serialising what holds no map with keys that are not text can't fail.
    serde_json::to_string(value).unwrap_or_default()
}

fn moment(micros: i64) -> String {
    Timestamp::from_micros(micros).to_string()
}

fn text(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn id(id: &str) -> Option<WireId<'_>> {
    text(id).map(WireId)
}

/// A message.
pub(crate) fn message(message: &Message) -> String {
    let url_of = |kind| {
        message.attachment.as_ref().filter(|_| message.kind == kind).map(|attachment| attachment.url.as_str())
    };
    json(&MessageJson {
        id: message.id,
        room: WireId(&message.room_id),
        sender: id(&message.sender_id),
        sender_name: &message.sender.name,
        sender_email: &message.sender.email,
        sender_photo: text(&message.sender.photo_url),
        message_type: message.kind.word(),
        content: &message.content,
        image_url: url_of(MessageType::Image),
        file_url: url_of(MessageType::File),
        is_read: message.read_at.is_some(),
        read_at: message.read_at.map(moment),
        created_at: moment(message.created_at),
        sequence: message.sequence,
        changed: message.changed,
        client_id: &message.client_id,
        edited_at: message.edited_at.map(moment),
        deleted_at: message.deleted_at.map(moment),
        attachment: message.attachment.as_ref(),
        held: message.sequence == 0,
    })
}

fn member(member: &Member) -> MemberJson<'_> {
    MemberJson {
        user: WireId(&member.user_id),
        role: member.role.word(),
        name: &member.face.name,
        photo: text(&member.face.photo_url),
    }
}

/// A room.
pub(crate) fn room(room_id: &str, room: &Room, sequence: i64) -> String {
    json(&RoomJson {
        room: WireId(room_id),
        room_type: room.kind.word(),
        order: id(&room.order_id),
        is_active: !room.is_closed(),
        closes_at: room.closes_at.map(moment),
        participants: room.members.iter().map(member).collect(),
        sequence,
    })
}

/// How far somebody has read.
pub(crate) fn read(room_id: &str, user_id: &str, sequence: i64, at: Timestamp) -> String {
    json(&ReadJson { room: WireId(room_id), user_id: WireId(user_id), sequence, read_at: at.to_string() })
}

/// Somebody types, or does not any more.
pub(crate) fn typing(user_id: &str, user_name: &str, is_typing: bool) -> String {
    json(&TypingJson { user_id: WireId(user_id), user_name, is_typing })
}

/// A room at the support desk.
pub(crate) fn desk(room_id: &str, room: &Room) -> String {
    json(&DeskJson {
        room: WireId(room_id),
        order: id(&room.order_id),
        waiting_since: room.waiting_since.map(moment),
        agent: room.agent().map(member),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{
        message::tests::message as said,
        room::{MemberRole, tests::member as somebody},
    };

    #[test]
    fn a_message_has_the_contracted_keys() {
        insta::assert_snapshot!(message(&said("7")), @r#"{"id":41,"room":88,"sender":7,"sender_name":"Ada","sender_email":"ada@example.org","sender_photo":null,"message_type":"TEXT","content":"hello","image_url":null,"file_url":null,"is_read":false,"read_at":null,"created_at":"2026-11-24T11:30:00.123456+00:00","sequence":3,"changed":3,"client_id":"c","edited_at":null,"deleted_at":null}"#);
        let image = Message {
            kind: MessageType::Image,
            attachment: Some(Attachment {
                url: "https://m.example/a.png".into(),
                content_type: String::new(),
                bytes: 0,
            }),
            read_at: Some(1_795_519_900_000_000),
            ..said("")
        };
        insta::assert_snapshot!(message(&image), @r#"{"id":41,"room":88,"sender":null,"sender_name":"Ada","sender_email":"ada@example.org","sender_photo":null,"message_type":"IMAGE","content":"hello","image_url":"https://m.example/a.png","file_url":null,"is_read":true,"read_at":"2026-11-24T11:31:40.000000+00:00","created_at":"2026-11-24T11:30:00.123456+00:00","sequence":3,"changed":3,"client_id":"c","edited_at":null,"deleted_at":null,"attachment":{"url":"https://m.example/a.png","content_type":"","bytes":0}}"#);
    }

    #[test]
    fn the_other_shapes() {
        let mut room = Room { order_id: "5012".into(), ..Room::default() };
        room.members = vec![somebody("7", MemberRole::Customer), somebody("a-9", MemberRole::Agent)];
        let at = Timestamp::from_micros(1_795_519_800_123_456);
        let shapes = [
            super::room("88", &room, 5),
            read("88", "7", 4, at),
            typing("7", "Ada \"A\"", true),
            desk("88", &room),
        ];
        insta::assert_snapshot!(shapes.join("\n"), @r#"
        {"room":88,"room_type":"ORDER","order":5012,"is_active":true,"closes_at":null,"participants":[{"user":7,"role":"CUSTOMER","name":"N7","photo":null},{"user":"a-9","role":"AGENT","name":"Na-9","photo":null}],"sequence":5}
        {"room":88,"user_id":7,"sequence":4,"read_at":"2026-11-24T11:30:00.123456+00:00"}
        {"user_id":7,"user_name":"Ada \"A\"","is_typing":true}
        {"room":88,"order":5012,"waiting_since":null,"agent":{"user":"a-9","role":"AGENT","name":"Na-9","photo":null}}
        "#);
    }
}
