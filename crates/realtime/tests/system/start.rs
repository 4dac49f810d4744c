//! Starting, trying things from a terminal, and ending.

use std::{path::Path, process::Stdio};

use platepal_testkit::{Connect, Role};
use serde_json::json;
use tokio::process::Command;

use crate::{
    both_shapes,
    publishing::{event, new_id, publish},
};

/// Runs the binary with only these variables set, and gives its exit status, stdout and stderr.
async fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String, String) {
    let output = Command::new(crate::BINARY)
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn a_tier_without_secrets_refuses_to_start_and_says_which_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let variables =
        [("REALTIME_GRPC_ADDR", "0.0.0.0:0"), ("REALTIME_PING", "1s"), ("REALTIME_DRAIN_TIME", "soon")];
    let (success, stdout, stderr) = run(folder.path(), &[], &variables).await;
    assert!(!success && stdout.is_empty());
    for name in ["REALTIME_PING is not a setting", "REALTIME_DRAIN_TIME must be a duration"] {
        assert!(stderr.contains(name), "{name}: {stderr}");
    }
    let variables = [("REALTIME_GRPC_ADDR", "0.0.0.0:0")];
    let (_, _, stderr) = run(folder.path(), &[], &variables).await;
    for name in ["REALTIME_JWT_SECRET", "REALTIME_API_KEYS"] {
        assert!(stderr.contains(name), "{name}: {stderr}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a refused start leaves nothing behind");
}

#[tokio::test]
async fn help_lists_roles_commands_and_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (success, stdout, _) = run(folder.path(), &["--help"], &[]).await;
    assert!(success);
    for word in
        ["edge", "gateway", "orders", "demo", "token", "publish", "tail", "REALTIME_JWT_SECRET", "[24h]"]
    {
        assert!(stdout.contains(word), "{word}: {stdout}");
    }
}

both_shapes! {
    async fn token_publish_and_tail_work_from_a_terminal(tier: Tier) {
        let folder = tempfile::tempdir().unwrap();
        let gateway = tier.grpc_url(Role::Gateway);
        let keys = tier.api_key();
        let variables = [("REALTIME_API_KEYS", keys), ("REALTIME_JWT_SECRET", tier.secret())];

        let (success, token, stderr) = run(folder.path(), &["token", "--user", "7", "--role", "CUSTOMER"], &variables).await;
        assert!(success, "{stderr}");
        let url = format!("{}?token={}", tier.socket_url("/ws/customer/7"), token.trim());
        let mut socket = Connect::to(url).open().await;

        let id = new_id();
        let arguments = ["publish", "--gateway", &gateway, "--channel", "customer:7", "--type", "order.accepted",
            "--event-id", &id, "--payload", "{\"note\":\"hot\"}"];
        let (success, stdout, stderr) = run(folder.path(), &arguments, &variables).await;
        assert!(success, "{stderr}");
        assert!(stdout.starts_with(&format!("published {id}")) && stdout.contains("customer:7 at "), "{stdout}");
        let frame = socket.json().await;
        assert_eq!((&frame["event_id"], &frame["data"]), (&json!(id), &json!({ "note": "hot" })));
        let (_, stdout, _) = run(folder.path(), &arguments, &variables).await;
        assert!(stdout.starts_with(&format!("duplicate {id}")), "{stdout}");

        let arguments = ["tail", "--gateway", &gateway, "customer:7", "--retained", "--count", "1", "--json"];
        let (success, stdout, stderr) = run(folder.path(), &arguments, &variables).await;
        assert!(success, "{stderr}");
        let line: serde_json::Value = serde_json::from_str(&stdout).expect("a JSON line");
        assert_eq!((&line["event_id"], &line["type"]), (&json!(id), &json!("order.accepted")));

        let arguments = ["publish", "--gateway", &gateway, "--channel", "kitchen:7", "--type", "order.accepted"];
        let (success, _, stderr) = run(folder.path(), &arguments, &variables).await;
        assert!(!success && stderr.contains("channels[0]"), "{stderr}");
        let (success, _, stderr) = run(folder.path(), &arguments, &[]).await;
        assert!(!success && stderr.contains("API key"), "{stderr}");
    }
}

both_shapes! {
    async fn sigterm_tells_every_client_to_move_and_ends_in_time(tier: Tier) {
        let mut sockets = Vec::new();
        for user in 0..20 {
            sockets.push(tier.connect(&format!("/ws/customer/{user}"), &tier.token(user)).open().await);
        }
        tier.terminate(Role::EDGE);
        for socket in &mut sockets {
            let (code, reason) = socket.closed().await;
            assert_eq!(code, 1012, "{reason}");
        }
        let ended = tier.wait_ended(Role::EDGE).await;
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        tier.start(Role::EDGE).await;
        let id = new_id();
        publish(&tier.grpc(), event(&id, &json!({})), &["customer:7"]).await;
        let path = format!("/ws/customer/7?since_event_id={}", new_id());
        let mut back = tier.connect(&path, &tier.token(7)).open().await;
        assert_eq!(back.json().await["event_id"], id.as_str());
    }
}
