//! A job offer is settled once, whoever settles it, and by its time if nobody does.

use platepal_auth::Principal;
use platepal_events::Timestamp;
use platepal_proto::v1::{DeliveryStatus, OfferStatus};
use platepal_service::domain::{Domain, Sender};
use platepal_testkit::{rng, seed};
use rand::Rng;
use tokio::task::JoinSet;

use super::*;
use platepal_service::worker::fire_due;

on_both! {
    an_offer_is_told_to_its_rider_with_its_end
    of_many_who_settle_at_once_one_wins_and_all_learn_how
    accepting_one_cancels_the_others_and_nobody_else_can_be_offered
    an_offer_expires_once_with_two_workers_and_five_escalate_once
    whoever_answers_too_late_finds_it_expired
    only_the_rider_whom_it_was_made_to_can_answer
    a_delivery_that_gets_a_rider_or_ends_cancels_what_is_open
    a_rider_who_gives_it_back_makes_it_free_again
    what_can_not_be_offered_says_why
    any_course_of_offers_ends_with_one_rider_at_most
}

fn offer(id: &str, rider: &str) -> v1::Offer {
    v1::Offer {
        offer_id: id.into(),
        delivery_id: "9".into(),
        rider_id: rider.into(),
        payload: json!({"id": id, "fee": "4.50"}).to_string().into(),
        ..Default::default()
    }
}

async fn make(tracking: &Tracking, offer: v1::Offer) -> v1::OfferJobResponse {
    tracking.offer_job(v1::OfferJobRequest { offer: Some(offer) }).await.unwrap()
}

async fn settle(tracking: &Tracking, id: &str, status: OfferStatus) -> v1::SettleOfferResponse {
    let request =
        v1::SettleOfferRequest { offer_id: id.into(), status: status.into(), reason: "too far".into() };
    tracking.settle_offer(request).await.unwrap()
}

async fn pending(world: &World) -> Tracking {
    let tracking = world.replica().await;
    put(&tracking, delivery(DeliveryStatus::Pending, 1, "")).await;
    tracking
}

async fn an_offer_is_told_to_its_rider_with_its_end(world: World) {
    let tracking = pending(&world).await;
    let made = make(&tracking, offer("o1", "31")).await;
    assert!(!made.already);
    let kept = made.offer.unwrap();
    assert_eq!((kept.attempt, kept.status()), (1, OfferStatus::Offered));
    assert!(make(&tracking, offer("o1", "31")).await.already);
    let told = world.payloads("rider:31", "job_offer").await;
    assert_eq!(told.len(), 1);
    let expires_at = Timestamp::try_from(kept.expires_at.unwrap()).unwrap();
    assert_eq!((&told[0]["fee"], &told[0]["expires_at"]), (&json!("4.50"), &json!(expires_at.to_string())));
    assert_eq!((&told[0]["delivery_id"], &told[0]["order_id"]), (&json!(9), &json!(5012)));
    let other = tracking.offer_job(v1::OfferJobRequest { offer: Some(offer("o1", "32")) }).await;
    assert_eq!(other.unwrap_err().code(), tonic::Code::AlreadyExists);
    let declined = settle(&tracking, "o1", OfferStatus::Declined).await;
    assert!(declined.settled && settle(&tracking, "o1", OfferStatus::Declined).await.settled, "a repeat");
    for name in ["rider:31", "admin"] {
        let told = world.payloads(name, "offer.declined").await;
        assert_eq!((told.len(), &told[0]["reason"]), (1, &json!("too far")), "{name}");
    }
}

async fn of_many_who_settle_at_once_one_wins_and_all_learn_how(world: World) {
    let two = [pending(&world).await, world.replica().await];
    for round in 0..5 {
        let id = format!("o{round}");
        make(&two[0], offer(&id, "31")).await;
        let ways = [OfferStatus::Declined, OfferStatus::Cancelled];
        let mut calls = JoinSet::new();
        for n in 0..8usize {
            let (tracking, id) = (two[n % 2].clone(), id.clone());
            calls.spawn(async move { (ways[n % 2], settle(&tracking, &id, ways[n % 2]).await) });
        }
        let answers = calls.join_all().await;
        let how = answers[0].1.offer.clone().unwrap().status();
        for (wanted, answer) in answers {
            assert_eq!(answer.offer.unwrap().status(), how);
            assert_eq!(answer.settled, wanted == how);
        }
        let told = world.payloads("rider:31", "offer.declined").await.len()
            + world.payloads("rider:31", "offer.cancelled").await.len();
        assert_eq!(told, round + 1);
    }
}

async fn accepting_one_cancels_the_others_and_nobody_else_can_be_offered(world: World) {
    let two = [pending(&world).await, world.replica().await];
    for rider in 31..=34 {
        make(&two[0], offer(&format!("o{rider}"), &rider.to_string())).await;
    }
    let mut calls = JoinSet::new();
    for rider in 31..=34usize {
        let tracking = two[rider % 2].clone();
        calls.spawn(async move { settle(&tracking, &format!("o{rider}"), OfferStatus::Accepted).await });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.settled).count(), 1);
    let cancelled =
        |answer: &v1::SettleOfferResponse| answer.offer.clone().unwrap().status() == OfferStatus::Cancelled;
    assert_eq!(answers.iter().filter(|answer| cancelled(answer)).count(), 3);
    assert_eq!(world.payloads("admin", "offer.accepted").await.len(), 1);
    assert_eq!(world.payloads("admin", "offer.cancelled").await.len(), 3);
    assert_eq!(two[0].store.timers.next().await.unwrap(), None);
    let refused = two[0].offer_job(v1::OfferJobRequest { offer: Some(offer("o9", "35")) }).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    // It assigns nothing by itself.
    let read = two[0].get_delivery(v1::GetDeliveryRequest { delivery_id: "9".into() }).await.unwrap();
    assert_eq!(read.delivery.unwrap().rider_id, "");
}

async fn an_offer_expires_once_with_two_workers_and_five_escalate_once(world: World) {
    let two = [pending(&world).await, world.replica().await];
    let settings = settings::<Settings>();
    for n in 1..=6 {
        make(&two[0], offer(&format!("o{n}"), "31")).await;
        let now = Clock.now().plus_millis(61_000);
        let (a, b) = tokio::join!(
            fire_due(&two[0].store, settings.chunk, now),
            fire_due(&two[1].store, settings.chunk, now)
        );
        assert_eq!(a.unwrap() + b.unwrap(), 1);
        assert_eq!(world.payloads("rider:31", "offer.expired").await.len(), n);
        assert_eq!(world.payloads("admin", "delivery.escalation").await.len(), usize::from(n >= 5));
    }
    let told = &world.payloads("admin", "delivery.escalation").await[0];
    assert_eq!((&told["reason"], &told["total_offers_sent"]), (&json!("no_rider_accepted"), &json!(5)));
    assert_eq!(two[0].store.timers.next().await.unwrap(), None);
}

async fn whoever_answers_too_late_finds_it_expired(world: World) {
    let tracking = pending(&world).await;
    make(&tracking, offer("o1", "31")).await;
    let late = Clock.now().plus_millis(61_000);
    let wanted = crate::rules::offer::OfferStatus::Accepted;
    let settled = tracking.store.settle("o1", wanted, "", late).await.unwrap().unwrap();
    assert!(!settled.as_asked);
    assert_eq!(settled.offer.status, crate::rules::offer::OfferStatus::Expired);
    assert_eq!(
        fire_due(&tracking.store, settings::<Settings>().chunk, late).await.unwrap(),
        0,
        "its timer is gone"
    );
}

fn rider(id: &str) -> Sender {
    let principal = Principal {
        user_id: id.parse().unwrap(),
        roles: vec![],
        restaurant_ids: vec![],
        renew_at: Clock.now(),
        expires_at: Clock.now().plus_millis(3_600_000),
        issued_at: None,
        token_id: None,
        name: None,
        info: None,
        channels: vec![],
    };
    Sender { principal, token: String::new(), client_id: "c".into(), channel: None }
}

async fn only_the_rider_whom_it_was_made_to_can_answer(world: World) {
    let tracking = pending(&world).await;
    make(&tracking, offer("41", "31")).await;
    let accept = async |who: &str, data: &str| {
        tracking.call(&rider(who), "accept_offer", data.to_owned().into()).await
    };
    for (who, data) in [("32", r#"{"offer_id": 41}"#), ("31", r#"{"offer_id": "no-such"}"#)] {
        let refused = accept(who, data).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{who}");
    }
    for data in ["", "[]", r#"{"offer_id": null}"#, r#"{"offer_id": "a b"}"#] {
        assert_eq!(accept("31", data).await.unwrap_err().code(), tonic::Code::InvalidArgument, "{data}");
    }
    let answer: Value = serde_json::from_slice(&accept("31", r#"{"offer_id": 41}"#).await.unwrap()).unwrap();
    assert_eq!((&answer["status"], &answer["settled"]), (&json!("ACCEPTED"), &json!(true)));
    let declined = tracking.call(&rider("31"), "decline_offer", r#"{"offer_id": 41}"#.into()).await.unwrap();
    let answer: Value = serde_json::from_slice(&declined).unwrap();
    assert_eq!((&answer["status"], &answer["settled"]), (&json!("ACCEPTED"), &json!(false)));
}

async fn a_delivery_that_gets_a_rider_or_ends_cancels_what_is_open(world: World) {
    let tracking = pending(&world).await;
    make(&tracking, offer("o1", "31")).await;
    put(&tracking, delivery(DeliveryStatus::Assigned, 2, "32")).await;
    let told = world.payloads("rider:31", "offer.cancelled").await;
    assert_eq!((told.len(), &told[0]["reason"]), (1, &json!("it has a rider")));
    let answer = settle(&tracking, "o1", OfferStatus::Accepted).await;
    assert!(!answer.settled);
    put(&tracking, delivery(DeliveryStatus::Pending, 3, "")).await;
    make(&tracking, offer("o2", "31")).await;
    put(&tracking, delivery(DeliveryStatus::Cancelled, 4, "")).await;
    assert_eq!(world.payloads("rider:31", "offer.cancelled").await.len(), 2);
}

async fn a_rider_who_gives_it_back_makes_it_free_again(world: World) {
    let tracking = pending(&world).await;
    make(&tracking, offer("o1", "31")).await;
    assert!(settle(&tracking, "o1", OfferStatus::Accepted).await.settled);
    put(&tracking, delivery(DeliveryStatus::Assigned, 2, "31")).await;
    put(&tracking, delivery(DeliveryStatus::Rejected, 3, "")).await;
    assert_eq!(make(&tracking, offer("o2", "32")).await.offer.unwrap().attempt, 2);
}

async fn what_can_not_be_offered_says_why(world: World) {
    let tracking = pending(&world).await;
    let code = async |offer: v1::Offer| {
        tracking.offer_job(v1::OfferJobRequest { offer: Some(offer) }).await.unwrap_err().code()
    };
    let past = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let unknown = v1::Offer { delivery_id: "404".into(), ..offer("a", "31") };
    assert_eq!(code(unknown).await, tonic::Code::FailedPrecondition);
    for wrong in [
        v1::Offer { expires_at: past, ..offer("a", "31") },
        v1::Offer { rider_id: String::new(), ..offer("a", "31") },
        v1::Offer { offer_id: "a b".into(), ..offer("a", "31") },
        v1::Offer { payload: "[]".into(), ..offer("a", "31") },
    ] {
        assert_eq!(code(wrong).await, tonic::Code::InvalidArgument);
    }
    for status in [OfferStatus::Unspecified, OfferStatus::Offered, OfferStatus::Expired] {
        let request =
            v1::SettleOfferRequest { offer_id: "a".into(), status: status.into(), ..Default::default() };
        assert_eq!(tracking.settle_offer(request).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    }
    let get = v1::GetOfferRequest { offer_id: "none".into() };
    assert_eq!(tracking.get_offer(get).await.unwrap_err().code(), tonic::Code::NotFound);
}

async fn any_course_of_offers_ends_with_one_rider_at_most(world: World) {
    let seed = seed();
    let mut random = rng(seed);
    let two = [pending(&world).await, world.replica().await];
    for round in 0..6 {
        let mut calls = JoinSet::new();
        let count = random.random_range(2..6usize);
        for n in 0..count {
            make(&two[0], offer(&format!("r{round}-{n}"), &(30 + n).to_string())).await;
        }
        for call in 0..12 {
            let tracking = two[call % 2].clone();
            let id = format!("r{round}-{}", random.random_range(0..count));
            let status = [OfferStatus::Accepted, OfferStatus::Declined, OfferStatus::Cancelled]
                [random.random_range(0..3)];
            calls.spawn(async move { settle(&tracking, &id, status).await });
        }
        calls.join_all().await;
        let mut accepted = 0;
        for n in 0..count {
            let get = v1::GetOfferRequest { offer_id: format!("r{round}-{n}") };
            let offer = two[0].get_offer(get).await.unwrap().offer.unwrap();
            accepted += usize::from(offer.status() == OfferStatus::Accepted);
        }
        assert!(accepted <= 1, "{accepted} riders accepted in round {round}, seed {seed}");
        assert_eq!(
            accepted == 1,
            two[1].store.delivery("9").await.unwrap().unwrap().delivery.taken().is_some(),
            "round {round}, seed {seed}"
        );
        // Whoever took it gives it back; what is open goes with it, as Django withdraws it.
        for n in 0..count {
            settle(&two[0], &format!("r{round}-{n}"), OfferStatus::Cancelled).await;
        }
        put(&two[0], delivery(DeliveryStatus::Rejected, 10 + round, "")).await;
    }
    let mut told = 0;
    for kind in ["offer.accepted", "offer.declined", "offer.cancelled"] {
        told += world.payloads("admin", kind).await.len();
    }
    let mut made = 0;
    for rider in 30..36 {
        made += world.payloads(&format!("rider:{rider}"), "job_offer").await.len();
    }
    assert_eq!(told, made, "each offer is told to be settled once, seed {seed}");
}
