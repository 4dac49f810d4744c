//! Which edges are alive, as far as this process has heard.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use platepal_bus::{Bus, BusError, Delivery};
use platepal_events::{Channel, Entry};
use tokio::time::Instant;
use url::Url;

use super::{Edges, alive::Alive, name};
use crate::{Clock, grpc::Link};

/// The first wait after the bus could not be reached; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The other edges, by name.
pub(super) struct Living {
    max: usize,
    known: Mutex<HashMap<String, Other>>,
}

struct Other {
    alive: Alive,
    link: Link,
    until: Instant,
}

impl Living {
    pub fn new(max: usize) -> Self {
        Self { max, known: Mutex::default() }
    }

    /// The others that are alive now: names and links.
    pub fn links(&self) -> Vec<(String, Link)> {
        let now = Instant::now();
        let mut known = self.known.lock();
        known.retain(|id, other| {
            let lives = other.until > now;
            if !lives {
                tracing::warn!(edge = id, version = other.alive.version, "an edge fell silent; forgotten");
            }
            lives
        });
        known.iter().map(|(id, other)| (id.clone(), other.link.clone())).collect()
    }

    fn forget(&self, id: &str) {
        self.known.lock().remove(id);
    }

    /// An edge is alive until then.
    fn hear(&self, alive: Alive, until: Instant, link: impl FnOnce(&Url) -> Result<Link, String>) {
        let mut known = self.known.lock();
        if let Some(other) = known.get_mut(&alive.id)
            && other.alive.url == alive.url
        {
            other.until = other.until.max(until);
            return;
        }
        if known.len() >= self.max && !known.contains_key(&alive.id) {
            tracing::warn!(edge = alive.id, max = self.max, "too many edges; raise REALTIME_EDGES_MAX");
            return;
        }
        let url = alive.url.as_deref().map(str::parse::<Url>);
        let made = match url {
            // It can be reached by its own process only: one that used this folder before.
            None => return,
            Some(Ok(url)) => link(&url),
            Some(Err(why)) => Err(why.to_string()),
        };
        match made {
            Ok(link) => {
                tracing::info!(edge = alive.id, url = alive.url, version = alive.version, "an edge is alive");
                known.insert(alive.id.clone(), Other { alive, link, until });
            }
            Err(why) => tracing::warn!(edge = alive.id, %why, "an edge can't be asked"),
        }
    }
}

/// Hears all edges, for as long as the bus lives.
pub(super) async fn follow(edges: &Edges, bus: &dyn Bus, clock: Clock) {
    let mut wait = RETRY_FIRST;
    loop {
        match listen(edges, bus, clock).await {
            Ok(()) => wait = RETRY_FIRST,
            Err(why) => tracing::warn!(%why, "edges are not heard now"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

async fn listen(edges: &Edges, bus: &dyn Bus, clock: Clock) -> Result<(), BusError> {
    let mut subscription = bus.subscribe(&Channel::sessions()).await?;
    for entry in bus.latest(&Channel::sessions()).await? {
        edges.hear(&entry, clock);
    }
    while let Some(delivery) = subscription.next().await {
        if let Delivery::Entry(entry) = delivery {
            edges.hear(&entry, clock);
        }
    }
    Ok(())
}

impl Edges {
    fn hear(&self, entry: &Entry, clock: Clock) {
        let Some(alive) = Alive::read(&entry.event) else { return };
        let (inner, living) = (&self.0, &self.0.living);
        if inner.own.as_ref().is_some_and(|own| name(own.id) == alive.id) {
            self.links();
            return;
        }
        // What was said before this process listened holds for less.
        let age = u64::try_from(clock.now().millis_since(entry.kept_at)).unwrap_or(0);
        match alive.holds().checked_sub(Duration::from_millis(age)) {
            Some(left) if !alive.gone => {
                let link = |url: &Url| Link::remote(url, inner.key.as_deref(), inner.settings.ask_timeout);
                living.hear(alive, Instant::now() + left, link);
            }
            _ => living.forget(&alive.id),
        }
        // Looks after those that fell silent, too.
        self.links();
    }
}
