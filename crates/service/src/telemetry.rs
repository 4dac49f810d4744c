//! Telemetry: structured logs to stderr, and spans to a collector.
//!
//! Logs hold no secrets: our own lines never name a token or a key, and what libraries say below `info` is left
//! out whatever `REALTIME_LOG` asks for, as at those levels they print the headers and addresses that they see.

use std::{io::IsTerminal, time::Duration};

use tracing::{Dispatch, Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{
    Settings,
    trace::{self, export::Exporter},
};

/// The logs and traces of this process.
#[derive(Debug)]
pub struct Telemetry {
    exporter: Option<Exporter>,
}

impl Telemetry {
    /// Starts logging and, if there is a collector, tracing. Must be called within a Tokio runtime and after
    /// [`crate::Metrics::install`]. Logs of a second call in one process go where those of the first go.
    pub fn start(settings: &Settings, traces: &trace::Settings, roles: &str) -> Result<Self, String> {
        let exporter = Exporter::start(traces, roles)?;
        // An error here means that logging is started already, as in tests.
        let _ = dispatch(settings, exporter.as_ref()).try_init();
        Ok(Self { exporter })
    }

    /// Sends the spans that wait, at most `limit` long. The last thing a process does.
    pub async fn flush(self, limit: Duration) {
        if let Some(exporter) = self.exporter {
            exporter.flush(limit).await;
        }
    }
}

/// Where lines and spans go. What nobody asked for costs a comparison: a missing layer would ask for all there is, so
/// without a collector there is no layer for spans at all.
fn dispatch(settings: &Settings, exporter: Option<&Exporter>) -> Dispatch {
    let registry = tracing_subscriber::registry();
    match exporter {
        None => registry.with(logs(settings)).into(),
        Some(exporter) => {
            let spans = tracing_opentelemetry::layer()
                .with_tracer(exporter.tracer())
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(filter_fn(is_traced).with_max_level_hint(LevelFilter::DEBUG));
            registry.with(spans).with(logs(settings)).into()
        }
    }
}

fn logs<S>(settings: &Settings) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let asked = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let base = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if settings.log_format == "json" {
        base.json().boxed()
    } else {
        base.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed()
    };
    lines.with_filter(asked.and(filter_fn(is_safe).with_max_level_hint(LevelFilter::TRACE)))
}

/// Ours, or a thing that a library says to everybody.
fn is_safe(line: &Metadata<'_>) -> bool {
    is_ours(line) || *line.level() <= Level::INFO
}

/// Our spans, and what went wrong within them.
fn is_traced(line: &Metadata<'_>) -> bool {
    is_ours(line) && if line.is_span() { *line.level() <= Level::DEBUG } else { *line.level() <= Level::WARN }
}

fn is_ours(line: &Metadata<'_>) -> bool {
    line.target().starts_with("platepal")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_settings::Reader;

    use super::*;

    fn with_logs<T>(log: &str, work: impl FnOnce() -> T) -> T {
        let settings = Reader::new([("REALTIME_LOG", log)]).read().unwrap();
        tracing::dispatcher::with_default(&dispatch(&settings, None), work)
    }

    #[test]
    fn a_span_that_nobody_asked_for_is_not_made() {
        with_logs("info", || {
            assert!(tracing::trace_span!(target: "h2", "frame").is_disabled());
            assert!(tracing::debug_span!(target: "platepal_bus", "append").is_disabled());
            assert!(!tracing::info_span!(target: "platepal_bus", "start").is_disabled());
        });
        with_logs("trace", || {
            assert!(tracing::debug_span!(target: "h2", "headers").is_disabled());
            assert!(!tracing::trace_span!(target: "platepal_bus", "append").is_disabled());
        });
    }
}
