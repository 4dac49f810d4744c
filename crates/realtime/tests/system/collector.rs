//! An OpenTelemetry collector: takes spans over OTLP and remembers them, so that a test can look at a trace.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1,
};
use platepal_testkit::{PATIENCE, poll, ports};
use tonic::{Request, Response, Status};

/// A span as a test wants to see it.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty: it has none.
    pub(crate) parent: String,
    pub(crate) start_nanos: u64,
    pub(crate) end_nanos: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Of the process that made it.
    pub(crate) resource: BTreeMap<String, String>,
}

/// A running collector. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let collector = Self { address: ports::free_address(), spans: Arc::default() };
        let service = TraceServiceServer::new(collector.clone());
        let incoming = tokio::net::TcpListener::bind(collector.address).await.expect("the port is free");
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(incoming);
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        collector
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// Waits until a trace has a span of each name, and gives all of its spans.
    pub(crate) async fn trace(&self, id: &str, names: &[&str]) -> Vec<Span> {
        let found = poll(PATIENCE, || {
            let spans: Vec<Span> = self.spans().into_iter().filter(|span| span.trace == id).collect();
            let complete = names.iter().all(|name| spans.iter().any(|span| span.name == *name));
            async move { complete.then_some(spans) }
        })
        .await;
        found.unwrap_or_else(|| panic!("trace {id} never had all of {names:?}: {:#?}", self.spans()))
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut new = Vec::new();
        for group in request.into_inner().resource_spans {
            let resource = attributes(group.resource.map(|resource| resource.attributes).unwrap_or_default());
            for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                new.push(read(span, &resource));
            }
        }
        self.spans.lock().unwrap().extend(new);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn read(span: v1::Span, resource: &BTreeMap<String, String>) -> Span {
    Span {
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        start_nanos: span.start_time_unix_nano,
        end_nanos: span.end_time_unix_nano,
        attributes: attributes(span.attributes),
        resource: resource.clone(),
    }
}

fn attributes(values: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    values.into_iter().filter_map(|pair| Some((pair.key, text(pair.value?.value?)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
