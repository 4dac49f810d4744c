//! Deliveries: what Django says of them, what the riders' fixes add, and who is told.
//!
//! One transaction keeps a change and everything that follows from it: the delivery's row is locked, the pure
//! rule decides, and delivery, event id, offers that it makes void and what is told are written together.
//!
//! Locks are taken in one order everywhere: delivery, offers, timers, the delivery's stream, the tier's own.

use platepal_events::{Channel, ChannelKind, Event, EventId, EventType, Timestamp};
use platepal_service::{
    outbox::Letter,
    sql::{Row, Transaction, Value},
};
use serde_json::json;

use super::{Store, StoreError};
use crate::rules::{
    delivery::Outcome,
    envelope,
    fence::Zone,
    record::{Delivery, Update},
};

/// A change to keep.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    /// Names the change.
    pub(crate) event_id: EventId,
    pub(crate) update: Update,
    /// Told as well as the participants.
    pub(crate) channels: Vec<Channel>,
    pub(crate) traceparent: String,
}

/// What became of a change.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) read: Read,
    pub(crate) outcome: Outcome,
    /// The event id was known: nothing was done.
    pub(crate) repeated: bool,
    /// Riders that it concerns: who brings it now, and who did before.
    pub(crate) riders: Vec<String>,
    /// Streams in which something waits now.
    pub(crate) streams: Vec<Channel>,
}

/// A delivery and the object that Django serialised, empty if there is none.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) delivery: Delivery,
    pub(crate) payload: String,
}

impl Store {
    /// Keeps a change and all that follows from it.
    pub(crate) async fn put(&self, put: &Put, now: Timestamp) -> Result<Kept, StoreError> {
        let mut tx = self.database.begin().await?;
        let kept = self.put_in(&mut tx, put, now).await?;
        tx.commit().await?;
        Ok(kept)
    }

    async fn put_in(&self, tx: &mut Transaction, put: &Put, now: Timestamp) -> Result<Kept, StoreError> {
        let Put { event_id, update, .. } = put;
        let stream = Channel::new(ChannelKind::Track, &update.delivery_id)?;
        // A row to lock, also for a delivery that is new.
        tx.execute(
            "INSERT INTO tracking_deliveries (delivery_id, rider_id, status, version, state, payload, changed_at, \
             ended_at) VALUES ($1, '', '', 0, '', '', $2, NULL) ON CONFLICT (delivery_id) DO NOTHING",
            &[(&update.delivery_id).into(), now.micros().into()],
        )
        .await?;
        let held = self.lock_delivery(tx, &update.delivery_id).await?;
        if let Some(read) = self.repeated(tx, event_id, &held).await? {
            let riders = riders([Some(&read.delivery)]);
            let outcome = Outcome::Duplicate;
            return Ok(Kept { read, outcome, repeated: true, riders, streams: vec![stream] });
        }
        let before = held.as_ref().map(|read| read.delivery.clone());
        let kept_payload = held.map(|read| read.payload).unwrap_or_default();
        let (delivery, outcome) = Delivery::apply(before.clone(), update);
        tx.execute(
            "INSERT INTO tracking_changes (event_id, delivery_id, outcome, kept_at) VALUES ($1, $2, $3, $4)",
            &[
                event_id.as_str().into(),
                (&update.delivery_id).into(),
                outcome.word().into(),
                now.micros().into(),
            ],
        )
        .await?;
        let riders = riders([Some(&delivery), before.as_ref()]);
        let is_new = matches!(outcome, Outcome::New { .. });
        let mut payload = kept_payload;
        let mut streams = vec![stream.clone()];
        if is_new {
            if !update.payload.is_empty() {
                payload.clone_from(&update.payload);
            }
            if let Some(why) = delivery.taken() {
                self.cancel_open_offers(tx, &delivery, why, now).await?;
            }
            self.save_delivery(tx, &delivery, Some(&payload), now).await?;
            for letter in letters(put, before.as_ref(), &delivery, &stream)? {
                self.outbox.put(tx, &letter, now).await?;
            }
            if before.is_some_and(|before| before.lasts()) && !delivery.lasts() {
                streams.push(self.close_channel(tx, &stream, now).await?);
            }
        }
        Ok(Kept { read: Read { delivery, payload }, outcome, repeated: false, riders, streams })
    }

    /// The rules saw the rider of a delivery arrive. What follows is kept and put to be told; the stream to
    /// drain after the commit, if something is told. A rider who does not bring it (any more) arrives nowhere.
    pub(crate) async fn arrive(
        &self,
        tx: &mut Transaction,
        (delivery_id, rider_id): (&str, &str),
        zone: Zone,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Channel>, StoreError> {
        let Some(Read { mut delivery, .. }) = self.lock_delivery(tx, delivery_id).await? else {
            return Ok(None);
        };
        if delivery.rider_id != rider_id || !delivery.lasts() {
            return Ok(None);
        }
        let before = delivery.clone();
        let previous = delivery.arrive(zone, at);
        if delivery != before {
            self.save_delivery(tx, &delivery, None, now).await?;
        }
        let Some(previous) = previous else { return Ok(None) };
        let stream = Channel::new(ChannelKind::Track, delivery_id)?;
        let id = EventId::derived(&["tracking", "arrived", delivery_id, rider_id, &at.micros().to_string()]);
        // Not with Django's object: that says the status before.
        let payload = delivery.payload("", Some(previous));
        let event = envelope::event(
            id,
            EventType::named("delivery.status_changed"),
            at,
            ("delivery", delivery_id),
            &payload,
            "",
        );
        let mut channels = vec![stream.clone()];
        channels.extend(participants(&delivery));
        self.outbox.put(tx, &Letter { stream: stream.clone(), event, channels }, now).await?;
        metrics::counter!("realtime_tracking_arrivals_total").increment(1);
        Ok(Some(stream))
    }

    /// Tells the edges that nobody may read a channel any more; the stream to drain.
    async fn close_channel(
        &self,
        tx: &mut Transaction,
        channel: &Channel,
        now: Timestamp,
    ) -> Result<Channel, StoreError> {
        let stream = Channel::sessions();
        let payload = json!({"channel": channel.as_str()}).to_string();
        let event = Event::new(EventId::make(), EventType::named("grant.revoked"), payload, now);
        let letter = Letter { stream: stream.clone(), event, channels: vec![stream.clone()] };
        self.outbox.put(tx, &letter, now).await?;
        Ok(stream)
    }

    /// A delivery, locked until the end of the transaction.
    pub(super) async fn lock_delivery(
        &self,
        tx: &mut Transaction,
        delivery_id: &str,
    ) -> Result<Option<Read>, StoreError> {
        let sql = format!("{READ} WHERE delivery_id = $1{}", tx.for_update());
        tx.row(&sql, &[delivery_id.into()]).await?.as_ref().map(read).transpose().map(Option::flatten)
    }

    /// The delivery of an event id that is known.
    async fn repeated(
        &self,
        tx: &mut Transaction,
        event_id: &EventId,
        held: &Option<Read>,
    ) -> Result<Option<Read>, StoreError> {
        let sql = "SELECT delivery_id FROM tracking_changes WHERE event_id = $1";
        let Some(row) = tx.row(sql, &[event_id.as_str().into()]).await? else { return Ok(None) };
        let delivery_id = row.text("delivery_id")?;
        match held {
            Some(held) if held.delivery.delivery_id == delivery_id => Ok(Some(held.clone())),
            // The id was used for another delivery.
            _ => {
                let row = tx.row(&format!("{READ} WHERE delivery_id = $1"), &[(&delivery_id).into()]).await?;
                row.as_ref().map(read).transpose().map(Option::flatten)
            }
        }
    }

    /// Writes a delivery; without a payload, that stays as it is.
    pub(super) async fn save_delivery(
        &self,
        tx: &mut Transaction,
        delivery: &Delivery,
        payload: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let state = serde_json::to_string(delivery)
            .map_err(|why| StoreError::State(delivery.delivery_id.clone(), why))?;
        let ended_at = (!delivery.lasts()).then(|| delivery.occurred_at().micros());
        tx.execute(
            "UPDATE tracking_deliveries SET rider_id = $2, status = $3, version = $4, state = $5, \
             payload = COALESCE($6, payload), changed_at = $7, ended_at = $8 WHERE delivery_id = $1",
            &[
                (&delivery.delivery_id).into(),
                (&delivery.rider_id).into(),
                delivery.status().word().into(),
                i64::try_from(delivery.version()).unwrap_or(i64::MAX).into(),
                (&state).into(),
                Value::Text(payload),
                now.micros().into(),
                ended_at.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// A delivery; `None` if it was never put.
    pub(crate) async fn delivery(&self, delivery_id: &str) -> Result<Option<Read>, StoreError> {
        let rows =
            self.database.rows(&format!("{READ} WHERE delivery_id = $1"), &[delivery_id.into()]).await?;
        rows.first().map(read).transpose().map(Option::flatten)
    }

    /// The deliveries of a rider that last.
    pub(super) async fn open_deliveries_of(&self, rider_id: &str) -> Result<Vec<Read>, StoreError> {
        let sql = format!("{READ} WHERE rider_id = $1 AND ended_at IS NULL ORDER BY delivery_id");
        let rows = self.database.rows(&sql, &[rider_id.into()]).await?;
        rows.iter().filter_map(|row| read(row).transpose()).collect()
    }

    /// The deliveries of a rider that changed last, also those that have ended.
    pub(super) async fn newest_deliveries_of(&self, rider_id: &str) -> Result<Vec<Read>, StoreError> {
        let sql = format!("{READ} WHERE rider_id = $1 ORDER BY changed_at DESC LIMIT $2");
        let values = [rider_id.into(), i64::from(self.settings.chunk).into()];
        let rows = self.database.rows(&sql, &values).await?;
        rows.iter().filter_map(|row| read(row).transpose()).collect()
    }
}

const READ: &str = "SELECT delivery_id, state, payload FROM tracking_deliveries";

fn read(row: &Row) -> Result<Option<Read>, StoreError> {
    let state = row.text("state")?;
    if state.is_empty() {
        return Ok(None);
    }
    let delivery_id = row.text("delivery_id")?;
    let delivery = serde_json::from_str(&state).map_err(|why| StoreError::State(delivery_id, why))?;
    Ok(Some(Read { delivery, payload: row.text("payload")? }))
}

/// What a change tells: its participants with Django's object; whoever follows it by `track:{id}`, perhaps
/// without an account, without that; and the rider from whom it was taken.
fn letters(
    put: &Put,
    before: Option<&Delivery>,
    after: &Delivery,
    stream: &Channel,
) -> Result<Vec<Letter>, StoreError> {
    let Put { event_id, update, channels: named, traceparent } = put;
    let previous = before.map(Delivery::status);
    let former = before
        .map(|before| before.rider_id.as_str())
        .filter(|former| !former.is_empty() && *former != after.rider_id);
    let is_assigned =
        !after.rider_id.is_empty() && before.is_none_or(|before| before.rider_id != after.rider_id);
    let assigned_or_changed = if is_assigned { "delivery.assigned" } else { "delivery.status_changed" };
    let letter = |id: EventId, name: &'static str, payload: &str, channels: Vec<Channel>| {
        let about = ("delivery", after.delivery_id.as_str());
        let event =
            envelope::event(id, EventType::named(name), after.occurred_at(), about, payload, traceparent);
        Letter { stream: stream.clone(), event, channels }
    };
    let mut channels = participants(after);
    for channel in named {
        if !channels.contains(channel) && channel != stream {
            channels.push(channel.clone());
        }
    }
    let bare = after.payload("", previous);
    let track = EventId::derived(&[event_id.as_str(), "track"]);
    let mut letters = vec![
        letter(event_id.clone(), assigned_or_changed, &after.payload(&update.payload, previous), channels),
        letter(track, assigned_or_changed, &bare, vec![stream.clone()]),
    ];
    letters.retain(|letter| !letter.channels.is_empty());
    if let Some(former) = former {
        let channel = Channel::new(ChannelKind::Rider, former)?;
        let id = EventId::derived(&[event_id.as_str(), "former"]);
        let payload = after.payload_for_former_rider(previous);
        letters.push(letter(id, "delivery.status_changed", &payload, vec![channel]));
    }
    Ok(letters)
}

/// The feeds of those who take part.
fn participants(delivery: &Delivery) -> Vec<Channel> {
    let people = [
        (ChannelKind::Customer, &delivery.customer_id),
        (ChannelKind::Restaurant, &delivery.restaurant_id),
        (ChannelKind::Rider, &delivery.rider_id),
    ];
    people.into_iter().filter_map(|(kind, id)| Channel::new(kind, id).ok()).collect()
}

/// The riders of some states of a delivery, each once.
fn riders<const N: usize>(deliveries: [Option<&Delivery>; N]) -> Vec<String> {
    let mut riders: Vec<String> = deliveries
        .into_iter()
        .flatten()
        .map(|delivery| delivery.rider_id.clone())
        .filter(|rider| !rider.is_empty())
        .collect();
    riders.sort_unstable();
    riders.dedup();
    riders
}

impl Outcome {
    /// Its word in the table and in metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::New { .. } => "published",
            Self::Superseded => "superseded",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
        }
    }
}
