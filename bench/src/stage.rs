//! A server with its readers and a publisher: what every measure starts with.

use std::time::{Duration, Instant};

use crate::{
    load::{Counts, Swarm},
    peers::{Peer, Running},
    publisher::{Feed, Publisher},
    watched::{Watched, own_cpu},
};

/// How long opening may take, and how much longer per reader.
const OPENING: Duration = Duration::from_secs(30);
const OPENING_EACH: Duration = Duration::from_millis(10);
/// After opening, before anything is measured: collectors and timers of the server come to rest.
const REST: Duration = Duration::from_secs(1);

/// Ready to be measured.
pub struct Stage {
    /// Publishes to the server.
    pub publisher: Publisher,
    /// Its readers.
    pub swarm: Swarm,
    /// The server. Dropped after its readers.
    pub server: Running,
    epoch: Instant,
    readers: u64,
}

/// CPU time that passed.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// The server's.
    pub server: Duration,
    /// Of this program: readers and publisher.
    pub load: Duration,
}

/// A moment to measure from.
pub struct Since {
    watched: Watched,
    server: Duration,
    load: Duration,
}

impl Stage {
    /// A new server without readers.
    pub async fn empty(peer: Peer) -> anyhow::Result<Self> {
        let epoch = Instant::now();
        let server = peer.start().await?;
        let swarm = Swarm::new(server.address(), server.dialect(), epoch)?;
        let publisher = server.publisher(epoch)?;
        Ok(Self { publisher, swarm, server, epoch, readers: 0 })
    }

    /// A new server with readers of one feed.
    pub async fn shared(peer: Peer, readers: u64) -> anyhow::Result<Self> {
        let mut stage = Self::empty(peer).await?;
        stage.open((0..readers).map(|_| Feed::Shared)).await?;
        tokio::time::sleep(REST).await;
        Ok(stage)
    }

    /// A new server with readers of a feed each, numbered from 1.
    pub async fn own(peer: Peer, readers: u64) -> anyhow::Result<Self> {
        let mut stage = Self::empty(peer).await?;
        stage.open((1..=readers).map(Feed::Own)).await?;
        tokio::time::sleep(REST).await;
        Ok(stage)
    }

    /// Adds a reader for each of these feeds.
    pub async fn open(&mut self, feeds: impl Iterator<Item = Feed>) -> anyhow::Result<()> {
        let first = self.readers;
        let paths: Vec<String> =
            feeds.zip(first..).map(|(feed, client)| self.server.path(feed, client)).collect();
        let count = u32::try_from(paths.len())?;
        self.readers += u64::from(count);
        self.swarm.open(paths, OPENING + OPENING_EACH * count).await
    }

    /// How many readers there are.
    pub fn readers(&self) -> u64 {
        self.readers
    }

    /// Microseconds of the clock in which events are marked.
    pub fn now_micros(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Counts from 0 again. Nothing must be under way.
    pub async fn reset(&self) -> anyhow::Result<()> {
        self.publisher.reset();
        self.swarm.reset().await
    }

    /// Starts to measure CPU time.
    pub fn since(&self) -> anyhow::Result<Since> {
        let watched = self.server.watched();
        Ok(Since { watched, server: watched.cpu()?, load: own_cpu()? })
    }

    /// Waits until the readers have got as many events; ends early when none came for `quiet`. Says how many there are.
    pub async fn until_got(&self, events: u64, quiet: Duration) -> u64 {
        let got = |counts: &Counts| counts.events.load(std::sync::atomic::Ordering::Acquire);
        loop {
            let before = got(self.swarm.counts());
            let moved = |counts: &Counts| got(counts) >= events || got(counts) != before;
            if !self.swarm.until(moved, quiet).await {
                return before;
            }
            if got(self.swarm.counts()) >= events {
                return got(self.swarm.counts());
            }
        }
    }
}

impl Since {
    /// CPU time since then.
    pub fn spent(&self) -> anyhow::Result<Spent> {
        Ok(Spent {
            server: self.watched.cpu()?.saturating_sub(self.server),
            load: own_cpu()?.saturating_sub(self.load),
        })
    }
}
