//! Who somebody is: tokens become a [`Principal`], API keys become a [`KeyName`].
//!
//! A [`Verifier`] checks the access tokens that Django (or another issuer) signed; [`ApiKeys`] checks the keys
//! of backends and of our own services; [`mint`] makes tokens for development; a [`ShareSigner`] makes links that
//! show one delivery to somebody without an account.
//!
//! Guarantees:
//! - which algorithm verifies a token is decided by the configured keys alone: each key has exactly one, and
//!   what the token's header asks for only selects among them;
//! - no token and no key is ever logged, or part of an error;
//! - a token is refused from the moment [`Principal::expires_at`] on, and not before.
//!
//! Not decided here: what somebody may do. That is the business of the domain that owns a channel.
//!
//! Invariant: knows neither gRPC nor HTTP servers; the only request it makes is for an issuer's key set.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use platepal_auth::{NewToken, Settings, Verifier, mint};
//! use platepal_events::Timestamp;
//!
//! let mut reader = platepal_settings::Reader::new([("REALTIME_JWT_SECRET", "a secret of at least thirty-two bytes")]);
//! let settings = reader.read::<Settings>().ok_or("mistakes")?;
//! settings.check(&mut reader);
//! reader.finish(Settings::SPECS)?;
//!
//! let now = Timestamp::from_micros(1_795_519_800_000_000);
//! let token = mint(&settings, &NewToken::for_user("7".parse()?, now))?;
//! let verifier = Verifier::start(&settings).await?;
//! assert_eq!(verifier.verify(&token, now).await?.user_id.as_str(), "7");
//! # Ok(())
//! # }
//! ```

mod api_keys;
mod claims;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod jwks;
mod keys;
mod measure;
mod mint;
mod principal;
mod settings;
mod share;
mod verifier;

pub use api_keys::{ApiKeyError, ApiKeys, KeyName};
pub use error::TokenError;
pub use keys::KeyError;
pub use mint::{MintError, NewToken, mint};
pub use principal::{Principal, Role, RoleError, SubscriptionRight, UserId, UserIdError};
pub use settings::{KeySettings, Settings};
pub use share::{ShareSettings, ShareSigner};
pub use verifier::Verifier;
