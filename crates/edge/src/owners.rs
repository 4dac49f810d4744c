//! What is asked of the domains that own channels and methods, over their links.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use platepal_auth::Principal;
use platepal_events::{Channel, Domain};
use platepal_proto::v1;
use platepal_service::{
    domain::principal_message,
    grpc::{Link, Links},
};
use tonic::Status;

/// The domains. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Owners {
    links: Links,
    message_bytes_max: usize,
}

/// What the owner of a channel answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Yes, and the answer holds for so long.
    Allowed(Duration),
    Denied(Arc<str>),
}

/// Who sends or calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub principal: Arc<Principal>,
    pub token: Arc<str>,
    pub client_id: String,
}

impl Owners {
    pub fn new(links: Links, message_bytes_max: usize) -> Self {
        Self { links, message_bytes_max }
    }

    fn link(&self, owner: Domain) -> Result<&Link, Status> {
        let missing = || Status::unavailable(format!("this process was not told where {} is", owner.word()));
        self.links.get(owner).ok_or_else(missing)
    }

    /// May this principal read this channel? The error says why nobody could tell.
    pub async fn authorize(
        &self,
        principal: &Principal,
        token: &str,
        channel: &Channel,
    ) -> Result<Answer, String> {
        let words = |status: Status| status.message().to_owned();
        let link = self.link(channel.kind().owner()).map_err(words)?;
        let request = v1::AuthorizeRequest {
            principal: Some(principal_message(principal)),
            channel: channel.to_string(),
            token: token.to_owned(),
        };
        let answer =
            link.domain(self.message_bytes_max).authorize(request).await.map_err(words)?.into_inner();
        match answer.decision() {
            v1::Decision::Allowed => {
                let valid_for = answer.valid_for.and_then(|time| Duration::try_from(time).ok());
                Ok(Answer::Allowed(valid_for.unwrap_or_default()))
            }
            v1::Decision::Denied => Ok(Answer::Denied(answer.reason.into())),
            v1::Decision::Undecided | v1::Decision::Unspecified => Err(answer.reason),
        }
    }

    /// The state of a channel.
    pub async fn snapshot(&self, channel: &Channel) -> Result<v1::SnapshotResponse, Status> {
        let link = self.link(channel.kind().owner())?;
        let request = v1::SnapshotRequest { channel: channel.to_string() };
        Ok(link.domain(self.message_bytes_max).snapshot(request).await?.into_inner())
    }

    /// Gives what a client publishes to the owner of the channel; answered when it is kept.
    pub async fn send(&self, caller: &Caller, channel: &Channel, data: Bytes) -> Result<(), Status> {
        let link = self.link(channel.kind().owner())?;
        let request = v1::SendRequest {
            principal: Some(principal_message(&caller.principal)),
            channel: channel.to_string(),
            data,
            token: caller.token.to_string(),
            client_id: caller.client_id.clone(),
        };
        link.domain(self.message_bytes_max).send(request).await.map(drop)
    }

    /// The domain of a method, which is named as `domain.method`.
    pub fn of_method(method: &str) -> Option<Domain> {
        let (word, _) = method.split_once('.')?;
        Domain::ALL.into_iter().find(|domain| domain.word() == word)
    }

    /// Calls a domain's method; `feed` is where it was said, if it was not called by name.
    pub async fn call(
        &self,
        caller: &Caller,
        feed: Option<&Channel>,
        method: &str,
        data: Bytes,
    ) -> Result<Bytes, Status> {
        let domain = Self::of_method(method).zip(method.split_once('.').map(|(_, method)| method));
        let (domain, method) = domain.ok_or_else(|| Status::unimplemented("there is no such method"))?;
        let request = v1::CallRequest {
            principal: Some(principal_message(&caller.principal)),
            method: method.to_owned(),
            data,
            token: caller.token.to_string(),
            client_id: caller.client_id.clone(),
            channel: feed.map(ToString::to_string).unwrap_or_default(),
        };
        Ok(self.link(domain)?.domain(self.message_bytes_max).call(request).await?.into_inner().data)
    }
}
