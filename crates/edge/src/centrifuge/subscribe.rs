//! `subscribe` and `unsubscribe`: the right to read a channel, and where its client goes on.

use std::sync::Arc;

use bytes::Bytes;
use platepal_auth::{Principal, TokenError};
use platepal_events::{Channel, Position, Timestamp};

use super::{
    Done,
    errors::{Refusal, because, error, of_close, within},
    messages::{Empty, Publication, Push, Reply, Subscribe, SubscribeRequest, SubscribeResult},
    tokens::{in_time, seconds_until},
};
use crate::{
    Edge,
    close::Code,
    codec::{Encoded, Wire, publication},
    hub::{FromZero, LogPage, Membership, Page, Reader, unavailable},
    queue::{Outgoing, Queue},
    session::{Announced, PAGE_FRAMES, Role, Session, Subscription, User},
    sessions::ClientId,
};

/// Wants an error rather than a subscription without what was missed.
const FLAG_RECOVER_OR_FAIL: i64 = 2;
/// Bytes of publications in one answer; what is left comes as pushes.
const ANSWER_BYTES: usize = 256 * 1024;

/// A subscription, and what its client is told of it.
pub(crate) struct Subscribed {
    pub subscription: Subscription,
    pub result: SubscribeResult,
}

/// What is needed to make somebody a reader of a channel that it may read.
#[derive(Clone)]
pub(super) struct Joining {
    edge: Arc<Edge>,
    queue: Arc<Queue>,
    wire: Wire,
    principal: Arc<Principal>,
    token: Arc<str>,
    client: ClientId,
    role: Role,
}

impl Session {
    pub(super) fn subscribe(&mut self, id: u32, request: SubscribeRequest, user: &User) {
        let channel = match self.new_channel(&request) {
            Ok(channel) => channel,
            Err(refusal) => return self.refused(id, refusal),
        };
        if let Some(client) = &mut self.client {
            client.subscribing.push(channel.clone());
        }
        let joining = Joining::new(&self.edge, &self.queue, self.wire, user, Role::Client);
        let limit = self.edge.settings.opening_timeout;
        self.spawn(async move {
            let result = within(limit, joining.subscribe(&channel, &request)).await;
            Done::Subscribed { id, channel, result }
        });
    }

    /// The channel that a request names, if the connection can have it.
    fn new_channel(&self, request: &SubscribeRequest) -> Result<Channel, Refusal> {
        if request.channel.is_empty() {
            return Err(Code::BadRequest.because("a channel has no name").into());
        }
        // Map and shared-poll subscriptions: never ignored, as their clients wait for fields of their own.
        if request.kind != 0 {
            return Err(error(108).into());
        }
        let channel = named(&request.channel)?;
        let subscribing =
            self.client.as_ref().map(|client| client.subscribing.as_slice()).unwrap_or_default();
        if self.find(&channel).is_some() || subscribing.contains(&channel) {
            return Err(error(105).into());
        }
        if self.subscriptions.len() + subscribing.len() >= self.edge.settings.channels_max {
            return Err(error(106).into());
        }
        Ok(channel)
    }

    pub(super) fn subscribed(&mut self, id: u32, channel: &Channel, result: Result<Subscribed, Refusal>) {
        if let Some(client) = &mut self.client {
            client.subscribing.retain(|own| own != channel);
        }
        match result {
            Ok(Subscribed { subscription, result }) => {
                let reply = Reply { id, subscribe: Some(result), ..Reply::default() };
                let reply = Outgoing::plain(self.wire.reply(&reply));
                self.say([reply]);
                self.enter(subscription);
            }
            Err(refusal) => self.refused(id, refusal),
        }
    }

    /// A subscription whose client has been told of it.
    pub(super) fn enter(&mut self, subscription: Subscription) {
        if let Some(user) = &self.user {
            user.registration.enter(&subscription.channel);
        }
        let latest = subscription.start();
        self.line.extend(latest);
        let user = self.user.as_deref();
        let announced = user.and_then(|user| Announced::join(&self.edge, &subscription.channel, user));
        self.subscriptions.push(Subscription { _announced: announced, ..subscription });
    }

    pub(super) fn unsubscribe_by_client(&mut self, id: u32, name: &str) {
        let own = self.subscriptions.iter().find(|own| own.channel.as_str() == name);
        if let Some(channel) = own.map(|own| own.channel.clone()) {
            drop(self.leave(&channel));
        }
        // Also for a channel that it does not have: an error would make SDKs reconnect.
        self.reply(&Reply { id, unsubscribe: Some(Empty {}), ..Reply::default() });
    }

    /// Django or an operator gives the client a channel.
    pub(crate) fn subscribe_by_order(&mut self, channel: Channel, until: Option<Timestamp>) {
        let Some(user) = self.user.as_deref().filter(|_| self.client.is_some()) else { return };
        if self.find(&channel).is_some() {
            return;
        }
        let joining = Joining::new(&self.edge, &self.queue, self.wire, user, Role::Server);
        let limit = self.edge.settings.opening_timeout;
        self.spawn(async move {
            let request = SubscribeRequest::default();
            let joined = within(limit, joining.join(&channel, &request)).await.map(|mut joined| {
                joined.subscription.expires_at = until.map(|until| in_time(until, joining.edge.clock.now()));
                joined
            });
            Done::Added(channel, joined)
        });
    }

    pub(super) fn added(&mut self, channel: &Channel, result: Result<Subscribed, Refusal>) {
        match result {
            Ok(_) if self.find(channel).is_some() => {}
            Ok(Subscribed { subscription, result }) => {
                let SubscribeResult { recoverable, epoch, offset, positioned, .. } = result;
                let subscribe = Some(Subscribe { recoverable, epoch, offset, positioned });
                let push = Push { channel: channel.to_string(), subscribe, ..Push::default() };
                let push = self.wire.reply(&Reply { push: Some(push), ..Reply::default() });
                self.say([Outgoing::plain(push)]);
                self.enter(subscription);
            }
            // It comes back, and is then given what it should have.
            Err(refusal) => {
                tracing::warn!(%channel, ?refusal, "a channel that was ordered can't be given");
                self.close(&Code::TryAgain.into());
            }
        }
    }
}

/// Whether somebody may read a channel; whoever reads it already may.
pub(super) async fn check_reader(
    edge: &Edge,
    user: &User,
    channel: &Channel,
    is_reader: bool,
) -> Result<(), Refusal> {
    if is_reader {
        return Ok(());
    }
    let check = edge.access.check(&user.principal, &user.token, channel).await;
    check.map_err(|close| of_close(&close).into())
}

/// A channel by its exact name: pushes carry it, and clients compare.
pub(super) fn named(name: &str) -> Result<Channel, Refusal> {
    let channel = name.parse::<Channel>().ok().filter(|channel| channel.as_str() == name);
    channel.ok_or_else(|| error(102).into())
}

impl Joining {
    pub fn new(edge: &Arc<Edge>, queue: &Arc<Queue>, wire: Wire, user: &User, role: Role) -> Self {
        Self {
            edge: Arc::clone(edge),
            queue: Arc::clone(queue),
            wire,
            principal: Arc::clone(&user.principal),
            token: Arc::clone(&user.token),
            client: user.registration.id(),
            role,
        }
    }

    async fn subscribe(&self, channel: &Channel, request: &SubscribeRequest) -> Result<Subscribed, Refusal> {
        if request.token.is_empty() {
            let check = self.edge.access.check(&self.principal, &self.token, channel).await;
            check.map_err(|close| of_close(&close))?;
            return self.join(channel, request).await;
        }
        let now = self.edge.clock.now();
        let right = self.edge.verifier.verify_subscription(&request.token, now).await;
        let right = right.map_err(|why| match why {
            TokenError::Expired => error(109),
            _ if why.is_temporary() => because(100, why.to_string()),
            _ => error(103),
        })?;
        if right.user_id != self.principal.user_id || right.channel != channel.as_str() {
            return Err(Code::Unauthorised.because("the token is for another user or channel").into());
        }
        let mut subscribed = self.join(channel, request).await?;
        subscribed.subscription.asked = false;
        subscribed.subscription.expires_at =
            Some(in_time(right.expires_at, now) + self.edge.settings.refresh_grace);
        subscribed.result.expires = true;
        subscribed.result.ttl = seconds_until(right.renew_at, now);
        Ok(subscribed)
    }

    /// Makes it a reader, whatever its right is; nothing is pushed yet.
    pub async fn join(&self, channel: &Channel, request: &SubscribeRequest) -> Result<Subscribed, Refusal> {
        let edge = &self.edge;
        let mut reader = Reader::new(&self.queue, self.client, self.wire);
        reader.join_leave = request.join_leave && channel.kind().tells_presence();
        let joined = edge.hub.join(channel, reader).await;
        let joined = joined.map_err(|close| of_close(&close))?;
        let (membership, head) = (joined.membership, joined.head);
        let mut result = SubscribeResult {
            recoverable: true,
            positioned: true,
            epoch: head.epoch.as_str().to_owned(),
            was_recovering: request.recover,
            ..SubscribeResult::default()
        };
        let recovered = match request.recover {
            true => self.recover(channel, &membership, &head, request).await?,
            false => None,
        };
        if recovered.is_none() && request.recover && request.flag & FLAG_RECOVER_OR_FAIL != 0 {
            return Err(error(112).into());
        }
        let state = match recovered {
            Some(_) if !channel.kind().changes_by_values() => None,
            _ => edge.snapshots.get(channel, &head).await.map_err(|close| of_close(&close))?,
        };
        if let Some(state) = &state {
            result.data = state.data();
            if let Some(values) = state.values() {
                membership.has_values(values.clone());
            }
        }
        let cursor = match recovered {
            Some((entries, cursor)) => {
                result.recovered = true;
                result.offset = request.offset;
                let spelling = edge.settings.spelling();
                result.publications = entries.iter().map(|own| publication(&own.entry, spelling)).collect();
                cursor
            }
            None => {
                result.offset = state.map_or(head.offset, |state| state.from.offset);
                result.offset
            }
        };
        Ok(Subscribed { subscription: self.subscription(channel, membership, head, cursor), result })
    }

    fn subscription(
        &self,
        channel: &Channel,
        membership: Membership,
        head: Position,
        cursor: u64,
    ) -> Subscription {
        Subscription {
            channel: channel.clone(),
            role: self.role,
            membership,
            began_at: Position { offset: cursor, ..head },
            cursor: Some(cursor),
            from_zero: FromZero::Everything,
            replayed: 0,
            paging: false,
            expires_at: None,
            asked: self.role == Role::Client && !channel.kind().is_own_feed(),
            _announced: None,
        }
    }

    /// What comes first after the client's place, and the offset then; `None` when its place is not known any
    /// more.
    async fn recover(
        &self,
        channel: &Channel,
        membership: &Membership,
        head: &Position,
        request: &SubscribeRequest,
    ) -> Result<Option<(Vec<Arc<Encoded>>, u64)>, Refusal> {
        let other_log = !request.epoch.is_empty() && request.epoch != head.epoch.as_str();
        if other_log {
            return Ok(None);
        }
        if request.offset > head.offset {
            // Another edge may have told it more than was told here yet; the log knows.
            let known = self.edge.bus.head(channel).await.map_err(|why| of_close(&unavailable(&why)))?;
            if known.epoch != head.epoch || request.offset > known.offset {
                return Ok(None);
            }
        }
        let (entries, offset) = match membership.peek(request.offset, PAGE_FRAMES) {
            Page::Live(_) => (Vec::new(), request.offset),
            Page::Entries(entries, offset) => (entries, offset),
            Page::InLog => {
                let page = membership.read_log(request.offset, PAGE_FRAMES, FromZero::Everything).await;
                match page.map_err(|why| of_close(&unavailable(&why)))? {
                    LogPage::Entries(entries, offset) => (entries, offset),
                    LogPage::Gap => return Ok(None),
                }
            }
        };
        Ok(Some(fitting(entries, offset)))
    }
}

/// As many entries as fit one answer, at least one, and the offset of the last.
fn fitting(mut entries: Vec<Arc<Encoded>>, offset: u64) -> (Vec<Arc<Encoded>>, u64) {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|own| {
        bytes += own.entry.event.payload.len();
        bytes <= ANSWER_BYTES
    });
    let count = fits.count().max(1);
    if count >= entries.len() {
        return (entries, offset);
    }
    entries.truncate(count);
    let offset = entries.last().map_or(offset, |last| last.entry.position.offset);
    (entries, offset)
}

/// Publications of a page of a log.
pub(super) fn publications(entries: &[platepal_events::Entry], edge: &Edge) -> Vec<Publication> {
    entries.iter().map(|entry| publication(entry, edge.settings.spelling())).collect()
}

/// JSON that is sent on as it is.
pub(super) fn is_json(data: &Bytes) -> bool {
    // Not as a value that is skipped: that would let broken UTF-8 pass.
    serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_sent_on_as_json_is_json() {
        for (data, yes) in [
            (b"{\"a\": [1, null]}".as_slice(), true),
            (b" 7 ", true),
            (b"", false),
            (b"{} {}", false),
            (b"\"\xff\"", false),
        ] {
            assert_eq!(is_json(&Bytes::copy_from_slice(data)), yes, "{data:?}");
        }
    }
}
