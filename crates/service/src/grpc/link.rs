//! Links: how the gateway and the edge reach a domain, or an edge, wherever it runs.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use platepal_events::Domain;
use platepal_proto::v1::{
    domain_service_client::DomainServiceClient, edge_service_client::EdgeServiceClient,
    process_service_client::ProcessServiceClient,
};
use tokio::{io::DuplexStream, sync::mpsc};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};
use url::Url;

use super::AttachKey;

/// Bytes that a pipe in memory holds in each direction before its writer waits: one HTTP/2 window.
const PIPE_BYTES: usize = 64 * 1024;
/// Connections of a pipe that wait to be accepted; a link opens one and keeps it.
const PIPE_CONNECTIONS: usize = 16;

/// A way to call one domain or one edge. Cheap to clone; connects when first used, and again after a break.
#[derive(Debug, Clone)]
pub struct Link {
    channel: Channel,
    key: AttachKey,
}

/// The serving end of a pipe in memory.
#[derive(Debug)]
pub struct MemoryDoor(pub(super) mpsc::Receiver<std::io::Result<DuplexStream>>);

/// A link to a domain or an edge of this process, and the door at which it is served.
pub fn memory(timeout: Duration) -> (Link, MemoryDoor) {
    let (sender, receiver) = mpsc::channel(PIPE_CONNECTIONS);
    let connector = tower::service_fn(move |_| {
        let sender = sender.clone();
        async move {
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            sender.send(Ok(theirs)).await.map_err(|_| {
                std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "what it leads to has ended")
            })?;
            Ok::<_, std::io::Error>(TokioIo::new(ours))
        }
    });
    let endpoint = Endpoint::from_static("http://memory").timeout(timeout);
    (
        Link { channel: endpoint.connect_with_connector_lazy(connector), key: AttachKey::default() },
        MemoryDoor(receiver),
    )
}

impl Link {
    /// A link to a domain or an edge in another process. `key` opens its door.
    pub fn remote(url: &Url, key: Option<&str>, timeout: Duration) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(url.to_string())
            .map_err(|why| why.to_string())?
            .connect_timeout(Duration::from_secs(2))
            .timeout(timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true);
        Ok(Self { channel: endpoint.connect_lazy(), key: AttachKey::new(key) })
    }

    /// The client for what every domain answers.
    pub fn domain(
        &self,
        message_bytes_max: usize,
    ) -> DomainServiceClient<InterceptedService<Channel, AttachKey>> {
        DomainServiceClient::with_interceptor(self.channel.clone(), self.key.clone())
            .max_decoding_message_size(message_bytes_max)
            .max_encoding_message_size(message_bytes_max)
    }

    /// The client for what every edge answers.
    pub fn edge(
        &self,
        message_bytes_max: usize,
    ) -> EdgeServiceClient<InterceptedService<Channel, AttachKey>> {
        EdgeServiceClient::with_interceptor(self.channel.clone(), self.key.clone())
            .max_decoding_message_size(message_bytes_max)
            .max_encoding_message_size(message_bytes_max)
    }

    /// The client for what every process says of itself.
    pub fn process(
        &self,
        message_bytes_max: usize,
    ) -> ProcessServiceClient<InterceptedService<Channel, AttachKey>> {
        ProcessServiceClient::with_interceptor(self.channel.clone(), self.key.clone())
            .max_decoding_message_size(message_bytes_max)
    }

    /// The bare channel and the key, for the pass-through.
    pub fn raw(&self) -> (Channel, AttachKey) {
        (self.channel.clone(), self.key.clone())
    }
}

/// The links to all domains. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<HashMap<Domain, Link>>);

impl Links {
    /// From what the binary composed.
    pub fn new(links: HashMap<Domain, Link>) -> Self {
        Self(Arc::new(links))
    }

    /// The link to a domain; `None` when this process was not told where it is.
    pub fn get(&self, domain: Domain) -> Option<&Link> {
        self.0.get(&domain)
    }
}
