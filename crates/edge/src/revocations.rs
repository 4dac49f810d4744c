//! Tokens that are refused though they would be good.
//!
//! Invariant: what was heard is refused until its last token has expired, unless there are more of them than are kept.

use std::collections::HashMap;

use metrics::{counter, gauge};
use parking_lot::RwLock;
use platepal_auth::Principal;
use platepal_events::Timestamp;
use platepal_service::revocation::Revocation;

use crate::close::{Close, Code};

/// All that are known.
#[derive(Debug)]
pub(crate) struct Revocations {
    max: usize,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By their users; of each user by what they are about.
    of_users: HashMap<String, HashMap<String, Revocation>>,
    /// Of all users.
    count: usize,
}

impl Revocations {
    pub fn new(max: usize) -> Self {
        Self { max, state: RwLock::default() }
    }

    /// From now on these tokens are refused.
    pub fn hear(&self, revocation: Revocation, now: Timestamp) {
        if revocation.until <= now {
            return;
        }
        let mut state = self.state.write();
        let of_user = state.of_users.entry(revocation.user.clone()).or_default();
        if of_user.insert(revocation.key(), revocation).is_none() {
            state.count += 1;
        }
        if state.count > self.max {
            state.forget(self.max, now);
        }
        gauge!("realtime_edge_revocations").set(state.count as f64);
    }

    /// The error is what to close with.
    pub fn check(&self, principal: &Principal) -> Result<(), Close> {
        let state = self.state.read();
        let of_user = state.of_users.get(principal.user_id.as_str());
        if of_user.is_some_and(|own| own.values().any(|revocation| revocation.means(principal))) {
            counter!("realtime_edge_revoked_tokens_total").increment(1);
            return Err(Code::Unauthorised.because("the token was revoked; sign in again"));
        }
        Ok(())
    }
}

impl State {
    /// Forgets what is over; if that is not enough, what is over soonest.
    fn forget(&mut self, max: usize, now: Timestamp) {
        let all = self.of_users.values().flat_map(HashMap::values);
        let mut ends: Vec<Timestamp> = all.map(|own| own.until).filter(|end| *end > now).collect();
        ends.sort_unstable();
        // A tenth at once, so that not every further one looks through all of them.
        let spared = if ends.len() > max { max - max / 10 } else { ends.len() };
        let from = ends.get(ends.len() - spared).copied().unwrap_or(now);
        if ends.len() > max {
            tracing::warn!(
                max,
                "more revoked tokens than REALTIME_EDGE_REVOCATIONS; those that end soonest are forgotten"
            );
        }
        self.count = 0;
        self.of_users.retain(|_, own| {
            own.retain(|_, revocation| revocation.until > now && revocation.until >= from);
            self.count += own.len();
            !own.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_service::domain::principal_from;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn revocation(user: usize, until: i64) -> Revocation {
        Revocation { user: user.to_string(), token_id: None, issued_before: at(10), until: at(until) }
    }

    fn is_refused(revocations: &Revocations, user: usize) -> bool {
        let message = platepal_proto::v1::Principal { user_id: user.to_string(), ..Default::default() };
        let principal = principal_from(message).unwrap();
        revocations.check(&Principal { issued_at: Some(at(5)), ..principal }).is_err()
    }

    #[test]
    fn what_ends_soonest_is_forgotten_first_and_never_more_than_must_be() {
        let revocations = Revocations::new(20);
        for user in 0..20 {
            revocations.hear(revocation(user, 100 + user as i64), at(10));
        }
        assert!((0..20).all(|user| is_refused(&revocations, user)));
        revocations.hear(revocation(20, 500), at(10));
        let refused: Vec<usize> = (0..=20).filter(|user| is_refused(&revocations, *user)).collect();
        assert_eq!(refused, (3..=20).collect::<Vec<_>>());
        // What is over makes room for all of the others.
        for user in 30..33 {
            revocations.hear(revocation(user, 500), at(118));
        }
        assert!(is_refused(&revocations, 19) && is_refused(&revocations, 32));
    }

    #[test]
    fn what_is_over_is_not_taken() {
        let revocations = Revocations::new(2);
        revocations.hear(revocation(7, 9), at(10));
        assert!(!is_refused(&revocations, 7));
    }
}
