//! What is asked of the notifications domain: translate, call rules and store, answer. No decisions.

mod calls;
mod convert;
mod devices;
mod inbox;
mod notify;
mod people;
mod preferences;

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use platepal_auth::Principal;
use platepal_bus::Bus;
use platepal_events::{Channel, Event, Timestamp};
use platepal_proto::v1::{self, notifications_service_server::NotificationsService};
use platepal_push::Senders;
use platepal_service::{
    Clock, Shutdown,
    access::Access,
    domain::{Domain, Sender, Snapshot, Verdict, tell},
    grpc::invalid,
    outbox::untold_status,
    trace,
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::{
    rules::templates::Templates,
    store::{Store, StoreError},
};

/// The notifications domain as others call it.
#[derive(Clone)]
pub(crate) struct Notifications {
    pub(crate) store: Store,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) access: Access,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    pub(crate) templates: Arc<Templates>,
    pub(crate) senders: Arc<Senders>,
}

#[async_trait]
impl Domain for Notifications {
    /// What Django publishes by itself is told as it is; it is in no inbox. `Notify` makes notifications.
    async fn publish(&self, event: Event, channels: Vec<Channel>) -> Result<v1::PublishResponse, Status> {
        if channels.is_empty() {
            return Err(invalid("channels", "must name at least one"));
        }
        tell(&*self.bus, &event, &channels).await
    }

    async fn authorize(&self, principal: &Principal, token: &str, channel: &Channel) -> Verdict {
        self.access.decide(principal, token, channel).await
    }

    async fn snapshot(&self, _: &Channel) -> Result<Snapshot, Status> {
        Ok(Snapshot::NONE)
    }

    async fn grant(&self, _: &str, channel: &Channel, _: Option<Timestamp>) -> Result<(), Status> {
        Err(own_feed(channel))
    }

    async fn revoke(&self, _: &str, channel: &Channel) -> Result<bool, Status> {
        Err(own_feed(channel))
    }

    async fn call(&self, sender: &Sender, method: &str, data: Bytes) -> Result<Bytes, Status> {
        self.call_json(sender, method, &data).await
    }
}

fn own_feed(channel: &Channel) -> Status {
    invalid(
        "channel",
        format!("{channel} is a user's own inbox, which nobody else may read; grant another channel"),
    )
}

impl Notifications {
    /// Tells what waits in a stream.
    async fn drain(&self, stream: &Channel, now: Timestamp) -> Result<(), Status> {
        self.store.outbox.drain(stream, now).await.map_err(untold_status)
    }

    fn traceparent() -> String {
        trace::current().unwrap_or_default()
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl NotificationsService for Notifications {
    type ReadHandoverStream = Answers<v1::FeedEntry>;

    async fn notify(
        &self,
        request: Request<v1::NotifyRequest>,
    ) -> Result<Response<v1::NotifyResponse>, Status> {
        Notifications::notify(self, request.into_inner()).await.map(Response::new)
    }

    async fn notify_many(
        &self,
        request: Request<v1::NotifyManyRequest>,
    ) -> Result<Response<v1::NotifyManyResponse>, Status> {
        Notifications::notify_many(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_inbox(
        &self,
        request: Request<v1::ListInboxRequest>,
    ) -> Result<Response<v1::ListInboxResponse>, Status> {
        Notifications::list_inbox(self, request.into_inner()).await.map(Response::new)
    }

    async fn count_unread(
        &self,
        request: Request<v1::CountUnreadRequest>,
    ) -> Result<Response<v1::CountUnreadResponse>, Status> {
        Notifications::count_unread(self, request.into_inner()).await.map(Response::new)
    }

    async fn mark_notifications_read(
        &self,
        request: Request<v1::MarkNotificationsReadRequest>,
    ) -> Result<Response<v1::MarkNotificationsReadResponse>, Status> {
        Notifications::mark_notifications_read(self, request.into_inner()).await.map(Response::new)
    }

    async fn clear_read(
        &self,
        request: Request<v1::ClearReadRequest>,
    ) -> Result<Response<v1::ClearReadResponse>, Status> {
        Notifications::clear_read(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_preferences(
        &self,
        request: Request<v1::GetPreferencesRequest>,
    ) -> Result<Response<v1::GetPreferencesResponse>, Status> {
        Notifications::get_preferences(self, request.into_inner()).await.map(Response::new)
    }

    async fn set_preferences(
        &self,
        request: Request<v1::SetPreferencesRequest>,
    ) -> Result<Response<v1::SetPreferencesResponse>, Status> {
        Notifications::set_preferences(self, request.into_inner()).await.map(Response::new)
    }

    async fn snooze(
        &self,
        request: Request<v1::SnoozeRequest>,
    ) -> Result<Response<v1::SnoozeResponse>, Status> {
        Notifications::snooze(self, request.into_inner()).await.map(Response::new)
    }

    async fn add_device(
        &self,
        request: Request<v1::AddDeviceRequest>,
    ) -> Result<Response<v1::AddDeviceResponse>, Status> {
        Notifications::add_device(self, request.into_inner()).await.map(Response::new)
    }

    async fn remove_device(
        &self,
        request: Request<v1::RemoveDeviceRequest>,
    ) -> Result<Response<v1::RemoveDeviceResponse>, Status> {
        Notifications::remove_device(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_devices(
        &self,
        request: Request<v1::ListDevicesRequest>,
    ) -> Result<Response<v1::ListDevicesResponse>, Status> {
        Notifications::list_devices(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_deliveries(
        &self,
        request: Request<v1::ListDeliveriesRequest>,
    ) -> Result<Response<v1::ListDeliveriesResponse>, Status> {
        Notifications::list_deliveries(self, request.into_inner()).await.map(Response::new)
    }

    async fn export_inbox(
        &self,
        request: Request<v1::ExportInboxRequest>,
    ) -> Result<Response<v1::ExportInboxResponse>, Status> {
        Notifications::export_inbox(self, request.into_inner()).await.map(Response::new)
    }

    async fn delete_inbox(
        &self,
        request: Request<v1::DeleteInboxRequest>,
    ) -> Result<Response<v1::DeleteInboxResponse>, Status> {
        Notifications::delete_inbox(self, request.into_inner()).await.map(Response::new)
    }

    async fn read_handover(
        &self,
        request: Request<v1::ReadFeedRequest>,
    ) -> Result<Response<Self::ReadHandoverStream>, Status> {
        let entries = self.store.feed.stream(request.into_inner(), &self.shutdown).await?;
        Ok(Response::new(Box::pin(entries)))
    }

    async fn acknowledge_handover(
        &self,
        request: Request<v1::AcknowledgeFeedRequest>,
    ) -> Result<Response<v1::AcknowledgeFeedResponse>, Status> {
        self.store.feed.acknowledge(request.into_inner()).await?;
        Ok(Response::new(v1::AcknowledgeFeedResponse {}))
    }
}

/// What the store's error is to a caller.
pub(crate) fn store_status(error: StoreError) -> Status {
    match error {
        StoreError::Database(_) => Status::unavailable(error.to_string()),
        StoreError::Name(why) => invalid("user_id", why),
        StoreError::State(..) | StoreError::Word(_) => Status::internal(error.to_string()),
    }
}

fn number(field: &str, number: u64) -> Result<i64, Status> {
    i64::try_from(number).map_err(|_| invalid(field, "is too large"))
}
