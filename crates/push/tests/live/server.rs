//! A server that speaks HTTP/1 and HTTP/2, with TLS or without, notes what it is asked and answers what it is told to.

use std::{collections::VecDeque, convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;

/// What came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What is answered, once; afterwards 200 and `{}`.
#[derive(Debug, Clone)]
pub struct Say {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// Never answers.
    pub hangs: bool,
}

pub fn say(status: u16, body: &str) -> Say {
    Say { status, headers: Vec::new(), body: body.to_owned(), hangs: false }
}

/// Ends with the test's runtime.
#[derive(Debug)]
pub struct Server {
    pub url: String,
    /// The certificate to trust, PEM.
    pub certificate: Option<tempfile::NamedTempFile>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    asked: Vec<Asked>,
    answers: VecDeque<Say>,
}

impl Server {
    /// Without TLS.
    pub async fn plain() -> Self {
        Self::start(None).await
    }

    /// With TLS for `localhost`, and HTTP/2.
    pub async fn tls() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), made.cert.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let server = Self::start(Some(TlsAcceptor::from(Arc::new(config)))).await;
        Self { certificate: Some(file), ..server }
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let url = match tls {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://127.0.0.1:{}", address.port()),
        };
        let held = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, state) = (tls.clone(), Arc::clone(&held));
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), request));
                    let builder = Builder::new(TokioExecutor::new());
                    // Clients that go are no error of the test.
                    match tls {
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            builder.serve_connection(TokioIo::new(stream), service).await.ok();
                        }
                        None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
                    }
                });
            }
        });
        Self { url, certificate: None, state }
    }

    /// What it answers next.
    pub fn will(&self, say: Say) {
        self.state.lock().answers.push_back(say);
    }

    /// All that came so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().asked.clone()
    }

    pub fn last(&self) -> Asked {
        self.asked().pop().expect("something came")
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let say = {
        let mut state = state.lock();
        state.asked.push(Asked {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            version: parts.version,
            headers: parts.headers,
            body,
        });
        state.answers.pop_front().unwrap_or_else(|| say(200, "{}"))
    };
    if say.hangs {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(say.status);
    for (name, value) in say.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(say.body.into())).unwrap())
}
