//! The envelope.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use platepal_proto::v1;
use uuid::Uuid;

use crate::{Epoch, EventType, PAYLOAD_BYTES_MAX, Position, channel::is_id};

/// Names an event; a retry of the same event carries the same one. A UUID as Django makes it, or any 1-64
/// characters of `[A-Za-z0-9_-]`. Opaque to clients. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Arc<str>);

impl EventId {
    /// Makes a new one, growing with time.
    pub fn make() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }

    /// Makes the one id that these words always give, for events that must happen once however often they
    /// are made: a timer's, say.
    pub fn derived(words: &[&str]) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, words.join("\u{1f}").as_bytes()).to_string().into())
    }

    /// Names a place in a channel's log, where an event that has none of its own stands for it: a client that
    /// saw a *latest* value last goes on from there. The epoch must be fit for an id, as the engines' are.
    pub fn at(position: &Position) -> Self {
        Self(format!("at-{}-{}", position.offset, position.epoch.as_str()).into())
    }

    /// The place that [`EventId::at`] named.
    pub fn place(&self) -> Option<Position> {
        let (offset, epoch) = self.0.strip_prefix("at-")?.split_once('-')?;
        Some(Position { offset: offset.parse().ok()?, epoch: Epoch::new(epoch) })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventId {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        if is_id(text) { Ok(Self(text.into())) } else { Err(EventError::Id(text.chars().take(80).collect())) }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A moment in UTC, in microseconds since 1970: what Django's timestamps carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970. A moment outside the years 1 to 9999 becomes the nearest inside.
    pub fn from_micros(micros: i64) -> Self {
        const YEAR_1: i64 = -62_135_596_800_000_000;
        const YEAR_9999: i64 = 253_402_300_799_999_999;
        Self(micros.clamp(YEAR_1, YEAR_9999))
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The moment so many milliseconds later.
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_micros(self.0.saturating_add(millis.saturating_mul(1_000)))
    }

    /// Milliseconds from `earlier` to this; negative if it is later.
    pub fn millis_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0) / 1_000
    }
}

impl fmt::Display for Timestamp {
    /// As Django writes it: `2026-11-24T11:30:00.123456+00:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or_default();
        f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Micros, false))
    }
}

impl FromStr for Timestamp {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        DateTime::parse_from_rfc3339(text)
            .map(|moment| Self::from_micros(moment.timestamp_micros()))
            .map_err(|why| EventError::Timestamp(why.to_string()))
    }
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(at: Timestamp) -> Self {
        // Micros fit: the remainder of a division by a million times a thousand is below 10^9.
        let nanos = i32::try_from(at.0.rem_euclid(1_000_000) * 1_000).unwrap_or_default();
        Self { seconds: at.0.div_euclid(1_000_000), nanos }
    }
}

impl TryFrom<prost_types::Timestamp> for Timestamp {
    type Error = EventError;

    fn try_from(at: prost_types::Timestamp) -> Result<Self, EventError> {
        if !(0..1_000_000_000).contains(&at.nanos) {
            return Err(EventError::Timestamp(format!("nanos is {}", at.nanos)));
        }
        let micros =
            at.seconds.checked_mul(1_000_000).and_then(|m| m.checked_add(i64::from(at.nanos) / 1_000));
        let at = Self::from_micros(
            micros.ok_or_else(|| EventError::Timestamp(format!("seconds is {}", at.seconds)))?,
        );
        Ok(at)
    }
}

/// A time as [`Timestamp`] counts it; the largest there is if it is longer.
pub fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Of the shape of a payload, unless it is said.
const VERSION: &str = "1.0";

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name.
    pub id: EventId,
    /// What happened.
    pub kind: EventType,
    /// When.
    pub timestamp: Timestamp,
    /// Of the payload's shape; `1.0` unless the publisher says otherwise.
    pub version: Arc<str>,
    /// JSON, valid UTF-8, at most [`PAYLOAD_BYTES_MAX`]; passed on byte for byte.
    pub payload: Bytes,
    /// For the *latest* class: which value it replaces; empty otherwise.
    pub key: Arc<str>,
    /// W3C trace context of the publisher; empty when it had none.
    pub traceparent: Arc<str>,
}

/// Why a message is not an event. Each names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The id has other characters, or too many.
    #[error("event_id: {0:?} is not 1-64 characters of A-Z a-z 0-9 _ -")]
    Id(String),
    /// The type can't be a type.
    #[error("type: {0}")]
    Type(#[from] crate::TypeError),
    /// The timestamp can't be one.
    #[error("timestamp: not a moment: {0}")]
    Timestamp(String),
    /// The version is too long or has odd characters.
    #[error("version: must be 1-16 characters of A-Z a-z 0-9 . _ -")]
    Version,
    /// The payload is too large.
    #[error("payload: {0} bytes, the limit is {PAYLOAD_BYTES_MAX}")]
    PayloadSize(usize),
    /// The payload is not JSON.
    #[error("payload: not JSON: {0}")]
    PayloadJson(String),
    /// The key can't be one, or is missing, or has no business here.
    #[error("key: {0}")]
    Key(&'static str),
    /// The trace context can't be one.
    #[error("traceparent: must be as W3C Trace Context says, 55 characters")]
    Traceparent,
}

impl EventError {
    /// The field that is to blame.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Id(_) => "event_id",
            Self::Type(_) => "type",
            Self::Timestamp(_) => "timestamp",
            Self::Version => "version",
            Self::PayloadSize(_) | Self::PayloadJson(_) => "payload",
            Self::Key(_) => "key",
            Self::Traceparent => "traceparent",
        }
    }
}

impl Event {
    /// What a domain itself tells, of parts that are checked: version `1.0`, without key and trace context.
    pub fn new(id: EventId, kind: EventType, payload: impl Into<Bytes>, timestamp: Timestamp) -> Self {
        Self {
            id,
            kind,
            timestamp,
            version: VERSION.into(),
            payload: payload.into(),
            key: "".into(),
            traceparent: "".into(),
        }
    }

    /// Checks a message from outside and fills in what it left out: an id, `now` as its timestamp, version
    /// `1.0`.
    pub fn parse(message: v1::Event, now: Timestamp) -> Result<Self, EventError> {
        let id = if message.event_id.is_empty() { EventId::make() } else { message.event_id.parse()? };
        let kind: EventType = message.r#type.parse()?;
        let timestamp = message.timestamp.map(Timestamp::try_from).transpose()?.unwrap_or(now);
        let version: Arc<str> = match message.version.as_str() {
            "" => VERSION.into(),
            text if text.len() <= 16
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) =>
            {
                text.into()
            }
            _ => return Err(EventError::Version),
        };
        if message.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(EventError::PayloadSize(message.payload.len()));
        }
        serde_json::from_slice::<&serde_json::value::RawValue>(&message.payload)
            .map_err(|why| EventError::PayloadJson(why.to_string()))?;
        match (kind.class(), message.key.as_str()) {
            (crate::Class::Latest, "") => {
                return Err(EventError::Key("events of this type need one: which value does it replace?"));
            }
            (crate::Class::Log, key) if !key.is_empty() => {
                return Err(EventError::Key("events of this type are kept one by one and have none"));
            }
            (crate::Class::Latest, key) if !is_id(key) => {
                return Err(EventError::Key("must be 1-64 characters of A-Z a-z 0-9 _ -"));
            }
            _ => {}
        }
        if !message.traceparent.is_empty()
            && (message.traceparent.len() != 55
                || !message.traceparent.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
        {
            return Err(EventError::Traceparent);
        }
        Ok(Self {
            id,
            kind,
            timestamp,
            version,
            payload: message.payload,
            key: message.key.into(),
            traceparent: message.traceparent.into(),
        })
    }
}

impl From<&Event> for v1::Event {
    fn from(event: &Event) -> Self {
        Self {
            event_id: event.id.to_string(),
            r#type: event.kind.to_string(),
            payload: event.payload.clone(),
            timestamp: Some(event.timestamp.into()),
            version: event.version.to_string(),
            key: event.key.to_string(),
            traceparent: event.traceparent.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_796_000_000_123_456);

    fn message() -> v1::Event {
        v1::Event { r#type: "order.accepted".into(), payload: "{}".into(), ..Default::default() }
    }

    #[test]
    fn a_place_can_stand_as_an_id() {
        let position = Position { epoch: Epoch::new("00ff-a_b"), offset: 5012 };
        let id = EventId::at(&position);
        assert_eq!(id.as_str().parse::<EventId>().unwrap().place(), Some(position));
        for other in ["at-", "at-x-1", "at-5", "0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11"] {
            assert_eq!(other.parse::<EventId>().unwrap().place(), None, "{other}");
        }
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let event = Event::parse(message(), NOW).unwrap();
        assert_eq!((event.timestamp, &*event.version), (NOW, "1.0"));
        assert_eq!(event.id.as_str().len(), 36);
    }

    #[test]
    fn timestamps_are_written_as_django_writes_them() {
        assert_eq!(
            Timestamp::from_micros(1_795_519_800_123_456).to_string(),
            "2026-11-24T11:30:00.123456+00:00"
        );
        assert_eq!("2026-11-24T12:30:00.123456+01:00".parse(), Ok(Timestamp(1_795_519_800_123_456)));
    }

    #[test]
    fn each_error_names_its_field() {
        let cases: [(v1::Event, &str); 7] = [
            (v1::Event { event_id: "a b".into(), ..message() }, "event_id"),
            (v1::Event { r#type: "Order".into(), ..message() }, "type"),
            (v1::Event { payload: "{".into(), ..message() }, "payload"),
            (v1::Event { payload: vec![b' '; PAYLOAD_BYTES_MAX + 1].into(), ..message() }, "payload"),
            (v1::Event { payload: vec![b'"', 0xff, b'"'].into(), ..message() }, "payload"),
            (v1::Event { key: "7".into(), ..message() }, "key"),
            (v1::Event { r#type: "rider_location".into(), ..message() }, "key"),
        ];
        for (message, field) in cases {
            let error = Event::parse(message, NOW).unwrap_err();
            assert_eq!(error.field(), field, "{error}");
            assert!(error.to_string().starts_with(field), "{error}");
        }
    }

    proptest! {
        #[test]
        fn an_event_survives_its_message(payload in "\\{\"a\": *[1-9][0-9]{0,8}\\}", micros in 0i64..4_000_000_000_000_000) {
            let at = Timestamp::from_micros(micros);
            let sent = v1::Event { payload: payload.into(), timestamp: Some(at.into()), ..message() };
            let event = Event::parse(sent, NOW).unwrap();
            prop_assert_eq!(Event::parse(v1::Event::from(&event), NOW), Ok(event));
        }

        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..200), id in "\\PC{0,70}") {
            let _ = Event::parse(v1::Event { payload: payload.into(), event_id: id, ..message() }, NOW);
        }
    }
}
