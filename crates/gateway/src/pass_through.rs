//! Calls to a domain's own service, passed through by name, byte for byte and in both directions. In a process
//! with an edge, what others ask of that edge goes the same way: the gRPC address is the gateway's.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use platepal_events::Domain;
use platepal_service::{
    Parts,
    edges::Edges,
    grpc::{Link, Links},
};
use tonic::{Status, body::Body};
use tower::{Service, ServiceExt};

use crate::publish::no_link;

/// The package of the public API; `DomainService` in it is between our own processes only.
const PACKAGE: &str = "platepal.realtime.v1.";

/// Finds the domain that a call is for and passes it on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PassThrough {
    links: Links,
    edges: Edges,
}

impl PassThrough {
    pub(crate) fn new(parts: &Parts) -> Self {
        Self { links: parts.links.clone(), edges: parts.edges.clone() }
    }
}

/// What other processes ask of this process's edge.
const EDGE_SERVICE: &str = "/platepal.realtime.v1.EdgeService/";

/// The domain whose public service a path names: `/platepal.realtime.v1.OrdersService/GetOrder` → orders.
fn domain_of(path: &str) -> Option<Domain> {
    let service =
        path.strip_prefix('/')?.split('/').next()?.strip_prefix(PACKAGE)?.strip_suffix("Service")?;
    // What replicas of a domain ask of each other goes the same way, in a process that has the gateway as well.
    let service = if service == "RiderOwner" { "Tracking" } else { service };
    Domain::ALL.into_iter().find(|domain| service.eq_ignore_ascii_case(domain.word()))
}

impl Service<Request<Body>> for PassThrough {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answered;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if let Some(own) = self.edges.own().filter(|_| path.starts_with(EDGE_SERVICE)) {
            return pass(&own.link, "edge", request);
        }
        let Some(domain) = domain_of(path) else {
            let status = Status::unimplemented(format!(
                "{} is not served here; reflection lists what is",
                request.uri().path()
            ));
            return Box::pin(std::future::ready(Ok(status.into_http())));
        };
        let Some(link) = self.links.get(domain) else {
            return Box::pin(std::future::ready(Ok(no_link(domain).into_http())));
        };
        pass(link, domain.word(), request)
    }
}

type Answered = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn pass(link: &Link, word: &'static str, mut request: Request<Body>) -> Answered {
    let (channel, key) = link.raw();
    // The caller's key opened this door; ours opens the next.
    key.to_headers(request.headers_mut());
    Box::pin(async move {
        let answer = channel.oneshot(request).await;
        metrics::counter!("realtime_gateway_passed_through_total", "domain" => word,
            "result" => if answer.is_ok() { "answered" } else { "failed" })
        .increment(1);
        Ok(answer.unwrap_or_else(|why| {
            let status =
                Status::unavailable(format!("{word} can't be reached: {why}; repeat with the same event id"));
            status.into_http()
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_domains_public_service_is_passed_through() {
        assert_eq!(domain_of("/platepal.realtime.v1.OrdersService/GetOrder"), Some(Domain::Orders));
        for path in [
            "/platepal.realtime.v1.DomainService/Authorize",
            "/platepal.realtime.v1.EventsService/Publish",
            "/other.v1.OrdersService/GetOrder",
            "/",
            "",
        ] {
            assert_eq!(domain_of(path), None, "{path}");
        }
    }
}
