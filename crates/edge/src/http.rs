//! What is served at which path, through warp, and handing sockets to [`crate::session`].
//!
//! warp routes and answers HTTP; the upgrade is taken here, as warp's own WebSocket gives each connection a
//! buffer of 128 KiB.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use metrics::counter;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use warp::{Filter, Reply, filters::BoxedFilter};

use crate::{
    Edge, Landing,
    admission::{Admitted, Visitor},
    centrifuge::Client,
    codec::Wire,
    handshake::{Head, Refused},
    line::Line,
    session::{self, Arrival, Session, opening},
    socket::Socket,
};

/// What a request carries to its handler: the upgrade, and whoever sent it.
#[derive(Clone)]
pub(crate) struct Ticket {
    upgrade: Arc<Mutex<Option<OnUpgrade>>>,
    visitor: Visitor,
}

impl Ticket {
    pub fn new(upgrade: OnUpgrade, visitor: Visitor) -> Self {
        Self { upgrade: Arc::new(Mutex::new(Some(upgrade))), visitor }
    }
}

pub(crate) fn routes(edge: Arc<Edge>, landing: Option<Landing>) -> BoxedFilter<(Box<dyn Reply>,)> {
    let page = landing.map(|Landing(html)| Arc::<str>::from(html));
    let root = warp::path::end().and(warp::get()).map(move || -> Box<dyn Reply> {
        match &page {
            Some(html) => Box::new(warp::reply::html(html.to_string())),
            None => Box::new(
                "PlatePal Realtime: WebSockets at /ws/customer/{user_id} and beside it; see docs/protocol.md\n",
            ),
        }
    });
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let socket = warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<Ticket>())
        .then(
            move |method: Method,
                  path: warp::path::FullPath,
                  query: String,
                  headers: HeaderMap,
                  ticket: Ticket| {
                let edge = Arc::clone(&edge);
                let address = ticket.visitor.address;
                // Boxed: it is large and soon over, and hyper's task lives as long as the connection.
                Box::pin(async move {
                    let head =
                        Head { method: &method, path: path.as_str(), query: &query, headers: &headers };
                    let reply: Box<dyn Reply> = match upgrade(&edge, head, ticket).await {
                        Ok(response) => Box::new(response),
                        Err(refused) => {
                            tracing::debug!(%address, path = path.as_str(), word = refused.word, "not upgraded");
                            counter!("realtime_edge_handshakes_total", "result" => refused.word).increment(1);
                            Box::new(refused.response())
                        }
                    };
                    reply
                })
            },
        );
    root.or(socket).unify().boxed()
}

/// How a socket will be used.
enum Target {
    Feed(Arrival),
    Centrifuge { wire: Wire, client: Box<Client> },
}

/// Subprotocols of Centrifuge, the ones that are echoed.
const SUBPROTOCOLS: &[&str] = &["centrifuge-protobuf", "centrifuge-json"];

async fn upgrade(edge: &Arc<Edge>, head: Head<'_>, ticket: Ticket) -> Result<Response<String>, Refused> {
    let mut subprotocol = None;
    let target = if head.path.trim_end_matches('/') == "/connection/websocket" {
        subprotocol = head.subprotocol(SUBPROTOCOLS);
        let asks = |name: &str, value| head.parameter(name).as_deref() == Some(value);
        let is_protobuf = subprotocol == Some("centrifuge-protobuf")
            || asks("format", "protobuf")
            || asks("cf_protocol", "protobuf");
        let wire = if is_protobuf { Wire::ProtobufSocket } else { Wire::JsonSocket };
        let client =
            Client::new(wire, asks("cf_ws_frame_ping_pong", "true"), None, Some(ticket.visitor.address));
        Target::Centrifuge { wire, client }
    } else {
        Target::Feed(head.arrival(Some(ticket.visitor.address))?)
    };
    let accept = head.accept_key()?;
    head.check_origin(&edge.settings.allowed_origins)?;
    let full = |message| Refused::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
    if edge.shutdown.is_told() {
        return Err(full("this server is ending; connect again"));
    }
    let place = edge.entrance.admit(&ticket.visitor).await?;
    let upgrade = ticket.upgrade.lock().take();
    let upgrade = upgrade.ok_or_else(|| full("the connection can't be upgraded"))?;
    let queue = opening::queue(edge);
    match target {
        Target::Feed(arrival) => {
            let wire = Wire::PlatePalSocket;
            // A refusal waits for the socket too, as browsers only see why when it is closed after opening.
            let opened = opening::open(edge, &arrival, &queue, wire).await;
            let begin = move |edge: &Arc<Edge>, line| session::begin(edge, line, wire, queue, opened);
            edge.shutdown.spawn(take(Arc::clone(edge), upgrade, place, begin));
        }
        Target::Centrifuge { wire, client } => {
            let begin = move |edge: &Arc<Edge>, line| {
                let mut session = Session::new(edge, line, wire, queue);
                session.begin_centrifuge(client);
                session
            };
            edge.shutdown.spawn(take(Arc::clone(edge), upgrade, place, begin));
        }
    }
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let response_headers = response.headers_mut();
    response_headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response_headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::try_from(accept) {
        response_headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(subprotocol) = subprotocol {
        response_headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    Ok(response)
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
