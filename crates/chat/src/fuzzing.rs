//! Decoders that are private, for the fuzz targets alone.

use crate::{
    grpc::said,
    rules::{
        message::Limits,
        words::{Action, Verdict, Words},
    },
};

/// What a client's frame says, if it may be said.
#[derive(Debug)]
pub struct Said {
    /// Its words.
    pub content: String,
    /// The same after the list of words.
    pub masked: String,
    /// Where its attachment is.
    pub url: Option<String>,
}

/// Reads the arguments of a message, checks them, and has them judged by a list of words.
pub fn message(arguments: &[u8], list: &str) -> Option<Said> {
    let (draft, _) = said(arguments, false).ok()?;
    let limits = Limits { chars: 4_000, hosts: vec!["*.cdn.example".to_owned()], attachment_bytes: 25 << 20 };
    draft.check(&limits).ok()?;
    let masked = match Words::parse(list, Action::Mask).judge(&draft.content) {
        Verdict::Mask(masked) => masked,
        Verdict::Show | Verdict::Hold(_) => draft.content.clone(),
    };
    Some(Said { content: draft.content, masked, url: draft.attachment.map(|attachment| attachment.url) })
}
