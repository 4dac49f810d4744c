//! Centrifugo's HTTP API on the gateway's address: by hand, and by the package `cent` unchanged.

use std::{path::PathBuf, process::Stdio};

use platepal_testkit::{PATIENCE, Role, Tier, eventually, http, python};
use serde_json::{Value, json};

use crate::{
    both_shapes,
    centrifuge::{Client, soon},
    publishing::new_id,
};

fn url(tier: &Tier, path: &str) -> String {
    format!("{}{path}", tier.grpc_url(Role::Gateway))
}

async fn post(tier: &Tier, method: &str, body: &Value) -> Value {
    let headers = [("x-api-key", tier.api_key()), ("content-type", "application/json")];
    let answer =
        http::request("POST", &url(tier, &format!("/api/{method}")), &headers, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{method}: {}", answer.body);
    answer.json()
}

async fn result(tier: &Tier, method: &str, body: Value) -> Value {
    let answer = post(tier, method, &body).await;
    assert!(answer.get("result").is_some(), "{method} {body}: {answer}");
    answer["result"].clone()
}

async fn error(tier: &Tier, method: &str, body: Value) -> u64 {
    let answer = post(tier, method, &body).await;
    answer["error"]["code"].as_u64().unwrap_or_else(|| panic!("{method} {body}: {answer}"))
}

both_shapes! {
    async fn it_is_entered_with_a_key_and_refuses_what_it_can_not_read(tier: Tier) {
        let ask = async |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
            http::request(method, &url(&tier, path), headers, body).await.status
        };
        let key = tier.api_key();
        let authorization = format!("apikey {key}");
        assert_eq!(ask("POST", "/api/info", &[], "{}").await, 401);
        assert_eq!(ask("POST", "/api/info", &[("x-api-key", "a-key-that-nobody-gave-out")], "{}").await, 401);
        assert_eq!(ask("POST", "/api/info?api_key=a-key-that-nobody-gave-out", &[], "{}").await, 401);
        assert_eq!(ask("POST", "/api/info", &[("x-api-key", key)], "{}").await, 200);
        assert_eq!(ask("POST", "/api/info", &[("x-api-key", key)], "").await, 200);
        assert_eq!(ask("POST", "/api/info", &[("authorization", &authorization)], "{}").await, 200);
        assert_eq!(ask("POST", &format!("/api/info?api_key={key}"), &[], "{}").await, 200);
        let with_key = [("x-api-key", key)];
        assert_eq!(ask("GET", "/api/info", &with_key, "").await, 405);
        assert_eq!(ask("POST", "/api/dance", &with_key, "{}").await, 404);
        assert_eq!(ask("POST", "/api/info/more", &with_key, "{}").await, 404);
        assert_eq!(ask("POST", "/api/publish", &with_key, "{").await, 400);
        assert_eq!(ask("POST", "/api/publish", &with_key, &" ".repeat(5 << 20)).await, 413);
        // The other places for a key are the API's alone.
        assert_eq!(ask("POST", &format!("/platepal.realtime.v1.EventsService/Read?api_key={key}"), &[], "").await, 200);
        let transport = [("x-api-key", key), ("x-centrifugo-error-mode", "transport")];
        assert_eq!(ask("POST", "/api/publish", &transport, r#"{"channel":"kitchen:1","data":1}"#).await, 404);
        assert_eq!(ask("POST", "/api/publish", &transport, r#"{"channel":"customer:7"}"#).await, 400);
        assert_eq!(ask("POST", "/api/info", &transport, "{}").await, 200);
    }
}

both_shapes! {
    async fn what_it_publishes_reaches_clients_and_is_kept_once(tier: Tier) {
        let mut socket = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
        let id = new_id();
        let ours = json!({ "channel": "customer:7", "data": { "type": "promo_published", "data": { "a": 1 }, "event_id": id } });
        let first = result(&tier, "publish", ours.clone()).await;
        assert!(first["offset"].as_u64().unwrap() > 0 && first["epoch"].is_string(), "{first}");
        assert_eq!(result(&tier, "publish", ours).await, first);
        let frame = socket.json().await;
        assert_eq!((&frame["event_id"], &frame["type"], &frame["data"]), (&json!(id), &json!("promo_published"), &json!({ "a": 1 })));
        let any = json!({ "channel": "customer_7", "data": [1, 2], "idempotency_key": "once" });
        let second = result(&tier, "publish", any.clone()).await;
        assert_eq!(result(&tier, "publish", any).await, second);
        let frame = socket.json().await;
        assert_eq!((&frame["type"], &frame["data"]), (&json!("message"), &json!([1, 2])));
        let many = json!({ "channels": ["customer:7", "kitchen:1", "customer:8"], "data": { "n": 3 }, "tags": { "type": "promo.published" } });
        let responses = result(&tier, "broadcast", many).await["responses"].clone();
        assert!(responses[0]["result"]["offset"].is_u64() && responses[2]["result"]["offset"].is_u64(), "{responses}");
        assert_eq!(responses[1]["error"]["code"], 102);
        assert_eq!(socket.json().await["type"], "promo_published");

        let page = result(&tier, "history", json!({ "channel": "customer:7", "limit": 10 })).await;
        assert_eq!(page["publications"].as_array().unwrap().len(), 3);
        assert_eq!(page["publications"][0]["data"]["event_id"], id.as_str());
        let since = json!({ "offset": second["offset"], "epoch": second["epoch"] });
        let after = result(&tier, "history", json!({ "channel": "customer:7", "limit": 10, "since": since })).await;
        assert_eq!(after["publications"].as_array().unwrap().len(), 1);
        let before = result(&tier, "history", json!({ "channel": "customer:7", "limit": 10, "since": since, "reverse": true })).await;
        assert_eq!(before["publications"][0]["data"]["event_id"], id.as_str());
        let top = result(&tier, "history", json!({ "channel": "customer:7" })).await;
        assert_eq!((&top["publications"], &top["offset"]), (&json!([]), &page["offset"]));
        assert_eq!(error(&tier, "history", json!({ "channel": "customer:7", "limit": 1, "since": { "offset": 1, "epoch": "_" } })).await, 112);
        assert_eq!(error(&tier, "history_remove", json!({ "channel": "customer:7" })).await, 108);
        for (code, body) in [
            (102, json!({ "channel": "kitchen:1", "data": 1 })),
            (107, json!({ "channel": "customer:7" })),
            (107, json!({ "data": 1 })),
            (107, json!({ "channel": 7, "data": 1 })),
            (107, json!({ "channel": "customer:7", "data": 1, "tags": { "type": "No Type" } })),
            (107, json!({ "channel": "customer:7", "data": "x".repeat(65 << 10) })),
            (108, json!({ "channel": "customer:7", "data": 1, "tags": { "colour": "red" } })),
        ] {
            assert_eq!(error(&tier, "publish", body).await, code);
        }
        assert_eq!(error(&tier, "rpc", json!({ "method": "kitchen.burn" })).await, 104);
        assert_eq!(error(&tier, "rpc", json!({ "method": "orders.burn", "params": {} })).await, 104);
    }
}

both_shapes! {
    async fn a_batch_answers_each_command_in_its_place(tier: Tier) {
        for parallel in [false, true] {
            let commands = json!([
                { "publish": { "channel": "customer:7", "data": {} } },
                { "dance": {} },
                { "publish": { "channel": "kitchen:1", "data": {} } },
                { "presence_stats": { "channel": "customer:7" } },
                { "batch": { "commands": [] } },
                {},
            ]);
            let answer = post(&tier, "batch", &json!({ "commands": commands, "parallel": parallel })).await;
            let replies = answer["replies"].as_array().unwrap();
            assert!(replies[0]["publish"]["offset"].is_u64(), "{answer}");
            let codes: Vec<&Value> = [1, 2, 4, 5].iter().map(|place| &replies[*place]["error"]["code"]).collect();
            assert_eq!(codes, [104, 102, 107, 107]);
            assert_eq!(replies[3]["presence_stats"], json!({ "num_clients": 0, "num_users": 0 }));
        }
        let many: Vec<Value> = (0..501).map(|_| json!({ "info": {} })).collect();
        assert_eq!(error(&tier, "batch", json!({ "commands": many })).await, 107);
    }
}

both_shapes! {
    async fn sessions_are_seen_and_ordered(tier: Tier) {
        let mut client = Client::connect(&tier, Role::EDGE, &tier.token(7)).await;
        eventually("it is known", || async {
            let stats = result(&tier, "presence_stats", json!({ "channel": "customer:7" })).await;
            stats == json!({ "num_clients": 1, "num_users": 1 })
        }).await;
        let presence = result(&tier, "presence", json!({ "channel": "customer:7" })).await;
        assert_eq!(presence["presence"][&client.id]["user"], "7", "{presence}");
        result(&tier, "subscribe", json!({ "user": "7", "channel": "chat:88" })).await;
        soon("being given it", client.push("subscribe", "chat:88")).await;
        let channels = result(&tier, "channels", json!({ "pattern": "chat:*" })).await;
        assert_eq!(channels["channels"], json!({ "chat:88": { "num_clients": 1 } }));
        let nodes = result(&tier, "info", json!({})).await["nodes"].clone();
        assert_eq!((nodes.as_array().unwrap().len(), &nodes[0]["num_clients"]), (1, &json!(1)), "{nodes}");
        result(&tier, "unsubscribe", json!({ "client": client.id, "user": "7", "channel": "chat:88" })).await;
        soon("its being taken", client.push("unsubscribe", "chat:88")).await;
        let order = json!({ "user": "7", "disconnect": { "code": 4200, "reason": "bye" }, "whitelist": [new_id()] });
        result(&tier, "disconnect", order).await;
        assert_eq!(soon("its end", client.closed()).await, (4200, "bye".to_owned()));
        let mut client = Client::connect(&tier, Role::EDGE, &tier.token(7)).await;
        result(&tier, "refresh", json!({ "user": "7", "expired": true })).await;
        assert_eq!(soon("its end", client.closed()).await.0, 3005);
        for (method, body, code) in [
            ("disconnect", json!({}), 107),
            ("refresh", json!({ "user": "7" }), 107),
            ("refresh", json!({ "user": "7", "expire_at": 1 }), 107),
            ("subscribe", json!({ "user": "7", "channel": "kitchen:1" }), 102),
            ("subscribe", json!({ "user": "7", "channel": "chat:1", "info": {} }), 108),
            ("subscribe", json!({ "channel": "chat:1", "all_users": true }), 108),
        ] {
            assert_eq!(error(&tier, method, body.clone()).await, code, "{method} {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_on_loopback_it_is_open_but_not_to_pages_in_a_browser() {
    let tier = Tier::builder(crate::BINARY).set("REALTIME_API_KEYS", "").start().await;
    let ask = async |headers: &[(&str, &str)]| {
        http::request("POST", &url(&tier, "/api/info"), headers, "{}").await.status
    };
    assert_eq!(ask(&[]).await, 200);
    assert_eq!(ask(&[("origin", "http://localhost:3000"), ("content-type", "text/plain")]).await, 403);
}

both_shapes! {
    async fn the_package_cent_works_unchanged(tier: Tier) {
        let mut client = Client::connect(&tier, Role::EDGE, &tier.token(7)).await;
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/system/http_api.py");
        let mut python = tokio::process::Command::new(python());
        // Connections are to this machine.
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"] {
            python.env_remove(proxy);
        }
        let python = python
            .arg(script)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args([&url(&tier, "/api"), tier.api_key(), &client.id])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE * 2, python).await.expect("the script ends").unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.ends_with("done\n"), "{said}");
        assert_eq!(client.closed().await, (4321, "by cent".to_owned()));
    }
}
