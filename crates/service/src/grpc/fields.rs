//! Fields that every domain reads the same way, with an error that names the field.

use platepal_events::{Channel, ChannelKind, EventId, Timestamp};
use serde::Deserialize;
use tonic::Status;

use super::invalid;

/// An id that must be there.
pub fn id(field: &str, id: &str) -> Result<(), Status> {
    // Ids of all kinds but areas are the same.
    match Channel::new(ChannelKind::Order, id) {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid(field, "must be 1-64 characters of A-Z a-z 0-9 _ -")),
    }
}

/// An id that may be left out.
pub fn maybe_id(field: &str, id: &str) -> Result<(), Status> {
    if id.is_empty() || Channel::new(ChannelKind::Order, id).is_ok() {
        return Ok(());
    }
    Err(invalid(field, "must be empty, or 1-64 characters of A-Z a-z 0-9 _ -"))
}

/// An event's id; one that is left out is made.
pub fn event_id(text: &str) -> Result<EventId, Status> {
    if text.is_empty() {
        return Ok(EventId::make());
    }
    text.parse().map_err(|why| invalid("event_id", why))
}

/// A moment that may be left out.
pub fn maybe_moment(field: &str, at: Option<prost_types::Timestamp>) -> Result<Option<Timestamp>, Status> {
    at.map(Timestamp::try_from).transpose().map_err(|why| invalid(field, why))
}

/// A moment that is now when it is left out.
pub fn moment(field: &str, at: Option<prost_types::Timestamp>, now: Timestamp) -> Result<Timestamp, Status> {
    maybe_moment(field, at).map(|at| at.unwrap_or(now))
}

/// How many are asked for; 0: the usual number.
pub fn limit(field: &str, asked: u32, usual: u32, most: u32) -> Result<usize, Status> {
    match asked {
        0 => Ok(usual as usize),
        asked if asked <= most => Ok(asked as usize),
        _ => Err(invalid(field, format!("must be at most {most}"))),
    }
}

/// A text of at most so many characters, without U+0000, which PostgreSQL does not keep.
pub fn text(field: &str, text: &str, chars_max: usize) -> Result<(), Status> {
    if text.chars().count() > chars_max {
        return Err(invalid(field, format!("must be at most {chars_max} characters")));
    }
    if text.contains('\0') {
        return Err(invalid(field, "must not have the character U+0000"));
    }
    Ok(())
}

/// An id in JSON: Django's are numbers, and texts in the names of channels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum JsonId {
    /// `5012`
    Number(u64),
    /// `"5012"`
    Text(String),
}

impl From<JsonId> for String {
    fn from(id: JsonId) -> Self {
        match id {
            JsonId::Number(number) => number.to_string(),
            JsonId::Text(text) => text,
        }
    }
}
