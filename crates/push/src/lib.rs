//! One push to one device: web push, Firebase Cloud Messaging and Apple's push service, each behind [`Sender`],
//! and what became of it as an [`Outcome`].
//!
//! Whoever uses this decides who is told what, keeps the devices, tries again what came out as
//! [`Outcome::Later`], and forgets what came out as [`Outcome::Gone`]. Nothing here remembers a push: a send is
//! one attempt, and one that was cut off may have arrived all the same, so that a second may be shown in the
//! place of the first ([`Push::tag`]) but is never avoided.
//!
//! Invariants: knows no domain and no database. An address that somebody else named is never reached unless its
//! host is allowed and all its addresses are public ([`Settings::hosts`]). Neither logs nor reasons
//! hold a token, a key or an endpoint.
//!
//! ```
//! use platepal_push::{Senders, Service, Settings, VapidKeys};
//!
//! # rustls::crypto::ring::default_provider().install_default().ok();
//! let keys = VapidKeys::generate();
//! let variables = [
//!     ("REALTIME_PUSH_VAPID_PRIVATE_KEY", keys.private().reveal()),
//!     ("REALTIME_PUSH_VAPID_CONTACT", "mailto:operations@example.com"),
//! ];
//! let settings: Settings = platepal_settings::Reader::new(variables).read().ok_or("mistakes")?;
//! let senders = Senders::new(&settings)?;
//! assert_eq!(senders.vapid_public(), Some(keys.public()), "what browsers subscribe with");
//! assert!(senders.of(Service::WebPush).is_some());
//! assert!(senders.of(Service::Apns).is_none(), "it is not configured");
//! # Ok::<(), String>(())
//! ```

mod address;
mod apns;
mod clock;
mod credential;
mod exchange;
mod fcm;
mod guard;
mod keys;
mod measure;
mod payload;
mod push;
mod sender;
mod settings;
mod web;

pub use clock::Clock;
pub use keys::{KeyError, VapidKeys};
pub use measure::describe_metrics;
pub use push::{Device, Outcome, Push, Service, Urgency};
pub use sender::{Sender, Senders};
pub use settings::Settings;
