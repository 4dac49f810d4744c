//! What every domain answers to the gateway and the edge: one trait, one gRPC service.
//!
//! Five domains differ in their rules, not in how they are asked. A domain implements [`Domain`] and its own
//! public service; [`service`] turns the trait into `DomainService`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use platepal_auth::{Principal, UserIdError};
use platepal_bus::Bus;
use platepal_events::{Channel, Event, Position, Timestamp};
use platepal_proto::v1::{self, domain_service_server as server};
use tonic::{Request, Response, Status};
use tracing::Instrument;

use crate::{
    Clock,
    grpc::{bus_status, invalid},
};

/// Whether a principal may read a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, and the answer holds for so long.
    Allowed(Duration),
    /// No; the reason is for logs and people.
    Denied(String),
    /// Nobody could say now; a later attempt may succeed.
    Undecided(String),
}

/// A channel's state for a newcomer.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The state as an event, and the position up to which it includes the channel's events; `None` when
    /// there is no state yet.
    pub state: Option<(Event, Position)>,
    /// The position up to which it includes the channel's values of the *latest* class; `None`: it has no part in them.
    pub values: Option<Position>,
}

impl Snapshot {
    /// Of a channel that has none.
    pub const NONE: Self = Self { state: None, values: None };
}

/// What a domain can be asked.
#[async_trait]
pub trait Domain: Send + Sync + 'static {
    /// An event of a type that this domain owns: decide, keep, tell. Answers when it is kept.
    async fn publish(&self, event: Event, channels: Vec<Channel>) -> Result<v1::PublishResponse, Status>;
    /// May this principal read this channel? `token` is the user's own, for asking Django.
    async fn authorize(&self, principal: &Principal, token: &str, channel: &Channel) -> Verdict;
    /// What a newcomer to a channel must know.
    async fn snapshot(&self, channel: &Channel) -> Result<Snapshot, Status>;
    /// Allows a user to read a channel.
    async fn grant(&self, user: &str, channel: &Channel, expires_at: Option<Timestamp>)
    -> Result<(), Status>;
    /// Takes a grant back and tells the edges; true if there was one.
    async fn revoke(&self, user: &str, channel: &Channel) -> Result<bool, Status>;
    /// What a client publishes to a channel; answered when it is kept.
    async fn send(&self, _: &Sender, channel: &Channel, _: Bytes) -> Result<(), Status> {
        Err(Status::unimplemented(format!("clients can't publish to {channel}")))
    }
    /// What a client calls by name, with JSON; the answer is JSON.
    async fn call(&self, _: &Sender, method: &str, _: Bytes) -> Result<Bytes, Status> {
        Err(Status::unimplemented(format!("there is no method {method:?}")))
    }
}

/// A client that sends or calls something.
#[derive(Debug)]
pub struct Sender {
    /// Who it is, as the edge verified it.
    pub principal: Principal,
    /// The user's own token, for asking Django.
    pub token: String,
    /// Its connection.
    pub client_id: String,
    /// The feed on which it says it; `None` when it calls by name.
    pub channel: Option<Channel>,
}

/// The gRPC service of a domain.
pub fn service<D: Domain>(
    domain: Arc<D>,
    clock: Clock,
    message_bytes_max: usize,
) -> server::DomainServiceServer<Adapter<D>> {
    server::DomainServiceServer::new(Adapter { domain, clock })
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(message_bytes_max)
}

/// Translates between the messages and [`Domain`]; decides nothing.
#[derive(Debug)]
pub struct Adapter<D> {
    domain: Arc<D>,
    clock: Clock,
}

/// Tells channels of an event as it is, and answers when all of them have kept it. For events about which no
/// domain has anything to decide.
pub async fn tell(bus: &dyn Bus, event: &Event, channels: &[Channel]) -> Result<v1::PublishResponse, Status> {
    let appended = bus.append(channels, event).await.map_err(|why| bus_status(&why))?;
    let all_known = !appended.is_empty() && appended.iter().all(|appended| appended.duplicate);
    let outcome = if all_known { v1::Outcome::Duplicate } else { v1::Outcome::Published };
    let kept = channels.iter().zip(appended).map(|(channel, appended)| v1::Kept {
        channel: channel.to_string(),
        position: Some(appended.position.into()),
        duplicate: appended.duplicate,
    });
    Ok(v1::PublishResponse {
        event_id: event.id.to_string(),
        outcome: outcome.into(),
        kept: kept.collect(),
        note: String::new(),
    })
}

/// A verified principal as a message to the domain.
pub fn principal_message(principal: &Principal) -> v1::Principal {
    v1::Principal {
        user_id: principal.user_id.to_string(),
        roles: principal.roles.iter().map(ToString::to_string).collect(),
        restaurant_ids: principal.restaurant_ids.clone(),
    }
}

/// The principal in a message of the edge, which has verified the token: its expiry is the edge's business.
pub fn principal_from(message: v1::Principal) -> Result<Principal, UserIdError> {
    Ok(Principal {
        user_id: message.user_id.parse()?,
        roles: message.roles.iter().filter_map(|role| role.parse().ok()).collect(),
        restaurant_ids: message.restaurant_ids,
        renew_at: Timestamp::from_micros(i64::MAX),
        expires_at: Timestamp::from_micros(i64::MAX),
        issued_at: None,
        token_id: None,
        name: None,
        info: None,
        channels: Vec::new(),
    })
}

fn channel(text: &str) -> Result<Channel, Status> {
    text.parse().map_err(|why| invalid("channel", why))
}

#[async_trait]
impl<D: Domain> server::DomainService for Adapter<D> {
    async fn publish(
        &self,
        request: Request<v1::PublishRequest>,
    ) -> Result<Response<v1::PublishResponse>, Status> {
        let v1::PublishRequest { event, channels } = request.into_inner();
        let event = Event::parse(event.unwrap_or_default(), self.clock.now())
            .map_err(|why| invalid(&format!("event.{}", why.field()), why))?;
        let channels = channels.iter().map(|name| channel(name)).collect::<Result<Vec<_>, _>>()?;
        let span = tracing::debug_span!(
            "domain.publish",
            event.id = %event.id,
            event.r#type = %event.kind,
            outcome = tracing::field::Empty
        );
        let answer = self.domain.publish(event, channels).instrument(span.clone()).await?;
        span.record("outcome", answer.outcome().as_str_name());
        Ok(Response::new(answer))
    }

    async fn authorize(
        &self,
        request: Request<v1::AuthorizeRequest>,
    ) -> Result<Response<v1::AuthorizeResponse>, Status> {
        let v1::AuthorizeRequest { principal, channel: name, token } = request.into_inner();
        let principal = principal.ok_or_else(|| invalid("principal", "must be set"))?;
        let principal = principal_from(principal).map_err(|why| invalid("principal.user_id", why))?;
        let verdict = self.domain.authorize(&principal, &token, &channel(&name)?).await;
        let (decision, reason, valid_for) = match verdict {
            Verdict::Allowed(valid_for) => (v1::Decision::Allowed, String::new(), valid_for),
            Verdict::Denied(reason) => (v1::Decision::Denied, reason, Duration::ZERO),
            Verdict::Undecided(reason) => (v1::Decision::Undecided, reason, Duration::ZERO),
        };
        Ok(Response::new(v1::AuthorizeResponse {
            decision: decision.into(),
            reason,
            valid_for: prost_types::Duration::try_from(valid_for).ok(),
        }))
    }

    async fn snapshot(
        &self,
        request: Request<v1::SnapshotRequest>,
    ) -> Result<Response<v1::SnapshotResponse>, Status> {
        let snapshot = self.domain.snapshot(&channel(&request.into_inner().channel)?).await?;
        let (event, position) = snapshot.state.unzip();
        Ok(Response::new(v1::SnapshotResponse {
            event: event.as_ref().map(v1::Event::from),
            position: position.map(v1::Position::from),
            values: snapshot.values.map(v1::Position::from),
        }))
    }

    async fn grant(&self, request: Request<v1::GrantRequest>) -> Result<Response<v1::GrantResponse>, Status> {
        let v1::GrantRequest { user_id, channel: name, expires_at } = request.into_inner();
        if user_id.is_empty() || user_id.len() > 64 {
            return Err(invalid("user_id", "must be 1-64 characters"));
        }
        let expires_at =
            expires_at.map(Timestamp::try_from).transpose().map_err(|why| invalid("expires_at", why))?;
        self.domain.grant(&user_id, &channel(&name)?, expires_at).await?;
        Ok(Response::new(v1::GrantResponse {}))
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeRequest>,
    ) -> Result<Response<v1::RevokeResponse>, Status> {
        let v1::RevokeRequest { user_id, channel: name } = request.into_inner();
        let existed = self.domain.revoke(&user_id, &channel(&name)?).await?;
        Ok(Response::new(v1::RevokeResponse { existed }))
    }

    async fn send(&self, request: Request<v1::SendRequest>) -> Result<Response<v1::SendResponse>, Status> {
        let v1::SendRequest { principal, channel: name, data, token, client_id } = request.into_inner();
        let sender = sender(principal, token, client_id)?;
        let channel = channel(&name)?;
        let span = tracing::debug_span!("domain.send", %channel);
        self.domain.send(&sender, &channel, data).instrument(span).await?;
        Ok(Response::new(v1::SendResponse {}))
    }

    async fn call(&self, request: Request<v1::CallRequest>) -> Result<Response<v1::CallResponse>, Status> {
        let v1::CallRequest { principal, method, data, token, client_id, channel: name } =
            request.into_inner();
        let feed = if name.is_empty() { None } else { Some(channel(&name)?) };
        let sender = Sender { channel: feed, ..sender(principal, token, client_id)? };
        let span = tracing::debug_span!("domain.call", method);
        let data = self.domain.call(&sender, &method, data).instrument(span).await?;
        Ok(Response::new(v1::CallResponse { data }))
    }
}

fn sender(principal: Option<v1::Principal>, token: String, client_id: String) -> Result<Sender, Status> {
    let principal = principal.ok_or_else(|| invalid("principal", "must be set"))?;
    let principal = principal_from(principal).map_err(|why| invalid("principal.user_id", why))?;
    Ok(Sender { principal, token, client_id, channel: None })
}
