//! The inbox.

use super::*;

on_both! {
    a_notification_is_kept_told_to_all_devices_and_counted
    a_repeat_with_the_same_key_is_the_same_also_when_it_was_cleared
    the_newest_of_an_order_takes_the_place_of_the_unread_ones
    reading_one_some_and_all_is_told_and_counted
    many_replicas_that_notify_and_read_at_once_keep_the_count
    pages_go_back_to_the_first
    many_users_are_notified_in_one_call
    what_is_old_is_forgotten_with_its_count
}

async fn a_notification_is_kept_told_to_all_devices_and_counted(world: World) {
    let notifications = world.replica().await;
    let made = notify(&notifications, order("ORDER_ACCEPTED", "e-1")).await;
    assert_eq!(
        (made.title.as_str(), made.message.as_str()),
        ("Order accepted", "Bella Napoli is preparing your order 5012.")
    );
    assert_eq!(
        (made.category(), made.priority(), made.sequence),
        (v1::Category::Orders, v1::Priority::Normal, 1)
    );
    for channel in ["inbox:7", "customer:7", "rider:7"] {
        let told = world.payloads(channel, "notification").await;
        assert_eq!(told.len(), 1, "{channel}");
        let seen = json!([
            told[0]["id"],
            told[0]["type"],
            told[0]["is_read"],
            told[0]["unread_count"],
            told[0]["data"]["order_id"]
        ]);
        assert_eq!(seen, json!([made.id, "ORDER_ACCEPTED", false, 1, 5012]));
    }
    assert_eq!(inbox(&notifications, "7").await, (vec!["Order accepted".into()], 1));
    assert_eq!(inbox(&notifications, "8").await, (vec![], 0));
}

async fn a_repeat_with_the_same_key_is_the_same_also_when_it_was_cleared(world: World) {
    let notifications = world.replica().await;
    let first = notify(&notifications, order("ORDER_ACCEPTED", "e-1")).await;
    let again = world.replica().await.notify(order("ORDER_ACCEPTED", "e-1")).await.unwrap();
    assert_eq!((again.notification.unwrap(), again.duplicate), (first.clone(), true));
    // Another user's key is another key.
    let other = v1::NotifyRequest { user_id: "8".into(), ..order("ORDER_ACCEPTED", "e-1") };
    assert!(!notifications.notify(other).await.unwrap().duplicate);
    call(&notifications, "7", "read", json!({"all": true})).await.unwrap();
    call(&notifications, "7", "clear", json!({})).await.unwrap();
    let gone = notifications.notify(order("ORDER_ACCEPTED", "e-1")).await.unwrap();
    assert_eq!((gone.notification.unwrap().id, gone.duplicate), (first.id, true));
    assert_eq!(inbox(&notifications, "7").await, (vec![], 0));
    assert_eq!(world.payloads("inbox:7", "notification").await.len(), 1);
}

async fn the_newest_of_an_order_takes_the_place_of_the_unread_ones(world: World) {
    let notifications = world.replica().await;
    let accepted = notify(&notifications, order("ORDER_ACCEPTED", "e-1")).await;
    let ready = notify(&notifications, order("ORDER_READY", "e-2")).await;
    assert_eq!(inbox(&notifications, "7").await, (vec!["Order ready".into()], 1));
    let told = world.payloads("inbox:7", "notification").await;
    assert_eq!((&told[1]["replaces"], &told[1]["unread_count"]), (&json!([accepted.id]), &json!(1)));
    // One that was read stays.
    call(&notifications, "7", "read", json!({"ids": [ready.id]})).await.unwrap();
    notify(&notifications, order("ORDER_DELIVERED", "e-3")).await;
    assert_eq!(inbox(&notifications, "7").await, (vec!["Enjoy your meal".into(), "Order ready".into()], 1));
    // What it replaced is not pushed.
    assert_eq!(fire(&notifications, soon(10)).await, 2);
    assert!(notifications.notify(order("ORDER_ACCEPTED", "e-1")).await.unwrap().duplicate);
}

async fn reading_one_some_and_all_is_told_and_counted(world: World) {
    let notifications = world.replica().await;
    let mut ids = Vec::new();
    for title in ["a", "b", "c", "d"] {
        ids.push(notify(&notifications, note("7", title)).await.id);
    }
    let mark = async |request| notifications.mark_notifications_read(request).await.unwrap();
    let request = || v1::MarkNotificationsReadRequest { user_id: "7".into(), ..Default::default() };
    let one = mark(v1::MarkNotificationsReadRequest { ids: vec![ids[3]], ..request() }).await;
    assert_eq!((one.marked, one.unread), (1, 3));
    let again = mark(v1::MarkNotificationsReadRequest { ids: vec![ids[3], 999_999], ..request() }).await;
    assert_eq!((again.marked, again.unread), (0, 3));
    let some = mark(v1::MarkNotificationsReadRequest { up_to: 2, ..request() }).await;
    assert_eq!((some.marked, some.unread), (2, 1));
    // Nobody reads another's.
    let other = v1::MarkNotificationsReadRequest { user_id: "8".into(), ids: vec![ids[2]], ..request() };
    assert_eq!(mark(other).await.marked, 0);
    let all = mark(v1::MarkNotificationsReadRequest { all: true, ..request() }).await;
    assert_eq!((all.marked, all.unread), (1, 0));
    let told = world.payloads("customer:7", "notification_read").await;
    let counts: Vec<&Value> = told.iter().map(|told| &told["unread_count"]).collect();
    assert_eq!(counts, [&json!(3), &json!(1), &json!(0)]);
    assert_eq!(call(&notifications, "7", "clear", json!({})).await.unwrap(), json!({"cleared": 4}));
    assert_eq!(world.payloads("inbox:7", "notification_cleared").await.len(), 1);
    let many = v1::MarkNotificationsReadRequest { ids: vec![1; 501], ..request() };
    assert_eq!(notifications.mark_notifications_read(many).await.unwrap_err().code(), Code::InvalidArgument);
}

async fn many_replicas_that_notify_and_read_at_once_keep_the_count(world: World) {
    let two = [world.replica().await, world.replica().await];
    let work = (0..60).map(|n| {
        let notifications = &two[n % 2];
        async move {
            if n % 5 == 4 {
                call(notifications, "7", "read", json!({"all": true})).await.unwrap();
            } else {
                let collapse_key = if n % 3 == 0 { "k" } else { "" }.to_owned();
                notify(notifications, v1::NotifyRequest { collapse_key, ..note("7", &n.to_string()) }).await;
            }
        }
    });
    futures_util::future::join_all(work).await;
    let unread =
        v1::ListInboxRequest { user_id: "7".into(), limit: 100, unread_only: true, ..Default::default() };
    let page = two[0].list_inbox(unread).await.unwrap();
    assert_eq!(page.notifications.len() as u64, page.unread);
    // The last word on every device is right.
    let channel = "inbox:7".parse().unwrap();
    let last = world.bus.read(&channel, 0, 1_000).await.unwrap().entries.pop().unwrap();
    let last: Value = serde_json::from_slice(&last.event.payload).unwrap();
    assert_eq!(last["unread_count"], json!(page.unread));
}

async fn pages_go_back_to_the_first(world: World) {
    let notifications = world.replica().await;
    for n in 0..7 {
        notify(&notifications, note("7", &n.to_string())).await;
    }
    let page = async |before, limit| {
        let request = v1::ListInboxRequest { user_id: "7".into(), before, limit, ..Default::default() };
        let page = notifications.list_inbox(request).await.unwrap();
        let titles: Vec<&str> = page.notifications.iter().map(|one| one.title.as_str()).collect();
        (titles.join(""), page.more)
    };
    assert_eq!(page(0, 3).await, ("654".into(), true));
    assert_eq!(page(5, 3).await, ("321".into(), true));
    assert_eq!(page(2, 3).await, ("0".into(), false));
    let listed = call(&notifications, "7", "list", json!({"limit": 2})).await.unwrap();
    assert_eq!(
        (&listed["notifications"][0]["title"], &listed["more"], &listed["unread_count"]),
        (&json!("6"), &json!(true), &json!(7))
    );
}

async fn many_users_are_notified_in_one_call(world: World) {
    let notifications = world.replica().await;
    let mut all: Vec<_> = (0..40).map(|user| note(&user.to_string(), "hello")).collect();
    all.push(note("a b", "hello"));
    all.push(v1::NotifyRequest { dedupe_key: "k".into(), ..note("1", "once") });
    all.push(v1::NotifyRequest { dedupe_key: "k".into(), ..note("1", "once") });
    let request = v1::NotifyManyRequest { notifications: all };
    let outcomes = notifications.notify_many(request).await.unwrap().outcomes;
    assert_eq!(outcomes.len(), 43);
    assert!(outcomes[..40].iter().all(|one| one.error.is_empty() && !one.duplicate));
    assert!(outcomes[40].error.starts_with("user_id: "), "{:?}", outcomes[40]);
    assert_eq!(outcomes[41].duplicate as u8 + outcomes[42].duplicate as u8, 1);
    assert_eq!(inbox(&notifications, "1").await.1, 2);
    let too_many = v1::NotifyManyRequest { notifications: vec![note("1", "x"); 501] };
    assert_eq!(notifications.notify_many(too_many).await.unwrap_err().code(), Code::InvalidArgument);
}

async fn what_is_old_is_forgotten_with_its_count(world: World) {
    let notifications = world.replica().await;
    let old = notify(&notifications, order("ORDER_READY", "e-1")).await;
    notify(&notifications, note("7", "b")).await;
    call(&notifications, "7", "read", json!({"ids": [old.id]})).await.unwrap();
    assert_eq!(notifications.store.forget(Clock.now()).await.unwrap(), 0);
    assert_eq!(notifications.store.forget(soon(91 * 24 * 3_600)).await.unwrap(), 2);
    assert_eq!(inbox(&notifications, "7").await, (vec![], 0));
    assert!(deliveries(&notifications, old.id).await.is_empty());
    assert!(!notifications.notify(order("ORDER_READY", "e-1")).await.unwrap().duplicate);
}
