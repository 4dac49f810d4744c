//! The channels that somebody on this edge reads.
//!
//! The first reader of a channel makes its [`Feed`], and the bus subscription with it; the last one that left
//! lets it go after a linger, so that a client that changes cells finds it warm.
//!
//! Lock order: the map of channels, then a feed's state.

mod feed;
mod ring;

use std::{collections::HashMap, sync::Arc, time::Duration};

use metrics::{counter, gauge};
use parking_lot::Mutex;
use platepal_bus::{Bus, BusError, Delivery};
use platepal_events::{Channel, EventId, Position, Spelling};
use platepal_service::Shutdown;
use tokio::time::Instant;

pub(crate) use self::feed::{FromZero, LogPage, Page, Reader, unavailable};
use self::{
    feed::{Feed, Phase},
    ring::RingBound,
};
use crate::{
    Settings,
    close::{Close, Code},
    codec::{Encoded, Wire},
    journey::Journey,
    queue::Outgoing,
    sessions::ClientId,
};

/// Channels and their readers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hub(Arc<Inner>);

struct Inner {
    bus: Arc<dyn Bus>,
    shutdown: Shutdown,
    channels: Mutex<HashMap<Channel, Arc<Feed>>>,
    spelling: Spelling,
    ring: RingBound,
    latest_keys: usize,
    linger: Duration,
}

/// A place among a channel's readers; dropping it leaves.
pub(crate) struct Membership {
    hub: Hub,
    feed: Arc<Feed>,
    reader: Option<u64>,
    wire: Wire,
}

/// What a new reader is given.
pub(crate) struct Joined {
    pub membership: Membership,
    /// The channel's head when the reader was attached.
    pub head: Position,
}

impl Hub {
    pub fn new(settings: &Settings, bus: Arc<dyn Bus>, shutdown: Shutdown) -> Self {
        Self(Arc::new(Inner {
            bus,
            shutdown,
            channels: Mutex::default(),
            spelling: settings.spelling(),
            ring: RingBound { events: settings.ring_events, bytes: settings.ring_bytes.0 },
            latest_keys: settings.latest_keys,
            linger: settings.linger,
        }))
    }

    /// Becomes a reader of a channel. Nothing comes before [`Membership::start`], and it is behind until
    /// [`Membership::page`] says that it is live.
    pub async fn join(&self, channel: &Channel, reader: Reader) -> Result<Joined, Close> {
        let feed = self.enter(channel);
        let mut phase = feed.phase.subscribe();
        let mut membership = Membership { hub: self.clone(), feed, reader: None, wire: reader.wire };
        // The sender lives in the feed, so waiting can't fail.
        let settled = phase.wait_for(|phase| *phase != Phase::Starting).await;
        match settled.as_deref() {
            Ok(Phase::Live) => {}
            Ok(Phase::Failed(why)) => {
                tracing::debug!(%channel, why, "can't join");
                return Err(Code::TryAgain.because("the feed is not available now; try again later"));
            }
            _ => return Err(Code::TryAgain.into()),
        }
        drop(settled);
        let (reader, head) = membership.feed.attach(reader).ok_or(Code::TryAgain)?;
        membership.reader = Some(reader);
        Ok(Joined { membership, head })
    }

    /// What became of an event of a channel that is read here.
    pub fn journey(&self, channel: &Channel, id: &EventId) -> Option<Arc<Journey>> {
        let feed = self.0.channels.lock().get(channel).cloned();
        feed.and_then(|feed| feed.journey(id))
    }

    /// The connections that read a channel.
    pub fn clients(&self, channel: &Channel) -> Vec<ClientId> {
        let feed = self.0.channels.lock().get(channel).cloned();
        feed.map(|feed| feed.clients()).unwrap_or_default()
    }

    /// The channels that are read, and by how many connections.
    pub fn channels(&self) -> Vec<(Channel, usize)> {
        let feeds: Vec<Arc<Feed>> = self.0.channels.lock().values().cloned().collect();
        let counted = feeds.into_iter().map(|feed| (feed.channel.clone(), feed.clients_count()));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    fn enter(&self, channel: &Channel) -> Arc<Feed> {
        let mut channels = self.0.channels.lock();
        if let Some(feed) = channels.get(channel) {
            feed.enter();
            return Arc::clone(feed);
        }
        let feed = Arc::new(Feed::new(channel.clone(), self.0.spelling, self.0.latest_keys));
        feed.enter();
        channels.insert(channel.clone(), Arc::clone(&feed));
        drop(channels);
        self.0.shutdown.spawn(Box::pin(self.clone().run(Arc::clone(&feed))));
        feed
    }

    /// One channel's life.
    async fn run(self, feed: Arc<Feed>) {
        let started = async {
            // Attach first: a value that comes while the newest are read is delivered too.
            let subscription = self.0.bus.subscribe(&feed.channel).await?;
            let latest = self.0.bus.latest(&feed.channel).await?;
            Ok::<_, BusError>((subscription, latest))
        };
        let mut subscription = match started.await {
            Ok((subscription, latest)) => {
                feed.open(subscription.position().clone(), self.0.ring, latest);
                subscription
            }
            Err(why) => {
                tracing::warn!(channel = %feed.channel, %why, "can't subscribe");
                self.0.channels.lock().remove(&feed.channel);
                feed.phase.send_replace(Phase::Failed(why.to_string()));
                return;
            }
        };
        gauge!("realtime_edge_subscriptions").increment(1);
        let told = self.0.shutdown.told();
        tokio::pin!(told);
        let (mut draining, mut let_go_at) = (false, None);
        if feed.is_empty() {
            let_go_at = Some(Instant::now() + self.0.linger);
        }
        loop {
            tokio::select! {
                delivery = subscription.next() => match delivery {
                    Some(Delivery::Entry(entry)) => feed.deliver(entry),
                    Some(Delivery::Passing(event)) => feed.pass(&event),
                    Some(Delivery::Reset { position, reason }) => {
                        tracing::info!(channel = %feed.channel, reason, "the feed starts afresh");
                        feed.reset(position);
                    }
                    None => {
                        self.0.channels.lock().remove(&feed.channel);
                        feed.close_all(&Code::Restart.into());
                        break;
                    }
                },
                () = feed.idle.notified() => {
                    let linger = if draining { Duration::ZERO } else { self.0.linger };
                    let_go_at = Some(Instant::now() + linger);
                }
                () = until(let_go_at), if let_go_at.is_some() => {
                    if self.let_go(&feed) {
                        break;
                    }
                    let_go_at = None;
                }
                () = &mut told, if !draining => {
                    draining = true;
                    let_go_at = Some(Instant::now());
                }
            }
        }
        gauge!("realtime_edge_subscriptions").decrement(1);
    }

    fn let_go(&self, feed: &Arc<Feed>) -> bool {
        let mut channels = self.0.channels.lock();
        let is_empty = feed.is_empty();
        if is_empty {
            channels.remove(&feed.channel);
        }
        is_empty
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Membership {
    /// The offset after which a client goes on that saw this event last; `None` when it is not retained.
    pub async fn find(&self, id: &EventId) -> Result<Option<u64>, Close> {
        let found = self.feed.find(&*self.hub.0.bus, id).await.map_err(|why| unavailable(&why))?;
        let source = found.map_or("window", |(_, source)| source);
        counter!("realtime_edge_replays_total", "source" => source).increment(1);
        Ok(found.map(|(offset, _)| offset))
    }

    /// The reader was given a state with the channel's values up to here.
    pub fn has_values(&self, upto: Position) {
        if let Some(reader) = self.reader {
            self.feed.has_values(reader, upto);
        }
    }

    /// From now on pages may be taken. Gives the newest values of now, for a reader that has the log up to an
    /// offset.
    pub fn start(&self, offset: u64) -> Vec<Outgoing> {
        self.reader.map_or_else(Vec::new, |reader| self.feed.start(reader, offset))
    }

    /// What comes after an offset, at most `limit` events; with none left the reader is live.
    pub fn page(&self, after: u64, limit: usize) -> Page {
        self.reader.map_or(Page::InLog, |reader| self.feed.page(reader, after, limit))
    }

    /// As [`Membership::page`], and changes nothing.
    pub fn peek(&self, after: u64, limit: usize) -> Page {
        self.feed.peek(after, limit)
    }

    /// As [`Membership::page`], from the log, where the ring does not reach back.
    pub fn read_log(
        &self,
        after: u64,
        limit: usize,
        from_zero: FromZero,
    ) -> impl Future<Output = Result<LogPage, BusError>> + Send + use<> {
        let (bus, feed) = (Arc::clone(&self.hub.0.bus), Arc::clone(&self.feed));
        async move { feed.read_log(&*bus, after, limit, from_zero).await }
    }

    /// Events as they are sent to this reader.
    pub fn frames<'a>(&'a self, entries: &'a [Arc<Encoded>]) -> impl Iterator<Item = Outgoing> + 'a {
        entries.iter().map(|encoded| self.feed.outgoing(encoded, self.wire, false))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.feed.leave(self.reader);
    }
}
