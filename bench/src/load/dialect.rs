//! How clients of each protocol open, what they make of a text, and how they say where they were.

use std::fmt::Write as _;

use memchr::memmem;

/// A protocol above WebSockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Texts are events; nothing is recovered.
    Plain,
    /// PlatePal's own sockets: `since_event_id`.
    PlatePal,
    /// Socket.IO over Engine.IO 4, with connection state recovery.
    SocketIo,
    /// nchan with its meta protocol: each message begins with its id.
    Nchan,
}

/// Where a client was when it was cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resume {
    /// Names the last event.
    pub last: String,
    /// Names the session; Socket.IO only.
    pub session: String,
}

/// What a text is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// An event, as the publisher sent it or around it.
    Event(&'a [u8]),
    /// The server greets: say this.
    Greeting,
    /// The client is a reader from now on, in this session.
    Open(&'a str),
    /// Say this, the server wants a sign of life.
    Alive,
    Other,
}

impl Dialect {
    /// The client's first bytes. `path` has everything that names feed and user.
    pub(super) fn request(self, path: &str, resume: Option<&Resume>) -> String {
        let mut request = format!("GET {path}");
        if let Some(resume) = resume.filter(|resume| !resume.last.is_empty()) {
            // Writing to a text can't fail.
            let _ = match self {
                Self::PlatePal => write!(request, "&since_event_id={}", resume.last),
                Self::Nchan => write!(request, "?last_event_id={}", resume.last),
                Self::Plain | Self::SocketIo => Ok(()),
            };
        }
        request.push_str(
            " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        );
        if self == Self::Nchan {
            request.push_str("Sec-WebSocket-Protocol: ws+meta.nchan\r\n");
        }
        request.push_str("\r\n");
        request
    }

    /// Whether the handshake is all that there is to opening.
    pub(super) fn opens_by_handshake(self) -> bool {
        self != Self::SocketIo
    }

    /// What the client says to a greeting.
    pub(super) fn greeting(self, resume: Option<&Resume>) -> String {
        match resume.filter(|resume| !resume.last.is_empty()) {
            Some(Resume { last, session }) => format!(r#"40{{"pid":"{session}","offset":"{last}"}}"#),
            None => "40".to_owned(),
        }
    }

    pub(super) fn hear(self, text: &[u8]) -> Heard<'_> {
        if self != Self::SocketIo {
            return Heard::Event(text);
        }
        match text {
            [b'4', b'2', ..] => Heard::Event(text),
            [b'2'] => Heard::Alive,
            [b'0', ..] => Heard::Greeting,
            [b'4', b'0', ..] => Heard::Open(between(text, "\"pid\":\"", b'"').unwrap_or_default()),
            _ => Heard::Other,
        }
    }

    /// Where a client is whose last event was this text.
    pub(super) fn position(self, text: &[u8]) -> Option<&str> {
        match self {
            Self::Plain => None,
            Self::PlatePal => between(text, "\"event_id\":\"", b'"'),
            Self::Nchan => between(text, "id: ", b'\n'),
            // The last argument: `42["event",{…},"offset"]`.
            Self::SocketIo => {
                let text = text.strip_suffix(b"\"]")?;
                let start = memchr::memrchr(b'"', text)? + 1;
                std::str::from_utf8(text.get(start..)?).ok()
            }
        }
    }
}

fn between<'a>(text: &'a [u8], before: &str, end: u8) -> Option<&'a str> {
    let start = memmem::find(text, before.as_bytes())? + before.len();
    let rest = text.get(start..)?;
    std::str::from_utf8(rest.get(..memchr::memchr(end, rest)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_finds_its_position() {
        let platepal = br#"{"type":"a","data":{"n":"1"},"event_id":"x-7","version":"1.0"}"#;
        assert_eq!(Dialect::PlatePal.position(platepal), Some("x-7"));
        assert_eq!(Dialect::Nchan.position(b"id: 1700000000:3\n\n{\"n\":\"1\"}"), Some("1700000000:3"));
        assert_eq!(Dialect::SocketIo.position(br#"42["event",{"version":"1.0"},"zz1"]"#), Some("zz1"));
        assert_eq!(Dialect::Plain.position(platepal), None);
    }

    #[test]
    fn a_client_that_comes_back_says_where_it_was() {
        let resume = Resume { last: "l".into(), session: "s".into() };
        let line =
            |dialect: Dialect| dialect.request("/a?b", Some(&resume)).lines().next().map(str::to_owned);
        assert_eq!(line(Dialect::PlatePal).as_deref(), Some("GET /a?b&since_event_id=l HTTP/1.1"));
        assert_eq!(line(Dialect::Plain).as_deref(), Some("GET /a?b HTTP/1.1"));
        assert_eq!(Dialect::SocketIo.greeting(Some(&resume)), r#"40{"pid":"s","offset":"l"}"#);
    }

    #[test]
    fn socket_io_opens_in_two_steps_and_wants_signs_of_life() {
        let hear = |text: &'static str| Dialect::SocketIo.hear(text.as_bytes());
        assert_eq!(hear(r#"0{"sid":"a"}"#), Heard::Greeting);
        assert_eq!(hear(r#"40{"sid":"a","pid":"b"}"#), Heard::Open("b"));
        assert_eq!(hear("2"), Heard::Alive);
        assert_eq!(hear("42[]"), Heard::Event(b"42[]"));
    }
}
