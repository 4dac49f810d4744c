//! Notifications of other domains' events.

use platepal_service::learning::Learner;

use super::*;
use crate::{rules::produce::tests::entry, worker::Producer};

on_both! {
    what_happens_to_an_order_is_in_its_customers_inbox_once_the_newest_only
    replicas_that_learn_the_same_make_one
}

fn producer(notifications: &Notifications) -> Producer {
    Producer { store: notifications.store.clone(), templates: notifications.templates.clone(), clock: Clock }
}

async fn what_happens_to_an_order_is_in_its_customers_inbox_once_the_newest_only(world: World) {
    let notifications = world.replica().await;
    let producer = producer(&notifications);
    let order = json!({"order_id": 5012, "restaurant_name": "Bella Napoli"});
    for (id, kind) in [
        ("e-1", "order.created"),
        ("e-2", "order.accepted"),
        ("e-2", "order.accepted"),
        ("e-3", "order.preparing"),
    ] {
        producer.learn(&entry("customer:7", kind, id, &order)).await.unwrap();
    }
    assert_eq!(inbox(&notifications, "7").await, (vec!["Order accepted".into()], 1));
    // An older one that is learned again does not come back.
    producer.learn(&entry("customer:7", "order.created", "e-1", &order)).await.unwrap();
    assert_eq!(inbox(&notifications, "7").await, (vec!["Order accepted".into()], 1));
    producer.learn(&entry("rider:31", "job_offer", "e-4", &json!({"offer_id": "o-1"}))).await.unwrap();
    assert_eq!(inbox(&notifications, "31").await, (vec!["New delivery".into()], 1));
    producer.learn(&entry("restaurant:12", "order.accepted", "e-5", &order)).await.unwrap();
    assert_eq!(inbox(&notifications, "12").await, (vec![], 0));
}

async fn replicas_that_learn_the_same_make_one(world: World) {
    let two = [world.replica().await, world.replica().await];
    let (a, b) = (producer(&two[0]), producer(&two[1]));
    for n in 0..10 {
        let entry = entry(
            "customer:7",
            "payment.captured",
            &format!("e-{n}"),
            &json!({"amount": "9.90", "payment_id": n}),
        );
        let (a, b) = tokio::join!(a.learn(&entry), b.learn(&entry));
        a.unwrap();
        b.unwrap();
    }
    assert_eq!(inbox(&two[0], "7").await.1, 10);
    assert_eq!(world.payloads("inbox:7", "notification").await.len(), 10);
}
