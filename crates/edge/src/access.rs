//! Who may read a channel: the owner of an own feed, from the token alone; else whom the owning domain allows.
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

use metrics::counter;
use moka::{Expiry, future::Cache};
use platepal_auth::{Principal, Role, UserId};
use platepal_events::{Channel, Event};
use platepal_proto::v1;
use platepal_service::{domain::principal_message, grpc::Links};

use crate::{
    Settings,
    close::{Close, Code},
};

/// Counters of revocations; users and channels share them by hash, which costs some a question more.
const GENERATIONS: usize = 1024;

/// Asks and remembers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Access {
    links: Links,
    message_bytes_max: usize,
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

/// What a domain answered.
#[derive(Debug, Clone)]
enum Answer {
    Allowed(Duration),
    Denied(Arc<str>),
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
    pub fn new(settings: &Settings, links: Links, message_bytes_max: usize) -> Self {
        let cache = Cache::builder().max_capacity(settings.access_cache_size).expire_after(ValidFor).build();
        let counters = (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect();
        let generations = Arc::new(Generations { hasher: RandomState::new(), counters });
        Self { links, message_bytes_max, cache, generations, valid_for_max: settings.access_cache_time }
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
        if channel.kind().is_own_feed() {
            let is_owner = channel.id() == principal.user_id.as_str();
            return if is_owner { Ok(()) } else { Err(Code::Forbidden.into()) };
        }
        let generation = self.generations.of(principal.user_id.as_str(), channel.as_str());
        let question = Question {
            user_id: principal.user_id.clone(),
            roles: principal.roles.clone(),
            restaurant_ids: principal.restaurant_ids.clone(),
            channel: channel.clone(),
            generation: generation.load(Ordering::Acquire),
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
        let owner = channel.kind().owner();
        let link = self.links.get(owner).ok_or_else(|| format!("no link to {}", owner.word()))?;
        let request = v1::AuthorizeRequest {
            principal: Some(principal_message(principal)),
            channel: channel.to_string(),
            token: token.to_owned(),
        };
        let answer = link.domain(self.message_bytes_max).authorize(request).await;
        let answer = answer.map_err(|status| status.message().to_owned())?.into_inner();
        match answer.decision() {
            v1::Decision::Allowed => {
                let valid_for = answer.valid_for.and_then(|time| Duration::try_from(time).ok());
                Ok(Answer::Allowed(valid_for.unwrap_or_default().min(self.valid_for_max)))
            }
            v1::Decision::Denied => Ok(Answer::Denied(answer.reason.into())),
            v1::Decision::Undecided | v1::Decision::Unspecified => Err(answer.reason),
        }
    }

    /// Forgets what was answered, and what is being asked now.
    pub fn revoke(&self, user: &str, channel: &str) {
        self.generations.of(user, channel).fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets every answer.
    pub fn revoke_all(&self) {
        for counter in &self.generations.counters {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The snapshot that a newcomer to a channel is given, and the offset after which to go on.
    pub async fn snapshot(&self, channel: &Channel) -> Result<Option<(v1::Event, v1::Position)>, String> {
        let owner = channel.kind().owner();
        let link = self.links.get(owner).ok_or_else(|| format!("no link to {}", owner.word()))?;
        let request = v1::SnapshotRequest { channel: channel.to_string() };
        let answer = link.domain(self.message_bytes_max).snapshot(request).await;
        let answer = answer.map_err(|status| status.message().to_owned())?.into_inner();
        Ok(answer.event.zip(answer.position))
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

/// The user and the channel of a `grant.revoked`.
pub(crate) fn revoked(event: &Event) -> Option<(String, Channel)> {
    #[derive(serde::Deserialize)]
    struct Revoked {
        user_id: String,
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
