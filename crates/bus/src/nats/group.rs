//! Groups of workers: one durable pull consumer per partition, shared by all workers of a name.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, pull},
    },
};
use async_trait::async_trait;
use futures_util::{StreamExt, stream::SelectAll};
use metrics::counter;
use platepal_events::{ChannelKind, Position, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    connect::{unanswered, unavailable},
    direct,
    epochs::Partition,
    subjects::{self, LOG},
};
use crate::{BusError, Unacknowledged, consumer, measure};

/// Events that one worker fetches ahead; few, so that a group shares evenly.
const AHEAD_EVENTS: usize = 16;
/// How long a request for events stays open at the server.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it is there while there is nothing.
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);

pub(super) struct Worker {
    shared: Arc<Shared>,
    name: String,
    kinds: Vec<ChannelKind>,
    /// `None` after an error: it is made again by the next call.
    messages: Option<SelectAll<pull::Stream>>,
    end: CancellationToken,
}

impl Worker {
    pub async fn new(shared: &Arc<Shared>, group: &str, kinds: &[ChannelKind]) -> Result<Self, BusError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if group.is_empty() || !group.bytes().all(is_name) {
            return Err(BusError::Refused(format!(
                "{group:?} is not a group: its name is of A-Z a-z 0-9 _ -"
            )));
        }
        let mut worker = Self {
            shared: Arc::clone(shared),
            name: group.to_owned(),
            kinds: kinds.to_vec(),
            messages: None,
            end: shared.end.clone(),
        };
        worker.messages = Some(worker.open().await?);
        Ok(worker)
    }

    async fn open(&self) -> Result<SelectAll<pull::Stream>, BusError> {
        let settings = &self.shared.settings;
        let mut all = SelectAll::new();
        for partition in &self.shared.partitions {
            let of_kind = |kind: &ChannelKind| subjects::of_kind(LOG, partition.number(), *kind);
            let config = pull::Config {
                durable_name: Some(self.name.clone()),
                filter_subjects: self.kinds.iter().map(of_kind).collect(),
                deliver_policy: DeliverPolicy::New,
                ack_policy: AckPolicy::Explicit,
                ack_wait: settings.ack_wait,
                max_ack_pending: i64::try_from(settings.unacknowledged.max(1)).unwrap_or(i64::MAX),
                ..pull::Config::default()
            };
            let consumer = self
                .shared
                .context
                .create_consumer_on_stream(config, partition.log_stream())
                .await
                .map_err(unavailable)?;
            let messages = consumer
                .stream()
                .max_messages_per_batch(AHEAD_EVENTS)
                .expires(PULL_EXPIRES)
                .heartbeat(PULL_HEARTBEAT)
                .messages()
                .await
                .map_err(unavailable)?;
            all.push(messages);
        }
        Ok(all)
    }

    fn event(&self, message: &jetstream::Message) -> Option<Unacknowledged> {
        let channel = subjects::channel_of(&message.subject)?;
        let info = message.info().ok()?;
        if info.delivered > 1 {
            counter!(measure::REDELIVERED).increment(1);
        }
        let micros = info.published.unix_timestamp_nanos() / 1_000;
        let kept_at = Timestamp::from_micros(i64::try_from(micros).unwrap_or_default());
        let partition = self.shared.partition(&channel).ok()?;
        let position = Position { epoch: Partition::log_epoch(partition), offset: info.stream_sequence };
        let entry = direct::entry(&channel, &message.message, position, 0, kept_at)?;
        Some(Unacknowledged::new(entry, receipt(self, message)?))
    }
}

#[async_trait]
impl consumer::Worker for Worker {
    async fn next(&mut self) -> Result<Unacknowledged, BusError> {
        loop {
            if self.messages.is_none() {
                self.messages = Some(self.open().await?);
            }
            let Some(messages) = &mut self.messages else { continue };
            let message = tokio::select! {
                () = self.end.cancelled() => {
                    return Err(BusError::Unavailable("it was shut down".into()));
                }
                message = messages.next() => message,
            };
            match message {
                Some(Ok(message)) => match self.event(&message) {
                    Some(event) => return Ok(event),
                    // It would come again for ever; it was said that it can't be read.
                    None => {
                        if let Some(receipt) = receipt(self, &message) {
                            consumer::Receipt::acknowledge(Box::new(receipt)).await?;
                        }
                    }
                },
                Some(Err(why)) => {
                    self.messages = None;
                    return Err(unavailable(why));
                }
                None => self.messages = None,
            }
        }
    }
}

struct Receipt {
    client: Client,
    subject: async_nats::Subject,
}

fn receipt(worker: &Worker, message: &jetstream::Message) -> Option<Receipt> {
    Some(Receipt { client: worker.shared.commands.clone(), subject: message.reply.clone()? })
}

#[async_trait]
impl consumer::Receipt for Receipt {
    async fn acknowledge(self: Box<Self>) -> Result<(), BusError> {
        // A request, so that it is known to have arrived.
        self.client.request(self.subject, "+ACK".into()).await.map_err(unanswered)?;
        Ok(())
    }
}
