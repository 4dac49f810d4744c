//! Web push: what a browser gets, and what push services answer.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Method;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use p256::{SecretKey, elliptic_curve::sec1::ToEncodedPoint};
use platepal_push::{Device, Outcome, Push, Sender, Service, VapidKeys};
use serde_json::{Value, json};

use crate::{
    later, parse, push, senders,
    server::{Say, Server, say},
};

/// A browser: the half of its keys that it keeps.
struct Browser {
    secret: SecretKey,
    auth: [u8; 16],
}

impl Browser {
    fn new() -> Self {
        let secret = SecretKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
        Self { secret, auth: *b"sixteen bytes of" }
    }

    fn device(&self, endpoint: &str) -> Device {
        let public = self.secret.public_key().to_encoded_point(false);
        Device::Web {
            endpoint: endpoint.parse().unwrap(),
            p256dh: BASE64_URL_SAFE_NO_PAD.encode(public.as_bytes()),
            auth: BASE64_URL_SAFE_NO_PAD.encode(self.auth),
        }
    }

    fn decrypt(&self, body: &[u8]) -> Vec<u8> {
        web_push_native::decrypt(body.to_vec(), &self.secret, &self.auth.into()).unwrap()
    }
}

fn sender(keys: &VapidKeys, more: &[(&str, &str)]) -> Arc<dyn Sender> {
    let mut variables = vec![
        ("REALTIME_PUSH_VAPID_PRIVATE_KEY", keys.private().reveal()),
        ("REALTIME_PUSH_VAPID_CONTACT", "mailto:ada@example.org"),
        ("REALTIME_PUSH_PRIVATE_HOSTS", "127.0.0.1"),
    ];
    variables.extend(more);
    senders(&variables).of(Service::WebPush).unwrap()
}

#[tokio::test]
async fn a_push_reaches_the_browser_and_nobody_else_and_says_who_sent_it() {
    let (keys, browser, server) = (VapidKeys::generate(), Browser::new(), Server::plain().await);
    let sender = sender(&keys, &[]);
    let device = browser.device(&format!("{}/push/abc", server.url));
    sender.check(&device).unwrap();
    server.will(Say { headers: vec![("location", "/message/1".into())], ..say(201, "") });
    assert_eq!(sender.send(&device, &push()).await, Outcome::Sent { id: Some("/message/1".into()) });
    let asked = server.last();
    assert_eq!((asked.method.clone(), asked.path.as_str()), (Method::POST, "/push/abc"));
    let headers = ["ttl", "urgency", "content-encoding"].map(|name| asked.header(name));
    assert_eq!(headers, ["600", "high", "aes128gcm"]);
    let topic = asked.header("topic");
    assert!(
        topic.len() == 32 && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    assert!(asked.body.len() <= 4_096);
    let message = parse(&browser.decrypt(&asked.body));
    let expected = json!({"id": "41", "title": "Order ready", "body": "Your order 5012 is ready.",
        "tag": "order:5012", "data": {"order_id": 5012}});
    assert_eq!(message, expected);
    // Signed by the key that the browser subscribed with, for this service, for less than a day.
    let authorization = asked.header("authorization").strip_prefix("vapid t=").unwrap().to_owned();
    let (token, key) = authorization.split_once(", k=").unwrap();
    assert_eq!(key, keys.public());
    let point = BASE64_URL_SAFE_NO_PAD.decode(key).unwrap();
    let verifying = DecodingKey::from_ec_der(&point);
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[&server.url]);
    let claims: Value = jsonwebtoken::decode(token, &verifying, &validation).unwrap().claims;
    assert_eq!(claims["sub"], "mailto:ada@example.org");
    #[allow(clippy::disallowed_methods, reason = "a service looks at its own clock")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let left = claims["exp"].as_u64().unwrap() - now;
    assert!((3_600..=24 * 3_600).contains(&left), "{left}");
    // A repeat has the same topic and another body: it takes the place of the first.
    sender.send(&device, &push()).await;
    assert_eq!(server.last().header("topic"), topic);
    assert_ne!(server.last().body, asked.body);
}

#[tokio::test]
async fn every_answer_of_a_push_service_means_something() {
    let (browser, server) = (Browser::new(), Server::plain().await);
    let sender = sender(&VapidKeys::generate(), &[]);
    let device = browser.device(&format!("{}/push/abc", server.url));
    for (status, word) in [
        (200, "sent"),
        (202, "sent"),
        (404, "gone"),
        (410, "gone"),
        (413, "refused"),
        (400, "refused"),
        (403, "refused"),
        (429, "later"),
        (500, "later"),
        (503, "later"),
    ] {
        server.will(say(status, ""));
        assert_eq!(sender.send(&device, &push()).await.word(), word, "{status}");
    }
    server.will(Say { headers: vec![("retry-after", "120".into())], ..say(429, "") });
    assert_eq!(later(&sender.send(&device, &push()).await), Some(120));
    // A redirect is not followed, wherever it leads.
    let elsewhere = Server::plain().await;
    server.will(Say { headers: vec![("location", format!("{}/x", elsewhere.url))], ..say(307, "") });
    assert_eq!(sender.send(&device, &push()).await.word(), "refused");
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_service_that_hangs_or_is_not_there_is_tried_again_and_its_address_stays_secret() {
    let (browser, server) = (Browser::new(), Server::plain().await);
    let sender = sender(&VapidKeys::generate(), &[("REALTIME_PUSH_TIMEOUT", "300ms")]);
    server.will(Say { hangs: true, ..say(200, "") });
    let hung = sender.send(&browser.device(&format!("{}/push/secret", server.url)), &push()).await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = sender.send(&browser.device(&format!("http://{closed}/push/secret")), &push()).await;
    for outcome in [hung, gone] {
        assert_eq!(later(&outcome), Some(0), "{outcome:?}");
        assert!(!format!("{outcome:?}").contains("secret"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_long_push_is_shortened_until_it_fits() {
    let (browser, server) = (Browser::new(), Server::plain().await);
    let sender = sender(&VapidKeys::generate(), &[]);
    let device = browser.device(&format!("{}/push/abc", server.url));
    let long =
        Push {
            body: "ü".repeat(10_000), data: json!({"order_id": 5012, "note": "x".repeat(500)}), ..push()
        };
    assert_eq!(sender.send(&device, &long).await.word(), "sent");
    let asked = server.last();
    assert!((4_000..=4_096).contains(&asked.body.len()), "{}", asked.body.len());
    let message = parse(&browser.decrypt(&asked.body));
    assert_eq!((&message["shortened"], &message["data"]["order_id"]), (&json!(true), &json!(5012)));
}

#[tokio::test]
async fn no_endpoint_leads_into_the_own_network() {
    let (browser, server) = (Browser::new(), Server::plain().await);
    let port = server.url.rsplit(':').next().unwrap();
    let keys = VapidKeys::generate();
    // As in production: no private host is allowed.
    let guarded = sender(
        &keys,
        &[
            ("REALTIME_PUSH_PRIVATE_HOSTS", ""),
            ("REALTIME_PUSH_HOSTS", "localhost, 127.0.0.1, *.push.services.mozilla.com"),
        ],
    );
    for endpoint in [
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        "https://127.0.0.1/".to_owned(),
        "https://localhost/".to_owned(),
        "https://[::1]/".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://push.services.mozilla.com.evil.example/".to_owned(),
        "https://user:pass@updates.push.services.mozilla.com/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let device = browser.device(&endpoint);
        let outcome = guarded.send(&device, &push()).await;
        assert_eq!(outcome.word(), "refused", "{endpoint}: {outcome:?}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn keys_that_no_browser_gives_out_are_refused_when_they_are_registered() {
    let sender = sender(&VapidKeys::generate(), &[]);
    let endpoint: url::Url = "https://updates.push.services.mozilla.com/wpush/v2/x".parse().unwrap();
    for (p256dh, auth) in [
        ("", "c2l4dGVlbiBieXRlcyBvZg"),
        ("AAAA", "c2l4dGVlbiBieXRlcyBvZg"),
        (
            "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8",
            "c2hvcnQ",
        ),
    ] {
        let device = Device::Web { endpoint: endpoint.clone(), p256dh: p256dh.into(), auth: auth.into() };
        assert!(sender.check(&device).is_err(), "{p256dh}");
        assert_eq!(sender.send(&device, &push()).await.word(), "refused");
    }
    assert!(sender.check(&Device::Fcm { token: "x".into() }).is_err());
}
