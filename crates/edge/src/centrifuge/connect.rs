//! `connect`: who is it, and which channels the server gives it.

use std::{net::IpAddr, sync::Arc};

use platepal_auth::{Principal, Role as UserRole, TokenError};
use platepal_events::{Channel, ChannelKind};

use super::{
    Done, Phase, VERSION,
    errors::{Refusal, because, error, within},
    messages::{ConnectRequest, ConnectResult, Reply, SubscribeRequest},
    subscribe::{Joining, Subscribed},
    tokens::seconds_until,
};
use crate::{
    Edge,
    close::{Close, Code},
    codec::Wire,
    queue::{Outgoing, Queue},
    session::{Role, Session, User, opening},
};

/// Somebody who is connected, and the channels that the server gives it.
pub(crate) struct Connected {
    user: User,
    subs: Vec<Subscribed>,
}

/// What is needed to connect somebody.
struct Connecting {
    edge: Arc<Edge>,
    queue: Arc<Queue>,
    wire: Wire,
    address: Option<IpAddr>,
    secret: Option<Arc<str>>,
}

impl Session {
    pub(super) fn connect(&mut self, id: u32, request: ConnectRequest) {
        let Some(client) = &mut self.client else { return };
        client.phase = Phase::Connecting;
        let connecting = Connecting {
            edge: Arc::clone(&self.edge),
            queue: Arc::clone(&self.queue),
            wire: self.wire,
            address: client.address,
            secret: client.secret.clone(),
        };
        let limit = self.edge.settings.opening_timeout;
        self.spawn(async move { Done::Connected(id, within(limit, connecting.attempt(request)).await) });
    }

    pub(super) fn connected(&mut self, id: u32, result: Result<Connected, Refusal>) {
        let Connected { user, subs } = match result {
            Ok(connected) => connected,
            Err(Refusal::Close(close)) => return self.close(&close),
            Err(Refusal::Error(error)) => {
                // The connection is of no more use; SDKs act on the answer, the close is for others.
                let close = if error.code == 109 { Code::Expired } else { Code::TryAgain };
                self.refuse(id, error);
                return self.queue.close(close);
            }
        };
        let now = self.edge.clock.now();
        self.expire_with(&user.principal, &user.registration);
        let Some(client) = &mut self.client else { return };
        client.phase = Phase::Connected;
        let sessions = &self.edge.sessions;
        let is_anonymous = user.principal.is_anonymous();
        let mut answer = ConnectResult {
            client: sessions.client_name(user.registration.id()),
            version: VERSION.to_owned(),
            expires: !is_anonymous,
            ttl: if is_anonymous { 0 } else { seconds_until(user.principal.renew_at, now) },
            time: now.micros() / 1_000,
            ..ConnectResult::default()
        };
        if !client.native_pings {
            answer.ping = u32::try_from(self.edge.settings.ping_interval.as_secs()).unwrap_or(u32::MAX);
            answer.pong = self.wire.answers_pings();
        }
        if let Some(secret) = &client.secret {
            (answer.session, answer.node) = (secret.to_string(), sessions.edge_name());
        }
        answer.subs =
            subs.iter().map(|sub| (sub.subscription.channel.to_string(), sub.result.clone())).collect();
        let reply = Reply { id, connect: Some(answer), ..Reply::default() };
        let reply = Outgoing::plain(self.wire.reply(&reply));
        self.say([reply]);
        self.user = Some(Box::new(user));
        for Subscribed { subscription, .. } in subs {
            self.enter(subscription);
        }
    }
}

impl Connecting {
    async fn attempt(self, request: ConnectRequest) -> Result<Connected, Refusal> {
        let edge = &self.edge;
        let principal = match edge.anonymous(&request.token) {
            Some(anybody) => anybody,
            None => edge.verifier.verify(&request.token, edge.clock.now()).await.map_err(refused)?,
        };
        let registration = opening::register(
            edge,
            &principal,
            "centrifuge",
            self.address,
            self.secret.clone(),
            &self.queue,
        )?;
        if edge.shutdown.is_told() {
            return Err(Close::from(Code::Restart).into());
        }
        let channels = given(edge, &principal);
        let user = User {
            principal: Arc::new(principal),
            token: request.token.into(),
            registration: Arc::new(registration),
        };
        let joining = Joining::new(edge, &self.queue, self.wire, &user, Role::Server);
        let mut subs = Vec::new();
        for channel in channels {
            let position = request.subs.get(channel.as_str()).cloned().unwrap_or_default();
            let position = SubscribeRequest { flag: 0, ..position };
            subs.push(joining.join(&channel, &position).await?);
        }
        Ok(Connected { user, subs })
    }
}

fn refused(why: TokenError) -> Refusal {
    match why {
        TokenError::Expired => error(109).into(),
        TokenError::Missing => Code::BadRequest.because(why.to_string()).into(),
        _ if why.is_temporary() => because(100, why.to_string()).into(),
        _ => opening::refused(why).into(),
    }
}

/// The user's own feeds, and what the token names.
fn given(edge: &Edge, principal: &Principal) -> Vec<Channel> {
    let id = principal.user_id.as_str();
    let own = [(ChannelKind::Customer, true), (ChannelKind::Rider, principal.has_role(UserRole::Delivery))];
    let own = own.into_iter().filter(|(_, has)| *has && edge.settings.own_feeds);
    // An id that can be no part of a channel's name has no feed.
    let mut channels: Vec<Channel> = own.filter_map(|(kind, _)| Channel::new(kind, id).ok()).collect();
    for name in &principal.channels {
        match name.parse() {
            Ok(channel) if channels.contains(&channel) => {}
            Ok(channel) => channels.push(channel),
            Err(why) => tracing::debug!(user = id, %why, "a token names a channel that does not exist"),
        }
    }
    channels.truncate(edge.settings.channels_max);
    channels
}
