//! The public address: accepting, HTTP through warp, and handing sockets to [`crate::session`].
//!
//! warp routes and answers HTTP; the upgrade is taken here, as warp's own WebSocket gives each connection a
//! buffer of 128 KiB.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{server::conn::http1, upgrade::OnUpgrade};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use metrics::counter;
use parking_lot::Mutex;
use platepal_service::RoleError;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use warp::{Filter, Reply, filters::BoxedFilter};

use crate::{
    Edge, Landing,
    handshake::{self, Refused},
    session,
    socket::Socket,
};

/// Connections over the limit that are told so; the rest are closed without a word.
const TURNED_AWAY_MAX: usize = 256;
/// The wait after the system had no more sockets for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a request carries to its handler: the upgrade, and the connection's place among all.
#[derive(Clone)]
struct Ticket {
    upgrade: Arc<Mutex<Option<OnUpgrade>>>,
    place: Option<Arc<OwnedSemaphorePermit>>,
}

/// Opens the address of the settings.
pub(crate) fn bind(edge: &Edge) -> Result<TcpListener, RoleError> {
    let address = edge.settings.http_addr;
    let open = || {
        let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(edge.settings.backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| RoleError::Listen { address, setting: "REALTIME_HTTP_ADDR", source })
}

/// Accepts until told to end; then the listener is closed at once.
pub(crate) async fn accept(edge: Arc<Edge>, listener: TcpListener, landing: Option<Landing>) {
    let routes = routes(Arc::clone(&edge), landing);
    let places = Arc::new(Semaphore::new(edge.settings.connections_max.min(Semaphore::MAX_PERMITS)));
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    let told = edge.shutdown.told();
    tokio::pin!(told);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut told => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(why) => {
                tracing::warn!(%why, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Latency only; the connection works without.
        let _ = stream.set_nodelay(true);
        let place = Arc::clone(&places).try_acquire_owned().ok().map(Arc::new);
        let away = match place {
            Some(_) => None,
            None => match Arc::clone(&turned_away).try_acquire_owned() {
                Ok(away) => Some(away),
                Err(_) => {
                    counter!("realtime_edge_handshakes_total", "result" => "dropped").increment(1);
                    continue;
                }
            },
        };
        let task = serve(Arc::clone(&edge), stream, routes.clone(), place);
        edge.shutdown.spawn(async move {
            Box::pin(task).await;
            drop(away);
        });
    }
}

/// One connection's HTTP. Ends when it is upgraded, closed, or too slow.
async fn serve(
    edge: Arc<Edge>,
    stream: TcpStream,
    routes: BoxedFilter<(Box<dyn Reply>,)>,
    place: Option<Arc<OwnedSemaphorePermit>>,
) {
    let service = TowerToHyperService::new(warp::service(routes));
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        let upgrade = hyper::upgrade::on(&mut request);
        let ticket = Ticket { upgrade: Arc::new(Mutex::new(Some(upgrade))), place: place.clone() };
        request.extensions_mut().insert(ticket);
        hyper::service::Service::call(&service, request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(edge.settings.handshake_timeout)
        .max_buf_size(edge.settings.header_bytes_max.0)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = edge.shutdown.told() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = outcome {
        tracing::debug!(%why, "a connection failed");
    }
}

fn routes(edge: Arc<Edge>, landing: Option<Landing>) -> BoxedFilter<(Box<dyn Reply>,)> {
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
                // Boxed: it is large and soon over, and hyper's task lives as long as the connection.
                Box::pin(async move {
                    let reply: Box<dyn Reply> =
                        match upgrade(&edge, &method, path.as_str(), &query, &headers, ticket).await {
                            Ok(response) => Box::new(response),
                            Err(refused) => {
                                tracing::debug!(path = path.as_str(), word = refused.word, "not upgraded");
                                counter!("realtime_edge_handshakes_total", "result" => refused.word)
                                    .increment(1);
                                Box::new(refused.response())
                            }
                        };
                    reply
                })
            },
        );
    root.or(socket).unify().boxed()
}

async fn upgrade(
    edge: &Arc<Edge>,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    ticket: Ticket,
) -> Result<Response<String>, Refused> {
    let (arrival, accept) = handshake::read(method, path, query, headers, &edge.settings.allowed_origins)?;
    let full = |message| Refused::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
    if edge.shutdown.is_told() {
        return Err(full("this server is ending; connect again"));
    }
    let Some(place) = ticket.place else { return Err(full("this server is full; try again soon")) };
    let upgrade = ticket.upgrade.lock().take();
    let upgrade = upgrade.ok_or_else(|| full("the connection can't be upgraded"))?;
    let opening = session::open(edge, arrival).await;
    edge.shutdown.spawn(take(Arc::clone(edge), upgrade, opening, place));
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let response_headers = response.headers_mut();
    response_headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response_headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::try_from(accept) {
        response_headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok(response)
}

/// Takes the bare stream out of hyper and runs the session on it.
async fn take(
    edge: Arc<Edge>,
    upgrade: OnUpgrade,
    opening: session::Opening,
    place: Arc<OwnedSemaphorePermit>,
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
    let mut session = session::begin(edge, socket, opening);
    shutdown.spawn(async move {
        session.live().await;
        drop(place);
    });
}
