//! Riders who are followed, by replicas that come and go.

use platepal_proto::v1::{self, DeliveryStatus, FixOutcome};
use platepal_service::Clock;
use platepal_testkit::eventually;
use tonic::Code;

use super::{World, delivery, on_both, put};
use crate::grpc::Tracking;

on_both! {
    what_was_answered_as_kept_is_known_to_the_next_replica
    a_replica_without_its_lease_writes_nothing
    positions_are_told_to_those_of_the_delivery_until_it_ends
    learned_speeds_add_up
}

/// A fix on the way from the pick-up to the drop-off, recorded so many seconds ago.
fn fix(step: i32, seconds_ago: i64) -> v1::Fix {
    v1::Fix {
        latitude: 52.522 + f64::from(step) * 0.000_3,
        longitude: 13.40,
        accuracy: 5.0,
        speed: Some(7.0),
        heading: Some(0.0),
        recorded_at: Some(Clock.now().plus_millis(-seconds_ago * 1_000).into()),
        ..Default::default()
    }
}

async fn start_shift(tracking: &Tracking) {
    let at = Some(Clock.now().plus_millis(-900_000).into());
    Tracking::start_shift(tracking, v1::StartShiftRequest { rider_id: "31".into(), at }).await.unwrap();
}

async fn report(tracking: &Tracking, fixes: &[v1::Fix]) -> Result<Vec<FixOutcome>, tonic::Status> {
    let request = v1::ReportFixesRequest { rider_id: "31".into(), fixes: fixes.to_vec() };
    let answers = tracking.report(request).await?.answers;
    Ok(answers.iter().map(v1::FixAnswer::outcome).collect())
}

async fn kept_batches(tracking: &Tracking) -> i64 {
    let sql = "SELECT COUNT(*) AS count FROM tracking_fixes WHERE rider_id = '31'";
    tracking.store.database.rows(sql, &[]).await.unwrap()[0].int("count").unwrap()
}

async fn what_was_answered_as_kept_is_known_to_the_next_replica(world: World) {
    let first = world.replica().await;
    start_shift(&first).await;
    let fixes: Vec<v1::Fix> = (0..5).map(|step| fix(step, i64::from(30 - step * 5))).collect();
    for fix in &fixes {
        assert_eq!(report(&first, std::slice::from_ref(fix)).await.unwrap(), [FixOutcome::Shown]);
    }
    let seen = first.riders.whereabouts("31").await.unwrap().unwrap();
    first.shutdown.tell();
    let next = world.replica().await;
    assert_eq!(report(&next, &fixes).await.unwrap(), [FixOutcome::Duplicate; 5]);
    let again = next.riders.whereabouts("31").await.unwrap().unwrap();
    assert_eq!((seen.place, seen.heading, seen.at), (again.place, again.heading, again.at));
    assert_eq!(report(&next, &[fix(5, 5)]).await.unwrap(), [FixOutcome::Shown]);
}

async fn a_replica_without_its_lease_writes_nothing(world: World) {
    let tracking = world.replica().await;
    start_shift(&tracking).await;
    assert_eq!(report(&tracking, &[fix(0, 20)]).await.unwrap(), [FixOutcome::Shown]);
    let before = kept_batches(&tracking).await;
    let taken =
        "UPDATE tracking_leases SET owner = 'another', term = term + 1, expires_at = 9000000000000000";
    tracking.store.database.execute(taken, &[]).await.unwrap();
    let refused = tracking.riders.take_here("31", &[fix(1, 15)]).await.unwrap_err();
    assert_eq!(refused.status().code(), Code::FailedPrecondition, "{refused}");
    assert_eq!(kept_batches(&tracking).await, before);
}

async fn positions_are_told_to_those_of_the_delivery_until_it_ends(world: World) {
    let tracking = world.replica().await;
    start_shift(&tracking).await;
    put(&tracking, delivery(DeliveryStatus::InTransit, 1, "31")).await;
    report(&tracking, &[fix(0, 2)]).await.unwrap();
    for name in ["customer:7", "restaurant:12", "track:9"] {
        eventually("the position is told", || async {
            let latest = tracking.bus.latest(&super::channel(name)).await.unwrap();
            latest
                .iter()
                .any(|entry| entry.event.kind.as_str() == "rider_location" && &*entry.event.key == "9")
        })
        .await;
    }
    put(&tracking, delivery(DeliveryStatus::Delivered, 2, "31")).await;
    assert_eq!(report(&tracking, &[fix(1, 0)]).await.unwrap(), [FixOutcome::Shown]);
    let latest = tracking.bus.latest(&super::channel("customer:7")).await.unwrap();
    for entry in latest {
        let told = super::data(&entry);
        assert!(told["payload"]["location"].is_null(), "{told}");
    }
}

async fn learned_speeds_add_up(world: World) {
    use crate::store::speeds::Lesson;
    use platepal_roads::{Class, Speeds};

    let [one, other] = [world.replica().await, world.replica().await];
    assert_eq!(one.store.speeds().await.unwrap(), None);
    let lesson = |metres| Lesson { class: Class::Residential, metres, seconds: metres / 2.0 };
    one.store.learn(&[lesson(500.0)], Clock.now()).await.unwrap();
    let both = other.store.learn(&[lesson(700.0)], Clock.now()).await.unwrap();
    let mut expected = Speeds::default();
    expected.learn(Class::Residential, 500.0, 250.0);
    expected.learn(Class::Residential, 700.0, 350.0);
    assert_eq!(both, expected);
    assert_eq!(one.store.speeds().await.unwrap(), Some(expected));
}

/// A write holds one lease and asks for a later one, while all are renewed: in any other order than that of the
/// partitions both would wait for each other.
#[tokio::test]
async fn renewing_leases_and_writing_do_not_wait_for_each_other() {
    let world = World::on_postgres().await;
    let tracking = world.replica().await;
    let store = tracking.store.clone();
    let leases = store.leases().await.unwrap();
    let owner = leases[0].owner.clone();
    let term = |partition: i64| leases.iter().find(|lease| lease.partition == partition).unwrap().term;
    let mut tx = store.database.begin().await.unwrap();
    assert!(store.holds(&mut tx, &owner, &[(20, term(20))]).await.unwrap());
    let renewal = tokio::spawn({
        let (store, owner) = (store.clone(), owner.clone());
        async move { store.renew(&owner, Clock.now(), Clock.now().plus_millis(6_000)).await }
    });
    eventually("the renewal waits", || async {
        let sql = "SELECT COUNT(*) AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        store.database.rows(sql, &[]).await.unwrap()[0].int("count").unwrap() > 0
    })
    .await;
    assert!(store.holds(&mut tx, &owner, &[(40, term(40))]).await.unwrap());
    tx.commit().await.unwrap();
    renewal.await.unwrap().unwrap();
}

/// A database that does not answer: what it can't take is refused and may be repeated, and nothing that was answered is lost.
#[tokio::test]
async fn when_the_database_hangs_waiting_fixes_are_bounded_and_none_that_was_answered_is_lost() {
    const CALLS: usize = 12;
    let world = World::on_postgres().await;
    let tracking =
        world.replica_with(&[("REALTIME_TRACKING_QUEUE", "4"), ("REALTIME_TRACKING_LANES", "1")]).await;
    start_shift(&tracking).await;
    let first = fix(0, 60);
    assert_eq!(report(&tracking, &[first]).await.unwrap(), [FixOutcome::Shown]);
    let mut lock = tracking.store.database.begin().await.unwrap();
    lock.execute("LOCK TABLE tracking_fixes IN ACCESS EXCLUSIVE MODE", &[]).await.unwrap();
    let fixes: Vec<v1::Fix> = (1..=CALLS as i32).map(|step| fix(step, i64::from(59 - 4 * step))).collect();
    let calls: Vec<_> = fixes
        .iter()
        .map(|fix| {
            let (tracking, fix) = (tracking.clone(), *fix);
            tokio::spawn(async move { report(&tracking, &[fix]).await })
        })
        .collect();
    let full = || calls.iter().filter(|call| call.is_finished()).count();
    // One commit is under way with what came first, four calls wait, and there is no room for more.
    eventually("there is no room", || async { full() > 0 }).await;
    lock.commit().await.unwrap();
    let (mut kept, mut refused) = (vec![first], 0);
    for (call, fix) in calls.into_iter().zip(fixes) {
        match call.await.unwrap() {
            Ok(_) => kept.push(fix),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                assert!(status.message().contains("again"), "{status}");
                refused += 1;
            }
        }
    }
    assert!(kept.len() > 4 && refused > 0, "{} kept, {refused} refused", kept.len());
    tracking.shutdown.tell();
    let next = world.replica().await;
    let again = report(&next, &kept).await.unwrap();
    assert!(again.iter().all(|outcome| *outcome == FixOutcome::Duplicate), "{again:?}");
}
