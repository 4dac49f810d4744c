//! Responses without end: feeds as server-sent events, Centrifuge's protocol without sockets.

use platepal_testkit::{
    PATIENCE, Token,
    http::{Stream, request},
};
use serde_json::{Value, json};

use crate::house::{House, SECRET, event, id, rider_location, token};

/// An event stream, event by event.
struct Events(Stream);

impl Events {
    async fn open(house: &House, path: &str, headers: &[(&str, &str)]) -> Self {
        let url = format!("http://{}{path}", house.address);
        Self(Stream::open("GET", &url, headers, "").await.unwrap())
    }

    /// Its fields, without `data`, and its data.
    async fn next(&mut self) -> (Vec<String>, Value) {
        let (mut fields, mut data) = (Vec::new(), Value::Null);
        loop {
            let line = self.0.line(PATIENCE).await.expect("the stream goes on");
            match line.strip_prefix("data: ") {
                Some(json) => data = serde_json::from_str(json).unwrap(),
                None if line.is_empty() && !data.is_null() => return (fields, data),
                None if line.is_empty() || line.starts_with(':') || line.starts_with("retry: ") => {}
                None => fields.push(line),
            }
        }
    }
}

fn path(user: u64) -> String {
    format!("/events/customer/{user}?token={}", token(user))
}

#[tokio::test]
async fn a_feed_is_streamed_and_goes_on_after_the_last_event_that_was_seen() {
    let house = House::open().await;
    let mut events = Events::open(&house, &path(7), &[]).await;
    assert_eq!(events.0.status, 200);
    let header = |name: &str| events.0.headers.iter().find(|(own, _)| own == name).unwrap().1.clone();
    assert_eq!(header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(header("x-accel-buffering"), "no");
    house.publish("customer:7", &event("one")).await;
    assert_eq!(events.next().await.0, ["id: one"]);
    house.publish("customer:7", &rider_location("1", 9)).await;
    let (fields, value) = events.next().await;
    assert_eq!(value["data"]["eta_minutes"], 9);
    let last = fields[0].strip_prefix("id: ").unwrap().to_owned();
    drop(events);
    house.publish("customer:7", &event("two")).await;
    let mut events = Events::open(&house, &path(7), &[("last-event-id", &last)]).await;
    assert_eq!(events.next().await.1["data"]["eta_minutes"], 9);
    assert_eq!(events.next().await.0, ["id: two"]);
    house.publish("customer:7", &event("three")).await;
    assert_eq!(events.next().await.0, ["id: three"]);
    // As the first attempt of a page that remembers, in its address.
    let mut events = Events::open(&house, &format!("{}&since_event_id=two", path(7)), &[]).await;
    let _value = events.next().await;
    assert_eq!(events.next().await.0, ["id: three"]);
}

#[tokio::test]
async fn a_stream_that_may_not_be_is_answered_with_a_status() {
    let house = House::with(&[("REALTIME_ALLOWED_ORIGINS", "https://app.example")]).await;
    let status = async |path: &str, origin: &str| {
        let url = format!("http://{}{path}", house.address);
        let response = request("GET", &url, &[("origin", origin)], "").await;
        let allowed = response.header("access-control-allow-origin").map(str::to_owned);
        (response.status, allowed)
    };
    let app = "https://app.example";
    let allowed = Some(app.to_owned());
    assert_eq!(status("/events/customer/7", app).await, (401, allowed.clone()));
    let other = format!("/events/customer/8?token={}", token(7));
    assert_eq!(status(&other, app).await, (403, None));
    assert_eq!(status("/events/nothing", app).await, (404, allowed.clone()));
    assert_eq!(status(&path(7), "https://evil.example").await, (403, None));
    let options =
        request("OPTIONS", &format!("http://{}/events/customer/7", house.address), &[("origin", app)], "")
            .await;
    assert_eq!((options.status, options.header("access-control-allow-methods")), (204, Some("GET, OPTIONS")));
    let post = request("POST", &format!("http://{}/events/customer/7", house.address), &[], "x").await;
    assert_eq!(post.status, 405);
}

#[tokio::test]
async fn a_stream_whose_token_ends_says_why_it_ends() {
    let house = House::open().await;
    let short = Token::new(SECRET, 7).expires_in(std::time::Duration::from_secs(1)).sign();
    let mut events = Events::open(&house, &format!("/events/customer/7?token={short}"), &[]).await;
    let (fields, why) = events.next().await;
    assert_eq!((fields[0].as_str(), &why["code"]), ("event: close", &json!(4001)), "{why}");
    assert_eq!(events.0.line(PATIENCE).await, None);
}

/// Centrifuge's protocol over a stream of lines.
struct Lines {
    stream: Stream,
    emulation: String,
    connected: Value,
}

impl Lines {
    async fn open(house: &House, user: u64) -> Self {
        let connect = json!({ "id": 1, "connect": { "token": token(user) } }).to_string();
        let url = format!("http://{}/connection/http_stream", house.address);
        let headers = [("content-type", "application/json")];
        let stream = Stream::open("POST", &url, &headers, &connect).await.unwrap();
        assert_eq!(stream.status, 200);
        let mut lines =
            Self { stream, emulation: format!("http://{}/emulation", house.address), connected: Value::Null };
        lines.connected = lines.next().await["connect"].clone();
        lines
    }

    async fn next(&mut self) -> Value {
        let line = self.stream.line(PATIENCE).await.expect("the stream goes on");
        serde_json::from_str(&line).unwrap()
    }

    async fn send(&self, commands: &str) -> u16 {
        let Value::Object(connected) = &self.connected else { panic!("not connected") };
        let body = json!({ "session": connected["session"], "node": connected["node"], "data": commands });
        request("POST", &self.emulation, &[("content-type", "application/json")], &body.to_string())
            .await
            .status
    }
}

#[tokio::test]
async fn a_connection_without_socket_does_what_one_with_a_socket_does() {
    let house = House::open().await;
    house.allow(7, "chat:1");
    let mut lines = Lines::open(&house, 7).await;
    assert_eq!(lines.connected["pong"], Value::Null, "nobody has to answer pings by a request");
    assert_eq!(lines.send(r#"{"id":2,"subscribe":{"channel":"chat:1"}}"#).await, 204);
    assert_eq!(lines.next().await["id"], 2);
    house.publish("chat:1", &event("one")).await;
    assert_eq!(id(&lines.next().await["push"]["pub"]["data"]), "one");
    assert_eq!(
        lines
            .send(
                "{\"id\":3,\"unsubscribe\":{\"channel\":\"chat:1\"}}\n{\"id\":4,\"rpc\":{\"method\":\"no\"}}"
            )
            .await,
        204
    );
    assert_eq!(lines.next().await["id"], 3);
    assert_eq!(lines.next().await["error"]["code"], 104);
    // What is no command ends it, with the reason in the stream.
    assert_eq!(lines.send("hello").await, 204);
    assert_eq!(lines.next().await["push"]["disconnect"]["code"], 3501);
    assert_eq!(lines.stream.line(PATIENCE).await, None);
    assert_eq!(lines.send("{}").await, 404, "its secret is forgotten");
}

#[tokio::test]
async fn the_same_goes_for_server_sent_events() {
    let house = House::open().await;
    let connect = json!({ "id": 1, "connect": { "token": token(7) } }).to_string();
    let connect: String = connect.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut events = Events::open(&house, &format!("/connection/sse?cf_connect={connect}"), &[]).await;
    let (fields, reply) = events.next().await;
    assert_eq!(fields, [""; 0]);
    assert!(reply["connect"]["session"].as_str().unwrap().len() >= 32);
    house.publish("customer:7", &event("one")).await;
    assert_eq!(id(&events.next().await.1["push"]["pub"]["data"]), "one");
    let missing = request("GET", &format!("http://{}/connection/sse", house.address), &[], "").await;
    assert_eq!(missing.status, 400);
}

#[tokio::test]
async fn a_guessed_session_is_nobody_and_a_bad_body_is_refused() {
    let house = House::open().await;
    let url = format!("http://{}/emulation", house.address);
    let json = [("content-type", "application/json")];
    let guess = json!({ "session": "0".repeat(64), "node": "", "data": "{}" }).to_string();
    assert_eq!(request("POST", &url, &json, &guess).await.status, 404);
    assert_eq!(request("POST", &url, &json, "hello").await.status, 400);
    assert_eq!(request("GET", &url, &[], "").await.status, 405);
    assert_eq!(request("OPTIONS", &url, &[], "").await.status, 204);
    let large = json!({ "session": "x", "data": "x".repeat(100_000) }).to_string();
    assert_eq!(request("POST", &url, &json, &large).await.status, 413);
}
