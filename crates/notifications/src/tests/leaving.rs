//! What leaves the inbox, and when: quiet hours, snooze, preferences, caps, and what Django is handed.

use tokio_stream::StreamExt;

use super::*;

on_both! {
    at_night_a_push_waits_for_the_morning_and_an_urgent_one_does_not
    who_snoozes_is_not_pushed_until_it_is_over
    what_is_muted_is_in_the_inbox_and_says_why_it_went_no_further
    the_fourth_promotion_of_a_day_stays_in_the_inbox
    e_mails_and_texts_are_handed_over_once_in_order
    wishes_are_kept_as_they_were_said
}

async fn set(notifications: &Notifications, preferences: v1::Preferences) {
    let request = v1::SetPreferencesRequest { user_id: "7".into(), preferences: Some(preferences) };
    notifications.set_preferences(request).await.unwrap();
}

/// Hours that are quiet now in UTC, and end in about two hours.
fn quiet_now() -> (Option<v1::QuietHours>, Timestamp) {
    let minute = |at: Timestamp| u32::try_from(at.micros().div_euclid(60_000_000).rem_euclid(1_440)).unwrap();
    let end = soon(2 * 3_600);
    let end = Timestamp::from_micros(end.micros() - end.micros().rem_euclid(60_000_000));
    (Some(v1::QuietHours { from: minute(soon(-3_600)), to: minute(end) }), end)
}

async fn at_night_a_push_waits_for_the_morning_and_an_urgent_one_does_not(world: World) {
    let notifications = world.replica().await;
    let (quiet_hours, end) = quiet_now();
    set(&notifications, v1::Preferences { quiet_hours, ..Default::default() }).await;
    let quiet = notify(&notifications, note("7", "a")).await;
    let urgent =
        notify(&notifications, v1::NotifyRequest { priority: v1::Priority::High.into(), ..note("7", "b") })
            .await;
    assert_eq!(fire(&notifications, soon(10)).await, 1);
    let no_device = |id| deliveries(&notifications, id);
    assert_eq!(
        no_device(urgent.id).await,
        [(v1::Way::Push, v1::DeliveryState::Skipped, "the user has no device".into())]
    );
    assert_eq!(no_device(quiet.id).await, [(v1::Way::Push, v1::DeliveryState::Waiting, String::new())]);
    assert_eq!(fire(&notifications, end.plus_millis(-1)).await, 0);
    assert_eq!(fire(&notifications, end).await, 1);
    assert_eq!(inbox(&notifications, "7").await.1, 2, "the inbox has both at once");
}

async fn who_snoozes_is_not_pushed_until_it_is_over(world: World) {
    let notifications = world.replica().await;
    let until = soon(1_800);
    notifications.snooze(v1::SnoozeRequest { user_id: "7".into(), until: Some(until.into()) }).await.unwrap();
    notify(&notifications, note("7", "a")).await;
    assert_eq!(fire(&notifications, until.plus_millis(-1)).await, 0);
    assert_eq!(fire(&notifications, until).await, 1);
    call(&notifications, "7", "snooze", json!({"until": null})).await.unwrap();
    notify(&notifications, note("7", "b")).await;
    assert_eq!(fire(&notifications, soon(6)).await, 1);
    assert_eq!(
        call(&notifications, "7", "snooze", json!({"until": "tomorrow"})).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

async fn what_is_muted_is_in_the_inbox_and_says_why_it_went_no_further(world: World) {
    let notifications = world.replica().await;
    let muted = vec![v1::Muted { category: v1::Category::Orders.into(), ways: vec![v1::Way::Push.into()] }];
    set(&notifications, v1::Preferences { muted, ..Default::default() }).await;
    let made = notify(&notifications, order("ORDER_READY", "")).await;
    let why = "muted by the user's preferences".to_owned();
    assert_eq!(deliveries(&notifications, made.id).await, [(v1::Way::Push, v1::DeliveryState::Skipped, why)]);
    assert_eq!(fire(&notifications, soon(60)).await, 0);
    assert_eq!(inbox(&notifications, "7").await.1, 1);
}

async fn the_fourth_promotion_of_a_day_stays_in_the_inbox(world: World) {
    let notifications = world.replica().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(
            notify(
                &notifications,
                v1::NotifyRequest { r#type: "PROMOTION".into(), ..note("7", &n.to_string()) },
            )
            .await
            .id,
        );
    }
    let states = futures_util::future::join_all(ids.iter().map(|id| deliveries(&notifications, *id))).await;
    let skipped: Vec<bool> = states.iter().map(|state| state[0].1 == v1::DeliveryState::Skipped).collect();
    assert_eq!(skipped, [false, false, false, true, true]);
    assert_eq!(inbox(&notifications, "7").await.1, 5);
    // Others are not concerned, nor is what is no promotion.
    let other =
        notify(&notifications, v1::NotifyRequest { r#type: "PROMOTION".into(), ..note("8", "x") }).await;
    assert_eq!(deliveries(&notifications, other.id).await[0].1, v1::DeliveryState::Waiting);
    let order = notify(&notifications, order("ORDER_READY", "")).await;
    assert_eq!(deliveries(&notifications, order.id).await[0].1, v1::DeliveryState::Waiting);
}

async fn e_mails_and_texts_are_handed_over_once_in_order(world: World) {
    let notifications = world.replica().await;
    let (quiet_hours, end) = quiet_now();
    set(&notifications, v1::Preferences { quiet_hours, language: "de".into(), ..Default::default() }).await;
    let ways = vec![v1::Way::Email.into(), v1::Way::Sms.into()];
    let made =
        notify(&notifications, v1::NotifyRequest { ways: ways.clone(), ..order("ORDER_READY", "e-1") }).await;
    notify(&notifications, v1::NotifyRequest { ways, ..order("ORDER_READY", "e-1") }).await;
    let read = async |count| {
        let request = v1::ReadFeedRequest { reader: "django".into(), after: None };
        let entries = notifications.store.feed.stream(request, &notifications.shutdown).await.unwrap();
        let entries: Vec<v1::FeedEntry> = entries.take(count).map(Result::unwrap).collect().await;
        entries
            .into_iter()
            .map(|entry| (entry.kind, serde_json::from_slice::<Value>(&entry.payload).unwrap()))
            .collect::<Vec<_>>()
    };
    let handed = read(1).await;
    assert_eq!(handed[0].0, "email");
    let seen = json!([handed[0].1["user_id"], handed[0].1["language"], handed[0].1["notification"]["title"]]);
    assert_eq!(seen, json!([7, "de", "Bestellung fertig"]));
    // A text would wake somebody.
    assert_eq!(fire(&notifications, end.plus_millis(-1)).await, 0);
    assert_eq!(fire(&notifications, end).await, 1);
    assert_eq!(read(2).await.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["email", "sms"]);
    let states = deliveries(&notifications, made.id).await;
    let sent = "handed over to Django".to_owned();
    assert_eq!(
        states,
        [
            (v1::Way::Email, v1::DeliveryState::Sent, sent.clone()),
            (v1::Way::Sms, v1::DeliveryState::Sent, sent)
        ]
    );
}

async fn wishes_are_kept_as_they_were_said(world: World) {
    let notifications = world.replica().await;
    let wishes = json!({
        "muted": {"PROMOTIONS": ["PUSH", "SMS"]}, "quiet_hours": {"from": 1320, "to": 420},
        "time_zone": "Europe/Helsinki", "language": "de", "snoozed_until": null,
    });
    assert_eq!(call(&notifications, "7", "preferences", wishes.clone()).await.unwrap(), wishes);
    assert_eq!(call(&notifications, "7", "preferences", json!({})).await.unwrap(), wishes);
    let message =
        notifications.get_preferences(v1::GetPreferencesRequest { user_id: "7".into() }).await.unwrap();
    assert_eq!(message.preferences.unwrap().quiet_hours, Some(v1::QuietHours { from: 1_320, to: 420 }));
    assert_eq!(notify(&notifications, order("ORDER_READY", "")).await.title, "Bestellung fertig");
    for wrong in [
        json!({"time_zone": "Mars"}),
        json!({"quiet_hours": {"from": 5000, "to": 1}}),
        json!({"muted": {"X": []}}),
    ] {
        assert_eq!(
            call(&notifications, "7", "preferences", wrong).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
}
