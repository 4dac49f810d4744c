//! WebSockets: answering the handshake, and handing the bare stream to [`crate::session`].

use std::sync::Arc;

use ::http::{HeaderValue, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use metrics::counter;
use tokio::net::TcpStream;

use super::{Full, Reply, Request};
use crate::{
    Edge,
    admission::Admitted,
    centrifuge::Client,
    codec::Wire,
    handshake::Refused,
    line::Line,
    session::{self, Session, opening},
    socket::Socket,
};

/// Subprotocols of Centrifuge; the one that is spoken is echoed.
const SUBPROTOCOLS: &[&str] = &["centrifuge-protobuf", "centrifuge-json"];

/// A handshake that may be answered.
struct Handshake {
    accept: String,
    upgrade: OnUpgrade,
    place: Admitted,
}

/// `/ws/…`: one feed.
pub(super) async fn feed(edge: &Arc<Edge>, request: &Request<'_>) -> Result<Reply, Refused> {
    let arrival = request.head.arrival(Some(request.visitor.address))?;
    let handshake = handshake(edge, request).await?;
    let (queue, wire) = (opening::queue(edge), Wire::PlatePalSocket);
    // A refusal waits for the socket too, as browsers only see why when it is closed after opening.
    let opened = opening::open(edge, &arrival, &queue, wire).await;
    let begin = move |edge: &Arc<Edge>, line| session::begin(edge, line, wire, queue, opened);
    Ok(switch(edge, handshake, None, begin))
}

/// `/connection/websocket`: Centrifuge's protocol.
pub(super) async fn centrifuge(edge: &Arc<Edge>, request: &Request<'_>) -> Result<Reply, Refused> {
    let head = &request.head;
    let subprotocol = head.subprotocol(SUBPROTOCOLS);
    let asks = |name: &str, value| head.parameter(name).as_deref() == Some(value);
    let is_protobuf = subprotocol == Some("centrifuge-protobuf")
        || asks("format", "protobuf")
        || asks("cf_protocol", "protobuf");
    let wire = if is_protobuf { Wire::ProtobufSocket } else { Wire::JsonSocket };
    let native_pings = asks("cf_ws_frame_ping_pong", "true");
    let client = Client::new(wire, native_pings, None, Some(request.visitor.address));
    let handshake = handshake(edge, request).await?;
    let queue = opening::queue(edge);
    let begin = move |edge: &Arc<Edge>, line| {
        let mut session = Session::new(edge, line, wire, queue);
        session.begin_centrifuge(client);
        session
    };
    Ok(switch(edge, handshake, subprotocol, begin))
}

/// Whether new clients are taken.
pub(super) fn check_running(edge: &Edge) -> Result<(), Refused> {
    if edge.shutdown.is_told() {
        return Err(unavailable("this server is ending; connect again"));
    }
    Ok(())
}

fn unavailable(message: &'static str) -> Refused {
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
}

async fn handshake(edge: &Edge, request: &Request<'_>) -> Result<Handshake, Refused> {
    let accept = request.head.accept_key()?;
    request.head.check_origin(&edge.settings.allowed_origins)?;
    check_running(edge)?;
    let place = edge.entrance.admit(&request.visitor).await?;
    let upgrade = request.upgrade.lock().take();
    let upgrade = upgrade.ok_or_else(|| unavailable("the connection can't be upgraded"))?;
    Ok(Handshake { accept, upgrade, place })
}

fn switch(
    edge: &Arc<Edge>,
    handshake: Handshake,
    subprotocol: Option<&'static str>,
    begin: impl FnOnce(&Arc<Edge>, Line) -> Box<Session> + Send + 'static,
) -> Reply {
    let Handshake { accept, upgrade, place } = handshake;
    edge.shutdown.spawn(take(Arc::clone(edge), upgrade, place, begin));
    let mut response = Response::new(Full::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::try_from(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    Box::new(response)
}

/// Takes the bare stream out of hyper and runs the session on it.
async fn take(
    edge: Arc<Edge>,
    upgrade: OnUpgrade,
    place: Admitted,
    begin: impl FnOnce(&Arc<Edge>, Line) -> Box<Session>,
) {
    let upgraded = match tokio::time::timeout(edge.settings.handshake_timeout, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        _ => {
            counter!("realtime_edge_handshakes_total", "result" => "broken").increment(1);
            return;
        }
    };
    let parts = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => parts,
        Err(_) => {
            tracing::error!("the upgraded connection is not the TCP stream that was accepted");
            return;
        }
    };
    let socket = Socket::new(parts.io.into_inner(), parts.read_buf, edge.settings.message_bytes_max.0);
    // A task of its own: this one has room for all that the handshake needed, and would keep it.
    let shutdown = edge.shutdown.clone();
    let mut session = begin(&edge, Line::Socket(socket));
    shutdown.spawn(async move {
        session.live().await;
        drop(place);
    });
}
