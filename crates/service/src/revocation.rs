//! Tokens that a backend takes back before they expire: said by the gateway, kept by the bus, refused by every edge.
//!
//! The one place that knows how that is written. It travels on [`Channel::sessions`] as a value of the *latest* class, one
//! per user or token, so that an edge that starts later knows all of them.
//!
//! Invariant: a revocation refuses only tokens that were issued before it.

use platepal_auth::Principal;
use platepal_bus::{Bus, BusError};
use platepal_events::{Channel, Event, EventId, EventType, Timestamp};
use serde::{Deserialize, Serialize};

/// The type of the event.
const KIND: &str = "token.revoked";

/// Tokens of one user that are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub user: String,
    /// Only the one of this id (`jti`); `None`: all that were issued before a moment.
    pub token_id: Option<String>,
    /// Tokens that were issued at this moment or later are not meant.
    pub issued_before: Timestamp,
    /// The last of them has expired by then.
    pub until: Timestamp,
}

/// How it is written. Moments are in microseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Written {
    user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    issued_before: i64,
    until: i64,
}

/// Why an event is no revocation that can be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a revocation of tokens can't be read: {0}")]
pub struct RevocationError(String);

impl Revocation {
    /// What it is about: a newer one of the same takes its place.
    pub fn key(&self) -> String {
        let token_id = self.token_id.as_deref().unwrap_or_default();
        EventId::derived(&[KIND, &self.user, token_id]).as_str().to_owned()
    }

    /// Whether a token is meant that says this of its user. One that does not say when it was issued is.
    pub fn means(&self, principal: &Principal) -> bool {
        if principal.user_id.as_str() != self.user {
            return false;
        }
        match &self.token_id {
            Some(id) => principal.token_id.as_ref() == Some(id),
            None => principal.issued_at.is_none_or(|at| at < self.issued_before),
        }
    }

    /// Says it: returns when it is kept, so that every edge will hear of it.
    pub async fn give(&self, bus: &dyn Bus, now: Timestamp) -> Result<(), BusError> {
        let event = self.write(now).map_err(|why| BusError::Refused(why.to_string()))?;
        bus.append(&[Channel::sessions()], &event).await.map(drop)
    }

    /// As an event.
    pub fn write(&self, now: Timestamp) -> Result<Event, RevocationError> {
        let written = Written {
            user: self.user.clone(),
            token_id: self.token_id.clone(),
            issued_before: self.issued_before.micros(),
            until: self.until.micros(),
        };
        let payload = serde_json::to_vec(&written).map_err(|why| RevocationError(why.to_string()))?;
        let event = Event::new(EventId::make(), EventType::named(KIND), payload, now);
        Ok(Event { key: self.key().into(), ..event })
    }

    /// The revocation in an event; `None` if the event is none.
    pub fn read(event: &Event) -> Option<Result<Self, RevocationError>> {
        (event.kind.as_str() == KIND).then(|| {
            let written: Written =
                serde_json::from_slice(&event.payload).map_err(|why| RevocationError(why.to_string()))?;
            Ok(Self {
                user: written.user,
                token_id: written.token_id,
                issued_before: Timestamp::from_micros(written.issued_before),
                until: Timestamp::from_micros(written.until),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_proto::v1;

    use super::*;
    use crate::domain::principal_from;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn token(user: &str, id: &str, issued_at: Option<i64>) -> Principal {
        let principal = principal_from(v1::Principal { user_id: user.into(), ..Default::default() }).unwrap();
        Principal { token_id: Some(id.into()), issued_at: issued_at.map(at), ..principal }
    }

    fn revocation(token_id: Option<&str>) -> Revocation {
        Revocation {
            user: "7".into(),
            token_id: token_id.map(Into::into),
            issued_before: at(100),
            until: at(400),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for own in [revocation(None), revocation(Some("a"))] {
            let event = own.write(at(100)).unwrap();
            assert!(event.kind.is_known());
            assert_eq!(Revocation::read(&event), Some(Ok(own)));
        }
        let nonsense = Event::new(EventId::make(), EventType::named(KIND), "{}", at(1));
        assert!(Revocation::read(&nonsense).unwrap().is_err());
    }

    #[test]
    fn a_users_older_tokens_are_meant_and_newer_ones_are_not() {
        let all = revocation(None);
        assert!(all.means(&token("7", "a", Some(99))) && all.means(&token("7", "a", None)));
        assert!(!all.means(&token("7", "a", Some(100))) && !all.means(&token("8", "a", Some(1))));
        let one = revocation(Some("a"));
        assert!(one.means(&token("7", "a", Some(200))));
        assert!(!one.means(&token("7", "b", Some(1))) && !one.means(&token("8", "a", Some(1))));
        assert_ne!(all.key(), one.key());
    }
}
