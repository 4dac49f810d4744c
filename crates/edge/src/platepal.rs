//! The protocol of PlatePal's sockets: what a client may say, and what it is told. Events are
//! [`platepal_events::frame`]; this is the rest.

use bytes::Bytes;
use serde::Deserialize;

use crate::codec::Wire;

/// Characters of a client's own words that are repeated to it.
const ECHO_CHARS: usize = 64;

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<std::borrow::Cow<'a, str>>,
}

/// The answer to a text from a client. None of the sockets takes any yet, so it is always an error frame that
/// says why.
pub(crate) fn answer(text: &str) -> Bytes {
    match serde_json::from_str::<Said<'_>>(text) {
        Ok(Said { kind: Some(kind) }) => {
            let shown: String = kind.chars().take(ECHO_CHARS).collect();
            error(&format!("this socket does not take messages of type {shown:?}"))
        }
        Ok(Said { kind: None }) => error("the message has no \"type\""),
        Err(_) => error("the message is not a JSON object with a \"type\""),
    }
}

/// `{"type":"error","message":"…"}`.
pub(crate) fn error(message: &str) -> Bytes {
    let frame = serde_json::json!({ "type": "error", "message": message });
    Wire::PlatePalSocket.wrap(frame.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_a_client_says_is_answered_in_few_words(text in "\\PC{0,300}") {
            prop_assert!(answer(&text).len() < 500);
            let unknown = serde_json::json!({ "type": text }).to_string();
            prop_assert!(answer(&unknown).len() < 1_000);
        }
    }
}
