//! Health, readiness and metrics, on an address of their own.
//!
//! `/healthz`: the process runs. `/readyz`: it can work; 503 and the reasons when it can't, or when it is
//! ending. `/metrics`: Prometheus's text format; `/metrics/reference`: what each of them means.

use tokio::net::TcpListener;
use warp::{Filter, http::StatusCode};

use crate::{Metrics, Parts, RoleError};

/// Serves until the process has drained, so that probes see it end.
pub async fn run(parts: Parts, metrics: Metrics) -> Result<(), RoleError> {
    let address = parts.settings.admin_addr;
    let listener = TcpListener::bind(address).await.map_err(|source| RoleError::Listen {
        address,
        setting: "REALTIME_ADMIN_ADDR",
        source,
    })?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "admin is listening");

    let health = warp::path!("healthz").map(|| "ok\n");
    let ready = {
        let (readiness, shutdown) = (parts.readiness.clone(), parts.shutdown.clone());
        warp::path!("readyz").map(move || {
            let mut closed = readiness.closed();
            if shutdown.is_told() {
                closed.push(("shutdown".to_owned(), "draining".to_owned()));
            }
            let body: String = closed.iter().map(|(name, why)| format!("{name}: {why}\n")).collect();
            match closed.is_empty() {
                true => warp::reply::with_status("ready\n".to_owned(), StatusCode::OK),
                false => warp::reply::with_status(body, StatusCode::SERVICE_UNAVAILABLE),
            }
        })
    };
    let reference = {
        let metrics = metrics.clone();
        warp::path!("metrics" / "reference").map(move || {
            warp::reply::with_header(metrics.reference(), "content-type", "text/markdown; charset=utf-8")
        })
    };
    let render = warp::path!("metrics").map(move || {
        warp::reply::with_header(metrics.render(), "content-type", "text/plain; version=0.0.4; charset=utf-8")
    });
    // Not spawned under the shutdown: it must answer while the process drains, and dies with it.
    tokio::spawn(
        warp::serve(warp::get().and(health.or(ready).or(reference).or(render))).incoming(listener).run(),
    );
    Ok(())
}
