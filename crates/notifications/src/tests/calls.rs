//! What clients call: everybody on the own inbox, whatever they say.

use super::*;

on_both! {
    whose_inbox_it_is_says_the_token
    an_inbox_is_read_by_its_user_alone
    what_is_wrong_is_said
}

async fn whose_inbox_it_is_says_the_token(world: World) {
    let notifications = world.replica().await;
    let made = notify(&notifications, note("7", "a secret")).await;
    let listed = call(&notifications, "8", "list", json!({"user_id": "7"})).await.unwrap();
    assert_eq!(listed, json!({"notifications": [], "more": false, "unread_count": 0}));
    assert_eq!(
        call(&notifications, "8", "unread", json!({"user_id": 7})).await.unwrap(),
        json!({"unread_count": 0})
    );
    assert_eq!(
        call(&notifications, "8", "read", json!({"ids": [made.id]})).await.unwrap()["marked"],
        json!(0)
    );
    assert_eq!(
        call(&notifications, "8", "read", json!({"all": true, "user_id": 7})).await.unwrap()["marked"],
        json!(0)
    );
    assert_eq!(call(&notifications, "8", "clear", json!({})).await.unwrap(), json!({"cleared": 0}));
    assert_eq!(call(&notifications, "7", "unread", json!({})).await.unwrap(), json!({"unread_count": 1}));
}

async fn an_inbox_is_read_by_its_user_alone(world: World) {
    let notifications = world.replica().await;
    let channel: Channel = "inbox:7".parse().unwrap();
    let may = async |user: &str, roles: &[&str]| {
        let roles = roles.iter().map(ToString::to_string).collect();
        let principal = v1::Principal { user_id: user.into(), roles, restaurant_ids: Vec::new() };
        let verdict = notifications.authorize(&principal_from(principal).unwrap(), "", &channel).await;
        matches!(verdict, platepal_service::domain::Verdict::Allowed(_))
    };
    assert!(may("7", &[]).await);
    assert!(!may("8", &[]).await);
    assert!(!may("60", &["ADMIN"]).await);
    assert_eq!(notifications.grant("8", &channel, None).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(notifications.revoke("8", &channel).await.unwrap_err().code(), Code::InvalidArgument);
}

async fn what_is_wrong_is_said(world: World) {
    let notifications = world.replica().await;
    for (method, arguments) in [
        ("list", json!({"limit": 101})),
        ("list", json!([1])),
        ("read", json!({})),
        ("read", json!({"ids": ["x"]})),
        ("shown", json!({})),
        ("subscribe", json!({"web": {"endpoint": "no url", "keys": {"p256dh": "", "auth": ""}}})),
        ("unsubscribe", json!({"device_id": "a b"})),
    ] {
        let refused = call(&notifications, "7", method, arguments.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{method} {arguments}: {refused}");
    }
    assert_eq!(call(&notifications, "7", "burn", json!({})).await.unwrap_err().code(), Code::Unimplemented);
    let off = call(&notifications, "7", "subscribe", json!({"fcm": "token"})).await.unwrap_err();
    assert_eq!(off.code(), Code::FailedPrecondition);
    assert_eq!(call(&notifications, "7", "key", json!({})).await.unwrap(), json!({"vapid_public_key": null}));
}
