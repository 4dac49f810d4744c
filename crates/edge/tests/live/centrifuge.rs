//! Centrifuge's protocol on a bare socket: what an SDK would not show.

use std::time::Duration;

use platepal_service::domain::Verdict;
use platepal_testkit::{Connect, Next, Socket, Token};
use serde_json::{Value, json};

use crate::house::{House, SECRET, event, id, revoked, rider_location, token};

/// A client that speaks JSON.
pub struct Client {
    socket: Socket,
    /// What the server said to its connect.
    pub connected: Value,
}

impl Client {
    pub async fn connect(house: &House, user: u64) -> Self {
        Self::with(house, json!({ "token": token(user) })).await
    }

    pub async fn with(house: &House, request: Value) -> Self {
        let mut socket = open(house).await;
        socket.send_text(&json!({ "id": 1, "connect": request }).to_string()).await;
        let reply = socket.json().await;
        Self { socket, connected: reply["connect"].clone() }
    }

    /// Sends a command, and gives the answer to it; pushes before it must not be.
    pub async fn ask(&mut self, command: Value) -> Value {
        self.socket.send_text(&command.to_string()).await;
        let reply = self.socket.json().await;
        assert_eq!(reply["id"], command["id"], "{reply}");
        reply
    }

    /// Sends a command, and waits for nothing.
    pub async fn send(&mut self, command: Value) {
        self.socket.send_json(&command).await;
    }

    /// What comes next.
    pub async fn next(&mut self) -> Value {
        self.socket.json().await
    }

    pub async fn subscribe(&mut self, request: Value) -> Value {
        self.ask(json!({ "id": 2, "subscribe": request })).await
    }

    /// The next push, of this channel.
    pub async fn push(&mut self, channel: &str) -> Value {
        let frame = self.socket.json().await;
        assert_eq!(frame["push"]["channel"], channel, "{frame}");
        frame["push"].clone()
    }

    pub async fn publication(&mut self, channel: &str) -> String {
        id(&self.push(channel).await["pub"]["data"])
    }
}

pub async fn open(house: &House) -> Socket {
    Connect::to(house.url("/connection/websocket")).open().await
}

#[tokio::test]
async fn a_user_is_given_its_own_feed_and_recovers_it() {
    let house = House::open().await;
    let mut client = Client::connect(&house, 7).await;
    let place = client.connected["subs"]["customer:7"].clone();
    assert_eq!(place["recoverable"], true, "{}", client.connected);
    house.publish("customer:7", &event("one")).await;
    let push = client.push("customer:7").await;
    assert_eq!(id(&push["pub"]["data"]), "one");
    client.socket.cut();
    house.publish("customer:7", &event("two")).await;
    house.publish("customer:7", &event("three")).await;
    let position = json!({ "recover": true, "epoch": place["epoch"], "offset": push["pub"]["offset"] });
    let client = Client::with(&house, json!({ "token": token(7), "subs": { "customer:7": position } })).await;
    let sub = &client.connected["subs"]["customer:7"];
    assert_eq!((&sub["recovered"], &sub["was_recovering"]), (&json!(true), &json!(true)), "{sub}");
    let ids: Vec<String> =
        sub["publications"].as_array().unwrap().iter().map(|publication| id(&publication["data"])).collect();
    assert_eq!(ids, ["two", "three"]);
}

#[tokio::test]
async fn what_does_not_fit_one_answer_follows_it() {
    let house = House::open().await;
    house.allow(7, "chat:1");
    let mut client = Client::connect(&house, 7).await;
    let first = client.subscribe(json!({ "channel": "chat:1" })).await;
    let epoch = &first["subscribe"]["epoch"];
    let offset = first["subscribe"]["offset"].as_u64().unwrap_or(0);
    client.ask(json!({ "id": 3, "unsubscribe": { "channel": "chat:1" } })).await;
    let ids: Vec<String> = (0..300).map(|number| format!("event-{number}")).collect();
    for id in &ids {
        house.publish("chat:1", &event(id)).await;
    }
    let request = json!({ "channel": "chat:1", "recover": true, "epoch": epoch, "offset": offset });
    let reply = client.subscribe(request).await;
    let publications = reply["subscribe"]["publications"].as_array().unwrap();
    assert!(!publications.is_empty() && publications.len() < ids.len());
    let mut seen: Vec<String> = publications.iter().map(|publication| id(&publication["data"])).collect();
    while seen.len() < ids.len() {
        seen.push(client.publication("chat:1").await);
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn values_are_given_to_newcomers_and_have_no_offset() {
    let house = House::open().await;
    house.publish("customer:7", &rider_location("1", 9)).await;
    let mut client = Client::connect(&house, 7).await;
    let push = client.push("customer:7").await;
    assert_eq!(push["pub"]["data"]["data"]["eta_minutes"], 9);
    assert_eq!(push["pub"]["offset"], Value::Null);
}

#[tokio::test]
async fn a_channel_is_only_for_those_whom_its_owner_allows() {
    let house = House::open().await;
    let mut client = Client::connect(&house, 7).await;
    assert_eq!(client.subscribe(json!({ "channel": "chat:1" })).await["error"]["code"], 103);
    assert_eq!(client.subscribe(json!({ "channel": "customer:8" })).await["error"]["code"], 103);
    assert_eq!(client.subscribe(json!({ "channel": "sessions" })).await["error"]["code"], 102);
    assert_eq!(client.subscribe(json!({ "channel": "chat_room_1" })).await["error"]["code"], 102);
    house.rule(7, "chat:1", Verdict::Undecided("Django is down".into()));
    let undecided = client.subscribe(json!({ "channel": "chat:1" })).await;
    assert_eq!((&undecided["error"]["code"], &undecided["error"]["temporary"]), (&json!(100), &json!(true)));
    house.allow(7, "chat:1");
    assert_eq!(client.subscribe(json!({ "channel": "chat:1" })).await["error"], Value::Null);
    assert_eq!(client.subscribe(json!({ "channel": "chat:1" })).await["error"]["code"], 105);
    for command in [
        json!({ "id": 9, "history": { "channel": "chat:2", "limit": 5 } }),
        json!({ "id": 9, "presence": { "channel": "chat:2" } }),
        json!({ "id": 9, "presence_stats": { "channel": "chat:2" } }),
    ] {
        assert_eq!(client.ask(command).await["error"]["code"], 103);
    }
}

#[tokio::test]
async fn a_subscription_token_opens_its_channel_to_its_user() {
    let house = House::open().await;
    let right = |user: u64, channel: &str| {
        Token::new(SECRET, user).claim("sub", user.to_string()).claim("channel", channel).sign()
    };
    let mut client = Client::connect(&house, 7).await;
    let reply = client.subscribe(json!({ "channel": "chat:1", "token": right(7, "chat:1") })).await;
    assert_eq!(reply["subscribe"]["expires"], true, "{reply}");
    assert!(reply["subscribe"]["ttl"].as_u64().unwrap() > 0);
    assert_eq!(house.rules.questions.load(std::sync::atomic::Ordering::SeqCst), 0);
    // Another user's token ends the connection: somebody passes on what is not theirs to pass on.
    client
        .socket
        .send_text(
            &json!({ "id": 3, "subscribe": { "channel": "chat:2", "token": right(8, "chat:2") } })
                .to_string(),
        )
        .await;
    assert_eq!(client.socket.closed().await.0, 3500);
}

#[tokio::test]
async fn a_right_that_is_taken_back_ends_the_subscription_and_nothing_else() {
    let house = House::open().await;
    house.allow(7, "chat:1");
    let mut client = Client::connect(&house, 7).await;
    client.subscribe(json!({ "channel": "chat:1" })).await;
    house.rule(7, "chat:1", Verdict::Denied("left the room".into()));
    house.tell_edges(&revoked(7, "chat:1")).await;
    let push = client.push("chat:1").await;
    assert_eq!(push["unsubscribe"]["code"], 2000, "{push}");
    house.publish("chat:1", &event("secret")).await;
    house.publish("customer:7", &event("own")).await;
    assert_eq!(client.publication("customer:7").await, "own");
}

#[tokio::test]
async fn readers_of_a_chat_see_who_is_there_who_comes_and_who_goes() {
    let house = House::open().await;
    house.allow(7, "chat:1");
    house.allow(8, "chat:1");
    let mut first = Client::with(
        &house,
        json!({ "token": Token::new(SECRET, 7).claim("info", json!({ "name": "Ann" })).sign() }),
    )
    .await;
    first.subscribe(json!({ "channel": "chat:1", "join_leave": true })).await;
    let own = first.push("chat:1").await;
    assert_eq!(own["join"]["info"]["conn_info"]["name"], "Ann", "{own}");
    let mut second = Client::connect(&house, 8).await;
    second.subscribe(json!({ "channel": "chat:1" })).await;
    let joined = first.push("chat:1").await;
    assert_eq!(joined["join"]["info"]["user"], "8");
    assert_eq!(joined["join"]["info"]["client"], second.connected["client"]);
    let stats = first.ask(json!({ "id": 4, "presence_stats": { "channel": "chat:1" } })).await;
    assert_eq!(stats["presence_stats"], json!({ "num_clients": 2, "num_users": 2 }));
    let presence = first.ask(json!({ "id": 5, "presence": { "channel": "chat:1" } })).await;
    let me = first.connected["client"].as_str().unwrap();
    assert_eq!(presence["presence"]["presence"][me]["conn_info"]["name"], "Ann", "{presence}");
    second.socket.cut();
    assert_eq!(first.push("chat:1").await["leave"]["info"]["user"], "8");
    // Not everybody may know who reads an order.
    house.allow(7, "order:1");
    let refused = first.ask(json!({ "id": 6, "presence": { "channel": "order:1" } })).await;
    assert_eq!(refused["error"]["code"], 108);
}

#[tokio::test]
async fn history_is_paged_both_ways() {
    let house = House::open().await;
    for number in 0..7 {
        house.publish("customer:7", &event(&format!("event-{number}"))).await;
    }
    let mut client = Client::connect(&house, 7).await;
    let mut history = async |request: Value| {
        let mut request = request;
        request["channel"] = "customer:7".into();
        client.ask(json!({ "id": 3, "history": request })).await["history"].clone()
    };
    let ids = |history: &Value| -> Vec<String> {
        history["publications"].as_array().unwrap().iter().map(|own| id(&own["data"])).collect()
    };
    let top = history(json!({})).await;
    assert_eq!(ids(&top), [""; 0]);
    let page = history(json!({ "limit": 3 })).await;
    assert_eq!(ids(&page), ["event-0", "event-1", "event-2"]);
    let last = page["publications"][2]["offset"].clone();
    let since = json!({ "offset": last, "epoch": top["epoch"] });
    assert_eq!(ids(&history(json!({ "limit": 2, "since": since })).await), ["event-3", "event-4"]);
    assert_eq!(ids(&history(json!({ "limit": 2, "reverse": true })).await), ["event-6", "event-5"]);
    let reverse = json!({ "limit": 9, "reverse": true, "since": since });
    assert_eq!(ids(&history(reverse).await), ["event-1", "event-0"]);
    assert_eq!(ids(&history(json!({ "limit": -1 })).await).len(), 7);
    let reply = client
        .ask(json!({ "id": 4, "history": { "channel": "customer:7", "limit": 1, "since": { "offset": 1, "epoch": "other" } } }))
        .await;
    assert_eq!(reply["error"]["code"], 112);
}

#[tokio::test]
async fn what_is_out_of_order_ends_the_connection() {
    let house = House::with(&[("REALTIME_EDGE_CONNECT_TIMEOUT", "300ms")]).await;
    for (frames, code) in [
        (vec!["{\"id\":1,\"subscribe\":{\"channel\":\"customer:7\"}}"], 3501),
        (vec!["hello"], 3501),
        (vec!["\n"], 3501),
        (vec!["{\"id\":1,\"connect\":{\"token\":\"wrong\"}}"], 3500),
        (vec!["{\"id\":1,\"connect\":{}}"], 3501),
        (vec![], 3502),
    ] {
        let mut socket = open(&house).await;
        for frame in &frames {
            socket.send_text(frame).await;
        }
        assert_eq!(socket.closed().await.0, code, "{frames:?}");
    }
    let mut client = Client::connect(&house, 7).await;
    client.socket.send_text(&json!({ "id": 2, "connect": { "token": token(7) } }).to_string()).await;
    assert_eq!(client.socket.closed().await.0, 3501);
}

#[tokio::test]
async fn a_token_can_be_renewed_and_one_that_was_not_ends_the_connection() {
    let house = House::with(&[("REALTIME_EDGE_REFRESH_GRACE", "0s")]).await;
    let short = || Token::new(SECRET, 7).expires_in(Duration::from_secs(2)).sign();
    let mut renewed = Client::with(&house, json!({ "token": short() })).await;
    let mut late = Client::with(&house, json!({ "token": short() })).await;
    assert!(renewed.connected["ttl"].as_u64().unwrap() <= 2);
    let reply = renewed.ask(json!({ "id": 2, "refresh": { "token": token(7) } })).await;
    assert_eq!(reply["refresh"]["client"], renewed.connected["client"]);
    assert!(reply["refresh"]["ttl"].as_u64().unwrap() > 2);
    assert_eq!(late.socket.closed().await.0, 3005);
    house.publish("customer:7", &event("still-here")).await;
    assert_eq!(renewed.publication("customer:7").await, "still-here");
    // Nobody becomes somebody else.
    renewed.socket.send_text(&json!({ "id": 3, "refresh": { "token": token(8) } }).to_string()).await;
    assert_eq!(renewed.socket.closed().await.0, 3500);
    let expired = Token::new(SECRET, 7).expired().sign();
    let mut socket = open(&house).await;
    socket.send_text(&json!({ "id": 1, "connect": { "token": expired } }).to_string()).await;
    assert_eq!(socket.json().await["error"]["code"], 109);
}

#[tokio::test]
async fn a_client_that_asks_too_much_is_told_and_then_closed() {
    let house =
        House::with(&[("REALTIME_EDGE_MESSAGES_PER_SECOND", "1"), ("REALTIME_EDGE_MESSAGES_BURST", "2")])
            .await;
    let mut client = Client::connect(&house, 7).await;
    let commands: Vec<String> =
        (2..200).map(|id| json!({ "id": id, "rpc": { "method": "none" } }).to_string()).collect();
    client.socket.send_text(&commands.join("\n")).await;
    let mut codes = std::collections::BTreeMap::<u64, usize>::new();
    let close = loop {
        match client.socket.next(platepal_testkit::PATIENCE).await {
            Next::Json(reply) => *codes.entry(reply["error"]["code"].as_u64().unwrap()).or_default() += 1,
            Next::Closed(code, _) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(close, 3013);
    assert!(codes[&111] > 10, "{codes:?}");
}

#[tokio::test]
async fn a_connection_holds_many_channels_but_not_any_number() {
    let house = House::with(&[("REALTIME_EDGE_CHANNELS_MAX", "60")]).await;
    for room in 1..=60 {
        house.allow(7, &format!("chat:{room}"));
    }
    let mut client = Client::connect(&house, 7).await;
    // All in one frame, as SDKs do after a reconnect.
    let commands: Vec<String> = (1..=60)
        .map(|room| json!({ "id": room + 1, "subscribe": { "channel": format!("chat:{room}") } }).to_string())
        .collect();
    client.socket.send_text(&commands.join("\n")).await;
    let mut errors = Vec::new();
    for _ in 1..=60 {
        let reply = client.socket.json().await;
        errors.extend(reply["error"]["code"].as_u64());
    }
    assert_eq!(errors, [106], "one place is taken by its own feed");
}
