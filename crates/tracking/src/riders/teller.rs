//! Telling positions: *latest* values, of which only the newest of a delivery or a rider waits.
//!
//! Bounded, apart from the answers to riders: a slow bus delays positions and makes them fewer, and nothing else.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use platepal_bus::Bus;
use platepal_events::{Channel, Event};
use platepal_service::{Shutdown, trace};
use tokio::sync::{Notify, Semaphore};
use tracing::Instrument as _;

use crate::settings::Settings;

/// What is told of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum About {
    Delivery(String),
    Rider(String),
    /// A rider who left a cell: not in place of anything else.
    Left(String, Channel),
}

impl About {
    /// Whose position it is: of one, nothing is told before what is under way has landed.
    fn whose(&self) -> Whose {
        match self {
            Self::Delivery(id) => Whose::Delivery(id.clone()),
            Self::Rider(id) | Self::Left(id, _) => Whose::Rider(id.clone()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whose {
    Delivery(String),
    Rider(String),
}

/// Events and who is told, one after the other.
pub(super) type Letters = Vec<(Vec<Channel>, Event)>;

/// Tells. Cheap to clone.
#[derive(Clone)]
pub(super) struct Teller(Arc<Inner>);

struct Inner {
    bus: Arc<dyn Bus>,
    queue_max: usize,
    state: Mutex<State>,
    /// There is something to tell.
    more: Notify,
    /// Something was told.
    done: Notify,
}

#[derive(Default)]
struct State {
    waiting: HashMap<About, Letters>,
    order: VecDeque<About>,
    flying: HashSet<Whose>,
}

impl Teller {
    pub(super) fn start(bus: Arc<dyn Bus>, settings: &Settings, shutdown: &Shutdown) -> Self {
        let teller = Self(Arc::new(Inner {
            bus,
            queue_max: settings.tell_queue,
            state: Mutex::default(),
            more: Notify::new(),
            done: Notify::new(),
        }));
        let run = teller.clone().run(settings.tell_in_flight, shutdown.clone());
        shutdown.spawn(run);
        teller
    }

    /// Tells soon; in place of what waits about the same.
    pub(super) fn tell(&self, about: About, letters: Letters) {
        let mut state = self.0.state.lock();
        if let Some(waiting) = state.waiting.get_mut(&about) {
            *waiting = instead(std::mem::take(waiting), letters);
            metrics::counter!("realtime_tracking_told_total", "result" => "replaced").increment(1);
            return;
        }
        if state.waiting.len() >= self.0.queue_max {
            metrics::counter!("realtime_tracking_told_total", "result" => "left_out").increment(1);
            return;
        }
        state.order.push_back(about.clone());
        state.waiting.insert(about, letters);
        metrics::gauge!("realtime_tracking_tell_waiting").set(state.waiting.len() as f64);
        drop(state);
        self.0.more.notify_one();
    }

    /// Tells no more about this. Returns when nothing of it is under way.
    pub(super) async fn silence(&self, about: &About) {
        loop {
            let done = self.0.done.notified();
            tokio::pin!(done);
            done.as_mut().enable();
            {
                let mut state = self.0.state.lock();
                if state.waiting.remove(about).is_some() {
                    state.order.retain(|waiting| waiting != about);
                }
                if !state.flying.contains(&about.whose()) {
                    return;
                }
            }
            done.await;
        }
    }

    fn next(&self) -> Option<(About, Letters)> {
        let mut state = self.0.state.lock();
        // What is under way has to land first, so that the newest is the last.
        let index = state.order.iter().position(|about| !state.flying.contains(&about.whose()))?;
        let about = state.order.remove(index)?;
        let letters = state.waiting.remove(&about)?;
        state.flying.insert(about.whose());
        metrics::gauge!("realtime_tracking_tell_waiting").set(state.waiting.len() as f64);
        Some((about, letters))
    }

    async fn run(self, in_flight: usize, shutdown: Shutdown) {
        let told = shutdown.told();
        tokio::pin!(told);
        let places = Arc::new(Semaphore::new(in_flight));
        loop {
            let place = tokio::select! {
                () = &mut told => return,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let Ok(place) = place else { return };
            let (about, letters) = loop {
                if let Some(next) = self.next() {
                    break next;
                }
                tokio::select! {
                    () = &mut told => return,
                    () = self.0.more.notified() => {}
                }
            };
            let teller = self.clone();
            tokio::spawn(async move {
                for (channels, event) in &letters {
                    let span = tracing::debug_span!("tell position", kind = %event.kind);
                    trace::follow(&span, &event.traceparent);
                    let result = match teller.0.bus.append(channels, event).instrument(span).await {
                        Ok(_) => "told",
                        Err(why) => {
                            // A newer one follows.
                            tracing::debug!(%why, "a position was not told");
                            "failed"
                        }
                    };
                    metrics::counter!("realtime_tracking_told_total", "result" => result).increment(1);
                }
                teller.0.state.lock().flying.remove(&about.whose());
                teller.0.done.notify_waiters();
                // One that waited for this one to land can go now.
                teller.0.more.notify_one();
                drop(place);
            });
        }
    }
}

/// What waits after something newer came: of the older, what was for others than the newer is.
fn instead(older: Letters, mut newer: Letters) -> Letters {
    let is_old = |(channels, _): &(Vec<Channel>, Event)| newer.iter().any(|(to, _)| to == channels);
    let others: Letters = older.into_iter().filter(|letter| !is_old(letter)).collect();
    newer.extend(others);
    newer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use platepal_events::{EventId, EventType, Timestamp};

    use super::*;
    use crate::rules::envelope;

    fn letter(channel: &str, payload: &str) -> (Vec<Channel>, Event) {
        let (at, about) = (Timestamp::from_micros(0), ("delivery", "9"));
        let event =
            envelope::event(EventId::make(), EventType::named("rider_location"), at, about, payload, "");
        (vec![channel.parse().unwrap()], event)
    }

    #[test]
    fn a_newer_position_takes_nothing_from_those_whom_it_is_not_for() {
        let older = vec![letter("customer:7", r#"{"at":1}"#), letter("restaurant:12", r#"{"at":1}"#)];
        let newer = vec![letter("customer:7", r#"{"at":2}"#)];
        let waiting = instead(older.clone(), newer.clone());
        assert_eq!(waiting, [newer[0].clone(), older[1].clone()]);
    }
}
