//! Opening a connection that is for one feed: token, user's limit, access, channel, and where it goes on.

use std::{net::IpAddr, sync::Arc};

use platepal_auth::{Principal, TokenError};
use platepal_events::{Channel, EventId, Position};
use smallvec::SmallVec;

use super::{Role, Subscription, User};
use crate::{
    Edge,
    close::{Close, Code},
    codec::Wire,
    hub::{FromZero, Membership, Reader},
    queue::{Bound, Outgoing, Queue},
    sessions::{Open, Registration},
};

/// What a client asked for in its request.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub channel: Channel,
    pub token: Option<String>,
    pub since: Option<String>,
    /// Where it comes from.
    pub address: Option<IpAddr>,
}

/// A client that may read: attached to its channel, and not told anything yet.
pub(crate) struct Opened {
    pub user: User,
    pub subscription: Subscription,
    pub first: Vec<Outgoing>,
}

/// A queue with the bound of the settings.
pub(crate) fn queue(edge: &Edge) -> Arc<Queue> {
    let settings = &edge.settings;
    Arc::new(Queue::new(Bound {
        frames: settings.queue_frames,
        latest: settings.queue_latest,
        bytes: settings.queue_bytes.0,
    }))
}

/// Opens a client before its request is answered, so that to the client "open" means: from now on nothing is
/// missed.
pub(crate) async fn open(
    edge: &Edge,
    arrival: &Arrival,
    queue: &Arc<Queue>,
    wire: Wire,
) -> Result<Opened, Close> {
    let opened =
        tokio::time::timeout(edge.settings.opening_timeout, attempt(edge, arrival, queue, wire)).await;
    opened.unwrap_or_else(|_| Err(Code::TryAgain.because("opening took too long; try again later")))
}

async fn attempt(edge: &Edge, arrival: &Arrival, queue: &Arc<Queue>, wire: Wire) -> Result<Opened, Close> {
    let Arrival { channel, token, since, address } = arrival;
    let token = token.as_deref().unwrap_or_default();
    let principal = match edge.anonymous(token) {
        Some(anybody) if channel.kind().is_public() => anybody,
        _ => edge.verifier.verify(token, edge.clock.now()).await.map_err(refused)?,
    };
    // Before the question of access, so that a revocation in the meantime finds this socket.
    let protocol = if wire == Wire::PlatePalSocket { "platepal" } else { "events" };
    let registration = register(edge, &principal, protocol, *address, None, queue)?;
    registration.enter(channel);
    if edge.shutdown.is_told() {
        return Err(Code::Restart.into());
    }
    edge.access.check(&principal, token, channel).await?;
    let joined = edge.hub.join(channel, Reader::new(queue, registration.id(), wire)).await?;
    let mut first = Vec::new();
    let cursor =
        start(edge, channel, &joined.membership, &joined.head, since.as_deref(), wire, &mut first).await?;
    let asked = !channel.kind().is_own_feed();
    Ok(Opened {
        user: User {
            principal: Arc::new(principal),
            token: if asked { token.into() } else { Arc::from("") },
            registration: Arc::new(registration),
        },
        subscription: Subscription {
            channel: channel.clone(),
            role: Role::Feed,
            membership: joined.membership,
            began_at: Position { offset: cursor, ..joined.head },
            cursor: Some(cursor),
            from_zero: FromZero::WhatIsKept,
            replayed: 0,
            paging: false,
            expires_at: None,
            asked,
            _announced: None,
        },
        first,
    })
}

impl Edge {
    /// Somebody who is not signed in, if who has no token may be that.
    pub(crate) fn anonymous(&self, token: &str) -> Option<Principal> {
        (token.is_empty() && self.settings.anonymous).then(Principal::anonymous)
    }
}

/// Enters a connection of a user; the error is what to close with.
pub(crate) fn register(
    edge: &Edge,
    principal: &Principal,
    protocol: &'static str,
    address: Option<IpAddr>,
    secret: Option<Arc<str>>,
    queue: &Arc<Queue>,
) -> Result<Registration, Close> {
    let open = Open {
        user: principal.user_id.clone(),
        protocol,
        address,
        connected_at: edge.clock.now(),
        expires_at: principal.expires_at,
        info: principal.info.clone(),
        channels: SmallVec::new(),
        secret,
        queue: Arc::clone(queue),
    };
    let registration = edge.sessions.register(open).ok_or(Code::TooMany)?;
    // After it was entered: a revocation either finds it or is found.
    edge.revocations.check(principal)?;
    Ok(registration)
}

pub(crate) fn refused(why: TokenError) -> Close {
    let code = if why.is_temporary() { Code::TryAgain } else { Code::Unauthorised };
    code.because(why.to_string())
}

/// The offset after which the client goes on. A channel with a snapshot gives it to whoever has no place in it; one whose
/// state changes by values, to all.
async fn start(
    edge: &Edge,
    channel: &Channel,
    membership: &Membership,
    head: &Position,
    since: Option<&str>,
    wire: Wire,
    first: &mut Vec<Outgoing>,
) -> Result<u64, Close> {
    let known = match since.map(str::parse::<EventId>) {
        // What can't be an event id is one that nobody knows.
        Some(Ok(id)) => membership.find(&id).await?,
        Some(Err(_)) | None => None,
    };
    if let Some(offset) = known
        && !channel.kind().changes_by_values()
    {
        return Ok(offset);
    }
    if let Some(state) = edge.snapshots.get(channel, head).await? {
        first.push(Outgoing::plain(state.frame(wire)));
        if let Some(values) = state.values() {
            membership.has_values(values.clone());
        }
        return Ok(known.unwrap_or(state.from.offset));
    }
    if let Some(offset) = known {
        return Ok(offset);
    }
    // A channel that could have a snapshot and has none yet starts now.
    let is_lost = since.is_some() && !channel.kind().has_snapshot();
    Ok(if is_lost { 0 } else { head.offset })
}
