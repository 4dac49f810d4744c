//! `doctor` finds what is wrong before a customer does, and says what to do.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
};

use platepal_testkit::{NatsServer, Postgres, Role, Tier, ports};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

const SECRET: &str = "vN3kq8zXtR5mW2yB7cJ4hG6fD9sL1pA0";
const KEY: &str = "tests=Zu8wq2Lr6Tn0Yb4Mc7Xd";

struct Answer {
    success: bool,
    json: Value,
}

impl Answer {
    /// Whether some line of a check has this level and these words.
    fn has(&self, check: &str, level: &str, words: &str) -> bool {
        self.lines(check).iter().any(|(is, message)| is == level && message.contains(words))
    }

    fn lines(&self, check: &str) -> Vec<(String, String)> {
        let checks = self.json["checks"].as_array().unwrap();
        let of_check = checks.iter().filter(|finding| finding["check"] == check);
        of_check
            .map(|f| (f["level"].as_str().unwrap().to_owned(), f["message"].as_str().unwrap().to_owned()))
            .collect()
    }
}

/// Settings with which everything is well, in a folder of their own.
fn good(folder: &Path) -> BTreeMap<String, String> {
    let at = || ports::free_address().to_string();
    [
        ("REALTIME_JWT_SECRET", SECRET.to_owned()),
        ("REALTIME_API_KEYS", KEY.to_owned()),
        ("REALTIME_HTTP_ADDR", at()),
        ("REALTIME_GRPC_ADDR", at()),
        ("REALTIME_ADMIN_ADDR", at()),
        ("REALTIME_EDGE_CONNECTIONS_MAX", "100".to_owned()),
        ("REALTIME_DATA_DIR", folder.join("data").display().to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

async fn output(arguments: &[&str], settings: &BTreeMap<String, String>, folder: &Path) -> (bool, String) {
    let output = Command::new(crate::BINARY)
        .args(arguments)
        .env_clear()
        .envs(settings)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the binary runs");
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

async fn doctor(settings: &BTreeMap<String, String>, folder: &Path, roles: &[&str]) -> Answer {
    let arguments: Vec<&str> = ["doctor", "--json"].into_iter().chain(roles.iter().copied()).collect();
    let (success, text) = output(&arguments, settings, folder).await;
    for secret in [SECRET, KEY.split_once('=').unwrap().1] {
        assert!(!text.contains(secret), "{text}");
    }
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
    assert_eq!(json["ok"] == true, success, "{json:#}");
    Answer { success, json }
}

/// A web server with one answer for everything, dated as the test says.
async fn web_server(status: &'static str, date: &'static str, body: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let date = if date.is_empty() { String::new() } else { format!("date: {date}\r\n") };
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status}\r\n{date}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let mut request = [0; 4096];
            tokio::io::AsyncReadExt::read(&mut stream, &mut request).await.ok();
            stream.write_all(text.as_bytes()).await.ok();
        }
    });
    address
}

#[tokio::test]
async fn all_is_well_on_a_good_host_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let settings = good(folder.path());
    let answer = doctor(&settings, folder.path(), &[]).await;
    assert!(answer.success, "{:#}", answer.json);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a look changes nothing");

    let (success, text) = output(&["doctor"], &settings, folder.path()).await;
    assert!(success && text.lines().all(|line| line.starts_with("ok") || line.starts_with("warn")), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour where there is no terminal: {text:?}");
}

#[tokio::test]
async fn every_mistake_of_the_settings_is_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = good(folder.path());
    settings.insert("REALTIME_DRAIN_TIME".into(), "soon".into());
    settings.insert("REALTIME_PING".into(), "1s".into());
    let answer = doctor(&settings, folder.path(), &[]).await;
    assert!(!answer.success);
    assert!(answer.has("settings", "fail", "REALTIME_DRAIN_TIME must be a duration"), "{:#}", answer.json);
    assert!(answer.has("settings", "fail", "REALTIME_PING is not a setting"), "{:#}", answer.json);
}

#[tokio::test]
async fn weak_and_open_secrets_are_found_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = good(folder.path());
    let weak = "changeme-0123456789abcdefghijklmn";
    let file = folder.path().join("secret");
    fs::write(&file, weak).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    settings.remove("REALTIME_JWT_SECRET");
    settings.insert("REALTIME_JWT_SECRET_FILE".into(), file.display().to_string());
    settings.insert("REALTIME_API_KEYS".into(), format!("a={weak}"));
    let answer = doctor(&settings, folder.path(), &[]).await;
    assert!(!answer.success && !answer.json.to_string().contains(weak));
    assert!(answer.has("secrets", "fail", "REALTIME_JWT_SECRET begins like an example"), "{:#}", answer.json);
    assert!(answer.has("secrets", "warn", "may read"), "{:#}", answer.json);
    assert!(answer.has("secrets", "warn", "serves two purposes"), "{:#}", answer.json);
}

#[tokio::test]
async fn ports_folders_and_limits_of_the_host_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = good(folder.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    settings.insert("REALTIME_HTTP_ADDR".into(), taken.local_addr().unwrap().to_string());
    fs::write(folder.path().join("file"), "").unwrap();
    settings.insert("REALTIME_DATA_DIR".into(), folder.path().join("file/data").display().to_string());
    settings.insert("REALTIME_EDGE_CONNECTIONS_MAX".into(), "4000000000".into());
    let answer = doctor(&settings, folder.path(), &[]).await;
    assert!(!answer.success);
    assert!(answer.has("ports", "fail", "another program has"), "{:#}", answer.json);
    assert!(answer.has("data folder", "fail", "can't be written"), "{:#}", answer.json);
    assert!(answer.has("open files", "fail", "ulimit"), "{:#}", answer.json);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ports_of_a_running_tier_are_known_as_ours() {
    let folder = tempfile::tempdir().unwrap();
    let tier = Tier::all_in_one(crate::BINARY).await;
    let mut settings = good(folder.path());
    let bare = |url: String| url.split("//").nth(1).unwrap().trim_end_matches('/').to_owned();
    settings.insert("REALTIME_HTTP_ADDR".into(), tier.public_address(Role::EDGE).to_string());
    settings.insert("REALTIME_GRPC_ADDR".into(), bare(tier.grpc_url(Role::Gateway)));
    settings.insert("REALTIME_ADMIN_ADDR".into(), bare(tier.admin_url(Role::Gateway, "")));
    let answer = doctor(&settings, folder.path(), &[]).await;
    let lines = answer.lines("ports");
    assert!(
        lines.iter().all(|(level, message)| level == "ok" && message.contains("running tier")),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_and_postgresql_are_looked_at_and_nothing_is_made_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let (nats, postgres) = tokio::join!(NatsServer::start(), Postgres::start());
    let mut settings = good(folder.path());
    settings.insert("REALTIME_NATS_URL".into(), nats.url());
    settings.insert("REALTIME_DATABASE_URL".into(), postgres.url());
    settings.insert("REALTIME_BUS_REPLICAS".into(), "3".into());
    for _ in 0..2 {
        // The second time nothing is there either.
        let answer = doctor(&settings, folder.path(), &[]).await;
        assert!(answer.has("bus", "ok", "JetStream is on"), "{:#}", answer.json);
        assert!(answer.has("bus", "ok", "are made at the first start"), "{:#}", answer.json);
        assert!(answer.has("bus", "fail", "in no cluster"), "{:#}", answer.json);
        assert!(answer.has("database", "ok", "PostgreSQL"), "{:#}", answer.json);
        assert!(answer.has("database", "ok", "tables of orders are made"), "{:#}", answer.json);
        assert!(answer.has("clock", "ok", "agrees with PostgreSQL"), "{:#}", answer.json);
    }
    settings.insert("REALTIME_NATS_URL".into(), format!("nats://user:hush@{}", ports::free_address()));
    settings
        .insert("REALTIME_DATABASE_URL".into(), format!("postgres://user:hush@{}/x", ports::free_address()));
    let answer = doctor(&settings, folder.path(), &[]).await;
    assert!(!answer.success && !answer.json.to_string().contains("hush"), "{:#}", answer.json);
    assert!(answer.has("bus", "fail", "no connection to NATS"), "{:#}", answer.json);
    assert!(answer.has("database", "fail", "check REALTIME_DATABASE_URL"), "{:#}", answer.json);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_many_processes_each_role_is_examined_for_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let mut tier = Tier::split(crate::BINARY).await;
    let mut settings = good(folder.path());
    settings.insert("REALTIME_NATS_URL".into(), tier.nats().url());
    settings.insert("REALTIME_DATABASE_URL".into(), tier.postgres().url());
    settings.insert("REALTIME_ORDERS_URL".into(), tier.grpc_url(Role::ORDERS));
    settings.insert("REALTIME_API_KEYS".into(), tier.api_key().into());
    let answer = doctor(&settings, folder.path(), &["edge", "gateway"]).await;
    assert!(answer.has("domains", "ok", "orders answers"), "{:#}", answer.json);
    assert!(answer.has("bus", "ok", "all streams are there"), "{:#}", answer.json);
    assert!(answer.has("clock", "ok", "agrees with NATS"), "{:#}", answer.json);
    let of_orders = doctor(&settings, folder.path(), &["orders"]).await;
    assert!(of_orders.has("database", "ok", "migrations done"), "{:#}", of_orders.json);

    settings.insert("REALTIME_API_KEYS".into(), KEY.into());
    let answer = doctor(&settings, folder.path(), &["edge", "gateway"]).await;
    assert!(answer.has("domains", "fail", "does not accept our key"), "{:#}", answer.json);
    tier.kill(Role::ORDERS);
    let answer = doctor(&settings, folder.path(), &["edge", "gateway"]).await;
    assert!(answer.has("domains", "fail", "orders does not answer"), "{:#}", answer.json);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn django_and_the_key_set_must_answer_and_share_our_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = good(folder.path());
    let refuses = web_server("401 Unauthorized", "", "").await;
    let open = web_server("200 OK", "Tue, 24 Nov 2015 11:30:00 GMT", "{}").await;
    let keys = json!({ "keys": [{ "kty": "OKP" }] }).to_string();
    let keys = web_server("200 OK", "", Box::leak(keys.into_boxed_str())).await;
    settings.insert("REALTIME_ACCESS_RESTAURANT_URL".into(), format!("http://{refuses}/restaurants/{{id}}/"));
    settings.insert("REALTIME_JWT_JWKS_URL".into(), format!("http://{keys}/jwks"));
    let answer = doctor(&settings, folder.path(), &[]).await;
    assert!(answer.success, "{:#}", answer.json);
    assert!(answer.has("django", "ok", "refuses a stranger"), "{:#}", answer.json);
    assert!(answer.has("key set", "ok", "1 keys"), "{:#}", answer.json);

    settings.insert("REALTIME_ACCESS_RESTAURANT_URL".into(), format!("http://{open}/restaurants/{{id}}/"));
    settings.insert("REALTIME_JWT_JWKS_URL".into(), format!("http://{}/jwks", ports::free_address()));
    let answer = doctor(&settings, folder.path(), &[]).await;
    assert!(answer.has("django", "fail", "without a token"), "{:#}", answer.json);
    assert!(answer.has("clock", "fail", "ahead of Django"), "{:#}", answer.json);
    assert!(answer.has("key set", "fail", "REALTIME_JWT_JWKS_URL"), "{:#}", answer.json);
}
