//! What is asked of the tracking domain: translate, call rules and store, answer. No decisions.

mod deliveries;
pub(crate) mod fixes;
mod offers;
mod owner;
pub(crate) mod share;
mod shifts;
mod stream;
pub(crate) mod trails;

use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use platepal_auth::Principal;
use platepal_bus::Bus;
use platepal_events::{Channel, ChannelKind, Event, Timestamp};
use platepal_proto::v1::{self, tracking_service_server::TrackingService};
use platepal_service::{
    Clock, Shutdown,
    access::Access,
    domain::{Domain, Sender, Snapshot, Verdict, tell},
    grpc::invalid,
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    riders::{Riders, drives::Drives},
    rules::offer::OfferStatus,
    settings::Settings,
    store::{Store, StoreError},
};

/// The tracking domain as others call it.
#[derive(Clone)]
pub(crate) struct Tracking {
    pub(crate) store: Store,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) access: Access,
    /// How long a participant's right may be remembered.
    pub(crate) valid_for: Duration,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    pub(crate) settings: Settings,
    pub(crate) riders: Riders,
    pub(crate) drives: Drives,
    pub(crate) shares: share::Shares,
    pub(crate) replays: trails::Replays,
}

#[async_trait]
impl Domain for Tracking {
    async fn publish(&self, event: Event, channels: Vec<Channel>) -> Result<v1::PublishResponse, Status> {
        if channels.is_empty() {
            return Err(invalid("channels", "must name at least one"));
        }
        tell(&*self.bus, &event, &channels).await
    }

    async fn authorize(&self, principal: &Principal, token: &str, channel: &Channel) -> Verdict {
        self.may_read(principal, token, channel).await
    }

    async fn snapshot(&self, _: &Channel) -> Result<Snapshot, Status> {
        Ok(Snapshot::NONE)
    }

    async fn grant(
        &self,
        user: &str,
        channel: &Channel,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Status> {
        self.allow(user, channel, expires_at).await
    }

    async fn revoke(&self, user: &str, channel: &Channel) -> Result<bool, Status> {
        self.disallow(user, channel).await
    }

    async fn send(&self, sender: &Sender, channel: &Channel, data: Bytes) -> Result<(), Status> {
        let is_own =
            channel.kind() == ChannelKind::Rider && channel.id() == sender.principal.user_id.as_str();
        if !is_own {
            return Err(Status::permission_denied("a rider sends positions to the own feed only"));
        }
        let answer = self.report_json(sender, &data).await?;
        fixes::anything_kept(&answer)
    }

    async fn call(&self, sender: &Sender, method: &str, data: Bytes) -> Result<Bytes, Status> {
        match method {
            "report" => self.report_json(sender, &data).await,
            "where" => self.where_json(sender).await,
            "accept_offer" => self.answer_offer(sender, OfferStatus::Accepted, &data).await,
            "decline_offer" => self.answer_offer(sender, OfferStatus::Declined, &data).await,
            _ => Err(Status::unimplemented(format!("tracking has no method {method:?}"))),
        }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl TrackingService for Tracking {
    type StreamFixesStream = Answers<v1::ReportFixesResponse>;
    type ReplayTrailStream = Answers<v1::ReplayTrailResponse>;

    async fn start_shift(
        &self,
        request: Request<v1::StartShiftRequest>,
    ) -> Result<Response<v1::StartShiftResponse>, Status> {
        Tracking::start_shift(self, request.into_inner()).await.map(Response::new)
    }

    async fn end_shift(
        &self,
        request: Request<v1::EndShiftRequest>,
    ) -> Result<Response<v1::EndShiftResponse>, Status> {
        Tracking::end_shift(self, request.into_inner()).await.map(Response::new)
    }

    async fn put_delivery(
        &self,
        request: Request<v1::PutDeliveryRequest>,
    ) -> Result<Response<v1::PutDeliveryResponse>, Status> {
        Tracking::put_delivery(self, request.into_inner()).await.map(Response::new)
    }

    async fn end_delivery(
        &self,
        request: Request<v1::EndDeliveryRequest>,
    ) -> Result<Response<v1::EndDeliveryResponse>, Status> {
        Tracking::end_delivery(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_delivery(
        &self,
        request: Request<v1::GetDeliveryRequest>,
    ) -> Result<Response<v1::GetDeliveryResponse>, Status> {
        Tracking::get_delivery(self, request.into_inner()).await.map(Response::new)
    }

    async fn share_delivery(
        &self,
        request: Request<v1::ShareDeliveryRequest>,
    ) -> Result<Response<v1::ShareDeliveryResponse>, Status> {
        Tracking::share_delivery(self, request.into_inner()).await.map(Response::new)
    }

    async fn offer_job(
        &self,
        request: Request<v1::OfferJobRequest>,
    ) -> Result<Response<v1::OfferJobResponse>, Status> {
        Tracking::offer_job(self, request.into_inner()).await.map(Response::new)
    }

    async fn settle_offer(
        &self,
        request: Request<v1::SettleOfferRequest>,
    ) -> Result<Response<v1::SettleOfferResponse>, Status> {
        Tracking::settle_offer(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_offer(
        &self,
        request: Request<v1::GetOfferRequest>,
    ) -> Result<Response<v1::GetOfferResponse>, Status> {
        Tracking::get_offer(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_trail(
        &self,
        request: Request<v1::GetTrailRequest>,
    ) -> Result<Response<v1::GetTrailResponse>, Status> {
        Tracking::get_trail(self, request.into_inner()).await.map(Response::new)
    }

    async fn delete_rider(
        &self,
        request: Request<v1::DeleteRiderRequest>,
    ) -> Result<Response<v1::DeleteRiderResponse>, Status> {
        Tracking::delete_rider(self, request.into_inner()).await.map(Response::new)
    }

    async fn replay_trail(
        &self,
        request: Request<v1::ReplayTrailRequest>,
    ) -> Result<Response<Self::ReplayTrailStream>, Status> {
        let points = Tracking::replay_trail(self, request.into_inner()).await?;
        Ok(Response::new(Box::pin(ReceiverStream::new(points))))
    }

    async fn report_fixes(
        &self,
        request: Request<v1::ReportFixesRequest>,
    ) -> Result<Response<v1::ReportFixesResponse>, Status> {
        self.report(request.into_inner()).await.map(Response::new)
    }

    async fn stream_fixes(
        &self,
        request: Request<Streaming<v1::ReportFixesRequest>>,
    ) -> Result<Response<Self::StreamFixesStream>, Status> {
        let answers = self.stream(request.into_inner());
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn get_rider(
        &self,
        request: Request<v1::GetRiderRequest>,
    ) -> Result<Response<v1::GetRiderResponse>, Status> {
        self.rider(request.into_inner()).await.map(Response::new)
    }
}

/// What the store's error is to a caller.
pub(crate) fn store_status(error: StoreError) -> Status {
    match error {
        StoreError::Database(_) => Status::unavailable(error.to_string()),
        StoreError::Name(why) => invalid("id", why),
        _ => Status::internal(error.to_string()),
    }
}
