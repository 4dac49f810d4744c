//! PlatePal's backend, as far as a demo needs one: what it calls over gRPC, with its key and its patience.

use std::time::Duration;

use platepal_proto::v1::{
    self, DeliveryStatus, OfferStatus, chat_service_client::ChatServiceClient,
    events_service_client::EventsServiceClient, orders_service_client::OrdersServiceClient,
    tracking_service_client::TrackingServiceClient,
};
use platepal_service::grpc::AttachKey;
use platepal_settings::Secret;
use serde_json::Value;
use tokio::time::sleep;
use tonic::{
    Code, Status, Streaming,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use super::place::Place;

type Wire = InterceptedService<Channel, AttachKey>;

/// Attempts of one call until it is given up.
const ATTEMPTS_MAX: u32 = 6;
/// Between the first two attempts; each further pause is longer by as much.
const PAUSE: Duration = Duration::from_millis(200);

/// The clients. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Backend {
    orders: OrdersServiceClient<Wire>,
    tracking: TrackingServiceClient<Wire>,
    events: EventsServiceClient<Wire>,
    chat: ChatServiceClient<Wire>,
}

impl Backend {
    /// To the gateway, which need not answer yet.
    pub(crate) fn new(gateway: std::net::SocketAddr, key: Option<&Secret>) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{gateway}"))?.connect_lazy();
        let wire = InterceptedService::new(channel, AttachKey::new(key.map(|key| bare(key.reveal()))));
        Ok(Self {
            orders: OrdersServiceClient::new(wire.clone()),
            tracking: TrackingServiceClient::new(wire.clone()),
            events: EventsServiceClient::new(wire.clone()),
            chat: ChatServiceClient::new(wire),
        })
    }

    pub(crate) async fn publish_order(&self, mut update: v1::OrderUpdate) -> Result<(), Status> {
        // The same id in every attempt: a repeat is harmless.
        update.event_id = Uuid::new_v4().to_string();
        let request = v1::PublishOrderRequest { update: Some(update), channels: Vec::new() };
        patiently(|| {
            let (mut client, request) = (self.orders.clone(), request.clone());
            async move { client.publish_order(request).await }
        })
        .await?;
        Ok(())
    }

    /// Publishes an event of no domain to one channel, once: the next one comes soon.
    pub(crate) async fn publish(&self, kind: &str, channel: &str, payload: &Value) -> Result<(), Status> {
        let event =
            v1::Event { r#type: kind.to_owned(), payload: payload.to_string().into(), ..Default::default() };
        let request = v1::PublishRequest { event: Some(event), channels: vec![channel.to_owned()] };
        self.events.clone().publish(request).await?;
        Ok(())
    }

    pub(crate) async fn start_shift(&self, rider_id: &str) -> Result<(), Status> {
        let request = v1::StartShiftRequest { rider_id: rider_id.to_owned(), at: None };
        patiently(|| {
            let (mut client, request) = (self.tracking.clone(), request.clone());
            async move { client.start_shift(request).await }
        })
        .await?;
        Ok(())
    }

    /// The deliveries that a rider has, as the tier knows them; none before the first shift.
    pub(crate) async fn deliveries_of(&self, rider_id: &str) -> Result<Vec<String>, Status> {
        let request = v1::GetRiderRequest { rider_id: rider_id.to_owned() };
        match self.tracking.clone().get_rider(request).await {
            Ok(rider) => Ok(rider.into_inner().delivery_ids),
            Err(why) if why.code() == Code::NotFound => Ok(Vec::new()),
            Err(why) => Err(why),
        }
    }

    /// Where a rider was measured to be.
    pub(crate) async fn report(
        &self,
        rider_id: &str,
        fixes: Vec<v1::Fix>,
    ) -> Result<Vec<v1::FixAnswer>, Status> {
        let request = v1::ReportFixesRequest { rider_id: rider_id.to_owned(), fixes };
        Ok(self.tracking.clone().report_fixes(request).await?.into_inner().answers)
    }

    pub(crate) async fn put_delivery(&self, delivery: v1::Delivery) -> Result<(), Status> {
        let event_id = Uuid::new_v4().to_string();
        let request =
            v1::PutDeliveryRequest { event_id, delivery: Some(delivery), channels: vec!["admin".to_owned()] };
        patiently(|| {
            let (mut client, request) = (self.tracking.clone(), request.clone());
            async move { client.put_delivery(request).await }
        })
        .await?;
        Ok(())
    }

    pub(crate) async fn cancel_delivery(&self, delivery_id: &str) -> Result<(), Status> {
        let request = v1::EndDeliveryRequest {
            event_id: Uuid::new_v4().to_string(),
            delivery_id: delivery_id.to_owned(),
            status: DeliveryStatus::Cancelled.into(),
            occurred_at: None,
        };
        self.tracking.clone().end_delivery(request).await?;
        Ok(())
    }

    /// Offers a delivery to a rider; the offer's id.
    pub(crate) async fn offer(
        &self,
        delivery_id: &str,
        rider_id: &str,
        payload: &Value,
    ) -> Result<String, Status> {
        let offer = v1::Offer {
            offer_id: Uuid::new_v4().to_string(),
            delivery_id: delivery_id.to_owned(),
            rider_id: rider_id.to_owned(),
            payload: payload.to_string().into(),
            ..Default::default()
        };
        let id = offer.offer_id.clone();
        let request = v1::OfferJobRequest { offer: Some(offer) };
        patiently(|| {
            let (mut client, request) = (self.tracking.clone(), request.clone());
            async move { client.offer_job(request).await }
        })
        .await?;
        Ok(id)
    }

    /// Makes a chat room.
    pub(crate) async fn put_room(&self, room: v1::Room) -> Result<(), Status> {
        let request = v1::PutRoomRequest { room: Some(room) };
        patiently(|| {
            let (mut client, request) = (self.chat.clone(), request.clone());
            async move { client.put_room(request).await }
        })
        .await?;
        Ok(())
    }

    /// Says something in a room for somebody.
    pub(crate) async fn say(&self, room_id: &str, user_id: &str, words: &str) -> Result<(), Status> {
        let request = v1::SendMessageRequest {
            room_id: room_id.to_owned(),
            sender_id: user_id.to_owned(),
            // The same id in every attempt: a repeat is harmless.
            client_id: Uuid::new_v4().to_string(),
            content: words.to_owned(),
            ..Default::default()
        };
        patiently(|| {
            let (mut client, request) = (self.chat.clone(), request.clone());
            async move { client.send_message(request).await }
        })
        .await?;
        Ok(())
    }

    /// What happens in all rooms.
    pub(crate) async fn mirror(&self, reader: &str) -> Result<Streaming<v1::FeedEntry>, Status> {
        let request = v1::ReadFeedRequest { reader: reader.to_owned(), after: None };
        Ok(self.chat.clone().read_mirror(request).await?.into_inner())
    }

    pub(crate) async fn acknowledge_mirror(&self, reader: &str, position: u64) -> Result<(), Status> {
        let request = v1::AcknowledgeFeedRequest { reader: reader.to_owned(), position };
        self.chat.clone().acknowledge_mirror(request).await?;
        Ok(())
    }

    pub(crate) async fn settle_offer(
        &self,
        offer_id: &str,
        status: OfferStatus,
        reason: &str,
    ) -> Result<(), Status> {
        let request = v1::SettleOfferRequest {
            offer_id: offer_id.to_owned(),
            status: status.into(),
            reason: reason.to_owned(),
        };
        patiently(|| {
            let (mut client, request) = (self.tracking.clone(), request.clone());
            async move { client.settle_offer(request).await }
        })
        .await?;
        Ok(())
    }
}

/// A place as messages have it.
pub(crate) fn place(place: Place) -> v1::Place {
    v1::Place { latitude: place.latitude, longitude: place.longitude }
}

/// The key of `name=key`.
fn bare(key: &str) -> &str {
    key.split_once('=').map_or(key, |(_, key)| key)
}

/// Repeats a call that may succeed later.
async fn patiently<T, Call>(call: impl Fn() -> Call) -> Result<T, Status>
where
    Call: Future<Output = Result<T, Status>>,
{
    for attempt in 1..ATTEMPTS_MAX {
        match call().await {
            Err(why) if is_for_later(&why) => sleep(PAUSE * attempt).await,
            result => return result,
        }
    }
    call().await
}

fn is_for_later(why: &Status) -> bool {
    matches!(
        why.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Aborted | Code::Internal
    )
}
