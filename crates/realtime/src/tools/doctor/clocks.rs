//! Clocks: tokens expire and events age by them, so those of all hosts have to agree.

use std::time::Duration;

use platepal_events::Timestamp;
use platepal_service::Clock;

use super::{Finding, Patient};

/// A difference that people and alerts would see in latencies.
const NOTABLE: Duration = Duration::from_millis(500);

/// Compares this host's clock with another, which was read at most `uncertain` ago or is only known to within it.
pub(super) fn compare(patient: &Patient<'_>, whose: &str, theirs: Timestamp, uncertain: Duration) -> Finding {
    let micros = Clock.now().micros().saturating_sub(theirs.micros());
    let apart = Duration::from_micros(micros.unsigned_abs()).saturating_sub(uncertain);
    let leeway = patient.configuration.tokens.leeway;
    let word = if micros > 0 { "ahead of" } else { "behind" };
    let seconds = apart.as_secs_f64();
    if apart > leeway {
        let message = format!(
            "this host is {seconds:.1} s {word} {whose}, more than REALTIME_JWT_LEEWAY allows: tokens are refused or \
             live too long; let both follow a time server"
        );
        return Finding::fail("clock", message);
    }
    if apart > NOTABLE {
        let message = format!("this host is {seconds:.1} s {word} {whose}; let both follow a time server");
        return Finding::warn("clock", message);
    }
    Finding::ok("clock", format!("agrees with {whose}"))
}

/// Compares with the `Date` of an HTTP answer, which has whole seconds.
pub(super) fn compare_http(
    patient: &Patient<'_>,
    whose: &str,
    answer: &reqwest::Response,
    took: Duration,
) -> Option<Finding> {
    let text = answer.headers().get("date")?.to_str().ok()?;
    let moment = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let theirs = Timestamp::from_micros(moment.timestamp_micros());
    Some(compare(patient, whose, theirs, took + Duration::from_secs(1)))
}
