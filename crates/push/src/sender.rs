//! The three services behind one trait, as far as they are configured.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{
    apns::Apns,
    clock::Clock,
    fcm::Fcm,
    push::{Device, Outcome, Push, Service},
    settings::Settings,
    web::WebPush,
};

/// Sends to the devices of one service.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Which service it is.
    fn service(&self) -> Service;

    /// Whether a device can be reached at all: the form of tokens and keys, and the host of an endpoint. For
    /// whoever registers devices; [`Sender::send`] looks again.
    ///
    /// # Errors
    /// A sentence about what is wrong with the device.
    fn check(&self, device: &Device) -> Result<(), String>;

    /// One attempt to send one push to one device. Ends within a few times `REALTIME_PUSH_TIMEOUT`.
    async fn send(&self, device: &Device, push: &Push) -> Outcome;
}

/// The services that are configured. Cheap to clone.
#[derive(Clone)]
pub struct Senders {
    senders: Arc<[Arc<dyn Sender>]>,
    vapid_public: Option<Arc<str>>,
}

impl fmt::Debug for Senders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.senders.iter().map(|sender| sender.service())).finish()
    }
}

impl Senders {
    /// Those that the settings configure. Reads the files that the settings name, and connects to nobody. The
    /// process has chosen its rustls provider before.
    ///
    /// # Errors
    /// What [`Settings::check`] notes, or no HTTP client can be made.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        Self::with_clock(settings, Clock::system())
    }

    /// As [`Senders::new`], with another clock.
    ///
    /// # Errors
    /// As [`Senders::new`].
    pub fn with_clock(settings: &Settings, clock: Clock) -> Result<Self, String> {
        let mistakes = settings.mistakes();
        if !mistakes.is_empty() {
            return Err(mistakes.join("; "));
        }
        let mut senders: Vec<Arc<dyn Sender>> = Vec::new();
        let mut vapid_public = None;
        if let Some((keys, contact)) = settings.vapid()? {
            vapid_public = Some(Arc::from(keys.public()));
            senders.push(Arc::new(WebPush::new(settings, keys, contact, clock.clone())?));
        }
        if let Some(account) = settings.fcm_account()? {
            senders.push(Arc::new(Fcm::new(settings, account, clock.clone())?));
        }
        if let Some(key) = settings.apns_provider()? {
            senders.push(Arc::new(Apns::new(settings, key, clock)?));
        }
        Ok(Self { senders: senders.into(), vapid_public })
    }

    /// The sender of a service; `None` when it is not configured.
    pub fn of(&self, service: Service) -> Option<Arc<dyn Sender>> {
        self.senders.iter().find(|sender| sender.service() == service).cloned()
    }

    /// The services that are configured.
    pub fn services(&self) -> impl Iterator<Item = Service> {
        self.senders.iter().map(|sender| sender.service())
    }

    /// The key that browsers subscribe with (`applicationServerKey`), base64url; `None` without web push.
    pub fn vapid_public(&self) -> Option<&str> {
        self.vapid_public.as_deref()
    }
}

/// What a sender says to a device of another service.
pub(crate) fn not_mine(service: Service, device: &Device) -> String {
    format!("a device of {} can't be reached by {}", device.service().word(), service.word())
}
