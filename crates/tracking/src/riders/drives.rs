//! Learning how fast streets are from the tier's own drives.
//!
//! A stage of its own, bounded and of the lowest importance: when a delivery has ended its trail is matched with the
//! streets, and what it says of their speeds is added to what all replicas know. A drive that finds no room is left
//! out.

use std::{sync::Arc, time::Duration};

use platepal_events::Timestamp;
use platepal_service::{Clock, Shutdown};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::map::Map;
use crate::{
    settings::Settings,
    store::{Store, StoreError, speeds::Lesson},
};

/// Lessons that wait to be stored; then they are, whatever the time.
const LESSONS_MAX: usize = 200;

/// Where drives that have ended are told of. Cheap to clone; without a map it does nothing.
#[derive(Clone, Default)]
pub(crate) struct Drives(Option<mpsc::Sender<String>>);

impl Drives {
    /// Learns from the drives that are told of, until the shutdown.
    pub(crate) fn learn(
        map: Arc<Map>,
        store: Store,
        settings: &Settings,
        clock: Clock,
        shutdown: &Shutdown,
    ) -> Self {
        let (drives, ended) = mpsc::channel(settings.drives);
        let learner = Learner { map, store, clock, interval: settings.learn_interval, lessons: Vec::new() };
        shutdown.spawn(learner.run(ended, shutdown.clone()));
        Self(Some(drives))
    }

    /// A delivery has ended.
    pub(crate) fn ended(&self, delivery_id: &str) {
        let Some(drives) = &self.0 else { return };
        if drives.try_send(delivery_id.to_owned()).is_err() {
            count("left_out");
        }
    }
}

struct Learner {
    map: Arc<Map>,
    store: Store,
    clock: Clock,
    interval: Duration,
    lessons: Vec<Lesson>,
}

impl Learner {
    async fn run(mut self, mut ended: mpsc::Receiver<String>, shutdown: Shutdown) {
        let told = shutdown.told();
        tokio::pin!(told);
        self.share().await;
        let mut look_at = Instant::now() + self.interval;
        loop {
            let delivery_id = tokio::select! {
                () = &mut told => return,
                () = sleep_until(look_at) => None,
                delivery_id = ended.recv() => match delivery_id {
                    Some(delivery_id) => Some(delivery_id),
                    None => return,
                },
            };
            if let Some(delivery_id) = delivery_id {
                match self.take(&delivery_id).await {
                    Ok(true) => count("learned"),
                    Ok(false) => count("nowhere"),
                    Err(why) => {
                        count("failed");
                        tracing::debug!(%why, delivery_id, "nothing was learned from a drive");
                    }
                }
            }
            if self.lessons.len() >= LESSONS_MAX || Instant::now() >= look_at {
                self.share().await;
                look_at = Instant::now() + self.interval;
            }
        }
    }

    async fn take(&mut self, delivery_id: &str) -> Result<bool, StoreError> {
        let ever = (Timestamp::from_micros(0), Timestamp::from_micros(i64::MAX));
        let way = self.store.trail_of_delivery(delivery_id, ever).await?;
        let map = Arc::clone(&self.map);
        let lessons = tokio::task::spawn_blocking(move || map.lessons(&way)).await.unwrap_or_default();
        let is_drive = !lessons.is_empty();
        self.lessons.extend(lessons);
        Ok(is_drive)
    }

    /// Adds what was learned here to what all know, and takes that over.
    async fn share(&mut self) {
        let known = if self.lessons.is_empty() {
            self.store.speeds().await
        } else {
            self.store.learn(&self.lessons, self.clock.now()).await.map(Some)
        };
        match known {
            Ok(known) => {
                self.lessons.clear();
                if let Some(speeds) = known {
                    self.map.take_speeds(speeds);
                }
            }
            Err(why) => {
                tracing::debug!(%why, "learned speeds can't be shared now; will try again");
                self.lessons.truncate(LESSONS_MAX);
            }
        }
    }
}

fn count(result: &'static str) {
    metrics::counter!("realtime_tracking_drives_total", "result" => result).increment(1);
}

/// Describes what is measured here.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(
        "realtime_tracking_drives_total",
        "Ended deliveries whose way was matched with the map, by what came of it."
    );
}
