//! From an `OrderUpdate` to an update, with a clear error for each field; and from an order to its message.

use platepal_events::{Channel, ChannelKind, Event, Stamp, Timestamp};
use platepal_proto::v1;
use platepal_service::grpc::invalid;
use serde_json::Value;
use tonic::Status;

use crate::{
    rules::{
        envelope::ORDER_BYTES_MAX,
        order::{Learned, Update},
        recognise::digest,
        status::{Status as OrderStatus, Way},
    },
    store::Read,
};

/// The longest SLA that can be asked for: a week, in minutes.
const SLA_MINUTES_MAX: u32 = 7 * 24 * 60;

pub(super) fn update(
    message: v1::OrderUpdate,
    traceparent: String,
    now: Timestamp,
) -> Result<Update, Status> {
    order_id("update.order_id", &message.order_id)?;
    let (status, way) = (message.status(), message.order_type());
    let status = match OrderStatus::from_message(status) {
        Some(status) => Some(status),
        None if message.status != 0 => {
            return Err(invalid("update.status", "is not a status that this version knows"));
        }
        None => None,
    };
    let kind = match (message.r#type.as_str(), status) {
        ("", None) => {
            return Err(invalid(
                "update.status",
                "must be set, or a type that says it, as order.accepted does",
            ));
        }
        ("", Some(status)) => status.type_name().to_owned(),
        (name, _) => name.to_owned(),
    };
    if message.payload.len() > ORDER_BYTES_MAX {
        let size = message.payload.len();
        return Err(invalid(
            "update.payload",
            format!("{size} bytes, the limit is {ORDER_BYTES_MAX}: the envelope needs the rest of 64 KiB"),
        ));
    }
    let event = v1::Event {
        event_id: message.event_id,
        r#type: kind,
        payload: message.payload,
        timestamp: message.occurred_at,
        traceparent,
        ..Default::default()
    };
    let event = Event::parse(event, now).map_err(|why| {
        let field = if why.field() == "timestamp" { "occurred_at" } else { why.field() };
        invalid(&format!("update.{field}"), why)
    })?;
    let status = status.or_else(|| OrderStatus::implied_by(&event.kind)).ok_or_else(|| {
        invalid("update.status", format!("must be set: the type {} does not say it", event.kind))
    })?;
    let payload = String::from_utf8_lossy(&event.payload).into_owned();
    if !matches!(serde_json::from_str(&payload), Ok(Value::Object(_))) {
        return Err(invalid("update.payload", "must be a JSON object"));
    }
    if message.version > Stamp::VERSION_MAX {
        return Err(invalid("update.version", format!("must be at most {}", Stamp::VERSION_MAX)));
    }
    if message.sla_minutes > SLA_MINUTES_MAX {
        return Err(invalid("update.sla_minutes", format!("must be at most {SLA_MINUTES_MAX}, a week")));
    }
    let ids = [&message.customer_id, &message.restaurant_id, &message.rider_id].map(String::as_str);
    let digest = digest(status, &payload, &ids);
    Ok(Update {
        verbatim: false,
        status,
        way: Way::from_message(way),
        stamp: Stamp { version: message.version, at: event.timestamp.micros() },
        customer: person("update.customer_id", ChannelKind::Customer, message.customer_id)?,
        restaurant: person("update.restaurant_id", ChannelKind::Restaurant, message.restaurant_id)?,
        rider: person("update.rider_id", ChannelKind::Rider, message.rider_id)?,
        order_id: message.order_id,
        payload,
        digest,
        sla_minutes: (message.sla_minutes > 0).then_some(message.sla_minutes),
        event,
    })
}

pub(super) fn order_id(field: &str, id: &str) -> Result<(), Status> {
    match Channel::new(ChannelKind::Order, id) {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid(field, "must be 1-64 characters of A-Z a-z 0-9 _ -")),
    }
}

fn person(field: &str, kind: ChannelKind, id: String) -> Result<Option<String>, Status> {
    if id.is_empty() {
        return Ok(None);
    }
    match Channel::new(kind, &id) {
        Ok(_) => Ok(Some(id)),
        Err(_) => Err(invalid(field, "must be empty, or 1-64 characters of A-Z a-z 0-9 _ -")),
    }
}

pub(super) fn order(read: Read) -> v1::Order {
    let Read { order, payload, told, .. } = read;
    let occurred_at = order.occurred_at();
    let id = |learned: Option<Learned>| learned.map(|learned| learned.id).unwrap_or_default();
    v1::Order {
        status: order.status.to_message().into(),
        order_type: order.way.map(v1::OrderType::from).unwrap_or_default().into(),
        version: order.version,
        occurred_at: Some(occurred_at.into()),
        customer_id: id(order.customer),
        restaurant_id: id(order.restaurant),
        rider_id: id(order.rider),
        payload: payload.into_bytes().into(),
        position: told.map(Into::into),
        order_id: order.order_id,
    }
}
