//! Publishing the way a backend of each server does it: gRPC to ours, an HTTP POST to the others. One event per
//! call, unless a batch is asked for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use platepal_proto::v1;
use platepal_testkit::Clients;

use crate::mark::{self, Mark};

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What readers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// One channel for all.
    Shared,
    /// A channel of this reader alone.
    Own(u64),
}

impl Feed {
    /// The channel's name for peers.
    pub fn name(self) -> String {
        match self {
            Self::Shared => "shared".to_owned(),
            Self::Own(number) => format!("own-{number}"),
        }
    }

    /// The channel's name for ours.
    pub fn channel(self) -> String {
        match self {
            Self::Shared => "admin".to_owned(),
            Self::Own(number) => format!("customer:{number}"),
        }
    }
}

/// Publishes to one server. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    way: Way,
    epoch: Instant,
    tally: Arc<Tally>,
}

#[derive(Clone)]
enum Way {
    Grpc(Clients),
    Http { client: reqwest::Client, url: String },
}

#[derive(Default)]
struct Tally {
    next: AtomicU64,
    events: AtomicU64,
    sum: AtomicU64,
}

impl Publisher {
    /// Publishes to our gateway.
    pub fn grpc(clients: Clients, epoch: Instant) -> Self {
        Self { way: Way::Grpc(clients), epoch, tally: Arc::default() }
    }

    /// Publishes by `POST {url}?channel=…`.
    pub fn http(url: String, epoch: Instant) -> anyhow::Result<Self> {
        // reqwest wants a provider of TLS even where there is none. An error means that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(TIMEOUT).tcp_nodelay(true).no_proxy().build()?;
        Ok(Self { way: Way::Http { client, url }, epoch, tally: Arc::default() })
    }

    /// Whether there is a call that takes many events.
    pub fn has_batches(&self) -> bool {
        matches!(self.way, Way::Grpc(_))
    }

    /// Publishes one event; when it answers, the server has taken it.
    pub async fn publish(&self, feed: Feed) -> anyhow::Result<()> {
        let mark = self.mark();
        match &self.way {
            Way::Grpc(clients) => {
                let call = async { clients.events().publish(request(feed, mark)).await };
                tokio::time::timeout(TIMEOUT, call).await??;
            }
            Way::Http { client, url } => {
                let url = format!("{url}?channel={}", feed.name());
                let request = client.post(url).header("content-type", "application/json");
                let response = request.body(mark::frame(mark)).send().await?;
                let status = response.status();
                // Read to its end, so that the connection is used again.
                response.bytes().await?;
                if !status.is_success() {
                    bail!("an event was answered with {status}");
                }
            }
        }
        self.count(mark);
        Ok(())
    }

    /// Publishes one event to each feed in one call.
    pub async fn publish_batch(&self, feeds: &[Feed]) -> anyhow::Result<()> {
        let Way::Grpc(clients) = &self.way else { bail!("this server has no call for batches") };
        let marks: Vec<(Feed, Mark)> = feeds.iter().map(|feed| (*feed, self.mark())).collect();
        let events = marks.iter().map(|(feed, mark)| request(*feed, *mark)).collect();
        let call = async {
            clients.events().publish_batch(v1::PublishBatchRequest { events, ..Default::default() }).await
        };
        let answer = tokio::time::timeout(TIMEOUT, call).await??.into_inner();
        for ((_, mark), result) in marks.iter().zip(answer.results) {
            match result.result.context("an event of a batch was not answered")? {
                v1::publish_result::Result::Kept(_) => self.count(*mark),
                v1::publish_result::Result::Problem(why) => bail!("an event was refused: {}", why.reason),
            }
        }
        Ok(())
    }

    /// How many events were taken since the last reset, and the sum of their numbers.
    pub fn taken(&self) -> (u64, u64) {
        (self.tally.events.load(Ordering::Relaxed), self.tally.sum.load(Ordering::Relaxed))
    }

    /// Counts from 0 again; numbers go on.
    pub fn reset(&self) {
        self.tally.events.store(0, Ordering::Relaxed);
        self.tally.sum.store(0, Ordering::Relaxed);
    }

    fn mark(&self) -> Mark {
        let at_micros = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        Mark { number: self.tally.next.fetch_add(1, Ordering::Relaxed), at_micros }
    }

    fn count(&self, mark: Mark) {
        self.tally.events.fetch_add(1, Ordering::Relaxed);
        self.tally.sum.fetch_add(mark.number, Ordering::Relaxed);
    }
}

fn request(feed: Feed, mark: Mark) -> v1::PublishRequest {
    let event = v1::Event {
        event_id: mark::event_id(mark.number),
        r#type: mark::TYPE.to_owned(),
        payload: mark::data(mark).into(),
        ..v1::Event::default()
    };
    v1::PublishRequest { event: Some(event), channels: vec![feed.channel()] }
}
