//! What is pushed, to what, and what became of it.

use std::{fmt, time::Duration};

use serde_json::Value;
use url::Url;

/// A service that reaches devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Browsers, by the push service that each of them brings (RFC 8030).
    WebPush,
    /// Firebase Cloud Messaging.
    Fcm,
    /// Apple's push notification service.
    Apns,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 3] = [Self::WebPush, Self::Fcm, Self::Apns];

    /// Its word in metrics, stores and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::WebPush => "webpush",
            Self::Fcm => "fcm",
            Self::Apns => "apns",
        }
    }

    /// The service of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.word() == word)
    }
}

/// A device as its service knows it. Whoever has this can push to it, or watch its pushes: `Debug` shows only
/// which service it is of.
#[derive(Clone, PartialEq, Eq)]
pub enum Device {
    /// A browser's subscription, as `PushSubscription.toJSON()` gives it.
    Web {
        /// Where to push to.
        endpoint: Url,
        /// The browser's public key, base64url.
        p256dh: String,
        /// The secret shared with the browser, base64url.
        auth: String,
    },
    /// An app with Firebase.
    Fcm {
        /// The registration token.
        token: String,
    },
    /// An app on Apple's systems.
    Apns {
        /// The device token, in hexadecimal digits.
        token: String,
    },
}

impl Device {
    /// The service that reaches it.
    pub fn service(&self) -> Service {
        match self {
            Self::Web { .. } => Service::WebPush,
            Self::Fcm { .. } => Service::Fcm,
            Self::Apns { .. } => Service::Apns,
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({}, …)", self.service().word())
    }
}

/// How much a push is worth to somebody whose battery is low (RFC 8030, section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Urgency {
    /// Advertisements.
    VeryLow,
    /// Topics of interest.
    Low,
    /// A chat message.
    #[default]
    Normal,
    /// Somebody waits at the door. Wakes a sleeping phone.
    High,
}

impl Urgency {
    /// Its word in the header `Urgency`.
    pub fn word(self) -> &'static str {
        match self {
            Self::VeryLow => "very-low",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// What is pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    /// Names the notification for good, so that the app finds it in its inbox.
    pub id: String,
    /// The first line.
    pub title: String,
    /// The text below; shortened when it does not fit.
    pub body: String,
    /// For the app: what it is about, where a tap leads. Left out when it does not fit; `null` is nothing.
    pub data: Value,
    /// What a later push of the same topic takes the place of, as long as the device was not reached.
    pub topic: Option<String>,
    /// How much it is worth.
    pub urgency: Urgency,
    /// For how long it is of use; never longer than `REALTIME_PUSH_TTL`, which also holds without it.
    pub ttl: Option<Duration>,
}

impl Push {
    /// What a later notification takes the place of on the screen: its topic, or itself if it comes twice.
    pub fn tag(&self) -> &str {
        self.topic.as_deref().unwrap_or(&self.id)
    }
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The service took it.
    Sent {
        /// How the service calls it, if it says so.
        id: Option<String>,
    },
    /// The device is no longer subscribed, and never will be by this address: forget it.
    Gone,
    /// It did not go out, or it is not known whether it did; another attempt may.
    Later {
        /// Not before this time has passed, as the service wishes. At most a day.
        after: Option<Duration>,
        /// A sentence about it.
        why: String,
    },
    /// It did not go out, and the same would be refused again.
    Refused {
        /// A sentence about it.
        why: String,
    },
}

impl Outcome {
    pub(crate) fn later(why: impl Into<String>) -> Self {
        Self::Later { after: None, why: why.into() }
    }

    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }

    /// Its word in metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Gone => "gone",
            Self::Later { .. } => "later",
            Self::Refused { .. } => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_device_does_not_show_how_it_is_reached() {
        let endpoint = "https://push.example.com/secret".parse().unwrap();
        let device = Device::Web { endpoint, p256dh: "public".into(), auth: "hidden".into() };
        assert_eq!(format!("{device:?}"), "Device(webpush, …)");
        assert_eq!(format!("{:?}", Device::Fcm { token: "secret".into() }), "Device(fcm, …)");
    }

    #[test]
    fn a_word_names_its_service() {
        for service in Service::ALL {
            assert_eq!(Service::from_word(service.word()), Some(service));
        }
        assert_eq!(Service::from_word("pigeon"), None);
    }
}
