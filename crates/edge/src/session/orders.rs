//! What a connection is told to do from elsewhere: ask again, read more or less, end.

use std::{sync::Arc, time::Duration};

use platepal_events::Channel;

use super::{Role, Session};
use crate::{
    close::{Close, Code},
    queue::Order,
};

/// How long asking again after a revocation may take, so that a revoked socket is cut within a second.
pub(super) const RECHECK_TIMEOUT: Duration = Duration::from_millis(900);

impl Session {
    pub(super) fn obey(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Recheck => self.recheck(),
                Order::CheckToken => self.check_token(),
                Order::Missed(channel) => self.missed(&channel),
                Order::End(close) => self.close(&close),
                Order::ExpireAt(moment) => {
                    self.expire_at(moment);
                    if let Some(user) = &self.user {
                        user.registration.expires_at(moment);
                    }
                }
                Order::Subscribe(channel, until) => self.subscribe_by_order(channel, until),
                Order::Unsubscribe(channel) => {
                    if let Some(role) = self.find(&channel).map(|own| own.role) {
                        match role {
                            Role::Feed => self.close(&Code::Forbidden.into()),
                            Role::Client | Role::Server => {
                                self.unsubscribe(&channel, 2000, "server unsubscribe")
                            }
                        }
                    }
                }
            }
        }
    }

    fn check_token(&mut self) {
        let checked = self.user.as_ref().map(|user| self.edge.revocations.check(&user.principal));
        if let Some(Err(close)) = checked {
            self.close(&close);
        }
    }

    fn recheck(&mut self) {
        let Some(user) = &self.user else { return };
        let asked = self.subscriptions.iter().filter(|subscription| subscription.asked);
        let works = asked.map(|subscription| {
            subscription.recheck(&self.edge, Arc::clone(&user.principal), Arc::clone(&user.token))
        });
        self.work.extend(works);
    }

    pub(super) fn rechecked(&mut self, channel: &Channel, verdict: Result<(), Close>) {
        let (Err(close), Some(role)) = (verdict, self.find(channel).map(|own| own.role)) else { return };
        match role {
            Role::Feed => self.close(&close),
            Role::Client if close.code != Code::Forbidden => {
                self.unsubscribe(channel, 2500, "access can't be decided now");
            }
            Role::Client | Role::Server => self.unsubscribe(channel, 2000, "permission denied"),
        }
    }

    /// The channel goes on from a place to which this connection has no way.
    pub(super) fn missed(&mut self, channel: &Channel) {
        match self.find(channel).map(|own| own.role) {
            None => {}
            Some(Role::Feed) => {
                self.close(&Code::Restart.because("events were missed that are no longer kept; reconnect"));
            }
            Some(Role::Client) => self.unsubscribe(channel, 2500, "insufficient state"),
            Some(Role::Server) => self.close(&Code::Missed.into()),
        }
    }

    /// The right to read a channel has ended by itself.
    pub(super) fn expired(&mut self, channel: &Channel) {
        self.unsubscribe(channel, 2501, "subscription expired");
    }
}
