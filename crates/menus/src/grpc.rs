//! What is asked of the menus domain: translate, call rules and store, answer. No decisions.
//!
//! A snapshot of `menu:{id}` loses and repeats nothing: it drains what waits first, then reads the menu together with the
//! place of its newest told value. Values that are told later stand after that place. If something still waits (the bus is
//! down), the snapshot has it already and it is told again later, with the version that the reader has: harmless.

mod calls;
mod convert;
mod menus;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use platepal_auth::Principal;
use platepal_bus::Bus;
use platepal_events::{CHANNELS_PER_EVENT_MAX, Channel, ChannelKind, Event, Position, Timestamp};
use platepal_proto::v1;
use platepal_service::{
    Clock,
    domain::{Domain, Sender, Snapshot, Verdict, tell},
    grpc::{bus_status, invalid},
    outbox::{Place, untold_status},
};
use tonic::Status;

use crate::{
    rules::{
        menu::{Outcome, Telling, Update},
        payload,
        recognise::{Recognised, recognise},
    },
    store::{Kept, Read, Store, StoreError},
};

/// Drains before a snapshot; each only loses to an update that came in between.
const SNAPSHOT_DRAINS_MAX: usize = 3;
/// How long an answer who may read a menu holds: everybody may.
const ALLOWED_FOR: std::time::Duration = std::time::Duration::from_secs(3600);

/// The menus domain as others call it.
#[derive(Clone)]
pub(crate) struct Menus {
    pub(crate) store: Store,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Clock,
}

impl Menus {
    /// Keeps an update and tells it.
    async fn take(&self, update: Update) -> Result<Kept, Status> {
        let changes = update.changes.len();
        let kept = self.store.keep(update, self.clock.now()).await.map_err(store_status)?;
        self.store.drain(&kept.streams, self.clock.now()).await.map_err(untold_status)?;
        let outcome = message(kept.outcome).as_str_name();
        metrics::counter!("realtime_menus_updates_total", "outcome" => outcome).increment(1);
        if !kept.repeated {
            let dropped = kept.older + kept.conflicts;
            metrics::counter!("realtime_menus_items_total", "result" => "dropped").increment(dropped as u64);
            let taken = changes.saturating_sub(dropped);
            metrics::counter!("realtime_menus_items_total", "result" => "taken").increment(taken as u64);
        }
        Ok(kept)
    }

    /// The menu, with all of its values told if the bus is there.
    async fn read_told(&self, menu: &Channel) -> Result<Read, Status> {
        let mut drains = 0;
        loop {
            let read = self.store.read(menu.id()).await.map_err(store_status)?;
            if !read.waits || drains == SNAPSHOT_DRAINS_MAX {
                return Ok(read);
            }
            drains += 1;
            if let Err(why) = self.store.drain(std::slice::from_ref(menu), self.clock.now()).await {
                tracing::debug!(%menu, %why, "a snapshot has what is not told yet");
                return Ok(read);
            }
        }
    }
}

#[async_trait]
impl Domain for Menus {
    async fn publish(&self, event: Event, channels: Vec<Channel>) -> Result<v1::PublishResponse, Status> {
        if channels.is_empty() {
            return Err(invalid("channels", "must name at least one"));
        }
        if matches!(event.kind.as_str(), "menu_item" | "menu.snapshot") {
            return Err(invalid(
                "event.type",
                format!(
                    "{} is told by the tier itself; say what changed by MenusService.UpdateMenu",
                    event.kind
                ),
            ));
        }
        // One of the event's channels is the restaurant's, one the menu's.
        let has_room = channels.len() + 2 <= CHANNELS_PER_EVENT_MAX;
        let Some(Recognised { restaurant_id, stamp, changes }) =
            recognise(&event, &channels).filter(|_| has_room)
        else {
            return tell(&*self.bus, &event, &channels).await;
        };
        let update = Update {
            event_id: event.id.clone(),
            restaurant_id,
            stamp,
            changes,
            traceparent: event.traceparent.to_string(),
            telling: Telling::Verbatim(event.clone(), channels.clone()),
        };
        let kept = self.take(update).await?;
        let places = self.store.outbox.places(&event.id, &channels).await;
        let places = places.map_err(|why| store_status(why.into()))?;
        let is_repeat = kept.outcome == Outcome::Duplicate;
        let places = places.into_iter().map(|Place { channel, position }| v1::Kept {
            channel: channel.to_string(),
            position: Some(position.into()),
            duplicate: is_repeat,
        });
        Ok(v1::PublishResponse {
            event_id: event.id.to_string(),
            outcome: message(kept.outcome).into(),
            kept: places.collect(),
            note: note(&kept),
        })
    }

    async fn authorize(&self, _: &Principal, _: &str, channel: &Channel) -> Verdict {
        match channel.kind().is_public() {
            true => Verdict::Allowed(ALLOWED_FOR),
            false => Verdict::Denied(format!("{channel} is no menu")),
        }
    }

    async fn snapshot(&self, channel: &Channel) -> Result<Snapshot, Status> {
        if channel.kind() != ChannelKind::Menu {
            return Ok(Snapshot::NONE);
        }
        let Read { menu_version, items, told, .. } = self.read_told(channel).await?;
        let event = payload::snapshot(channel.id(), menu_version, &items, self.clock.now());
        let position: Position = self.bus.head(channel).await.map_err(|why| bus_status(&why))?;
        Ok(Snapshot { state: Some((event, position)), values: told })
    }

    async fn grant(&self, _: &str, channel: &Channel, _: Option<Timestamp>) -> Result<(), Status> {
        Err(public(channel))
    }

    async fn revoke(&self, _: &str, channel: &Channel) -> Result<bool, Status> {
        Err(public(channel))
    }

    async fn call(&self, _: &Sender, method: &str, data: Bytes) -> Result<Bytes, Status> {
        match method {
            "get" => self.get_json(&data).await,
            _ => Err(Status::unimplemented(format!("menus have no method {method:?}"))),
        }
    }
}

fn public(channel: &Channel) -> Status {
    invalid(
        "channel",
        format!("{channel} can be read by everybody who is signed in; there is nothing to grant"),
    )
}

fn message(outcome: Outcome) -> v1::Outcome {
    match outcome {
        Outcome::New => v1::Outcome::Published,
        Outcome::Superseded => v1::Outcome::Superseded,
        Outcome::Duplicate => v1::Outcome::Duplicate,
        Outcome::Conflict => v1::Outcome::Conflict,
    }
}

/// What was unusual, for people.
fn note(kept: &Kept) -> String {
    let Kept { outcome, repeated, older, conflicts, menu_version, .. } = kept;
    if *repeated {
        return match outcome {
            Outcome::New => {
                "this event_id was kept before; channels that did not have it were told".to_owned()
            }
            _ => "this event_id was kept before".to_owned(),
        };
    }
    let mut notes = Vec::new();
    if *older > 0 {
        notes.push(format!("{older} of the items: older than what is held; not told as new"));
    }
    if *conflicts > 0 {
        notes
            .push(format!("{conflicts} of the items: the same version is held with other content; not told"));
    }
    if *outcome == Outcome::Duplicate {
        notes.push(format!("version {menu_version} of the menu has all of it already"));
    }
    notes.join("; ")
}

fn store_status(error: StoreError) -> Status {
    match error {
        StoreError::Database(_) => Status::unavailable(error.to_string()),
        StoreError::State(..) => Status::internal(error.to_string()),
        StoreError::Name(why) => invalid("restaurant_id", why),
        StoreError::Full(..) => Status::resource_exhausted(error.to_string()),
    }
}
