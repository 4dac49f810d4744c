//! Nobody reads a channel that is not theirs.

use std::time::Duration;

use platepal_proto::v1;
use platepal_testkit::{Shape, Tier, Token, http};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    both_shapes,
    publishing::{event, new_id, publish},
};

const FORBIDDEN: u16 = 4003;
const UNAUTHORISED: u16 = 4001;
const TRY_AGAIN: u16 = 1013;
const ROLES: [&str; 5] = ["CUSTOMER", "RESTAURANT", "DELIVERY", "ADMIN", "SUPPORT"];

both_shapes! {
    async fn another_users_feed_is_refused_for_every_path_and_role(tier: Tier) {
        for role in ROLES {
            let token = tier.token(8).role(role).restaurants([13]);
            for path in ["/ws/customer/7", "/ws/delivery/7", "/ws/orders/12", "/ws/order/5012", "/ws/chat/88", "/ws/admin"] {
                // Staff with the role may read rooms, orders and the operations feed; nobody else's own feed.
                let is_staff = match path {
                    "/ws/chat/88" | "/ws/order/5012" => role == "ADMIN" || role == "SUPPORT",
                    "/ws/admin" => role == "ADMIN",
                    _ => false,
                };
                for path in [path.to_owned(), format!("{path}/")] {
                    let mut socket = tier.connect(&path, &token).open().await;
                    if is_staff {
                        socket.assert_quiet(Duration::from_millis(30)).await;
                    } else {
                        let (code, reason) = socket.closed().await;
                        assert_eq!(code, FORBIDDEN, "{role} {path}: {reason}");
                    }
                }
            }
        }
    }
}

both_shapes! {
    async fn a_refused_token_is_told_why_after_the_handshake(tier: Tier) {
        let good = tier.token(7);
        let cases: [(&str, String); 7] = [
            ("expired", good.clone().expired().sign()),
            ("refresh", good.clone().refresh().sign()),
            ("foreign", good.clone().signed_with("another-secret-that-django-does-not-have").sign()),
            ("malformed", "not.a.token".to_owned()),
            ("alg none", format!("eyJhbGciOiJub25lIn0.{}.", good.sign().split('.').nth(1).unwrap())),
            ("no user", good.clone().without("user_id").sign()),
            ("no expiry", good.clone().without("exp").sign()),
        ];
        for (what, token) in cases {
            for path in ["/ws/customer/7/", "/ws/admin"] {
                let url = format!("{}?token={token}", tier.socket_url(path));
                let mut socket = platepal_testkit::Connect::to(url).open().await;
                let (code, reason) = socket.closed().await;
                assert_eq!(code, UNAUTHORISED, "{what}: {reason}");
                assert!(!reason.is_empty() && !reason.contains("eyJ"), "{what}: {reason}");
            }
        }
        let mut none = platepal_testkit::Connect::to(tier.socket_url("/ws/customer/7")).open().await;
        assert_eq!(none.closed().await.0, UNAUTHORISED);
        // Nothing of all that is in a log.
        for role in tier.roles() {
            assert!(!tier.logs(role).contains("eyJ"), "a token is in the log of {role:?}");
        }
    }
}

both_shapes! {
    async fn a_token_may_come_in_a_header_and_name_its_user_as_text(tier: Tier) {
        let token = tier.token(7).claim("user_id", "7");
        let mut socket = platepal_testkit::Connect::to(tier.socket_url("/ws/customer/7")).bearer(&token.sign()).open().await;
        let id = new_id();
        publish(&tier.grpc(), event(&id, &json!({})), &["customer:7"]).await;
        assert_eq!(socket.json().await["event_id"], id.as_str());
    }
}

both_shapes! {
    async fn a_grant_opens_a_feed_and_its_revocation_closes_it_within_a_second(tier: Tier) {
        let token = tier.token(5);
        let mut sessions = tier.grpc().sessions();
        for (channel, path) in [("restaurant:12", "/ws/orders/12/"), ("chat:88", "/ws/chat/88/"), ("admin", "/ws/admin/")] {
            let mut refused = tier.connect(path, &token).open().await;
            assert_eq!(refused.closed().await.0, FORBIDDEN, "{path}");
            let grant = v1::GrantRequest { user_id: "5".into(), channel: channel.into(), expires_at: None };
            sessions.grant(grant).await.unwrap();
            let mut socket = tier.connect(path, &token).open().await;
            let id = new_id();
            publish(&tier.grpc(), event(&id, &json!({})), &[channel]).await;
            assert_eq!(socket.json().await["event_id"], id.as_str());
            let revoke = v1::RevokeRequest { user_id: "5".into(), channel: channel.into() };
            let existed = sessions.revoke(revoke.clone()).await.unwrap().into_inner().existed;
            assert!(existed);
            assert_eq!(socket.closed().await.0, FORBIDDEN);
            assert!(!sessions.revoke(revoke).await.unwrap().into_inner().existed);
        }
        let own = v1::GrantRequest { user_id: "5".into(), channel: "customer:7".into(), expires_at: None };
        let status = sessions.grant(own).await.expect_err("an own feed can't be granted to another user");
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
    }
}

both_shapes! {
    async fn a_connection_ends_with_its_token(tier: Tier) {
        // The tier forgives clocks 30 s of difference; a token that expired 28 s ago has two left.
        let token = tier.token(7).expired_for(Duration::from_secs(28));
        let mut socket = tier.connect("/ws/customer/7", &token).open().await;
        let (code, reason) = socket.closed().await;
        assert_eq!(code, UNAUTHORISED);
        assert!(reason.contains("expired"), "{reason}");
    }
}

both_shapes! {
    async fn a_page_of_a_foreign_origin_is_refused_before_the_handshake(tier: Tier) {
        let connect = |origin: &str| {
            let url = format!("{}?token={}", tier.socket_url("/ws/customer/7"), tier.token(7).sign());
            platepal_testkit::Connect::to(url).origin(origin).attempt()
        };
        for origin in ["https://evil.example", "http://localhost:3000.evil.example", "null", "http://localhost:3001"] {
            let refusal = connect(origin).await.expect_err("a foreign origin");
            assert_eq!(refusal.status, 403, "{origin}: {}", refusal.body);
        }
        connect("http://localhost:3000").await.expect("an allowed origin");
    }
}

/// A Django REST API that lets the owner of restaurant 12 see it, and sometimes fails.
async fn django(owner_token: String, failing: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let owner = format!("authorization: bearer {owner_token}").to_lowercase();
            tokio::spawn(async move {
                let mut request = vec![0; 8192];
                let read = socket.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
                let is_owner = request.starts_with("get /api/restaurants/12/ ") && request.contains(&owner);
                let status = match (failing, is_owner) {
                    (true, _) => "500 Internal Server Error",
                    (false, true) => "200 OK",
                    (false, false) => "403 Forbidden",
                };
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
                socket.write_all(answer.as_bytes()).await.ok();
            });
        }
    });
    format!("http://{address}/api/restaurants/{{id}}/")
}

async fn django_is_asked(shape: Shape) {
    // The secret of tests signs the token before the tier is there.
    let owner = Tier::all_in_one(crate::BINARY).await.token(5);
    let signed = owner.sign();
    let tier = Tier::builder(crate::BINARY)
        .shape(shape)
        .set("REALTIME_ACCESS_RESTAURANT_URL", django(signed.clone(), false).await)
        .start()
        .await;
    let connect = |path: &str, token: &str| {
        let url = format!("{}?token={token}", tier.socket_url(path));
        async move { platepal_testkit::Connect::to(url).open().await }
    };
    let mut allowed = connect("/ws/orders/12/", &signed).await;
    let id = new_id();
    publish(&tier.grpc(), event(&id, &json!({})), &["restaurant_12"]).await;
    assert_eq!(allowed.json().await["event_id"], id.as_str());
    let mut other_restaurant = connect("/ws/orders/13/", &signed).await;
    assert_eq!(other_restaurant.closed().await.0, FORBIDDEN);
    let mut other_user = connect("/ws/orders/12/", &tier.token(6).sign()).await;
    assert_eq!(other_user.closed().await.0, FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn djangos_own_answer_opens_a_restaurants_feed_in_one_process() {
    django_is_asked(Shape::AllInOne).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn djangos_own_answer_opens_a_restaurants_feed_with_a_process_per_role() {
    django_is_asked(Shape::Split).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_django_that_fails_makes_clients_try_again() {
    let url = django(String::new(), true).await;
    let tier = Tier::builder(crate::BINARY).set("REALTIME_ACCESS_RESTAURANT_URL", url).start().await;
    let mut socket = tier.connect("/ws/orders/12", &tier.token(5)).open().await;
    assert_eq!(socket.closed().await.0, TRY_AGAIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_is_down_makes_clients_try_again_and_own_feeds_work_on() {
    let mut tier = Tier::split(crate::BINARY).await;
    tier.kill(platepal_testkit::Role::ORDERS);
    let token: Token = tier.token(7).restaurants([12]);
    let mut restaurant = tier.connect("/ws/orders/12", &token).open().await;
    assert_eq!(restaurant.closed().await.0, TRY_AGAIN);
    let mut own = tier.connect("/ws/customer/7", &token).open().await;
    let id = new_id();
    publish(&tier.grpc(), event(&id, &json!({})), &["customer:7"]).await;
    assert_eq!(own.json().await["event_id"], id.as_str());
    assert_eq!(http::get(&tier.admin_url(platepal_testkit::Role::EDGE, "/readyz")).await.status, 200);
}
