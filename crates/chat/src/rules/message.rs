//! A message: what may be said, who may change it, and what is left of it.
//!
//! A message is *shown* with a sequence in its room; *held*, until somebody decides; or *dropped*. What was deleted keeps
//! its place and loses its words.

use platepal_events::Timestamp;
use platepal_proto::v1;
use serde::{Deserialize, Serialize};
use url::Url;

use super::room::Face;

/// The longest address of an attachment, in bytes.
const URL_BYTES_MAX: usize = 1_024;
/// The longest content type of an attachment, in bytes.
const CONTENT_TYPE_BYTES_MAX: usize = 127;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageType {
    Text,
    Image,
    File,
    System,
}

/// What has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageStatus {
    Shown,
    Held,
    Dropped,
}

/// Something at an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) content_type: String,
    #[serde(default)]
    pub(crate) bytes: u64,
}

/// A message as it is now. Moments are in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: i64,
    pub(crate) room_id: String,
    /// 0: it is not shown yet.
    pub(crate) sequence: i64,
    pub(crate) changed: i64,
    /// Empty: the platform.
    pub(crate) sender_id: String,
    pub(crate) client_id: String,
    pub(crate) sender: Face,
    pub(crate) kind: MessageType,
    pub(crate) content: String,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) status: MessageStatus,
    /// Why it was held.
    pub(crate) reason: String,
    pub(crate) created_at: i64,
    pub(crate) edited_at: Option<i64>,
    pub(crate) deleted_at: Option<i64>,
    pub(crate) read_at: Option<i64>,
}

/// What somebody wants to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) kind: MessageType,
    pub(crate) content: String,
    pub(crate) attachment: Option<Attachment>,
}

/// What bounds a message.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) chars: usize,
    /// Hosts of attachments, `*.example.org` for all below.
    pub(crate) hosts: Vec<String>,
    pub(crate) attachment_bytes: u64,
}

/// Why something can't be said. Each names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DraftError {
    #[error("content: must not be empty")]
    Empty,
    #[error("content: {chars} characters, the limit is {max}")]
    TooLong { chars: usize, max: usize },
    #[error("content: must not have the character U+0000")]
    Nul,
    #[error("attachment: {0}")]
    Attachment(String),
}

impl DraftError {
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::Empty | Self::TooLong { .. } | Self::Nul => "content",
            Self::Attachment(_) => "attachment",
        }
    }
}

impl Draft {
    /// Checks what somebody wants to say.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), DraftError> {
        check_content(&self.content, limits)?;
        match (self.kind, &self.attachment) {
            (MessageType::Text | MessageType::System, Some(_)) => {
                Err(DraftError::Attachment("only messages of type IMAGE and FILE have one".into()))
            }
            (MessageType::Image | MessageType::File, None) => {
                Err(DraftError::Attachment("messages of type IMAGE and FILE need one".into()))
            }
            (MessageType::Image | MessageType::File, Some(attachment)) => attachment.check(self.kind, limits),
            (_, None) if self.content.trim().is_empty() => Err(DraftError::Empty),
            (_, None) => Ok(()),
        }
    }
}

/// Checks words, which may be none.
pub(crate) fn check_content(content: &str, limits: &Limits) -> Result<(), DraftError> {
    let chars = content.chars().count();
    if chars > limits.chars {
        return Err(DraftError::TooLong { chars, max: limits.chars });
    }
    // PostgreSQL keeps no such text.
    if content.contains('\0') {
        return Err(DraftError::Nul);
    }
    Ok(())
}

impl Attachment {
    fn check(&self, kind: MessageType, limits: &Limits) -> Result<(), DraftError> {
        let wrong = |why: String| Err(DraftError::Attachment(why));
        if self.url.len() > URL_BYTES_MAX {
            return wrong(format!("the url has {} bytes, the limit is {URL_BYTES_MAX}", self.url.len()));
        }
        let Ok(url) = Url::parse(&self.url) else { return wrong("the url is not one".into()) };
        let has_login = !url.username().is_empty() || url.password().is_some();
        if url.scheme() != "https" || has_login || url.port().is_some() {
            return wrong("the url must be https, without a login and without a port".into());
        }
        let host = url.host_str().unwrap_or_default();
        if !limits.hosts.iter().any(|allowed| covers(allowed, host)) {
            return wrong(format!(
                "attachments can't be at {host:?}; REALTIME_CHAT_ATTACHMENT_HOSTS lists where"
            ));
        }
        if self.bytes > limits.attachment_bytes {
            return wrong(format!("{} bytes, the limit is {}", self.bytes, limits.attachment_bytes));
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>');
        if self.content_type.len() > CONTENT_TYPE_BYTES_MAX || !self.content_type.bytes().all(is_plain) {
            return wrong("the content type is not one".into());
        }
        if kind == MessageType::Image
            && !self.content_type.is_empty()
            && !self.content_type.starts_with("image/")
        {
            return wrong(format!("a message of type IMAGE can't have {:?}", self.content_type));
        }
        Ok(())
    }
}

/// Whether an entry of the list names a host.
fn covers(allowed: &str, host: &str) -> bool {
    match allowed.strip_prefix("*.") {
        Some(parent) => {
            let below = host.len().checked_sub(parent.len() + 1).and_then(|at| host.get(at..));
            below.is_some_and(|below| {
                below.strip_prefix('.').is_some_and(|own| own.eq_ignore_ascii_case(parent))
            })
        }
        None => allowed.eq_ignore_ascii_case(host),
    }
}

/// Who wants to change a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    /// Django itself.
    Platform,
    User {
        id: String,
        is_staff: bool,
    },
}

/// Why a message can't be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("permission denied: this is somebody else's message")]
    NotYours,
    #[error("this message was deleted")]
    Deleted,
    #[error("this message is not shown")]
    NotShown,
    #[error("what the platform says can't be edited")]
    System,
}

impl Message {
    /// Other words.
    pub(crate) fn edited(&self, by: &By, content: String, now: Timestamp) -> Result<Self, ChangeError> {
        self.may_change(by)?;
        if self.deleted_at.is_some() {
            return Err(ChangeError::Deleted);
        }
        if self.kind == MessageType::System && *by != By::Platform {
            return Err(ChangeError::System);
        }
        Ok(Self { content, edited_at: Some(now.micros()), ..self.clone() })
    }

    /// Nothing but its place; deleting twice changes nothing.
    pub(crate) fn deleted(&self, by: &By, now: Timestamp) -> Result<Self, ChangeError> {
        self.may_change(by)?;
        if self.deleted_at.is_some() {
            return Ok(self.clone());
        }
        Ok(self.emptied(now))
    }

    /// Without words and attachment.
    pub(crate) fn emptied(&self, now: Timestamp) -> Self {
        let deleted_at = self.deleted_at.or(Some(now.micros()));
        Self { content: String::new(), attachment: None, deleted_at, ..self.clone() }
    }

    fn may_change(&self, by: &By) -> Result<(), ChangeError> {
        let is_theirs = match by {
            By::Platform => true,
            By::User { id, is_staff } => *is_staff || (!self.sender_id.is_empty() && *id == self.sender_id),
        };
        match () {
            () if !is_theirs => Err(ChangeError::NotYours),
            () if self.status != MessageStatus::Shown => Err(ChangeError::NotShown),
            () => Ok(()),
        }
    }
}

macro_rules! words {
    ($own:ident, $($name:ident $word:literal)+) => {
        impl $own {
            pub(crate) fn word(self) -> &'static str {
                match self { $( Self::$name => $word, )+ }
            }

            pub(crate) fn from_word(word: &str) -> Option<Self> {
                match word { $( $word => Some(Self::$name), )+ _ => None }
            }
        }
    };
}
words!(MessageType, Text "TEXT" Image "IMAGE" File "FILE" System "SYSTEM");
words!(MessageStatus, Shown "shown" Held "held" Dropped "dropped");

impl MessageType {
    pub(crate) fn from_message(message: v1::MessageType) -> Self {
        match message {
            v1::MessageType::Unspecified | v1::MessageType::Text => Self::Text,
            v1::MessageType::Image => Self::Image,
            v1::MessageType::File => Self::File,
            v1::MessageType::System => Self::System,
        }
    }

    pub(crate) fn to_message(self) -> v1::MessageType {
        match self {
            Self::Text => v1::MessageType::Text,
            Self::Image => v1::MessageType::Image,
            Self::File => v1::MessageType::File,
            Self::System => v1::MessageType::System,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        let hosts = vec!["media.platepal.example".to_owned(), "*.cdn.example".to_owned()];
        Limits { chars: 4_000, hosts, attachment_bytes: 10 << 20 }
    }

    fn text(content: &str) -> Draft {
        Draft { kind: MessageType::Text, content: content.into(), attachment: None }
    }

    fn image(url: &str) -> Draft {
        let attachment = Attachment { url: url.into(), content_type: "image/png".into(), bytes: 5 };
        Draft { kind: MessageType::Image, content: String::new(), attachment: Some(attachment) }
    }

    pub(crate) fn message(sender_id: &str) -> Message {
        Message {
            id: 41,
            room_id: "88".into(),
            sequence: 3,
            changed: 3,
            sender_id: sender_id.into(),
            client_id: "c".into(),
            sender: Face { name: "Ada".into(), email: "ada@example.org".into(), photo_url: String::new() },
            kind: MessageType::Text,
            content: "hello".into(),
            attachment: None,
            status: MessageStatus::Shown,
            reason: String::new(),
            created_at: 1_795_519_800_123_456,
            edited_at: None,
            deleted_at: None,
            read_at: None,
        }
    }

    #[test]
    fn four_thousand_characters_are_a_message_and_one_more_is_not() {
        assert_eq!(text(&"é".repeat(4_000)).check(&limits()), Ok(()));
        let long = text(&"é".repeat(4_001)).check(&limits()).unwrap_err();
        assert_eq!(long.to_string(), "content: 4001 characters, the limit is 4000");
        assert_eq!(text(" \n").check(&limits()), Err(DraftError::Empty));
        assert_eq!(text("a\0").check(&limits()), Err(DraftError::Nul));
    }

    #[test]
    fn attachments_are_where_they_may_be() {
        for url in [
            "https://media.platepal.example/a.png",
            "https://MEDIA.platepal.example/a",
            "https://a.b.cdn.example/x",
        ] {
            assert_eq!(image(url).check(&limits()), Ok(()), "{url}");
        }
        for url in [
            "http://media.platepal.example/a.png",
            "https://media.platepal.example.evil.example/",
            "https://evil.example/media.platepal.example",
            "https://user:secret@media.platepal.example/",
            "https://media.platepal.example:8443/",
            "https://cdn.example/",
            "https://evilcdn.example/",
            "https://127.0.0.1/",
            "javascript:alert(1)",
            "",
        ] {
            assert!(image(url).check(&limits()).is_err(), "{url}");
        }
        let large = Attachment {
            bytes: (10 << 20) + 1,
            ..image("https://media.platepal.example/a").attachment.unwrap()
        };
        assert!(Draft { attachment: Some(large), ..image("") }.check(&limits()).is_err());
        let pdf = Attachment {
            content_type: "application/pdf".into(),
            ..image("https://media.platepal.example/a").attachment.unwrap()
        };
        assert!(Draft { attachment: Some(pdf.clone()), ..image("") }.check(&limits()).is_err());
        assert_eq!(
            Draft { kind: MessageType::File, attachment: Some(pdf), ..image("") }.check(&limits()),
            Ok(())
        );
    }

    #[test]
    fn only_the_sender_staff_and_the_platform_change_a_message() {
        let user = |id: &str, is_staff| By::User { id: id.into(), is_staff };
        let at = Timestamp::from_micros(5);
        let said = message("7");
        for by in [user("7", false), user("50", true), By::Platform] {
            assert_eq!(said.edited(&by, "bye".into(), at).unwrap().content, "bye");
            let deleted = said.deleted(&by, at).unwrap();
            assert_eq!((deleted.content.as_str(), deleted.deleted_at), ("", Some(5)));
            assert_eq!(deleted.edited(&by, "again".into(), at), Err(ChangeError::Deleted));
            assert_eq!(deleted.deleted(&by, Timestamp::from_micros(9)).unwrap(), deleted);
        }
        assert_eq!(said.edited(&user("8", false), "x".into(), at), Err(ChangeError::NotYours));
        assert_eq!(said.deleted(&user("", false), at), Err(ChangeError::NotYours));
        // What the platform said is nobody's.
        assert_eq!(message("").deleted(&user("", false), at), Err(ChangeError::NotYours));
        let system = Message { kind: MessageType::System, ..message("") };
        assert_eq!(system.edited(&user("50", true), "x".into(), at), Err(ChangeError::System));
        let held = Message { status: MessageStatus::Held, ..message("7") };
        assert_eq!(held.edited(&user("7", false), "x".into(), at), Err(ChangeError::NotShown));
    }

    proptest! {
        #[test]
        fn no_words_and_no_address_make_it_panic(content in "\\PC{0,200}", url in "(https://)?\\PC{0,80}") {
            let _ = text(&content).check(&limits());
            if image(&url).check(&limits()).is_ok() {
                let host = Url::parse(&url).unwrap().host_str().unwrap().to_owned();
                prop_assert!(host == "media.platepal.example" || host.ends_with(".cdn.example"));
            }
        }
    }
}
