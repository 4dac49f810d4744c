//! Export and deletion by user.

use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::*;

on_both! {
    a_user_gets_everything_that_they_wrote_and_nothing_else
    nothing_of_a_deleted_user_is_left_but_the_places
}

async fn exported(chat: &Chat, user_id: &str) -> Vec<String> {
    let pages = chat.export(v1::ExportUserRequest { user_id: user_id.into() }).unwrap();
    let pages: Vec<_> = ReceiverStream::new(pages).map(Result::unwrap).collect().await;
    pages.into_iter().flat_map(|page| page.messages).map(|message| message.content).collect()
}

async fn a_user_gets_everything_that_they_wrote_and_nothing_else(world: World) {
    let chat = world.replica_with(&[NO_PACE]).await;
    put(&chat, room("88")).await;
    put(&chat, room("89")).await;
    for n in 0..250 {
        send(&chat, ["88", "89"][n % 2], "7", &n.to_string()).await;
    }
    send(&chat, "88", "31", "not mine").await;
    let own = exported(&chat, "7").await;
    assert_eq!(own, (0..250).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(exported(&chat, "8").await, Vec::<String>::new());
}

async fn nothing_of_a_deleted_user_is_left_but_the_places(world: World) {
    let chat = world.replica().await;
    for room_id in ["88", "89", "90"] {
        put(&chat, room(room_id)).await;
    }
    send(&chat, "88", "7", "a secret").await;
    send(&chat, "89", "7", "another secret").await;
    send(&chat, "88", "31", "hi").await;
    let deleted = chat.delete_user(v1::DeleteUserRequest { user_id: "7".into() }).await.unwrap();
    assert_eq!(deleted.messages, 2);
    assert_eq!(chat.delete_user(v1::DeleteUserRequest { user_id: "7".into() }).await.unwrap().messages, 0);
    assert_eq!(contents(&chat, "88").await, ["", "hi"]);
    assert_eq!(world.payloads("chat:89", "chat_message_deleted").await[0]["sender_name"], json!(""));
    for room_id in ["88", "89", "90"] {
        let room = chat.get_room(v1::GetRoomRequest { room_id: room_id.into() }).await.unwrap().room.unwrap();
        let names: Vec<String> = room.members.into_iter().map(|member| member.name).collect();
        assert_eq!(names, ["", "N31"]);
    }
    let request =
        v1::SearchMessagesRequest { user_id: "31".into(), words: "secret".into(), ..Default::default() };
    assert!(chat.search_messages(request).await.unwrap().messages.is_empty());
    let rows = chat
        .store
        .database
        .rows(
            "SELECT COUNT(*) AS n FROM chat_messages WHERE content LIKE '%secret%' OR sender LIKE '%N7%'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(rows[0].int("n").unwrap(), 0);
}
