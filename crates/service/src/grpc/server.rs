//! Doors: where a role's gRPC services are served.

use std::{convert::Infallible, net::SocketAddr};

use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    body::Body,
    server::NamedService,
    service::{Routes, RoutesBuilder},
    transport::{self, server::TcpIncoming},
};
use tower::{Service, ServiceExt};

use super::{MemoryDoor, calls::Calls, key::CheckKey};
use crate::{Parts, RoleError, process::Answers};

/// Where services are served.
#[derive(Debug)]
pub enum Door {
    /// A TCP address; keys are checked.
    Tcp(SocketAddr),
    /// A pipe within this process; whoever holds its other end is ours.
    Memory(MemoryDoor),
}

/// Collects a role's services and serves them at its doors, with health and reflection.
pub struct Server {
    role: &'static str,
    parts: Parts,
    routes: RoutesBuilder,
    names: Vec<&'static str>,
    /// Plain HTTP beside gRPC, on TCP.
    http: Option<axum::Router>,
}

impl Server {
    /// A server with nothing but what the process says of itself.
    pub fn new(role: &'static str, parts: &Parts) -> Self {
        let own =
            Self { role, parts: parts.clone(), routes: Routes::builder(), names: Vec::new(), http: None };
        own.with_service(Answers::service(parts))
    }

    /// Adds a service.
    #[must_use]
    pub fn with_service<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes.add_service(service);
        self
    }

    /// Adds plain HTTP, version 1 and 2, for a path in axum's words, at the same doors and with the same keys.
    #[must_use]
    pub fn with_http<S>(mut self, path: &'static str, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let service = service.map_request(|request: http::Request<axum::body::Body>| request.map(Body::new));
        self.http = Some(axum::Router::new().route_service(path, service));
        self
    }

    /// Serves at these doors until the shutdown, then lets running calls finish. Returns when listening.
    /// `fallback` gets the calls to services that were not added.
    pub async fn serve<F>(self, doors: Vec<Door>, fallback: Option<F>) -> Result<(), RoleError>
    where
        F: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        F::Future: Send + 'static,
    {
        let Self { role, parts, mut routes, names, http } = self;
        let has_http = http.is_some();
        let (health, health_service) = tonic_health::server::health_reporter();
        for name in names {
            health.set_service_status(name, tonic_health::ServingStatus::Serving).await;
        }
        routes.add_service(health_service);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(platepal_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|why| RoleError::Other(format!("reflection: {why}")))?;
        routes.add_service(reflection);
        let mut routes = routes.routes();
        if let Some(http) = http {
            let router = std::mem::take(routes.axum_router_mut());
            *routes.axum_router_mut() = router.merge(http);
        }
        if let Some(fallback) = fallback {
            let router = std::mem::take(routes.axum_router_mut());
            let fallback =
                fallback.map_request(|request: http::Request<axum::body::Body>| request.map(Body::new));
            *routes.axum_router_mut() = router.fallback_service(fallback);
        }
        let routes = routes.prepare();

        for door in doors {
            let settings = &parts.settings;
            let server = transport::Server::builder()
                .timeout(settings.grpc_timeout)
                .max_concurrent_streams(settings.grpc_streams)
                .http2_keepalive_interval(Some(std::time::Duration::from_secs(20)));
            let told = parts.shutdown.told();
            match door {
                Door::Tcp(address) => {
                    let listener = TcpListener::bind(address).await.map_err(|source| RoleError::Listen {
                        address,
                        setting: "REALTIME_GRPC_ADDR",
                        source,
                    })?;
                    tracing::info!(role, address = %listener.local_addr().unwrap_or(address), "gRPC is listening");
                    let server = server.accept_http1(has_http);
                    let mut server = server.layer(CheckKey::new(parts.keys.clone())).layer(Calls);
                    // Or an answer of two segments waits for the caller's delayed acknowledgement, 40 ms.
                    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                    let serving =
                        server.add_routes(routes.clone()).serve_with_incoming_shutdown(incoming, told);
                    parts.shutdown.spawn(async move {
                        if let Err(why) = serving.await {
                            tracing::error!(role, %why, "gRPC ended");
                        }
                    });
                }
                Door::Memory(MemoryDoor(receiver)) => {
                    let mut server = server.layer(Calls);
                    let serving = server
                        .add_routes(routes.clone())
                        .serve_with_incoming_shutdown(ReceiverStream::new(receiver), told);
                    parts.shutdown.spawn(async move {
                        if let Err(why) = serving.await {
                            tracing::error!(role, %why, "gRPC in memory ended");
                        }
                    });
                }
            }
        }
        Ok(())
    }
}
