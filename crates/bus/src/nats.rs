//! The NATS JetStream engine: streams that many processes share.
//!
//! Each partition has two streams (`streams`): the log, and the newest values. Both republish what they store,
//! so that live events come through plain subscriptions (`live`), and what was missed is read with Direct Get
//! (`direct`), without a consumer per reader. There are two connections: one for appends and reads, one for
//! live events, so that neither waits behind the other.
//!
//! Invariant: what JetStream did not acknowledge was not kept as far as a caller is told, and no read calls
//! itself complete unless it can tell.

mod append;
mod connect;
mod direct;
mod epochs;
mod group;
mod live;
mod pass;
mod streams;
mod subjects;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use async_nats::{Client, jetstream};
use async_trait::async_trait;
use metrics::{counter, gauge, histogram};
use platepal_events::{Channel, ChannelKind, Entry, Event, EventId, Position};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

#[cfg(feature = "fuzzing")]
pub(crate) use self::subjects::channel_of;
use self::{epochs::Partition, subjects::partition_of};
use crate::{
    Appended, Bus, BusError, Consumer, Page, Settings, Subscription, body, measure, passing, subscription,
};

/// Reads of the log at the same time; others wait, up to the request timeout.
const READS_MAX: usize = 64;

/// The NATS engine. Dropping the last handle closes it.
pub struct Nats {
    shared: Arc<Shared>,
    _ends: DropGuard,
}

/// What appends, reads and subscriptions use together.
struct Shared {
    /// For appends and reads.
    commands: Client,
    context: jetstream::Context,
    /// For live events.
    live: Client,
    partitions: Vec<Arc<Partition>>,
    signs: Arc<Signs>,
    reads: Semaphore,
    settings: Settings,
    end: CancellationToken,
}

/// What the connection of live events says of itself.
#[derive(Debug)]
struct Signs {
    /// Counts the times when a subscription's queue was full.
    slow: AtomicU64,
    /// The connection was made again, or a stream looks like another one.
    look: Notify,
    /// Changes when every subscription should heal.
    doubt: watch::Sender<u64>,
}

/// The names of a partition's two streams: the log, and the newest values.
pub fn stream_names(partition: u16) -> [String; 2] {
    [streams::log_name(partition), streams::latest_name(partition)]
}

impl Nats {
    /// Connects, and makes the streams if they are not there. Waits for a while for a server that is not there
    /// yet; later interruptions are bridged for ever.
    pub async fn connect(settings: &Settings) -> Result<Arc<Self>, BusError> {
        measure::describe();
        let signs =
            Arc::new(Signs { slow: AtomicU64::new(0), look: Notify::new(), doubt: watch::channel(0).0 });
        let (commands, live) = connect::both(settings, &signs).await?;
        let context = jetstream::ContextBuilder::new()
            .timeout(settings.request_timeout)
            // Beyond it an append waits for the acknowledgement of another one.
            .max_ack_inflight(settings.append_queue.max(1))
            .ack_timeout(settings.request_timeout)
            .build(commands.clone());
        let mut partitions = Vec::new();
        for number in 0..settings.partitions.max(1) {
            partitions.push(Arc::new(streams::open(&context, number, settings).await?));
        }
        let end = CancellationToken::new();
        let shared = Arc::new(Shared {
            commands,
            context,
            live,
            partitions,
            signs,
            reads: Semaphore::new(READS_MAX),
            settings: settings.clone(),
            end: end.clone(),
        });
        tokio::spawn(epochs::watch(Arc::downgrade(&shared), end.clone()));
        Ok(Arc::new(Self { shared, _ends: end.drop_guard() }))
    }
}

impl Shared {
    fn partition(&self, channel: &Channel) -> Result<&Arc<Partition>, BusError> {
        let number = partition_of(channel, self.partitions.len());
        // The hash gives nothing else; there is at least one partition.
        self.partitions
            .get(number)
            .ok_or_else(|| BusError::Refused(format!("there is no partition {number}")))
    }

    /// Gives a read its turn and its time.
    async fn read<T>(&self, work: impl Future<Output = Result<T, BusError>>) -> Result<T, BusError> {
        let limit = self.settings.request_timeout;
        let result = timeout(limit, async {
            let _turn = self.reads.acquire().await;
            work.await
        })
        .await
        .unwrap_or_else(|_| Err(connect::too_slow(limit)));
        if result.is_err() {
            counter!(measure::ERRORS).increment(1);
        }
        result
    }
}

#[async_trait]
impl Bus for Nats {
    async fn append(&self, channels: &[Channel], event: &Event) -> Result<Vec<Appended>, BusError> {
        let began = Instant::now();
        let waiting = gauge!(measure::APPEND_QUEUE);
        waiting.increment(1);
        let limit = self.shared.settings.request_timeout;
        let span = tracing::debug_span!("bus.append", engine = "nats", channels = channels.len());
        let append = self.shared.append(channels, event, body::encode(event).into()).instrument(span);
        let appended = timeout(limit, append).await.unwrap_or_else(|_| Err(connect::too_slow(limit)));
        waiting.decrement(1);
        histogram!(measure::APPEND_SECONDS).record(began.elapsed());
        match &appended {
            Ok(appended) => {
                let repeats = appended.iter().filter(|appended| appended.duplicate).count();
                let (all, repeats) = (appended.len() as u64, repeats as u64);
                counter!(measure::APPENDED).increment(all - repeats);
                if repeats > 0 {
                    counter!(measure::DUPLICATES).increment(repeats);
                }
            }
            Err(why) => {
                counter!(measure::ERRORS).increment(1);
                tracing::debug!(%why, "an append failed");
            }
        }
        appended
    }

    async fn pass(&self, channel: &Channel, event: &Event) -> Result<(), BusError> {
        let limit = self.shared.settings.request_timeout;
        let passed = timeout(limit, self.shared.pass(channel, event))
            .await
            .unwrap_or_else(|_| Err(connect::too_slow(limit)));
        passing::count(&passed);
        passed
    }

    async fn read(&self, channel: &Channel, after: u64, limit: usize) -> Result<Page, BusError> {
        self.shared.read(self.shared.page(channel, after, limit)).await
    }

    async fn head(&self, channel: &Channel) -> Result<Position, BusError> {
        self.shared.read(self.shared.head(&self.shared.commands, channel)).await
    }

    async fn find(&self, channel: &Channel, id: &EventId) -> Result<Option<u64>, BusError> {
        self.shared.read(self.shared.find(channel, id)).await
    }

    async fn latest(&self, channel: &Channel) -> Result<Vec<Entry>, BusError> {
        self.shared.read(self.shared.newest(channel)).await
    }

    async fn subscribe(&self, channel: &Channel) -> Result<Subscription, BusError> {
        let shared = &self.shared;
        shared.read(shared.subscribe(channel)).await
    }

    async fn consume(&self, group: &str, kinds: &[ChannelKind]) -> Result<Consumer, BusError> {
        group::Worker::new(&self.shared, group, kinds).await.map(Consumer::new)
    }

    async fn check(&self) -> Result<(), BusError> {
        for partition in &self.shared.partitions {
            streams::state(&self.shared.commands, partition.log_stream(), None).await?;
        }
        Ok(())
    }
}

/// What subscriptions heal from.
#[async_trait]
impl subscription::Log for Shared {
    async fn read(&self, channel: &Channel, after: u64, limit: usize) -> Result<Page, BusError> {
        Shared::read(self, self.page(channel, after, limit)).await
    }

    async fn latest(&self, channel: &Channel) -> Result<Vec<Entry>, BusError> {
        Shared::read(self, self.newest(channel)).await
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("partitions", &self.shared.partitions).finish_non_exhaustive()
    }
}
