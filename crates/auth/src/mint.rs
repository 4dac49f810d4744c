//! Tokens for development, shaped like those of Django's simplejwt.

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use platepal_events::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{Role, Settings, UserId, settings::ANY_TYPE};

/// What a minted token says.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whose it is.
    pub user_id: UserId,
    /// What they are; Django's own tokens name no role.
    pub roles: Vec<Role>,
    /// The restaurants they own.
    pub restaurant_ids: Vec<String>,
    /// When it is made.
    pub issued_at: Timestamp,
    /// For how long it is good; Django's access tokens live for an hour.
    pub lifetime: Duration,
}

/// Why no token can be minted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// Only the issuer can sign for its public keys.
    #[error("REALTIME_JWT_SECRET is not set, so no token can be signed here; ask the issuer for one")]
    NoSecret,
    /// What a link would show is no delivery.
    #[error("no link can be signed: {0}")]
    NoDelivery(String),
    /// The library refused.
    #[error("the token could not be signed: {0}")]
    Signing(String),
}

impl NewToken {
    /// A token as Django makes it for a user: good for an hour, without roles.
    pub fn for_user(user_id: UserId, issued_at: Timestamp) -> Self {
        let lifetime = Duration::from_secs(3600);
        Self { user_id, roles: Vec::new(), restaurant_ids: Vec::new(), issued_at, lifetime }
    }
}

/// Makes a token that a [`crate::Verifier`] with the same settings accepts.
///
/// # Errors
/// No secret is configured.
pub fn mint(settings: &Settings, token: &NewToken) -> Result<String, MintError> {
    let secret = settings.secret.as_ref().ok_or(MintError::NoSecret)?;
    let key = EncodingKey::from_secret(secret.reveal().as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims(settings, token), &key)
        .map_err(|why| MintError::Signing(why.to_string()))
}

fn claims(settings: &Settings, token: &NewToken) -> Map<String, Value> {
    let issued_at = token.issued_at.micros().div_euclid(1_000_000);
    let lifetime = i64::try_from(token.lifetime.as_secs()).unwrap_or(i64::MAX);
    let token_type = if settings.token_type == ANY_TYPE { "access" } else { &settings.token_type };
    // Django's ids are numbers, and up to simplejwt 5.4 they are written as such.
    let user_id = match token.user_id.as_str().parse::<u64>() {
        Ok(number) if number.to_string() == token.user_id.as_str() => json!(number),
        _ => json!(token.user_id.as_str()),
    };
    let mut claims = Map::new();
    let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    claim("token_type", json!(token_type));
    claim("exp", json!(issued_at.saturating_add(lifetime)));
    claim("iat", json!(issued_at));
    claim("jti", json!(Uuid::new_v4().simple().to_string()));
    match token.roles.as_slice() {
        [] => {}
        [role] => drop(claim("role", json!(role.as_str()))),
        roles => drop(claim("roles", roles.iter().map(|role| role.as_str()).collect())),
    }
    if !token.restaurant_ids.is_empty() {
        claim("restaurant_ids", json!(token.restaurant_ids));
    }
    if let Some(audience) = &settings.audience {
        claim("aud", json!(audience));
    }
    if let Some(issuer) = &settings.issuer {
        claim("iss", json!(issuer));
    }
    claim(&settings.user_claim, user_id);
    claims
}
