//! Shifts, and the ways that were driven during them.

use platepal_events::Timestamp;
use platepal_proto::v1::{DeliveryStatus, get_trail_request::Of};
use tokio::time::Instant;

use super::*;
use crate::rules::{place::Place, trail::TrailPoint};

on_both! {
    a_shift_starts_and_ends_once_at_given_moments
    a_trail_is_read_again_by_delivery_and_by_rider_and_time
    what_lies_around_the_end_of_a_shift_is_forgotten
    a_trail_is_played_back_at_its_pace_and_ends_when_the_client_goes
    a_rider_is_erased_and_the_deliveries_stay
    old_trails_are_forgotten
}

const START: i64 = 1_796_000_000_000_000;

/// A point every 10 s, some 111 m farther north each.
fn point(n: i32) -> TrailPoint {
    TrailPoint {
        place: Place { latitude: 52.5 + f64::from(n) * 0.001, longitude: 13.4 },
        at: Timestamp::from_micros(START).plus_millis(i64::from(n) * 10_000),
    }
}

fn points(range: std::ops::Range<i32>) -> Vec<TrailPoint> {
    range.map(point).collect()
}

async fn extend(tracking: &Tracking, rider: &str, delivery: &str, points: &[TrailPoint]) {
    let mut tx = tracking.store.database.begin().await.unwrap();
    tracking.store.extend_trail(&mut tx, rider, delivery, points).await.unwrap();
    tx.commit().await.unwrap();
}

async fn trail(tracking: &Tracking, of: Of) -> v1::GetTrailResponse {
    let (from, to) = match of {
        Of::DeliveryId(_) => (None, None),
        Of::RiderId(_) => (Some(point(0).at.into()), Some(point(0).at.plus_millis(86_400_000).into())),
    };
    tracking.get_trail(v1::GetTrailRequest { of: Some(of), from, to }).await.unwrap()
}

async fn a_shift_starts_and_ends_once_at_given_moments(world: World) {
    let two = [world.replica().await, world.replica().await];
    let at = |seconds: i64| Some(prost_types::Timestamp { seconds: 1_796_000_000 + seconds, nanos: 0 });
    let start = async |seconds: i64| {
        let request = v1::StartShiftRequest { rider_id: "31".into(), at: at(seconds) };
        let started = two[0].start_shift(request).await.unwrap();
        (started.started_at, started.already)
    };
    let end = async |seconds: i64| {
        let request = v1::EndShiftRequest { rider_id: "31".into(), at: at(seconds) };
        two[1].end_shift(request).await.unwrap().already
    };
    assert!(end(0).await, "there is none");
    assert_eq!(start(10).await, (at(10), false));
    assert_eq!(start(10).await, (at(10), true));
    assert_eq!(start(20).await, (at(10), true));
    assert!(end(5).await, "before it began");
    assert!(!end(30).await);
    assert!(end(30).await);
    assert_eq!(start(10).await, (at(10), true), "a late repeat starts nothing");
    assert!(!two[0].store.shift("31").await.unwrap().runs());
    assert_eq!(start(40).await, (at(40), false));
    assert!(two[0].store.shift("31").await.unwrap().runs());
}

async fn a_trail_is_read_again_by_delivery_and_by_rider_and_time(world: World) {
    let tracking = world.replica().await;
    put(&tracking, delivery(DeliveryStatus::Assigned, 1, "31")).await;
    extend(&tracking, "31", "", &points(0..5)).await;
    for piece in [5..150, 150..152, 151..160] {
        extend(&tracking, "31", "9", &points(piece)).await;
    }
    extend(&tracking, "32", "9", &points(160..162)).await;
    let of_delivery = trail(&tracking, Of::DeliveryId("9".into())).await;
    assert_eq!(of_delivery.points.len(), 157, "by whoever brought it");
    assert!(
        of_delivery.points.windows(2).all(|pair| {
            pair[0].at.as_ref().map(|at| at.seconds) < pair[1].at.as_ref().map(|at| at.seconds)
        })
    );
    assert!((of_delivery.metres - 156.0 * 111.2).abs() < 20.0, "{}", of_delivery.metres);
    assert!(!of_delivery.polyline.is_empty() && !of_delivery.geojson.is_empty());
    assert_eq!(trail(&tracking, Of::RiderId("31".into())).await.points.len(), 160);
    let window = v1::GetTrailRequest {
        of: Some(Of::RiderId("31".into())),
        from: Some(point(3).at.into()),
        to: Some(point(6).at.into()),
    };
    assert_eq!(tracking.get_trail(window.clone()).await.unwrap().points.len(), 4);
    let too_long = v1::GetTrailRequest { to: Some(point(3).at.plus_millis(86_400_001).into()), ..window };
    assert_eq!(tracking.get_trail(too_long).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    let unknown = v1::GetTrailRequest { of: Some(Of::DeliveryId("404".into())), from: None, to: None };
    assert_eq!(tracking.get_trail(unknown).await.unwrap_err().code(), tonic::Code::NotFound);
}

async fn what_lies_around_the_end_of_a_shift_is_forgotten(world: World) {
    let tracking = world.replica().await;
    let start = v1::StartShiftRequest { rider_id: "31".into(), at: Some(point(0).at.into()) };
    tracking.start_shift(start).await.unwrap();
    extend(&tracking, "31", "", &points(0..20)).await;
    let end = v1::EndShiftRequest { rider_id: "31".into(), at: Some(point(20).at.into()) };
    tracking.end_shift(end.clone()).await.unwrap();
    // Each 111 m apart: the last, and the one before it.
    assert_eq!(trail(&tracking, Of::RiderId("31".into())).await.points.len(), 18);
    // The next shift is not touched by a repeat.
    let start = v1::StartShiftRequest { rider_id: "31".into(), at: Some(point(30).at.into()) };
    tracking.start_shift(start).await.unwrap();
    extend(&tracking, "31", "", &points(30..35)).await;
    tracking.end_shift(v1::EndShiftRequest { at: Some(point(20).at.into()), ..end }).await.unwrap();
    assert_eq!(trail(&tracking, Of::RiderId("31".into())).await.points.len(), 23);
}

async fn a_trail_is_played_back_at_its_pace_and_ends_when_the_client_goes(world: World) {
    let tracking = world.replica().await;
    put(&tracking, delivery(DeliveryStatus::Assigned, 1, "31")).await;
    extend(&tracking, "31", "9", &points(0..41)).await;
    let request = |pace| v1::ReplayTrailRequest {
        trail: Some(v1::GetTrailRequest { of: Some(Of::DeliveryId("9".into())), from: None, to: None }),
        pace,
    };
    // 400 s at 1,000 times the pace.
    let began = Instant::now();
    let mut played = tracking.replay_trail(request(1_000.0)).await.unwrap();
    let mut count = 0;
    while let Some(point) = played.recv().await {
        assert!(point.unwrap().point.is_some());
        count += 1;
    }
    assert_eq!(count, 41);
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    let mut at_once = tracking.replay_trail(request(0.0)).await.unwrap();
    let mut all = 0;
    while at_once.recv().await.is_some() {
        all += 1;
    }
    assert_eq!(all, 41);
    // Whoever goes makes room.
    for _ in 0..tracking.settings.replays + 5 {
        let mut slow = tracking.replay_trail(request(0.1)).await.unwrap();
        slow.recv().await.unwrap().unwrap();
        drop(slow);
        platepal_testkit::eventually("the trail is played no more", || async {
            tracking.replays.free() == tracking.settings.replays
        })
        .await;
    }
    for pace in [-1.0, 0.01, 1_001.0, f64::NAN] {
        assert_eq!(
            tracking.replay_trail(request(pace)).await.unwrap_err().code(),
            tonic::Code::InvalidArgument
        );
    }
}

async fn a_rider_is_erased_and_the_deliveries_stay(world: World) {
    let tracking = world.replica().await;
    put(&tracking, delivery(DeliveryStatus::Assigned, 1, "31")).await;
    tracking.start_shift(v1::StartShiftRequest { rider_id: "31".into(), at: None }).await.unwrap();
    extend(&tracking, "31", "9", &points(0..250)).await;
    extend(&tracking, "32", "9", &points(300..303)).await;
    let erased = tracking.delete_rider(v1::DeleteRiderRequest { rider_id: "31".into() }).await.unwrap();
    assert_eq!(erased.points, 250);
    assert_eq!(trail(&tracking, Of::RiderId("31".into())).await.points.len(), 0);
    assert_eq!(trail(&tracking, Of::DeliveryId("9".into())).await.points.len(), 3, "another's stay");
    assert_eq!(tracking.store.shift("31").await.unwrap().started_at, None);
    assert!(tracking.store.delivery("9").await.unwrap().is_some());
    let again = tracking.delete_rider(v1::DeleteRiderRequest { rider_id: "31".into() }).await.unwrap();
    assert_eq!(again.points, 0);
}

async fn old_trails_are_forgotten(world: World) {
    let tracking = world.replica().await;
    extend(&tracking, "31", "", &points(0..20)).await;
    extend(&tracking, "31", "", &points(100..103)).await;
    let day = 24 * 3_600_000;
    let later = point(19).at.plus_millis(30 * day + 1_000);
    assert_eq!(tracking.store.forget(later).await.unwrap().trails, 1);
    assert_eq!(trail(&tracking, Of::RiderId("31".into())).await.points.len(), 3);
}
