//! What is served at which path, through warp.
//!
//! warp reads and answers HTTP; WebSockets are upgraded in [`upgrade`], as warp's own gives each connection a
//! buffer of 128 KiB.

mod cors;
mod poll;
mod streams;
mod upgrade;

use std::sync::Arc;

use ::http::{HeaderMap, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use metrics::counter;
use parking_lot::Mutex;
use warp::{Buf, Filter, filters::BoxedFilter};

pub(crate) use self::streams::Streams;
use crate::{
    Edge, Landing,
    admission::Visitor,
    body,
    close::{Close, Code},
    codec::Wire,
    handshake::{Head, Refused},
};

/// An answer.
pub(crate) type Reply = Box<dyn warp::Reply>;
/// A body that is there as a whole.
type Full = String;

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

/// A request, and whoever sent it.
struct Request<'a> {
    head: Head<'a>,
    visitor: Visitor,
    upgrade: &'a Mutex<Option<OnUpgrade>>,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Centrifuge,
    Stream(Wire),
    Emulation,
    Events,
    /// A feed's socket, or nothing.
    Feed,
}

fn place(head: &Head<'_>) -> Place {
    match head.path.strip_suffix('/').unwrap_or(head.path) {
        "/connection/websocket" => Place::Centrifuge,
        "/connection/sse" => Place::Stream(Wire::JsonEvents),
        "/connection/http_stream" => {
            let is_protobuf = head.text(header::CONTENT_TYPE).starts_with("application/octet-stream");
            Place::Stream(if is_protobuf { Wire::ProtobufStream } else { Wire::JsonLines })
        }
        "/emulation" => Place::Emulation,
        path if path.starts_with("/events/") => Place::Events,
        _ => Place::Feed,
    }
}

impl Place {
    /// The methods that are taken here, for pages of other origins too; `None`: a socket.
    fn methods(self) -> Option<&'static [Method]> {
        match self {
            Self::Centrifuge | Self::Feed => None,
            Self::Stream(Wire::JsonEvents) => Some(&[Method::GET, Method::POST]),
            Self::Stream(_) | Self::Emulation => Some(&[Method::POST]),
            Self::Events => Some(&[Method::GET]),
        }
    }
}

pub(crate) fn routes(edge: Arc<Edge>, landing: Option<Landing>) -> BoxedFilter<(Reply,)> {
    let page = landing.map(|Landing(html)| Arc::<str>::from(html));
    let root = warp::path::end().and(warp::get()).map(move || -> Reply {
        match &page {
            Some(html) => Box::new(warp::reply::html(html.to_string())),
            None => Box::new(
                "PlatePal Realtime: WebSockets at /ws/customer/{user_id} and beside it; see docs/protocol.md\n",
            ),
        }
    });
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let rest = warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<Ticket>())
        .and(warp::body::stream())
        .then(
            move |method: Method,
                  path: warp::path::FullPath,
                  query: String,
                  headers: HeaderMap,
                  ticket: Ticket,
                  body| {
                let edge = Arc::clone(&edge);
                // Boxed: it is large and soon over, and hyper's task lives as long as the connection.
                Box::pin(async move {
                    let head =
                        Head { method: &method, path: path.as_str(), query: &query, headers: &headers };
                    let request = Request { head, visitor: ticket.visitor, upgrade: &ticket.upgrade };
                    answer(&edge, &request, body).await
                })
            },
        );
    root.or(rest).unify().boxed()
}

async fn answer<B: Buf>(
    edge: &Arc<Edge>,
    request: &Request<'_>,
    body: impl futures_util::Stream<Item = Result<B, warp::Error>>,
) -> Reply {
    let place = place(&request.head);
    let reply = match serve(edge, request, place, body).await {
        Ok(reply) => reply,
        Err(refused) => {
            let address = request.visitor.address;
            tracing::debug!(%address, path = request.head.path, word = refused.word, "refused");
            counter!("realtime_edge_handshakes_total", "result" => refused.word).increment(1);
            Box::new(refused.response())
        }
    };
    match place.methods() {
        Some(_) => cors::allow(reply, &request.head),
        None => reply,
    }
}

async fn serve<B: Buf>(
    edge: &Arc<Edge>,
    request: &Request<'_>,
    place: Place,
    body: impl futures_util::Stream<Item = Result<B, warp::Error>>,
) -> Result<Reply, Refused> {
    let head = &request.head;
    let Some(methods) = place.methods() else {
        return match place {
            Place::Centrifuge => upgrade::centrifuge(edge, request).await,
            _ => upgrade::feed(edge, request).await,
        };
    };
    head.check_origin(&edge.settings.allowed_origins)?;
    if *head.method == Method::OPTIONS {
        return Ok(cors::preflight(methods));
    }
    if !methods.contains(head.method) {
        let message = format!("this path takes {}", cors::list(methods));
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message));
    }
    upgrade::check_running(edge)?;
    match place {
        Place::Events => match head.parameter("wait") {
            Some(wait) => poll::poll(edge, request, &wait).await,
            None => streams::events(edge, request).await,
        },
        Place::Stream(wire) => {
            let body = body::read(body, &edge.settings).await?;
            let commands = streams::first_commands(request, body)?;
            streams::centrifuge(edge, request, wire, commands).await
        }
        _ => {
            let body = body::read(body, &edge.settings).await?;
            streams::emulation(edge, request, &body).await
        }
    }
}

/// What a feed that can't be opened is answered with, where there is no socket to close.
fn refused(close: &Close) -> Refused {
    let (status, word) = match close.code {
        Code::Unauthorised | Code::Expired => (StatusCode::UNAUTHORIZED, "unauthorised"),
        Code::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
        Code::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many_connections"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    Refused::new(status, word, close.reason().into_owned())
}
