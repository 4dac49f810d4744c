//! Firebase and Apple: HTTP/2 over TLS, with their tokens, and what they answer.

use std::sync::Arc;

use http::Version;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use platepal_push::{Device, Outcome, Sender, Service};
use serde_json::{Value, json};

use crate::{
    later, parse, push, senders,
    server::{Say, Server, say},
};

const GRANT: &str = r#"{"access_token":"ya29.first","expires_in":3600}"#;

/// Firebase and its tokens at one server.
async fn fcm() -> (Server, Arc<dyn Sender>) {
    let server = Server::tls().await;
    let account = tempfile::NamedTempFile::new().unwrap();
    let json = json!({
        "project_id": "platepal-test",
        "client_email": "push@platepal-test.iam.gserviceaccount.com",
        "private_key": include_str!("../keys/service_account.private.pem"),
        "token_uri": format!("{}/token", server.url),
    });
    std::fs::write(account.path(), json.to_string()).unwrap();
    let sender = senders(&[
        ("REALTIME_PUSH_FCM_CREDENTIALS", account.path().to_str().unwrap()),
        ("REALTIME_PUSH_FCM_URL", &server.url),
        ("REALTIME_PUSH_CA", server.certificate.as_ref().unwrap().path().to_str().unwrap()),
    ])
    .of(Service::Fcm)
    .unwrap();
    (server, sender)
}

async fn apns() -> (Server, Arc<dyn Sender>) {
    let server = Server::tls().await;
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/apns.private.p8");
    let sender = senders(&[
        ("REALTIME_PUSH_APNS_KEY", key),
        ("REALTIME_PUSH_APNS_KEY_ID", "KEY1234567"),
        ("REALTIME_PUSH_APNS_TEAM", "TEAM123456"),
        ("REALTIME_PUSH_APNS_TOPIC", "com.platepal.app"),
        ("REALTIME_PUSH_APNS_URL", &server.url),
        ("REALTIME_PUSH_CA", server.certificate.as_ref().unwrap().path().to_str().unwrap()),
    ])
    .of(Service::Apns)
    .unwrap();
    (server, sender)
}

fn phone() -> Device {
    Device::Fcm { token: "registration:token".into() }
}

fn iphone() -> Device {
    Device::Apns { token: "00ff".repeat(16) }
}

#[tokio::test]
async fn firebase_gets_a_message_with_a_token_that_is_made_once() {
    let (server, sender) = fcm().await;
    server.will(say(200, GRANT));
    server.will(say(200, r#"{"name":"projects/platepal-test/messages/1"}"#));
    let sent = sender.send(&phone(), &push()).await;
    assert_eq!(sent, Outcome::Sent { id: Some("projects/platepal-test/messages/1".into()) });
    assert_eq!(sender.send(&phone(), &push()).await.word(), "sent");
    let asked = server.asked();
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    let send = "/v1/projects/platepal-test/messages:send";
    assert_eq!(paths, ["/token", send, send]);
    assert!(asked.iter().all(|asked| asked.version == Version::HTTP_2));
    // The assertion is signed by the account's key.
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&asked[0].body).into_owned().collect();
    assert_eq!(form[0], ("grant_type".into(), "urn:ietf:params:oauth:grant-type:jwt-bearer".into()));
    let public = DecodingKey::from_rsa_pem(include_bytes!("../keys/service_account.public.pem")).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[format!("{}/token", server.url)]);
    let claims: Value = jsonwebtoken::decode(&form[1].1, &public, &validation).unwrap().claims;
    assert_eq!(claims["iss"], "push@platepal-test.iam.gserviceaccount.com");
    assert_eq!(asked[1].header("authorization"), "Bearer ya29.first");
    let message = &parse(&asked[1].body)["message"];
    let seen = json!([
        message["token"],
        message["notification"]["title"],
        message["android"]["collapse_key"],
        message["android"]["priority"],
        message["android"]["ttl"]
    ]);
    assert_eq!(seen, json!(["registration:token", "Order ready", "order:5012", "HIGH", "600s"]));
    assert_eq!(message["data"], json!({"id": "41", "data": "{\"order_id\":5012}"}));
}

#[tokio::test]
async fn what_firebase_answers_means_something() {
    let (server, sender) = fcm().await;
    server.will(say(200, GRANT));
    server.will(say(200, "{}"));
    sender.send(&phone(), &push()).await;
    let unregistered = r#"{"error":{"status":"NOT_FOUND","details":[{"errorCode":"UNREGISTERED"}]}}"#;
    for (status, body, word) in [
        (404, unregistered, "gone"),
        (404, "not the API", "later"),
        (400, r#"{"error":{"status":"INVALID_ARGUMENT","message":"bad token"}}"#, "refused"),
        (403, "{}", "refused"),
        (500, "{}", "later"),
    ] {
        server.will(say(status, body));
        assert_eq!(sender.send(&phone(), &push()).await.word(), word, "{status} {body}");
    }
    server.will(Say { headers: vec![("retry-after", "30".into())], ..say(429, "{}") });
    assert_eq!(later(&sender.send(&phone(), &push()).await), Some(30));
    // A token that is refused is made anew, once.
    server.will(say(401, "{}"));
    server.will(say(200, r#"{"access_token":"ya29.second","expires_in":3600}"#));
    server.will(say(200, "{}"));
    assert_eq!(sender.send(&phone(), &push()).await.word(), "sent");
    assert_eq!(server.last().header("authorization"), "Bearer ya29.second");
    for _ in 0..2 {
        server.will(say(401, "{}"));
        server.will(say(200, GRANT));
    }
    assert_eq!(sender.send(&phone(), &push()).await.word(), "refused");
}

#[tokio::test]
async fn an_account_that_gets_no_token_costs_no_device() {
    let (server, sender) = fcm().await;
    for status in [400, 404, 410, 500] {
        server.will(say(status, "{}"));
        let outcome = sender.send(&phone(), &push()).await;
        assert_eq!(later(&outcome), Some(0), "{status}: {outcome:?}");
    }
    server.will(say(200, "no json"));
    assert_eq!(sender.send(&phone(), &push()).await.word(), "later");
}

#[tokio::test]
async fn apple_gets_a_message_over_http_2_with_a_token_of_ours() {
    let (server, sender) = apns().await;
    server.will(Say { headers: vec![("apns-id", "uuid".into())], ..say(200, "") });
    assert_eq!(sender.send(&iphone(), &push()).await, Outcome::Sent { id: Some("uuid".into()) });
    let asked = server.last();
    assert_eq!((asked.version, asked.path), (Version::HTTP_2, format!("/3/device/{}", "00ff".repeat(16))));
    let asked = server.last();
    let headers =
        ["apns-topic", "apns-push-type", "apns-priority", "apns-collapse-id"].map(|name| asked.header(name));
    assert_eq!(headers, ["com.platepal.app", "alert", "10", "order:5012"]);
    let token = asked.header("authorization").strip_prefix("bearer ").unwrap();
    let public = DecodingKey::from_ec_pem(include_bytes!("../keys/apns.public.pem")).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.required_spec_claims.clear();
    let decoded = jsonwebtoken::decode::<Value>(token, &public, &validation).unwrap();
    assert_eq!(
        (decoded.header.kid.as_deref(), &decoded.claims["iss"]),
        (Some("KEY1234567"), &json!("TEAM123456"))
    );
    let message = parse(&asked.body);
    assert_eq!(message["aps"]["alert"], json!({"title": "Order ready", "body": "Your order 5012 is ready."}));
    assert_eq!((&message["id"], &message["data"]), (&json!("41"), &json!({"order_id": 5012})));
    sender.send(&iphone(), &push()).await;
    assert_eq!(server.last().header("authorization"), asked.header("authorization"), "one token for both");
}

#[tokio::test]
async fn what_apple_answers_means_something() {
    let (server, sender) = apns().await;
    let reason = |reason: &str| format!(r#"{{"reason":"{reason}"}}"#);
    for (status, why, word) in [
        (410, "Unregistered", "gone"),
        (400, "BadDeviceToken", "gone"),
        (400, "BadTopic", "refused"),
        (403, "InvalidProviderToken", "refused"),
        (404, "BadPath", "refused"),
        (413, "PayloadTooLarge", "refused"),
        (429, "TooManyRequests", "later"),
        (503, "Shutdown", "later"),
    ] {
        server.will(say(status, &reason(why)));
        assert_eq!(sender.send(&iphone(), &push()).await.word(), word, "{why}");
    }
    server.will(say(403, &reason("ExpiredProviderToken")));
    assert_eq!(sender.send(&iphone(), &push()).await.word(), "sent");
    assert!(sender.check(&Device::Apns { token: "../../x".into() }).is_err());
    assert_eq!(sender.send(&Device::Apns { token: "zz".into() }, &push()).await.word(), "refused");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_not_spoken_to() {
    let server = Server::tls().await;
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/apns.private.p8");
    let sender = senders(&[
        ("REALTIME_PUSH_APNS_KEY", key),
        ("REALTIME_PUSH_APNS_KEY_ID", "KEY1234567"),
        ("REALTIME_PUSH_APNS_TEAM", "TEAM123456"),
        ("REALTIME_PUSH_APNS_TOPIC", "com.platepal.app"),
        ("REALTIME_PUSH_APNS_URL", &server.url),
    ]);
    let outcome = sender.of(Service::Apns).unwrap().send(&iphone(), &push()).await;
    assert_eq!(later(&outcome), Some(0), "{outcome:?}");
    assert!(server.asked().is_empty());
}
