//! What an edge tells of itself: that it lives, where it is reached, and at last that it is gone.

use std::{sync::Arc, time::Duration};

use platepal_bus::Bus;
use platepal_events::{Channel, Event, Timestamp};
use platepal_proto::v1;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Own, name};
use crate::Clock;

/// The type of the event; of the *latest* class, by the edge's name.
pub(super) const KIND: &str = "edge.alive";
/// How long the last word may take: the process is ending.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// An edge's word. Moments are in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alive {
    pub id: String,
    /// Where it is reached; none: by nobody but its own process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub version: String,
    pub started_at: i64,
    /// How often it says so.
    pub every_ms: u64,
    /// It says so for the last time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

impl Alive {
    pub fn of(own: &Own, started_at: Timestamp, every: Duration) -> Self {
        Self {
            id: name(own.id),
            url: own.url.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: started_at.micros(),
            every_ms: u64::try_from(every.as_millis()).unwrap_or(u64::MAX),
            gone: false,
        }
    }

    /// For how long its word holds: it is dead when three in a row did not come.
    pub fn holds(&self) -> Duration {
        Duration::from_millis(self.every_ms.clamp(100, 60_000)).mul_f64(3.5)
    }

    fn write(&self, now: Timestamp) -> Result<Event, String> {
        let message = v1::Event {
            r#type: KIND.to_owned(),
            key: self.id.clone(),
            payload: serde_json::to_vec(self).map_err(|why| why.to_string())?.into(),
            ..v1::Event::default()
        };
        Event::parse(message, now).map_err(|why| why.to_string())
    }

    /// The word in an event; `None` if it is another kind of event, or can't be read.
    pub fn read(event: &Event) -> Option<Self> {
        if event.kind.as_str() != KIND {
            return None;
        }
        serde_json::from_slice(&event.payload)
            .inspect_err(|why| tracing::warn!(%why, "what an edge tells of itself can't be read"))
            .ok()
    }
}

/// Says so again and again until `told`, and then that it is gone.
pub(super) async fn announce(
    alive: Alive,
    bus: Arc<dyn Bus>,
    clock: Clock,
    told: impl Future<Output = ()> + Send,
) {
    let say = async |alive: &Alive| {
        let said = match alive.write(clock.now()) {
            Ok(event) => bus.append(&[Channel::sessions()], &event).await.map_err(|why| why.to_string()),
            Err(why) => Err(why),
        };
        if let Err(why) = said {
            tracing::warn!(%why, "others were not told that this edge is alive; it is said again soon");
        }
    };
    let again_and_again = async {
        loop {
            say(&alive).await;
            // Not in step with the others.
            let every = Duration::from_millis(alive.every_ms).mul_f64(rand::rng().random_range(0.9..1.0));
            tokio::time::sleep(every).await;
        }
    };
    tokio::select! {
        () = told => {}
        () = again_and_again => {}
    }
    let gone = Alive { gone: true, ..alive };
    // Who does not hear it, misses it soon.
    tokio::time::timeout(GOODBYE_TIMEOUT, say(&gone)).await.ok();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let alive = Alive {
            id: name(7),
            url: Some("http://10.0.3.7:50051".into()),
            version: "1.0".into(),
            started_at: 5,
            every_ms: 2_000,
            gone: true,
        };
        let event = alive.write(Timestamp::from_micros(0)).unwrap();
        assert_eq!(event.kind.class(), platepal_events::Class::Latest);
        assert_eq!(Alive::read(&event), Some(alive));
    }
}
