//! Deliveries: from messages to changes, with a clear error for each field, and back.

use platepal_events::{CHANNELS_PER_EVENT_MAX, Channel, Timestamp};
use platepal_proto::v1;
pub(super) use platepal_service::grpc::fields::{id, moment};
use platepal_service::{
    grpc::{
        fields::{event_id, maybe_id},
        invalid,
    },
    outbox::untold_status,
    trace,
};
use serde_json::Value;
use tonic::Status;

use super::{Tracking, store_status};
use crate::{
    rules::{
        delivery::{Change, DeliveryStatus, Outcome},
        envelope::OBJECT_BYTES_MAX,
        place::Place,
        record::{Delivery, Update, VERSION_MAX, digest},
    },
    store::deliveries::{Kept, Put, Read},
};

impl Tracking {
    pub(crate) async fn put_delivery(
        &self,
        request: v1::PutDeliveryRequest,
    ) -> Result<v1::PutDeliveryResponse, Status> {
        let v1::PutDeliveryRequest { event_id, delivery, channels } = request;
        let now = self.clock.now();
        let put = Put {
            event_id: self::event_id(&event_id)?,
            update: update(delivery.ok_or_else(|| invalid("delivery", "must be set"))?, now)?,
            channels: self::channels(&channels)?,
            traceparent: trace::current().unwrap_or_default(),
        };
        let (kept, note) = self.take(&put, now).await?;
        Ok(v1::PutDeliveryResponse {
            event_id: put.event_id.to_string(),
            outcome: kept.outcome.message().into(),
            delivery: Some(message(kept.read)),
            note,
        })
    }

    pub(crate) async fn end_delivery(
        &self,
        request: v1::EndDeliveryRequest,
    ) -> Result<v1::EndDeliveryResponse, Status> {
        let status = request.status();
        let v1::EndDeliveryRequest { event_id, delivery_id, occurred_at, .. } = request;
        id("delivery_id", &delivery_id)?;
        let now = self.clock.now();
        let status =
            DeliveryStatus::from_message(status).filter(|status| status.is_end()).ok_or_else(|| {
                invalid(
                    "status",
                    "must be a status in which a delivery ends: DELIVERED, FAILED, CANCELLED or REJECTED",
                )
            })?;
        let at = moment("occurred_at", occurred_at, now)?;
        let event_id = self::event_id(&event_id)?;
        if self.store.delivery(&delivery_id).await.map_err(store_status)?.is_none() {
            return Err(unknown(&delivery_id));
        }
        let update = Update::of_status(delivery_id, status, at);
        let traceparent = trace::current().unwrap_or_default();
        let put = Put { event_id, update, channels: Vec::new(), traceparent };
        let (kept, _) = self.take(&put, now).await?;
        Ok(v1::EndDeliveryResponse {
            event_id: put.event_id.to_string(),
            outcome: kept.outcome.message().into(),
            delivery: Some(message(kept.read)),
        })
    }

    pub(crate) async fn get_delivery(
        &self,
        request: v1::GetDeliveryRequest,
    ) -> Result<v1::GetDeliveryResponse, Status> {
        let id = request.delivery_id;
        self::id("delivery_id", &id)?;
        let read = self.store.delivery(&id).await.map_err(store_status)?.ok_or_else(|| unknown(&id))?;
        let moment = |micros: Option<i64>| micros.map(|micros| Timestamp::from_micros(micros).into());
        Ok(v1::GetDeliveryResponse {
            arrived_at_pickup: moment(read.delivery.arrived_at_pickup),
            arrived_at_dropoff: moment(read.delivery.arrived_at_dropoff),
            delivery: Some(message(read)),
        })
    }

    /// Keeps a change, has the riders' owners know of it, and tells it; with a note for people.
    async fn take(&self, put: &Put, now: Timestamp) -> Result<(Kept, String), Status> {
        let kept = self.store.put(put, now).await.map_err(store_status)?;
        // First, so that nobody sees a position that is no longer theirs to see after the call is answered.
        for rider in &kept.riders {
            self.reload(rider).await?;
        }
        // A newest value outlives what it was about, unless another takes its place.
        if !kept.read.delivery.lasts() && !kept.riders.is_empty() {
            self.blank_positions(std::slice::from_ref(&kept.read), now).await?;
        }
        if matches!(kept.outcome, Outcome::New { .. }) && !kept.read.delivery.lasts() {
            self.drives.ended(&kept.read.delivery.delivery_id);
        }
        for stream in &kept.streams {
            self.store.outbox.drain(stream, now).await.map_err(untold_status)?;
        }
        let note = explain(&kept);
        let outcome = kept.outcome.message().as_str_name();
        metrics::counter!("realtime_tracking_changes_total", "outcome" => outcome).increment(1);
        Ok((kept, note))
    }
}

fn explain(kept: &Kept) -> String {
    let delivery = &kept.read.delivery;
    let version = delivery.version();
    match kept.outcome {
        Outcome::New { unusual: None } => String::new(),
        Outcome::New { unusual: Some((from, to)) } => {
            let labels = [("from", from.word()), ("to", to.word())];
            metrics::counter!("realtime_tracking_unexpected_steps_total", &labels).increment(1);
            tracing::warn!(
                delivery = delivery.delivery_id,
                from = from.word(),
                to = to.word(),
                "unexpected status change"
            );
            format!("unexpected status change from {} to {}; told all the same", from.word(), to.word())
        }
        Outcome::Superseded => {
            format!("older than version {version}, which is {}; not told", delivery.status().word())
        }
        Outcome::Duplicate if kept.repeated => "this event_id was kept before".to_owned(),
        Outcome::Duplicate => format!("version {version} was kept before with the same content"),
        Outcome::Conflict => {
            tracing::warn!(
                delivery = delivery.delivery_id,
                version,
                "a change contradicts the version that is held"
            );
            format!("version {version} is held with other content; not told")
        }
    }
}

impl Outcome {
    fn message(self) -> v1::Outcome {
        match self {
            Self::New { .. } => v1::Outcome::Published,
            Self::Superseded => v1::Outcome::Superseded,
            Self::Duplicate => v1::Outcome::Duplicate,
            Self::Conflict => v1::Outcome::Conflict,
        }
    }
}

fn update(message: v1::Delivery, now: Timestamp) -> Result<Update, Status> {
    let status = message.status();
    id("delivery.delivery_id", &message.delivery_id)?;
    let status = match (DeliveryStatus::from_message(status), message.status) {
        (Some(status), _) => status,
        (None, 0) => return Err(invalid("delivery.status", "must be set")),
        (None, _) => return Err(invalid("delivery.status", "is not a status that this version knows")),
    };
    maybe_id("delivery.order_id", &message.order_id)?;
    maybe_id("delivery.customer_id", &message.customer_id)?;
    maybe_id("delivery.restaurant_id", &message.restaurant_id)?;
    maybe_id("delivery.rider_id", &message.rider_id)?;
    if message.version > VERSION_MAX {
        return Err(invalid("delivery.version", format!("must be at most {VERSION_MAX}")));
    }
    let at = moment("delivery.occurred_at", message.occurred_at, now)?;
    let payload = object("delivery.payload", &message.payload)?;
    let places = [place("delivery.pickup", message.pickup)?, place("delivery.dropoff", message.dropoff)?];
    let ids = [&message.order_id, &message.customer_id, &message.restaurant_id, &message.rider_id];
    let digest = digest(status, &payload, &ids.map(String::as_str), places);
    let [pickup, dropoff] = places;
    Ok(Update {
        delivery_id: message.delivery_id,
        change: Change { status, version: message.version, at, digest },
        order_id: message.order_id,
        customer_id: message.customer_id,
        restaurant_id: message.restaurant_id,
        rider_id: message.rider_id,
        pickup,
        dropoff,
        payload,
    })
}

fn message(read: Read) -> v1::Delivery {
    let Read { delivery, payload } = read;
    let (status, version, occurred_at) = (delivery.status(), delivery.version(), delivery.occurred_at());
    let Delivery { delivery_id, order_id, customer_id, restaurant_id, rider_id, pickup, dropoff, .. } =
        delivery;
    let place =
        |place: Option<Place>| place.map(|Place { latitude, longitude }| v1::Place { latitude, longitude });
    v1::Delivery {
        delivery_id,
        order_id,
        status: status.to_message().into(),
        customer_id,
        restaurant_id,
        rider_id,
        pickup: place(pickup),
        dropoff: place(dropoff),
        version,
        occurred_at: Some(occurred_at.into()),
        payload: payload.into_bytes().into(),
    }
}

pub(super) fn unknown(delivery_id: &str) -> Status {
    Status::not_found(format!("delivery {delivery_id} was never put here"))
}

fn channels(names: &[String]) -> Result<Vec<Channel>, Status> {
    if names.len() > CHANNELS_PER_EVENT_MAX {
        return Err(invalid("channels", format!("{}, the limit is {CHANNELS_PER_EVENT_MAX}", names.len())));
    }
    names.iter().map(|name| name.parse::<Channel>().map_err(|why| invalid("channels", why))).collect()
}

/// A JSON object as it came; empty for none.
pub(super) fn object(field: &str, bytes: &[u8]) -> Result<String, Status> {
    if bytes.is_empty() {
        return Ok(String::new());
    }
    if bytes.len() > OBJECT_BYTES_MAX {
        return Err(invalid(
            field,
            format!(
                "{} bytes, the limit is {OBJECT_BYTES_MAX}: the envelope needs the rest of 64 KiB",
                bytes.len()
            ),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|why| invalid(field, format!("not UTF-8: {why}")))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) => Err(invalid(field, "must be a JSON object")),
        Err(why) => Err(invalid(field, format!("not JSON: {why}"))),
    }
}

fn place(field: &str, place: Option<v1::Place>) -> Result<Option<Place>, Status> {
    let Some(v1::Place { latitude, longitude }) = place else { return Ok(None) };
    if !(-90.0..=90.0).contains(&latitude) {
        return Err(invalid(&format!("{field}.latitude"), "must be degrees from -90 to 90"));
    }
    if !(-180.0..=180.0).contains(&longitude) {
        return Err(invalid(&format!("{field}.longitude"), "must be degrees from -180 to 180"));
    }
    Ok(Some(Place { latitude, longitude }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_service::grpc::blamed_field;

    use super::*;

    fn delivery() -> v1::Delivery {
        v1::Delivery {
            delivery_id: "9".into(),
            order_id: "5012".into(),
            status: v1::DeliveryStatus::Assigned.into(),
            ..Default::default()
        }
    }

    #[test]
    fn each_error_names_its_field() {
        let place = |latitude, longitude| Some(v1::Place { latitude, longitude });
        let cases = [
            (v1::Delivery { delivery_id: String::new(), ..delivery() }, "delivery.delivery_id"),
            (v1::Delivery { delivery_id: "a b".into(), ..delivery() }, "delivery.delivery_id"),
            (v1::Delivery { status: 0, ..delivery() }, "delivery.status"),
            (v1::Delivery { status: 99, ..delivery() }, "delivery.status"),
            (v1::Delivery { order_id: "a.b".into(), ..delivery() }, "delivery.order_id"),
            (v1::Delivery { customer_id: "ü".into(), ..delivery() }, "delivery.customer_id"),
            (v1::Delivery { restaurant_id: "*".into(), ..delivery() }, "delivery.restaurant_id"),
            (v1::Delivery { rider_id: "7".repeat(65), ..delivery() }, "delivery.rider_id"),
            (v1::Delivery { pickup: place(90.1, 0.0), ..delivery() }, "delivery.pickup.latitude"),
            (v1::Delivery { dropoff: place(0.0, f64::NAN), ..delivery() }, "delivery.dropoff.longitude"),
            (v1::Delivery { version: u64::MAX, ..delivery() }, "delivery.version"),
            (v1::Delivery { payload: "[1]".into(), ..delivery() }, "delivery.payload"),
            (v1::Delivery { payload: "{".into(), ..delivery() }, "delivery.payload"),
            (v1::Delivery { payload: vec![0xff].into(), ..delivery() }, "delivery.payload"),
            (
                v1::Delivery { payload: vec![b' '; OBJECT_BYTES_MAX + 1].into(), ..delivery() },
                "delivery.payload",
            ),
            (
                v1::Delivery {
                    occurred_at: Some(prost_types::Timestamp { seconds: 1, nanos: -1 }),
                    ..delivery()
                },
                "delivery.occurred_at",
            ),
        ];
        for (message, field) in cases {
            let status = update(message, Timestamp::from_micros(0)).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            assert_eq!(blamed_field(&status), field, "{status}");
        }
        assert!(update(delivery(), Timestamp::from_micros(0)).is_ok());
    }
}
