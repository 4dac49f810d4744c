//! The support desk.

use super::*;

on_both! {
    of_two_agents_who_take_a_room_at_once_one_gets_it
    a_hand_over_says_so_and_cuts_the_one_before
    agents_do_all_of_it_on_their_sockets
}

fn agent(user: &str) -> v1::Member {
    v1::Member { role: v1::MemberRole::Agent.into(), ..one(user, v1::MemberRole::Agent) }
}

fn assign(room_id: &str, to: &str, from: &str) -> v1::AssignAgentRequest {
    let agent = (!to.is_empty()).then(|| agent(to));
    v1::AssignAgentRequest {
        room_id: room_id.into(),
        release: agent.is_none(),
        agent,
        from_agent_id: from.into(),
    }
}

async fn waiting(chat: &Chat, agent_id: &str) -> Vec<String> {
    let rooms =
        chat.list_desk(v1::ListDeskRequest { agent_id: agent_id.into(), limit: 0 }).await.unwrap().rooms;
    rooms.into_iter().map(|room| room.room.unwrap().room_id).collect()
}

async fn of_two_agents_who_take_a_room_at_once_one_gets_it(world: World) {
    let two = [world.replica().await, world.replica().await];
    for room_id in ["1", "2"] {
        put(&two[0], support_room(room_id)).await;
    }
    put(&two[0], room("3")).await;
    assert_eq!(waiting(&two[0], "").await, ["1", "2"]);
    let (a, b) =
        tokio::join!(two[0].assign_agent(assign("1", "50", "")), two[1].assign_agent(assign("1", "51", "")));
    assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1);
    let refused = a.err().or(b.err()).unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().starts_with("this room is with 5"), "{refused}");
    assert_eq!(waiting(&two[0], "").await, ["2"]);
    assert_eq!(world.told_types("admin").await, ["chat_waiting", "chat_waiting", "chat_assigned"]);
    assert_eq!(contents(&two[0], "1").await.len(), 1, "one of them has joined");
}

async fn a_hand_over_says_so_and_cuts_the_one_before(world: World) {
    let chat = world.replica().await;
    put(&chat, support_room("1")).await;
    chat.assign_agent(assign("1", "50", "")).await.unwrap();
    chat.assign_agent(assign("1", "50", "")).await.unwrap();
    assert_eq!(waiting(&chat, "50").await, ["1"]);
    let wrong = chat.assign_agent(assign("1", "52", "51")).await.unwrap_err();
    assert_eq!(wrong.message(), "this room is with 50 now");
    chat.assign_agent(assign("1", "51", "50")).await.unwrap();
    assert_eq!((waiting(&chat, "50").await, waiting(&chat, "51").await), (vec![], vec!["1".to_owned()]));
    let revoked: Vec<Value> = world.told("sessions").await.iter().map(data).collect();
    assert_eq!(revoked, [json!({"user_id": "50", "channel": "chat:1"})]);
    chat.assign_agent(assign("1", "", "51")).await.unwrap();
    assert_eq!(waiting(&chat, "").await, ["1"]);
    let said = contents(&chat, "1").await;
    assert_eq!(
        said,
        [
            "N50 has joined the chat.",
            "N51 takes over from here.",
            "The agent has left the chat; somebody else will be with you soon.",
        ]
    );
    chat.close_room(v1::CloseRoomRequest { room_id: "1".into(), at: None }).await.unwrap();
    assert_eq!(waiting(&chat, "").await, Vec::<String>::new());
    assert_eq!(chat.assign_agent(assign("1", "50", "")).await.unwrap_err().message(), "this room is closed");
    assert_eq!(chat.assign_agent(assign("9", "50", "")).await.unwrap_err().code(), Code::NotFound);
}

async fn agents_do_all_of_it_on_their_sockets(world: World) {
    let chat = world.replica().await;
    put(&chat, support_room("1")).await;
    let staff = sender("50", &["SUPPORT"]);
    let desk = call(&chat, &staff, "desk", json!({})).await.unwrap();
    assert_eq!((&desk["waiting"][0]["room"], &desk["mine"]), (&json!(1), &json!([])));
    let taken = call(&chat, &staff, "take", json!({"room_id": 1, "name": "Sam"})).await.unwrap();
    assert_eq!((&taken["agent"]["user"], &taken["agent"]["name"]), (&json!(50), &json!("Sam")));
    call(&chat, &staff, "send", json!({"room_id": 1, "content": "How can I help?"})).await.unwrap();
    let handed = call(&chat, &staff, "take", json!({"room_id": 1, "from": 50, "to": 51, "name": "Kim"}))
        .await
        .unwrap();
    assert_eq!(handed["agent"]["user"], json!(51));
    let kim = sender("51", &["SUPPORT"]);
    assert_eq!(
        call(&chat, &staff, "release", json!({"room_id": 1})).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    call(&chat, &kim, "release", json!({"room_id": 1})).await.unwrap();
    for method in ["desk", "take", "release"] {
        let refused =
            call(&chat, &sender("7", &["CUSTOMER"]), method, json!({"room_id": 1})).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{method}");
    }
}
