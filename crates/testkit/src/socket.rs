//! A WebSocket client that shows everything: the refused handshake, each frame, the close and its reason.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue},
    },
};

use crate::wait::PATIENCE;

/// A connection to be made.
#[derive(Debug, Clone)]
pub struct Connect {
    url: String,
    headers: Vec<(String, String)>,
    receive_buffer: Option<u32>,
}

/// The handshake was answered by something else than 101.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status; 0 when there was no HTTP answer at all.
    pub status: u16,
    /// The body, or why there was no answer.
    pub body: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

/// What came next on a socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// A text frame with JSON.
    Json(Value),
    /// A text frame with anything else.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
    /// The server closed, with this code and reason; 1005 for a close frame without a code.
    Closed(u16, String),
    /// The connection broke without a close frame.
    Broken(String),
    /// Nothing came in time.
    Nothing,
}

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Connect {
    /// To this `ws://` address.
    pub fn to(url: impl Into<String>) -> Self {
        Self { url: url.into(), headers: Vec::new(), receive_buffer: None }
    }

    /// Sends a header with the handshake.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends `Origin`, as browsers do.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        self.header("origin", origin)
    }

    /// Sends the token as a header, as apps can and browsers can't.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Keeps the kernel's buffer small (bytes), so that a reader that does not read is felt by the server soon.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Connects; panics when the handshake is refused.
    pub async fn open(self) -> Socket {
        let url = self.url.clone();
        match self.attempt().await {
            Ok(socket) => socket,
            Err(refusal) => panic!("{url} refused the handshake: {refusal:?}"),
        }
    }

    /// Connects, or tells how the handshake was refused.
    pub async fn attempt(self) -> Result<Socket, Refusal> {
        match timeout(PATIENCE, self.handshake()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Refusal::without_answer(format!("no answer within {PATIENCE:?}"))),
        }
    }

    async fn handshake(self) -> Result<Socket, Refusal> {
        let mut request = self.url.as_str().into_client_request().expect("tests use valid addresses");
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name.as_str()).expect("tests use valid header names");
            let value = HeaderValue::try_from(value.as_str()).expect("tests use valid header values");
            request.headers_mut().append(name, value);
        }
        let host = request.uri().authority().expect("ws:// addresses have a host").as_str().to_owned();
        let tcp = self.tcp(&host).await.map_err(|why| Refusal::without_answer(why.to_string()))?;
        match client_async(request, tcp).await {
            Ok((stream, _)) => Ok(Socket { stream }),
            Err(Error::Http(response)) => Err(Refusal {
                status: response.status().as_u16(),
                body: response
                    .body()
                    .as_deref()
                    .map(String::from_utf8_lossy)
                    .unwrap_or_default()
                    .into_owned(),
                headers: response
                    .headers()
                    .iter()
                    .map(|(name, value)| {
                        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                    })
                    .collect(),
            }),
            Err(why) => Err(Refusal::without_answer(why.to_string())),
        }
    }

    async fn tcp(&self, host: &str) -> std::io::Result<TcpStream> {
        let address = tokio::net::lookup_host(host).await?.next();
        let address = address.ok_or_else(|| std::io::Error::other(format!("{host} has no address")))?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Refusal {
    fn without_answer(why: String) -> Self {
        Self { status: 0, body: why, headers: Vec::new() }
    }
}

impl Socket {
    /// What comes next within a time. Pings are answered and not shown.
    pub async fn next(&mut self, within: Duration) -> Next {
        let deadline = Instant::now() + within;
        loop {
            let message = match timeout_at(deadline, self.stream.next()).await {
                Err(_) => return Next::Nothing,
                Ok(None) => return Next::Broken("the connection ended".to_owned()),
                Ok(Some(Err(why))) => return Next::Broken(why.to_string()),
                Ok(Some(Ok(message))) => message,
            };
            match message {
                Message::Text(text) => {
                    return match serde_json::from_str(&text) {
                        Ok(value) => Next::Json(value),
                        Err(_) => Next::Text(text.to_string()),
                    };
                }
                Message::Binary(bytes) => return Next::Binary(bytes.to_vec()),
                Message::Close(None) => return Next::Closed(1005, String::new()),
                Message::Close(Some(frame)) => {
                    return Next::Closed(frame.code.into(), frame.reason.to_string());
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// The next JSON frame; panics when something else comes, or nothing within [`PATIENCE`].
    pub async fn json(&mut self) -> Value {
        match self.next(PATIENCE).await {
            Next::Json(value) => value,
            other => panic!("expected a JSON frame, got {other:?}"),
        }
    }

    /// The next text frame exactly as it came; panics when something else comes, or nothing within [`PATIENCE`].
    pub async fn text(&mut self) -> String {
        match timeout(PATIENCE, self.message()).await {
            Ok(Some(Ok(Message::Text(text)))) => text.to_string(),
            other => panic!("expected a text frame, got {other:?}"),
        }
    }

    /// The next message that is not a ping or a pong.
    async fn message(&mut self) -> Option<Result<Message, Error>> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return other,
            }
        }
    }

    /// The next JSON frame of this `type`; others are passed over.
    pub async fn json_of_type(&mut self, name: &str) -> Value {
        loop {
            let value = self.json().await;
            if value.get("type").and_then(Value::as_str) == Some(name) {
                return value;
            }
        }
    }

    /// Reads until the server closes; its code and reason. Panics when the connection breaks instead.
    pub async fn closed(&mut self) -> (u16, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline.saturating_duration_since(Instant::now())).await {
                Next::Closed(code, reason) => return (code, reason),
                Next::Broken(why) => panic!("the connection broke without a close frame: {why}"),
                Next::Nothing => panic!("the server did not close within {PATIENCE:?}"),
                Next::Json(_) | Next::Text(_) | Next::Binary(_) => {}
            }
        }
    }

    /// Asserts that nothing comes for a time.
    pub async fn assert_quiet(&mut self, time: Duration) {
        let next = self.next(time).await;
        assert_eq!(next, Next::Nothing, "expected nothing for {time:?}");
    }

    /// Sends JSON in a text frame.
    pub async fn send_json(&mut self, value: &Value) {
        self.send(Message::text(value.to_string())).await;
    }

    /// Sends a text frame, JSON or not.
    pub async fn send_text(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// Sends any message. A connection that is closing already is left to [`Socket::next`] to tell.
    pub async fn send(&mut self, message: Message) {
        let _ = self.stream.send(message).await;
    }

    /// Sends bytes under the WebSocket protocol, e.g. a broken frame.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes).await;
    }

    /// Closes as a page does that is left: code 1000.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
    }

    /// Drops the connection as a tunnel does: reset, no close frame.
    pub fn cut(self) {
        // Without it, the server would see an orderly end of the stream.
        let _ = self.stream.get_ref().set_zero_linger();
    }
}
