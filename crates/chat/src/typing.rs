//! Who is typing: told at most once in a while, and taken back when nothing more is heard.
//!
//! Kept in memory only, by the replica that heard it: who types while it ends is shown as typing until clients take it
//! back by themselves.
//!
//! Invariant: whoever was said to type is said to have stopped.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use platepal_bus::Bus;
use platepal_events::{Channel, Event, EventId, EventType, Timestamp, millis};
use platepal_service::{Clock, Shutdown};

use crate::{rules::payload, settings::Settings, store::channel};

/// How often it is looked who has stopped.
const TICK: Duration = Duration::from_millis(250);

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Who {
    room_id: String,
    user_id: String,
}

#[derive(Debug, Clone)]
struct Told {
    name: String,
    /// When the room was told last.
    at: Timestamp,
    /// When the user was heard of last.
    heard_at: Timestamp,
}

/// Those who type. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Typing {
    typing: Arc<Mutex<HashMap<Who, Told>>>,
    bus: Arc<dyn Bus>,
    interval_millis: i64,
    time_millis: i64,
    users_max: usize,
}

impl Typing {
    pub(crate) fn new(settings: &Settings, bus: Arc<dyn Bus>) -> Self {
        Self {
            typing: Arc::default(),
            bus,
            interval_millis: millis(settings.typing_interval),
            time_millis: millis(settings.typing_time),
            users_max: settings.typing_users,
        }
    }

    /// Takes back what is not heard any more, until the shutdown.
    pub(crate) async fn run(self, clock: Clock, shutdown: Shutdown) {
        let told = shutdown.told();
        tokio::pin!(told);
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = &mut told => return,
                _ = ticks.tick() => {
                    for (who, told) in self.stopped(clock.now()) {
                        self.tell(&who, &told.name, false, clock.now()).await;
                    }
                }
            }
        }
    }

    /// Whether the room would be told now: whoever types is heard of at any rate.
    pub(crate) fn hears(&self, room_id: &str, user_id: &str, is_typing: bool, now: Timestamp) -> bool {
        let who = Who { room_id: room_id.into(), user_id: user_id.into() };
        let mut typing = self.typing.lock();
        match (typing.get_mut(&who), is_typing) {
            (Some(told), true) => {
                told.heard_at = now;
                now.millis_since(told.at) >= self.interval_millis
            }
            (Some(_), false) => true,
            (None, true) => {
                let has_room = typing.len() < self.users_max;
                if !has_room {
                    count("crowded");
                }
                has_room
            }
            (None, false) => false,
        }
    }

    /// Tells a room that somebody types, or does not any more.
    pub(crate) async fn say(
        &self,
        room_id: &str,
        user_id: &str,
        name: &str,
        is_typing: bool,
        now: Timestamp,
    ) {
        let who = Who { room_id: room_id.into(), user_id: user_id.into() };
        {
            let mut typing = self.typing.lock();
            if is_typing {
                typing.insert(who.clone(), Told { name: name.into(), at: now, heard_at: now });
            } else if typing.remove(&who).is_none() {
                // Somebody else has said so.
                return;
            }
            metrics::gauge!("realtime_chat_typing_users").set(typing.len() as f64);
        }
        self.tell(&who, name, is_typing, now).await;
    }

    fn stopped(&self, now: Timestamp) -> Vec<(Who, Told)> {
        let mut typing = self.typing.lock();
        let stopped: Vec<(Who, Told)> =
            typing.extract_if(|_, told| now.millis_since(told.heard_at) >= self.time_millis).collect();
        metrics::gauge!("realtime_chat_typing_users").set(typing.len() as f64);
        stopped
    }

    async fn tell(&self, who: &Who, name: &str, is_typing: bool, now: Timestamp) {
        let Ok(room) = channel(&who.room_id) else { return };
        let payload = payload::typing(&who.user_id, name, is_typing);
        let event = Event {
            key: who.user_id.as_str().into(),
            ..Event::new(EventId::make(), EventType::named("typing"), payload, now)
        };
        match self.pass(&room, &event).await {
            Ok(()) => count("told"),
            Err(why) => {
                count("failed");
                tracing::debug!(%room, why, "that somebody types was not told");
            }
        }
    }

    async fn pass(&self, room: &Channel, event: &Event) -> Result<(), String> {
        self.bus.pass(room, event).await.map_err(|why| why.to_string())
    }
}

fn count(result: &'static str) {
    metrics::counter!("realtime_chat_typing_total", "result" => result).increment(1);
}
