//! Deliveries, job offers, links and trails: with real sockets, real processes, and processes that are killed.

use std::time::Duration;

use platepal_proto::v1::{self, DeliveryStatus, OfferStatus, Outcome, get_trail_request::Of};
use platepal_service::Clock;
use platepal_testkit::{Clients, Connect, Role, Shape, Socket, Tier, eventually};
use serde_json::{Value, json};

use crate::{both_shapes, centrifuge::Client, publishing::new_id};

const FORBIDDEN: u16 = 4003;
const SHARE_SECRET: &str = "a-secret-for-links-of-tests-and-of-nothing-else";

/// Delivery of customer 7 from restaurant 12 as Django puts it.
fn delivery(id: &str, status: DeliveryStatus, version: u64, rider: &str) -> v1::Delivery {
    v1::Delivery {
        delivery_id: id.into(),
        order_id: "5012".into(),
        status: status.into(),
        customer_id: "7".into(),
        restaurant_id: "12".into(),
        rider_id: rider.into(),
        pickup: Some(v1::Place { latitude: 52.52, longitude: 13.40 }),
        dropoff: Some(v1::Place { latitude: 52.53, longitude: 13.42 }),
        version,
        payload: json!({"id": 9, "note": "ring twice"}).to_string().into(),
        ..Default::default()
    }
}

async fn put(clients: &Clients, delivery: v1::Delivery) -> v1::PutDeliveryResponse {
    let request =
        v1::PutDeliveryRequest { event_id: new_id(), delivery: Some(delivery), channels: Vec::new() };
    clients.tracking().put_delivery(request).await.unwrap().into_inner()
}

async fn offer(clients: &Clients, id: &str, rider: &str) -> v1::Offer {
    let offer = v1::Offer {
        offer_id: id.into(),
        delivery_id: "9".into(),
        rider_id: rider.into(),
        ..Default::default()
    };
    let made = clients.tracking().offer_job(v1::OfferJobRequest { offer: Some(offer) }).await.unwrap();
    made.into_inner().offer.unwrap()
}

async fn settle(clients: &Clients, id: &str, status: OfferStatus) -> v1::SettleOfferResponse {
    let request = v1::SettleOfferRequest { offer_id: id.into(), status: status.into(), ..Default::default() };
    clients.tracking().settle_offer(request).await.unwrap().into_inner()
}

async fn share(clients: &Clients, id: &str, valid_for: Option<Duration>) -> v1::ShareDeliveryResponse {
    let valid_for = valid_for.map(|time| time.try_into().unwrap());
    let request = v1::ShareDeliveryRequest { delivery_id: id.into(), valid_for };
    clients.tracking().share_delivery(request).await.unwrap().into_inner()
}

/// Opens a path as whoever has a link: its token and nothing else.
async fn open_by(tier: &Tier, path: &str, token: &str) -> Socket {
    Connect::to(format!("{}?token={token}", tier.socket_url(path))).open().await
}

fn payload(frame: &Value) -> &Value {
    &frame["data"]["payload"]
}

both_shapes! {
    async fn a_delivery_reaches_customer_restaurant_and_rider_and_nobody_else(tier: Tier) {
        let clients = tier.grpc();
        let mut sockets = [
            tier.connect("/ws/customer/7", &tier.token(7)).open().await,
            tier.connect("/ws/orders/12", &tier.token(3).restaurants([12])).open().await,
            tier.connect("/ws/delivery/31", &tier.token(31)).open().await,
        ];
        let mut another = tier.connect("/ws/customer/8", &tier.token(8)).open().await;
        assert_eq!(put(&clients, delivery("9", DeliveryStatus::Assigned, 1, "31")).await.outcome(), Outcome::Published);
        assert_eq!(put(&clients, delivery("9", DeliveryStatus::Accepted, 2, "31")).await.outcome(), Outcome::Published);
        assert_eq!(put(&clients, delivery("9", DeliveryStatus::Assigned, 1, "31")).await.outcome(), Outcome::Superseded);
        for socket in &mut sockets {
            let assigned = socket.json().await;
            assert_eq!(assigned["type"], "delivery_assigned", "{assigned}");
            assert_eq!((&payload(&assigned)["note"], &payload(&assigned)["rider_id"]), (&json!("ring twice"), &json!(31)));
            let changed = socket.json().await;
            assert_eq!(changed["type"], "delivery_status_changed", "{changed}");
            assert_eq!(
                (&payload(&changed)["status"], &payload(&changed)["previous_status"]),
                (&json!("ACCEPTED"), &json!("ASSIGNED"))
            );
        }
        another.assert_quiet(Duration::from_millis(100)).await;
    }
}

both_shapes! {
    async fn of_two_riders_who_accept_at_once_one_gets_it_and_the_other_is_told(tier: Tier) {
        let clients = tier.grpc();
        put(&clients, delivery("9", DeliveryStatus::Pending, 1, "")).await;
        let mut riders = Vec::new();
        for rider in [31u64, 32] {
            let mut socket = tier.connect(&format!("/ws/delivery/{rider}"), &tier.token(rider)).open().await;
            offer(&clients, &format!("o{rider}"), &rider.to_string()).await;
            let told = socket.json_of_type("job_offer").await;
            assert_eq!(payload(&told)["offer_id"], format!("o{rider}"), "{told}");
            riders.push((Client::connect(&tier, Role::EDGE, &tier.token(rider)).await, socket));
        }
        let accept = async |client: &mut Client, id: &str| {
            client.ask("rpc", json!({"method": "tracking.accept_offer", "data": {"offer_id": id}})).await
        };
        let [(first, first_feed), (second, second_feed)] = &mut riders[..] else { panic!("two riders") };
        // Nobody answers for somebody else.
        assert_eq!(accept(first, "o32").await["error"]["code"], 103);
        let (a, b) = tokio::join!(accept(first, "o31"), accept(second, "o32"));
        let settled = |reply: &Value| reply["rpc"]["data"]["settled"] == true;
        assert!(settled(&a) != settled(&b), "{a} {b}");
        let (winner, loser, lost) =
            if settled(&a) { (first_feed, second_feed, &b) } else { (second_feed, first_feed, &a) };
        assert_eq!(lost["rpc"]["data"]["status"], "CANCELLED", "{lost}");
        winner.json_of_type("offer_accepted").await;
        loser.json_of_type("offer_cancelled").await;
    }
}

async fn an_offer_expires_after_its_process_was_killed(shape: Shape) {
    let mut tier =
        Tier::builder(crate::BINARY).shape(shape).set("REALTIME_TRACKING_OFFER_TIME", "2s").start().await;
    let clients = tier.grpc();
    put(&clients, delivery("9", DeliveryStatus::Pending, 1, "")).await;
    offer(&clients, "o1", "31").await;
    tier.kill(Role::TRACKING);
    tier.start(Role::TRACKING).await;
    let path = format!("/ws/delivery/31?since_event_id={}", new_id());
    let mut rider = tier.connect(&path, &tier.token(31)).open().await;
    let expired = rider.json_of_type("offer_expired").await;
    assert_eq!(payload(&expired)["status"], "EXPIRED", "{expired}");
    // Once.
    rider.assert_quiet(Duration::from_millis(1500)).await;
    let late = settle(&tier.grpc(), "o1", OfferStatus::Accepted).await;
    assert_eq!((late.settled, late.offer.unwrap().status()), (false, OfferStatus::Expired));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_expires_after_the_tier_was_killed() {
    an_offer_expires_after_its_process_was_killed(Shape::AllInOne).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_expires_after_the_tracking_process_was_killed() {
    an_offer_expires_after_its_process_was_killed(Shape::Split).await;
}

both_shapes! {
    async fn five_offers_in_vain_are_told_to_admin_once(tier: Tier) {
        let clients = tier.grpc();
        put(&clients, delivery("9", DeliveryStatus::Pending, 1, "")).await;
        let mut admin = tier.connect("/ws/admin", &tier.token(1).role("ADMIN")).open().await;
        for n in 1..=7 {
            offer(&clients, &format!("o{n}"), "31").await;
            assert!(settle(&clients, &format!("o{n}"), OfferStatus::Declined).await.settled);
        }
        let escalation = admin.json_of_type("delivery_escalation").await;
        assert_eq!(payload(&escalation)["total_offers_sent"], 5, "{escalation}");
        for _ in 6..=7 {
            assert_eq!(admin.json().await["type"], "offer_declined");
        }
        admin.assert_quiet(Duration::from_millis(200)).await;
    }
}

async fn a_link(shape: Shape) {
    let tier =
        Tier::builder(crate::BINARY).shape(shape).set("REALTIME_SHARE_SECRET", SHARE_SECRET).start().await;
    let clients = tier.grpc();
    for id in ["9", "10"] {
        put(&clients, delivery(id, DeliveryStatus::Accepted, 1, "31")).await;
    }
    let link = share(&clients, "9", None).await;
    let (path, token) = link.path.split_once("?token=").unwrap();
    assert_eq!((path, token), ("/ws/track/9", link.token.as_str()));
    let mut follower = open_by(&tier, "/ws/track/9", token).await;
    let mut customer = tier.connect("/ws/track/9", &tier.token(7)).open().await;
    for path in ["/ws/track/10", "/ws/customer/7", "/ws/delivery/31", "/ws/orders/12", "/ws/admin"] {
        let mut refused = open_by(&tier, path, token).await;
        assert_eq!(refused.closed().await.0, FORBIDDEN, "{path}");
    }
    let mut another = tier.connect("/ws/track/9", &tier.token(8)).open().await;
    assert_eq!(another.closed().await.0, FORBIDDEN);
    put(&clients, delivery("9", DeliveryStatus::PickedUp, 2, "31")).await;
    for socket in [&mut follower, &mut customer] {
        let changed = socket.json_of_type("delivery_status_changed").await;
        assert_eq!(payload(&changed)["status"], "PICKED_UP");
        assert_eq!(payload(&changed)["note"], Value::Null, "nothing of Django's object");
    }
    // The last thing that it says is that it has ended.
    let end = v1::EndDeliveryRequest {
        event_id: new_id(),
        delivery_id: "9".into(),
        status: DeliveryStatus::Delivered.into(),
        occurred_at: None,
    };
    clients.tracking().end_delivery(end).await.unwrap();
    for socket in [&mut follower, &mut customer] {
        let changed = socket.json_of_type("delivery_status_changed").await;
        assert_eq!(payload(&changed)["status"], "DELIVERED");
        assert_eq!(socket.closed().await.0, FORBIDDEN);
    }
    assert_eq!(open_by(&tier, "/ws/track/9", token).await.closed().await.0, FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_shows_one_delivery_until_it_ends_in_one_process() {
    Box::pin(a_link(Shape::AllInOne)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_shows_one_delivery_until_it_ends_in_many_processes() {
    Box::pin(a_link(Shape::Split)).await;
}

both_shapes! {
    async fn without_its_secret_no_link_is_signed(tier: Tier) {
        let clients = tier.grpc();
        put(&clients, delivery("9", DeliveryStatus::Accepted, 1, "31")).await;
        let request = v1::ShareDeliveryRequest { delivery_id: "9".into(), valid_for: None };
        let refused = clients.tracking().share_delivery(request).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        assert!(refused.message().contains("REALTIME_SHARE_SECRET"), "{refused}");
    }
}

/// A way of some 3 km by fixes that are 5 s and some 55 m apart, ending now.
fn fixes(count: i32) -> Vec<v1::Fix> {
    let now = Clock.now();
    let fix = |n: i32| v1::Fix {
        latitude: 52.52 + f64::from(n) * 0.0005,
        // A bend, so that there is something to keep.
        longitude: 13.40 + f64::from((n % 20).min(20 - n % 20)) * 0.0003,
        accuracy: 5.0,
        recorded_at: Some(now.plus_millis(i64::from(n - count) * 5_000).into()),
        ..Default::default()
    };
    (0..count).map(fix).collect()
}

both_shapes! {
    async fn a_trail_is_read_played_and_deleted(tier: Tier) {
        let clients = tier.grpc();
        let started = Clock.now().plus_millis(-3_600_000);
        let start = v1::StartShiftRequest { rider_id: "31".into(), at: Some(started.into()) };
        clients.tracking().start_shift(start).await.unwrap();
        let put_at = v1::Delivery {
            occurred_at: Some(started.into()),
            ..delivery("9", DeliveryStatus::PickedUp, 1, "31")
        };
        put(&clients, put_at).await;
        let report = v1::ReportFixesRequest { rider_id: "31".into(), fixes: fixes(120) };
        let answers = clients.tracking().report_fixes(report).await.unwrap().into_inner().answers;
        assert_eq!(answers.len(), 120);
        let of_delivery = v1::GetTrailRequest { of: Some(Of::DeliveryId("9".into())), from: None, to: None };
        eventually("the trail can be read", || {
            let (clients, request) = (clients.clone(), of_delivery.clone());
            async move {
                let trail = clients.tracking().get_trail(request).await.unwrap().into_inner();
                trail.points.len() > 5 && trail.metres > 1_000.0 && !trail.polyline.is_empty()
            }
        })
        .await;
        let replay = v1::ReplayTrailRequest { trail: Some(of_delivery.clone()), pace: 0.0 };
        let mut played = clients.tracking().replay_trail(replay).await.unwrap().into_inner();
        let mut points = 0;
        while let Some(point) = played.message().await.unwrap() {
            assert!(point.point.is_some());
            points += 1;
        }
        assert!(points > 5, "{points}");
        let end = v1::EndShiftRequest { rider_id: "31".into(), at: None };
        clients.tracking().end_shift(end).await.unwrap();
        // Nothing is left of where the shift ended; some 55 m lie between two fixes.
        let trail = clients.tracking().get_trail(of_delivery.clone()).await.unwrap().into_inner();
        let last_of_all = fixes(120).last().unwrap().latitude;
        let latitudes = trail.points.iter().map(|point| point.place.as_ref().unwrap().latitude);
        let last = latitudes.fold(f64::MIN, f64::max);
        assert!(trail.points.len() > 3 && (last_of_all - last) * 111_000.0 > 140.0, "{last} of {last_of_all}");
        let erase = v1::DeleteRiderRequest { rider_id: "31".into() };
        assert!(clients.tracking().delete_rider(erase).await.unwrap().into_inner().points > 0);
        let trail = clients.tracking().get_trail(of_delivery).await.unwrap().into_inner();
        assert!(trail.points.is_empty());
        let read = v1::GetDeliveryRequest { delivery_id: "9".into() };
        clients.tracking().get_delivery(read).await.expect("deliveries stay");
    }
}
