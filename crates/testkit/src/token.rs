//! Access tokens as Django's simplejwt makes them, and as it would not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A token to be: start from a good one, spoil what the test is about, then [`Token::sign`].
#[derive(Debug, Clone)]
pub struct Token {
    claims: Map<String, Value>,
    secret: String,
}

impl Token {
    /// A good access token for an hour.
    pub fn new(secret: &str, user_id: impl Into<Value>) -> Self {
        let now = unix_seconds();
        let mut claims = Map::new();
        claims.insert("token_type".to_owned(), json!("access"));
        claims.insert("exp".to_owned(), json!(now + 3600));
        claims.insert("iat".to_owned(), json!(now));
        claims.insert("jti".to_owned(), json!(Uuid::new_v4().simple().to_string()));
        claims.insert("user_id".to_owned(), user_id.into());
        Self { claims, secret: secret.to_owned() }
    }

    /// Adds or replaces a claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a claim away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Claims a role: `CUSTOMER RESTAURANT DELIVERY ADMIN SUPPORT`.
    #[must_use]
    pub fn role(self, role: &str) -> Self {
        self.claim("role", role)
    }

    /// Claims restaurants.
    #[must_use]
    pub fn restaurants(self, ids: impl IntoIterator<Item = u64>) -> Self {
        let ids: Vec<u64> = ids.into_iter().collect();
        self.claim("restaurant_ids", ids)
    }

    /// Expires this long from now.
    #[must_use]
    pub fn expires_in(self, time: Duration) -> Self {
        self.claim("exp", unix_seconds() + time.as_secs())
    }

    /// Expired an hour ago.
    #[must_use]
    pub fn expired(self) -> Self {
        self.claim("exp", unix_seconds() - 3600)
    }

    /// Expired this long ago.
    #[must_use]
    pub fn expired_for(self, time: Duration) -> Self {
        self.claim("exp", unix_seconds() - time.as_secs())
    }

    /// A refresh token, which opens nothing.
    #[must_use]
    pub fn refresh(self) -> Self {
        self.claim("token_type", "refresh")
    }

    /// Signed with another secret.
    #[must_use]
    pub fn signed_with(mut self, secret: &str) -> Self {
        secret.clone_into(&mut self.secret);
        self
    }

    /// The token, signed by HS256.
    pub fn sign(&self) -> String {
        self.sign_as(Algorithm::HS256)
    }

    /// The token, signed by another algorithm of the HS family.
    pub fn sign_as(&self, algorithm: Algorithm) -> String {
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        encode(&Header::new(algorithm), &self.claims, &key).expect("a map of JSON values can be signed")
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn a_token_has_the_claims_of_simplejwt() {
        let token = Token::new("secret-of-thirty-two-characters!", 7).role("ADMIN").restaurants([12]).sign();
        let key = DecodingKey::from_secret(b"secret-of-thirty-two-characters!");
        let claims = decode::<Value>(&token, &key, &Validation::new(Algorithm::HS256)).unwrap().claims;
        assert_eq!(claims["token_type"], "access");
        assert_eq!(claims["user_id"], 7);
        assert_eq!(claims["role"], "ADMIN");
        assert_eq!(claims["restaurant_ids"], json!([12]));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    }

    #[test]
    fn an_expired_token_is_refused_by_a_verifier() {
        let token = Token::new("secret", "7").expired().sign();
        let key = DecodingKey::from_secret(b"secret");
        assert!(decode::<Value>(&token, &key, &Validation::new(Algorithm::HS256)).is_err());
    }
}
