//! The shape in which Django's broadcaster tells: an envelope around what it is about. The domains tell in it, too, so that
//! a page has one way to read both.

use crate::{Event, EventId, EventType, Timestamp};

/// What the envelope, and what is added to it, may take of an event's largest payload, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 1024;

impl Event {
    /// An event in the envelope. `about`: the words for `aggregate_type` and `aggregate_id`; `payload`: JSON, which goes in
    /// byte for byte; `more`: further members, each with a comma before it.
    pub fn enveloped(
        id: EventId,
        kind: EventType,
        at: Timestamp,
        (aggregate, aggregate_id): (&str, &str),
        payload: &str,
        more: &str,
    ) -> Self {
        // Every part is JSON already or free of characters to escape: ids, types and moments are checked.
        let data = format!(
            r#"{{"event_id":"{id}","type":"{kind}","version":"1.0","timestamp":"{at}","aggregate_type":"{aggregate}","aggregate_id":"{aggregate_id}","payload":{payload}{more}}}"#
        );
        Self::new(id, kind, data, at)
    }
}
