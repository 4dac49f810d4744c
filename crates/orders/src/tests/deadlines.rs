//! What becomes due fires once, whichever replica fires it.

use super::*;
use platepal_service::worker::fire_due;

on_both! {
    timers_fire_once_with_two_workers
    an_end_cancels_what_would_become_due
    a_restaurants_minutes_are_remembered
    five_rejections_alert_once_a_window
    old_orders_are_forgotten_and_untold_ones_stay
}

const MINUTE: i64 = 60_000;

async fn timers_fire_once_with_two_workers(world: World) {
    let two = [world.replica().await, world.replica().await];
    let start = Clock.now();
    for order in ["1", "2", "3"] {
        take(&two[0], at(order, &format!("p{order}"), Status::Pending, 1, start)).await;
    }
    take(&two[0], at("3", "a3", Status::Accepted, 2, start)).await;
    for (minutes, expected) in [(9, 0), (11, 2), (29, 1), (36, 1), (90, 0)] {
        let now = start.plus_millis(minutes * MINUTE);
        let settings = settings::<Settings>();
        let (a, b) = tokio::join!(
            fire_due(&two[0].store, settings.chunk, now),
            fire_due(&two[1].store, settings.chunk, now),
        );
        assert_eq!(a.unwrap() + b.unwrap(), expected, "after {minutes} min");
    }
    let kinds: Vec<_> =
        world.told("admin").await.iter().map(|entry| data(entry)["payload"]["kind"].clone()).collect();
    assert_eq!(kinds, [json!("acceptance"), json!("acceptance"), json!("completion")]);
    let restaurant = world.told_types("restaurant:12").await;
    assert_eq!(restaurant[4..], ["sla_breach", "sla_breach", "order.sla_warning", "sla_breach"]);
    // A later update does not wind up again what has fired.
    take(&two[1], at("3", "r3", Status::Preparing, 3, start)).await;
    assert_eq!(two[1].store.timers.next().await.unwrap(), None);
}

async fn an_end_cancels_what_would_become_due(world: World) {
    let orders = world.replica().await;
    let start = Clock.now();
    take(&orders, at("1", "a", Status::Accepted, 1, start)).await;
    assert!(orders.store.timers.next().await.unwrap().is_some());
    take(&orders, at("1", "b", Status::Delivered, 2, start)).await;
    assert_eq!(orders.store.timers.next().await.unwrap(), None);
}

async fn a_restaurants_minutes_are_remembered(world: World) {
    let orders = world.replica().await;
    let start = Clock.now();
    take(&orders, Update { sla_minutes: Some(50), ..at("1", "a", Status::Accepted, 1, start) }).await;
    take(&orders, at("1", "b", Status::Delivered, 2, start)).await;
    take(&orders, at("2", "c", Status::Accepted, 1, start)).await;
    assert_eq!(orders.store.timers.next().await.unwrap(), Some(start.plus_millis(40 * MINUTE)));
}

async fn five_rejections_alert_once_a_window(world: World) {
    let orders = world.replica().await;
    let start = Clock.now();
    let reject = async |order: usize, now: Timestamp| {
        let mut update = at(&order.to_string(), &format!("e{order}"), Status::Cancelled, 1, now);
        update.event.kind = "order.rejected".parse().unwrap();
        let kept = orders.store.keep(update.clone(), Audience::Participants(vec![]), now).await.unwrap();
        orders.store.drain(&kept.streams, now).await.unwrap();
    };
    let alerts = async || {
        let types = world.told_types("admin").await;
        types.iter().filter(|name| *name == "restaurant.high_rejection_rate").count()
    };
    for order in 0..4 {
        reject(order, start).await;
    }
    assert_eq!(alerts().await, 0);
    for order in 4..8 {
        reject(order, start).await;
    }
    assert_eq!(alerts().await, 1);
    for order in 8..13 {
        reject(order, start.plus_millis(25 * 60 * MINUTE)).await;
    }
    assert_eq!(alerts().await, 2);
    assert!(world.told_types("restaurant:12").await.contains(&"restaurant.high_rejection_rate".to_owned()));
}

async fn old_orders_are_forgotten_and_untold_ones_stay(world: World) {
    let orders = world.replica().await;
    take(&orders, update("1", "a", Status::Delivered, 1)).await;
    let untold = update("2", "b", Status::Delivered, 1);
    orders.store.keep(untold.clone(), Audience::Participants(vec![]), Clock.now()).await.unwrap();
    let later = Clock.now().plus_millis(91 * 24 * 60 * MINUTE);
    assert_eq!(orders.store.forget(later).await.unwrap(), 1);
    assert!(orders.store.read("1").await.unwrap().is_none());
    assert!(orders.store.read("2").await.unwrap().is_some());
}
