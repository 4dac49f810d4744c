//! Chat as PlatePal's widget has it, the support desk, Django's copy; and the chat killed while people write.

use std::collections::BTreeMap;

use platepal_proto::v1;
use platepal_testkit::{Clients, PlatePalClient, Role, Shape, Socket, Tier, rng, seed};
use rand::Rng;
use serde_json::{Value, json};

use crate::{both_shapes, publishing::new_id};

fn member(user_id: u64, role: v1::MemberRole) -> v1::Member {
    v1::Member {
        user_id: user_id.to_string(),
        role: role.into(),
        name: format!("User {user_id}"),
        ..Default::default()
    }
}

/// A room of customer 7 and this courier.
async fn put_room(clients: &Clients, room_id: &str, courier: u64) -> v1::Room {
    let room = v1::Room {
        room_id: room_id.to_owned(),
        r#type: v1::RoomType::RiderCustomer.into(),
        members: vec![member(7, v1::MemberRole::Customer), member(courier, v1::MemberRole::Courier)],
        ..Default::default()
    };
    let answer = clients.chat().put_room(v1::PutRoomRequest { room: Some(room) }).await.unwrap();
    answer.into_inner().room.unwrap()
}

/// The next frame that is no news of the room itself.
async fn next(socket: &mut Socket) -> Value {
    loop {
        let frame = socket.json().await;
        if frame["type"] != "chat_room" {
            return frame;
        }
    }
}

both_shapes! {
    async fn frames_of_the_widget(tier: Tier) {
        let clients = tier.grpc();
        put_room(&clients, "88", 31).await;
        let mut customer = tier.connect("/ws/chat/88", &tier.token(7)).open().await;
        let mut courier = tier.connect("/ws/chat/88/", &tier.token(31)).open().await;
        customer.send_json(&json!({"type": "send_message", "content": "Where are you?", "message_type": "TEXT"})).await;
        // Everybody in the room sees it, the sender too.
        for socket in [&mut customer, &mut courier] {
            let frame = next(socket).await;
            assert_eq!(frame["type"], "chat_message", "{frame}");
            let message = &frame["data"];
            assert_eq!(
                json!([message["room"], message["sender"], message["sender_name"], message["content"], message["message_type"]]),
                json!([88, 7, "User 7", "Where are you?", "TEXT"])
            );
        }
        courier.send_json(&json!({"type": "typing", "is_typing": true})).await;
        for socket in [&mut customer, &mut courier] {
            let frame = next(socket).await;
            assert_eq!(frame, json!({"type": "typing", "user_id": 31, "user_name": "User 31", "is_typing": true}));
        }
        // Who is not heard of any more does not type.
        assert_eq!(next(&mut customer).await["is_typing"], json!(false));
        assert_eq!(next(&mut courier).await["is_typing"], json!(false));
        // With an id, one is answered.
        courier.send_json(&json!({"type": "send_message", "content": "At the door", "client_id": new_id(), "id": 1})).await;
        let answer = loop {
            let frame = next(&mut courier).await;
            if frame["id"] == json!(1) {
                break frame;
            }
        };
        assert_eq!(answer["type"], "send_message_result", "{answer}");
        assert_eq!(next(&mut customer).await["data"]["id"], answer["data"]["message"]["id"]);
        customer.send_json(&json!({"type": "history", "limit": 10, "id": "h"})).await;
        let history = customer.json_of_type("history_result").await;
        assert_eq!(history["data"]["messages"].as_array().unwrap().len(), 2, "{history}");
        customer.send_json(&json!({"type": "presence", "id": "p"})).await;
        let presence = customer.json_of_type("presence_result").await;
        assert_eq!(presence["data"]["user_ids"], json!([31, 7]), "{presence}");
        customer.send_json(&json!({"type": "send_message", "content": ""})).await;
        let refused = next(&mut customer).await;
        assert_eq!((&refused["type"], refused["message"].as_str().unwrap()), (&json!("error"), "content: must not be empty"));
        // Nobody else gets in.
        assert_eq!(tier.connect("/ws/chat/88", &tier.token(8)).open().await.closed().await.0, 4003);
        assert_eq!(tier.connect("/ws/chat/99", &tier.token(7)).open().await.closed().await.0, 4003);
        let mut staff = tier.connect("/ws/chat/88", &tier.token(50).role("SUPPORT")).open().await;
        staff.send_json(&json!({"type": "send_message", "content": "All well here?"})).await;
        assert_eq!(next(&mut customer).await["data"]["sender"], json!(50));
    }
}

both_shapes! {
    async fn who_is_taken_out_of_a_room_is_cut_at_once(tier: Tier) {
        let clients = tier.grpc();
        put_room(&clients, "88", 31).await;
        let mut customer = tier.connect("/ws/chat/88", &tier.token(7)).open().await;
        let mut courier = tier.connect("/ws/chat/88", &tier.token(31)).open().await;
        put_room(&clients, "88", 32).await;
        assert_eq!(courier.closed().await.0, 4003);
        let mut other = tier.connect("/ws/chat/88", &tier.token(32)).open().await;
        other.send_json(&json!({"type": "send_message", "content": "I took over"})).await;
        assert_eq!(next(&mut customer).await["data"]["content"], json!("I took over"));
        assert_eq!(tier.connect("/ws/chat/88", &tier.token(31)).open().await.closed().await.0, 4003);
    }
}

both_shapes! {
    async fn a_room_waits_at_the_desk_until_an_agent_takes_it(tier: Tier) {
        let clients = tier.grpc();
        let mut desk = tier.connect("/ws/admin", &tier.token(60).role("ADMIN")).open().await;
        let room = v1::Room {
            room_id: "5".to_owned(),
            r#type: v1::RoomType::Support.into(),
            members: vec![member(7, v1::MemberRole::Customer)],
            ..Default::default()
        };
        clients.chat().put_room(v1::PutRoomRequest { room: Some(room) }).await.unwrap();
        assert_eq!(desk.json_of_type("chat_waiting").await["data"]["room"], json!(5));
        let mut customer = tier.connect("/ws/chat/5", &tier.token(7)).open().await;
        let request = v1::AssignAgentRequest {
            room_id: "5".to_owned(),
            agent: Some(member(50, v1::MemberRole::Agent)),
            ..Default::default()
        };
        clients.chat().assign_agent(request).await.unwrap();
        assert_eq!(desk.json_of_type("chat_assigned").await["data"]["agent"]["user"], json!(50));
        let line = customer.json_of_type("chat_message").await;
        assert_eq!(line["data"]["content"], json!("User 50 has joined the chat."));
    }
}

/// Rooms and writers of the story below, messages of each, and how often the chat is killed.
const ROOMS: u64 = 3;
const WRITERS: u64 = 6;
const MESSAGES: usize = 30;
const KILLS: usize = 5;

async fn send(clients: &Clients, room_id: &str, user: u64, content: &str) {
    let request = v1::SendMessageRequest {
        room_id: room_id.to_owned(),
        sender_id: user.to_string(),
        content: content.to_owned(),
        ..Default::default()
    };
    clients.chat().send_message(request).await.unwrap();
}

/// Writes messages one after the other, each again until it is acknowledged.
async fn write(clients: Clients, room_id: String, user: u64) {
    for number in 0..MESSAGES {
        let request = v1::SendMessageRequest {
            room_id: room_id.clone(),
            sender_id: user.to_string(),
            client_id: format!("{user}-{number}"),
            content: format!("{user} {number}"),
            ..Default::default()
        };
        while let Err(status) = clients.chat().send_message(request.clone()).await {
            assert!(
                matches!(
                    status.code(),
                    tonic::Code::Unavailable
                        | tonic::Code::DeadlineExceeded
                        | tonic::Code::Cancelled
                        | tonic::Code::Unknown
                        | tonic::Code::Internal
                ),
                "{status}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

async fn everything_that_was_said_is_there_once_in_order(mut tier: Tier, victims: &[Role]) {
    let seed = seed();
    let mut random = rng(seed);
    let clients = tier.grpc();
    let mut feeds = Vec::new();
    for room in 0..ROOMS {
        put_room(&clients, &room.to_string(), 31).await;
        let url = tier.socket_url(&format!("/ws/chat/{room}"));
        let mut feed = PlatePalClient::open(&url, &tier.token(7).sign());
        feed.connected().await;
        // Whoever has seen nothing yet has nothing to go on from.
        send(&clients, &room.to_string(), 7, "hello").await;
        feed.wait_for_frames(1).await;
        feeds.push(feed);
    }
    let writers = (0..WRITERS).map(|number| {
        let user = if number % 2 == 0 { 7 } else { 31 };
        let (clients, room) = (tier.grpc(), (number % ROOMS).to_string());
        tokio::spawn(write(clients, room, user))
    });
    let writing = futures_util::future::join_all(writers);
    tokio::pin!(writing);
    for _ in 0..KILLS {
        let pause = std::time::Duration::from_millis(random.random_range(50..600));
        tokio::select! {
            _ = &mut writing => break,
            () = tokio::time::sleep(pause) => {}
        }
        for victim in victims {
            tier.kill(*victim);
        }
        for victim in victims {
            tier.start(*victim).await;
        }
    }
    for written in writing.await {
        written.unwrap();
    }
    let total = 1 + usize::try_from(WRITERS / ROOMS).unwrap() * MESSAGES;
    let mut mirrored = mirror(&tier.grpc(), total * feeds.len()).await;
    for (room, feed) in feeds.iter_mut().enumerate() {
        let request = v1::ListMessagesRequest { room_id: room.to_string(), limit: 200, ..Default::default() };
        let page = tier.grpc().chat().list_messages(request).await.unwrap().into_inner();
        let kept: Vec<(u64, String)> =
            page.messages.iter().map(|message| (message.sequence, message.content.clone())).collect();
        assert_eq!(kept.len(), total, "seed {seed}");
        assert!(kept.windows(2).all(|two| two[1].0 == two[0].0 + 1), "seed {seed}: {kept:?}");
        let said = |frames: &[Value]| -> Vec<(u64, String)> {
            let messages = frames.iter().filter(|frame| frame["type"] == "chat_message");
            messages
                .map(|frame| {
                    let data = &frame["data"];
                    (data["sequence"].as_u64().unwrap(), data["content"].as_str().unwrap().to_owned())
                })
                .collect()
        };
        let mut count = total;
        let mut seen = said(&feed.wait_for_frames(count).await);
        while seen.len() < total {
            count += 1;
            seen = said(&feed.wait_for_frames(count).await);
        }
        assert_eq!(seen, kept, "seed {seed}: what a reader saw");
        assert_eq!(mirrored.remove(&room.to_string()).unwrap(), kept, "seed {seed}: Django's copy");
        // Each writer's words are in the order in which they were said.
        for user in [7, 31] {
            let own: Vec<usize> = kept
                .iter()
                .filter_map(|(_, content)| content.strip_prefix(&format!("{user} "))?.parse().ok())
                .collect();
            assert!(own.is_sorted(), "seed {seed}");
        }
    }
}

/// All messages of Django's copy, by room.
async fn mirror(clients: &Clients, total: usize) -> BTreeMap<String, Vec<(u64, String)>> {
    let request = v1::ReadFeedRequest { reader: "django".to_owned(), after: None };
    let mut entries = clients.chat().read_mirror(request).await.unwrap().into_inner();
    let mut rooms: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    let mut count = 0;
    while count < total {
        let entry = entries.message().await.unwrap().unwrap();
        if entry.kind == "message" {
            let message: Value = serde_json::from_slice(&entry.payload).unwrap();
            let said =
                (message["sequence"].as_u64().unwrap(), message["content"].as_str().unwrap().to_owned());
            rooms.entry(entry.subject).or_default().push(said);
            count += 1;
        }
    }
    rooms
}

/// Nobody waits for the pace of people here.
fn builder() -> platepal_testkit::TierBuilder {
    Tier::builder(crate::BINARY).set("REALTIME_CHAT_PACE_MESSAGES", 1_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chat_is_killed_while_people_write() {
    let tier = builder().shape(Shape::Split).replica(Role::Replica("chat", 1)).start().await;
    everything_that_was_said_is_there_once_in_order(tier, &[Role::CHAT]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_tier_is_killed_while_people_write() {
    let tier = builder().start().await;
    let all = tier.roles();
    let victim = all.first().copied().unwrap();
    everything_that_was_said_is_there_once_in_order(tier, &[victim]).await;
}
