//! Asking Django's REST API with the user's own token: bounded, coalesced, cached, and given up for a while when
//! Django is down.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::future::Cache;
use parking_lot::Mutex;
use platepal_auth::Principal;
use platepal_events::{Channel, ChannelKind};
use reqwest::{StatusCode, redirect};
use tokio::sync::Semaphore;

use super::Settings;

/// What Django said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 2xx.
    Allowed,
    /// 401, 403 or 404.
    Denied(u16),
    /// Anything else, or nothing in time.
    Unknown(String),
}

/// Asks and remembers. Cheap to clone.
#[derive(Clone)]
pub(super) struct AskDjango(Arc<Inner>);

struct Inner {
    settings: Settings,
    client: reqwest::Client,
    open_questions: Semaphore,
    answers: Cache<(String, Channel), Answer>,
    breaker: Mutex<Breaker>,
}

impl AskDjango {
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .timeout(settings.timeout)
            // A redirect to a login page must not count as a yes, nor carry the token elsewhere.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|why| format!("can't make an HTTP client: {why}"))?;
        let answers =
            Cache::builder().max_capacity(settings.cache_answers).time_to_live(settings.cache_time).build();
        Ok(Self(Arc::new(Inner {
            client,
            open_questions: Semaphore::new(settings.questions),
            answers,
            breaker: Mutex::new(Breaker::default()),
            settings: settings.clone(),
        })))
    }

    /// Django's answer; `None` when there is no address to ask for this kind of channel.
    pub(super) async fn may_read(
        &self,
        principal: &Principal,
        token: &str,
        channel: &Channel,
    ) -> Option<Answer> {
        let template = self.0.settings.url(channel.kind())?;
        let url = template.replace("{id}", channel.id());
        let key = (principal.user_id.as_str().to_owned(), channel.clone());
        // One flight per user and channel; only a real answer is remembered.
        let answer = self.0.answers.try_get_with(key, self.0.ask(&url, token, channel.kind())).await;
        Some(answer.unwrap_or_else(|why| Answer::Unknown((*why).clone())))
    }
}

impl Inner {
    async fn ask(&self, url: &str, token: &str, kind: ChannelKind) -> Result<Answer, String> {
        let count = |result: &'static str| {
            metrics::counter!("realtime_access_questions_total", "feed" => kind.word(), "result" => result)
                .increment(1);
        };
        if !self.breaker.lock().may_try(Instant::now(), self.settings.breaker_time) {
            count("breaker_open");
            return Err("Django has failed several times in a row; trying again soon".to_owned());
        }
        let asked = tokio::time::timeout(self.settings.timeout, async {
            let _permit = self.open_questions.acquire().await.map_err(|why| why.to_string())?;
            let response = self.client.get(url).bearer_auth(token).send().await;
            response.map(|response| response.status()).map_err(|why| why.without_url().to_string())
        });
        let answer = match asked.await {
            Ok(Ok(status)) if status.is_success() => Ok(Answer::Allowed),
            Ok(Ok(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND))) => {
                Ok(Answer::Denied(status.as_u16()))
            }
            Ok(Ok(status)) => Err(format!("Django answered {status}")),
            Ok(Err(why)) => Err(format!("Django can't be reached: {why}")),
            Err(_) => Err("Django did not answer in time".to_owned()),
        };
        let opened =
            self.breaker.lock().record(answer.is_ok(), self.settings.breaker_failures, Instant::now());
        if opened {
            metrics::counter!("realtime_access_breaker_opened_total").increment(1);
            tracing::warn!(why = ?answer.as_ref().err(), "Django does not answer questions; leaving it alone for a while");
        }
        count(match &answer {
            Ok(Answer::Allowed) => "allowed",
            Ok(_) => "denied",
            Err(_) => "failed",
        });
        answer
    }
}

/// A circuit breaker: after some failures in a row it stays open for a time, then lets one attempt through.
#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    opened_at: Option<Instant>,
}

impl Breaker {
    fn may_try(&mut self, now: Instant, open_for: Duration) -> bool {
        match self.opened_at {
            Some(at) if now.duration_since(at) < open_for => false,
            Some(_) => {
                // Half open: this attempt goes through, the next waits for its result or another period.
                self.opened_at = Some(now);
                true
            }
            None => true,
        }
    }

    /// Notes a result; true if the breaker opened by it.
    fn record(&mut self, success: bool, failures_max: u32, now: Instant) -> bool {
        if success {
            *self = Self::default();
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < failures_max {
            return false;
        }
        self.opened_at.replace(now).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_opens_after_failures_in_a_row_and_tries_again_later() {
        let (start, open_for) = (Instant::now(), Duration::from_secs(10));
        let mut breaker = Breaker::default();
        assert!(!breaker.record(false, 2, start));
        assert!(!breaker.record(true, 2, start), "a success starts the count anew");
        assert!(!breaker.record(false, 2, start));
        assert!(breaker.record(false, 2, start), "the second in a row opens it");
        assert!(!breaker.may_try(start + Duration::from_secs(9), open_for));
        let later = start + Duration::from_secs(10);
        assert!(breaker.may_try(later, open_for));
        assert!(!breaker.may_try(later, open_for), "only one attempt");
        breaker.record(true, 2, later);
        assert!(breaker.may_try(later, open_for));
    }
}
