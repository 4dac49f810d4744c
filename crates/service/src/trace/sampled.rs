//! The end of an event's trace: its write to clients' connections.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;
use platepal_events::{Event, Timestamp};

/// Writes of one event that one edge records: enough to see how it went, whether two or a million read it.
const WRITES_MAX: u32 = 16;

/// Set once when this process exports traces.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// What [`Sampled`] records goes to this tracer from now on.
pub(super) fn record_with(tracer: SdkTracer) {
    // A second exporter of a process, as in tests, changes nothing here.
    let _ = TRACER.set(tracer);
}

/// The trace of an event that is being recorded. Made once per event by an edge, cloned to each connection that
/// it is queued for: as large as a pointer, also within an `Option`.
///
/// ```
/// use platepal_service::{Clock, trace::Sampled};
/// # fn example(event: &platepal_events::Event, kept_at: platepal_events::Timestamp) {
/// // When the event comes from the bus; `None` for nearly all, at the cost of a comparison.
/// let sampled = Sampled::of(event);
/// // When its frame has been written to a socket.
/// if let Some(sampled) = &sampled {
///     sampled.written(kept_at, Clock.now());
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sampled(Arc<Trace>);

#[derive(Debug)]
struct Trace {
    /// The publisher's span, or the gateway's.
    parent: Context,
    kind: String,
    id: String,
    writes: AtomicU32,
}

impl Sampled {
    /// The trace of an event; `None` when the event has none, its publisher did not want it recorded, or this
    /// process exports nothing.
    pub fn of(event: &Event) -> Option<Self> {
        // The last digit of the flags is odd: sampled.
        let is_sampled = event.traceparent.as_bytes().get(54).is_some_and(|digit| {
            matches!(digit, b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f' | b'B' | b'D' | b'F')
        });
        if !is_sampled || TRACER.get().is_none() {
            return None;
        }
        let parent = super::from_text(&event.traceparent)?;
        Some(Self(Arc::new(Trace {
            parent,
            kind: event.kind.to_string(),
            id: event.id.to_string(),
            writes: AtomicU32::new(0),
        })))
    }

    /// Records that the event was written to one client: a span `edge.write`, from when the bus kept the event
    /// until now. Further writes than a few are not recorded.
    pub fn written(&self, kept_at: Timestamp, now: Timestamp) {
        let Some(tracer) = TRACER.get() else { return };
        let trace = &*self.0;
        if trace.writes.fetch_add(1, Ordering::Relaxed) >= WRITES_MAX {
            // Counts on, to a number that can't wrap around within an event's life on an edge.
            return;
        }
        let (kept_at, now) = (moment(kept_at), moment(now));
        let span = tracer
            .span_builder("edge.write")
            .with_kind(SpanKind::Consumer)
            // Clocks of two hosts may differ: a write is never before the keeping.
            .with_start_time(kept_at.min(now))
            .with_attributes([
                KeyValue::new("event.id", trace.id.clone()),
                KeyValue::new("event.type", trace.kind.clone()),
            ])
            .start_with_context(tracer, &trace.parent);
        trace.parent.with_span(span).span().end_with_timestamp(now);
    }
}

fn moment(at: Timestamp) -> SystemTime {
    let since = Duration::from_micros(u64::try_from(at.micros()).unwrap_or_default());
    SystemTime::UNIX_EPOCH + since
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::{
        error::OTelSdkResult,
        trace::{SdkTracerProvider, SpanData, SpanExporter},
    };
    use parking_lot::Mutex;
    use platepal_proto::v1;

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Desk(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Desk {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().extend(batch);
            Ok(())
        }
    }

    const KEPT_MICROS: i64 = 1_796_000_000_000_000;

    fn event(traceparent: &str) -> Event {
        let message = v1::Event {
            r#type: "menu.updated".into(),
            payload: "{}".into(),
            traceparent: traceparent.into(),
            ..Default::default()
        };
        Event::parse(message, Timestamp::from_micros(KEPT_MICROS)).unwrap()
    }

    #[test]
    fn writes_of_a_sampled_event_become_a_few_spans_of_its_trace() {
        let sampled = event("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert!(Sampled::of(&sampled).is_none(), "nothing is exported yet");
        let desk = Desk::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(desk.clone()).build();
        record_with(provider.tracer("test"));

        for other in ["", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"] {
            assert!(Sampled::of(&event(other)).is_none(), "{other:?}");
        }
        let sampled = Sampled::of(&sampled).unwrap();
        let kept = Timestamp::from_micros(KEPT_MICROS);
        let written = Timestamp::from_micros(KEPT_MICROS + 1_500);
        for _ in 0..1_000 {
            sampled.clone().written(kept, written);
        }
        let spans = desk.0.lock();
        assert_eq!(spans.len(), WRITES_MAX as usize);
        let span = spans.first().unwrap();
        assert_eq!(span.name, "edge.write");
        assert_eq!(span.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
        assert_eq!(span.end_time.duration_since(span.start_time).unwrap(), Duration::from_micros(1_500));
    }
}
