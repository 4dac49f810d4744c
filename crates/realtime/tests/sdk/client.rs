//! A client of an official SDK, and the lives in which each story is lived.

use std::{
    collections::HashSet,
    fmt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::future::join_all;
use platepal_proto::v1;
use platepal_testkit::{Driver, Tier, Token};
use serde_json::{Value, json};

/// Where an SDK connects.
const PATH: &str = "/connection/websocket";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    JavaScript,
    Python,
}

/// One SDK in one encoding, with a user that no other life has.
pub(crate) struct Life<'a> {
    pub(crate) tier: &'a Tier,
    pub(crate) language: Language,
    pub(crate) protobuf: bool,
    pub(crate) user: u64,
    driver: Arc<Driver>,
    clients: AtomicU64,
}

/// Lives a story with every SDK in both encodings, all at the same time.
pub(crate) async fn with_every_sdk(tier: &Tier, story: impl AsyncFn(&Life<'_>)) {
    let lives = every_sdk(tier).await;
    join_all(lives.iter().map(|life| story(life))).await;
}

/// Every SDK in both encodings. Clients outlive the loan of the tier.
pub(crate) async fn every_sdk(tier: &Tier) -> Vec<Life<'_>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    let drivers = [
        (Language::JavaScript, Driver::node(&folder.join("sdk.mjs"))),
        (Language::Python, Driver::python(&folder.join("sdk.py"))),
    ];
    let mut lives = Vec::new();
    for (language, driver) in drivers {
        // Starting takes time, and tokens that tests mint may be short.
        driver.call(json!({ "do": "ready" })).await.expect("the driver is ready");
        let driver = Arc::new(driver);
        for protobuf in [false, true] {
            let user = 71 + lives.len() as u64;
            let (driver, clients) = (Arc::clone(&driver), AtomicU64::new(1));
            lives.push(Life { tier, language, protobuf, user, driver, clients });
        }
    }
    lives
}

impl Life<'_> {
    /// A good token of this life's user.
    pub(crate) fn token(&self) -> Token {
        self.tier.token(self.user)
    }

    /// The user's own feed.
    pub(crate) fn feed(&self) -> String {
        format!("customer:{}", self.user)
    }

    /// A client with this token that is not connected yet.
    pub(crate) async fn client(&self, token: &str) -> Client {
        self.client_with(json!({ "token": token }), false).await
    }

    /// A client with these options of its SDK (by their names in JavaScript). One that `asks` wants tokens from
    /// [`Client::give`].
    pub(crate) async fn client_with(&self, options: Value, asks: bool) -> Client {
        self.client_at(json!(self.tier.socket_url(PATH)), options, asks).await
    }

    /// A client of an address: `ws://…`, or a list of transports.
    pub(crate) async fn client_at(&self, endpoint: Value, mut options: Value, asks: bool) -> Client {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        let name = format!("{self}, client {number}");
        let fields = options.as_object_mut().expect("options are an object");
        fields.entry("minReconnectDelay").or_insert(json!(20));
        fields.entry("maxReconnectDelay").or_insert(json!(200));
        let client = Client { driver: Arc::clone(&self.driver), name, taken: Mutex::default() };
        let new =
            json!({ "endpoint": endpoint, "protobuf": self.protobuf, "asks": asks, "options": options });
        client.call("new", new).await.expect("a client can be made");
        client
    }

    /// A client of this user that is connected.
    pub(crate) async fn connected(&self) -> Client {
        let client = self.client(&self.token().sign()).await;
        client.connect().await;
        client.event("connected").await;
        client
    }

    /// Lets this life's user read a channel, as Django does.
    pub(crate) async fn grant(&self, channel: &str) {
        let user_id = self.user.to_string();
        let grant = v1::GrantRequest { user_id, channel: channel.to_owned(), expires_at: None };
        self.tier.grpc().sessions().grant(grant).await.expect("the grant is kept");
    }

    /// A token for one channel.
    pub(crate) fn channel_token(&self, channel: &str) -> Token {
        self.token().without("user_id").claim("sub", self.user.to_string()).claim("channel", channel)
    }
}

impl fmt::Display for Life<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoding = if self.protobuf { "protobuf" } else { "JSON" };
        write!(formatter, "{:?} in {encoding}", self.language)
    }
}

/// One client of an SDK.
pub(crate) struct Client {
    driver: Arc<Driver>,
    name: String,
    /// Events that a test has looked at, by their place.
    taken: Mutex<HashSet<usize>>,
}

/// A call was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: u64,
    pub(crate) message: String,
}

impl Client {
    async fn call(&self, what: &str, mut command: Value) -> Result<Value, Refused> {
        let fields = command.as_object_mut().expect("commands are objects");
        fields.insert("do".to_owned(), what.into());
        fields.insert("client".to_owned(), self.name.as_str().into());
        self.driver.call(command).await.map_err(|error| Refused {
            code: error["code"].as_u64().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
        })
    }

    async fn tell(&self, what: &str, command: Value) {
        let told = self.call(what, command).await;
        assert!(told.is_ok(), "{}: {what}: {told:?}", self.name);
    }

    pub(crate) async fn connect(&self) {
        self.tell("connect", json!({})).await;
    }

    pub(crate) async fn disconnect(&self) {
        self.tell("disconnect", json!({})).await;
    }

    /// Waits until the SDK asks for a token, for the connection (`null`) or a channel, and gives it; none means
    /// that there is none to be had.
    pub(crate) async fn give(&self, channel: Value, token: Option<&str>) {
        let asked = self.take("asked", |event| event["channel"] == channel).await;
        self.tell("give", json!({ "ask": asked["ask"], "token": token })).await;
    }

    /// Subscribes with options of the SDK (by their names in JavaScript).
    pub(crate) async fn subscribe_with(&self, channels: &[&str], options: Value, asks: bool) {
        self.tell("subscribe", json!({ "channels": channels, "options": options, "asks": asks })).await;
    }

    /// Subscribes and does not wait.
    pub(crate) async fn subscribe(&self, channel: &str) {
        self.subscribe_with(&[channel], json!({}), false).await;
    }

    /// Subscribes, and waits until it is.
    pub(crate) async fn subscribed(&self, channel: &str) -> Value {
        self.subscribe(channel).await;
        self.event_of("subscribed", channel).await
    }

    /// A subscription that was left is taken up again.
    pub(crate) async fn resubscribe(&self, channel: &str) {
        self.tell("resubscribe", json!({ "channel": channel })).await;
    }

    pub(crate) async fn unsubscribe(&self, channel: &str) {
        self.tell("unsubscribe", json!({ "channel": channel })).await;
    }

    pub(crate) async fn history(&self, channel: &str, options: Value) -> Result<Value, Refused> {
        self.call("history", json!({ "channel": channel, "options": options })).await
    }

    pub(crate) async fn presence(&self, channel: &str) -> Result<Value, Refused> {
        self.call("presence", json!({ "channel": channel })).await
    }

    pub(crate) async fn presence_stats(&self, channel: &str) -> Result<Value, Refused> {
        self.call("presence_stats", json!({ "channel": channel })).await
    }

    pub(crate) async fn publish(&self, channel: &str, data: Value) -> Result<Value, Refused> {
        self.call("publish", json!({ "channel": channel, "data": data })).await
    }

    pub(crate) async fn rpc(&self, method: &str, data: Value) -> Result<Value, Refused> {
        self.call("rpc", json!({ "method": method, "data": data })).await
    }

    pub(crate) async fn send(&self, data: Value) {
        self.tell("send", json!({ "data": data })).await;
    }

    /// The next event of this kind that no test has looked at.
    pub(crate) async fn event(&self, kind: &str) -> Value {
        self.take(kind, |_| true).await
    }

    /// The next event of this kind and channel that no test has looked at.
    pub(crate) async fn event_of(&self, kind: &str, channel: &str) -> Value {
        self.take(&format!("{kind} of {channel}"), |event| event["channel"] == channel).await
    }

    async fn take(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let kind = what.split(' ').next().unwrap_or_default();
        let name = &self.name;
        let fits = |event: &Value| event["client"] == *name && event["event"] == kind && fits(event);
        self.driver
            .wait(
                &format!("{name}: {what}"),
                |event| event["client"] == *name,
                |events| {
                    let mut taken = self.taken.lock().unwrap();
                    let found = events
                        .iter()
                        .enumerate()
                        .find(|(place, event)| !taken.contains(place) && fits(event));
                    found.map(|(place, event)| {
                        taken.insert(place);
                        event.clone()
                    })
                },
            )
            .await
    }

    /// Every event of this kind so far, looked at or not.
    pub(crate) fn all(&self, kind: &str) -> Vec<Value> {
        let mut events = self.driver.events();
        events.retain(|event| event["client"] == self.name.as_str() && event["event"] == kind);
        events
    }

    /// Waits until there have been so many events of this kind.
    pub(crate) async fn count(&self, kind: &str, count: usize) {
        self.counted(&format!("{count} {kind}"), count, |event| event["event"] == kind).await;
    }

    /// Waits until a channel has had so many events of this kind.
    pub(crate) async fn count_of(&self, kind: &str, channel: &str, count: usize) {
        let fits = |event: &Value| event["event"] == kind && event["channel"] == channel;
        self.counted(&format!("{count} {kind} of {channel}"), count, fits).await;
    }

    async fn counted(&self, what: &str, count: usize, fits: impl Fn(&Value) -> bool) {
        let name = &self.name;
        let own = |event: &Value| event["client"] == *name;
        let enough =
            |events: &[Value]| events.iter().filter(|event| own(event) && fits(event)).count() >= count;
        self.driver.wait(&format!("{name}: {what}"), own, |events| enough(events).then_some(())).await;
    }

    /// Waits until a channel has brought this event, and gives the ids of everything that it brought, in order.
    pub(crate) async fn ids_until(&self, channel: &str, last: &str) -> Vec<String> {
        let name = &self.name;
        let fits = |event: &Value| {
            event["client"] == *name && event["event"] == "publication" && event["channel"] == channel
        };
        let what = format!("{name}: {last} in {channel}");
        self.driver
            .wait(
                &what,
                |event| event["client"] == *name,
                |events| {
                    let ids = events
                        .iter()
                        .filter(|event| fits(event))
                        .filter_map(|event| event["data"]["event_id"].as_str());
                    let ids: Vec<String> = ids.map(str::to_owned).collect();
                    ids.iter().any(|id| id == last).then_some(ids)
                },
            )
            .await
    }

    /// What became of one channel, for a message of failure: kinds, offsets, ids.
    pub(crate) fn story_of(&self, channel: &str) -> String {
        let own = |event: &Value| event["client"] == *self.name && event["channel"] == channel;
        let line = |event: &Value| {
            let kind = event["event"].as_str().unwrap_or_default();
            let recovered = event.get("recovered").map(|own| format!(" recovered {own}")).unwrap_or_default();
            format!("{kind}{recovered} at {}: {}", event["offset"], event["data"]["event_id"])
        };
        let lines: Vec<String> = self.driver.events().iter().filter(|event| own(event)).map(line).collect();
        format!("{}, {channel}:\n  {}\n", self.name, lines.join("\n  "))
    }

    /// Waits until it has left, and says why; it must not come back by itself.
    pub(crate) async fn disconnected(&self) -> (u64, String) {
        let event = self.event("disconnected").await;
        (event["code"].as_u64().unwrap(), event["reason"].as_str().unwrap().to_owned())
    }
}
