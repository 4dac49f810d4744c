//! A token that is good for a while: made when it is first needed, shared until shortly before its end, and by one
//! caller at a time.

use tokio::sync::Mutex;

use crate::clock::Clock;

/// A token and until when it is used, in seconds since 1970.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) until: i64,
}

/// The token of one service.
#[derive(Debug)]
pub(crate) struct Credential {
    clock: Clock,
    token: Mutex<Option<Token>>,
}

impl Credential {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, token: Mutex::new(None) }
    }

    /// The token; who comes while one is being made waits for that. `refused`: one that the service does not take, in
    /// whose place another is made.
    pub(crate) async fn get<E>(
        &self,
        refused: Option<&str>,
        make: impl AsyncFnOnce() -> Result<Token, E>,
    ) -> Result<String, E> {
        let mut held = self.token.lock().await;
        let now = self.clock.seconds();
        if let Some(token) =
            held.as_ref().filter(|token| token.until > now && refused != Some(token.text.as_str()))
        {
            return Ok(token.text.clone());
        }
        let token = make().await?;
        Ok(held.insert(token).text.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use platepal_events::Timestamp;

    use super::*;

    #[tokio::test]
    async fn a_token_is_made_once_until_its_end_or_until_it_is_refused() {
        let now = Arc::new(AtomicI64::new(100));
        let shown = Arc::clone(&now);
        let clock = Clock::new(move || Timestamp::from_micros(shown.load(Ordering::SeqCst) * 1_000_000));
        let (credential, made) = (Credential::new(clock), AtomicI64::new(0));
        let get = async |refused: Option<&str>| {
            let make = async || {
                let number = made.fetch_add(1, Ordering::SeqCst);
                Ok::<_, ()>(Token { text: number.to_string(), until: now.load(Ordering::SeqCst) + 60 })
            };
            credential.get(refused, make).await.unwrap()
        };
        let together = futures_util::future::join_all((0..10).map(|_| get(None))).await;
        assert!(together.iter().all(|token| token == "0"), "{together:?}");
        now.store(159, Ordering::SeqCst);
        assert_eq!(get(None).await, "0");
        now.store(160, Ordering::SeqCst);
        assert_eq!(get(None).await, "1");
        assert_eq!(get(Some("1")).await, "2");
        // Who was refused with an older one gets the newest.
        assert_eq!(get(Some("1")).await, "2");
    }
}
