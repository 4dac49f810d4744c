//! Riders who drive: their fixes, who sees them, arrivals, and replicas that are killed under them.

use std::time::Duration;

use platepal_proto::v1::{self, DeliveryStatus, FixOutcome};
use platepal_service::Clock;
use platepal_testkit::{Clients, Role, Shape, Socket, Tier, eventually};
use serde_json::{Value, json};

use crate::{both_shapes, centrifuge::Client, publishing::new_id};

/// The restaurant, and a customer 1.1 km to the north of it.
const PICKUP: v1::Place = v1::Place { latitude: 60.170, longitude: 24.940 };
const DROPOFF: v1::Place = v1::Place { latitude: 60.180, longitude: 24.940 };
/// Metres of a degree of latitude.
const DEGREE_M: f64 = 111_195.0;

pub(crate) fn delivery(id: &str, status: DeliveryStatus, version: u64) -> v1::Delivery {
    v1::Delivery {
        delivery_id: id.into(),
        order_id: "5012".into(),
        status: status.into(),
        customer_id: "7".into(),
        restaurant_id: "12".into(),
        rider_id: "31".into(),
        pickup: Some(PICKUP),
        dropoff: Some(DROPOFF),
        version,
        ..Default::default()
    }
}

async fn put(clients: &Clients, delivery: v1::Delivery) {
    let request =
        v1::PutDeliveryRequest { event_id: new_id(), delivery: Some(delivery), channels: Vec::new() };
    clients.tracking().put_delivery(request).await.unwrap();
}

/// A fix so many metres south of the restaurant, recorded so many seconds ago.
fn fix(metres_south: f64, seconds_ago: f64) -> v1::Fix {
    let at = Clock.now().plus_millis(-(seconds_ago * 1e3) as i64);
    v1::Fix {
        latitude: PICKUP.latitude - metres_south / DEGREE_M,
        longitude: PICKUP.longitude,
        accuracy: 5.0,
        heading: Some(0.0),
        speed: Some(8.0),
        battery_level: Some(80.0),
        recorded_at: Some(at.into()),
    }
}

async fn report(clients: &Clients, fixes: Vec<v1::Fix>) -> Vec<(FixOutcome, String)> {
    let request = v1::ReportFixesRequest { rider_id: "31".into(), fixes };
    let answers = clients.tracking().report_fixes(request).await.unwrap().into_inner().answers;
    answers.iter().map(|answer| (answer.outcome(), answer.reason.clone())).collect()
}

/// A shift that began a quarter of an hour ago.
async fn start_shift(clients: &Clients) {
    let at = Some(Clock.now().plus_millis(-900_000).into());
    clients.tracking().start_shift(v1::StartShiftRequest { rider_id: "31".into(), at }).await.unwrap();
}

fn payload(frame: &Value) -> &Value {
    &frame["data"]["payload"]
}

async fn location(socket: &mut Socket) -> Value {
    payload(&socket.json_of_type("rider_location").await).clone()
}

both_shapes! {
    async fn a_customer_sees_the_rider_of_the_own_delivery_and_nobody_else_does(tier: Tier) {
        let clients = tier.grpc();
        let mut customer = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
        let mut restaurant = tier.connect("/ws/orders/12", &tier.token(3).restaurants([12])).open().await;
        let mut another = tier.connect("/ws/customer/8", &tier.token(8)).open().await;
        start_shift(&clients).await;
        put(&clients, delivery("9", DeliveryStatus::Accepted, 1)).await;
        assert_eq!(report(&clients, vec![fix(600.0, 1.0)]).await, [(FixOutcome::Shown, String::new())]);

        let seen = location(&mut customer).await;
        for (key, value) in [("delivery_id", json!(9)), ("order_id", json!(5012)), ("rider_id", json!(31)), ("phase", json!("TO_PICKUP"))] {
            assert_eq!(seen[key], value, "{seen}");
        }
        let place = &seen["location"];
        assert!((place["latitude"].as_f64().unwrap() - fix(600.0, 0.0).latitude).abs() < 1e-4, "{seen}");
        for key in ["longitude", "heading", "speed", "accuracy"] {
            assert!(place[key].is_number(), "{key}: {seen}");
        }
        assert!(seen["eta_minutes"].is_number() && seen["timestamp"].is_string(), "{seen}");
        let seen = location(&mut restaurant).await;
        assert!(seen.get("location").is_none() && seen.get("rider_id").is_none(), "{seen}");
        assert!(seen["eta_minutes"].is_number(), "{seen}");
        another.assert_quiet(Duration::from_millis(200)).await;
    }
}

both_shapes! {
    async fn a_stream_of_many_riders_is_answered_in_its_order_and_ends_with_what_is_wrong(tier: Tier) {
        const RIDERS: usize = 40;
        let clients = tier.grpc();
        let at = Some(Clock.now().plus_millis(-900_000).into());
        for rider in 0..RIDERS {
            let request = v1::StartShiftRequest { rider_id: format!("s-{rider}"), at };
            clients.tracking().start_shift(request).await.unwrap();
        }
        // Each rider three times, the third as the first; then one that is on no shift; then one that can't be.
        let (first, second) = (fix(300.0, 20.0), fix(260.0, 15.0));
        let steps = [first, second, first];
        let message = |rider_id: &str, fixes| v1::ReportFixesRequest { rider_id: rider_id.into(), fixes };
        let mut messages: Vec<v1::ReportFixesRequest> = steps
            .iter()
            .flat_map(|fix| (0..RIDERS).map(|rider| message(&format!("s-{rider}"), vec![*fix])))
            .collect();
        messages.push(message("nobody", vec![fix(0.0, 1.0)]));
        messages.push(message("s-0", Vec::new()));
        let mut answers =
            clients.tracking().stream_fixes(tokio_stream::iter(messages)).await.unwrap().into_inner();
        for expected in [FixOutcome::Shown, FixOutcome::Shown, FixOutcome::Duplicate] {
            for rider in 0..RIDERS {
                let answer = answers.message().await.unwrap().unwrap();
                assert_eq!(answer.answers[0].outcome(), expected, "rider {rider}: {answer:?}");
            }
        }
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.answers[0].reason, "no_shift");
        let wrong = answers.message().await.unwrap_err();
        assert_eq!(wrong.code(), tonic::Code::InvalidArgument, "{wrong}");
    }
}

both_shapes! {
    async fn every_fix_is_answered_and_a_repeat_is_harmless(tier: Tier) {
        let clients = tier.grpc();
        assert_eq!(report(&clients, vec![fix(0.0, 0.0)]).await, [(FixOutcome::Refused, "no_shift".into())]);
        start_shift(&clients).await;
        let fixes = vec![
            fix(500.0, 20.0),
            v1::Fix { accuracy: 500.0, ..fix(490.0, 18.0) },
            v1::Fix { latitude: 91.0, ..fix(490.0, 17.0) },
            v1::Fix { latitude: f64::NAN, ..fix(490.0, 16.0) },
            fix(490.0, -600.0),
            fix(450.0, 15.0),
        ];
        let answers = report(&clients, fixes.clone()).await;
        let words: Vec<&str> = answers.iter().map(|(_, reason)| reason.as_str()).collect();
        assert_eq!(words, ["", "inaccurate", "out_of_range", "not_a_number", "in_the_future", ""]);
        let again = report(&clients, fixes).await;
        assert_eq!((again[0].0, again[5].0), (FixOutcome::Duplicate, FixOutcome::Duplicate), "{again:?}");

        let request = v1::EndShiftRequest { rider_id: "31".into(), at: None };
        clients.tracking().end_shift(request).await.unwrap();
        let at = Clock.now().plus_millis(2_000);
        let late = v1::Fix { recorded_at: Some(at.into()), ..fix(400.0, 0.0) };
        assert_eq!(report(&clients, vec![late]).await, [(FixOutcome::Refused, "no_shift".into())]);
    }
}

both_shapes! {
    async fn an_arrival_moves_the_delivery_once_and_all_three_are_told(tier: Tier) {
        let clients = tier.grpc();
        let mut sockets = [
            tier.connect("/ws/customer/7", &tier.token(7)).open().await,
            tier.connect("/ws/orders/12", &tier.token(3).restaurants([12])).open().await,
            tier.connect("/ws/delivery/31", &tier.token(31)).open().await,
        ];
        start_shift(&clients).await;
        put(&clients, delivery("9", DeliveryStatus::Accepted, 1)).await;
        for socket in &mut sockets {
            socket.json_of_type("delivery_assigned").await;
        }
        // 160 m away, and then at the door for 20 s.
        let way = [(160.0, 40.0), (80.0, 30.0), (10.0, 20.0), (8.0, 15.0), (8.0, 10.0), (9.0, 5.0), (8.0, 0.0)];
        let fixes: Vec<v1::Fix> = way
            .iter()
            .map(|(metres, ago)| v1::Fix { speed: Some(if *metres < 20.0 { 0.0 } else { 8.0 }), ..fix(*metres, *ago) })
            .collect();
        report(&clients, fixes.clone()).await;
        report(&clients, fixes).await;
        for socket in &mut sockets {
            let told = socket.json_of_type("delivery_status_changed").await;
            assert_eq!(payload(&told)["status"], "ARRIVED_AT_PICKUP", "{told}");
            assert_eq!(payload(&told)["previous_status"], "ACCEPTED", "{told}");
        }
        let read = clients.tracking().get_delivery(v1::GetDeliveryRequest { delivery_id: "9".into() }).await.unwrap();
        let read = read.into_inner();
        assert_eq!(read.delivery.unwrap().status(), DeliveryStatus::ArrivedAtPickup);
        assert!(read.arrived_at_pickup.is_some());
        let [customer, ..] = &mut sockets;
        // Nothing further of a status: what comes are positions.
        put(&clients, delivery("9", DeliveryStatus::PickedUp, 2)).await;
        let told = customer.json_of_type("delivery_status_changed").await;
        assert_eq!(payload(&told)["status"], "PICKED_UP", "{told}");
    }
}

both_shapes! {
    async fn nothing_of_the_rider_is_seen_after_the_end(tier: Tier) {
        let clients = tier.grpc();
        let mut customer = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
        start_shift(&clients).await;
        put(&clients, delivery("9", DeliveryStatus::InTransit, 1)).await;
        report(&clients, vec![fix(-500.0, 3.0)]).await;
        location(&mut customer).await;
        put(&clients, delivery("9", DeliveryStatus::Delivered, 2)).await;
        let ended = customer.json_of_type("delivery_status_changed").await;
        assert_eq!(payload(&ended)["status"], "DELIVERED");
        assert_eq!(report(&clients, vec![fix(-510.0, 0.0)]).await, [(FixOutcome::Shown, String::new())]);
        customer.assert_quiet(Duration::from_millis(1_200)).await;
        // Nor by who comes later.
        let mut late = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
        let newest = late.json_of_type("rider_location").await;
        assert!(payload(&newest)["location"].is_null(), "{newest}");
    }
}

both_shapes! {
    async fn a_riders_app_reports_by_rpc_and_by_publishing(tier: Tier) {
        start_shift(&tier.grpc()).await;
        let mut rider = Client::connect(&tier, Role::EDGE, &tier.token(31)).await;
        let now = Clock.now().to_string();
        let data = json!({"latitude": 60.17, "longitude": 24.94, "accuracy": 6, "recorded_at": now});
        let reply = rider.ask("rpc", json!({"method": "tracking.report", "data": data})).await;
        assert_eq!(reply["rpc"]["data"]["answers"][0]["outcome"], "shown", "{reply}");
        let both = json!({"fixes": [data, {"latitude": "north"}]});
        let reply = rider.ask("rpc", json!({"method": "tracking.report", "data": both})).await;
        let answers = &reply["rpc"]["data"]["answers"];
        assert_eq!(
            (&answers[0]["outcome"], &answers[1]["reason"]),
            (&json!("duplicate"), &json!("malformed")),
            "{reply}"
        );
        let reply = rider.ask("publish", json!({"channel": "rider:31", "data": {"latitude": 60.17, "longitude": 24.94}})).await;
        assert!(reply.get("error").is_none(), "{reply}");
        let reply = rider.ask("publish", json!({"channel": "rider:32", "data": {"latitude": 60.17, "longitude": 24.94}})).await;
        assert_eq!(reply["error"]["code"], 103, "{reply}");
        let reply = rider.ask("rpc", json!({"method": "tracking.where", "data": {}})).await;
        assert_eq!(reply["rpc"]["data"]["on_shift"], true, "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replica_hands_its_riders_over_and_nothing_acknowledged_is_lost() {
    const SECOND: Role = Role::Replica("tracking", 1);
    let mut tier = Tier::builder(crate::BINARY).shape(Shape::Split).replica(SECOND).start().await;
    let clients = tier.grpc();
    let second = Clients::new(&tier.grpc_url(SECOND), Some(tier.api_key()));
    // Both have a share.
    eventually("both replicas have their share", async || {
        tier.metric(Role::TRACKING, "realtime_tracking_partitions").await == 32.0
            && tier.metric(SECOND, "realtime_tracking_partitions").await == 32.0
    })
    .await;
    let riders: Vec<String> = (100..116).map(|rider| rider.to_string()).collect();
    for rider_id in &riders {
        let at = Some(Clock.now().plus_millis(-900_000).into());
        let request = v1::StartShiftRequest { rider_id: rider_id.clone(), at };
        clients.tracking().start_shift(request).await.unwrap();
    }
    // Each rider drives north, a fix a second of the last minutes; every call is answered by the second replica,
    // whoever follows the rider.
    let step = async |clients: &Clients, rider_id: &String, number: u32| {
        let seconds_ago = f64::from(300 - number);
        let fixes = vec![fix(3_000.0 - f64::from(number) * 8.0, seconds_ago)];
        let request = v1::ReportFixesRequest { rider_id: rider_id.clone(), fixes };
        clients.tracking().report_fixes(request).await
    };
    for number in 0..20 {
        for rider_id in &riders {
            let answer = step(&second, rider_id, number).await.unwrap().into_inner().answers;
            assert_eq!(answer[0].outcome(), FixOutcome::Shown, "{rider_id} {number} {answer:?}");
        }
    }
    let first_had = tier.metric(Role::TRACKING, "realtime_tracking_riders").await;
    assert!(first_had > 0.0 && first_had < riders.len() as f64, "{first_had}");
    tier.kill(Role::TRACKING);
    let began = std::time::Instant::now();
    for number in 20..30 {
        for rider_id in &riders {
            let answer = loop {
                match step(&second, rider_id, number).await {
                    Ok(answer) => break answer.into_inner().answers,
                    Err(why) => assert!(began.elapsed() < Duration::from_secs(10), "{why}"),
                }
            };
            // Rebuilt from what was acknowledged: the next fix of the same way is no surprise.
            assert_eq!(answer[0].outcome(), FixOutcome::Shown, "{rider_id} {number} {answer:?}");
        }
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // And none of those that were acknowledged is new.
    for rider_id in &riders {
        let request = v1::ReportFixesRequest { rider_id: rider_id.clone(), fixes: Vec::new() };
        assert!(second.tracking().report_fixes(request).await.is_err(), "an empty call is refused");
        let request = v1::GetRiderRequest { rider_id: rider_id.clone() };
        let rider = second.tracking().get_rider(request).await.unwrap().into_inner();
        let place = rider.place.unwrap();
        let expected = fix(3_000.0 - 29.0 * 8.0, 0.0).latitude;
        assert!((place.latitude - expected).abs() < 10.0 / DEGREE_M, "{place:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_known_after_the_tier_was_killed() {
    let mut tier = Tier::all_in_one(crate::BINARY).await;
    let clients = tier.grpc();
    start_shift(&clients).await;
    let fixes: Vec<v1::Fix> =
        (0..10).map(|number| fix(900.0 - f64::from(number) * 40.0, f64::from(60 - number * 5))).collect();
    report(&clients, fixes.clone()).await;
    tier.kill(Role::TRACKING);
    tier.start(Role::TRACKING).await;
    let again = report(&tier.grpc(), fixes).await;
    assert!(again.iter().all(|(outcome, _)| *outcome == FixOutcome::Duplicate), "{again:?}");
}
