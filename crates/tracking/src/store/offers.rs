//! Job offers: made, settled once, expired by a timer that survives restarts.
//!
//! The delivery's row is locked first in every transaction here, so of two that settle at the same time one
//! sees what the other did.

use platepal_events::{Channel, ChannelKind, EventId, EventType, Timestamp};
use platepal_service::{
    outbox::Letter,
    sql::{Row, Transaction},
    timers::Timer,
};
use serde_json::json;

use super::{Store, StoreError, deliveries::Read};
use crate::rules::{
    envelope,
    offer::{self, OfferStatus},
    record::Delivery,
};

/// The timer of an offer; its subject is the offer's id.
const EXPIRY: &str = "offer";

/// An offer as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Offer {
    pub(crate) offer_id: String,
    pub(crate) delivery_id: String,
    pub(crate) rider_id: String,
    /// Which offer of its delivery it is, from 1.
    pub(crate) attempt: u32,
    pub(crate) status: OfferStatus,
    /// For people; empty: none was given.
    pub(crate) reason: String,
    /// The offer as JSON, as it came; empty: none.
    pub(crate) payload: String,
    pub(crate) expires_at: Timestamp,
}

/// An offer to make.
#[derive(Debug, Clone)]
pub(crate) struct NewOffer {
    pub(crate) offer_id: String,
    pub(crate) delivery_id: String,
    pub(crate) rider_id: String,
    /// A JSON object; empty: none.
    pub(crate) payload: String,
    pub(crate) expires_at: Timestamp,
}

/// What became of an offer to make.
#[derive(Debug)]
pub(crate) enum Made {
    /// It is made, or was made before.
    Offer { offer: Offer, already: bool, stream: Channel },
    /// Its id is that of an offer of another delivery or to another rider.
    OtherOffer,
    /// The delivery was never put.
    NoDelivery,
    /// Nobody can take the delivery (any more).
    Taken(&'static str),
}

/// What became of a wish to settle an offer.
#[derive(Debug)]
pub(crate) struct Settled {
    /// As it is settled.
    pub(crate) offer: Offer,
    /// As it was asked for, by this call or by one before.
    pub(crate) as_asked: bool,
    /// In which something may wait.
    pub(crate) stream: Channel,
}

impl Store {
    /// Makes an offer.
    pub(crate) async fn offer(&self, new: &NewOffer, now: Timestamp) -> Result<Made, StoreError> {
        let stream = Channel::new(ChannelKind::Track, &new.delivery_id)?;
        let mut tx = self.database.begin().await?;
        let Some(Read { delivery, .. }) = self.lock_delivery(&mut tx, &new.delivery_id).await? else {
            return Ok(Made::NoDelivery);
        };
        if let Some(offer) = self.lock_offer(&mut tx, &new.offer_id).await? {
            let is_same = offer.delivery_id == new.delivery_id && offer.rider_id == new.rider_id;
            return Ok(if is_same { Made::Offer { offer, already: true, stream } } else { Made::OtherOffer });
        }
        if let Some(why) = delivery.taken() {
            return Ok(Made::Taken(why));
        }
        let offer = Offer {
            offer_id: new.offer_id.clone(),
            delivery_id: new.delivery_id.clone(),
            rider_id: new.rider_id.clone(),
            attempt: u32::try_from(self.statuses(&mut tx, &new.delivery_id).await?.len())
                .unwrap_or(u32::MAX)
                .saturating_add(1),
            status: OfferStatus::Offered,
            reason: String::new(),
            payload: new.payload.clone(),
            expires_at: new.expires_at,
        };
        tx.execute(
            "INSERT INTO tracking_offers (offer_id, delivery_id, rider_id, attempt, status, reason, payload, \
             expires_at, settled_at) VALUES ($1, $2, $3, $4, $5, '', $6, $7, NULL)",
            &[
                (&offer.offer_id).into(),
                (&offer.delivery_id).into(),
                (&offer.rider_id).into(),
                i64::from(offer.attempt).into(),
                offer.status.word().into(),
                (&offer.payload).into(),
                offer.expires_at.micros().into(),
            ],
        )
        .await?;
        self.timers.replace(&mut tx, &offer.offer_id, &[(EXPIRY, offer.expires_at)]).await?;
        self.tell_of_offer(&mut tx, &offer, &delivery, now).await?;
        tx.commit().await?;
        count(OfferStatus::Offered);
        Ok(Made::Offer { offer, already: false, stream })
    }

    /// Settles an offer; `None` if there is no such offer.
    pub(crate) async fn settle(
        &self,
        offer_id: &str,
        wanted: OfferStatus,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<Settled>, StoreError> {
        let Some(delivery_id) = self.delivery_of_offer(offer_id).await? else { return Ok(None) };
        let mut tx = self.database.begin().await?;
        let settled = self.settle_in(&mut tx, (offer_id, &delivery_id), wanted, reason, now).await?;
        tx.commit().await?;
        Ok(settled)
    }

    /// The timer of an offer is due; the stream in which its event waits, or `None` if the offer was settled
    /// meanwhile.
    pub(crate) async fn expire(&self, timer: &Timer, now: Timestamp) -> Result<Option<Channel>, StoreError> {
        let offer_id = timer.subject.as_str();
        let delivery_id = self.delivery_of_offer(offer_id).await?.unwrap_or_default();
        let mut tx = self.database.begin().await?;
        // The lock comes first and the timer second, as everywhere.
        self.lock_delivery(&mut tx, &delivery_id).await?;
        if !self.timers.take(&mut tx, timer).await? {
            return Ok(None);
        }
        let expired =
            self.settle_in(&mut tx, (offer_id, &delivery_id), OfferStatus::Expired, "", now).await?;
        tx.commit().await?;
        Ok(expired.map(|settled| settled.stream))
    }

    async fn settle_in(
        &self,
        tx: &mut Transaction,
        (offer_id, delivery_id): (&str, &str),
        wanted: OfferStatus,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<Settled>, StoreError> {
        let held = self.lock_delivery(tx, delivery_id).await?;
        let (Some(Read { mut delivery, .. }), Some(mut offer)) = (held, self.lock_offer(tx, offer_id).await?)
        else {
            return Ok(None);
        };
        let stream = Channel::new(ChannelKind::Track, delivery_id)?;
        let taken = delivery.taken();
        let rule = offer::Offer {
            offer_id: offer.offer_id.clone(),
            status: offer.status,
            expires_at: offer.expires_at,
        };
        let (status, as_asked) = match offer::settle(&rule, wanted, taken.is_some(), now) {
            offer::Settled::Now(status) => (status, true),
            offer::Settled::Otherwise { is, write: true } => (is, false),
            offer::Settled::Again(_) => return Ok(Some(Settled { offer, as_asked: true, stream })),
            offer::Settled::Otherwise { write: false, .. } | offer::Settled::NotAWay => {
                return Ok(Some(Settled { offer, as_asked: false, stream }));
            }
        };
        let reason = match status {
            _ if as_asked => reason,
            OfferStatus::Cancelled => taken.unwrap_or_default(),
            _ => "",
        };
        self.close_offer(tx, &mut offer, status, reason, now).await?;
        let before = delivery.clone();
        if status == OfferStatus::Accepted {
            delivery.taken_by = Some(offer.offer_id.clone());
            self.cancel_open_offers(tx, &delivery, "another rider has accepted it", now).await?;
        }
        self.tell_of_offer(tx, &offer, &delivery, now).await?;
        if !delivery.escalated && delivery.taken().is_none() {
            let statuses = self.statuses(tx, delivery_id).await?;
            if offer::escalates(statuses.iter().copied(), self.settings.offers) {
                delivery.escalated = true;
                self.escalate(tx, &delivery, statuses.len(), now).await?;
            }
        }
        if delivery != before {
            self.save_delivery(tx, &delivery, None, now).await?;
        }
        Ok(Some(Settled { offer, as_asked, stream }))
    }

    /// Cancels what is open of a delivery; each rider is told.
    pub(super) async fn cancel_open_offers(
        &self,
        tx: &mut Transaction,
        delivery: &Delivery,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "{OFFER} WHERE delivery_id = $1 AND status = 'OFFERED' ORDER BY attempt{}",
            tx.for_update()
        );
        let rows = tx.rows(&sql, &[(&delivery.delivery_id).into()]).await?;
        for row in &rows {
            let mut offer = read(row)?;
            self.close_offer(tx, &mut offer, OfferStatus::Cancelled, why, now).await?;
            self.tell_of_offer(tx, &offer, delivery, now).await?;
        }
        Ok(())
    }

    async fn close_offer(
        &self,
        tx: &mut Transaction,
        offer: &mut Offer,
        status: OfferStatus,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        offer.status = status;
        reason.clone_into(&mut offer.reason);
        tx.execute(
            "UPDATE tracking_offers SET status = $2, reason = $3, settled_at = $4 WHERE offer_id = $1",
            &[(&offer.offer_id).into(), status.word().into(), reason.into(), now.micros().into()],
        )
        .await?;
        self.timers.replace(tx, &offer.offer_id, &[]).await?;
        count(status);
        Ok(())
    }

    /// What an offer has become is the rider's to know, and, but for the offer itself, admin's.
    async fn tell_of_offer(
        &self,
        tx: &mut Transaction,
        offer: &Offer,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let is_open = offer.status == OfferStatus::Offered;
        let mut more = vec![
            ("offer_id", envelope::id(&offer.offer_id)),
            ("delivery_id", envelope::id(&offer.delivery_id)),
            ("order_id", envelope::id(&delivery.order_id)),
            ("rider_id", envelope::id(&offer.rider_id)),
            ("status", json!(offer.status.word())),
            ("attempt", json!(offer.attempt)),
            ("expires_at", json!(offer.expires_at.to_string())),
        ];
        if !offer.reason.is_empty() {
            more.push(("reason", json!(offer.reason)));
        }
        let payload = envelope::with(if is_open { &offer.payload } else { "" }, &more);
        let name = offer.status.type_name();
        let id = EventId::derived(&["tracking", name, &offer.offer_id]);
        let event = envelope::event(
            id,
            EventType::named(name),
            now,
            ("DeliveryOffer", &offer.offer_id),
            &payload,
            "",
        );
        let mut channels = vec![Channel::new(ChannelKind::Rider, &offer.rider_id)?];
        if !is_open {
            channels.push(Channel::new(ChannelKind::Admin, "")?);
        }
        let stream = Channel::new(ChannelKind::Track, &offer.delivery_id)?;
        self.outbox.put(tx, &Letter { stream, event, channels }, now).await?;
        Ok(())
    }

    /// Nobody took it: admin is told, once.
    async fn escalate(
        &self,
        tx: &mut Transaction,
        delivery: &Delivery,
        offers: usize,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let payload = json!({
            "delivery_id": envelope::id(&delivery.delivery_id),
            "order_id": envelope::id(&delivery.order_id),
            "restaurant_id": envelope::id(&delivery.restaurant_id),
            "reason": "no_rider_accepted",
            "total_offers_sent": offers,
        });
        let name = "delivery.escalation";
        let id = EventId::derived(&["tracking", name, &delivery.delivery_id]);
        let about = ("delivery", delivery.delivery_id.as_str());
        let event = envelope::event(id, EventType::named(name), now, about, &payload.to_string(), "");
        let channels = vec![Channel::new(ChannelKind::Admin, "")?];
        let stream = Channel::new(ChannelKind::Track, &delivery.delivery_id)?;
        self.outbox.put(tx, &Letter { stream, event, channels }, now).await?;
        metrics::counter!("realtime_tracking_escalations_total").increment(1);
        Ok(())
    }

    /// How all offers of a delivery stand.
    async fn statuses(
        &self,
        tx: &mut Transaction,
        delivery_id: &str,
    ) -> Result<Vec<OfferStatus>, StoreError> {
        let sql = "SELECT status FROM tracking_offers WHERE delivery_id = $1 ORDER BY attempt";
        let rows = tx.rows(sql, &[delivery_id.into()]).await?;
        rows.iter().map(|row| status(row.text("status")?)).collect()
    }

    async fn lock_offer(&self, tx: &mut Transaction, offer_id: &str) -> Result<Option<Offer>, StoreError> {
        let sql = format!("{OFFER} WHERE offer_id = $1{}", tx.for_update());
        tx.row(&sql, &[offer_id.into()]).await?.as_ref().map(read).transpose()
    }

    /// The delivery that an offer is of; it never changes.
    async fn delivery_of_offer(&self, offer_id: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT delivery_id FROM tracking_offers WHERE offer_id = $1";
        let rows = self.database.rows(sql, &[offer_id.into()]).await?;
        Ok(rows.first().map(|row| row.text("delivery_id")).transpose()?)
    }

    /// An offer; `None` if there is no such offer.
    pub(crate) async fn offer_of(&self, offer_id: &str) -> Result<Option<Offer>, StoreError> {
        let rows = self.database.rows(&format!("{OFFER} WHERE offer_id = $1"), &[offer_id.into()]).await?;
        rows.first().map(read).transpose()
    }
}

const OFFER: &str = "SELECT offer_id, delivery_id, rider_id, attempt, status, reason, payload, expires_at \
                     FROM tracking_offers";

fn read(row: &Row) -> Result<Offer, StoreError> {
    Ok(Offer {
        offer_id: row.text("offer_id")?,
        delivery_id: row.text("delivery_id")?,
        rider_id: row.text("rider_id")?,
        attempt: u32::try_from(row.int("attempt")?).unwrap_or(u32::MAX),
        status: status(row.text("status")?)?,
        reason: row.text("reason")?,
        payload: row.text("payload")?,
        expires_at: Timestamp::from_micros(row.int("expires_at")?),
    })
}

fn status(word: String) -> Result<OfferStatus, StoreError> {
    OfferStatus::from_word(&word).ok_or(StoreError::OfferStatus(word))
}

fn count(status: OfferStatus) {
    metrics::counter!("realtime_tracking_offers_total", "status" => status.word()).increment(1);
}
