//! Traces: one event, followed from its publisher's call to a customer's socket.
//!
//! The context travels as W3C Trace Context says. A gRPC call brings it in its `traceparent` ([`crate::grpc`]), our own
//! calls to each other carry it on ([`inject`]), and an event takes it along in its `traceparent`, through the
//! outbox and the bus to the edges ([`Sampled`]). Spans are those of `tracing`, at level `debug`, so that they
//! cost next to nothing unless somebody wants them; [`export`] sends them to a collector over OTLP.
//!
//! Without a collector nothing is recorded here, and a caller's context is still passed on as it came.
//!
//! Invariant: a trace is never a reason to refuse, to wait or to lose anything: a context that can't be read is
//! none, and spans that find no room are dropped and counted.

pub(crate) mod export;
mod sampled;
mod settings;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use sampled::Sampled;
pub use settings::Settings;

/// The header, and the gRPC metadata, of W3C Trace Context.
const TRACEPARENT: &str = "traceparent";
/// Characters of a `traceparent`.
const TRACEPARENT_CHARS: usize = 55;

/// What a caller said of its trace, to be passed on even if nobody records it.
#[derive(Debug, Clone)]
struct Caller(Arc<str>);

/// The context that a call from outside belongs to; `None` when its caller said none that can be read.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Context> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    read(text, &Headers(headers))
}

/// The context that a `traceparent` names; `None` when it names none.
fn from_text(traceparent: &str) -> Option<Context> {
    read(traceparent, &Text(traceparent))
}

fn read(text: &str, carrier: &dyn Extractor) -> Option<Context> {
    if text.len() != TRACEPARENT_CHARS {
        return None;
    }
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), carrier);
    context.span().span_context().is_valid().then(|| context.with_value(Caller(text.into())))
}

fn written(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8() & 1)
}

/// The `traceparent` of what is done now, for whoever does the next part of it. That of the running span when it
/// is recorded; otherwise the caller's own; `None` when there is neither.
pub fn current() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    if span.span_context().is_valid() && span.span_context().is_sampled() {
        return Some(written(span.span_context()));
    }
    context.get::<Caller>().map(|Caller(text)| text.to_string())
}

/// The `traceparent` of the running span, if this process records it.
pub fn recorded() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    span.is_recording().then(|| written(span.span_context()))
}

/// Puts the current context into the headers of a call.
pub fn inject(headers: &mut HeaderMap) {
    if let Some(traceparent) = current()
        && let Ok(value) = HeaderValue::from_str(&traceparent)
    {
        headers.insert(HeaderName::from_static(TRACEPARENT), value);
    }
}

/// Makes a span, which was not entered yet, a part of an event's trace, for work that is done for the event but
/// not within the call that brought it. Within that call's trace the span stays where it is.
pub fn follow(span: &Span, traceparent: &str) {
    if span.is_disabled() || traceparent.is_empty() {
        return;
    }
    let Some(context) = from_text(traceparent) else { return };
    let here = Context::current().span().span_context().clone();
    if here.is_valid() {
        if here.trace_id() == context.span().span_context().trace_id() {
            return;
        }
        span.add_link(here);
    }
    // An error means that no traces are recorded.
    let _ = span.set_parent(context);
}

/// A `traceparent` as the propagator wants to see it.
struct Text<'a>(&'a str);

impl Extractor for Text<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn a_callers_context_is_passed_on_as_it_came_when_nothing_is_recorded() {
        assert_eq!(current(), None);
        for text in [SAMPLED, UNSAMPLED] {
            let _attached = from_text(text).unwrap().attach();
            assert_eq!(current().as_deref(), Some(text));
            assert_eq!(recorded(), None);
            let mut headers = HeaderMap::new();
            inject(&mut headers);
            assert_eq!(headers.get(TRACEPARENT).unwrap(), text);
        }
        assert_eq!(current(), None);
    }

    #[test]
    fn a_context_that_can_not_be_read_is_none() {
        for text in [
            "",
            "00-",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01",
            "-------------------------------------------------------",
        ] {
            assert!(from_text(text).is_none(), "{text}");
        }
    }
}
