//! Appends: one publish per channel, all under way together, answered when JetStream has them.

use async_nats::{
    HeaderMap,
    jetstream::{
        context::{PublishAckFuture, PublishErrorKind},
        message::PublishMessage,
    },
};
use bytes::Bytes;
use platepal_events::{Channel, Class, Epoch, Event, Position};

use super::{
    Shared,
    connect::unavailable,
    subjects::{self, LATEST, LOG},
};
use crate::{Appended, BusError};

/// JetStream drops a message with an id that it has had within the duplicate window.
const ID: &str = "Nats-Msg-Id";

impl Shared {
    pub(super) async fn append(
        &self,
        channels: &[Channel],
        event: &Event,
        body: Bytes,
    ) -> Result<Vec<Appended>, BusError> {
        let mut sent = Vec::with_capacity(channels.len());
        for channel in channels {
            sent.push(self.send(channel, event, body.clone()).await?);
        }
        let mut appended = Vec::with_capacity(channels.len());
        for (acknowledged, epoch) in sent {
            let ack = acknowledged.await.map_err(not_kept)?;
            let position = Position { epoch, offset: ack.sequence };
            appended.push(Appended { position, duplicate: ack.duplicate });
        }
        Ok(appended)
    }

    async fn send(
        &self,
        channel: &Channel,
        event: &Event,
        body: Bytes,
    ) -> Result<(PublishAckFuture, Epoch), BusError> {
        let partition = self.partition(channel)?;
        let epochs = partition.epochs();
        let (subject, epoch) = match event.kind.class() {
            Class::Log => (subjects::of_channel(LOG, partition.number(), channel), epochs.log),
            Class::Latest => {
                let place = subjects::of_channel(LATEST, partition.number(), channel);
                (format!("{place}.{}", event.key), epochs.latest)
            }
        };
        let mut headers = HeaderMap::new();
        // Ids are known per stream, and an event's id per channel.
        headers.insert(ID, format!("{channel}|{}", event.id));
        let message = PublishMessage::build().headers(headers).payload(body);
        let acknowledged = self.context.send_publish(subject, message).await.map_err(not_kept)?;
        Ok((acknowledged, epoch))
    }
}

fn not_kept(why: async_nats::jetstream::context::PublishError) -> BusError {
    match why.kind() {
        PublishErrorKind::StreamNotFound => {
            BusError::Unavailable("NATS has no stream for events (JetStream may be starting)".into())
        }
        PublishErrorKind::MaxPayloadExceeded => BusError::Refused(format!(
            "the event is larger than NATS takes ({why}); raise max_payload of the NATS server to 1 MB"
        )),
        _ => unavailable(why),
    }
}
