//! Responses without end: feeds as server-sent events, and Centrifuge's connections without sockets.
//!
//! What a client of the latter sends comes by requests of its own, to `/emulation`, and is given to the session
//! that its secret names.

use std::{collections::HashMap, sync::Arc};

use ::http::{HeaderValue, Method, Response, StatusCode, header};
use bytes::Bytes;
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::mpsc;

use super::{Full, Reply, Request};
use crate::{
    Edge,
    admission::Admitted,
    centrifuge::{Client, EmulationRequest},
    codec::Wire,
    handshake::{Refused, seen},
    line::Line,
    queue::Outgoing,
    session::{self, Session, opening},
    stream,
};

/// Characters of a session's secret: 256 bits as hexadecimal.
const SECRET_BYTES: usize = 32;
/// When a browser's `EventSource` comes back, in milliseconds; spread, so that many do not come together.
const RETRY_MILLIS: std::ops::Range<u32> = 1_000..3_000;

/// Where to put what clients without socket send.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<Arc<str>, mpsc::Sender<Bytes>>>);

/// A stream that can be sent to; dropping it forgets its secret.
struct Listening {
    edge: Arc<Edge>,
    secret: Arc<str>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.edge.streams.0.lock().remove(&self.secret);
    }
}

/// No session has this secret here.
#[derive(Debug)]
pub(crate) struct Unknown;

impl Streams {
    /// Gives commands to the session that a secret names. Waits while the session has not taken those before.
    pub async fn send(&self, secret: &str, commands: Bytes) -> Result<(), Unknown> {
        let sender = self.0.lock().get(secret).cloned().ok_or(Unknown)?;
        sender.send(commands).await.map_err(|_| Unknown)
    }
}

/// `GET /events/…`: one feed as server-sent events.
pub(super) async fn events(edge: &Arc<Edge>, request: &Request<'_>) -> Result<Reply, Refused> {
    let mut arrival = request.head.arrival(Some(request.visitor.address))?;
    // What a browser says by itself when it comes back is newer than what is in the address.
    let last = request.head.text("last-event-id");
    if !last.is_empty() {
        arrival.since = Some(seen(last.to_owned()));
    }
    let place = edge.entrance.admit(&request.visitor).await?;
    let queue = opening::queue(edge);
    let wire = Wire::PlatePalEvents;
    let opened = opening::open(edge, &arrival, &queue, wire).await.map_err(|close| super::refused(&close))?;
    let (mut stream, body, _) = stream::open();
    let retry = rand::rng().random_range(RETRY_MILLIS);
    stream.extend([Outgoing::plain(format!("retry: {retry}\n\n").into())]);
    let session = session::begin(edge, Line::Stream(stream), wire, queue, Ok(opened));
    run(edge, session, place, None);
    Ok(answer("text/event-stream; charset=utf-8", body))
}

/// `/connection/sse` and `/connection/http_stream`: the first commands come with the request.
pub(super) async fn centrifuge(
    edge: &Arc<Edge>,
    request: &Request<'_>,
    wire: Wire,
    commands: Bytes,
) -> Result<Reply, Refused> {
    let place = edge.entrance.admit(&request.visitor).await?;
    let (mut stream, body, sender) = stream::open();
    let content = match wire {
        Wire::JsonEvents => {
            // So that proxies pass on the head at once.
            stream.extend([Outgoing::plain(Bytes::from_static(b"\r\n"))]);
            "text/event-stream; charset=utf-8"
        }
        Wire::ProtobufStream => "application/octet-stream",
        _ => "application/json",
    };
    let secret: Arc<str> = secret().into();
    edge.streams.0.lock().insert(Arc::clone(&secret), sender);
    let listening = Listening { edge: Arc::clone(edge), secret: Arc::clone(&secret) };
    let mut session = Session::new(edge, Line::Stream(stream), wire, opening::queue(edge));
    session.begin_centrifuge(Client::new(wire, false, Some(secret), Some(request.visitor.address)));
    session.hear_centrifuge(commands, wire);
    run(edge, session, place, Some(listening));
    Ok(answer(content, body))
}

/// The commands with which a stream begins: a query's, or the body.
pub(super) fn first_commands(request: &Request<'_>, body: Bytes) -> Result<Bytes, Refused> {
    let commands = match *request.head.method {
        Method::GET => request.head.parameter("cf_connect").map(Bytes::from),
        _ => Some(body).filter(|body| !body.is_empty()),
    };
    let missing = || Refused::new(StatusCode::BAD_REQUEST, "bad_request", "the connect command is missing");
    commands.ok_or_else(missing)
}

/// `POST /emulation`.
pub(super) async fn emulation(edge: &Edge, request: &Request<'_>, body: &Bytes) -> Result<Reply, Refused> {
    let is_protobuf = request.head.text(header::CONTENT_TYPE).starts_with("application/octet-stream");
    let sent: Option<EmulationRequest> = match is_protobuf {
        true => prost::Message::decode(body.clone()).ok(),
        false => serde_json::from_slice(body).ok(),
    };
    let unreadable = || Refused::new(StatusCode::BAD_REQUEST, "bad_request", "this is no emulation request");
    let EmulationRequest { node, session, data } = sent.ok_or_else(unreadable)?;
    edge.emulate(&node, &session, data).await.map_err(|Unknown| {
        Refused::new(StatusCode::NOT_FOUND, "not_found", "no stream has this session; connect again")
    })?;
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(Box::new(response))
}

impl Edge {
    /// Gives commands to the session that a secret names, on whatever edge it is.
    async fn emulate(&self, node: &str, secret: &str, commands: Bytes) -> Result<(), Unknown> {
        if node.is_empty() || node == self.sessions.edge_name() {
            return self.streams.send(secret, commands).await;
        }
        // One that does not answer is as good as gone: the client begins anew, on an edge that does.
        self.edges.emulate(node, secret.to_owned(), commands).await.map_err(|_| Unknown)
    }
}

fn run(edge: &Edge, mut session: Box<Session>, place: Admitted, listening: Option<Listening>) {
    edge.shutdown.spawn(async move {
        session.live().await;
        // Its stream ends first: whoever reads it can come back at once.
        drop(session);
        drop((listening, place));
    });
}

fn answer(content: &'static str, body: stream::Body) -> Reply {
    let mut response = warp::reply::Reply::into_response(warp::reply::stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    let cache = "private, no-cache, no-store, must-revalidate, max-age=0";
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Box::new(response)
}

fn secret() -> String {
    let bytes: [u8; SECRET_BYTES] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
