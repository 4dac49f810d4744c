//! Which tokens are accepted, with keys from the settings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use platepal_auth::{
    KeyError, MintError, NewToken, Principal, Role, Settings, ShareSettings, ShareSigner, TokenError,
    Verifier, mint,
};
use platepal_events::Timestamp;
use platepal_settings::Reader;
use proptest::prelude::*;
use serde_json::{Value, json};

const EXP: i64 = 1_795_519_800;
const NOW_SECONDS: i64 = EXP - 600;
const SECRET: &str = "django-insecure-0123456789-0123456789-0123456789";
const OLD_SECRET: &str = "the-secret-of-last-month-0123456789-0123456789";
const RSA_PUBLIC: &str = include_str!("keys/rsa_a.public.pem");
const RSA_PRIVATE: &[u8] = include_bytes!("keys/rsa_a.private.pem");

fn now() -> Timestamp {
    Timestamp::from_micros(NOW_SECONDS * 1_000_000)
}

fn settings(variables: &[(&str, &str)]) -> Settings {
    let mut reader = Reader::new(variables.iter().copied());
    let settings = reader.read::<Settings>().expect("readable");
    settings.check(&mut reader);
    reader.finish(Settings::SPECS).expect("no mistakes");
    settings
}

async fn verifier(variables: &[(&str, &str)]) -> Verifier {
    Verifier::start(&settings(variables)).await.unwrap()
}

fn claims() -> Value {
    json!({"token_type": "access", "exp": EXP, "iat": NOW_SECONDS, "jti": "abc", "user_id": 7, "name": "Ada"})
}

fn signed(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}

fn hs256(secret: &str, claims: &Value) -> String {
    signed(Algorithm::HS256, &EncodingKey::from_secret(secret.as_bytes()), claims)
}

async fn refused(verifier: &Verifier, token: &str) -> TokenError {
    verifier.verify(token, now()).await.unwrap_err()
}

#[tokio::test]
async fn a_token_of_django_becomes_its_user() {
    let verifier = verifier(&[("REALTIME_JWT_SECRET", SECRET)]).await;
    let principal = verifier.verify(&hs256(SECRET, &claims()), now()).await.unwrap();
    assert_eq!(
        principal,
        Principal {
            user_id: "7".parse().unwrap(),
            roles: vec![],
            restaurant_ids: vec![],
            expires_at: Timestamp::from_micros((EXP + 30) * 1_000_000),
            issued_at: Some(Timestamp::from_micros(NOW_SECONDS * 1_000_000)),
            token_id: Some("abc".into()),
            name: Some("Ada".into()),
            renew_at: Timestamp::from_micros(EXP * 1_000_000),
            info: None,
            channels: vec![],
        }
    );
}

#[tokio::test]
async fn a_token_is_accepted_while_its_secret_is_rolled_out_and_not_afterwards() {
    let old = hs256(OLD_SECRET, &claims());
    let during = [("REALTIME_JWT_SECRET", SECRET), ("REALTIME_JWT_PREVIOUS_SECRETS", OLD_SECRET)];
    let rolling = verifier(&during).await;
    assert!(rolling.verify(&old, now()).await.is_ok());
    assert!(rolling.verify(&hs256(SECRET, &claims()), now()).await.is_ok());
    let after = verifier(&[("REALTIME_JWT_SECRET", SECRET)]).await;
    assert_eq!(refused(&after, &old).await, TokenError::BadSignature);
}

#[tokio::test]
async fn each_kind_of_public_key_verifies_its_own_algorithm() {
    let all = [
        RSA_PUBLIC,
        include_str!("keys/p256.public.pem"),
        include_str!("keys/p384.public.pem"),
        include_str!("keys/ed25519.public.pem"),
    ]
    .concat();
    let verifier = verifier(&[("REALTIME_JWT_PUBLIC_KEY", &all)]).await;
    for (algorithm, key) in [
        (Algorithm::RS256, EncodingKey::from_rsa_pem(RSA_PRIVATE)),
        (Algorithm::ES256, EncodingKey::from_ec_pem(include_bytes!("keys/p256.private.pem"))),
        (Algorithm::ES384, EncodingKey::from_ec_pem(include_bytes!("keys/p384.private.pem"))),
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(include_bytes!("keys/ed25519.private.pem"))),
    ] {
        let token = signed(algorithm, &key.unwrap(), &claims());
        assert!(verifier.verify(&token, now()).await.is_ok(), "{algorithm:?}");
        let mut forged: Vec<&str> = token.split('.').collect();
        let admin =
            URL_SAFE_NO_PAD.encode(json!({"token_type": "access", "exp": EXP, "user_id": 1}).to_string());
        forged[1] = &admin;
        assert_eq!(refused(&verifier, &forged.join(".")).await, TokenError::BadSignature, "{algorithm:?}");
    }
    let other = EncodingKey::from_rsa_pem(include_bytes!("keys/rsa_b.private.pem")).unwrap();
    assert_eq!(
        refused(&verifier, &signed(Algorithm::RS256, &other, &claims())).await,
        TokenError::BadSignature
    );
    let rs512 = signed(Algorithm::RS512, &EncodingKey::from_rsa_pem(RSA_PRIVATE).unwrap(), &claims());
    assert_eq!(refused(&verifier, &rs512).await, TokenError::UnknownKey, "one algorithm per key");
}

#[tokio::test]
async fn a_public_key_used_as_a_secret_signs_nothing() {
    for variables in [
        vec![("REALTIME_JWT_PUBLIC_KEY", RSA_PUBLIC)],
        vec![("REALTIME_JWT_PUBLIC_KEY", RSA_PUBLIC), ("REALTIME_JWT_SECRET", SECRET)],
    ] {
        let verifier = verifier(&variables).await;
        for secret in [RSA_PUBLIC, RSA_PUBLIC.trim(), ""] {
            let error = refused(&verifier, &hs256(secret, &claims())).await;
            assert!(matches!(error, TokenError::UnknownKey | TokenError::BadSignature), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused() {
    let verifier = verifier(&[("REALTIME_JWT_SECRET", SECRET)]).await;
    let payload = URL_SAFE_NO_PAD.encode(claims().to_string());
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
        assert_eq!(refused(&verifier, &format!("{header}.{payload}.")).await, TokenError::UnknownKey);
    }
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256"}).to_string());
    assert_eq!(refused(&verifier, &format!("{header}.{payload}.")).await, TokenError::BadSignature);
    assert_eq!(refused(&verifier, &format!("{header}.{payload}")).await, TokenError::Malformed);
}

#[tokio::test]
async fn a_key_that_the_token_brings_along_is_ignored() {
    let verifier = verifier(&[("REALTIME_JWT_PUBLIC_KEY", RSA_PUBLIC)]).await;
    let own = EncodingKey::from_rsa_pem(include_bytes!("keys/rsa_b.private.pem")).unwrap();
    let mut header = Header::new(Algorithm::RS256);
    header.jwk = Some(jsonwebtoken::jwk::Jwk::from_encoding_key(&own, Algorithm::RS256).unwrap());
    header.jku = Some("https://attacker.example/jwks".into());
    let token = jsonwebtoken::encode(&header, &claims(), &own).unwrap();
    assert_eq!(refused(&verifier, &token).await, TokenError::BadSignature);
}

#[tokio::test]
async fn an_extension_that_must_be_understood_is_refused() {
    let verifier = verifier(&[("REALTIME_JWT_SECRET", SECRET)]).await;
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".into()]);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
    assert_eq!(refused(&verifier, &token).await, TokenError::Malformed);
}

#[tokio::test]
async fn a_refresh_token_is_refused_as_such() {
    let verifier = verifier(&[("REALTIME_JWT_SECRET", SECRET)]).await;
    let mut refresh = claims();
    refresh["token_type"] = json!("refresh");
    assert_eq!(refused(&verifier, &hs256(SECRET, &refresh)).await, TokenError::WrongType);
}

#[tokio::test]
async fn a_missing_and_an_endless_token_cost_no_signature() {
    let verifier = verifier(&[("REALTIME_JWT_SECRET", SECRET)]).await;
    assert_eq!(refused(&verifier, "").await, TokenError::Missing);
    let mut long = claims();
    long["name"] = json!("a".repeat(8 * 1024));
    assert_eq!(refused(&verifier, &hs256(SECRET, &long)).await, TokenError::TooLong);
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_told_only_to_who_could_sign_it() {
    let verifier = verifier(&[("REALTIME_JWT_SECRET", SECRET)]).await;
    let mut expired = claims();
    expired["exp"] = json!(NOW_SECONDS - 30);
    assert_eq!(refused(&verifier, &hs256(SECRET, &expired)).await, TokenError::Expired);
    assert_eq!(refused(&verifier, &hs256(OLD_SECRET, &expired)).await, TokenError::BadSignature);
}

#[tokio::test]
async fn a_verifier_without_any_key_does_not_start() {
    let settings = Reader::new([("", ""); 0]).read::<Settings>().unwrap();
    assert_eq!(Verifier::start(&settings).await.unwrap_err(), KeyError::None);
}

#[tokio::test]
async fn a_minted_token_is_accepted_by_the_settings_that_minted_it() {
    for extra in [
        vec![],
        vec![("REALTIME_JWT_USER_CLAIM", "sub"), ("REALTIME_JWT_TOKEN_TYPE", "any")],
        vec![("REALTIME_JWT_AUDIENCE", "realtime"), ("REALTIME_JWT_ISSUER", "platepal")],
    ] {
        let settings = settings(&[vec![("REALTIME_JWT_SECRET", SECRET)], extra].concat());
        let verifier = Verifier::start(&settings).await.unwrap();
        for user in ["7", "007", "u-1"] {
            let mut wanted = NewToken::for_user(user.parse().unwrap(), now());
            wanted.roles = vec![Role::Restaurant, Role::Admin];
            wanted.restaurant_ids = vec!["12".into()];
            let token = mint(&settings, &wanted).unwrap();
            let principal = verifier.verify(&token, now()).await.unwrap();
            assert_eq!(principal.user_id.as_str(), user);
            assert_eq!((principal.roles, principal.restaurant_ids), (wanted.roles, wanted.restaurant_ids));
            assert_eq!(principal.expires_at, now().plus_millis(3_630_000));
            assert!(principal.token_id.is_some());
        }
    }
}

#[test]
fn without_a_secret_no_token_is_minted() {
    let settings = settings(&[("REALTIME_JWT_PUBLIC_KEY", RSA_PUBLIC)]);
    let wanted = NewToken::for_user("7".parse().unwrap(), now());
    assert_eq!(mint(&settings, &wanted), Err(MintError::NoSecret));
}

proptest! {
    #[test]
    fn no_text_panics_the_verifier_or_is_accepted(
        text in prop_oneof![
            ".{0,200}",
            "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,60}",
            // Readable parts in the right places, so that what comes after the header is reached too.
            (".{0,40}", "[A-Za-z0-9_-]{0,90}", prop_oneof!["HS256", "RS256", "ES256", "EdDSA", ".{0,8}"])
                .prop_map(|(payload, signature, alg)| format!(
                    "{}.{}.{signature}",
                    URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": payload}).to_string()),
                    URL_SAFE_NO_PAD.encode(&payload),
                )),
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let keys = [
                RSA_PUBLIC, include_str!("keys/p256.public.pem"), include_str!("keys/ed25519.public.pem"),
            ].concat();
            let verifier =
                verifier(&[("REALTIME_JWT_SECRET", SECRET), ("REALTIME_JWT_PUBLIC_KEY", &keys)]).await;
            prop_assert!(verifier.verify(&text, now()).await.is_err());
            Ok(())
        })?;
    }

    #[test]
    fn no_signed_payload_panics_the_verifier(payload in any::<Vec<u8>>(), json in ".{0,60}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let verifier = verifier(&[("REALTIME_JWT_SECRET", SECRET)]).await;
            for payload in [payload, format!("{{\"exp\": {json}}}").into_bytes()] {
                let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
                let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
                let key = EncodingKey::from_secret(SECRET.as_bytes());
                let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
                let result = verifier.verify(&format!("{message}.{signature}"), now()).await;
                prop_assert!(result.is_err());
            }
            Ok(())
        })?;
    }
}

const SHARE_SECRET: &str = "the secret of links, which is not one of Django's";

fn share_settings(secret: &str) -> ShareSettings {
    Reader::new([("REALTIME_SHARE_SECRET", secret)]).read().unwrap()
}

async fn verifier_of_links() -> Verifier {
    verifier(&[("REALTIME_JWT_SECRET", SECRET)])
        .await
        .accepting_shares(&share_settings(SHARE_SECRET))
        .unwrap()
}

fn link(delivery_id: &str) -> String {
    let signer = ShareSigner::new(&share_settings(SHARE_SECRET)).unwrap().unwrap();
    signer.sign(delivery_id, Duration::from_secs(600), now()).unwrap().0
}

#[tokio::test]
async fn a_signed_link_becomes_whoever_has_it_until_it_ends() {
    let verifier = verifier_of_links().await;
    let principal = verifier.verify(&link("5012"), now()).await.unwrap();
    assert_eq!((principal.user_id.as_str(), principal.shared_delivery()), ("share:5012", Some("5012")));
    assert_eq!((principal.roles.len(), principal.channels.len()), (0, 0));
    assert_eq!(principal.renew_at, now().plus_millis(600_000));
    let late = principal.expires_at;
    assert_eq!(verifier.verify(&link("5012"), late).await, Err(TokenError::Expired));
    assert!(verifier.verify(&hs256(SECRET, &claims()), now()).await.unwrap().shared_delivery().is_none());
    let longest = "7".repeat(64);
    assert!(verifier.verify(&link(&longest), now()).await.is_ok(), "every delivery can be shared");
}

#[tokio::test]
async fn a_link_says_what_its_signer_may_say_and_nothing_more() {
    let verifier = verifier_of_links().await;
    let said = json!({"token_type": "share", "user_id": "share:5012", "exp": EXP, "roles": ["ADMIN"],
        "restaurant_ids": [12], "channels": ["admin"], "info": {"name": "x"}});
    let principal = verifier.verify(&hs256(SHARE_SECRET, &said), now()).await.unwrap();
    assert!(principal.roles.is_empty() && principal.restaurant_ids.is_empty());
    assert!(principal.channels.is_empty() && principal.info.is_none());
    for user in [json!("7"), json!(7), json!("share:"), json!("share:a b"), json!("share:a:b"), json!(null)] {
        let said = json!({"token_type": "share", "user_id": user, "exp": EXP});
        assert_eq!(refused(&verifier, &hs256(SHARE_SECRET, &said)).await, TokenError::NoUser, "{user}");
    }
    let endless = json!({"token_type": "share", "user_id": "share:5012"});
    assert_eq!(refused(&verifier, &hs256(SHARE_SECRET, &endless)).await, TokenError::Malformed);
}

#[tokio::test]
async fn neither_kind_of_token_passes_with_the_others_key() {
    let verifier = verifier_of_links().await;
    let share = json!({"token_type": "share", "user_id": "share:5012", "exp": EXP});
    assert_eq!(refused(&verifier, &hs256(SECRET, &share)).await, TokenError::BadSignature);
    assert_eq!(refused(&verifier, &hs256(SHARE_SECRET, &claims())).await, TokenError::BadSignature);
    // Whatever type it claims to be: Django makes nobody the bearer of a link.
    for token_type in ["access", "Share", "SHARE"] {
        let said = json!({"token_type": token_type, "user_id": "share:5012", "exp": EXP});
        let why = refused(&verifier, &hs256(SECRET, &said)).await;
        assert!(matches!(why, TokenError::NoUser | TokenError::WrongType), "{token_type} {why:?}");
        assert_eq!(refused(&verifier, &hs256(SHARE_SECRET, &said)).await, TokenError::BadSignature);
    }
    let any = [("REALTIME_JWT_SECRET", SECRET), ("REALTIME_JWT_TOKEN_TYPE", "any")];
    let any = self::verifier(&any).await.accepting_shares(&share_settings(SHARE_SECRET)).unwrap();
    assert_eq!(refused(&any, &hs256(SECRET, &share)).await, TokenError::BadSignature);
    let untyped = json!({"user_id": "share:5012", "exp": EXP});
    assert_eq!(refused(&any, &hs256(SECRET, &untyped)).await, TokenError::NoUser);
    // A link is no right to a channel of Centrifuge's protocol.
    let right = verifier.verify_subscription(&link("5012"), now()).await;
    assert_eq!(right, Err(TokenError::BadSignature));
    let right = json!({"sub": "share:5012", "channel": "order:1", "exp": EXP});
    let right = verifier.verify_subscription(&hs256(SECRET, &right), now()).await;
    assert_eq!(right, Err(TokenError::NoUser));
}

#[tokio::test]
async fn an_unsigned_link_and_one_of_another_algorithm_are_refused() {
    let verifier = verifier_of_links().await;
    let said = json!({"token_type": "share", "user_id": "share:5012", "exp": EXP});
    let payload = URL_SAFE_NO_PAD.encode(said.to_string());
    for algorithm in ["none", "HS512", "RS256"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": algorithm}).to_string());
        let why = refused(&verifier, &format!("{header}.{payload}.")).await;
        assert!(matches!(why, TokenError::UnknownKey), "{algorithm} {why:?}");
    }
    let (message, _) = link("5012").rsplit_once('.').map(|(m, s)| (m.to_owned(), s.to_owned())).unwrap();
    assert_eq!(refused(&verifier, &format!("{message}.")).await, TokenError::BadSignature);
}

#[tokio::test]
async fn without_a_secret_for_links_none_is_accepted() {
    let verifier = verifier(&[("REALTIME_JWT_SECRET", SECRET)]).await;
    assert_eq!(refused(&verifier, &link("5012")).await, TokenError::NoShares);
    assert!(verifier.verify(&hs256(SECRET, &claims()), now()).await.is_ok());
}
