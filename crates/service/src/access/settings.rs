//! How Django is asked who may read what.

use std::time::Duration;

use platepal_events::ChannelKind;
use platepal_settings::Reader;

platepal_settings::settings! {
    /// Access: how Django is asked who may read a channel, when neither the token nor a grant says so.
    pub struct Settings {
        /// Asked for `restaurant:{id}`, with the user's own token: 2xx allows, 401, 403 and 404 deny, anything else is worth a retry. E.g. `http://django:8000/api/restaurants/{id}/`.
        restaurant_url: Option<String> = "REALTIME_ACCESS_RESTAURANT_URL", optional;
        /// Asked for `chat:{id}`, e.g. `http://django:8000/api/chat/rooms/{id}/`.
        chat_url: Option<String> = "REALTIME_ACCESS_CHAT_URL", optional;
        /// Asked for `order:{id}`, e.g. `http://django:8000/api/orders/{id}/`.
        order_url: Option<String> = "REALTIME_ACCESS_ORDER_URL", optional;
        /// Asked for `admin`, e.g. `http://django:8000/api/admin/ping/`.
        admin_url: Option<String> = "REALTIME_ACCESS_ADMIN_URL", optional;
        /// How long one question to Django may take.
        timeout: Duration = "REALTIME_ACCESS_TIMEOUT", default "2s", bound { unit: "time", full: "not decided: the client is told to try again", metric: "realtime_access_questions_total" };
        /// Questions to Django that may be open at once; the same question is asked once.
        questions: usize = "REALTIME_ACCESS_QUESTIONS", default "64", bound { unit: "requests", full: "further questions wait, up to the timeout", metric: "realtime_access_questions_total" };
        /// How long an answer is reused.
        cache_time: Duration = "REALTIME_ACCESS_CACHE_TIME", default "60s", bound { unit: "time", full: "asked again", metric: "realtime_access_questions_total" };
        /// Answers that are remembered.
        cache_answers: u64 = "REALTIME_ACCESS_CACHE_ANSWERS", default "100000", bound { unit: "answers", full: "the least used is forgotten", metric: "realtime_access_questions_total" };
        /// Failures in a row after which Django is left alone for a while.
        breaker_failures: u32 = "REALTIME_ACCESS_BREAKER_FAILURES", default "5", bound { unit: "failures in a row", full: "no question is asked for the breaker's time", metric: "realtime_access_breaker_opened_total" };
        /// For how long Django is left alone.
        breaker_time: Duration = "REALTIME_ACCESS_BREAKER_TIME", default "10s", bound { unit: "time", full: "one question is tried", metric: "realtime_access_breaker_opened_total" };
    }
}

/// The setting that holds the address for a kind of channel; `None`: Django is never asked for it.
pub(super) fn url_setting(kind: ChannelKind) -> Option<&'static str> {
    match kind {
        ChannelKind::Restaurant => Some("REALTIME_ACCESS_RESTAURANT_URL"),
        ChannelKind::Chat => Some("REALTIME_ACCESS_CHAT_URL"),
        ChannelKind::Order => Some("REALTIME_ACCESS_ORDER_URL"),
        ChannelKind::Admin => Some("REALTIME_ACCESS_ADMIN_URL"),
        ChannelKind::Customer
        | ChannelKind::Rider
        | ChannelKind::Menu
        | ChannelKind::Track
        | ChannelKind::Area
        | ChannelKind::Inbox
        | ChannelKind::All
        | ChannelKind::Sessions => None,
    }
}

impl Settings {
    /// The address to ask for a kind of channel, with `{id}` in it.
    pub(super) fn url(&self, kind: ChannelKind) -> Option<&str> {
        match kind {
            ChannelKind::Restaurant => self.restaurant_url.as_deref(),
            ChannelKind::Chat => self.chat_url.as_deref(),
            ChannelKind::Order => self.order_url.as_deref(),
            ChannelKind::Admin => self.admin_url.as_deref(),
            _ => None,
        }
    }

    /// Notes addresses that can't work.
    pub fn check(&self, reader: &mut Reader) {
        for kind in ChannelKind::PUBLIC {
            let (Some(text), Some(setting)) = (self.url(kind), url_setting(kind)) else { continue };
            if let Err(why) = url::Url::parse(&text.replace("{id}", "1")) {
                reader.mistake(format!("{setting} must be a URL: {why}"));
            }
            if kind.has_id() && !text.contains("{id}") {
                reader.mistake(format!("{setting} must have {{id}} where the channel's id goes"));
            }
        }
    }
}
