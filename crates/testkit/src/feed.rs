//! A client that behaves as PlatePal's own frontends do: it reconnects on any close but 1000, with the same
//! token and the `event_id` of the last frame it saw. The network under it can be cut and mended by the test.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{Connect, Next, Socket, wait::PATIENCE};

/// The frontends wait 1 s, 2 s, … 30 s; here a shorter time, to the same effect.
const RECONNECT_AFTER: Duration = Duration::from_millis(20);

/// Reading has no deadline of its own; the test has.
const A_LONG_TIME: Duration = Duration::from_secs(3600);

/// A frontend with an open feed.
#[derive(Debug)]
pub struct PlatePalClient {
    network: watch::Sender<Network>,
    seen: watch::Receiver<Seen>,
    frames: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    online: bool,
    /// Grows with every cut.
    cuts: u64,
}

/// What the client has been through.
#[derive(Debug, Clone, Default)]
struct Seen {
    connected: bool,
    connections: u64,
    frames: usize,
    closes: Vec<(u16, String)>,
    refusals: Vec<u16>,
}

impl PlatePalClient {
    /// Opens a feed, e.g. `ws://…/ws/customer/7`, and keeps it open.
    pub fn open(url: &str, token: &str) -> Self {
        let (network, of_network) = watch::channel(Network { online: true, cuts: 0 });
        let (told, seen) = watch::channel(Seen::default());
        let frames = Arc::new(Mutex::new(Vec::new()));
        let life =
            Life { url: url.to_owned(), token: token.to_owned(), last: None, told, frames: frames.clone() };
        let task = tokio::spawn(life.live(of_network));
        Self { network, seen, frames, task }
    }

    /// Resets the connection; the client comes back by itself.
    pub fn cut(&self) {
        self.network.send_modify(|network| network.cuts += 1);
    }

    /// Into the tunnel: resets the connection, and makes none until [`PlatePalClient::online`].
    pub fn offline(&self) {
        self.network.send_modify(|network| *network = Network { online: false, cuts: network.cuts + 1 });
    }

    /// Out of the tunnel.
    pub fn online(&self) {
        self.network.send_modify(|network| network.online = true);
    }

    /// All frames, of all its connections, in the order in which they came.
    pub fn frames(&self) -> Vec<Value> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The `event_id` of every frame that has one, in the order in which they came.
    pub fn event_ids(&self) -> Vec<String> {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.iter().filter_map(|frame| frame.get("event_id")?.as_str().map(str::to_owned)).collect()
    }

    /// Connections that were made so far.
    pub fn connections(&self) -> u64 {
        self.seen.borrow().connections
    }

    /// Codes and reasons with which the server closed so far.
    pub fn closes(&self) -> Vec<(u16, String)> {
        self.seen.borrow().closes.clone()
    }

    /// HTTP statuses with which handshakes were refused so far; 0 when there was no answer.
    pub fn refusals(&self) -> Vec<u16> {
        self.seen.borrow().refusals.clone()
    }

    /// Waits until it is connected.
    pub async fn connected(&mut self) {
        self.until("the client is connected", |seen| seen.connected).await;
    }

    /// Waits until it has seen this many frames, and gives all.
    pub async fn wait_for_frames(&mut self, count: usize) -> Vec<Value> {
        self.until(&format!("the client has seen {count} frames"), |seen| seen.frames >= count).await;
        self.frames()
    }

    /// Waits until it has seen the frame of an event.
    pub async fn wait_for_event(&mut self, event_id: &str) {
        let frames = self.frames.clone();
        self.until(&format!("the client has seen event {event_id}"), |_| {
            let frames = frames.lock().unwrap_or_else(PoisonError::into_inner);
            frames.iter().any(|frame| frame.get("event_id").and_then(Value::as_str) == Some(event_id))
        })
        .await;
    }

    async fn until(&mut self, what: &str, holds: impl FnMut(&Seen) -> bool) {
        let waited = timeout(PATIENCE, self.seen.wait_for(holds)).await.map(|outcome| outcome.is_ok());
        if waited != Ok(true) {
            panic!("not within {PATIENCE:?}: {what}; it has been through {:?}", self.seen.borrow());
        }
    }
}

impl Drop for PlatePalClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the client's task owns.
struct Life {
    url: String,
    token: String,
    last: Option<String>,
    told: watch::Sender<Seen>,
    frames: Arc<Mutex<Vec<Value>>>,
}

impl Life {
    async fn live(mut self, mut network: watch::Receiver<Network>) {
        while network.wait_for(|network| network.online).await.is_ok() {
            match Connect::to(self.address()).attempt().await {
                Ok(socket) => {
                    self.told.send_modify(|seen| {
                        seen.connected = true;
                        seen.connections += 1;
                    });
                    let done = self.read(socket, &mut network).await;
                    self.told.send_modify(|seen| seen.connected = false);
                    if done {
                        return;
                    }
                }
                Err(refusal) => self.told.send_modify(|seen| seen.refusals.push(refusal.status)),
            }
            tokio::time::sleep(RECONNECT_AFTER).await;
        }
    }

    fn address(&self) -> String {
        let since = self.last.as_ref().map(|id| format!("&since_event_id={id}")).unwrap_or_default();
        format!("{}?token={}{since}", self.url, self.token)
    }

    /// Reads until the connection ends; true when the server said 1000 and the frontends would stay away.
    async fn read(&mut self, mut socket: Socket, network: &mut watch::Receiver<Network>) -> bool {
        let at_start = *network.borrow_and_update();
        loop {
            tokio::select! {
                biased;
                changed = network.wait_for(|network| network.cuts != at_start.cuts) => {
                    socket.cut();
                    return changed.is_err();
                }
                next = socket.next(A_LONG_TIME) => match next {
                    Next::Json(frame) => self.note(frame),
                    Next::Closed(code, reason) => {
                        self.told.send_modify(|seen| seen.closes.push((code, reason)));
                        return code == 1000;
                    }
                    Next::Broken(_) => return false,
                    Next::Text(_) | Next::Binary(_) | Next::Nothing => {}
                }
            }
        }
    }

    fn note(&mut self, frame: Value) {
        if let Some(id) = frame.get("event_id").and_then(Value::as_str) {
            self.last = Some(id.to_owned());
        }
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
        self.told.send_modify(|seen| seen.frames += 1);
    }
}
