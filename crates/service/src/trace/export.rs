//! Export: finished spans wait in one bounded queue, and go to the collector in batches.
//!
//! OpenTelemetry's own batch processor has a thread for this, and tells of spans that it dropped only when it
//! ends. Here it is a task, what is dropped is a metric at once, and the end waits for what is left, but not
//! longer than it may.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig, tonic_types::transport::ClientTlsConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::Settings;

/// Spans of one request to the collector.
const BATCH_SPANS: usize = 512;

/// How the collector and people tell this process from others.
const SERVICE: &str = "platepal-realtime";

const SPANS: &str = "realtime_trace_spans_total";
const QUEUE: &str = "realtime_trace_queue_spans";
const EXPORT_SECONDS: &str = "realtime_trace_export_seconds";

/// Sends spans to the collector until [`Exporter::flush`].
#[derive(Debug)]
pub(crate) struct Exporter {
    provider: SdkTracerProvider,
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Starts to export; `None` when no collector is set. Must be called within a Tokio runtime. A collector that
    /// is away is no error.
    pub(crate) fn start(settings: &Settings, roles: &str) -> Result<Option<Self>, String> {
        let Some(endpoint) = &settings.endpoint else { return Ok(None) };
        let mut builder = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint.as_str())
            .with_timeout(settings.timeout);
        if endpoint.scheme() == "https" {
            builder = builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
        }
        let mut exporter = builder.build().map_err(|why| format!("REALTIME_OTLP_ENDPOINT: {why}"))?;
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", SERVICE),
                KeyValue::new("service.namespace", "platepal"),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", instance()),
                KeyValue::new("platepal.roles", roles.to_owned()),
            ])
            .build();
        exporter.set_resource(&resource);
        let (sender, receiver) = mpsc::channel(settings.queue.max(1));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio))))
            .with_span_processor(Queue { sender })
            .build();
        let end = CancellationToken::new();
        let sending = Sending {
            exporter,
            receiver,
            interval: settings.interval,
            timeout: settings.timeout,
            failing: false,
        };
        let task = tokio::spawn(sending.run(end.clone()));
        super::sampled::record_with(provider.tracer(SERVICE));
        Ok(Some(Self { provider, end, task }))
    }

    /// Makes spans.
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer(SERVICE)
    }

    /// Sends what waits and ends, at most `limit` later.
    pub(crate) async fn flush(self, limit: Duration) {
        self.end.cancel();
        if timeout(limit, self.task).await.is_err() {
            tracing::warn!("the last spans did not reach the collector in REALTIME_DRAIN_TIME and are lost");
        }
    }
}

/// The host and the process: two processes of one host differ, and a person finds the process again.
fn instance() -> String {
    let host = rustix::system::uname();
    format!("{}:{}", host.nodename().to_string_lossy(), std::process::id())
}

/// Describes the metrics of the export.
pub(crate) fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(SPANS, "Spans of traces, by what became of them: exported, failed, dropped");
    describe_gauge!(QUEUE, "Spans that wait for the collector");
    describe_histogram!(EXPORT_SECONDS, Unit::Seconds, "One request to the collector");
}

/// Takes finished spans; never waits.
#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<SpanData>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.sender.try_send(span).is_err() {
            counter!(SPANS, "result" => "dropped").increment(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The sending end of the queue.
struct Sending<E> {
    exporter: E,
    receiver: mpsc::Receiver<SpanData>,
    interval: Duration,
    timeout: Duration,
    failing: bool,
}

impl<E: SpanExporter> Sending<E> {
    async fn run(mut self, end: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            self.fill(&mut batch, &end).await;
            if batch.is_empty() {
                return;
            }
            gauge!(QUEUE).set(self.receiver.len() as f64);
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    /// Waits for spans, and after the first one for some more. Nothing comes when it is the end.
    async fn fill(&mut self, batch: &mut Vec<SpanData>, end: &CancellationToken) {
        let mut full_at = None;
        while batch.len() < BATCH_SPANS {
            let wanted = BATCH_SPANS - batch.len();
            if end.is_cancelled() {
                self.receiver.close();
            }
            let more = self.receiver.recv_many(batch, wanted);
            let got = match full_at {
                Some(at) => tokio::select! {
                    got = timeout_at(at, more) => got.unwrap_or_default(),
                    () = end.cancelled(), if !end.is_cancelled() => continue,
                },
                None => tokio::select! {
                    got = more => got,
                    () = end.cancelled(), if !end.is_cancelled() => continue,
                },
            };
            if got == 0 {
                return;
            }
            full_at.get_or_insert_with(|| Instant::now() + self.interval);
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let (count, began) = (batch.len() as u64, Instant::now());
        let sent = timeout(self.timeout, self.exporter.export(batch)).await;
        histogram!(EXPORT_SECONDS).record(began.elapsed());
        let failed = match sent {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why.to_string()),
            Err(_) => Some("no answer within REALTIME_OTLP_TIMEOUT".to_owned()),
        };
        counter!(SPANS, "result" => if failed.is_none() { "exported" } else { "failed" }).increment(count);
        let is_failing = failed.is_some();
        match failed {
            Some(why) if !self.failing => {
                tracing::warn!(why, "the collector does not take spans; they are dropped until it does");
            }
            None if self.failing => tracing::info!("the collector takes spans again"),
            Some(_) | None => {}
        }
        self.failing = is_failing;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use opentelemetry::trace::{Span as _, Tracer};
    use parking_lot::Mutex;

    use super::*;

    /// Takes spans into a list, or never answers.
    #[derive(Debug, Clone)]
    struct Desk {
        batches: Arc<Mutex<Vec<usize>>>,
        answers: bool,
    }

    impl SpanExporter for Desk {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            if !self.answers {
                std::future::pending::<()>().await;
            }
            self.batches.lock().push(batch.len());
            Ok(())
        }
    }

    fn spans(count: usize, room: usize) -> mpsc::Receiver<SpanData> {
        let (sender, receiver) = mpsc::channel(room);
        let provider = SdkTracerProvider::builder().with_span_processor(Queue { sender }).build();
        for _ in 0..count {
            provider.tracer("test").start("span").end();
        }
        receiver
    }

    fn sending(desk: &Desk, receiver: mpsc::Receiver<SpanData>) -> Sending<Desk> {
        let (interval, timeout) = (Duration::from_secs(3600), Duration::from_millis(10));
        Sending { exporter: desk.clone(), receiver, interval, timeout, failing: false }
    }

    #[tokio::test]
    async fn spans_without_room_are_dropped_and_nobody_waits() {
        let mut receiver = spans(10, 4);
        let mut kept = Vec::new();
        receiver.recv_many(&mut kept, 100).await;
        assert_eq!(kept.len(), 4);
    }

    #[tokio::test]
    async fn at_the_end_everything_that_waits_is_sent_at_once_in_batches() {
        let desk = Desk { batches: Arc::default(), answers: true };
        let end = CancellationToken::new();
        end.cancel();
        sending(&desk, spans(BATCH_SPANS + 3, 2 * BATCH_SPANS)).run(end).await;
        assert_eq!(*desk.batches.lock(), [BATCH_SPANS, 3]);
    }

    #[tokio::test]
    async fn a_collector_that_never_answers_holds_up_nothing_longer_than_its_timeout() {
        let desk = Desk { batches: Arc::default(), answers: false };
        let end = CancellationToken::new();
        end.cancel();
        sending(&desk, spans(5, 10)).run(end).await;
        assert!(desk.batches.lock().is_empty());
    }
}
