//! The public address: accepting connections, and the HTTP of each through [`crate::http`].

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::http::{HeaderValue, Request, header};
use futures_util::TryFutureExt;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use metrics::counter;
use platepal_service::RoleError;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use warp::{Reply, filters::BoxedFilter};

use crate::{
    Edge, Landing,
    admission::Arrived,
    http::{self, Ticket},
};

/// Connections over the limit that are told so; the rest are closed without a word.
const TURNED_AWAY_MAX: usize = 256;
/// The wait after the system had no more sockets for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the address of the settings.
pub(crate) fn bind(edge: &Edge) -> Result<TcpListener, RoleError> {
    let address = edge.settings.http_addr;
    let open = || {
        let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        #[cfg(target_os = "linux")]
        // Connections inherit it. It ends those that take nothing, whatever they are used for.
        socket.set_tcp_user_timeout(Some(edge.settings.stall_timeout))?;
        socket.listen(i32::try_from(edge.settings.backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| RoleError::Listen { address, setting: "REALTIME_HTTP_ADDR", source })
}

/// Accepts until told to end; then the listener is closed at once.
pub(crate) async fn accept(edge: Arc<Edge>, listener: TcpListener, landing: Option<Landing>) {
    let routes = http::routes(Arc::clone(&edge), landing);
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    let told = edge.shutdown.told();
    tokio::pin!(told);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut told => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // Its own fault, and not a reason to make others wait.
            Err(why) if is_gone(&why) => continue,
            Err(why) => {
                tracing::warn!(%why, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Latency only; the connection works without.
        let _ = stream.set_nodelay(true);
        let arrived = edge.entrance.arrive(peer.ip());
        let away = if arrived.has_place() {
            None
        } else {
            match Arc::clone(&turned_away).try_acquire_owned() {
                Ok(away) => Some(away),
                Err(_) => {
                    counter!("realtime_edge_handshakes_total", "result" => "dropped").increment(1);
                    continue;
                }
            }
        };
        let task = serve(Arc::clone(&edge), stream, routes.clone(), arrived);
        edge.shutdown.spawn(async move {
            Box::pin(task).await;
            drop(away);
        });
    }
}

/// Whether a connection went before it was accepted.
fn is_gone(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// One connection's HTTP. Ends when it is upgraded, closed, or too slow.
async fn serve(edge: Arc<Edge>, stream: TcpStream, routes: BoxedFilter<(Box<dyn Reply>,)>, arrived: Arrived) {
    let requests = AtomicUsize::new(0);
    let service = TowerToHyperService::new(warp::service(routes));
    let service = hyper::service::service_fn(|mut request: Request<hyper::body::Incoming>| {
        let upgrade = hyper::upgrade::on(&mut request);
        let visitor = edge.entrance.visitor(&arrived, request.headers());
        request.extensions_mut().insert(Ticket::new(upgrade, visitor));
        let nth = requests.fetch_add(1, Ordering::Relaxed) + 1;
        // Where one request ends and the next begins is a matter of opinion with this header: nothing follows it.
        let is_last = nth >= edge.settings.requests_per_connection_max
            || request.headers().contains_key(header::TRANSFER_ENCODING);
        hyper::service::Service::call(&service, request).map_ok(move |mut response| {
            if is_last && response.status() != ::http::StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        })
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(edge.settings.handshake_timeout)
        .max_buf_size(edge.settings.header_bytes_max.0)
        .max_headers(edge.settings.header_lines_max)
        .keep_alive(arrived.has_place())
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = edge.shutdown.told() => {
            if requests.load(Ordering::Relaxed) == 0 {
                // It has not asked for anything yet, and is not waited for.
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = outcome {
        let result = match () {
            () if why.is_parse_too_large() => Some("too_large"),
            () if why.is_parse() => Some("malformed"),
            // A client that was answered before may be silent, and may go as it likes.
            () if requests.load(Ordering::Relaxed) > 0 => None,
            () if why.is_timeout() => Some("too_slow"),
            () => Some("broken"),
        };
        if let Some(result) = result {
            counter!("realtime_edge_handshakes_total", "result" => result).increment(1);
        }
        tracing::debug!(%why, "a connection failed");
    }
}
