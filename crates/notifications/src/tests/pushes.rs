//! The queue of pushes: who is pushed to, who sends, what is tried again.

use platepal_push::{Device, Outcome};

use super::*;
use crate::store::pushes::Taken;

on_both! {
    a_notification_is_pushed_to_each_device_by_one_replica
    what_was_read_or_shown_meanwhile_is_not_pushed
    what_fails_is_tried_again_later_each_time_and_given_up_at_last
    a_device_that_is_gone_is_forgotten_with_all_that_waits_for_it
    what_a_killed_process_was_sending_is_sent_again_after_its_lease_under_the_same_topic
    a_user_has_a_bounded_number_of_devices_and_a_device_one_user
}

fn fcm(token: &str) -> Device {
    Device::Fcm { token: token.into() }
}

async fn add(notifications: &Notifications, user_id: &str, token: &str) -> String {
    notifications.store.add_device(user_id, fcm(token), "phone", Clock.now()).await.unwrap()
}

async fn take(notifications: &Notifications, now: Timestamp) -> Vec<Taken> {
    notifications.store.take_pushes(10, now).await.unwrap()
}

async fn done(notifications: &Notifications, taken: &Taken, outcome: Outcome, now: Timestamp) {
    notifications.store.pushed(taken, &outcome, 1.0, now).await.unwrap();
}

fn later() -> Outcome {
    Outcome::Later { after: None, why: "503".into() }
}

async fn a_notification_is_pushed_to_each_device_by_one_replica(world: World) {
    let two = [world.replica().await, world.replica().await];
    for token in ["a", "b", "c"] {
        add(&two[0], "7", token).await;
    }
    add(&two[0], "8", "not mine").await;
    let made = notify(&two[0], order("ORDER_READY", "e-1")).await;
    assert_eq!(fire(&two[0], soon(4)).await, 0, "a device has five seconds to show it");
    let now = soon(6);
    let (a, b) = tokio::join!(fire(&two[0], now), fire(&two[1], now));
    assert_eq!(a + b, 1);
    let (a, b) = tokio::join!(take(&two[0], now), take(&two[1], now));
    let mut tokens: Vec<String> =
        a.iter().chain(&b).map(|taken| format!("{:?}", taken.device.device_id)).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!((a.len() + b.len(), tokens.len()), (3, 3));
    let push = a.first().or(b.first()).unwrap().push();
    assert_eq!(
        (push.title.as_str(), push.topic.as_deref(), push.id),
        ("Order ready", Some("order:5012"), made.id.to_string())
    );
    for taken in a.iter().chain(&b) {
        done(&two[1], taken, Outcome::Sent { id: None }, now).await;
    }
    assert!(take(&two[0], soon(3_600)).await.is_empty());
    let states = deliveries(&two[0], made.id).await;
    assert_eq!(states, vec![(v1::Way::Push, v1::DeliveryState::Sent, String::new()); 3]);
}

async fn what_was_read_or_shown_meanwhile_is_not_pushed(world: World) {
    let notifications = world.replica().await;
    add(&notifications, "7", "a").await;
    let (read, shown, late) = (
        notify(&notifications, note("7", "read")).await,
        notify(&notifications, note("7", "shown")).await,
        notify(&notifications, note("7", "late")).await,
    );
    call(&notifications, "7", "read", json!({"ids": [read.id]})).await.unwrap();
    call(&notifications, "7", "shown", json!({"notification_id": shown.id})).await.unwrap();
    assert_eq!(
        call(&notifications, "8", "shown", json!({"notification_id": late.id})).await.unwrap_err().code(),
        Code::NotFound
    );
    let now = soon(6);
    assert_eq!(fire(&notifications, now).await, 3);
    // One is read after it was put into the queue.
    call(&notifications, "7", "read", json!({"ids": [late.id]})).await.unwrap();
    assert!(take(&notifications, now).await.is_empty());
    let why = async |id| {
        let states = deliveries(&notifications, id).await;
        let push = states.into_iter().find(|(way, ..)| *way == v1::Way::Push).unwrap();
        assert_eq!(push.1, v1::DeliveryState::Skipped);
        push.2
    };
    assert_eq!(
        (why(read.id).await, why(shown.id).await, why(late.id).await),
        ("it was read before".into(), "a device has shown it".into(), "it was read before".into())
    );
}

async fn what_fails_is_tried_again_later_each_time_and_given_up_at_last(world: World) {
    let notifications = world.replica_with(&[("REALTIME_NOTIFICATIONS_PUSH_ATTEMPTS", "3")]).await;
    add(&notifications, "7", "a").await;
    let made = notify(&notifications, note("7", "a")).await;
    let mut now = soon(6);
    fire(&notifications, now).await;
    for wait in [2, 4] {
        let taken = take(&notifications, now).await;
        done(&notifications, &taken[0], later(), now).await;
        assert_eq!(
            deliveries(&notifications, made.id).await,
            [(v1::Way::Push, v1::DeliveryState::Waiting, "503".into())]
        );
        assert!(take(&notifications, now.plus_millis(wait * 1_000 - 1)).await.is_empty());
        now = now.plus_millis(wait * 1_000);
    }
    let taken = take(&notifications, now).await;
    assert_eq!(taken[0].attempts, 3);
    done(&notifications, &taken[0], later(), now).await;
    assert_eq!(
        deliveries(&notifications, made.id).await,
        [(v1::Way::Push, v1::DeliveryState::Failed, "503".into())]
    );
    assert!(take(&notifications, soon(7_200)).await.is_empty());
    // What is refused once is not tried again; what asks for time gets it.
    let refused = notify(&notifications, note("7", "b")).await;
    fire(&notifications, soon(10)).await;
    let taken = take(&notifications, soon(10)).await;
    let after = Some(Duration::from_secs(600));
    done(&notifications, &taken[0], Outcome::Later { after, why: "429".into() }, soon(10)).await;
    assert!(take(&notifications, soon(600)).await.is_empty());
    let taken = take(&notifications, soon(611)).await;
    done(&notifications, &taken[0], Outcome::Refused { why: "too large".into() }, soon(611)).await;
    assert_eq!(
        deliveries(&notifications, refused.id).await,
        [(v1::Way::Push, v1::DeliveryState::Failed, "too large".into())]
    );
}

async fn a_device_that_is_gone_is_forgotten_with_all_that_waits_for_it(world: World) {
    let notifications = world.replica().await;
    add(&notifications, "7", "a").await;
    let (first, second) =
        (notify(&notifications, note("7", "a")).await, notify(&notifications, note("7", "b")).await);
    let now = soon(6);
    fire(&notifications, now).await;
    let taken = notifications.store.take_pushes(1, now).await.unwrap();
    done(&notifications, &taken[0], Outcome::Gone, now).await;
    assert!(take(&notifications, now).await.is_empty());
    let devices =
        notifications.list_devices(v1::ListDevicesRequest { user_id: "7".into() }).await.unwrap().devices;
    assert!(devices.is_empty());
    let mut states = deliveries(&notifications, first.id).await;
    states.extend(deliveries(&notifications, second.id).await);
    let mut whys: Vec<String> = states.into_iter().map(|(_, _, why)| why).collect();
    whys.sort();
    assert_eq!(whys, ["the device is gone", "the device is no longer subscribed"]);
}

async fn what_a_killed_process_was_sending_is_sent_again_after_its_lease_under_the_same_topic(world: World) {
    let two = [world.replica().await, world.replica().await];
    add(&two[0], "7", "a").await;
    notify(&two[0], note("7", "a")).await;
    let now = soon(6);
    fire(&two[0], now).await;
    let first = take(&two[0], now).await;
    assert!(take(&two[1], now.plus_millis(59_999)).await.is_empty());
    let second = take(&two[1], now.plus_millis(60_000)).await;
    assert_eq!((second[0].attempts, second[0].push().topic), (2, first[0].push().topic));
}

async fn a_user_has_a_bounded_number_of_devices_and_a_device_one_user(world: World) {
    let notifications = world.replica_with(&[("REALTIME_NOTIFICATIONS_DEVICES", "2")]).await;
    for (n, token) in ["a", "b", "c"].iter().enumerate() {
        let at = soon(i64::try_from(n).unwrap());
        notifications.store.add_device("7", fcm(token), token, at).await.unwrap();
    }
    let names = async |user: &str| {
        let devices = notifications
            .list_devices(v1::ListDevicesRequest { user_id: user.into() })
            .await
            .unwrap()
            .devices;
        devices.into_iter().map(|device| device.name).collect::<Vec<_>>().join("")
    };
    assert_eq!(names("7").await, "bc");
    // Somebody else signs in on the phone.
    let id = add(&notifications, "8", "b").await;
    assert_eq!((names("7").await, names("8").await), ("c".into(), "phone".into()));
    let request = |user: &str| v1::RemoveDeviceRequest { user_id: user.into(), device_id: id.clone() };
    assert!(!notifications.remove_device(request("7")).await.unwrap().existed);
    assert!(notifications.remove_device(request("8")).await.unwrap().existed);
}
