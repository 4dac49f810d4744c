//! Why a socket is closed: the one table of codes, names, and what a client should do.
//!
//! `docs/protocol.md` shows the same table; a test compares them.

use std::borrow::Cow;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::Utf8Bytes};

/// The longest reason that fits a close frame, in bytes (RFC 6455, section 5.5: 125 with the code).
const REASON_BYTES_MAX: usize = 123;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $name:literal, $centrifuge:literal, $advice:literal;)+) => {
        /// A reason for closing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $variant,)+ }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The number in the close frame.
            pub fn number(self) -> u16 {
                match self { $(Self::$variant => $code),+ }
            }

            /// The number in Centrifuge's protocol, which gives 3500-3999 the meaning "do not come back".
            pub fn centrifuge(self) -> u16 {
                match self { $(Self::$variant => $centrifuge),+ }
            }

            /// The number as text, for metrics.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => stringify!($code)),+ }
            }

            /// Its name, which is also the reason when there is nothing more to say.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What the client should do.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice),+ }
            }
        }
    };
}

codes! {
    /// The client closed.
    Normal = 1000, "normal", 3000, "nothing; the client itself closed";
    /// The client broke the WebSocket protocol.
    Protocol = 1002, "protocol error", 3501, "fix the client; reconnecting is safe";
    /// A text frame was not UTF-8.
    NotText = 1007, "invalid text", 3501, "fix the client; reconnecting is safe";
    /// The client went on sending after it was told to slow down.
    Policy = 1008, "too many messages", 3013, "send less; reconnect after a while";
    /// A message was larger than the limit.
    TooBig = 1009, "message too big", 1009, "send smaller messages; reconnect";
    /// Something of ours is broken.
    Internal = 1011, "internal error", 3004, "reconnect with backoff and the last event_id";
    /// The server ends, or has to start the feed afresh.
    Restart = 1012, "service restart", 3001, "reconnect with the last event_id";
    /// What is needed can't be reached now.
    TryAgain = 1013, "try again later", 3004, "reconnect with backoff and the last event_id";
    /// The token is missing, wrong or expired.
    Unauthorised = 4001, "unauthorised", 3500, "get a new access token, then reconnect with the last event_id";
    /// The token is no longer good, and no new one came.
    Expired = 4001, "token expired", 3005, "get a new access token, then reconnect with the last event_id";
    /// This user may not read this feed.
    Forbidden = 4003, "forbidden", 3507, "do not reconnect; the user may not read this feed";
    /// The client read more slowly than events came.
    TooSlow = 4008, "too slow", 3008, "reconnect with the last event_id; what was missed is replayed";
    /// The client answered no ping.
    NoAnswer = 4010, "no answer", 3012, "reconnect with the last event_id";
    /// Django or an operator ended the session.
    Disconnected = 4000, "disconnected", 3503, "do not reconnect until the user asks for it";
    /// The user has too many sockets open.
    TooMany = 4029, "too many connections", 3504, "close other sockets of this user first";
    /// A command can't be read, or came out of order. Only in Centrifuge's protocol, as the next two.
    BadRequest = 3501, "bad request", 3501, "fix the client";
    /// No connect command came in time.
    Stale = 3502, "stale", 3502, "send connect at once after opening";
    /// Something was missed that can't be made up for on this connection.
    Missed = 3010, "insufficient state", 3010, "reconnect; what is still kept is recovered";
}

/// A code and what is said with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    pub(crate) code: Code,
    /// In place of the code's own number.
    number: Option<u16>,
    reason: Cow<'static, str>,
}

/// Which numbers a client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    PlatePal,
    Centrifuge,
}

impl Code {
    /// A close with this reason, cut to what a frame holds.
    pub(crate) fn because(self, reason: impl Into<Cow<'static, str>>) -> Close {
        Close { code: self, number: None, reason: cut(reason.into()) }
    }
}

impl From<Code> for Close {
    fn from(code: Code) -> Self {
        code.because(code.name())
    }
}

impl Close {
    /// With a number of whoever ordered it, 3000-4999.
    pub(crate) fn numbered(self, number: u16) -> Self {
        Self { number: Some(number).filter(|number| (3000..5000).contains(number)), ..self }
    }

    pub(crate) fn number(&self, numbers: Numbers) -> u16 {
        self.number.unwrap_or(match numbers {
            Numbers::PlatePal => self.code.number(),
            Numbers::Centrifuge => self.code.centrifuge(),
        })
    }

    /// What is said with it: never empty, and never JSON, which Centrifuge's clients would take for advice.
    pub(crate) fn reason(&self) -> Cow<'_, str> {
        let reason = if self.reason.is_empty() { self.code.name() } else { &*self.reason };
        match serde_json::from_str::<serde::de::IgnoredAny>(reason) {
            Ok(_) => format!("{}: {reason}", self.code.name()).into(),
            Err(_) => Cow::Borrowed(reason),
        }
    }

    pub(crate) fn frame(&self, numbers: Numbers) -> CloseFrame {
        // The reason is text already, so the conversion can't fail.
        let reason = cut(self.reason());
        let reason = Utf8Bytes::try_from(Bytes::copy_from_slice(reason.as_bytes())).unwrap_or_default();
        CloseFrame { code: self.number(numbers).into(), reason }
    }
}

/// Cuts a reason to what a frame holds, between characters.
fn cut(mut reason: Cow<'_, str>) -> Cow<'_, str> {
    if reason.len() > REASON_BYTES_MAX {
        let end = (0..=REASON_BYTES_MAX).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        reason.to_mut().truncate(end);
    }
    reason
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let close = Code::TryAgain.because("ü".repeat(100));
        assert_eq!(close.reason, "ü".repeat(61));
    }

    #[test]
    fn a_reason_that_reads_as_json_is_not_sent_as_it_is() {
        assert_eq!(Code::Disconnected.because("123").reason(), "disconnected: 123");
        assert_eq!(Code::Disconnected.because("").reason(), "disconnected");
        assert_eq!(Code::Disconnected.because("bye").reason(), "bye");
    }

    #[test]
    fn the_page_on_the_protocol_shows_this_table() {
        let page = include_str!("../../../docs/protocol.md");
        let rows: Vec<String> = Code::ALL
            .iter()
            .map(|code| {
                format!("| {} | {} | {} | {} |", code.number(), code.centrifuge(), code.name(), code.advice())
            })
            .collect();
        let (_, section) = page.split_once("## Close codes").unwrap();
        let (table, _) = section.split_once("\n4001").unwrap();
        let shown: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
        assert_eq!(shown, rows);
    }
}
