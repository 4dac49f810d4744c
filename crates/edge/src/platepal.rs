//! The protocol of PlatePal's sockets: what a client may say, and what it is told. Events are
//! [`platepal_events::frame`]; this is the rest.
//!
//! A message is `{"type":"…","data":{…},"id":…}`; which types a feed takes is [`crate::routes`]' to say. Its answer is
//! `{"type":"…_result","data":{…},"id":…}`, or an error with words and the same id.

use std::borrow::Cow;

use bytes::Bytes;
use platepal_events::ChannelKind;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tonic::Status;

use crate::{
    codec::Wire,
    routes::{self, Arguments, Method},
};

/// Characters of a client's own words that are repeated to it.
const ECHO_CHARS: usize = 64;
/// The longest id of a message, in bytes as it is written in JSON.
const ID_BYTES_MAX: usize = 66;
/// Characters of a domain's refusal that are passed on.
const WORDS_CHARS: usize = 300;

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// Something that a client asks of a domain.
#[derive(Debug)]
pub(crate) struct Asked {
    pub method: &'static str,
    /// JSON.
    pub data: Bytes,
    pub reply: ReplyTo,
}

/// What the answer to a message says of it.
#[derive(Debug)]
pub(crate) struct ReplyTo {
    kind: Box<str>,
    id: Option<Box<RawValue>>,
    /// Nobody waits for a result.
    quiet: bool,
}

#[derive(Default, Serialize)]
struct Answer<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
}

/// What a text from a client on a feed of this kind asks for; the error is the frame that says why it asks for
/// nothing.
pub(crate) fn read(text: &[u8], feed: ChannelKind) -> Result<Asked, Bytes> {
    let said: Said<'_> = serde_json::from_slice(text)
        .map_err(|_| error("the message is not a JSON object with a \"type\""))?;
    let id = match said.id.filter(|id| id.get() != "null") {
        Some(id) if !is_id(id.get()) => {
            return Err(error("the message's \"id\" must be a number or a text of at most 64 characters"));
        }
        id => id.map(ToOwned::to_owned),
    };
    let Some(kind) = said.kind else { return Err(error("the message has no \"type\"")) };
    let Some((arguments, method)) = routes::saying(feed, &kind) else {
        let shown: String = kind.chars().take(ECHO_CHARS).collect();
        return Err(error_to(
            id.as_deref(),
            &format!("this socket does not take messages of type {shown:?}"),
        ));
    };
    let whole: &RawValue;
    let data = match (said.data, arguments) {
        (Some(data), _) => data,
        (None, Arguments::Data) => return Err(error_to(id.as_deref(), "the message has no \"data\"")),
        (None, Arguments::Flat) => {
            // It has just been read as JSON.
            whole = serde_json::from_slice(text).map_err(|_| error("the message is not JSON"))?;
            whole
        }
    };
    let method = match method {
        Method::Always(method) => method,
        Method::If { field, yes, no } => match flag(data, field) {
            Some(true) => yes,
            Some(false) => no,
            None => {
                let words =
                    format!("the message's \"data\" must be an object whose {field:?} is true or false");
                return Err(error_to(id.as_deref(), &words));
            }
        },
    };
    // A copy: the text may be a piece of a larger buffer.
    let data = Bytes::copy_from_slice(data.get().as_bytes());
    let quiet = arguments == Arguments::Flat && id.is_none();
    Ok(Asked { method, data, reply: ReplyTo { kind: kind.into(), id, quiet } })
}

impl ReplyTo {
    /// The frame that says what came of it, if somebody waits for that. `data` is JSON.
    pub fn result(&self, data: &[u8]) -> Option<Bytes> {
        if self.quiet {
            return None;
        }
        let Ok(data) = serde_json::from_slice::<&RawValue>(data) else {
            tracing::error!(message = &*self.kind, "a domain's answer is not JSON");
            return Some(self.error(LATER));
        };
        let kind = format!("{}_result", self.kind);
        Some(frame(&Answer { kind: &kind, data: Some(data), id: self.id.as_deref(), ..Answer::default() }))
    }

    /// The frame that says why nothing came of it.
    pub fn error(&self, message: &str) -> Bytes {
        error_to(self.id.as_deref(), message)
    }

    /// The frame that says why a domain refused, in its words if the client can do something about it.
    pub fn refusal(&self, status: &Status) -> Bytes {
        self.error(&words(status))
    }
}

const LATER: &str = "this could not be done now; try again later";

fn words(status: &Status) -> String {
    match status.code() {
        tonic::Code::PermissionDenied
        | tonic::Code::Unauthenticated
        | tonic::Code::InvalidArgument
        | tonic::Code::OutOfRange
        | tonic::Code::NotFound
        | tonic::Code::AlreadyExists
        | tonic::Code::FailedPrecondition
        | tonic::Code::ResourceExhausted => status.message().chars().take(WORDS_CHARS).collect(),
        tonic::Code::Unimplemented => "this can't be done here".to_owned(),
        _ => {
            tracing::warn!(%status, "a domain could not answer a client");
            LATER.to_owned()
        }
    }
}

/// `{"type":"error","message":"…"}`.
pub(crate) fn error(message: &str) -> Bytes {
    error_to(None, message)
}

fn error_to(id: Option<&RawValue>, message: &str) -> Bytes {
    frame(&Answer { kind: "error", message: Some(message), id, ..Answer::default() })
}

fn frame(answer: &Answer<'_>) -> Bytes {
    // Serialising what holds no map with keys that are not text can't fail.
    Wire::PlatePalSocket.wrap(&serde_json::to_vec(answer).unwrap_or_default())
}

/// Whether JSON is a number or a text, and short.
fn is_id(json: &str) -> bool {
    let is_scalar = json.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
    is_scalar && json.len() <= ID_BYTES_MAX
}

/// A field of an object that is true or false.
fn flag(data: &RawValue, field: &str) -> Option<bool> {
    // Borrowed values, so that nothing but the names is copied.
    let fields: std::collections::HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(data.get()).ok()?;
    match fields.get(field)?.get() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// A frame's text.
    fn text(frame: &Bytes) -> String {
        // Two bytes of head, or four.
        let head = if frame.get(1) == Some(&126) { 4 } else { 2 };
        String::from_utf8(frame.slice(head..).to_vec()).unwrap()
    }

    fn refused(said: &str, feed: ChannelKind) -> String {
        text(&read(said.as_bytes(), feed).unwrap_err())
    }

    #[test]
    fn what_a_rider_says_goes_to_the_method_of_the_table() {
        for (said, method, data) in [
            (r#"{"type":"location","data":{"latitude":1}}"#, "tracking.report", r#"{"latitude":1}"#),
            (r#"{"type":"location","data":{"fixes":[]},"id":7}"#, "tracking.report", r#"{"fixes":[]}"#),
            (
                r#"{"type":"offer_response","data":{"offer_id":"a","accept":true}}"#,
                "tracking.accept_offer",
                r#"{"offer_id":"a","accept":true}"#,
            ),
            (
                r#"{"data":{"accept":false,"reason":"far"},"type":"offer_response"}"#,
                "tracking.decline_offer",
                r#"{"accept":false,"reason":"far"}"#,
            ),
        ] {
            let asked = read(said.as_bytes(), ChannelKind::Rider).unwrap();
            assert_eq!((asked.method, &*asked.data), (method, data.as_bytes()), "{said}");
        }
        // Only on the rider's own feed.
        for feed in ChannelKind::PUBLIC.into_iter().filter(|kind| *kind != ChannelKind::Rider) {
            assert!(read(br#"{"type":"location","data":{}}"#, feed).is_err(), "{}", feed.word());
        }
    }

    #[test]
    fn frames_of_the_protocol() {
        let asked = |id: &str| {
            let said = format!(r#"{{"type":"location","data":{{}},"id":{id}}}"#);
            read(said.as_bytes(), ChannelKind::Rider).unwrap().reply
        };
        let denied = Status::permission_denied("no shift is running; start one first");
        let down = Status::unavailable("tcp connect error: 10.0.0.7:50051");
        let rider = |said: &str| refused(said, ChannelKind::Rider);
        let frames = [
            text(&asked("7").result(br#"{"answers":[{"outcome":"shown"}]}"#).unwrap()),
            text(&asked(r#""a-1""#).result(br#"{"answers":[]}"#).unwrap()),
            text(&asked("null").result(b"{}").unwrap()),
            text(&asked("7").result(b"not JSON").unwrap()),
            text(&asked("7").refusal(&denied)),
            text(&asked("null").refusal(&down)),
            text(&asked("7").refusal(&Status::unimplemented("there is no method \"report\""))),
            rider(r#"{"type":"hello","id":1,"data":{}}"#),
            rider(r#"{"data":{}}"#),
            rider("[1]"),
            rider(r#"{"type":"location"}"#),
            rider(r#"{"type":"location","data":{},"id":{"a":1}}"#),
            rider(r#"{"type":"location","data":{},"id":true}"#),
            rider(r#"{"type":"offer_response","data":{"offer_id":"a"},"id":2}"#),
            rider(r#"{"type":"offer_response","data":{"accept":"yes"}}"#),
            rider(r#"{"type":"offer_response","data":[true]}"#),
        ];
        insta::assert_snapshot!(frames.join("\n"), @r#"
        {"type":"location_result","data":{"answers":[{"outcome":"shown"}]},"id":7}
        {"type":"location_result","data":{"answers":[]},"id":"a-1"}
        {"type":"location_result","data":{}}
        {"type":"error","message":"this could not be done now; try again later","id":7}
        {"type":"error","message":"no shift is running; start one first","id":7}
        {"type":"error","message":"this could not be done now; try again later"}
        {"type":"error","message":"this can't be done here","id":7}
        {"type":"error","message":"this socket does not take messages of type \"hello\"","id":1}
        {"type":"error","message":"the message has no \"type\""}
        {"type":"error","message":"the message is not a JSON object with a \"type\""}
        {"type":"error","message":"the message has no \"data\""}
        {"type":"error","message":"the message's \"id\" must be a number or a text of at most 64 characters"}
        {"type":"error","message":"the message's \"id\" must be a number or a text of at most 64 characters"}
        {"type":"error","message":"the message's \"data\" must be an object whose \"accept\" is true or false","id":2}
        {"type":"error","message":"the message's \"data\" must be an object whose \"accept\" is true or false"}
        {"type":"error","message":"the message's \"data\" must be an object whose \"accept\" is true or false"}
        "#);
    }

    #[test]
    fn a_chat_message_has_its_arguments_beside_its_type_and_is_answered_if_it_has_an_id() {
        let read = |said: &str| read(said.as_bytes(), ChannelKind::Chat).unwrap();
        let flat = r#"{"type":"send_message","content":"hi","message_type":"TEXT"}"#;
        let asked = read(flat);
        assert_eq!((asked.method, &*asked.data), ("chat.send", flat.as_bytes()));
        assert_eq!(asked.reply.result(b"{}"), None);
        assert!(text(&asked.reply.error("no")).contains("no"));
        let asked = read(r#"{"type":"typing","data":{"is_typing":true},"id":1}"#);
        assert_eq!((asked.method, &*asked.data), ("chat.typing", &br#"{"is_typing":true}"#[..]));
        assert_eq!(text(&asked.reply.result(b"{}").unwrap()), r#"{"type":"typing_result","data":{},"id":1}"#);
    }

    #[test]
    fn a_long_id_is_refused_and_a_short_one_comes_back_as_it_was() {
        let said = |id: &str| format!(r#"{{"type":"hello","id":{id}}}"#);
        let longest = format!("\"{}\"", "x".repeat(64));
        assert!(refused(&said(&longest), ChannelKind::Rider).contains(&longest));
        let longer = format!("\"{}\"", "x".repeat(65));
        assert!(refused(&said(&longer), ChannelKind::Rider).contains("at most 64"));
        assert!(refused(&said("-1.50e3"), ChannelKind::Rider).contains(r#""id":-1.50e3"#));
    }

    proptest! {
        #[test]
        fn whatever_a_client_says_is_answered_in_few_words(text in "\\PC{0,300}") {
            for feed in ChannelKind::PUBLIC {
                if let Err(answer) = read(text.as_bytes(), feed) {
                    prop_assert!(answer.len() < 500);
                }
                let unknown = serde_json::json!({ "type": text, "id": "7" }).to_string();
                prop_assert!(read(unknown.as_bytes(), feed).is_err_and(|answer| answer.len() < 1_000));
            }
        }

        #[test]
        fn data_is_handed_over_as_it_was_said(data in any_object()) {
            let said = serde_json::json!({ "type": "location", "data": data, "id": 1 }).to_string();
            let asked = read(said.as_bytes(), ChannelKind::Rider).unwrap();
            let handed: serde_json::Value = serde_json::from_slice(&asked.data).unwrap();
            prop_assert_eq!(handed, data);
        }
    }

    fn any_object() -> impl Strategy<Value = serde_json::Value> {
        proptest::collection::hash_map(".{0,10}", any::<i32>(), 0..5).prop_map(|fields| {
            fields.into_iter().map(|(name, value)| (name, serde_json::Value::from(value))).collect()
        })
    }
}
