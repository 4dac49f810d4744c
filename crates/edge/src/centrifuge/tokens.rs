//! `refresh` and `sub_refresh`: new tokens for a connection and for one channel, before the old ones end.

use std::{sync::Arc, time::Duration};

use platepal_auth::{Principal, SubscriptionRight, TokenError};
use platepal_events::{Channel, Timestamp};
use tokio::time::Instant;

use super::{
    Done, VERSION,
    errors::{Refusal, because, error},
    messages::{RefreshRequest, RefreshResult, Reply, SubRefreshRequest, SubRefreshResult},
    subscribe::named,
};
use crate::{
    close::Code,
    session::{Session, User},
    sessions::Registration,
};

/// A new right, and the token that gives it.
pub(crate) enum Refreshed {
    Connection(Box<Principal>, Arc<str>),
    Channel(Box<SubscriptionRight>),
}

/// Whole seconds until a token should be renewed; never 0, which would make clients renew without end.
pub(super) fn seconds_until(moment: Timestamp, now: Timestamp) -> u32 {
    u32::try_from((moment.millis_since(now) / 1_000).max(1)).unwrap_or(u32::MAX)
}

/// A moment on the clock that timers use.
pub(super) fn in_time(moment: Timestamp, now: Timestamp) -> Instant {
    let left = u64::try_from(moment.millis_since(now)).unwrap_or(0);
    // Beyond a year is as good as for ever, and no timer is asked to wait longer.
    Instant::now() + Duration::from_millis(left).min(Duration::from_secs(365 * 24 * 3600))
}

impl Session {
    pub(super) fn refresh(&mut self, id: u32, request: RefreshRequest, user: &User) {
        let (edge, user_id) = (Arc::clone(&self.edge), user.principal.user_id.clone());
        self.spawn(async move {
            let verified = edge.verifier.verify(&request.token, edge.clock.now()).await;
            let result = match verified {
                Ok(principal) if principal.user_id != user_id => {
                    Err(Code::Unauthorised.because("the token is another user's").into())
                }
                Ok(principal) => Ok(Refreshed::Connection(Box::new(principal), request.token.into())),
                Err(TokenError::Expired) => Err(Refusal::Close(Code::Expired.into())),
                Err(why) if why.is_temporary() => Err(because(100, why.to_string()).into()),
                Err(why) => Err(Code::Unauthorised.because(why.to_string()).into()),
            };
            Done::Refreshed(id, result)
        });
    }

    /// The connection ends with its token, and the time that its client is given to renew it.
    pub(super) fn expire_with(&mut self, principal: &Principal, registration: &Registration) {
        let grace = i64::try_from(self.edge.settings.refresh_grace.as_millis()).unwrap_or(i64::MAX);
        let end = principal.expires_at.plus_millis(grace);
        registration.expires_at(end);
        self.expire_at(end);
    }

    pub(super) fn refreshed(&mut self, id: u32, result: Result<Refreshed, Refusal>) {
        let (principal, token) = match result {
            Ok(Refreshed::Connection(principal, token)) => (*principal, token),
            Ok(Refreshed::Channel(_)) => return,
            Err(refusal) => return self.refused(id, refusal),
        };
        if let Err(close) = self.edge.revocations.check(&principal) {
            return self.close(&close);
        }
        let ttl = seconds_until(principal.renew_at, self.edge.clock.now());
        let Some(registration) = self.user.as_ref().map(|user| Arc::clone(&user.registration)) else {
            return;
        };
        self.expire_with(&principal, &registration);
        let Some(user) = &mut self.user else { return };
        user.principal = Arc::new(principal);
        user.token = token;
        let client = self.edge.sessions.client_name(user.registration.id());
        let refresh = Some(RefreshResult { client, version: VERSION.to_owned(), expires: true, ttl });
        self.reply(&Reply { id, refresh, ..Reply::default() });
    }

    pub(super) fn sub_refresh(&mut self, id: u32, request: SubRefreshRequest, user: &User) {
        let channel = match named(&request.channel) {
            Ok(channel) if self.find(&channel).is_some() => channel,
            Ok(_) => return self.refuse(id, error(103)),
            Err(refusal) => return self.refused(id, refusal),
        };
        let (edge, user_id) = (Arc::clone(&self.edge), user.principal.user_id.clone());
        self.spawn(async move {
            let verified = edge.verifier.verify_subscription(&request.token, edge.clock.now()).await;
            let result = match verified {
                Ok(right) if right.user_id == user_id && right.channel == channel.as_str() => {
                    Ok(Refreshed::Channel(Box::new(right)))
                }
                Err(TokenError::Expired) => Err(error(110).into()),
                Err(why) if why.is_temporary() => Err(because(100, why.to_string()).into()),
                Ok(_) => Err(Code::Unauthorised.because("the token is for another user or channel").into()),
                Err(why) => Err(Code::Unauthorised.because(why.to_string()).into()),
            };
            Done::SubRefreshed { id, channel, result }
        });
    }

    pub(super) fn sub_refreshed(&mut self, id: u32, channel: &Channel, result: Result<Refreshed, Refusal>) {
        let right = match result {
            Ok(Refreshed::Channel(right)) => right,
            Ok(Refreshed::Connection(..)) => return,
            Err(refusal) => return self.refused(id, refusal),
        };
        let (now, grace) = (self.edge.clock.now(), self.edge.settings.refresh_grace);
        if let Some(own) = self.subscriptions.iter_mut().find(|own| own.channel == *channel) {
            own.expires_at = Some(in_time(right.expires_at, now) + grace);
        }
        let answer = SubRefreshResult { expires: true, ttl: seconds_until(right.renew_at, now) };
        self.reply(&Reply { id, sub_refresh: Some(answer), ..Reply::default() });
    }
}
