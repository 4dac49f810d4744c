//! What the other tests publish.

use platepal_proto::v1;
use platepal_testkit::Clients;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// An event of a type that no domain owns, so that nothing but the bus decides its order.
pub(crate) fn event(id: &str, payload: &Value) -> v1::Event {
    v1::Event {
        event_id: id.to_owned(),
        r#type: "promo.published".to_owned(),
        payload: payload.to_string().into(),
        ..Default::default()
    }
}

/// An event id as Django makes it.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// Publishes an event to channels and expects it to be kept.
pub(crate) async fn publish(clients: &Clients, event: v1::Event, channels: &[&str]) -> v1::PublishResponse {
    try_publish(clients, event, channels).await.expect("the event is kept")
}

/// Publishes an event to channels.
pub(crate) async fn try_publish(
    clients: &Clients,
    event: v1::Event,
    channels: &[&str],
) -> Result<v1::PublishResponse, tonic::Status> {
    let channels = channels.iter().map(|channel| (*channel).to_owned()).collect();
    let request = v1::PublishRequest { event: Some(event), channels };
    clients.events().publish(request).await.map(tonic::Response::into_inner)
}

/// Publishes numbered events, one after the other, and gives their ids.
pub(crate) async fn publish_numbered(
    clients: &Clients,
    channel: &str,
    numbers: std::ops::Range<u64>,
) -> Vec<String> {
    let mut ids = Vec::new();
    for number in numbers {
        let id = new_id();
        publish(clients, event(&id, &serde_json::json!({ "number": number })), &[channel]).await;
        ids.push(id);
    }
    ids
}

/// Publishes numbered events to all of these channels until it is told to stop, and gives their ids.
pub(crate) async fn publish_until(
    clients: Clients,
    channels: Vec<String>,
    stop: CancellationToken,
) -> Vec<String> {
    let names: Vec<&str> = channels.iter().map(String::as_str).collect();
    let mut ids = Vec::new();
    while !stop.is_cancelled() {
        let id = new_id();
        publish(&clients, event(&id, &serde_json::json!({ "number": ids.len() })), &names).await;
        ids.push(id);
    }
    ids
}

/// Publishes an event until it is kept, as an outbox does: the same id each time.
pub(crate) async fn publish_until_kept(clients: &Clients, event: &v1::Event, channels: &[&str]) {
    platepal_testkit::eventually("the event is kept", || {
        let event = event.clone();
        async move { try_publish(clients, event, channels).await.is_ok() }
    })
    .await;
}

/// An update of an order as Django tells it.
pub(crate) fn order_update(order: u64, status: v1::OrderStatus, version: u64) -> v1::OrderUpdate {
    let word = status.as_str_name().trim_start_matches("ORDER_STATUS_");
    let payload = serde_json::json!({ "id": order, "status": word, "version": version });
    v1::OrderUpdate {
        event_id: new_id(),
        order_id: order.to_string(),
        status: status.into(),
        order_type: v1::OrderType::Delivery.into(),
        version,
        customer_id: "7".to_owned(),
        restaurant_id: "12".to_owned(),
        payload: payload.to_string().into(),
        ..Default::default()
    }
}

/// Publishes an order update.
pub(crate) async fn publish_order(
    clients: &Clients,
    update: v1::OrderUpdate,
) -> Result<v1::PublishOrderResponse, tonic::Status> {
    let request = v1::PublishOrderRequest { update: Some(update), channels: Vec::new() };
    clients.orders().publish_order(request).await.map(tonic::Response::into_inner)
}
