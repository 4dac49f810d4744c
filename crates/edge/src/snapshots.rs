//! The states of channels that newcomers are given: asked of the owner once for all who come at about the same time, and
//! encoded once.
//!
//! A state that is a moment old is as good as a new one. It names the places up to which the channel's events and values
//! are in it, and what came after those is given after it.
//!
//! Invariant: whoever is given a state is a reader of the channel already, so nothing falls between the two. That a
//! channel has no state yet is never remembered: it names no place.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use metrics::counter;
use moka::future::Cache;
use platepal_events::{Channel, Event, EventId, Position, Spelling};
use platepal_proto::v1;
use platepal_service::Clock;

use crate::{
    Settings,
    close::{Close, Code},
    codec::{self, Frames, Wire},
    owners::Owners,
};

/// What a state needs in memory besides its event, about, in bytes.
const STATE_BYTES: usize = 1024;

/// Asks and remembers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Snapshots {
    owners: Owners,
    clock: Clock,
    cache: Cache<Channel, Arc<State>>,
    spelling: Spelling,
}

/// A channel's state, for one reader.
#[derive(Debug)]
pub(crate) struct Given {
    state: Arc<State>,
    /// After this the channel's events go on.
    pub from: Position,
}

/// A channel's state.
#[derive(Debug)]
struct State {
    event: Event,
    /// The channel's events up to here are in it.
    position: Position,
    /// The channel's values up to here are in it.
    values: Option<Position>,
    /// Of those who go on from its position.
    frames: Frames,
    data: OnceLock<Bytes>,
    spelling: Spelling,
}

/// Why there is none.
#[derive(Debug, Clone)]
enum Missing {
    /// The channel has none yet.
    Yet,
    Failed(String),
}

impl Snapshots {
    pub fn new(settings: &Settings, owners: Owners, clock: Clock) -> Self {
        let cache = Cache::builder()
            .max_capacity(u64::try_from(settings.snapshot_cache_bytes.0).unwrap_or(u64::MAX))
            .weigher(|_, state: &Arc<State>| u32::try_from(state.bytes()).unwrap_or(u32::MAX))
            .time_to_live(settings.snapshot_cache_time)
            .build();
        Self { owners, clock, cache, spelling: settings.spelling() }
    }

    /// The state of a channel for a reader who is attached to it; `head` is of then.
    pub async fn get(&self, channel: &Channel, head: &Position) -> Result<Option<Given>, Close> {
        if !channel.kind().has_snapshot() {
            return Ok(None);
        }
        match self.state(channel).await {
            Ok(state) if state.position.offset > 0 && state.position.epoch != head.epoch => {
                self.cache.invalidate(channel).await;
                Err(unavailable(channel, "its position is of another epoch"))
            }
            Ok(state) => {
                // What happens is no part of a state of values: none of it may fall between.
                let is_ahead = channel.kind().changes_by_values() && state.position.offset > head.offset;
                let from = if is_ahead { head.clone() } else { state.position.clone() };
                Ok(Some(Given { state, from }))
            }
            Err(Missing::Yet) => Ok(None),
            Err(Missing::Failed(why)) => Err(unavailable(channel, &why)),
        }
    }

    async fn state(&self, channel: &Channel) -> Result<Arc<State>, Missing> {
        if let Some(state) = self.cache.get(channel).await {
            counter!("realtime_edge_snapshots_total", "source" => "remembered").increment(1);
            return Ok(state);
        }
        let is_own = AtomicBool::new(false);
        let question = async {
            is_own.store(true, Ordering::Relaxed);
            self.ask(channel).await
        };
        let asked = self.cache.try_get_with_by_ref(channel, Box::pin(question)).await;
        match asked.map_err(|why| Missing::clone(&why)) {
            // Another's question, which may have been asked before this reader was attached.
            Err(Missing::Yet) if !is_own.load(Ordering::Relaxed) => self.ask(channel).await,
            answer => answer,
        }
    }

    async fn ask(&self, channel: &Channel) -> Result<Arc<State>, Missing> {
        counter!("realtime_edge_snapshots_total", "source" => "asked").increment(1);
        let answer = self.owners.snapshot(channel).await;
        let answer = answer.map_err(|why| Missing::Failed(why.message().to_owned()))?;
        let v1::SnapshotResponse { event, position, values } = answer;
        let (event, position) = event.zip(position).ok_or(Missing::Yet)?;
        let event = Event::parse(event, self.clock.now()).map_err(|why| Missing::Failed(why.to_string()))?;
        let position = Position::from(position);
        Ok(Arc::new(State {
            event,
            position,
            values: values.map(Position::from),
            frames: Frames::default(),
            data: OnceLock::new(),
            spelling: self.spelling,
        }))
    }
}

fn unavailable(channel: &Channel, why: &str) -> Close {
    tracing::warn!(%channel, why, "no snapshot");
    Code::TryAgain.because("the feed is not available now; try again later")
}

impl Given {
    /// As a frame of its own. A client that saw nothing after it names the place from which to go on.
    pub fn frame(&self, wire: Wire) -> Bytes {
        let State { event, position, frames, spelling, .. } = &*self.state;
        let encode = || wire.event(event, &EventId::at(&self.from), *spelling);
        if self.from == *position { frames.get(wire, encode) } else { encode() }
    }

    /// As a part of Centrifuge's answer to a subscription.
    pub fn data(&self) -> Bytes {
        let State { event, data, spelling, .. } = &*self.state;
        data.get_or_init(|| codec::data(event, *spelling)).clone()
    }

    /// The channel's values up to here are in it.
    pub fn values(&self) -> Option<&Position> {
        self.state.values.as_ref()
    }
}

impl State {
    /// Two encodings of it, and itself.
    fn bytes(&self) -> usize {
        3 * self.event.payload.len() + STATE_BYTES
    }
}
