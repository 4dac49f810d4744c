//! Why a socket is closed: the one table of codes, names, and what a client should do.
//!
//! `docs/protocol.md` shows the same table; a test compares them.

use std::borrow::Cow;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::Utf8Bytes};

/// The longest reason that fits a close frame, in bytes (RFC 6455, section 5.5: 125 with the code).
const REASON_BYTES_MAX: usize = 123;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $name:literal, $advice:literal;)+) => {
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
    Normal = 1000, "normal", "nothing; the client itself closed";
    /// The client broke the WebSocket protocol.
    Protocol = 1002, "protocol error", "fix the client; reconnecting is safe";
    /// A text frame was not UTF-8.
    NotText = 1007, "invalid text", "fix the client; reconnecting is safe";
    /// The client went on sending after it was told to slow down.
    Policy = 1008, "too many messages", "send less; reconnect after a while";
    /// A message was larger than the limit.
    TooBig = 1009, "message too big", "send smaller messages; reconnect";
    /// Something of ours is broken.
    Internal = 1011, "internal error", "reconnect with backoff and the last event_id";
    /// The server ends, or has to start the feed afresh.
    Restart = 1012, "service restart", "reconnect with the last event_id";
    /// What is needed can't be reached now.
    TryAgain = 1013, "try again later", "reconnect with backoff and the last event_id";
    /// The token is missing, wrong or expired.
    Unauthorised = 4001, "unauthorised", "get a new access token, then reconnect with the last event_id";
    /// This user may not read this feed.
    Forbidden = 4003, "forbidden", "do not reconnect; the user may not read this feed";
    /// The client read more slowly than events came.
    TooSlow = 4008, "too slow", "reconnect with the last event_id; what was missed is replayed";
    /// The client answered no ping.
    NoAnswer = 4010, "no answer", "reconnect with the last event_id";
    /// The user has too many sockets open.
    TooMany = 4029, "too many connections", "close other sockets of this user first";
}

/// A code and what is said with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    pub(crate) code: Code,
    reason: Cow<'static, str>,
}

impl Code {
    /// A close with this reason, cut to what a frame holds.
    pub(crate) fn because(self, reason: impl Into<Cow<'static, str>>) -> Close {
        let mut reason = reason.into();
        if reason.len() > REASON_BYTES_MAX {
            let end = (0..=REASON_BYTES_MAX).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
            reason.to_mut().truncate(end);
        }
        Close { code: self, reason }
    }
}

impl From<Code> for Close {
    fn from(code: Code) -> Self {
        code.because(code.name())
    }
}

impl Close {
    pub(crate) fn frame(&self) -> CloseFrame {
        // The reason is text already, so the conversion can't fail.
        let reason = Utf8Bytes::try_from(Bytes::copy_from_slice(self.reason.as_bytes())).unwrap_or_default();
        CloseFrame { code: self.code.number().into(), reason }
    }
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
    fn the_page_on_the_protocol_shows_this_table() {
        let page = include_str!("../../../docs/protocol.md");
        let rows: Vec<String> = Code::ALL
            .iter()
            .map(|code| format!("| {} | {} | {} |", code.number(), code.name(), code.advice()))
            .collect();
        let (_, section) = page.split_once("## Close codes").unwrap();
        let (table, _) = section.split_once("\n4001").unwrap();
        let shown: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
        assert_eq!(shown, rows);
    }
}
