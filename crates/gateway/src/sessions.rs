//! `SessionsService`: grants, given to the domain that owns the channel; questions, asked of all edges; orders,
//! kept on the bus for all edges.

use platepal_events::Channel;
use platepal_proto::v1::{
    self, domain_service_client::DomainServiceClient, sessions_service_server::SessionsService,
};
use platepal_service::{
    Parts,
    edges::{Edges, LIMIT_MAX},
    grpc::{AttachKey, Links, invalid},
};
use tonic::{Request, Response, Status, service::interceptor::InterceptedService, transport};

use crate::{
    instruct::{Instructor, parse_channel},
    publish::no_link,
};

/// The longest pattern for channels, in bytes.
const PATTERN_BYTES_MAX: usize = 128;

/// Serves `SessionsService`.
pub(crate) struct Sessions {
    links: Links,
    edges: Edges,
    instructor: Instructor,
    message_bytes_max: usize,
}

impl Sessions {
    pub(crate) fn new(parts: &Parts, instructor: Instructor) -> Self {
        Self {
            links: parts.links.clone(),
            edges: parts.edges.clone(),
            instructor,
            message_bytes_max: parts.settings.grpc_message_bytes.0,
        }
    }

    fn owner(
        &self,
        channel: &str,
    ) -> Result<DomainServiceClient<InterceptedService<transport::Channel, AttachKey>>, Status> {
        let channel: Channel = parse_channel(channel)?;
        let domain = channel.kind().owner();
        let link = self.links.get(domain).ok_or_else(|| no_link(domain))?;
        Ok(link.domain(self.message_bytes_max))
    }
}

fn check_limit(limit: u32) -> Result<(), Status> {
    if limit > LIMIT_MAX {
        return Err(invalid("limit", format!("{limit} is more than the limit of {LIMIT_MAX}")));
    }
    Ok(())
}

/// Checks the form of a question on channels.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), Status> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(invalid("pattern", format!("is longer than {PATTERN_BYTES_MAX} bytes")));
    }
    Ok(())
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
        request: Request<v1::ConnectedRequest>,
    ) -> Result<Response<v1::ConnectedResponse>, Status> {
        let mut request = request.into_inner();
        if request.user_id.is_empty() && request.channel.is_empty() {
            return Err(invalid("user_id", "name a user or a channel, or both"));
        }
        if !request.channel.is_empty() {
            request.channel = parse_channel(&request.channel)?.to_string();
        }
        check_limit(request.limit)?;
        Ok(Response::new(self.edges.connected(request).await))
    }

    async fn channels(
        &self,
        request: Request<v1::ChannelsRequest>,
    ) -> Result<Response<v1::ChannelsResponse>, Status> {
        let request = request.into_inner();
        check_pattern(&request.pattern)?;
        check_limit(request.limit)?;
        Ok(Response::new(self.edges.channels(request).await))
    }

    async fn edges(&self, _: Request<v1::EdgesRequest>) -> Result<Response<v1::EdgesResponse>, Status> {
        Ok(Response::new(self.edges.statuses().await))
    }

    async fn revoke_tokens(
        &self,
        request: Request<v1::RevokeTokensRequest>,
    ) -> Result<Response<v1::RevokeTokensResponse>, Status> {
        self.instructor.revoke_tokens(request.into_inner()).await?;
        Ok(Response::new(v1::RevokeTokensResponse {}))
    }

    async fn disconnect(
        &self,
        request: Request<v1::DisconnectRequest>,
    ) -> Result<Response<v1::DisconnectResponse>, Status> {
        self.instructor.disconnect(request.into_inner()).await?;
        Ok(Response::new(v1::DisconnectResponse {}))
    }

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<v1::SubscribeResponse>, Status> {
        self.instructor.subscribe(request.into_inner()).await?;
        Ok(Response::new(v1::SubscribeResponse {}))
    }

    async fn unsubscribe(
        &self,
        request: Request<v1::UnsubscribeRequest>,
    ) -> Result<Response<v1::UnsubscribeResponse>, Status> {
        self.instructor.unsubscribe(request.into_inner()).await?;
        Ok(Response::new(v1::UnsubscribeResponse {}))
    }

    async fn refresh(
        &self,
        request: Request<v1::RefreshRequest>,
    ) -> Result<Response<v1::RefreshResponse>, Status> {
        self.instructor.refresh(request.into_inner()).await?;
        Ok(Response::new(v1::RefreshResponse {}))
    }
}
