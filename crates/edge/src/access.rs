//! Who may read a channel: everybody, one that is public; the owner of an own feed, from the token alone; else whom the
//! owning domain allows.
//!
//! Answers are kept for as long as the domain says; questions that are asked at the same time are asked once.
//! An answer that was asked for before a revocation is never used after it.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    Settings,
    close::{Close, Code},
    owners::{Answer, Owners},
};
use metrics::counter;
use moka::{Expiry, future::Cache};
use platepal_auth::{Principal, Role, UserId};
use platepal_events::{Channel, ChannelKind, Event};

/// Counters of revocations; users and channels share them by hash, which costs some a question more.
const GENERATIONS: usize = 1024;
/// Stands for all users of a channel; nobody's id is empty.
const EVERYBODY: &str = "";

/// Asks and remembers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Access {
    owners: Owners,
    cache: Cache<Question, Answer>,
    generations: Arc<Generations>,
    valid_for_max: Duration,
}

/// What an answer is the answer to. The claims are part of it: a token that says less is asked for anew.
#[derive(PartialEq, Eq, Hash)]
struct Question {
    user_id: UserId,
    roles: Vec<Role>,
    restaurant_ids: Vec<String>,
    channel: Channel,
    generation: u64,
}

struct Generations {
    hasher: RandomState,
    counters: Box<[AtomicU64]>,
}

struct ValidFor;

impl Expiry<Question, Answer> for ValidFor {
    fn expire_after_create(&self, _: &Question, answer: &Answer, _: Instant) -> Option<Duration> {
        match answer {
            Answer::Allowed(valid_for) => Some(*valid_for),
            // Only shared with those who ask at the same moment: a grant must work at once.
            Answer::Denied(_) => Some(Duration::ZERO),
        }
    }
}

impl Access {
    pub fn new(settings: &Settings, owners: Owners) -> Self {
        let cache = Cache::builder().max_capacity(settings.access_cache_size).expire_after(ValidFor).build();
        let counters = (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect();
        let generations = Arc::new(Generations { hasher: RandomState::new(), counters });
        Self { owners, cache, generations, valid_for_max: settings.access_cache_time }
    }

    /// May this principal read this channel? The error is what to close with.
    pub async fn check(&self, principal: &Principal, token: &str, channel: &Channel) -> Result<(), Close> {
        let result = self.decide(principal, token, channel).await;
        let word = match &result {
            Ok(()) => "allowed",
            Err(close) if close.code == Code::Forbidden => "denied",
            Err(_) => "undecided",
        };
        counter!("realtime_edge_access_total", "result" => word).increment(1);
        result
    }

    async fn decide(&self, principal: &Principal, token: &str, channel: &Channel) -> Result<(), Close> {
        // Here, too, and not only by the owner: a link must not open what another domain allows to everybody.
        if let Some(delivery) = principal.shared_delivery()
            && (channel.kind(), channel.id()) != (ChannelKind::Track, delivery)
        {
            return Err(Code::Forbidden.because("this link shows one delivery and opens nothing else"));
        }
        if channel.kind().is_public() {
            return Ok(());
        }
        if principal.is_anonymous() {
            return Err(Code::Forbidden.because("sign in to read this feed"));
        }
        if channel.kind().is_own_feed() {
            let is_owner = channel.id() == principal.user_id.as_str();
            return if is_owner { Ok(()) } else { Err(Code::Forbidden.into()) };
        }
        let of = |user| self.generations.of(user, channel.as_str()).load(Ordering::Acquire);
        // Both only grow, so their sum changes with either.
        let generation = of(principal.user_id.as_str()).wrapping_add(of(EVERYBODY));
        let question = Question {
            user_id: principal.user_id.clone(),
            roles: principal.roles.clone(),
            restaurant_ids: principal.restaurant_ids.clone(),
            channel: channel.clone(),
            generation,
        };
        match self.cache.try_get_with(question, Box::pin(self.ask(principal, token, channel))).await {
            Ok(Answer::Allowed(_)) => Ok(()),
            Ok(Answer::Denied(reason)) => {
                tracing::debug!(user = %principal.user_id, %channel, %reason, "denied");
                Err(Code::Forbidden.into())
            }
            Err(why) => {
                tracing::warn!(user = %principal.user_id, %channel, %why, "access can't be decided now");
                Err(Code::TryAgain.because("access can't be decided now; try again later"))
            }
        }
    }

    async fn ask(&self, principal: &Principal, token: &str, channel: &Channel) -> Result<Answer, String> {
        // A link is no account: there is nothing to ask Django with it.
        let token = if principal.shared_delivery().is_some() { "" } else { token };
        let answer = self.owners.authorize(principal, token, channel).await?;
        Ok(match answer {
            Answer::Allowed(valid_for) => Answer::Allowed(valid_for.min(self.valid_for_max)),
            Answer::Denied(reason) => Answer::Denied(reason),
        })
    }

    /// Forgets what was answered, and what is being asked now; `None`: to anybody.
    pub fn revoke(&self, user: Option<&str>, channel: &str) {
        self.generations.of(user.unwrap_or(EVERYBODY), channel).fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets every answer.
    pub fn revoke_all(&self) {
        for counter in &self.generations.counters {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Generations {
    fn of(&self, user: &str, channel: &str) -> &AtomicU64 {
        static NEVER: AtomicU64 = AtomicU64::new(0);
        let hash = self.hasher.hash_one((user, channel));
        let index = usize::try_from(hash % GENERATIONS as u64).unwrap_or_default();
        self.counters.get(index).unwrap_or(&NEVER)
    }
}

/// The user and the channel of a `grant.revoked`; without a user it concerns everybody who reads the channel.
pub(crate) fn revoked(event: &Event) -> Option<(Option<String>, Channel)> {
    #[derive(serde::Deserialize)]
    struct Revoked {
        user_id: Option<String>,
        channel: String,
    }
    let Revoked { user_id, channel } = serde_json::from_slice(&event.payload).ok()?;
    Some((user_id, channel.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_changes_the_generation_of_its_user_and_channel() {
        let counters = (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect();
        let generations = Generations { hasher: RandomState::new(), counters };
        generations.of("7", "chat:1").fetch_add(1, Ordering::AcqRel);
        assert_eq!(generations.of("7", "chat:1").load(Ordering::Acquire), 1);
        // Hash must be the same for the same words, however they are held.
        let owned = ("7".to_owned(), "chat:1".to_owned());
        assert_eq!(generations.of(&owned.0, &owned.1).load(Ordering::Acquire), 1);
    }
}
