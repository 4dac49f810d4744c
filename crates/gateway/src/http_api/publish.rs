//! `publish` and `broadcast`: data becomes an event, and the event goes the way of all events.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use platepal_events::{Channel, Class, EventId, EventType, Timestamp};
use platepal_proto::v1;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Answer, Api, Problem,
    answer::{done, parse, refuse},
};

/// The type of an event whose data names none.
const TYPE_DEFAULT: &str = "message";
/// Channels of one broadcast.
const BROADCAST_CHANNELS_MAX: usize = 1_000;
/// The longest `idempotency_key`, in bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
struct Publish {
    channel: String,
}

#[derive(Deserialize)]
struct Broadcast {
    channels: Vec<String>,
}

/// What is published; the fields that `publish` and `broadcast` share. `skip_history` and `delta` say how, not
/// what, and nobody misses anything when they are passed over.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    b64data: Option<String>,
    tags: Option<HashMap<String, String>>,
    idempotency_key: Option<String>,
    version: Option<u64>,
}

/// An event as PlatePal's clients know it; its `data` is the event's payload.
#[derive(Deserialize)]
struct Envelope<'a> {
    r#type: String,
    #[serde(borrow)]
    data: &'a RawValue,
    event_id: Option<String>,
    timestamp: Option<String>,
    version: Option<String>,
    key: Option<String>,
}

/// Where it was kept; nothing if it is of a type of which only the newest value counts.
#[derive(Debug, Serialize)]
pub(super) struct Published {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

#[derive(Serialize)]
struct Responses {
    responses: Vec<Response>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Response {
    Result(Published),
    Error(Problem),
}

impl Api {
    pub(super) async fn publish(&self, body: &[u8]) -> Answer {
        let Publish { channel } = parse(body)?;
        let (message, tags) = Message::read(body)?;
        done(&self.publish_to(&channel, &message, &tags).await?)
    }

    pub(super) async fn broadcast(&self, body: &[u8]) -> Answer {
        let Broadcast { channels } = parse(body)?;
        let (message, tags) = Message::read(body)?;
        if channels.is_empty() || channels.len() > BROADCAST_CHANNELS_MAX {
            let count = channels.len();
            let words = format!("{count} channels; it must be 1 to {BROADCAST_CHANNELS_MAX}");
            return Err(Problem::bad_request(words));
        }
        let (message, tags) = (&message, &tags);
        let responses = stream::iter(channels)
            .map(|channel| async move {
                match self.publish_to(&channel, message, tags).await {
                    Ok(published) => Response::Result(published),
                    Err(problem) => Response::Error(problem),
                }
            })
            .buffered(self.publisher.batch_concurrency)
            .collect()
            .await;
        done(&Responses { responses })
    }

    async fn publish_to(
        &self,
        channel: &str,
        message: &Message<'_>,
        tags: &Tags,
    ) -> Result<Published, Problem> {
        let channel = named(channel)?;
        let checked = self.publisher.check(Some(message.event(&channel, tags)?), &[channel.to_string()])?;
        let is_log = checked.event.kind.class() == Class::Log;
        let kept = self.publisher.publish(checked).await?.kept;
        let position = kept.into_iter().find(|kept| is_log && kept.channel == channel.as_str());
        let position = position.and_then(|kept| kept.position);
        Ok(Published {
            offset: position.as_ref().map(|position| position.offset),
            epoch: position.map(|position| position.epoch),
        })
    }
}

/// What tags say of an event.
#[derive(Debug, Default)]
struct Tags {
    r#type: Option<String>,
    key: Option<String>,
}

impl<'a> Message<'a> {
    fn read(body: &'a [u8]) -> Result<(Self, Tags), Problem> {
        let mut message: Self = parse(body)?;
        refuse(&[("version", message.version.is_some_and(|version| version > 0))])?;
        let mut tags = Tags::default();
        for (name, value) in message.tags.take().unwrap_or_default() {
            match name.as_str() {
                "type" => tags.r#type = Some(value),
                "key" => tags.key = Some(value),
                _ => {
                    let words = "not available: events carry no tags but type and key; put it into data";
                    return Err(Problem::new(108, words));
                }
            }
        }
        if message.idempotency_key.as_ref().is_some_and(|key| key.len() > IDEMPOTENCY_KEY_BYTES_MAX) {
            let words = format!("idempotency_key is longer than {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
            return Err(Problem::bad_request(words));
        }
        Ok((message, tags))
    }

    /// The event for one channel; its form is not checked yet.
    fn event(&self, channel: &Channel, tags: &Tags) -> Result<v1::Event, Problem> {
        let data = self.bytes()?;
        let mut event = match envelope(&data) {
            Some(envelope) => envelope.event()?,
            None => v1::Event { payload: data, ..v1::Event::default() },
        };
        if let Some(kind) = &tags.r#type {
            event.r#type.clone_from(kind);
        } else if event.r#type.is_empty() {
            TYPE_DEFAULT.clone_into(&mut event.r#type);
        }
        if let Some(key) = &tags.key {
            event.key.clone_from(key);
        }
        if let Some(key) = self.idempotency_key.as_deref().filter(|key| !key.is_empty()) {
            event.event_id = EventId::derived(&["http api", channel.as_str(), key]).to_string();
        }
        Ok(event)
    }

    fn bytes(&self) -> Result<Bytes, Problem> {
        match (self.data, self.b64data.as_deref().filter(|text| !text.is_empty())) {
            (_, Some(text)) => {
                let data = STANDARD.decode(text);
                let data = data.map_err(|why| Problem::bad_request(format!("b64data: {why}")))?;
                serde_json::from_slice::<serde::de::IgnoredAny>(&data).map_err(|_| {
                    Problem::bad_request("b64data: holds no JSON, and events carry nothing else")
                })?;
                Ok(data.into())
            }
            (Some(data), None) => Ok(Bytes::copy_from_slice(data.get().as_bytes())),
            (None, None) => Err(Problem::bad_request("data must be set")),
        }
    }
}

/// Data that is an event already; JSON that only resembles one is passed on as it is.
fn envelope(data: &[u8]) -> Option<Envelope<'_>> {
    let envelope: Envelope<'_> = serde_json::from_slice(data).ok()?;
    envelope.r#type.parse::<EventType>().is_ok().then_some(envelope)
}

impl Envelope<'_> {
    fn event(self) -> Result<v1::Event, Problem> {
        let timestamp = self.timestamp.map(|text| text.parse::<Timestamp>()).transpose();
        Ok(v1::Event {
            event_id: self.event_id.unwrap_or_default(),
            r#type: self.r#type,
            payload: Bytes::copy_from_slice(self.data.get().as_bytes()),
            timestamp: timestamp.map_err(Problem::bad_request)?.map(Into::into),
            version: self.version.unwrap_or_default(),
            key: self.key.unwrap_or_default(),
            traceparent: String::new(),
        })
    }
}

/// A channel by its name.
pub(super) fn named(name: &str) -> Result<Channel, Problem> {
    name.parse().map_err(|why| Problem::new(102, format!("unknown channel: {why}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event(body: &str) -> Result<v1::Event, Problem> {
        let (message, tags) = Message::read(body.as_bytes())?;
        message.event(&"customer:7".parse().unwrap(), &tags)
    }

    #[test]
    fn any_json_is_an_event_and_an_event_stays_one() {
        let plain = event(r#"{"data":{"a":  1}}"#).unwrap();
        assert_eq!((plain.r#type.as_str(), &plain.payload[..]), ("message", &br#"{"a":  1}"#[..]));
        let tagged = event(r#"{"data":[1],"tags":{"type":"rider_location","key":"31"}}"#).unwrap();
        assert_eq!((tagged.r#type.as_str(), tagged.key.as_str()), ("rider_location", "31"));
        let ours = event(
            r#"{"data":{"type":"order_accepted","data":{"id":1},"event_id":"e-1","timestamp":"2026-11-24T11:30:00+00:00","version":"2.0"}}"#,
        )
        .unwrap();
        assert_eq!((ours.r#type.as_str(), ours.event_id.as_str()), ("order_accepted", "e-1"));
        assert_eq!((&ours.payload[..], ours.version.as_str()), (&br#"{"id":1}"#[..], "2.0"));
        let resembling = event(r#"{"data":{"type":"Of My Own","data":1}}"#).unwrap();
        assert_eq!(resembling.r#type, "message");
        let encoded = event(r#"{"b64data":"eyJhIjoxfQ=="}"#).unwrap();
        assert_eq!(&encoded.payload[..], br#"{"a":1}"#);
    }

    #[test]
    fn an_idempotency_key_names_the_event_for_its_channel() {
        let body = r#"{"data":{},"idempotency_key":"k"}"#.as_bytes();
        let (message, tags) = Message::read(body).unwrap();
        let id = |channel: &str| message.event(&channel.parse().unwrap(), &tags).unwrap().event_id;
        assert_eq!(id("customer:7"), id("customer:7"));
        assert_ne!(id("customer:7"), id("customer:8"));
    }

    #[test]
    fn what_can_not_be_done_is_refused() {
        for (body, code) in [
            ("{}", 107),
            (r#"{"b64data":"?"}"#, 107),
            (r#"{"b64data":"/w=="}"#, 107),
            (r#"{"data":1,"version":3}"#, 108),
            (r#"{"data":1,"tags":{"colour":"red"}}"#, 108),
            (r#"{"data":{"type":"order.ready","data":1,"timestamp":"yesterday"}}"#, 107),
        ] {
            assert_eq!(event(body).unwrap_err().code, code, "{body}");
        }
    }
}
