//! Rooms and messages: from the wire, with a clear error for each field, and back.

use platepal_events::Timestamp;
use platepal_proto::v1;
use platepal_service::grpc::{fields, invalid};
use tonic::Status;

use crate::{
    rules::{
        message::{Attachment, Draft, DraftError, Message, MessageStatus, MessageType},
        room::{self, Face, Member, MemberRole, RoomType, Update},
    },
    store::rooms::Read,
};

/// The longest name and the longest address of a member, in characters.
const FACE_CHARS_MAX: usize = 320;
/// The longest address of a picture, in characters.
const PHOTO_CHARS_MAX: usize = 1_024;

pub(super) fn update(message: v1::Room) -> Result<Update, Status> {
    let kind = RoomType::from_message(message.r#type())
        .ok_or_else(|| invalid("room.type", "must be a type of room that this version knows"))?;
    fields::maybe_id("room.order_id", &message.order_id)?;
    let members = message.members.into_iter().map(|one| member("room.members", one));
    let members = members.collect::<Result<Vec<_>, _>>()?;
    if let Some(why) = room::objection(&members) {
        return Err(invalid("room.members", why));
    }
    super::number("room.version", message.version)?;
    let closes_at = fields::maybe_moment("room.closes_at", message.closes_at)?;
    Ok(Update {
        kind,
        order_id: message.order_id,
        members,
        version: message.version,
        closed: message.closed,
        closes_at: closes_at.map(Timestamp::micros),
    })
}

pub(super) fn member(field: &str, message: v1::Member) -> Result<Member, Status> {
    let name = |part: &str| format!("{field}.{part}");
    fields::id(&name("user_id"), &message.user_id)?;
    let role = MemberRole::from_message(message.role())
        .ok_or_else(|| invalid(&name("role"), "must be a role that this version knows"))?;
    fields::text(&name("name"), &message.name, FACE_CHARS_MAX)?;
    fields::text(&name("email"), &message.email, FACE_CHARS_MAX)?;
    fields::text(&name("photo_url"), &message.photo_url, PHOTO_CHARS_MAX)?;
    let face = Face { name: message.name, email: message.email, photo_url: message.photo_url };
    Ok(Member { user_id: message.user_id, role, face })
}

pub(super) fn room_message(read: Read) -> v1::Room {
    let Read { room_id, room, sequence, .. } = read;
    let members = room.members.into_iter().map(|member| v1::Member {
        user_id: member.user_id,
        role: member.role.to_message().into(),
        name: member.face.name,
        email: member.face.email,
        photo_url: member.face.photo_url,
    });
    v1::Room {
        room_id,
        r#type: room.kind.to_message().into(),
        order_id: room.order_id,
        members: members.collect(),
        closed: room.closed_at.is_some(),
        closes_at: maybe_at(room.closes_at),
        version: room.version,
        sequence: sequence.unsigned_abs(),
    }
}

pub(super) fn draft(kind: v1::MessageType, content: String, attachment: Option<v1::Attachment>) -> Draft {
    let attachment =
        attachment.map(|v1::Attachment { url, content_type, bytes }| Attachment { url, content_type, bytes });
    Draft { kind: MessageType::from_message(kind), content, attachment }
}

pub(super) fn draft_status(why: &DraftError) -> Status {
    invalid(why.field(), why)
}

pub(super) fn message(message: Message) -> v1::Message {
    v1::Message {
        id: message.id.unsigned_abs(),
        room_id: message.room_id,
        sequence: message.sequence.unsigned_abs(),
        changed: message.changed.unsigned_abs(),
        sender_id: message.sender_id,
        client_id: message.client_id,
        r#type: message.kind.to_message().into(),
        content: message.content,
        attachment: message.attachment.map(|Attachment { url, content_type, bytes }| v1::Attachment {
            url,
            content_type,
            bytes,
        }),
        created_at: maybe_at(Some(message.created_at)),
        edited_at: maybe_at(message.edited_at),
        deleted_at: maybe_at(message.deleted_at),
        read_at: maybe_at(message.read_at),
        held: message.status == MessageStatus::Held,
        sender_name: message.sender.name,
        sender_email: message.sender.email,
        sender_photo_url: message.sender.photo_url,
    }
}

pub(super) fn maybe_at(micros: Option<i64>) -> Option<prost_types::Timestamp> {
    micros.map(|micros| Timestamp::from_micros(micros).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_service::grpc::blamed_field;

    use super::*;

    fn room() -> v1::Room {
        v1::Room { room_id: "88".into(), r#type: v1::RoomType::Order.into(), ..Default::default() }
    }

    fn one(user_id: &str, role: v1::MemberRole) -> v1::Member {
        v1::Member { user_id: user_id.into(), role: role.into(), ..Default::default() }
    }

    #[test]
    fn each_error_names_its_field() {
        let customer = v1::MemberRole::Customer;
        let cases = [
            (v1::Room { r#type: 0, ..room() }, "room.type"),
            (v1::Room { r#type: 99, ..room() }, "room.type"),
            (v1::Room { order_id: "a.b".into(), ..room() }, "room.order_id"),
            (v1::Room { members: vec![one("", customer)], ..room() }, "room.members.user_id"),
            (
                v1::Room { members: vec![one("7", v1::MemberRole::Unspecified)], ..room() },
                "room.members.role",
            ),
            (v1::Room { members: vec![one("7", customer), one("8", customer)], ..room() }, "room.members"),
            (
                v1::Room { members: vec![v1::Member { name: "a\0".into(), ..one("7", customer) }], ..room() },
                "room.members.name",
            ),
            (
                v1::Room {
                    members: vec![v1::Member { email: "a".repeat(321), ..one("7", customer) }],
                    ..room()
                },
                "room.members.email",
            ),
            (v1::Room { version: u64::MAX, ..room() }, "room.version"),
            (
                v1::Room { closes_at: Some(prost_types::Timestamp { seconds: 1, nanos: -1 }), ..room() },
                "room.closes_at",
            ),
        ];
        for (message, field) in cases {
            let status = update(message).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            assert_eq!(blamed_field(&status), field, "{status}");
        }
        assert!(update(room()).is_ok());
    }
}
