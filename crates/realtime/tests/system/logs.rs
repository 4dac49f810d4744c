//! Logs hold no secrets, whatever level is asked for.

use platepal_proto::v1;
use platepal_testkit::{Bus, Connect, Role, Shape, Tier, http};
use serde_json::json;

use crate::publishing::{event, new_id, order_update, publish, publish_order, try_publish};

/// Does what passes secrets around, and gives those that were used.
async fn use_secrets(tier: &Tier) -> Vec<String> {
    let good = tier.token(7).sign();
    let foreign = tier.token(8).sign();
    let broken = format!("{}x", tier.token(9).sign());

    let mut socket = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
    publish(&tier.grpc(), event(&new_id(), &json!({})), &["customer:7"]).await;
    socket.json().await;
    // A token within a message, as protocols of other clients send it.
    socket.send_text(&json!({ "type": "auth", "token": good }).to_string()).await;
    socket.json().await;
    socket.send_text(&format!("{{\"connect\":{{\"token\":\"{good}\"")).await;
    socket.json().await;

    for token in [&good, &foreign, &broken] {
        let url = format!("{}?token={token}", tier.socket_url("/ws/customer/7"));
        Connect::to(url).attempt().await.ok();
        let headers = [("authorization", format!("Bearer {token}")), ("cookie", format!("session={token}"))];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        http::request("GET", &tier.http_url(&format!("/ws/customer/7?token={token}")), &headers, "").await;
        http::request("GET", &tier.http_url(&format!("/nothing?token={token}")), &headers, "").await;
    }
    let url = format!("{}?token={good}", tier.socket_url("/ws/order/5012"));
    Connect::to(url).attempt().await.ok();

    publish_order(&tier.grpc(), order_update(5012, v1::OrderStatus::Pending, 1)).await.unwrap();
    let wrong_key = "a-key-that-nobody-gave-out";
    let wrong = platepal_testkit::Clients::new(&tier.grpc_url(Role::Gateway), Some(wrong_key));
    try_publish(&wrong, event(&new_id(), &json!({})), &["customer:7"]).await.unwrap_err();

    let mut secrets = vec![tier.secret().to_owned(), tier.api_key().to_owned(), wrong_key.to_owned()];
    for token in [good, foreign, broken] {
        // Neither whole nor in parts: the payload and the signature are secrets of their own.
        secrets.extend(token.split('.').skip(1).map(str::to_owned));
    }
    secrets
}

async fn nothing_secret_is_printed(shape: Shape, format: &str) {
    let tier = Tier::builder(crate::BINARY)
        .shape(shape)
        .bus(if shape == Shape::Split { Bus::Nats } else { Bus::Embedded })
        .set("REALTIME_LOG", "trace")
        .set("REALTIME_LOG_FORMAT", format)
        .start()
        .await;
    let secrets = use_secrets(&tier).await;
    for role in tier.roles() {
        let output = tier.logs(role);
        assert!(output.contains("listening"), "{output}");
        if format == "json" {
            for line in output.lines() {
                serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|why| panic!("{why}: {line}"));
            }
        }
        for secret in &secrets {
            let found = output.lines().find(|line| line.contains(secret.as_str()));
            assert!(found.is_none(), "{role:?} printed the secret {secret:?}: {found:?}");
        }
        for word in ["Bearer ", "token=", "x-api-key: "] {
            let found = output.lines().find(|line| line.contains(word));
            assert!(found.is_none(), "{role:?} printed {word:?}: {found:?}");
        }
    }
    // It was worth looking: at this level there is more than at the usual one.
    assert!(tier.logs(Role::EDGE).contains("DEBUG"), "{}", tier.logs(Role::EDGE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_at_trace_level_prints_no_secret() {
    nothing_secret_is_printed(Shape::AllInOne, "text").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_at_trace_level_print_no_secret() {
    nothing_secret_is_printed(Shape::Split, "json").await;
}
