//! What is asked of the chat domain: translate, call rules and store, answer. No decisions.

mod calls;
mod convert;
mod desk;
mod messages;
mod moderation;
mod people;
mod reads;
mod rooms;

#[cfg(feature = "fuzzing")]
pub(crate) use calls::said;

use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use platepal_auth::Principal;
use platepal_bus::Bus;
use platepal_events::{Channel, ChannelKind, Event, Timestamp};
use platepal_proto::v1::{self, chat_service_server::ChatService};
use platepal_service::{
    Clock, Shutdown,
    access::Access,
    domain::{Domain, Sender, Snapshot, Verdict, tell},
    edges::Edges,
    grpc::{fields, invalid},
    outbox::untold_status,
    trace,
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use crate::{
    check::Check,
    rules::{canned::Canned, message::Limits},
    store::{Store, StoreError},
    typing::Typing,
};

/// The chat domain as others call it.
#[derive(Clone)]
pub(crate) struct Chat {
    pub(crate) store: Store,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) access: Access,
    /// How long a member's right may be remembered.
    pub(crate) valid_for: Duration,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    pub(crate) limits: Arc<Limits>,
    /// Who is connected; `None`: nobody can be asked.
    pub(crate) edges: Option<Edges>,
    pub(crate) canned: Arc<Canned>,
    pub(crate) check: Check,
    pub(crate) typing: Typing,
}

#[async_trait]
impl Domain for Chat {
    /// What Django publishes by itself is told as it is: it has it in its own tables, and this tier has no place for it.
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
        self.store.grants.grant(user, channel, expires_at).await.map_err(|why| store_status(why.into()))
    }

    async fn revoke(&self, user: &str, channel: &Channel) -> Result<bool, Status> {
        let now = self.clock.now();
        let revoked = self.store.grants.revoke(user, channel, now).await;
        let (stream, existed) = revoked.map_err(|why| store_status(why.into()))?;
        self.drain(&[stream], now).await?;
        Ok(existed)
    }

    async fn send(&self, sender: &Sender, channel: &Channel, data: Bytes) -> Result<(), Status> {
        self.publish_json(sender, channel, &data).await
    }

    async fn call(&self, sender: &Sender, method: &str, data: Bytes) -> Result<Bytes, Status> {
        self.call_json(sender, method, &data).await
    }
}

impl Chat {
    /// Members and staff read a room; else whoever was allowed to by a grant, or by Django.
    pub(crate) async fn may_read(&self, principal: &Principal, token: &str, channel: &Channel) -> Verdict {
        if channel.kind() == ChannelKind::Chat {
            match self.store.room(channel.id()).await {
                Ok(Some(read)) if read.room.may_read(principal) => return Verdict::Allowed(self.valid_for),
                Ok(_) => {}
                Err(why) => return Verdict::Undecided(why.to_string()),
            }
        }
        self.access.decide(principal, token, channel).await
    }

    /// Tells what waits in streams.
    pub(crate) async fn drain(&self, streams: &[Channel], now: Timestamp) -> Result<(), Status> {
        for stream in streams {
            self.store.outbox.drain(stream, now).await.map_err(untold_status)?;
        }
        Ok(())
    }

    fn traceparent() -> String {
        trace::current().unwrap_or_default()
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl ChatService for Chat {
    type ExportUserStream = Answers<v1::ExportUserResponse>;
    type ReadMirrorStream = Answers<v1::FeedEntry>;

    async fn put_room(
        &self,
        request: Request<v1::PutRoomRequest>,
    ) -> Result<Response<v1::PutRoomResponse>, Status> {
        Chat::put_room(self, request.into_inner()).await.map(Response::new)
    }

    async fn close_room(
        &self,
        request: Request<v1::CloseRoomRequest>,
    ) -> Result<Response<v1::CloseRoomResponse>, Status> {
        Chat::close_room(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_room(
        &self,
        request: Request<v1::GetRoomRequest>,
    ) -> Result<Response<v1::GetRoomResponse>, Status> {
        Chat::get_room(self, request.into_inner()).await.map(Response::new)
    }

    async fn send_message(
        &self,
        request: Request<v1::SendMessageRequest>,
    ) -> Result<Response<v1::SendMessageResponse>, Status> {
        Chat::send_message(self, request.into_inner()).await.map(Response::new)
    }

    async fn edit_message(
        &self,
        request: Request<v1::EditMessageRequest>,
    ) -> Result<Response<v1::EditMessageResponse>, Status> {
        Chat::edit_message(self, request.into_inner()).await.map(Response::new)
    }

    async fn delete_message(
        &self,
        request: Request<v1::DeleteMessageRequest>,
    ) -> Result<Response<v1::DeleteMessageResponse>, Status> {
        Chat::delete_message(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_messages(
        &self,
        request: Request<v1::ListMessagesRequest>,
    ) -> Result<Response<v1::ListMessagesResponse>, Status> {
        Chat::list_messages(self, request.into_inner()).await.map(Response::new)
    }

    async fn search_messages(
        &self,
        request: Request<v1::SearchMessagesRequest>,
    ) -> Result<Response<v1::SearchMessagesResponse>, Status> {
        Chat::search_messages(self, request.into_inner()).await.map(Response::new)
    }

    async fn mark_read(
        &self,
        request: Request<v1::MarkReadRequest>,
    ) -> Result<Response<v1::MarkReadResponse>, Status> {
        Chat::mark_read(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_unread(
        &self,
        request: Request<v1::GetUnreadRequest>,
    ) -> Result<Response<v1::GetUnreadResponse>, Status> {
        Chat::get_unread(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_desk(
        &self,
        request: Request<v1::ListDeskRequest>,
    ) -> Result<Response<v1::ListDeskResponse>, Status> {
        Chat::list_desk(self, request.into_inner()).await.map(Response::new)
    }

    async fn assign_agent(
        &self,
        request: Request<v1::AssignAgentRequest>,
    ) -> Result<Response<v1::AssignAgentResponse>, Status> {
        Chat::assign_agent(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_held(
        &self,
        request: Request<v1::ListHeldRequest>,
    ) -> Result<Response<v1::ListHeldResponse>, Status> {
        Chat::list_held(self, request.into_inner()).await.map(Response::new)
    }

    async fn decide_message(
        &self,
        request: Request<v1::DecideMessageRequest>,
    ) -> Result<Response<v1::DecideMessageResponse>, Status> {
        Chat::decide_message(self, request.into_inner()).await.map(Response::new)
    }

    async fn delete_user(
        &self,
        request: Request<v1::DeleteUserRequest>,
    ) -> Result<Response<v1::DeleteUserResponse>, Status> {
        Chat::delete_user(self, request.into_inner()).await.map(Response::new)
    }

    async fn export_user(
        &self,
        request: Request<v1::ExportUserRequest>,
    ) -> Result<Response<Self::ExportUserStream>, Status> {
        let pages = self.export(request.into_inner())?;
        Ok(Response::new(Box::pin(ReceiverStream::new(pages))))
    }

    async fn read_mirror(
        &self,
        request: Request<v1::ReadFeedRequest>,
    ) -> Result<Response<Self::ReadMirrorStream>, Status> {
        let entries = self.store.feed.stream(request.into_inner(), &self.shutdown).await?;
        Ok(Response::new(Box::pin(entries)))
    }

    async fn acknowledge_mirror(
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
        StoreError::Name(why) => invalid("room_id", why),
        StoreError::State(..) | StoreError::Word(_) => Status::internal(error.to_string()),
    }
}

fn no_room(room_id: &str) -> Status {
    Status::not_found(format!("there is no room {room_id}; Django makes rooms by PutRoom"))
}

fn number(field: &str, number: u64) -> Result<i64, Status> {
    i64::try_from(number).map_err(|_| invalid(field, "is too large"))
}

fn room_id(id: &str) -> Result<(), Status> {
    fields::id("room_id", id)
}
