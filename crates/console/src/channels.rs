//! What is looked into: channels, their recent events, one event's way.

use std::collections::VecDeque;

use platepal_bus::BusError;
use platepal_events::{Channel, Entry, Event, EventId, Timestamp};
use platepal_proto::v1;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Console, sampler::moment};

/// Events of a channel that are shown.
const RECENT: usize = 100;
/// Events read from the log at once.
const PAGE: usize = 1_000;
/// Channels that are looked through for an event of which only the id is known: those that are read most.
const SEARCHED: u32 = 200;

#[derive(Serialize)]
pub(crate) struct Channels {
    channels: Vec<Read>,
    silent_edges: Vec<String>,
}

#[derive(Serialize)]
struct Read {
    name: String,
    readers: u32,
}

#[derive(Serialize)]
pub(crate) struct Recent {
    name: String,
    epoch: String,
    head: u64,
    readers: u32,
    users: u32,
    /// The newest first.
    events: Vec<Shown>,
    /// The newest of each key.
    values: Vec<Shown>,
}

/// An event as it is kept.
#[derive(Serialize)]
struct Shown {
    id: String,
    r#type: String,
    offset: u64,
    key: String,
    published_at: String,
    kept_at: String,
    data: Box<RawValue>,
}

/// An event's way from its publisher to the sockets.
#[derive(Serialize)]
pub(crate) struct Way {
    channel: String,
    event: Shown,
    /// W3C, empty: nobody gave one.
    traceparent: String,
    edges: Vec<Here>,
    silent_edges: Vec<String>,
}

#[derive(Serialize)]
struct Here {
    edge: String,
    heard_at: String,
    readers: u32,
    written: u32,
    last_written_at: String,
}

impl Shown {
    fn of(entry: &Entry) -> Self {
        let Event { id, kind, timestamp, payload, key, .. } = &*entry.event;
        let data = serde_json::from_slice::<&RawValue>(payload).map(ToOwned::to_owned);
        Self {
            id: id.to_string(),
            r#type: kind.to_string(),
            offset: entry.position.offset,
            key: key.to_string(),
            published_at: timestamp.to_string(),
            kept_at: entry.kept_at.to_string(),
            data: data.unwrap_or_else(|_| RawValue::NULL.to_owned()),
        }
    }
}

impl Console {
    /// What is read now, the most read first.
    pub(crate) async fn channels(&self, pattern: &str, limit: u32) -> Channels {
        let request = v1::ChannelsRequest { pattern: pattern.to_owned(), limit };
        let v1::ChannelsResponse { clients, silent_edges } = self.parts.edges.channels(request).await;
        let mut channels: Vec<Read> =
            clients.into_iter().map(|(name, readers)| Read { name, readers }).collect();
        channels.sort_by(|a, b| b.readers.cmp(&a.readers).then_with(|| a.name.cmp(&b.name)));
        Channels { channels, silent_edges }
    }

    /// A channel's newest events and values.
    pub(crate) async fn recent(&self, channel: &Channel) -> Result<Recent, BusError> {
        let mut events: VecDeque<Entry> = VecDeque::new();
        let mut after = 0;
        let head = loop {
            let page = self.parts.bus.read(channel, after, PAGE).await?;
            let last = page.entries.last().map(|entry| entry.position.offset);
            events.extend(page.entries);
            while events.len() > RECENT {
                events.pop_front();
            }
            match last {
                Some(offset) if offset < page.head.offset => after = offset,
                _ => break page.head,
            }
        };
        let values = self.parts.bus.latest(channel).await?;
        let request = v1::ConnectedRequest {
            channel: channel.to_string(),
            counts_only: true,
            ..v1::ConnectedRequest::default()
        };
        let connected = self.parts.edges.connected(request).await;
        Ok(Recent {
            name: channel.to_string(),
            epoch: head.epoch.as_str().to_owned(),
            head: head.offset,
            readers: connected.clients,
            users: connected.users,
            events: events.iter().rev().map(Shown::of).collect(),
            values: values.iter().rev().take(RECENT).map(Shown::of).collect(),
        })
    }

    /// An event's way; without a channel it is looked for in those that are read most. `None`: it is not kept there.
    pub(crate) async fn way(&self, id: &EventId, channel: Option<Channel>) -> Result<Option<Way>, BusError> {
        let searched = match channel {
            Some(channel) => vec![channel],
            None => {
                let read = self.channels("", SEARCHED).await.channels;
                read.into_iter().filter_map(|own| own.name.parse().ok()).collect()
            }
        };
        for channel in searched {
            if let Some(entry) = self.find(&channel, id).await? {
                let request = v1::JourneyRequest { channel: channel.to_string(), event_id: id.to_string() };
                let (journeys, silent_edges) = self.parts.edges.journeys(request).await;
                let here = journeys.into_iter().map(|own| Here {
                    edge: own.edge,
                    heard_at: moment(own.heard_at),
                    readers: own.readers,
                    written: own.written,
                    last_written_at: moment(own.last_written_at),
                });
                return Ok(Some(Way {
                    channel: channel.to_string(),
                    event: Shown::of(&entry),
                    traceparent: entry.event.traceparent.to_string(),
                    edges: here.collect(),
                    silent_edges,
                }));
            }
        }
        Ok(None)
    }

    async fn find(&self, channel: &Channel, id: &EventId) -> Result<Option<Entry>, BusError> {
        let Some(offset) = self.parts.bus.find(channel, id).await? else { return Ok(None) };
        let page = self.parts.bus.read(channel, offset.saturating_sub(1), 1).await?;
        Ok(page.entries.into_iter().find(|entry| entry.event.id == *id))
    }

    /// What Django's relays say of their outboxes, the newest of each.
    pub(crate) async fn outboxes(&self) -> Result<Vec<Box<RawValue>>, BusError> {
        let told = self.parts.bus.latest(&Channel::sessions()).await?;
        let reports = told.iter().filter(|entry| entry.event.kind.as_str() == "outbox.reported");
        Ok(reports.filter_map(|entry| serde_json::from_slice(&entry.event.payload).ok()).collect())
    }
}

/// Now, as the page compares it with what it is shown.
pub(crate) fn now(console: &Console) -> Timestamp {
    console.parts.clock.now()
}
