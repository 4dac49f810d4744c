//! Reads by Direct Get: no consumer, any replica answers.
//!
//! A read asks for the message at `after` as well: if that one comes, nothing between it and the rest is
//! missing. If it does not, the channel is complete only if it has fewer events than it may keep, so that none
//! left by number, and the stream still reaches back to `after`, so that none left by age.
//!
//! The head of a channel without events is the newest place of its stream: everything of the channel up to there
//! is known. A later read from there can tell whether something was missed, which one from 0 can't.

use async_nats::{Client, Message};
use futures_util::StreamExt;
use metrics::counter;
use platepal_events::{Channel, Entry, Epoch, EventId, Position, Timestamp};
use serde_json::{Value, json};

use super::{
    Shared,
    connect::{unanswered, unavailable},
    streams,
    subjects::{self, LATEST, LOG},
};
use crate::{BusError, PAGE_BYTES_MAX, PAGE_EVENTS_MAX, Page, body, clock, measure};

/// Newest values given for one channel.
const NEWEST_MAX: usize = 10_000;
/// Tries to see a head and the events before it at one moment.
const TRIES: usize = 3;

/// Messages of a batch, and how many follow.
struct Batch {
    messages: Vec<Message>,
    pending: u64,
}

/// The end of a channel's log.
struct End {
    offset: u64,
    /// An event of the channel is there.
    is_event: bool,
}

impl Shared {
    pub(super) async fn page(&self, channel: &Channel, after: u64, limit: usize) -> Result<Page, BusError> {
        let limit = limit.clamp(1, PAGE_EVENTS_MAX);
        for _ in 0..TRIES {
            // Nothing if an event was appended between the questions.
            if let Some(page) = self.page_once(channel, after, limit).await? {
                return Ok(page);
            }
        }
        Err(BusError::Unavailable(format!("{channel} changes faster than it can be read")))
    }

    async fn page_once(&self, channel: &Channel, after: u64, limit: usize) -> Result<Option<Page>, BusError> {
        let partition = self.partition(channel)?;
        let epoch = partition.sure_log_epoch(self).await?;
        let subject = subjects::of_channel(LOG, partition.number(), channel);
        let question = json!({
            "seq": after.max(1), "next_by_subj": subject, "batch": limit + 1, "max_bytes": PAGE_BYTES_MAX,
        });
        let Batch { mut messages, pending } = self.batch(partition.log_stream(), &question).await?;
        let retained = messages.len() as u64 + pending;
        let has_after = after > 0 && messages.first().and_then(sequence) == Some(after);
        let newest = if pending == 0 { messages.last().and_then(sequence) } else { None };
        let head = match newest {
            Some(offset) => offset,
            None => {
                let end = self.end(&self.commands, channel).await?;
                if retained == 0 && end.is_event && end.offset > after {
                    return Ok(None);
                }
                end.offset
            }
        };
        let mut complete = has_after
            || (retained < u64::from(self.settings.retention_events.max(1))
                && after <= head
                && self.reaches_back_to(channel, after).await?);
        if has_after {
            messages.remove(0);
        }
        messages.truncate(limit);
        let mut previous_offset = if has_after { after } else { 0 };
        let mut entries = Vec::with_capacity(messages.len());
        for message in &messages {
            match stored(channel, message, &epoch, previous_offset) {
                Some(entry) => {
                    previous_offset = entry.position.offset;
                    entries.push(entry);
                }
                None => complete = false,
            }
        }
        Ok(Some(Page { entries, head: Position { epoch, offset: head }, complete }))
    }

    pub(super) async fn head(&self, client: &Client, channel: &Channel) -> Result<Position, BusError> {
        let epoch = self.partition(channel)?.sure_log_epoch(self).await?;
        let offset = self.end(client, channel).await?.offset;
        Ok(Position { epoch, offset })
    }

    async fn end(&self, client: &Client, channel: &Channel) -> Result<End, BusError> {
        let partition = self.partition(channel)?;
        let stream = partition.log_stream();
        let subject = subjects::of_channel(LOG, partition.number(), channel);
        let newest = client
            .request(format!("$JS.API.DIRECT.GET.{stream}.{subject}"), Default::default())
            .await
            .map_err(unanswered)?;
        if let Some(offset) = sequence(&newest) {
            return Ok(End { offset, is_event: true });
        }
        // One moment of the leader: no event of the channel, and the newest place of the stream.
        let state = streams::state(client, stream, Some(&subject)).await?.state;
        if state.subjects.is_empty() {
            return Ok(End { offset: state.last_seq, is_event: false });
        }
        let question = json!({ "last_by_subj": subject }).to_string();
        let newest = client
            .request(format!("$JS.API.STREAM.MSG.GET.{stream}"), question.into())
            .await
            .map_err(unanswered)?;
        let newest: Value = serde_json::from_slice(&newest.payload).map_err(unavailable)?;
        let offset = newest.pointer("/message/seq").and_then(Value::as_u64);
        let offset =
            offset.ok_or_else(|| unavailable(format!("an odd answer for the newest of {subject}")))?;
        Ok(End { offset, is_event: true })
    }

    /// Whether nothing after this offset can have left by age.
    async fn reaches_back_to(&self, channel: &Channel, after: u64) -> Result<bool, BusError> {
        let partition = self.partition(channel)?;
        let state = streams::state(&self.commands, partition.log_stream(), None).await?.state;
        Ok(state.first_seq <= after.saturating_add(1))
    }

    pub(super) async fn find(&self, channel: &Channel, id: &EventId) -> Result<Option<u64>, BusError> {
        let mut after = 0;
        loop {
            let page = self.page(channel, after, PAGE_EVENTS_MAX).await?;
            if let Some(found) = page.entries.iter().find(|entry| entry.event.id == *id) {
                return Ok(Some(found.position.offset));
            }
            match page.entries.last() {
                Some(last) if last.position.offset < page.head.offset => after = last.position.offset,
                _ => return Ok(None),
            }
        }
    }

    pub(super) async fn newest(&self, channel: &Channel) -> Result<Vec<Entry>, BusError> {
        let partition = self.partition(channel)?;
        let epoch = partition.epochs().latest;
        let subject = format!("{}.>", subjects::of_channel(LATEST, partition.number(), channel));
        let mut values = Vec::new();
        let mut next = 1;
        while values.len() < NEWEST_MAX {
            let question = json!({
                "seq": next, "next_by_subj": subject, "batch": PAGE_EVENTS_MAX, "max_bytes": PAGE_BYTES_MAX,
            });
            let Batch { messages, pending } = self.batch(partition.latest_stream(), &question).await?;
            values.extend(messages.iter().filter_map(|message| stored(channel, message, &epoch, 0)));
            match messages.last().and_then(sequence) {
                Some(last) if pending > 0 => next = last + 1,
                _ => break,
            }
        }
        Ok(values)
    }

    async fn batch(&self, stream: &str, question: &Value) -> Result<Batch, BusError> {
        let inbox = self.commands.new_inbox();
        let mut replies = self.commands.subscribe(inbox.clone()).await.map_err(unavailable)?;
        self.commands
            .publish_with_reply(format!("$JS.API.DIRECT.GET.{stream}"), inbox, question.to_string().into())
            .await
            .map_err(unavailable)?;
        let mut messages = Vec::new();
        while let Some(message) = replies.next().await {
            match message.status.map(|status| status.as_u16()) {
                None => messages.push(message),
                Some(204) => {
                    let pending = number(&message, "Nats-Num-Pending").unwrap_or_default();
                    return Ok(Batch { messages, pending });
                }
                // Nothing there.
                Some(404) => return Ok(Batch { messages, pending: 0 }),
                Some(503) => {
                    return Err(BusError::Unavailable(format!(
                        "NATS has no stream {stream} to read from now"
                    )));
                }
                Some(other) => {
                    let description = message.description.unwrap_or_default();
                    return Err(unavailable(format!("a read was answered with {other} {description}")));
                }
            }
        }
        Err(unavailable("the connection was closed"))
    }
}

/// A stored message as an entry. `None`: it can't be read, which is said.
pub(super) fn stored(
    channel: &Channel,
    message: &Message,
    epoch: &Epoch,
    previous_offset: u64,
) -> Option<Entry> {
    let offset = sequence(message)?;
    let kept_at = header(message, "Nats-Time-Stamp")
        .and_then(|text| text.parse::<Timestamp>().ok())
        .unwrap_or_else(clock::now);
    let position = Position { epoch: epoch.clone(), offset };
    entry(channel, message, position, previous_offset, kept_at)
}

/// The event of a message. `None`: it can't be read, which is said.
pub(super) fn entry(
    channel: &Channel,
    message: &Message,
    position: Position,
    previous_offset: u64,
    kept_at: Timestamp,
) -> Option<Entry> {
    match body::decode(message.payload.clone(), kept_at) {
        Ok(event) => Some(Entry { channel: channel.clone(), event, position, previous_offset, kept_at }),
        Err(why) => {
            counter!(measure::UNREADABLE).increment(1);
            tracing::error!(%channel, offset = position.offset, why, "a stored event can't be read; it is passed over");
            None
        }
    }
}

pub(super) fn sequence(message: &Message) -> Option<u64> {
    number(message, "Nats-Sequence")
}

pub(super) fn number(message: &Message, name: &str) -> Option<u64> {
    header(message, name)?.parse().ok()
}

pub(super) fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    Some(message.headers.as_ref()?.get(name)?.as_str())
}
