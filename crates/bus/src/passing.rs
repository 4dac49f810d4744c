//! What both engines do the same with an event that is told and not kept.

use metrics::counter;
use platepal_events::Event;

use crate::{BusError, measure};

/// Refuses an event that is too large. Each waits whole in the queue of every subscription, so the bound is
/// smaller than that of events which are kept.
pub(crate) fn admit(event: &Event, bytes_max: usize) -> Result<(), BusError> {
    let bytes = event.payload.len();
    if bytes > bytes_max {
        return Err(BusError::Refused(format!(
            "the payload of the passing event {} has {bytes} bytes, the limit is {bytes_max} \
             (REALTIME_BUS_PASSING_BYTES); nobody was told; send less, or append it",
            event.id
        )));
    }
    Ok(())
}

/// Counts what came of it.
pub(crate) fn count(passed: &Result<(), BusError>) {
    match passed {
        Ok(()) => counter!(measure::PASSED).increment(1),
        Err(why) => {
            counter!(measure::ERRORS).increment(1);
            tracing::debug!(%why, "an event was not passed");
        }
    }
}
