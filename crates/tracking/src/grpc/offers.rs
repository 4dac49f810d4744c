//! Job offers, as Django makes and settles them, and as riders' apps answer them.
//!
//! An accepted offer assigns nothing: Django is the source of truth, hears of it, and puts the delivery with its
//! rider. Until then nobody else can be offered it.

use bytes::Bytes;
use platepal_events::millis;
use platepal_proto::v1;
use platepal_service::{domain::Sender, grpc::invalid, outbox::untold_status};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Status;
use uuid::Uuid;

use super::{
    Tracking,
    deliveries::{id, moment, object},
    store_status,
};
use crate::{
    rules::{envelope, offer::OfferStatus},
    store::offers::{Made, NewOffer, Offer, Settled},
};

/// The longest life of an offer, in milliseconds: a day.
const OFFER_MILLIS_MAX: i64 = 24 * 60 * 60 * 1_000;
/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 500;

/// The arguments of `tracking.accept_offer` and `tracking.decline_offer`.
#[derive(Deserialize)]
struct Answer {
    offer_id: Id,
    #[serde(default)]
    reason: Option<String>,
}

/// Django's ids are numbers, and texts elsewhere.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Tracking {
    pub(crate) async fn offer_job(
        &self,
        request: v1::OfferJobRequest,
    ) -> Result<v1::OfferJobResponse, Status> {
        let offer = request.offer.ok_or_else(|| invalid("offer", "must be set"))?;
        let now = self.clock.now();
        let default = now.plus_millis(millis(self.settings.offer_time));
        let expires_at = moment("offer.expires_at", offer.expires_at, default)?;
        if expires_at <= now {
            return Err(invalid("offer.expires_at", "must be in the future"));
        }
        if expires_at.millis_since(now) > OFFER_MILLIS_MAX {
            return Err(invalid("offer.expires_at", "must be within a day"));
        }
        id("offer.delivery_id", &offer.delivery_id)?;
        id("offer.rider_id", &offer.rider_id)?;
        let offer_id = if offer.offer_id.is_empty() { Uuid::now_v7().to_string() } else { offer.offer_id };
        id("offer.offer_id", &offer_id)?;
        let payload = object("offer.payload", &offer.payload)?;
        let (delivery_id, rider_id) = (offer.delivery_id, offer.rider_id);
        let new = NewOffer { offer_id, delivery_id, rider_id, payload, expires_at };
        match self.store.offer(&new, now).await.map_err(store_status)? {
            Made::Offer { offer, already, stream } => {
                self.store.outbox.drain(&stream, now).await.map_err(untold_status)?;
                Ok(v1::OfferJobResponse { offer: Some(message(offer)), already })
            }
            Made::OtherOffer => Err(Status::already_exists(format!(
                "offer {} is of another delivery or to another rider; give this one an id of its own",
                new.offer_id
            ))),
            Made::NoDelivery => Err(Status::failed_precondition(format!(
                "delivery {} was never put here; call PutDelivery first",
                new.delivery_id
            ))),
            Made::Taken(why) => Err(Status::failed_precondition(format!(
                "delivery {} can't be offered: {why}",
                new.delivery_id
            ))),
        }
    }

    pub(crate) async fn settle_offer(
        &self,
        request: v1::SettleOfferRequest,
    ) -> Result<v1::SettleOfferResponse, Status> {
        let status = request.status();
        id("offer_id", &request.offer_id)?;
        let wanted = OfferStatus::from_message(status)
            .filter(|wanted| !matches!(wanted, OfferStatus::Offered | OfferStatus::Expired))
            .ok_or_else(|| {
                invalid("status", "must be ACCEPTED, DECLINED or CANCELLED; offers expire by themselves")
            })?;
        let Settled { offer, as_asked, .. } = self.settle(&request.offer_id, wanted, &request.reason).await?;
        Ok(v1::SettleOfferResponse { offer: Some(message(offer)), settled: as_asked })
    }

    pub(crate) async fn get_offer(
        &self,
        request: v1::GetOfferRequest,
    ) -> Result<v1::GetOfferResponse, Status> {
        id("offer_id", &request.offer_id)?;
        let offer = self.store.offer_of(&request.offer_id).await.map_err(store_status)?;
        let offer = offer.ok_or_else(|| unknown(&request.offer_id))?;
        Ok(v1::GetOfferResponse { offer: Some(message(offer)) })
    }

    /// A rider's answer to an offer that was made to them.
    pub(super) async fn answer_offer(
        &self,
        sender: &Sender,
        wanted: OfferStatus,
        arguments: &[u8],
    ) -> Result<Bytes, Status> {
        let Answer { offer_id, reason } = serde_json::from_slice(arguments).map_err(|_| {
            invalid("data", r#"must be like {"offer_id": "…", "reason": "…"}; the reason may be left out"#)
        })?;
        let offer_id = match offer_id {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => text,
        };
        id("offer_id", &offer_id)?;
        let offer = self.store.offer_of(&offer_id).await.map_err(store_status)?;
        // Whoever it was not made to learns nothing of it, not even that it is there.
        if offer.is_none_or(|offer| offer.rider_id != sender.principal.user_id.as_str()) {
            return Err(Status::permission_denied("this offer was not made to this user"));
        }
        let settled = self.settle(&offer_id, wanted, reason.as_deref().unwrap_or_default()).await?;
        Ok(answer(&settled).to_string().into())
    }

    async fn settle(&self, offer_id: &str, wanted: OfferStatus, reason: &str) -> Result<Settled, Status> {
        if reason.len() > REASON_BYTES_MAX {
            return Err(invalid(
                "reason",
                format!("{} bytes, the limit is {REASON_BYTES_MAX}", reason.len()),
            ));
        }
        let now = self.clock.now();
        let settled = self.store.settle(offer_id, wanted, reason, now).await.map_err(store_status)?;
        let settled = settled.ok_or_else(|| unknown(offer_id))?;
        self.store.outbox.drain(&settled.stream, now).await.map_err(untold_status)?;
        Ok(settled)
    }
}

fn unknown(offer_id: &str) -> Status {
    Status::not_found(format!("there is no offer {offer_id}, or it was forgotten with its delivery"))
}

fn answer(settled: &Settled) -> Value {
    let Settled { offer, as_asked, .. } = settled;
    json!({
        "offer_id": envelope::id(&offer.offer_id),
        "delivery_id": envelope::id(&offer.delivery_id),
        "status": offer.status.word(),
        "settled": as_asked,
        "reason": offer.reason,
    })
}

fn message(offer: Offer) -> v1::Offer {
    v1::Offer {
        status: offer.status.to_message().into(),
        expires_at: Some(offer.expires_at.into()),
        payload: offer.payload.into_bytes().into(),
        attempt: offer.attempt,
        offer_id: offer.offer_id,
        delivery_id: offer.delivery_id,
        rider_id: offer.rider_id,
    }
}
