//! Who may read what, and for how long.

use platepal_auth::{Principal, Role};
use platepal_proto::v1::DeliveryStatus;
use platepal_service::domain::{Domain, Verdict};

use super::*;

on_both! {
    only_those_whom_it_concerns_follow_a_delivery_and_only_while_it_lasts
    a_link_opens_its_delivery_and_nothing_else
    areas_are_for_staff_and_grants_can_be_taken_back
    a_link_needs_a_secret_a_delivery_and_a_reasonable_time
}

fn user(id: &str, roles: &[Role], restaurants: &[&str]) -> Principal {
    Principal {
        user_id: id.parse().unwrap(),
        roles: roles.to_vec(),
        restaurant_ids: restaurants.iter().map(|id| (*id).to_owned()).collect(),
        renew_at: Clock.now(),
        expires_at: Clock.now().plus_millis(3_600_000),
        issued_at: None,
        token_id: None,
        name: None,
        info: None,
        channels: vec![],
    }
}

async fn allowed(tracking: &Tracking, who: &Principal, name: &str) -> bool {
    matches!(tracking.authorize(who, "", &channel(name)).await, Verdict::Allowed(_))
}

async fn only_those_whom_it_concerns_follow_a_delivery_and_only_while_it_lasts(world: World) {
    let tracking = world.replica().await;
    put(&tracking, delivery(DeliveryStatus::Assigned, 1, "31")).await;
    let concerned = [
        user("7", &[], &[]),
        user("31", &[], &[]),
        user("99", &[], &["12"]),
        user("1", &[Role::Admin], &[]),
        user("2", &[Role::Support], &[]),
    ];
    for who in &concerned {
        assert!(allowed(&tracking, who, "track:9").await, "{}", who.user_id);
    }
    for who in [user("8", &[], &[]), user("32", &[Role::Delivery], &[]), user("98", &[], &["13"])] {
        assert!(!allowed(&tracking, &who, "track:9").await, "{}", who.user_id);
    }
    put(&tracking, delivery(DeliveryStatus::Assigned, 2, "32")).await;
    assert!(!allowed(&tracking, &user("31", &[], &[]), "track:9").await, "the rider who had it");
    put(&tracking, delivery(DeliveryStatus::Delivered, 3, "32")).await;
    for who in &concerned {
        let verdict = tracking.authorize(who, "", &channel("track:9")).await;
        let Verdict::Denied(why) = verdict else { panic!("{}: {verdict:?}", who.user_id) };
        assert!(why.contains("ended"), "{why}");
    }
    assert!(!allowed(&tracking, &user("7", &[], &[]), "track:404").await);
}

fn share(id: &str) -> v1::ShareDeliveryRequest {
    v1::ShareDeliveryRequest { delivery_id: id.into(), valid_for: None }
}

async fn a_link_opens_its_delivery_and_nothing_else(world: World) {
    let tracking = world.replica().await;
    put(&tracking, delivery(DeliveryStatus::Assigned, 1, "31")).await;
    let other = v1::Delivery { delivery_id: "10".into(), ..delivery(DeliveryStatus::Assigned, 1, "31") };
    put(&tracking, other).await;
    let link = tracking.share_delivery(share("9")).await.unwrap();
    assert_eq!(link.path, format!("/ws/track/9?token={}", link.token));
    assert_eq!(link.token.split('.').count(), 3);
    let bearer = user("share:9", &[], &[]);
    assert!(allowed(&tracking, &bearer, "track:9").await);
    for name in ["track:10", "track:404", "rider:31", "area:u33db"] {
        assert!(!allowed(&tracking, &bearer, name).await, "{name}");
    }
    put(&tracking, delivery(DeliveryStatus::Cancelled, 2, "31")).await;
    assert!(!allowed(&tracking, &bearer, "track:9").await);
    assert_eq!(
        tracking.share_delivery(share("9")).await.unwrap_err().code(),
        tonic::Code::FailedPrecondition
    );
}

async fn a_link_needs_a_secret_a_delivery_and_a_reasonable_time(world: World) {
    let tracking = world.replica_sharing(&settings()).await;
    put(&tracking, delivery(DeliveryStatus::Assigned, 1, "31")).await;
    let refused = tracking.share_delivery(share("9")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert!(refused.message().contains("REALTIME_SHARE_SECRET"), "{refused}");
    let tracking = world.replica().await;
    assert_eq!(tracking.share_delivery(share("404")).await.unwrap_err().code(), tonic::Code::NotFound);
    for seconds in [-1, 0, 86_401] {
        let valid_for = Some(prost_types::Duration { seconds, nanos: 0 });
        let request = v1::ShareDeliveryRequest { valid_for, ..share("9") };
        assert_eq!(tracking.share_delivery(request).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}

async fn areas_are_for_staff_and_grants_can_be_taken_back(world: World) {
    let tracking = world.replica().await;
    let (staff, rider) = (user("1", &[Role::Admin], &[]), user("31", &[Role::Delivery], &[]));
    assert!(allowed(&tracking, &staff, "area:u33db").await);
    assert!(!allowed(&tracking, &rider, "area:u33db").await);
    assert!(allowed(&tracking, &rider, "rider:31").await && !allowed(&tracking, &staff, "rider:31").await);
    let area = channel("area:u33db");
    tracking.grant("31", &area, None).await.unwrap();
    assert!(allowed(&tracking, &rider, "area:u33db").await);
    assert!(tracking.revoke("31", &area).await.unwrap());
    assert!(!tracking.revoke("31", &area).await.unwrap());
    assert!(!allowed(&tracking, &rider, "area:u33db").await);
    let news = world.told("sessions").await;
    assert_eq!(data(&news[0]), json!({"user_id": "31", "channel": "area:u33db"}));
    let refused = tracking.grant("8", &channel("rider:31"), None).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}
