//! What is sent is kept once, in one order, and told.

use super::*;

on_both! {
    a_message_is_kept_told_and_listed
    a_repeat_with_the_same_client_id_is_the_same_message
    replicas_that_send_at_once_give_one_order_without_gaps
    who_sends_too_fast_is_told_how_long_to_wait_and_others_are_not_concerned
    edits_and_deletions_take_the_next_sequence_and_heal_whoever_missed_them
    history_pages_go_both_ways
    marks_only_move_on_and_unread_is_what_others_said_after_them
    words_are_found_where_the_user_may_look
    the_platform_says_what_is_canned
    attachments_come_from_where_they_may
}

async fn a_message_is_kept_told_and_listed(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    let sent = send(&chat, "88", "7", "hello").await;
    assert_eq!((sent.sequence, sent.changed, sent.sender_name.as_str(), sent.held), (2, 2, "N7", false));
    let told = world.payloads("chat:88", "chat_message").await;
    assert_eq!(told.len(), 1);
    let keys = ["id", "room", "sender", "sender_name", "message_type", "content", "is_read", "sequence"];
    let seen: Vec<&Value> = keys.iter().map(|key| &told[0][key]).collect();
    assert_eq!(json!(seen), json!([sent.id, 88, 7, "N7", "TEXT", "hello", false, 2]));
    assert_eq!(contents(&chat, "88").await, ["hello"]);
    // Nothing of it is in the room beside it.
    put(&chat, room("89")).await;
    assert_eq!(contents(&chat, "89").await, Vec::<String>::new());
    assert_eq!(world.told_types("chat:89").await, ["chat_room"]);
}

async fn a_repeat_with_the_same_client_id_is_the_same_message(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    let first = try_send(&chat, "88", "7", "c-1", "hello").await.unwrap();
    let again = try_send(&world.replica().await, "88", "7", "c-1", "hello").await.unwrap();
    assert_eq!((first.duplicate, again.duplicate), (false, true));
    assert_eq!(first.message, again.message);
    // Somebody else's id is another one.
    assert!(!try_send(&chat, "88", "31", "c-1", "hi").await.unwrap().duplicate);
    assert_eq!(world.payloads("chat:88", "chat_message").await.len(), 2);
    assert_eq!(contents(&chat, "88").await, ["hello", "hi"]);
}

async fn replicas_that_send_at_once_give_one_order_without_gaps(world: World) {
    let two = [world.replica_with(&[NO_PACE]).await, world.replica_with(&[NO_PACE]).await];
    for room_id in ["1", "2", "3"] {
        put(&two[0], room(room_id)).await;
    }
    let sends = (0..120).map(|n| {
        let (chat, room_id, user) = (&two[n % 2], ["1", "2", "3"][n % 3], ["7", "31"][n % 2]);
        async move { send(chat, room_id, user, &n.to_string()).await }
    });
    futures_util::future::join_all(sends).await;
    for room_id in ["1", "2", "3"] {
        let told = world.told(&format!("chat:{room_id}")).await;
        let sequences: Vec<i64> =
            told.iter().map(|entry| data(entry)["sequence"].as_i64().unwrap()).collect();
        assert_eq!(sequences, (1..=41).collect::<Vec<i64>>(), "as it was told");
        let told: Vec<String> = world
            .payloads(&format!("chat:{room_id}"), "chat_message")
            .await
            .iter()
            .map(|message| message["content"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(contents(&two[1], room_id).await, told, "as it is listed");
    }
}

async fn who_sends_too_fast_is_told_how_long_to_wait_and_others_are_not_concerned(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    put(&chat, room("89")).await;
    for n in 0..10 {
        try_send(&chat, "88", "7", &format!("c-{n}"), "hi").await.unwrap();
    }
    let refused = try_send(&chat, "88", "7", "c-10", "hi").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let words = refused.message();
    assert!(words == "too many messages; wait 10 s" || words == "too many messages; wait 9 s", "{words}");
    // A repeat of what was sent is no new message.
    assert!(try_send(&chat, "88", "7", "c-3", "hi").await.unwrap().duplicate);
    send(&chat, "88", "31", "hi").await;
    send(&chat, "89", "7", "hi").await;
    assert_eq!(contents(&chat, "88").await.len(), 11);
}

async fn edits_and_deletions_take_the_next_sequence_and_heal_whoever_missed_them(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    let (first, second) = (send(&chat, "88", "7", "helo").await, send(&chat, "88", "31", "hi").await);
    let edit = |id, user: &str| v1::EditMessageRequest { id, user_id: user.into(), content: "hello".into() };
    let edited = chat.edit_message(edit(first.id, "7")).await.unwrap().message.unwrap();
    assert_eq!((edited.sequence, edited.changed, edited.content.as_str()), (2, 4, "hello"));
    assert_eq!(chat.edit_message(edit(second.id, "7")).await.unwrap_err().code(), Code::PermissionDenied);
    let delete = v1::DeleteMessageRequest { id: second.id, user_id: "31".into() };
    let deleted = chat.delete_message(delete.clone()).await.unwrap().message.unwrap();
    assert_eq!((deleted.sequence, deleted.changed, deleted.content.as_str()), (3, 5, ""));
    let again = chat.delete_message(delete).await.unwrap().message.unwrap();
    assert_eq!(again, deleted, "deleting twice changes nothing");
    assert_eq!(chat.edit_message(edit(second.id, "")).await.unwrap_err().code(), Code::FailedPrecondition);
    let types = ["chat_room", "chat_message", "chat_message", "chat_message_edited", "chat_message_deleted"];
    assert_eq!(world.told_types("chat:88").await, types);
    // Somebody who saw the first three things.
    let request = v1::ListMessagesRequest { room_id: "88".into(), after_sequence: 3, ..Default::default() };
    let healed = chat.list_messages(request).await.unwrap();
    assert_eq!(healed.messages, [edited, deleted]);
    assert_eq!((healed.more, healed.sequence), (false, 5));
    let unknown = chat.edit_message(edit(999_999, "7")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

async fn history_pages_go_both_ways(world: World) {
    let chat = world.replica_with(&[NO_PACE]).await;
    put(&chat, room("88")).await;
    for n in 0..7 {
        send(&chat, "88", "7", &n.to_string()).await;
    }
    let page = async |before, after, limit| {
        let request = v1::ListMessagesRequest {
            room_id: "88".into(),
            before_sequence: before,
            after_sequence: after,
            limit,
        };
        let page = chat.list_messages(request).await.unwrap();
        let contents: Vec<String> = page.messages.iter().map(|message| message.content.clone()).collect();
        (contents.join(""), page.more)
    };
    assert_eq!(page(0, 0, 3).await, ("456".into(), true));
    assert_eq!(page(6, 0, 3).await, ("123".into(), true));
    assert_eq!(page(3, 0, 3).await, ("0".into(), false));
    assert_eq!(page(0, 1, 3).await, ("012".into(), true));
    assert_eq!(page(0, 7, 3).await, ("6".into(), false));
    for (before, after, limit) in [(1, 1, 3), (0, 0, 201), (u64::MAX, 0, 3)] {
        let request = v1::ListMessagesRequest {
            room_id: "88".into(),
            before_sequence: before,
            after_sequence: after,
            limit,
        };
        assert_eq!(chat.list_messages(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let nowhere = v1::ListMessagesRequest { room_id: "99".into(), ..Default::default() };
    assert_eq!(chat.list_messages(nowhere).await.unwrap_err().code(), Code::NotFound);
}

async fn marks_only_move_on_and_unread_is_what_others_said_after_them(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    put(&chat, room("89")).await;
    for content in ["a", "b"] {
        send(&chat, "88", "31", content).await;
    }
    send(&chat, "88", "7", "own").await;
    send(&chat, "89", "31", "c").await;
    let unread = async |user: &str| {
        let answer = chat.get_unread(v1::GetUnreadRequest { user_id: user.into() }).await.unwrap();
        let mut rooms: Vec<_> = answer.rooms.iter().map(|room| (room.room_id.clone(), room.unread)).collect();
        rooms.sort();
        (answer.unread, rooms)
    };
    assert_eq!(unread("7").await, (3, vec![("88".into(), 2), ("89".into(), 1)]));
    assert_eq!(unread("31").await, (1, vec![("88".into(), 1)]));
    assert_eq!(unread("8").await, (0, vec![]));
    let mark = async |user: &str, sequence| {
        let request = v1::MarkReadRequest { room_id: "88".into(), user_id: user.into(), sequence };
        chat.mark_read(request).await.map(|answer| answer.sequence)
    };
    assert_eq!(mark("7", 2).await.unwrap(), 2);
    assert_eq!(unread("7").await.0, 2);
    assert_eq!(mark("7", 1).await.unwrap(), 2, "it never goes back");
    assert_eq!(mark("7", 1_000).await.unwrap(), 4, "nor beyond the room");
    assert_eq!(unread("7").await, (1, vec![("89".into(), 1)]));
    assert_eq!(mark("8", 2).await.unwrap_err().code(), Code::PermissionDenied);
    let messages = chat
        .list_messages(v1::ListMessagesRequest { room_id: "88".into(), ..Default::default() })
        .await
        .unwrap()
        .messages;
    let read: Vec<bool> = messages.iter().map(|message| message.read_at.is_some()).collect();
    assert_eq!(read, [true, true, false], "who reads does not read the own words");
    let told = world.bus.latest(&"chat:88".parse().unwrap()).await.unwrap();
    let told: Vec<Value> = told.iter().map(data).collect();
    assert_eq!((told.len(), &told[0]["user_id"], &told[0]["sequence"]), (1, &json!(7), &json!(4)));
    // Deleted words are not unread.
    let last = send(&chat, "88", "31", "d").await;
    chat.delete_message(v1::DeleteMessageRequest { id: last.id, user_id: String::new() }).await.unwrap();
    assert_eq!(unread("7").await.0, 1);
}

async fn words_are_found_where_the_user_may_look(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    put(&chat, v1::Room { members: vec![one("8", v1::MemberRole::Customer)], ..room("89") }).await;
    send(&chat, "88", "7", "The courier is late, very late").await;
    let second = send(&chat, "88", "31", "Late? I am at the door: Straße 5").await;
    send(&chat, "89", "8", "late as well").await;
    let found = async |user: &str, room: &str, words: &str| {
        let request = v1::SearchMessagesRequest {
            user_id: user.into(),
            room_id: room.into(),
            words: words.into(),
            limit: 0,
        };
        chat.search_messages(request)
            .await
            .map(|answer| answer.messages.into_iter().map(|m| m.content).collect::<Vec<_>>())
    };
    assert_eq!(found("7", "", "LATE").await.unwrap().len(), 2);
    assert_eq!(found("7", "", "late courier").await.unwrap(), ["The courier is late, very late"]);
    assert_eq!(found("31", "88", "straße").await.unwrap().len(), 1);
    assert_eq!(found("8", "", "late").await.unwrap(), ["late as well"]);
    assert_eq!(found("8", "88", "late").await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(found("", "", "late").await.unwrap_err().code(), Code::InvalidArgument);
    for odd in ["", "\"", "late OR door", "NEAR(late, 5)", "a' OR '1'='1", "content:late"] {
        let hits = found("7", "", odd).await.unwrap();
        assert!(hits.len() <= 1, "{odd}: {hits:?}");
    }
    assert_eq!(found("7", "", "late*").await.unwrap().len(), 2);
    chat.edit_message(v1::EditMessageRequest { id: second.id, user_id: "31".into(), content: "soon".into() })
        .await
        .unwrap();
    assert_eq!(found("7", "", "late").await.unwrap().len(), 1);
    assert_eq!(found("7", "", "soon").await.unwrap().len(), 1);
}

async fn the_platform_says_what_is_canned(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    let canned = |name: &str| v1::SendMessageRequest {
        room_id: "88".into(),
        canned: name.into(),
        ..Default::default()
    };
    let said = chat.send_message(canned("wait")).await.unwrap().message.unwrap();
    assert_eq!((said.sender_id.as_str(), said.r#type()), ("", v1::MessageType::System));
    assert!(said.content.starts_with("Thank you for your patience"));
    let unknown = chat.send_message(canned("hello")).await.unwrap_err();
    assert!(unknown.message().contains("agent_joined, agent_left"), "{unknown}");
    let nobody = try_send(&chat, "88", "", "", "hi").await.unwrap_err();
    assert_eq!(nobody.code(), Code::InvalidArgument);
}

async fn attachments_come_from_where_they_may(world: World) {
    let chat = world.replica_with(&[("REALTIME_CHAT_ATTACHMENT_HOSTS", "media.platepal.example")]).await;
    put(&chat, room("88")).await;
    let image = |url: &str| v1::SendMessageRequest {
        room_id: "88".into(),
        sender_id: "7".into(),
        r#type: v1::MessageType::Image.into(),
        attachment: Some(v1::Attachment { url: url.into(), content_type: "image/png".into(), bytes: 7 }),
        ..Default::default()
    };
    chat.send_message(image("https://media.platepal.example/a.png")).await.unwrap();
    let told = world.payloads("chat:88", "chat_message").await;
    assert_eq!(told[0]["image_url"], json!("https://media.platepal.example/a.png"));
    assert_eq!(told[0]["file_url"], Value::Null);
    let refused = chat.send_message(image("https://evil.example/a.png")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}
