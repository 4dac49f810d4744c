//! `SessionsService`: grants, given to the domain that owns the channel.

use platepal_events::Channel;
use platepal_proto::v1::{
    self, domain_service_client::DomainServiceClient, sessions_service_server::SessionsService,
};
use platepal_service::{
    Parts,
    grpc::{AttachKey, Links, invalid},
};
use tonic::{Request, Response, Status, service::interceptor::InterceptedService, transport};

use crate::publish::no_link;

/// Serves `SessionsService`.
pub(crate) struct Sessions {
    links: Links,
    message_bytes_max: usize,
}

impl Sessions {
    pub(crate) fn new(parts: &Parts) -> Self {
        Self { links: parts.links.clone(), message_bytes_max: parts.settings.grpc_message_bytes.0 }
    }

    fn owner(
        &self,
        channel: &str,
    ) -> Result<DomainServiceClient<InterceptedService<transport::Channel, AttachKey>>, Status> {
        let channel: Channel = channel.parse().map_err(|why| invalid("channel", why))?;
        let domain = channel.kind().owner();
        let link = self.links.get(domain).ok_or_else(|| no_link(domain))?;
        Ok(link.domain(self.message_bytes_max))
    }
}

#[tonic::async_trait]
impl SessionsService for Sessions {
    async fn grant(&self, request: Request<v1::GrantRequest>) -> Result<Response<v1::GrantResponse>, Status> {
        let request = request.into_inner();
        self.owner(&request.channel)?.grant(request).await
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeRequest>,
    ) -> Result<Response<v1::RevokeResponse>, Status> {
        let request = request.into_inner();
        self.owner(&request.channel)?.revoke(request).await
    }

    async fn connected(
        &self,
        _: Request<v1::ConnectedRequest>,
    ) -> Result<Response<v1::ConnectedResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn channels(
        &self,
        _: Request<v1::ChannelsRequest>,
    ) -> Result<Response<v1::ChannelsResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn edges(&self, _: Request<v1::EdgesRequest>) -> Result<Response<v1::EdgesResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn disconnect(
        &self,
        _: Request<v1::DisconnectRequest>,
    ) -> Result<Response<v1::DisconnectResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn subscribe(
        &self,
        _: Request<v1::SubscribeRequest>,
    ) -> Result<Response<v1::SubscribeResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn unsubscribe(
        &self,
        _: Request<v1::UnsubscribeRequest>,
    ) -> Result<Response<v1::UnsubscribeResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn refresh(&self, _: Request<v1::RefreshRequest>) -> Result<Response<v1::RefreshResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }
}
