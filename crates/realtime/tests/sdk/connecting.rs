//! Who may connect, with which token, and for how long.

use std::time::Duration;

use platepal_testkit::Tier;
use serde_json::{Value, json};

use crate::{
    BINARY,
    client::{Language, with_every_sdk},
};

const UNAUTHORIZED_BY_CLIENT: u64 = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_connects_with_a_token_and_leaves_when_it_wants_to() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let client = life.connected().await;
        assert_eq!(client.all("connected")[0]["transport"], "websocket");
        client.disconnect().await;
        assert_eq!(client.disconnected().await.0, 0);
        client.connect().await;
        client.event("connected").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_shows_no_good_token_is_sent_away_for_good() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let good = life.token();
        let bad = [
            ("foreign", good.clone().signed_with("another-secret-that-django-does-not-have").sign()),
            ("malformed", "not.a.token".to_owned()),
            ("refresh", good.clone().refresh().sign()),
            ("no user", good.clone().without("user_id").sign()),
            ("for one channel", good.claim("channel", "chat:1").sign()),
        ];
        for (what, token) in bad {
            let client = life.client(&token).await;
            client.connect().await;
            let (code, reason) = client.disconnected().await;
            assert_eq!(code, 3500, "{life}: {what}: {reason}");
            assert!(!reason.contains(&token), "{reason}");
        }
        // The tier knows nobody without a token.
        let client = life.client("").await;
        client.connect().await;
        assert_eq!(client.disconnected().await.0, 3501, "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_replaced_by_a_new_one_where_there_is_one() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let expired = life.token().expired().sign();
        let client = life.client_with(json!({ "token": expired }), true).await;
        client.connect().await;
        client.give(Value::Null, Some(&life.token().sign())).await;
        client.event("connected").await;

        let without_source = life.client(&expired).await;
        without_source.connect().await;
        assert_eq!(without_source.disconnected().await.0, UNAUTHORIZED_BY_CLIENT, "{life}");

        let refused = life.client_with(json!({}), true).await;
        refused.connect().await;
        refused.give(Value::Null, None).await;
        assert_eq!(refused.disconnected().await.0, UNAUTHORIZED_BY_CLIENT, "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_renewed_before_its_end_and_the_connection_stays() {
    let tier = Tier::builder(BINARY).set("REALTIME_JWT_LEEWAY", "1s").start().await;
    with_every_sdk(&tier, async |life| {
        let client = life.client_with(json!({}), true).await;
        client.connect().await;
        client.give(Value::Null, Some(&life.token().expires_in(Duration::from_secs(3)).sign())).await;
        client.event("connected").await;
        client.give(Value::Null, Some(&life.token().expires_in(Duration::from_secs(3)).sign())).await;
        // It is asked again: the first refresh was taken, with a time of its own.
        client.give(Value::Null, Some(&life.token().sign())).await;
        // Whoever stayed is asked after the token's end, and what is renewed is used.
        assert_eq!(client.history(&life.feed(), json!({})).await.unwrap()["publications"], json!([]));
        assert_eq!(client.all("connecting").len(), 1, "{life}: it never had to connect again");
        assert!(client.all("error").is_empty() && client.all("disconnected").is_empty(), "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_renews_with_a_bad_token_is_sent_away() {
    let tier = Tier::builder(BINARY).set("REALTIME_JWT_LEEWAY", "1s").start().await;
    with_every_sdk(&tier, async |life| {
        let another = life.tier.token(life.user + 100).sign();
        let foreign = life.token().signed_with("another-secret-that-django-does-not-have").sign();
        for (what, token) in [("another user's", another), ("foreign", foreign)] {
            let first = life.token().expires_in(Duration::from_secs(3)).sign();
            let client = life.client_with(json!({ "token": first }), true).await;
            client.connect().await;
            client.event("connected").await;
            client.give(Value::Null, Some(&token)).await;
            assert_eq!(client.disconnected().await.0, 3500, "{life}: {what}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_renewed_in_time_ends_the_connection_until_there_is_another() {
    let tier = Tier::builder(BINARY)
        .set("REALTIME_JWT_LEEWAY", "0s")
        .set("REALTIME_EDGE_REFRESH_GRACE", "1s")
        .start()
        .await;
    with_every_sdk(&tier, async |life| {
        let short = life.token().expires_in(Duration::from_secs(3)).sign();
        let client = life.client_with(json!({ "token": short }), true).await;
        client.connect().await;
        client.event("connected").await;
        client.event("connecting").await;
        // It asks in time, and nobody answers before the grace is over.
        assert_eq!(client.event("connecting").await["code"], 3005, "{life}");
        // It asks again for the new connection.
        let token = life.token().sign();
        client.give(Value::Null, Some(&token)).await;
        client.give(Value::Null, Some(&token)).await;
        client.event("connected").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_may_not_have_more_connections_than_the_limit() {
    let tier = Tier::builder(BINARY).set("REALTIME_EDGE_CONNECTIONS_PER_USER_MAX", "2").start().await;
    with_every_sdk(&tier, async |life| {
        let (first, _second) = (life.connected().await, life.connected().await);
        let third = life.client(&life.token().sign()).await;
        third.connect().await;
        assert_eq!(third.disconnected().await.0, 3504, "{life}");
        first.disconnect().await;
        if life.language == Language::JavaScript {
            // Its place is free once the server has seen it go.
            platepal_testkit::eventually("there is room again", async || {
                third.connect().await;
                let events = third.all("connected").len();
                events > 0
            })
            .await;
        }
    })
    .await;
}
