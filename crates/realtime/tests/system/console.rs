//! The operators' console: who gets in, what they see, what they may do.

use std::time::Duration;

use platepal_proto::v1;
use platepal_testkit::{
    PATIENCE, Role, Shape, Tier, eventually,
    http::{Response, Stream, request},
};
use serde_json::{Value, json};

use crate::publishing::{event, new_id, publish};

const PASSWORD: &str = "a password of operators";

/// Somebody who may have signed in.
struct Operator<'a> {
    tier: &'a Tier,
    cookie: String,
}

impl<'a> Operator<'a> {
    async fn of(tier: &'a Tier) -> Self {
        let answer = login(tier, PASSWORD).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        let cookie = answer.header("set-cookie").unwrap();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        Self { tier, cookie: cookie.split(';').next().unwrap().to_owned() }
    }

    async fn get(&self, path: &str) -> Response {
        request("GET", &self.tier.console_url(path), &[("cookie", &self.cookie)], "").await
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        let headers = [("cookie", self.cookie.as_str()), ("content-type", "application/json")];
        request("POST", &self.tier.console_url(path), &headers, &body.to_string()).await
    }
}

async fn login(tier: &Tier, password: &str) -> Response {
    let body = json!({ "password": password }).to_string();
    request("POST", &tier.console_url("/api/login"), &[("content-type", "application/json")], &body).await
}

/// Runs one story in both shapes.
macro_rules! both {
    (async fn $name:ident($tier:ident: Tier) $body:block) => {
        mod $name {
            use super::*;

            #[allow(unused_mut)]
            async fn story(mut $tier: Tier) $body

            async fn tier(shape: Shape) -> Tier {
                let tier = Tier::builder(crate::BINARY).shape(shape).console(PASSWORD);
                tier.set_for(Role::Console, "REALTIME_CONSOLE_SAMPLE_INTERVAL", "200ms").start().await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn all_in_one() {
                story(tier(Shape::AllInOne).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn split() {
                story(tier(Shape::Split).await).await;
            }
        }
    };
}

#[tokio::test]
async fn without_the_password_nothing_is_answered_but_the_page() {
    let tier =
        Tier::builder(crate::BINARY).console(PASSWORD).set("REALTIME_CONSOLE_ATTEMPTS", 3).start().await;
    let page = request("GET", &tier.console_url("/"), &[], "").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"));
    for path in
        ["services", "settings", "channels", "channel?name=admin", "user?id=7", "live", "outboxes", "nothing"]
    {
        let refused = request("GET", &tier.console_url(&format!("/api/{path}")), &[], "").await;
        assert_eq!(refused.status, 401, "{path}");
    }
    // A form of another site can't send JSON, and what it can send is not taken.
    let form = [("content-type", "text/plain")];
    let body = json!({ "password": PASSWORD }).to_string();
    assert_eq!(request("POST", &tier.console_url("/api/login"), &form, &body).await.status, 400);
    let operator = Operator::of(&tier).await;
    assert_eq!(operator.get("/api/services").await.status, 200);
    for _ in 0..3 {
        assert_eq!(login(&tier, "a guess of mine").await.status, 403);
    }
    assert_eq!(login(&tier, PASSWORD).await.status, 429);
    // Who is signed in stays so, until they leave.
    assert_eq!(operator.post("/api/logout", &json!({})).await.status, 204);
    assert_eq!(operator.get("/api/services").await.status, 401);
}

both! {
    async fn every_process_is_shown_with_its_health_and_settings_and_no_secret(tier: Tier) {
        let operator = Operator::of(&tier).await;
        let of_services = async || operator.json("/api/services").await["services"].as_array().unwrap().clone();
        let roles = |services: &[Value]| {
            let ready = services.iter().filter(|own| own["state"] == "ready");
            let mut roles: Vec<String> = ready
                .flat_map(|own| own["roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap().to_owned()))
                .collect();
            roles.sort();
            roles
        };
        let all = ["chat", "console", "edge", "gateway", "menus", "notifications", "orders", "tracking"];
        eventually("all are known", || async { roles(&of_services().await) == all }).await;
        let settings = operator.json("/api/settings").await;
        let text = settings.to_string();
        for secret in [tier.secret(), tier.api_key(), PASSWORD, "platepal:"] {
            assert!(!text.contains(secret), "a secret is shown");
        }
        let of_one = settings["processes"][0]["settings"].as_array().unwrap();
        let own = of_one.iter().find(|own| own["name"] == "REALTIME_JWT_SECRET").unwrap();
        assert_eq!((&own["value"], &own["source"]), (&json!("set"), &json!("environment")));
        if tier.shape() == Shape::Split {
            let cookie = operator.cookie;
            tier.kill(Role::MENUS);
            let operator = Operator { tier: &tier, cookie };
            eventually("its silence is seen", || async {
                let services = operator.json("/api/services").await["services"].as_array().unwrap().clone();
                services.iter().any(|own| own["state"] == "silent" && own["roles"] == json!(["menus"]))
            })
            .await;
        }
    }
}

both! {
    async fn a_channel_is_looked_into_and_an_event_is_followed_to_its_readers(tier: Tier) {
        let operator = Operator::of(&tier).await;
        let mut readers = Vec::new();
        for _ in 0..3 {
            readers.push(tier.connect("/ws/customer/7", &tier.token(7)).open().await);
        }
        let id = new_id();
        publish(&tier.grpc(), event(&id, &json!({ "n": 1 })), &["customer:7"]).await;
        for reader in &mut readers {
            assert_eq!(reader.json().await["event_id"], json!(id));
        }
        let read = eventually_some(async || {
            let channels = operator.json("/api/channels?pattern=customer:*").await;
            (channels["channels"][0]["readers"] == 3).then_some(channels)
        })
        .await;
        assert_eq!(read["channels"], json!([{ "name": "customer:7", "readers": 3 }]));
        let channel = operator.json("/api/channel?name=customer:7").await;
        assert_eq!((&channel["readers"], &channel["users"]), (&json!(3), &json!(1)));
        assert_eq!((&channel["events"][0]["id"], &channel["events"][0]["data"]), (&json!(id), &json!({ "n": 1 })));
        // Its channel need not be named while somebody reads it.
        for query in [format!("id={id}"), format!("id={id}&channel=customer:7")] {
            let way = eventually_some(async || {
                let way = operator.json(&format!("/api/event?{query}")).await;
                (way["edges"][0]["written"] == 3).then_some(way)
            })
            .await;
            assert_eq!((&way["channel"], &way["edges"][0]["readers"]), (&json!("customer:7"), &json!(3)));
            let times = [&way["event"]["kept_at"], &way["edges"][0]["heard_at"], &way["edges"][0]["last_written_at"]];
            assert!(times.iter().all(|time| time.as_str().is_some_and(|time| !time.is_empty())), "{way}");
        }
        assert_eq!(operator.get("/api/event?id=nobody-knows").await.status, 404);
        assert_eq!(operator.get("/api/channel?name=nowhere").await.status, 400);
    }
}

/// What is asked for until it is there.
async fn eventually_some<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    platepal_testkit::poll(PATIENCE, || ask()).await.expect("it is there in time")
}

both! {
    async fn an_operator_ends_a_users_sessions_and_takes_their_tokens_back(tier: Tier) {
        let operator = Operator::of(&tier).await;
        let mut socket = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
        let mut other = tier.connect("/ws/customer/8", &tier.token(8)).open().await;
        let sessions = eventually_some(async || {
            let sessions = operator.json("/api/user?id=7").await;
            (sessions["clients"] == 1).then_some(sessions)
        })
        .await;
        let own = &sessions["sessions"][0];
        assert_eq!((&own["protocol"], &own["channels"]), (&json!("platepal"), &json!(["customer:7"])));
        let body = json!({ "user_id": "7", "client_id": own["client_id"] });
        assert_eq!(operator.post("/api/disconnect", &body).await.status, 204);
        assert_eq!(socket.closed().await, (4000, "ended by an operator".to_owned()));
        let token = tier.token(7);
        let mut back = tier.connect("/ws/customer/7", &token).open().await;
        assert_eq!(operator.post("/api/sign-out", &json!({ "user_id": "7" })).await.status, 204);
        assert_eq!(back.closed().await.0, 4001);
        assert_eq!(tier.connect("/ws/customer/7", &token).open().await.closed().await.0, 4001);
        other.assert_quiet(Duration::from_millis(100)).await;
        assert_eq!(operator.post("/api/disconnect", &json!({ "user": "7" })).await.status, 400);
    }
}

both! {
    async fn what_happens_is_followed_live_and_an_outbox_is_shown_as_django_reports_it(tier: Tier) {
        let operator = Operator::of(&tier).await;
        let _socket = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
        let headers = [("cookie", operator.cookie.as_str())];
        let mut live = Stream::open("GET", &tier.console_url("/api/live"), &headers, "").await.unwrap();
        assert_eq!(live.status, 200);
        assert_eq!(live.line(PATIENCE).await.as_deref(), Some("event:history"));
        let sample = loop {
            publish(&tier.grpc(), event(&new_id(), &json!({})), &["customer:7"]).await;
            let line = live.line(PATIENCE).await.expect("samples come");
            let Some(data) = line.strip_prefix("data:") else { continue };
            let Ok(sample) = serde_json::from_str::<Value>(data) else { continue };
            if sample["connections"] == 1.0 && sample["rates"]["delivered"].as_f64() > Some(0.0) {
                break sample;
            }
        };
        assert!(sample["delays"]["deliver"]["p99"].as_f64().is_some(), "{sample}");
        assert_eq!(operator.json("/api/outboxes").await["outboxes"], json!([]));
        let report = v1::ReportOutboxRequest { name: "default".into(), waiting: 3, dead: 1, ..Default::default() };
        tier.grpc().events().report_outbox(report).await.unwrap();
        let outboxes = operator.json("/api/outboxes").await;
        let own = &outboxes["outboxes"][0];
        assert_eq!((&own["name"], &own["waiting"], &own["dead"]), (&json!("default"), &json!(3), &json!(1)));
    }
}
