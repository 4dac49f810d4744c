//! Why a token is refused.

/// Why a token is refused: a sentence for whoever sent it. It never repeats the token, and fits the reason of
/// a WebSocket close frame (123 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("a token is missing; sign in and send your access token")]
    Missing,
    /// It is longer than the settings allow.
    #[error("the token is too long")]
    TooLong,
    /// It is not a signed JWT, or lacks its expiry.
    #[error("the token can't be read; sign in again")]
    Malformed,
    /// No configured key made its signature.
    #[error("the token's signature is wrong; sign in again")]
    BadSignature,
    /// It was good once.
    #[error("the token has expired; refresh it and connect again")]
    Expired,
    /// It will be good later.
    #[error("the token is not valid yet; check the clocks")]
    NotYetValid,
    /// It is a refresh token, or of another type than expected.
    #[error("this is not an access token; send the access token")]
    WrongType,
    /// It was made for another service.
    #[error("the token is for another audience")]
    WrongAudience,
    /// It was made by somebody else.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// It is signed with a key or an algorithm that is not configured.
    #[error("the token is signed with an unknown key; sign in again")]
    UnknownKey,
    /// The issuer's keys could not be fetched so far.
    #[error("the issuer's keys are not available now; try again soon")]
    KeysUnavailable,
    /// It is a link to a delivery, and no secret for those is configured.
    #[error("links to deliveries are not accepted here")]
    NoShares,
    /// It does not say whose it is.
    #[error("the token names no user")]
    NoUser,
}

impl TokenError {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::Missing,
        Self::TooLong,
        Self::Malformed,
        Self::BadSignature,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongType,
        Self::WrongAudience,
        Self::WrongIssuer,
        Self::UnknownKey,
        Self::KeysUnavailable,
        Self::NoShares,
        Self::NoUser,
    ];

    /// A word for metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongType => "wrong_type",
            Self::WrongAudience => "wrong_audience",
            Self::WrongIssuer => "wrong_issuer",
            Self::UnknownKey => "unknown_key",
            Self::KeysUnavailable => "keys_unavailable",
            Self::NoShares => "no_shares",
            Self::NoUser => "no_user",
        }
    }

    /// Whether the same token may be accepted soon: it is not its owner's fault.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::KeysUnavailable | Self::NotYetValid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_fits_a_close_frame() {
        for reason in TokenError::ALL {
            assert!(reason.to_string().len() <= 123, "{reason}");
        }
    }
}
