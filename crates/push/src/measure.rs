//! The names of this crate's metrics, and counting.

use std::time::Instant;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use crate::push::{Outcome, Service};

/// Labels `service` and `outcome`, words of [`Service`] and [`Outcome`].
const SENT: &str = "realtime_push_sent_total";
/// Label `service`.
const SECONDS: &str = "realtime_push_seconds";

/// Tells the recorder what the names mean.
pub fn describe_metrics() {
    describe_counter!(SENT, "Pushes to devices, by service and by what became of them");
    describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "One attempt to push, with the token that it had to wait for, by service"
    );
}

/// Counts one attempt.
pub(crate) async fn counted(service: Service, attempt: impl Future<Output = Outcome>) -> Outcome {
    let started = Instant::now();
    let outcome = attempt.await;
    histogram!(SECONDS, "service" => service.word()).record(started.elapsed());
    counter!(SENT, "service" => service.word(), "outcome" => outcome.word()).increment(1);
    outcome
}
