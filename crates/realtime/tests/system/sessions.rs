//! Sessions, as a backend sees and orders them, over all edges.

use std::time::Duration;

use platepal_proto::v1;
use platepal_testkit::{Role, Shape, Tier, eventually};
use serde_json::json;
use tonic::{Code, Status};

use crate::{
    centrifuge::{Client, soon},
    publishing::{event, new_id, publish},
};

/// Runs one story with every role in one process, and with two edges among many processes.
macro_rules! one_edge_and_two {
    (async fn $name:ident($tier:ident: Tier, $edges:ident) $body:block) => {
        mod $name {
            use super::*;

            #[allow(unused_mut)]
            async fn story(mut $tier: Tier, $edges: [Role; 2]) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn all_in_one() {
                story(Tier::all_in_one(crate::BINARY).await, [Role::EDGE, Role::EDGE]).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn split() {
                story(two_edges().await, [Role::Edge(0), Role::Edge(1)]).await;
            }
        }
    };
}

/// A tier of many processes whose gateway knows both of its edges.
async fn two_edges() -> Tier {
    let tier = Tier::builder(crate::BINARY).shape(Shape::Split).edges(2).start().await;
    eventually("the gateway knows both edges", || async { edges(&tier).await.len() == 2 }).await;
    tier
}

async fn edges(tier: &Tier) -> Vec<v1::Edge> {
    tier.grpc().sessions().edges(v1::EdgesRequest {}).await.unwrap().into_inner().edges
}

fn user(id: &str) -> Option<v1::Selector> {
    Some(v1::Selector { user_id: id.into(), ..Default::default() })
}

fn client(id: &str) -> Option<v1::Selector> {
    Some(v1::Selector { client_id: id.into(), ..Default::default() })
}

async fn grant(tier: &Tier, user: &str, channel: &str) {
    let grant = v1::GrantRequest { user_id: user.into(), channel: channel.into(), expires_at: None };
    tier.grpc().sessions().grant(grant).await.unwrap();
}

async fn connected(tier: &Tier, user: &str, channel: &str) -> v1::ConnectedResponse {
    let ask = v1::ConnectedRequest { user_id: user.into(), channel: channel.into(), ..Default::default() };
    tier.grpc().sessions().connected(ask).await.unwrap().into_inner()
}

fn seconds_from_now(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(platepal_service::Clock.now().plus_millis(seconds * 1_000).into())
}

one_edge_and_two! {
    async fn a_user_is_disconnected_everywhere_within_a_second_but_for_who_is_spared(tier: Tier, edges) {
        let [here, there] = edges;
        let token = tier.token(7);
        let mut socket = tier.connect_to(here, "/ws/customer/7", &token).open().await;
        let mut ended = Client::connect(&tier, there, &token).await;
        let mut spared = Client::connect(&tier, there, &token).await;
        let mut stranger = Client::connect(&tier, there, &tier.token(8)).await;
        eventually("all are known", || async { connected(&tier, "7", "").await.clients == 3 }).await;
        let order = v1::DisconnectRequest {
            selector: user("7"),
            except: vec![spared.id.clone()],
            reason: "signed out".into(),
            ..Default::default()
        };
        tier.grpc().sessions().disconnect(order).await.unwrap();
        soon("closing them", async {
            assert_eq!(socket.closed().await, (4000, "signed out".to_owned()));
            assert_eq!(ended.closed().await, (3503, "signed out".to_owned()));
        }).await;
        spared.assert_open().await;
        stranger.assert_open().await;
        let order = v1::DisconnectRequest { selector: client(&spared.id), code: 4100, ..Default::default() };
        tier.grpc().sessions().disconnect(order).await.unwrap();
        assert_eq!(soon("closing one", spared.closed()).await.0, 4100);
        // The same user may come back.
        Client::connect(&tier, here, &token).await.assert_open().await;
        stranger.assert_open().await;
    }
}

one_edge_and_two! {
    async fn who_is_connected_is_known_over_all_edges(tier: Tier, edges) {
        let [here, there] = edges;
        for user in ["7", "9"] {
            grant(&tier, user, "chat:88").await;
        }
        let mut first = Client::connect(&tier, here, &tier.token(7)).await;
        let mut second = Client::connect(&tier, there, &tier.token(7)).await;
        let mut third = Client::connect(&tier, there, &tier.token(9)).await;
        for client in [&mut first, &mut second, &mut third] {
            client.subscribe("chat:88").await;
        }
        let _feed = tier.connect_to(here, "/ws/customer/9", &tier.token(9)).open().await;

        let readers = connected(&tier, "", "chat:88").await;
        assert_eq!((readers.clients, readers.users, readers.silent_edges.len()), (3, 2, 0));
        let mut ids: Vec<&str> = readers.sessions.iter().map(|session| session.client_id.as_str()).collect();
        let mut expected = [first.id.as_str(), &second.id, &third.id];
        ids.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ids, expected);
        assert!(readers.sessions.iter().all(|session| session.protocol == "centrifuge" && !session.edge.is_empty()));
        let ask = v1::ConnectedRequest { channel: "chat:88".into(), limit: 1, ..Default::default() };
        let one = tier.grpc().sessions().connected(ask).await.unwrap().into_inner();
        assert_eq!((one.sessions.len(), one.clients), (1, 3));
        eventually("the feed is known too", || async { connected(&tier, "9", "").await.clients == 2 }).await;

        // As clients see it, whatever edge they ask.
        for client in [&mut first, &mut third] {
            eventually_stats(client, 3, 2).await;
        }
        let presence = first.ask("presence", json!({ "channel": "chat:88" })).await;
        assert_eq!(presence["presence"]["presence"].as_object().unwrap().len(), 3, "{presence}");

        let ask = v1::ChannelsRequest { pattern: "chat:*".into(), limit: 0 };
        let channels = tier.grpc().sessions().channels(ask).await.unwrap().into_inner();
        assert_eq!(channels.clients.into_iter().collect::<Vec<_>>(), [("chat:88".to_owned(), 3)]);
        let edges = super::edges(&tier).await;
        assert!(edges.iter().all(|edge| edge.answered && !edge.version.is_empty()));
        assert_eq!(edges.iter().map(|edge| edge.clients).sum::<u32>(), 4);
    }
}

/// Edges learn of each other within a moment.
async fn eventually_stats(client: &mut Client, clients: u64, users: u64) {
    let deadline = std::time::Instant::now() + platepal_testkit::PATIENCE;
    loop {
        let reply = client.ask("presence_stats", json!({ "channel": "chat:88" })).await;
        let stats = &reply["presence_stats"];
        if stats["num_clients"] == clients && stats["num_users"] == users {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{reply}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

one_edge_and_two! {
    async fn channels_are_given_and_taken_while_sessions_are_open(tier: Tier, edges) {
        let [here, there] = edges;
        let mut sessions = tier.grpc().sessions();
        let mut first = Client::connect(&tier, here, &tier.token(7)).await;
        let mut second = Client::connect(&tier, there, &tier.token(7)).await;
        // Without a grant: it is the backend's word.
        let order = v1::SubscribeRequest { selector: user("7"), channel: "chat_room_88".into(), expires_at: None };
        sessions.subscribe(order.clone()).await.unwrap();
        for client in [&mut first, &mut second] {
            soon("being given it", client.push("subscribe", "chat:88")).await;
        }
        // Again: nothing happens.
        sessions.subscribe(order).await.unwrap();
        let id = new_id();
        publish(&tier.grpc(), event(&id, &json!({})), &["chat:88"]).await;
        for client in [&mut first, &mut second] {
            assert_eq!(client.push("pub", "chat:88").await["data"]["event_id"], id.as_str());
        }
        let order = v1::UnsubscribeRequest { selector: client(&first.id), channel: "chat:88".into() };
        sessions.unsubscribe(order).await.unwrap();
        let push = soon("its being taken", first.push("unsubscribe", "chat:88")).await;
        assert_eq!(push["code"], 2000);
        eventually("one is left", || async { connected(&tier, "", "chat:88").await.clients == 1 }).await;

        // A socket that is for one channel only ends with it.
        grant(&tier, "7", "chat:89").await;
        let mut socket = tier.connect_to(there, "/ws/chat/89/", &tier.token(7)).open().await;
        eventually("it reads", || async { connected(&tier, "", "chat:89").await.clients == 1 }).await;
        sessions.unsubscribe(v1::UnsubscribeRequest { selector: user("7"), channel: "chat:89".into() }).await.unwrap();
        assert_eq!(soon("its end", socket.closed()).await.0, 4003);
        second.assert_open().await;
    }
}

one_edge_and_two! {
    async fn a_session_ends_when_the_backend_says(tier: Tier, edges) {
        let [here, there] = edges;
        let mut sessions = tier.grpc().sessions();
        let mut now = Client::connect(&tier, here, &tier.token(7)).await;
        let mut socket = tier.connect_to(there, "/ws/customer/8", &tier.token(8)).open().await;
        let mut stays = Client::connect(&tier, there, &tier.token(9)).await;
        eventually("it is known", || async { connected(&tier, "8", "").await.clients == 1 }).await;
        let order = v1::RefreshRequest { selector: user("7"), expired: true, expires_at: None };
        sessions.refresh(order).await.unwrap();
        assert_eq!(soon("its end", now.closed()).await.0, 3005);
        let order = v1::RefreshRequest { selector: user("8"), expired: false, expires_at: seconds_from_now(2) };
        sessions.refresh(order).await.unwrap();
        eventually("its new end is known", || async {
            let open = connected(&tier, "8", "").await.sessions;
            let end = open.first().and_then(|session| session.expires_at).map_or(0, |end| end.seconds);
            open.is_empty() || end <= seconds_from_now(2).unwrap().seconds
        }).await;
        assert_eq!(socket.closed().await.0, 4001);
        stays.assert_open().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_and_questions_that_make_no_sense_say_which_field_is_wrong() {
    let tier = Tier::all_in_one(crate::BINARY).await;
    let mut sessions = tier.grpc().sessions();
    let disconnect = |change: &dyn Fn(&mut v1::DisconnectRequest)| {
        let mut order = v1::DisconnectRequest { selector: user("7"), ..Default::default() };
        change(&mut order);
        order
    };
    for (order, field) in [
        (disconnect(&|o| o.selector = None), "selector"),
        (disconnect(&|o| o.selector = user("a b")), "selector.user_id"),
        (disconnect(&|o| o.selector = client("7")), "selector.client_id"),
        (disconnect(&|o| o.code = 1000), "code"),
        (disconnect(&|o| o.reason = "x".repeat(124)), "reason"),
        (disconnect(&|o| o.except = vec!["me".into()]), "except[0]"),
        (disconnect(&|o| o.except = vec![new_id(); 1001]), "except"),
    ] {
        blames(sessions.disconnect(order).await.unwrap_err(), field);
    }
    let subscribe = |channel: &str, expires_at| v1::SubscribeRequest {
        selector: user("7"),
        channel: channel.into(),
        expires_at,
    };
    let past = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    blames(sessions.subscribe(subscribe("kitchen:1", None)).await.unwrap_err(), "channel");
    blames(sessions.subscribe(subscribe("sessions", None)).await.unwrap_err(), "channel");
    blames(sessions.subscribe(subscribe("chat:1", past)).await.unwrap_err(), "expires_at");
    let unsubscribe = v1::UnsubscribeRequest { selector: None, channel: "chat:1".into() };
    blames(sessions.unsubscribe(unsubscribe).await.unwrap_err(), "selector");
    let refresh = v1::RefreshRequest { selector: user("7"), expired: false, expires_at: None };
    blames(sessions.refresh(refresh).await.unwrap_err(), "expires_at");
    blames(sessions.connected(v1::ConnectedRequest::default()).await.unwrap_err(), "user_id");
    let ask = v1::ConnectedRequest { user_id: "7".into(), limit: 10_001, ..Default::default() };
    blames(sessions.connected(ask).await.unwrap_err(), "limit");
    let ask = v1::ChannelsRequest { pattern: "*".repeat(129), limit: 0 };
    blames(sessions.channels(ask).await.unwrap_err(), "pattern");
}

fn blames(status: Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().starts_with(&format!("{field}: ")), "{field}: {status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_is_killed_is_named_and_then_forgotten_and_one_that_ends_says_so() {
    let mut tier = two_edges().await;
    let mut client = Client::connect(&tier, Role::Edge(0), &tier.token(7)).await;
    grant(&tier, "7", "chat:88").await;
    client.subscribe("chat:88").await;
    tier.kill(Role::Edge(1));
    let readers = soon("an answer without it", connected(&tier, "", "chat:88")).await;
    assert_eq!((readers.clients, readers.silent_edges.len()), (1, 1));
    let named = edges(&tier).await.into_iter().find(|edge| !edge.answered).expect("the killed one is listed");
    assert_eq!(named.id, readers.silent_edges[0]);
    eventually("it is forgotten", || async { edges(&tier).await.len() == 1 }).await;
    assert!(connected(&tier, "", "chat:88").await.silent_edges.is_empty());

    tier.start(Role::Edge(1)).await;
    eventually("it is back", || async {
        edges(&tier).await.iter().filter(|edge| edge.answered).count() == 2
    })
    .await;
    tier.terminate(Role::Edge(1));
    tier.wait_ended(Role::Edge(1)).await;
    // Long before it would be missed.
    soon("forgetting it", eventually("it is gone", || async { edges(&tier).await.len() == 1 })).await;
    client.assert_open().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_without_socket_sends_reaches_its_edge_through_any_other() {
    let tier = two_edges().await;
    let connect = json!({ "id": 1, "connect": { "token": tier.token(7).sign() } }).to_string();
    let url = |edge: Role, path: &str| format!("http://{}{path}", tier.public_address(edge));
    let headers = [("content-type", "application/json")];
    let mut stream = platepal_testkit::http::Stream::open(
        "POST",
        &url(Role::Edge(0), "/connection/http_stream"),
        &headers,
        &connect,
    )
    .await
    .unwrap();
    let line = stream.line(platepal_testkit::PATIENCE).await.expect("the reply to connect");
    let reply: serde_json::Value = serde_json::from_str(&line).unwrap();
    let (session, node) = (&reply["connect"]["session"], &reply["connect"]["node"]);
    assert!(session.is_string() && node.is_string(), "{reply}");
    let send =
        json!({ "session": session, "node": node, "data": r#"{"id":2,"rpc":{"method":"nothing.at_all"}}"# });
    eventually("the other edge knows the first", || async {
        let url = url(Role::Edge(1), "/emulation");
        platepal_testkit::http::request("POST", &url, &headers, &send.to_string()).await.status == 204
    })
    .await;
    let line = stream.line(platepal_testkit::PATIENCE).await.expect("the reply to the command");
    assert!(line.contains(r#""id":2"#), "{line}");
    for (session, node) in [("nobody", node.as_str().unwrap()), (session.as_str().unwrap(), "nowhere")] {
        let send = json!({ "session": session, "node": node, "data": "{}" }).to_string();
        let url = url(Role::Edge(1), "/emulation");
        assert_eq!(platepal_testkit::http::request("POST", &url, &headers, &send).await.status, 404);
    }
}

async fn revoke(tier: &Tier, request: v1::RevokeTokensRequest) {
    tier.grpc().sessions().revoke_tokens(request).await.unwrap();
}

one_edge_and_two! {
    async fn a_token_that_was_revoked_is_refused_everywhere_and_a_new_one_is_not(tier: Tier, edges) {
        let [here, there] = edges;
        let token = tier.token(7);
        let mut socket = tier.connect_to(here, "/ws/customer/7", &token).open().await;
        let mut client = Client::connect(&tier, there, &token).await;
        let mut stranger = Client::connect(&tier, there, &tier.token(8)).await;
        eventually("all are known", || async { connected(&tier, "7", "").await.clients == 2 }).await;
        revoke(&tier, v1::RevokeTokensRequest { user_id: "7".into(), ..Default::default() }).await;
        soon("closing them", async {
            let (code, reason) = socket.closed().await;
            assert!(code == 4001 && reason.contains("revoked"), "{code} {reason}");
            assert_eq!(client.closed().await.0, 3500);
        }).await;
        stranger.assert_open().await;
        // Whoever was signed out has the old one; whoever signs in again has a newer one.
        let newer = platepal_service::Clock.now().plus_millis(2_000).micros() / 1_000_000;
        let newer = tier.token(7).claim("iat", newer).claim("jti", "second");
        for edge in [here, there] {
            assert_eq!(tier.connect_to(edge, "/ws/customer/7", &token).open().await.closed().await.0, 4001);
            Client::connect(&tier, edge, &newer).await.assert_open().await;
        }
        // One of them alone.
        let one = v1::RevokeTokensRequest {
            user_id: "7".into(),
            token_id: "second".into(),
            until: seconds_from_now(3_600),
            ..Default::default()
        };
        revoke(&tier, one).await;
        let third = newer.clone().claim("jti", "third");
        eventually("it is heard", || async {
            let socket = tier.connect_to(there, "/ws/customer/7", &newer).open().await;
            matches!({ socket }.next(Duration::from_millis(300)).await, platepal_testkit::Next::Closed(4001, _))
        }).await;
        Client::connect(&tier, there, &third).await.assert_open().await;
        // An edge that starts later knows it.
        tier.kill(there);
        tier.start(there).await;
        for refused in [&token, &newer] {
            assert_eq!(tier.connect_to(there, "/ws/customer/7", refused).open().await.closed().await.0, 4001);
        }
        Client::connect(&tier, there, &third).await.assert_open().await;
    }
}

#[tokio::test]
async fn a_revocation_that_can_not_be_kept_to_is_refused_with_its_field() {
    let tier = Tier::all_in_one(crate::BINARY).await;
    let request = || v1::RevokeTokensRequest { user_id: "7".into(), ..Default::default() };
    for (request, field) in [
        (v1::RevokeTokensRequest { user_id: String::new(), ..request() }, "user_id"),
        (v1::RevokeTokensRequest { token_id: "x".repeat(257), ..request() }, "token_id"),
        (v1::RevokeTokensRequest { issued_before: seconds_from_now(3_600), ..request() }, "issued_before"),
        (v1::RevokeTokensRequest { until: seconds_from_now(100_000), ..request() }, "until"),
    ] {
        let refused = tier.grpc().sessions().revoke_tokens(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{field}: {refused}");
    }
}
