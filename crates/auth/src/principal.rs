//! [`Principal`]: who somebody is, as their token says.

use std::{fmt, str::FromStr, sync::Arc};

use platepal_events::Timestamp;
use serde_json::Value;
use uuid::Uuid;

/// The longest id of a user, in characters: as long as the id of a channel may be.
const USER_ID_CHARS_MAX: usize = 64;
/// How the user of a share token begins; the delivery's id follows. A colon is in no id of PlatePal.
pub(crate) const SHARE: &str = "share:";
/// How the id of somebody who is not signed in begins.
const ANONYMOUS: &str = "anonymous:";

/// The id of a user as text: `7` whether the token says `7` or `"7"`. Never empty, at most 64 characters, none
/// of them a space or a control character. `share:` before one is whoever has the link to a delivery,
/// `anonymous:` somebody who is not signed in. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

/// A text can't be the id of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user id has 1 to 64 characters, without spaces")]
pub struct UserIdError;

impl UserId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From a claim of an issuer: a whole number or a text. An issuer names users: nobody who has a link, or who is not
    /// signed in.
    pub(crate) fn from_claim(claim: &Value) -> Option<Self> {
        id_text(claim)?.parse().ok().filter(|id: &Self| id.shared_delivery().is_none() && !id.is_anonymous())
    }

    /// The delivery whose link this is, if it is no user but whoever has a link.
    pub fn shared_delivery(&self) -> Option<&str> {
        self.0.strip_prefix(SHARE)
    }

    /// Whether it is somebody who is not signed in.
    pub fn is_anonymous(&self) -> bool {
        self.0.starts_with(ANONYMOUS)
    }
}

impl FromStr for UserId {
    type Err = UserIdError;

    fn from_str(text: &str) -> Result<Self, UserIdError> {
        let is_wrong = |c: char| c.is_whitespace() || c.is_control();
        let id = text.strip_prefix(SHARE).unwrap_or(text);
        let fits = !id.is_empty() && id.chars().nth(USER_ID_CHARS_MAX).is_none();
        if fits && !text.contains(is_wrong) { Ok(Self(text.into())) } else { Err(UserIdError) }
    }
}

impl AsRef<str> for UserId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody is to PlatePal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Orders food.
    Customer,
    /// Owns a restaurant.
    Restaurant,
    /// Brings orders.
    Delivery,
    /// Runs the platform.
    Admin,
    /// Helps the others.
    Support,
}

/// A text is the name of no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is one of CUSTOMER, RESTAURANT, DELIVERY, ADMIN, SUPPORT")]
pub struct RoleError;

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Customer, Self::Restaurant, Self::Delivery, Self::Admin, Self::Support];

    /// Its name, as Django spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "CUSTOMER",
            Self::Restaurant => "RESTAURANT",
            Self::Delivery => "DELIVERY",
            Self::Admin => "ADMIN",
            Self::Support => "SUPPORT",
        }
    }
}

impl FromStr for Role {
    type Err = RoleError;

    /// Upper and lower case mean the same.
    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|role| role.as_str().eq_ignore_ascii_case(text)).ok_or(RoleError)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who somebody is, as a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user_id: UserId,
    /// What they are; empty when the token names no role, as Django's do by default.
    pub roles: Vec<Role>,
    /// The restaurants they own, as text; empty when the token names none.
    pub restaurant_ids: Vec<String>,
    /// The token's expiry: a client that can should send a new one by then.
    pub renew_at: Timestamp,
    /// From this moment on the token is refused: its expiry plus the leeway.
    pub expires_at: Timestamp,
    /// When the token was issued (`iat`), if it says so.
    pub issued_at: Option<Timestamp>,
    /// The token's own id (`jti`).
    pub token_id: Option<String>,
    /// For people (`name`).
    pub name: Option<String>,
    /// JSON for other clients to see (`info`).
    pub info: Option<Arc<str>>,
    /// Channels that whoever signed the token wants its bearer to read, unchecked.
    pub channels: Vec<String>,
}

/// That a user may read one channel, as a verified subscription token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRight {
    /// The user.
    pub user_id: UserId,
    /// The channel's name, unchecked.
    pub channel: String,
    /// The token's expiry.
    pub renew_at: Timestamp,
    /// From this moment on the token is refused: its expiry plus the leeway.
    pub expires_at: Timestamp,
    /// JSON for other clients to see (`info`).
    pub info: Option<Arc<str>>,
}

impl Principal {
    /// Somebody who is not signed in, different from all others of whom no more is known.
    pub fn anonymous() -> Self {
        let never = Timestamp::from_micros(i64::MAX);
        Self {
            user_id: UserId(format!("{ANONYMOUS}{}", Uuid::new_v4().simple()).into()),
            roles: Vec::new(),
            restaurant_ids: Vec::new(),
            renew_at: never,
            expires_at: never,
            issued_at: None,
            token_id: None,
            name: None,
            info: None,
            channels: Vec::new(),
        }
    }

    /// Whether the token names this role.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether the token names this restaurant.
    pub fn has_restaurant(&self, id: &str) -> bool {
        self.restaurant_ids.iter().any(|own| own == id)
    }

    /// The one delivery that may be read, if this is no user but whoever has the link to a delivery.
    pub fn shared_delivery(&self) -> Option<&str> {
        self.user_id.shared_delivery()
    }

    /// Whether this is somebody who is not signed in: what is public may be read, and nothing else be done.
    pub fn is_anonymous(&self) -> bool {
        self.user_id.is_anonymous()
    }

    /// Whether this is no user, but somebody who may only look.
    pub fn only_reads(&self) -> bool {
        self.is_anonymous() || self.shared_delivery().is_some()
    }

    /// Whether the token is no longer good.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// An id that is written as a whole number or as text.
pub(crate) fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_role_is_read_in_any_case_and_printed_in_one() {
        for role in Role::ALL {
            assert_eq!(role.to_string().to_lowercase().parse(), Ok(role));
        }
        assert_eq!("is_staff".parse::<Role>(), Err(RoleError));
    }

    #[test]
    fn who_is_not_signed_in_is_no_user_and_no_issuer_can_say_otherwise() {
        let (one, other) = (Principal::anonymous(), Principal::anonymous());
        assert!(one.is_anonymous() && one.only_reads());
        assert_ne!(one.user_id, other.user_id);
        assert_eq!(one.user_id.as_str().parse(), Ok(one.user_id.clone()), "an edge's word is understood");
        for id in [one.user_id.as_str(), "anonymous:", "share:5012"] {
            assert_eq!(UserId::from_claim(&Value::from(id)), None, "{id}");
        }
        assert!(UserId::from_claim(&Value::from("anonymous")).is_some());
    }

    #[test]
    fn a_user_id_has_no_spaces_and_an_end() {
        assert!("7".parse::<UserId>().is_ok());
        assert!("2f1c7a52-0f4e-4a8e-9d57-6a3d2b5c9e10".parse::<UserId>().is_ok());
        assert!("é".repeat(64).parse::<UserId>().is_ok(), "characters count, not bytes");
        assert!(format!("share:{}", "7".repeat(64)).parse::<UserId>().is_ok(), "as long as a delivery's id");
        for wrong in
            ["", " 7", "7\n", "a\0b", &"7".repeat(65), "share:", &format!("share:{}", "7".repeat(65))]
        {
            assert!(wrong.parse::<UserId>().is_err(), "{wrong:?}");
        }
    }
}
