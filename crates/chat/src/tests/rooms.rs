//! Rooms: versions, membership, closing.

use platepal_service::{learning::Learner, worker::fire_due};

use super::*;
use crate::worker::OrdersEnd;

on_both! {
    who_is_left_out_loses_the_room_at_once
    a_closed_room_is_read_only
    a_room_closes_at_its_time_once_whichever_replica_does_it
    a_room_closes_an_hour_after_its_order
    rooms_that_were_closed_long_ago_are_forgotten_with_everything
}

async fn who_is_left_out_loses_the_room_at_once(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    let channel: Channel = "chat:88".parse().unwrap();
    let may = async |user: &str| chat.authorize(&sender(user, &[]).principal, "", &channel).await;
    assert!(matches!(may("31").await, platepal_service::domain::Verdict::Allowed(_)));
    let members = vec![one("7", v1::MemberRole::Customer), one("32", v1::MemberRole::Courier)];
    let changed = v1::Room { members, version: 2, ..room("88") };
    assert_eq!(put(&chat, changed.clone()).await.sequence, 2);
    assert!(matches!(may("31").await, platepal_service::domain::Verdict::Denied(_)));
    assert!(matches!(may("32").await, platepal_service::domain::Verdict::Allowed(_)));
    let revoked: Vec<Value> = world.told("sessions").await.iter().map(data).collect();
    assert_eq!(revoked, [json!({"user_id": "31", "channel": "chat:88"})]);
    assert_eq!(
        try_send(&chat, "88", "31", "", "still here?").await.unwrap_err().code(),
        Code::PermissionDenied
    );
    // What Django says again, or says late, changes nothing.
    assert_eq!(put(&chat, changed).await.sequence, 2);
    let late = chat.put_room(v1::PutRoomRequest { room: Some(room("88")) }).await.unwrap();
    assert!(late.stale);
    assert_eq!(world.told_types("chat:88").await, ["chat_room", "chat_room"]);
    // Who comes has nothing unread of what was before.
    let unread = chat.get_unread(v1::GetUnreadRequest { user_id: "32".into() }).await.unwrap();
    assert_eq!(unread.unread, 0);
}

async fn a_closed_room_is_read_only(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    send(&chat, "88", "7", "hello").await;
    let close = || v1::CloseRoomRequest { room_id: "88".into(), at: None };
    assert!(chat.close_room(close()).await.unwrap().room.unwrap().closed);
    assert_eq!(
        chat.close_room(close()).await.unwrap().room.unwrap().sequence,
        3,
        "closing twice changes nothing"
    );
    let refused = try_send(&chat, "88", "7", "", "one more").await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::FailedPrecondition, "this room is closed; it can be read, nothing can be written")
    );
    assert_eq!(contents(&chat, "88").await, ["hello"]);
    let told = world.payloads("chat:88", "chat_room").await;
    assert_eq!(told.last().unwrap()["is_active"], json!(false));
    let nowhere = v1::CloseRoomRequest { room_id: "99".into(), at: None };
    assert_eq!(chat.close_room(nowhere).await.unwrap_err().code(), Code::NotFound);
}

async fn a_room_closes_at_its_time_once_whichever_replica_does_it(world: World) {
    let two = [world.replica().await, world.replica().await];
    put(&two[0], room("88")).await;
    let at = Clock.now().plus_millis(60_000);
    let close = v1::CloseRoomRequest { room_id: "88".into(), at: Some(at.into()) };
    assert!(!two[0].close_room(close).await.unwrap().room.unwrap().closed);
    let early = fire_due(&two[0].store, 10, at.plus_millis(-1)).await.unwrap();
    assert_eq!(early, 0);
    let (a, b) = tokio::join!(fire_due(&two[0].store, 10, at), fire_due(&two[1].store, 10, at));
    assert_eq!(a.unwrap() + b.unwrap(), 1);
    assert_eq!(world.told_types("chat:88").await.len(), 3);
    assert_eq!(try_send(&two[0], "88", "7", "", "hi").await.unwrap_err().code(), Code::FailedPrecondition);
}

async fn a_room_closes_an_hour_after_its_order(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    put(&chat, v1::Room { order_id: "5013".into(), ..room("89") }).await;
    let orders = OrdersEnd { store: chat.store.clone(), grace: Duration::from_secs(3_600), clock: Clock };
    let ended_at = Clock.now();
    let entry = |kind: &str| order_entry(kind, ended_at);
    orders.learn(&entry("order.ready")).await.unwrap();
    assert_eq!(world.told_types("chat:88").await.len(), 1);
    orders.learn(&entry("order.completed")).await.unwrap();
    // It may be learned again.
    orders.learn(&entry("order.completed")).await.unwrap();
    assert_eq!(world.told_types("chat:88").await.len(), 2);
    assert_eq!(world.told_types("chat:89").await.len(), 1);
    let hour = ended_at.plus_millis(3_600_000);
    assert_eq!(fire_due(&chat.store, 10, hour.plus_millis(-1)).await.unwrap(), 0);
    assert_eq!(fire_due(&chat.store, 10, hour).await.unwrap(), 1);
    let get = chat.get_room(v1::GetRoomRequest { room_id: "88".into() }).await.unwrap();
    assert!(get.room.unwrap().closed);
}

fn order_entry(kind: &str, at: Timestamp) -> Entry {
    let message = v1::Event { r#type: kind.into(), payload: "{}".into(), ..Default::default() };
    Entry {
        event: platepal_events::Event::parse(message, at).unwrap().into(),
        channel: "order:5012".parse().unwrap(),
        position: platepal_events::Position { epoch: platepal_events::Epoch::new("e"), offset: 1 },
        previous_offset: 0,
        kept_at: at,
    }
}

async fn rooms_that_were_closed_long_ago_are_forgotten_with_everything(world: World) {
    let chat = world.replica().await;
    for room_id in ["88", "89"] {
        put(&chat, room(room_id)).await;
        send(&chat, room_id, "7", "hello").await;
    }
    chat.close_room(v1::CloseRoomRequest { room_id: "88".into(), at: None }).await.unwrap();
    let year = Clock.now().plus_millis(366 * 24 * 3_600_000);
    assert_eq!(chat.store.forget(Clock.now()).await.unwrap(), 0);
    assert_eq!(chat.store.forget(year).await.unwrap(), 1);
    assert_eq!(
        chat.get_room(v1::GetRoomRequest { room_id: "88".into() }).await.unwrap_err().code(),
        Code::NotFound
    );
    assert_eq!(contents(&chat, "89").await, ["hello"]);
    let left = chat
        .store
        .database
        .rows("SELECT COUNT(*) AS n FROM chat_messages WHERE room_id = '88'", &[])
        .await
        .unwrap();
    assert_eq!(left[0].int("n").unwrap(), 0);
}
