//! Who gets in: one password for all operators, sessions that end.
//!
//! Invariant: a session is known by a random secret, of which only the digest is kept here; guessing is slow.

use std::time::Duration;

use metrics::counter;
use parking_lot::Mutex;
use platepal_events::{Timestamp, millis};
use platepal_service::Clock;
use rand::{Rng, distr::Alphanumeric};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Settings;

/// The time in which wrong passwords are counted.
const ATTEMPTS_MILLIS: i64 = 60_000;
/// Characters of a session's secret: more than 256 bits.
const SECRET_CHARS: usize = 48;

pub(crate) struct Door {
    password: Hash,
    session_time: Duration,
    sessions_max: usize,
    attempts_max: usize,
    clock: Clock,
    state: Mutex<State>,
}

type Hash = [u8; 32];

#[derive(Default)]
struct State {
    /// Digests of their secrets, and when they end; the first began first.
    sessions: Vec<(Hash, Timestamp)>,
    /// When wrong passwords came.
    wrong: Vec<Timestamp>,
}

/// Why somebody does not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Wrong,
    /// Too many wrong passwords came.
    Later,
}

impl Door {
    pub fn new(password: &str, settings: &Settings, clock: Clock) -> Self {
        Self {
            password: digest(password),
            session_time: settings.session_time,
            sessions_max: settings.sessions,
            attempts_max: settings.attempts as usize,
            clock,
            state: Mutex::default(),
        }
    }

    /// How long a session lasts.
    pub fn session_time(&self) -> Duration {
        self.session_time
    }

    /// The secret of a new session.
    pub fn enter(&self, password: &str) -> Result<String, Refused> {
        let entered = self.try_enter(password, self.clock.now());
        let result = match entered {
            Ok(_) => "entered",
            Err(Refused::Wrong) => "wrong",
            Err(Refused::Later) => "later",
        };
        counter!("realtime_console_logins_total", "result" => result).increment(1);
        entered
    }

    fn try_enter(&self, password: &str, now: Timestamp) -> Result<String, Refused> {
        let mut state = self.state.lock();
        state.wrong.retain(|at| now.millis_since(*at) < ATTEMPTS_MILLIS);
        if state.wrong.len() >= self.attempts_max {
            return Err(Refused::Later);
        }
        if !bool::from(digest(password).ct_eq(&self.password)) {
            state.wrong.push(now);
            return Err(Refused::Wrong);
        }
        let secret: String =
            rand::rng().sample_iter(Alphanumeric).take(SECRET_CHARS).map(char::from).collect();
        state.sessions.retain(|(_, end)| *end > now);
        if state.sessions.len() >= self.sessions_max {
            state.sessions.remove(0);
        }
        state.sessions.push((digest(&secret), now.plus_millis(millis(self.session_time))));
        Ok(secret)
    }

    /// Whether this is the secret of a session.
    pub fn knows(&self, secret: &str) -> bool {
        let (hash, now) = (digest(secret), self.clock.now());
        let state = self.state.lock();
        state.sessions.iter().any(|(own, end)| *end > now && bool::from(own.ct_eq(&hash)))
    }

    /// Ends a session.
    pub fn leave(&self, secret: &str) {
        let hash = digest(secret);
        self.state.lock().sessions.retain(|(own, _)| !bool::from(own.ct_eq(&hash)));
    }
}

fn digest(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_settings::Reader;

    use super::*;

    fn door(variables: &[(&str, &str)]) -> Door {
        let settings: Settings = Reader::new(variables.iter().copied()).read().unwrap();
        Door::new("a long password", &settings, Clock)
    }

    #[test]
    fn the_password_opens_a_session_that_can_be_left() {
        let door = door(&[]);
        let secret = door.enter("a long password").unwrap();
        assert!(door.knows(&secret) && !door.knows("other") && !door.knows(""));
        door.leave(&secret);
        assert!(!door.knows(&secret));
    }

    #[test]
    fn guessing_is_slow_and_the_right_password_waits_too() {
        let door = door(&[("REALTIME_CONSOLE_ATTEMPTS", "3")]);
        let now = Clock.now();
        for _ in 0..3 {
            assert_eq!(door.try_enter("a guess", now), Err(Refused::Wrong));
        }
        assert_eq!(door.try_enter("a long password", now), Err(Refused::Later));
        assert!(door.try_enter("a long password", now.plus_millis(60_000)).is_ok());
    }

    #[test]
    fn the_session_that_began_first_makes_room() {
        let door = door(&[("REALTIME_CONSOLE_SESSIONS", "2")]);
        let secrets: Vec<String> = (0..3).map(|_| door.enter("a long password").unwrap()).collect();
        let known: Vec<bool> = secrets.iter().map(|secret| door.knows(secret)).collect();
        assert_eq!(known, [false, true, true]);
    }
}
