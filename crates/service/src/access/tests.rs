//! Access over real gRPC and a real HTTP server: what is allowed, what is denied, what is asked again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicUsize, Ordering};

use platepal_proto::v1;
use platepal_settings::Reader;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

struct Granted(Vec<(&'static str, &'static str)>);

#[async_trait]
impl Grants for Granted {
    async fn has(&self, user: &str, channel: &Channel, _: Timestamp) -> Result<bool, String> {
        Ok(self.0.iter().any(|grant| *grant == (user, channel.as_str())))
    }
}

fn access(variables: &[(&str, String)], grants: &[(&'static str, &'static str)]) -> Access {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut reader = Reader::new(variables.iter().map(|(name, value)| (*name, value.clone())));
    let settings = reader.read::<Settings>().unwrap();
    settings.check(&mut reader);
    reader.finish(Settings::SPECS).unwrap();
    Access::new(&settings, Arc::new(Granted(grants.to_vec())), Clock).unwrap()
}

fn user(id: &str, roles: &[&str], restaurants: &[&str]) -> Principal {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let message =
        v1::Principal { user_id: id.to_owned(), roles: owned(roles), restaurant_ids: owned(restaurants) };
    crate::domain::principal_from(message).unwrap()
}

fn channel(name: &str) -> Channel {
    name.parse().unwrap()
}

/// A Django that answers every request with one status line, counting.
async fn django(status: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let read = socket.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
                assert!(request.contains("authorization: bearer users-own-token"), "{request}");
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                socket.write_all(answer.as_bytes()).await.ok();
            });
        }
    });
    (format!("http://{address}/api/restaurants/{{id}}/"), count)
}

#[tokio::test]
async fn without_any_source_everything_but_the_own_feed_is_denied() {
    let access = access(&[], &[]);
    for name in ["restaurant:12", "admin", "chat:88", "order:5012", "customer:8", "rider:8", "menu:12"] {
        let verdict = access.decide(&user("7", &[], &[]), "t", &channel(name)).await;
        assert!(matches!(verdict, Verdict::Denied(_)), "{name}: {verdict:?}");
    }
    let own = access.decide(&user("7", &[], &[]), "t", &channel("customer:7")).await;
    assert!(matches!(own, Verdict::Allowed(_)));
}

#[tokio::test]
async fn claims_allow_exactly_what_they_name() {
    let access = access(&[], &[]);
    let cases = [
        (user("7", &[], &["12"]), "restaurant:12", true),
        (user("7", &["RESTAURANT"], &["13"]), "restaurant:12", false),
        (user("7", &["ADMIN"], &[]), "admin", true),
        (user("7", &["SUPPORT"], &[]), "admin", false),
        (user("7", &["SUPPORT"], &[]), "chat:88", true),
        (user("7", &["CUSTOMER"], &[]), "chat:88", false),
        (user("7", &["SUPPORT"], &[]), "track:9", true),
        (user("7", &["ADMIN"], &[]), "area:u33db", true),
        (user("7", &["DELIVERY"], &[]), "area:u33db", false),
        (user("7", &["ADMIN"], &[]), "customer:8", false),
        (user("7", &["ADMIN"], &[]), "rider:8", false),
    ];
    for (principal, name, allowed) in cases {
        let verdict = access.decide(&principal, "t", &channel(name)).await;
        assert_eq!(matches!(verdict, Verdict::Allowed(_)), allowed, "{name}: {verdict:?}");
    }
}

#[tokio::test]
async fn a_grant_allows_its_user_and_channel_but_never_anothers_own_feed() {
    let access = access(&[], &[("7", "restaurant:12"), ("7", "customer:8")]);
    let allowed = access.decide(&user("7", &[], &[]), "t", &channel("restaurant:12")).await;
    assert!(matches!(allowed, Verdict::Allowed(_)));
    for (id, name) in [("8", "restaurant:12"), ("7", "restaurant:13"), ("7", "customer:8")] {
        let verdict = access.decide(&user(id, &[], &[]), "t", &channel(name)).await;
        assert!(matches!(verdict, Verdict::Denied(_)), "{id} {name}");
    }
}

#[tokio::test]
async fn django_is_asked_once_per_user_and_channel_with_the_users_token() {
    let (url, count) = django("200 OK").await;
    let access = access(&[("REALTIME_ACCESS_RESTAURANT_URL", url)], &[]);
    let (seven, twelve) = (user("7", &[], &[]), channel("restaurant:12"));
    let ask = || access.decide(&seven, "users-own-token", &twelve);
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    assert!([a, b, c].iter().all(|verdict| matches!(verdict, Verdict::Allowed(_))));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn djangos_no_is_a_no_and_its_failure_is_worth_a_retry() {
    for (status, denied) in [
        ("403 Forbidden", true),
        ("404 Not Found", true),
        ("401 Unauthorized", true),
        ("302 Found", false),
        ("500 Internal Server Error", false),
    ] {
        let (url, _) = django(status).await;
        let access = access(&[("REALTIME_ACCESS_RESTAURANT_URL", url)], &[]);
        let verdict = access.decide(&user("7", &[], &[]), "users-own-token", &channel("restaurant:12")).await;
        match verdict {
            Verdict::Denied(_) => assert!(denied, "{status}"),
            Verdict::Undecided(_) => assert!(!denied, "{status}"),
            Verdict::Allowed(_) => panic!("{status} allowed"),
        }
    }
}

#[tokio::test]
async fn a_django_that_is_down_is_left_alone_after_some_failures() {
    let (url, count) = django("503 Service Unavailable").await;
    let access = access(
        &[
            ("REALTIME_ACCESS_RESTAURANT_URL", url),
            ("REALTIME_ACCESS_BREAKER_FAILURES", "3".into()),
            ("REALTIME_ACCESS_BREAKER_TIME", "1h".into()),
        ],
        &[],
    );
    for _ in 0..10 {
        let verdict = access.decide(&user("7", &[], &[]), "users-own-token", &channel("restaurant:12")).await;
        assert!(matches!(verdict, Verdict::Undecided(_)));
    }
    assert_eq!(count.load(Ordering::SeqCst), 3);
}
