//! A client of Centrifuge's protocol, by hand: JSON lines on a WebSocket.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use platepal_testkit::{Connect, Next, PATIENCE, Role, Socket, Tier, Token};
use serde_json::{Value, json};

/// A connected client.
pub(crate) struct Client {
    socket: Socket,
    /// What came and was not looked at.
    waiting: VecDeque<Value>,
    last: u64,
    /// Its id, as the tier knows it.
    pub(crate) id: String,
}

impl Client {
    pub(crate) async fn connect(tier: &Tier, edge: Role, token: &Token) -> Self {
        let socket = Connect::to(tier.socket_url_of(edge, "/connection/websocket")).open().await;
        let mut client = Self { socket, waiting: VecDeque::new(), last: 0, id: String::new() };
        let reply = client.ask("connect", json!({ "token": token.sign() })).await;
        client.id = reply["connect"]["client"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
        client
    }

    /// Sends a command and gives its reply.
    pub(crate) async fn ask(&mut self, command: &str, parameters: Value) -> Value {
        self.last += 1;
        let id = self.last;
        self.socket.send_json(&json!({ "id": id, command: parameters })).await;
        self.next(|frame| frame["id"] == id).await
    }

    pub(crate) async fn subscribe(&mut self, channel: &str) {
        let reply = self.ask("subscribe", json!({ "channel": channel, "flag": 1 })).await;
        assert!(reply.get("subscribe").is_some(), "{reply}");
    }

    /// The next push of this kind for a channel.
    pub(crate) async fn push(&mut self, kind: &str, channel: &str) -> Value {
        let frame =
            self.next(|frame| frame["push"]["channel"] == channel && frame["push"].get(kind).is_some()).await;
        frame["push"][kind].clone()
    }

    /// The next frame that is meant; others go on waiting.
    async fn next(&mut self, is_meant: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.waiting.iter().position(&is_meant) {
                return self.waiting.remove(place).unwrap();
            }
            match self.socket.next(deadline.saturating_duration_since(Instant::now())).await {
                Next::Json(frame) => self.waiting.push_back(frame),
                Next::Text(lines) => {
                    let frames = lines.lines().map(|line| serde_json::from_str(line).unwrap());
                    self.waiting.extend(frames);
                }
                other => panic!("{other:?}, and not what was waited for; there was {:?}", self.waiting),
            }
        }
    }

    /// Reads until the server closes.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        self.socket.closed().await
    }

    /// Asserts that the connection stands.
    pub(crate) async fn assert_open(&mut self) {
        let reply = self.ask("presence_stats", json!({ "channel": "chat:0" })).await;
        assert!(reply.get("error").is_some() || reply.get("presence_stats").is_some(), "{reply}");
    }
}

/// How long what happens everywhere may take, as a test sees it: it is promised within a second.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// Runs a future, and fails when it takes longer than [`SOON`].
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let result = work.await;
    assert!(began.elapsed() < SOON, "{what} took {:?}", began.elapsed());
    result
}
