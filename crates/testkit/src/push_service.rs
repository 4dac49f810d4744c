//! A browser's push service: takes what is pushed to its endpoints, and keeps it for the test.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

/// A running service. Ends when it is dropped.
#[derive(Debug)]
pub struct PushService {
    url: String,
    pushed: Arc<Mutex<Vec<Pushed>>>,
    task: JoinHandle<()>,
}

/// Something that was pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The path of the endpoint.
    pub path: String,
    /// All of them; `topic` says what it takes the place of.
    pub headers: HeaderMap,
    /// Encrypted for the browser.
    pub body: Vec<u8>,
}

impl PushService {
    /// On a free port of this machine.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let pushed = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&pushed);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request| take(Arc::clone(&kept), request));
                // Whoever pushes may be killed by the test.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url: format!("http://{address}"), pushed, task }
    }

    /// The endpoint of a browser.
    pub fn endpoint(&self, name: &str) -> String {
        format!("{}/push/{name}", self.url)
    }

    /// All that was pushed so far.
    pub fn pushed(&self) -> Vec<Pushed> {
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for PushService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    kept: Arc<Mutex<Vec<Pushed>>>,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(Response::new(Empty::new())) };
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(Pushed {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: body.to_bytes().to_vec(),
    });
    let mut created = Response::new(Empty::new());
    *created.status_mut() = http::StatusCode::CREATED;
    Ok(created)
}
