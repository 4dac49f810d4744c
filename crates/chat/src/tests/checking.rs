//! What is asked before a message is shown.

use platepal_proto::v1::message_check_service_server::{MessageCheckService, MessageCheckServiceServer};
use tonic::{Request, Response, transport::server::TcpIncoming};

use super::*;

on_both! {
    listed_words_are_masked_for_everybody
    a_held_message_is_seen_by_its_sender_alone_until_somebody_decides
    somebody_else_decides_over_grpc_and_has_a_time_for_it
}

fn words() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "darn\n").unwrap();
    file
}

async fn listed_words_are_masked_for_everybody(world: World) {
    let file = words();
    let chat = world.replica_with(&[("REALTIME_CHAT_WORDS", file.path().to_str().unwrap())]).await;
    put(&chat, room("88")).await;
    let sent = send(&chat, "88", "7", "Darn, late!").await;
    assert_eq!(sent.content, "D***, late!");
    assert_eq!(world.payloads("chat:88", "chat_message").await[0]["content"], json!("D***, late!"));
    let edit = v1::EditMessageRequest { id: sent.id, user_id: "7".into(), content: "darn".into() };
    assert_eq!(chat.edit_message(edit).await.unwrap().message.unwrap().content, "d***");
}

async fn a_held_message_is_seen_by_its_sender_alone_until_somebody_decides(world: World) {
    let file = words();
    let settings =
        [("REALTIME_CHAT_WORDS", file.path().to_str().unwrap()), ("REALTIME_CHAT_WORDS_ACTION", "hold")];
    let chat = world.replica_with(&settings).await;
    put(&chat, room("88")).await;
    let sent =
        call(&chat, &sender("7", &[]), "send", json!({"room_id": 88, "content": "darn", "client_id": "c"}))
            .await
            .unwrap();
    assert_eq!(
        (&sent["held"], &sent["message"]["sequence"], &sent["message"]["held"]),
        (&json!(true), &json!(0), &json!(true))
    );
    let dropped = send(&chat, "88", "31", "darn too").await;
    let shown = send(&chat, "88", "31", "hi").await;
    assert_eq!((dropped.held, shown.sequence), (true, 2));
    assert_eq!(contents(&chat, "88").await, ["hi"]);
    let held = chat.list_held(v1::ListHeldRequest { limit: 0 }).await.unwrap().messages;
    assert_eq!(
        held.iter().map(|held| held.reason.as_str()).collect::<Vec<_>>(),
        ["a listed word", "a listed word"]
    );
    let id = held[0].message.as_ref().unwrap().id;
    for _ in 0..2 {
        let decided =
            chat.decide_message(v1::DecideMessageRequest { id, show: true }).await.unwrap().message.unwrap();
        assert_eq!((decided.sequence, decided.held), (3, false));
    }
    chat.decide_message(v1::DecideMessageRequest { id: dropped.id, show: false }).await.unwrap();
    assert_eq!(contents(&chat, "88").await, ["hi", "darn"]);
    assert_eq!(world.payloads("chat:88", "chat_message").await.len(), 2);
    assert!(chat.list_held(v1::ListHeldRequest { limit: 0 }).await.unwrap().messages.is_empty());
    let again = try_send(&chat, "88", "7", "c", "darn").await.unwrap();
    assert!(again.duplicate);
    let edit = v1::EditMessageRequest { id: shown.id, user_id: "31".into(), content: "darn".into() };
    assert_eq!(chat.edit_message(edit).await.unwrap_err().code(), Code::FailedPrecondition);
}

struct Judge;

#[tonic::async_trait]
impl MessageCheckService for Judge {
    async fn check(&self, request: Request<v1::CheckRequest>) -> Result<Response<v1::CheckResponse>, Status> {
        let request = request.into_inner();
        assert_eq!((request.room_id.as_str(), request.sender_id.as_str()), ("88", "7"));
        let answer = |decision: v1::CheckDecision, content: &str| {
            Ok(Response::new(v1::CheckResponse {
                decision: decision.into(),
                content: content.into(),
                reason: "spam".into(),
            }))
        };
        match request.content.as_str() {
            "mask" => answer(v1::CheckDecision::Mask, "****"),
            "hold" => answer(v1::CheckDecision::Hold, ""),
            "too long" => answer(v1::CheckDecision::Mask, &"x".repeat(5_000)),
            "nothing" => answer(v1::CheckDecision::Unspecified, ""),
            "hang" => std::future::pending().await,
            _ => answer(v1::CheckDecision::Show, ""),
        }
    }
}

async fn somebody_else_decides_over_grpc_and_has_a_time_for_it(world: World) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = MessageCheckServiceServer::new(Judge);
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener)),
    );
    let with = async |failure| {
        let settings = [
            ("REALTIME_CHAT_CHECK_URL", url.as_str()),
            ("REALTIME_CHAT_CHECK_TIMEOUT", "300ms"),
            ("REALTIME_CHAT_CHECK_FAILURE", failure),
        ];
        world.replica_with(&settings).await
    };
    let (holds, shows) = (with("hold").await, with("show").await);
    put(&holds, room("88")).await;
    assert_eq!(send(&holds, "88", "7", "fine").await.content, "fine");
    assert_eq!(send(&holds, "88", "7", "mask").await.content, "****");
    assert!(send(&holds, "88", "7", "hold").await.held);
    for unanswered in ["too long", "nothing", "hang"] {
        assert!(send(&holds, "88", "7", unanswered).await.held, "{unanswered}");
        assert!(!send(&shows, "88", "7", unanswered).await.held, "{unanswered}");
    }
    // Whoever may not write does not have others asked.
    assert_eq!(
        call(&holds, &sender("8", &[]), "send", json!({"room_id": 88, "content": "x"}))
            .await
            .unwrap_err()
            .code(),
        Code::PermissionDenied
    );
}
