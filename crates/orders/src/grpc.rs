//! What is asked of the orders domain: translate, call rules and store, answer. No decisions.
//!
//! A snapshot of `order:{id}` loses and repeats nothing: it drains what waits first, then reads the order
//! together with the place of its newest told event. What is told later stands after that place. If something
//! still waits (the bus is down), the snapshot has it already and it is told again later, as the version that
//! the reader has: harmless. Events of others in the channel never move that place, so none is skipped; only
//! when the log no longer reaches back that far, or is a new one, the place is the oldest that it does reach.

mod calls;
mod convert;
mod orders;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use platepal_auth::Principal;
use platepal_bus::Bus;
use platepal_events::{Channel, ChannelKind, Event, EventId, EventType, Position, Timestamp};
use platepal_proto::v1;
use platepal_service::{
    Clock,
    access::{Access, Grants},
    domain::{Domain, Sender, Snapshot, Verdict, tell},
    grpc::{bus_status, invalid},
    outbox::{Place, untold_status},
};
use tonic::Status;

use crate::{
    rules::{
        envelope,
        order::{Order, Outcome, Update},
        recognise::recognise,
    },
    store::{Audience, Kept, Read, Store, StoreError},
};

/// Drains before a snapshot; each only loses to an update that came in between.
const SNAPSHOT_DRAINS_MAX: usize = 3;

/// The orders domain as others call it.
#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) store: Store,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) access: Access,
    /// How long a participant's right may be remembered.
    pub(crate) valid_for: Duration,
    pub(crate) clock: Clock,
}

/// An update that was kept and told.
pub(crate) struct Told {
    pub(crate) event_id: EventId,
    pub(crate) outcome: v1::Outcome,
    pub(crate) version: u64,
    pub(crate) kept: Vec<v1::Kept>,
    pub(crate) note: String,
}

impl Orders {
    /// Keeps an update and tells it.
    pub(crate) async fn take(&self, update: Update, audience: Audience) -> Result<Told, Status> {
        let event_id = update.event.id.clone();
        let named = match &audience {
            Audience::Named(channels) => channels.clone(),
            Audience::Participants(_) => Vec::new(),
        };
        let kept = self.store.keep(update, audience, self.clock.now()).await.map_err(store_status)?;
        self.store.drain(&kept.streams, self.clock.now()).await.map_err(untold_status)?;
        let Kept { order, outcome, repeated, told_by, .. } = kept;
        let source = told_by.as_ref().unwrap_or(&event_id);
        let places =
            self.store.outbox.places(source, &named).await.map_err(|why| store_status(why.into()))?;
        let duplicate = outcome == Outcome::Duplicate;
        let (outcome, note) = explain(&order, outcome, repeated);
        metrics::counter!("realtime_orders_updates_total", "outcome" => outcome.as_str_name()).increment(1);
        let kept = match outcome {
            v1::Outcome::Published | v1::Outcome::Duplicate => kept_places(places, duplicate),
            _ => Vec::new(),
        };
        Ok(Told { event_id, outcome, version: order.version, kept, note })
    }

    /// The order with the place up to which the channel's log is in it.
    async fn snapshot_of(&self, channel: &Channel) -> Result<Option<(Read, Position)>, Status> {
        let mut drains = 0;
        let read = loop {
            let Some(read) = self.store.read(channel.id()).await.map_err(store_status)? else {
                return Ok(None);
            };
            if !read.waits || drains == SNAPSHOT_DRAINS_MAX {
                break read;
            }
            drains += 1;
            if let Err(why) = self.store.drain(std::slice::from_ref(channel), self.clock.now()).await {
                tracing::debug!(%channel, %why, "a snapshot has what is not told yet");
                break read;
            }
        };
        let after = read.told.as_ref().map_or(0, |told| told.offset);
        let mut page = self.bus.read(channel, after, 1).await.map_err(|why| bus_status(&why))?;
        let same_log = read.told.as_ref().is_some_and(|told| told.epoch == page.head.epoch);
        if same_log && page.complete {
            return Ok(Some((read, Position { epoch: page.head.epoch, offset: after })));
        }
        if !same_log && after > 0 {
            page = self.bus.read(channel, 0, 1).await.map_err(|why| bus_status(&why))?;
        }
        let offset = page.entries.first().map_or(page.head.offset, |entry| entry.previous_offset);
        Ok(Some((read, Position { epoch: page.head.epoch, offset })))
    }

    async fn is_participant(&self, principal: &Principal, order: &Order) -> Result<bool, String> {
        let user = principal.user_id.as_str();
        let is =
            |learned: &Option<crate::rules::order::Learned>| learned.as_ref().is_some_and(|l| l.id == user);
        if is(&order.customer) || is(&order.rider) {
            return Ok(true);
        }
        let Some(restaurant) = &order.restaurant else { return Ok(false) };
        if principal.has_restaurant(&restaurant.id) {
            return Ok(true);
        }
        let channel = Channel::new(ChannelKind::Restaurant, &restaurant.id).map_err(|why| why.to_string())?;
        self.store.grants.has(user, &channel, self.clock.now()).await
    }
}

#[async_trait]
impl Domain for Orders {
    async fn publish(&self, event: Event, channels: Vec<Channel>) -> Result<v1::PublishResponse, Status> {
        let Some(update) = recognise(&event, &channels) else {
            if channels.is_empty() {
                return Err(invalid("channels", "must name at least one"));
            }
            return tell(&*self.bus, &event, &channels).await;
        };
        let Told { event_id, outcome, kept, note, .. } = self.take(update, Audience::Named(channels)).await?;
        Ok(v1::PublishResponse { event_id: event_id.to_string(), outcome: outcome.into(), kept, note })
    }

    async fn authorize(&self, principal: &Principal, token: &str, channel: &Channel) -> Verdict {
        if channel.kind() == ChannelKind::Order {
            let order = match self.store.read(channel.id()).await {
                Ok(order) => order,
                Err(why) => return Verdict::Undecided(why.to_string()),
            };
            if let Some(read) = order {
                match self.is_participant(principal, &read.order).await {
                    Ok(true) => return Verdict::Allowed(self.valid_for),
                    Ok(false) => {}
                    Err(why) => return Verdict::Undecided(why),
                }
            }
        }
        self.access.decide(principal, token, channel).await
    }

    async fn snapshot(&self, channel: &Channel) -> Result<Snapshot, Status> {
        if channel.kind() != ChannelKind::Order {
            return Ok(Snapshot::NONE);
        }
        let state = self.snapshot_of(channel).await?.map(|(Read { order, payload, .. }, position)| {
            let id = EventId::derived(&["order.snapshot", &order.order_id, &order.version.to_string()]);
            let event = envelope::about_order(
                id,
                EventType::named("order.snapshot"),
                order.occurred_at(),
                &order,
                &payload,
                "",
            );
            (event, position)
        });
        Ok(Snapshot { state, values: None })
    }

    async fn grant(
        &self,
        user: &str,
        channel: &Channel,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Status> {
        refuse_own_feed(channel)?;
        self.store.grants.grant(user, channel, expires_at).await.map_err(|why| store_status(why.into()))
    }

    async fn revoke(&self, user: &str, channel: &Channel) -> Result<bool, Status> {
        refuse_own_feed(channel)?;
        let now = self.clock.now();
        let revoked = self.store.grants.revoke(user, channel, now).await;
        let (stream, existed) = revoked.map_err(|why| store_status(why.into()))?;
        self.store.drain(&[stream], now).await.map_err(untold_status)?;
        Ok(existed)
    }

    async fn call(&self, sender: &Sender, method: &str, data: Bytes) -> Result<Bytes, Status> {
        match method {
            "get" => self.get(sender, &data).await,
            _ => Err(Status::unimplemented(format!("orders have no method {method:?}"))),
        }
    }
}

fn refuse_own_feed(channel: &Channel) -> Result<(), Status> {
    if channel.kind().is_own_feed() {
        return Err(invalid(
            "channel",
            format!("{channel} is a user's own feed, which nobody else may read; grant another channel"),
        ));
    }
    Ok(())
}

fn explain(order: &Order, outcome: Outcome, repeated: bool) -> (v1::Outcome, String) {
    let version = order.version;
    match outcome {
        Outcome::New { .. } if repeated => (
            v1::Outcome::Published,
            "this event_id was kept before; channels that did not have it were told".to_owned(),
        ),
        Outcome::New { unusual: None } => (v1::Outcome::Published, String::new()),
        Outcome::New { unusual: Some((from, to)) } => {
            let labels = [("from", from.word()), ("to", to.word())];
            metrics::counter!("realtime_orders_unexpected_steps_total", &labels).increment(1);
            tracing::warn!(
                order = order.order_id,
                from = from.word(),
                to = to.word(),
                "unexpected status change"
            );
            (
                v1::Outcome::Published,
                format!("unexpected status change from {} to {}; told all the same", from.word(), to.word()),
            )
        }
        Outcome::Superseded => (
            v1::Outcome::Superseded,
            format!("older than version {version}, which is {}; not told", order.status.word()),
        ),
        Outcome::Duplicate if repeated => {
            (v1::Outcome::Duplicate, "this event_id was kept before".to_owned())
        }
        Outcome::Duplicate => {
            (v1::Outcome::Duplicate, format!("version {version} was kept before with the same content"))
        }
        Outcome::Conflict => {
            tracing::warn!(order = order.order_id, version, "an update contradicts the version that is held");
            (
                v1::Outcome::Conflict,
                format!("version {version} is held with other content; kept for you to look at, not told"),
            )
        }
    }
}

fn kept_places(places: Vec<Place>, duplicate: bool) -> Vec<v1::Kept> {
    let kept = places.into_iter().map(|Place { channel, position }| v1::Kept {
        channel: channel.to_string(),
        position: Some(position.into()),
        duplicate,
    });
    kept.collect()
}

fn store_status(error: StoreError) -> Status {
    match error {
        StoreError::Database(_) => Status::unavailable(error.to_string()),
        StoreError::State(..) => Status::internal(error.to_string()),
        StoreError::Name(why) => invalid("update.order_id", why),
    }
}
