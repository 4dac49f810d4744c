//! What a token whose signature is good must say. Pure: the time is passed in.

use std::sync::Arc;

use platepal_events::{Channel, ChannelKind, Timestamp};
use serde_json::{Map, Value};

use crate::{
    Principal, Role, Settings, SubscriptionRight, TokenError, UserId, principal::id_text, settings::ANY_TYPE,
    share::SHARE_TYPE,
};

/// The claims of a token.
pub(crate) type Claims = Map<String, Value>;

/// What claims must be like.
#[derive(Debug)]
pub(crate) struct Rules {
    user_claim: String,
    token_type: Option<String>,
    audience: Option<String>,
    issuer: Option<String>,
    leeway_ms: i64,
}

impl Rules {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            user_claim: settings.user_claim.clone(),
            token_type: (settings.token_type != ANY_TYPE).then(|| settings.token_type.clone()),
            audience: settings.audience.clone(),
            issuer: settings.issuer.clone(),
            leeway_ms: i64::try_from(settings.leeway.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Who the claims say somebody is.
    pub(crate) fn principal(&self, claims: &Claims, now: Timestamp) -> Result<Principal, TokenError> {
        self.check_type(claims)?;
        // Whoever may read one channel is not somebody who is signed in.
        if claims.contains_key("channel") {
            return Err(TokenError::WrongType);
        }
        let renew_at = self.check_time_and_place(claims, now)?;
        let user_id = claims.get(&self.user_claim).and_then(UserId::from_claim).ok_or(TokenError::NoUser)?;
        Ok(Principal {
            user_id,
            roles: roles(claims),
            restaurant_ids: restaurant_ids(claims),
            renew_at,
            expires_at: renew_at.plus_millis(self.leeway_ms),
            issued_at: moment(claims, "iat")?,
            token_id: text(claims, "jti"),
            name: text(claims, "name"),
            info: info(claims),
            channels: channels(claims),
        })
    }

    /// Which delivery's link the claims of a share token are.
    pub(crate) fn share(&self, claims: &Claims, now: Timestamp) -> Result<Principal, TokenError> {
        let renew_at = self.check_time(claims, now)?;
        let user_id = claims.get("user_id").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let user_id: UserId = user_id.ok_or(TokenError::NoUser)?;
        let shared = user_id.shared_delivery().ok_or(TokenError::NoUser)?;
        Channel::new(ChannelKind::Track, shared).map_err(|_| TokenError::NoUser)?;
        // Whatever else it says: a link gives no role, no restaurant and no further channel.
        Ok(Principal {
            user_id,
            roles: Vec::new(),
            restaurant_ids: Vec::new(),
            renew_at,
            expires_at: renew_at.plus_millis(self.leeway_ms),
            issued_at: moment(claims, "iat")?,
            token_id: text(claims, "jti"),
            name: None,
            info: None,
            channels: Vec::new(),
        })
    }

    /// Which channel the claims of a subscription token allow to whom.
    pub(crate) fn subscription(
        &self,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<SubscriptionRight, TokenError> {
        let renew_at = self.check_time_and_place(claims, now)?;
        let user_id = claims.get("sub").or_else(|| claims.get(&self.user_claim));
        Ok(SubscriptionRight {
            user_id: user_id.and_then(UserId::from_claim).ok_or(TokenError::NoUser)?,
            channel: text(claims, "channel").ok_or(TokenError::WrongType)?,
            renew_at,
            expires_at: renew_at.plus_millis(self.leeway_ms),
            info: info(claims),
        })
    }

    /// Expiry, start, audience, issuer. Gives the expiry.
    fn check_time_and_place(&self, claims: &Claims, now: Timestamp) -> Result<Timestamp, TokenError> {
        let renew_at = self.check_time(claims, now)?;
        if self.audience.as_deref().is_some_and(|audience| !names(claims.get("aud"), audience)) {
            return Err(TokenError::WrongAudience);
        }
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(TokenError::WrongIssuer);
        }
        Ok(renew_at)
    }

    /// Expiry and start. Gives the expiry.
    fn check_time(&self, claims: &Claims, now: Timestamp) -> Result<Timestamp, TokenError> {
        let renew_at = moment(claims, "exp")?.ok_or(TokenError::Malformed)?;
        if now >= renew_at.plus_millis(self.leeway_ms) {
            return Err(TokenError::Expired);
        }
        if moment(claims, "nbf")?.is_some_and(|from| now.plus_millis(self.leeway_ms) < from) {
            return Err(TokenError::NotYetValid);
        }
        Ok(renew_at)
    }

    /// Refresh tokens live for days and are for the issuer alone, so they are refused whatever is configured. So is
    /// a link that the issuer's key signed: it has a key of its own.
    fn check_type(&self, claims: &Claims) -> Result<(), TokenError> {
        let given = claims.get("token_type").and_then(Value::as_str);
        let never = ["refresh", SHARE_TYPE];
        if given.is_some_and(|given| never.iter().any(|never| given.eq_ignore_ascii_case(never))) {
            return Err(TokenError::WrongType);
        }
        match &self.token_type {
            Some(wanted) if given != Some(wanted) => Err(TokenError::WrongType),
            _ => Ok(()),
        }
    }
}

/// A NumericDate (RFC 7519, section 2): seconds since 1970, whole or not.
fn moment(claims: &Claims, name: &str) -> Result<Option<Timestamp>, TokenError> {
    let Some(claim) = claims.get(name) else { return Ok(None) };
    let micros = match (claim.as_i64(), claim.as_f64()) {
        (Some(seconds), _) => seconds.saturating_mul(1_000_000),
        // `as` saturates; a moment that far away is as good as the last one.
        #[allow(clippy::cast_possible_truncation)]
        (None, Some(seconds)) => (seconds * 1e6) as i64,
        (None, None) => return Err(TokenError::Malformed),
    };
    Ok(Some(Timestamp::from_micros(micros)))
}

/// Whether a claim is this text or a list that has it.
fn names(claim: Option<&Value>, wanted: &str) -> bool {
    each(claim).any(|value| value.as_str() == Some(wanted))
}

/// A claim's values, whether it is one or a list.
fn each(claim: Option<&Value>) -> impl Iterator<Item = &Value> {
    match claim {
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    }
    .iter()
}

fn roles(claims: &Claims) -> Vec<Role> {
    let mut roles = Vec::new();
    for name in each(claims.get("role")).chain(each(claims.get("roles"))).filter_map(Value::as_str) {
        match name.parse() {
            Ok(role) if roles.contains(&role) => {}
            Ok(role) => roles.push(role),
            Err(_) => tracing::debug!(role = name, "a token names a role that does not exist; it is ignored"),
        }
    }
    roles
}

fn restaurant_ids(claims: &Claims) -> Vec<String> {
    let claims = each(claims.get("restaurant_id")).chain(each(claims.get("restaurant_ids")));
    let mut ids: Vec<String> = claims.filter_map(id_text).filter(|id| !id.is_empty()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What a token carries for others to see, as JSON text.
fn info(claims: &Claims) -> Option<Arc<str>> {
    claims.get("info").filter(|info| !info.is_null()).map(|info| info.to_string().into())
}

/// Channels that whoever signed the token wants its bearer to read: `channels`, or the names in `subs`.
fn channels(claims: &Claims) -> Vec<String> {
    match claims.get("subs").and_then(Value::as_object) {
        Some(subs) => subs.keys().cloned().collect(),
        None => each(claims.get("channels")).filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

fn text(claims: &Claims, name: &str) -> Option<String> {
    claims.get(name).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_settings::Reader;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const EXP: i64 = 1_795_519_800;

    fn rules(variables: &[(&str, &str)]) -> Rules {
        Rules::new(&Reader::new(variables.iter().copied()).read::<Settings>().unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn verdict(rules: &Rules, changes: Value) -> Result<Principal, TokenError> {
        let mut claims =
            json!({"token_type": "access", "exp": EXP, "user_id": 7}).as_object().unwrap().clone();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.remove(name)
            } else {
                claims.insert(name.clone(), value.clone())
            };
        }
        rules.principal(&claims, at(EXP - 60))
    }

    #[test]
    fn a_number_and_a_text_are_the_same_user() {
        let rules = rules(&[]);
        let number = verdict(&rules, json!({"user_id": 7})).unwrap();
        assert_eq!(number, verdict(&rules, json!({"user_id": "7"})).unwrap());
        assert_eq!(number.user_id.as_str(), "7");
        for nobody in
            [json!(null), json!(""), json!(7.5), json!(true), json!([7]), json!({"id": 7}), json!("share:7")]
        {
            assert_eq!(verdict(&rules, json!({"user_id": nobody})), Err(TokenError::NoUser));
        }
    }

    #[test]
    fn a_token_is_good_until_its_expiry_plus_the_leeway_and_not_a_microsecond_longer() {
        let rules = rules(&[("REALTIME_JWT_LEEWAY", "30s")]);
        let claims = json!({"token_type": "access", "exp": EXP, "user_id": 7}).as_object().unwrap().clone();
        let end = at(EXP + 30);
        let last = Timestamp::from_micros(end.micros() - 1);
        assert_eq!(rules.principal(&claims, last).unwrap().expires_at, end);
        assert_eq!(rules.principal(&claims, end), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_is_not_good_before_its_nbf_minus_the_leeway() {
        let rules = rules(&[("REALTIME_JWT_LEEWAY", "30s")]);
        // Verdicts are made 60 s before the expiry.
        assert!(verdict(&rules, json!({"nbf": EXP - 30})).is_ok());
        assert_eq!(verdict(&rules, json!({"nbf": EXP - 29})), Err(TokenError::NotYetValid));
        assert_eq!(verdict(&rules, json!({"nbf": "soon"})), Err(TokenError::Malformed));
    }

    #[test]
    fn a_token_without_a_readable_expiry_is_refused() {
        for exp in [json!(null), json!("1795519800"), json!({}), json!(true)] {
            assert_eq!(verdict(&rules(&[]), json!({"exp": exp})), Err(TokenError::Malformed));
        }
        assert!(
            verdict(&rules(&[]), json!({"exp": 1.795_519_8e9})).is_ok(),
            "a NumericDate may be a fraction"
        );
        assert!(verdict(&rules(&[]), json!({"exp": u64::MAX})).is_ok());
        assert_eq!(verdict(&rules(&[]), json!({"exp": i64::MIN})), Err(TokenError::Expired));
    }

    #[test]
    fn only_access_tokens_pass_and_refresh_tokens_never() {
        for (setting, given, passes) in [
            ("access", json!("access"), true),
            ("access", json!("refresh"), false),
            ("access", json!("sliding"), false),
            ("access", json!(null), false),
            ("sliding", json!("sliding"), true),
            ("any", json!(null), true),
            ("any", json!("refresh"), false),
            ("any", json!("Refresh"), false),
            ("any", json!("share"), false),
            ("share", json!("share"), false),
        ] {
            let verdict =
                verdict(&rules(&[("REALTIME_JWT_TOKEN_TYPE", setting)]), json!({"token_type": given}));
            assert_eq!(verdict.is_ok(), passes, "{setting} {given}");
            assert!(passes || verdict == Err(TokenError::WrongType), "{setting} {given}");
        }
    }

    #[test]
    fn audience_and_issuer_are_required_once_they_are_configured() {
        let rules = rules(&[("REALTIME_JWT_AUDIENCE", "realtime"), ("REALTIME_JWT_ISSUER", "platepal")]);
        assert!(verdict(&rules, json!({"aud": "realtime", "iss": "platepal"})).is_ok());
        assert!(verdict(&rules, json!({"aud": ["web", "realtime"], "iss": "platepal"})).is_ok());
        assert_eq!(verdict(&rules, json!({"iss": "platepal"})), Err(TokenError::WrongAudience));
        assert_eq!(
            verdict(&rules, json!({"aud": ["web"], "iss": "platepal"})),
            Err(TokenError::WrongAudience)
        );
        assert_eq!(verdict(&rules, json!({"aud": "realtime"})), Err(TokenError::WrongIssuer));
        assert_eq!(
            verdict(&rules, json!({"aud": "realtime", "iss": ["platepal"]})),
            Err(TokenError::WrongIssuer)
        );
    }

    #[test]
    fn roles_and_restaurants_are_read_in_every_spelling() {
        let claims = json!({
            "role": "restaurant", "roles": ["RESTAURANT", "Admin", "WIZARD", 5], "is_staff": true,
            "restaurant_id": 12, "restaurant_ids": ["12", 13, null],
        });
        let principal = verdict(&rules(&[]), claims).unwrap();
        assert_eq!(principal.roles, [Role::Restaurant, Role::Admin]);
        assert_eq!(principal.restaurant_ids, ["12", "13"]);
        assert!(principal.has_restaurant("12") && !principal.has_role(Role::Support));
        assert_eq!(verdict(&rules(&[]), json!({"is_staff": true})).unwrap().roles, []);
    }

    #[test]
    fn another_claim_may_hold_the_user() {
        let rules = rules(&[("REALTIME_JWT_USER_CLAIM", "sub")]);
        assert_eq!(verdict(&rules, json!({"sub": "u-1"})).unwrap().user_id.as_str(), "u-1");
        assert_eq!(verdict(&rules, json!({})), Err(TokenError::NoUser));
    }

    #[test]
    fn a_token_for_a_channel_opens_that_channel_and_nothing_else() {
        let rules = rules(&[]);
        let claims = json!({"sub": "7", "channel": "order:5012", "exp": EXP, "info": {"n": 1}});
        let right = rules.subscription(claims.as_object().unwrap(), at(EXP - 60)).unwrap();
        assert_eq!((right.user_id.as_str(), right.channel.as_str()), ("7", "order:5012"));
        assert_eq!(right.info.as_deref(), Some(r#"{"n":1}"#));
        assert_eq!(verdict(&rules, json!({"channel": "order:5012"})), Err(TokenError::WrongType));
        let connection = json!({"user_id": 7, "exp": EXP});
        let refused = rules.subscription(connection.as_object().unwrap(), at(EXP - 60));
        assert_eq!(refused, Err(TokenError::WrongType));
    }

    #[test]
    fn channels_of_a_token_are_read_in_both_forms() {
        let rules = rules(&[]);
        let list = verdict(&rules, json!({"channels": ["chat:1", 5, "chat:2"]})).unwrap();
        assert_eq!(list.channels, ["chat:1", "chat:2"]);
        let map = verdict(&rules, json!({"subs": {"chat:3": {}}, "channels": ["chat:1"]})).unwrap();
        assert_eq!(map.channels, ["chat:3"]);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,80}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| proptest::collection::vec(inner, 0..4).prop_map(Value::from))
    }

    proptest! {
        #[test]
        fn whatever_the_claims_are_a_verdict_is_reached_and_an_accepted_token_is_not_expired(
            exp in any_json(), nbf in any_json(), user in any_json(), role in any_json(), now in any::<i64>(),
        ) {
            let claims = json!({"token_type": "access", "exp": exp, "nbf": nbf, "user_id": user, "role": role,
                "restaurant_ids": role});
            let now = Timestamp::from_micros(now);
            if let Ok(principal) = rules(&[]).principal(claims.as_object().unwrap(), now) {
                prop_assert!(!principal.is_expired(now));
            }
        }
    }
}
