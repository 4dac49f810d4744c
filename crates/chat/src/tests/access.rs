//! Who may do what: every call, by everybody, and nothing of one room in another.

use super::*;

on_both! {
    a_stranger_gets_nothing_by_any_call_and_is_not_told_whether_there_is_a_room
    members_do_what_members_do_and_staff_comes_in
    a_message_of_another_room_can_not_be_reached_through_ones_own
    grants_let_read_and_not_write
    what_django_publishes_by_itself_is_told_as_it_is
    who_types_is_told_to_the_room_only_by_who_may_write
}

/// Every method, with what it takes.
fn methods(room: Value, message: u64) -> Vec<(&'static str, Value)> {
    vec![
        ("send", json!({"room_id": room, "content": "x"})),
        ("typing", json!({"room_id": room, "is_typing": true})),
        ("read", json!({"room_id": room, "sequence": 1})),
        ("edit", json!({"room_id": room, "message_id": message, "content": "x"})),
        ("delete", json!({"room_id": room, "message_id": message})),
        ("history", json!({"room_id": room})),
        ("presence", json!({"room_id": room})),
        ("search", json!({"room_id": room, "words": "hello"})),
    ]
}

async fn a_stranger_gets_nothing_by_any_call_and_is_not_told_whether_there_is_a_room(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    let message = send(&chat, "88", "7", "hello").await;
    let before = (world.told("chat:88").await.len(), contents(&chat, "88").await);
    for roles in [&[][..], &["CUSTOMER"], &["DELIVERY"], &["RESTAURANT"]] {
        let stranger = sender("8", roles);
        for (there, nowhere) in methods(json!(88), message.id).iter().zip(methods(json!(99), message.id)) {
            let (method, arguments) = there;
            let refused = call(&chat, &stranger, method, arguments.clone()).await.expect_err(method);
            let unknown = call(&chat, &stranger, method, nowhere.1).await.expect_err(method);
            assert_eq!(refused.code(), Code::PermissionDenied, "{method}: {refused}");
            assert_eq!((refused.code(), refused.message()), (unknown.code(), unknown.message()), "{method}");
        }
        let channel: Channel = "chat:88".parse().unwrap();
        let published = chat.send(&stranger, &channel, Bytes::from(r#"{"content":"x"}"#)).await.unwrap_err();
        assert_eq!(published.code(), Code::PermissionDenied);
        // Over all rooms there is nothing for a stranger.
        assert_eq!(
            call(&chat, &stranger, "search", json!({"words": "hello"})).await.unwrap(),
            json!({"messages": []})
        );
        assert_eq!(
            call(&chat, &stranger, "unread", json!({})).await.unwrap(),
            json!({"unread": 0, "rooms": []})
        );
    }
    assert_eq!((world.told("chat:88").await.len(), contents(&chat, "88").await), before);
}

async fn members_do_what_members_do_and_staff_comes_in(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    for (who, own) in [
        (sender("7", &[]), true),
        (sender("31", &["DELIVERY"]), true),
        (sender("50", &["SUPPORT"]), false),
        (sender("60", &["ADMIN"]), false),
    ] {
        let sent = call(&chat, &who, "send", json!({"room_id": "88", "content": "hello", "client_id": "c"}))
            .await
            .unwrap();
        let id = sent["message"]["id"].as_u64().unwrap();
        for (method, arguments) in methods(json!(88), id) {
            let answer = call(&chat, &who, method, arguments).await;
            if method == "read" && !own {
                assert_eq!(answer.unwrap_err().code(), Code::PermissionDenied, "staff has no mark");
            } else {
                answer.unwrap_or_else(|why| panic!("{method}: {why}"));
            }
        }
    }
    // On the socket of a room, the room need not be named; and what is named there makes no difference.
    let socket = Sender { channel: Some("chat:88".parse().unwrap()), ..sender("7", &[]) };
    call(
        &chat,
        &socket,
        "send",
        json!({"type": "send_message", "content": "flat", "message_type": "TEXT", "room_id": 99}),
    )
    .await
    .unwrap();
    assert_eq!(contents(&chat, "88").await.last().unwrap(), "flat");
    let system = json!({"content": "I am the platform", "message_type": "SYSTEM"});
    assert_eq!(call(&chat, &socket, "send", system).await.unwrap_err().code(), Code::InvalidArgument);
    for (method, arguments) in [
        ("send", json!([1])),
        ("send", json!({"content": 7})),
        ("edit", json!({})),
        ("typing", json!({"is_typing": "yes"})),
    ] {
        assert_eq!(
            call(&chat, &socket, method, arguments).await.unwrap_err().code(),
            Code::InvalidArgument,
            "{method}"
        );
    }
    assert_eq!(call(&chat, &socket, "burn", json!({})).await.unwrap_err().code(), Code::Unimplemented);
}

async fn a_message_of_another_room_can_not_be_reached_through_ones_own(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    put(&chat, v1::Room { members: vec![one("8", v1::MemberRole::Customer)], ..room("89") }).await;
    let message = send(&chat, "88", "7", "hello").await;
    let other = sender("8", &[]);
    for (method, arguments) in [
        ("edit", json!({"room_id": 89, "message_id": message.id, "content": "x"})),
        ("delete", json!({"room_id": 89, "message_id": message.id})),
    ] {
        assert_eq!(
            call(&chat, &other, method, arguments).await.unwrap_err().code(),
            Code::NotFound,
            "{method}"
        );
    }
    // Nor by its sender, who is in both: a message is where it is.
    put(&chat, v1::Room { members: vec![one("7", v1::MemberRole::Customer)], version: 2, ..room("89") })
        .await;
    let own = json!({"room_id": 89, "message_id": message.id});
    assert_eq!(call(&chat, &sender("7", &[]), "delete", own).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(contents(&chat, "88").await, ["hello"]);
}

async fn grants_let_read_and_not_write(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    send(&chat, "88", "7", "hello").await;
    let (guest, channel) = (sender("8", &[]), "chat:88".parse().unwrap());
    chat.grant("8", &channel, None).await.unwrap();
    let page = call(&chat, &guest, "history", json!({"room_id": 88})).await.unwrap();
    assert_eq!(page["messages"][0]["content"], json!("hello"));
    assert_eq!(
        call(&chat, &guest, "send", json!({"room_id": 88, "content": "x"})).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    assert!(chat.revoke("8", &channel).await.unwrap());
    assert!(call(&chat, &guest, "history", json!({"room_id": 88})).await.is_err());
}

async fn what_django_publishes_by_itself_is_told_as_it_is(world: World) {
    let chat = world.replica().await;
    let message =
        v1::Event { r#type: "chat_message".into(), payload: r#"{"id": 5}"#.into(), ..Default::default() };
    let event = platepal_events::Event::parse(message, Clock.now()).unwrap();
    chat.publish(event, vec!["chat:88".parse().unwrap()]).await.unwrap();
    assert_eq!(world.payloads("chat:88", "chat_message").await, [json!({"id": 5})]);
}

async fn who_types_is_told_to_the_room_only_by_who_may_write(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    let mut subscription = world.bus.subscribe(&"chat:88".parse().unwrap()).await.unwrap();
    let typing = json!({"room_id": 88, "is_typing": true});
    assert!(call(&chat, &sender("8", &[]), "typing", typing.clone()).await.is_err());
    for _ in 0..5 {
        call(&chat, &sender("7", &[]), "typing", typing.clone()).await.unwrap();
    }
    call(&chat, &sender("7", &[]), "typing", json!({"room_id": 88, "is_typing": false})).await.unwrap();
    send(&chat, "88", "7", "hello").await;
    let mut told = Vec::new();
    while let Some(delivery) = subscription.next().await {
        match delivery {
            platepal_bus::Delivery::Passing(event) => {
                told.push(serde_json::from_slice::<Value>(&event.payload).unwrap());
            }
            _ => break,
        }
    }
    let typing = |is| json!({"user_id": 7, "user_name": "N7", "is_typing": is});
    assert_eq!(told, [typing(true), typing(false)], "once in two seconds");
}
