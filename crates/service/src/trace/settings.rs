//! Where traces go, and how many.

use std::time::Duration;

use platepal_settings::Reader;
use url::Url;

platepal_settings::settings! {
    /// Traces: spans to an OpenTelemetry collector.
    pub struct Settings {
        /// Where spans are sent: a collector's OTLP address for gRPC, e.g. `http://collector:4317`; `https` works too. Without it nothing is recorded, and a caller's trace context is still passed on.
        endpoint: Option<Url> = "REALTIME_OTLP_ENDPOINT", optional;
        /// Which part of the calls is recorded, 0 to 1, when the caller says nothing. A caller that sends a `traceparent` decides itself, by its sampled flag.
        sample_ratio: f64 = "REALTIME_TRACE_SAMPLE_RATIO", default "0.01";
        /// Spans that wait to be sent.
        queue: usize = "REALTIME_TRACE_QUEUE", default "8192", bound { unit: "spans", full: "further spans are dropped and counted; nobody waits", metric: "realtime_trace_spans_total" };
        /// How long a span waits for others to be sent with.
        interval: Duration = "REALTIME_TRACE_INTERVAL", default "1s", bound { unit: "time", full: "what has come is sent", metric: "realtime_trace_export_seconds" };
        /// How long sending to the collector may take; tried once.
        timeout: Duration = "REALTIME_OTLP_TIMEOUT", default "5s", bound { unit: "time", full: "the spans are dropped and counted", metric: "realtime_trace_spans_total" };
    }
}

impl Settings {
    /// Notes what is wrong.
    pub fn check(&self, reader: &mut Reader) {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            reader
                .mistake(format!("REALTIME_TRACE_SAMPLE_RATIO must be 0 to 1 (it is {})", self.sample_ratio));
        }
        if let Some(url) = &self.endpoint
            && !matches!(url.scheme(), "http" | "https")
        {
            reader.mistake("REALTIME_OTLP_ENDPOINT must start with http:// or https://");
        }
    }
}
