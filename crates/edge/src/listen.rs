//! The public address: accepting connections, and the HTTP of each through [`crate::http`].

use std::{net::IpAddr, sync::Arc, time::Duration};

use ::http::Request;
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
    sync::{OwnedSemaphorePermit, Semaphore},
};
use warp::{Reply, filters::BoxedFilter};

use crate::{
    Edge, Landing,
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
        socket.listen(i32::try_from(edge.settings.backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| RoleError::Listen { address, setting: "REALTIME_HTTP_ADDR", source })
}

/// Accepts until told to end; then the listener is closed at once.
pub(crate) async fn accept(edge: Arc<Edge>, listener: TcpListener, landing: Option<Landing>) {
    let routes = http::routes(Arc::clone(&edge), landing);
    let places = Arc::new(Semaphore::new(edge.settings.connections_max.min(Semaphore::MAX_PERMITS)));
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    let told = edge.shutdown.told();
    tokio::pin!(told);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut told => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
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
        let task = serve(Arc::clone(&edge), stream, address.ip(), routes.clone(), place);
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
    address: IpAddr,
    routes: BoxedFilter<(Box<dyn Reply>,)>,
    place: Option<Arc<OwnedSemaphorePermit>>,
) {
    let service = TowerToHyperService::new(warp::service(routes));
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        let upgrade = hyper::upgrade::on(&mut request);
        request.extensions_mut().insert(Ticket::new(upgrade, place.clone(), Some(address)));
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
