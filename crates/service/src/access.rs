//! Who may read a channel that is not one's own feed: claims in the token, grants that Django pushed, or a
//! question to Django with the user's own token. None of the three says yes: denied.
//!
//! Own feeds (`customer:7`, `rider:31`) are decided from the token alone, by the edge; here they are only
//! ever allowed to their owner. A domain asks its own rules first (an order's participants, say), then this.

mod ask_django;
mod granted;
mod settings;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use platepal_auth::{Principal, Role};
use platepal_events::{Channel, ChannelKind, Timestamp};

use self::ask_django::{Answer, AskDjango};
pub use self::{granted::Granted, settings::Settings};
use crate::{Clock, domain::Verdict};

/// Where a domain keeps the grants for its channels.
#[async_trait]
pub trait Grants: Send + Sync + 'static {
    /// Whether a user has a grant for a channel that has not expired; the error is for logs.
    async fn has(&self, user: &str, channel: &Channel, now: Timestamp) -> Result<bool, String>;
}

/// Describes the metrics of access.
pub(crate) fn describe_metrics() {
    use metrics::describe_counter;
    describe_counter!(
        "realtime_access_questions_total",
        "Questions to Django who may read a channel, by feed and answer"
    );
    describe_counter!(
        "realtime_access_breaker_opened_total",
        "Times Django did not answer and was left alone for a while"
    );
}

/// Decides from claims, grants and Django's answers. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    grants: Arc<dyn Grants>,
    django: AskDjango,
    clock: Clock,
    valid_for: Duration,
}

impl Access {
    /// From the settings and the domain's grants.
    pub fn new(settings: &Settings, grants: Arc<dyn Grants>, clock: Clock) -> Result<Self, String> {
        Ok(Self { grants, django: AskDjango::new(settings)?, clock, valid_for: settings.cache_time })
    }

    /// May this principal read this channel? `token` is the user's own.
    pub async fn decide(&self, principal: &Principal, token: &str, channel: &Channel) -> Verdict {
        if allowed_by_claims(principal, channel) {
            return Verdict::Allowed(self.valid_for);
        }
        if channel.kind().is_own_feed() {
            return Verdict::Denied("this feed belongs to another user".to_owned());
        }
        match self.grants.has(principal.user_id.as_str(), channel, self.clock.now()).await {
            Ok(true) => return Verdict::Allowed(self.valid_for),
            Ok(false) => {}
            Err(why) => return Verdict::Undecided(format!("grants can't be read: {why}")),
        }
        match self.django.may_read(principal, token, channel).await {
            Some(Answer::Allowed) => Verdict::Allowed(self.valid_for),
            Some(Answer::Denied(status)) => Verdict::Denied(format!("Django answered {status}")),
            Some(Answer::Unknown(why)) => Verdict::Undecided(why),
            None => Verdict::Denied(format!(
                "no claim in the token, no grant, and no {} to ask Django",
                settings::url_setting(channel.kind()).unwrap_or("setting")
            )),
        }
    }
}

/// What the token itself allows.
fn allowed_by_claims(principal: &Principal, channel: &Channel) -> bool {
    let has = |role| principal.has_role(role);
    match channel.kind() {
        ChannelKind::Customer | ChannelKind::Rider | ChannelKind::Inbox => {
            principal.user_id.as_str() == channel.id()
        }
        ChannelKind::Restaurant => principal.has_restaurant(channel.id()),
        ChannelKind::Admin => has(Role::Admin),
        ChannelKind::Chat | ChannelKind::Order | ChannelKind::Track | ChannelKind::Area => {
            has(Role::Admin) || has(Role::Support)
        }
        ChannelKind::All => true,
        ChannelKind::Menu | ChannelKind::Sessions => false,
    }
}

#[cfg(test)]
mod tests;
