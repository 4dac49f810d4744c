//! The bus's metrics: their names and what they mean, in one place.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(crate) const APPENDED: &str = "realtime_bus_appended_total";
pub(crate) const APPEND_SECONDS: &str = "realtime_bus_append_seconds";
pub(crate) const APPEND_QUEUE: &str = "realtime_bus_append_queue";
pub(crate) const COMMIT_APPENDS: &str = "realtime_bus_commit_appends";
pub(crate) const COMMIT_SECONDS: &str = "realtime_bus_commit_seconds";
pub(crate) const DUPLICATES: &str = "realtime_bus_duplicates_total";
pub(crate) const ERRORS: &str = "realtime_bus_errors_total";
pub(crate) const GAPS_HEALED: &str = "realtime_bus_gaps_healed_total";
pub(crate) const HEALED: &str = "realtime_bus_healed_events_total";
pub(crate) const HEAL_RETRIES: &str = "realtime_bus_heal_retries_total";
pub(crate) const PASSED: &str = "realtime_bus_passed_total";
pub(crate) const PASSING_LOST: &str = "realtime_bus_passing_lost_total";
pub(crate) const REDELIVERED: &str = "realtime_bus_redelivered_total";
pub(crate) const RESETS: &str = "realtime_bus_resets_total";
pub(crate) const SUBSCRIPTIONS: &str = "realtime_bus_subscriptions";
pub(crate) const TRIMMED: &str = "realtime_bus_trimmed_total";
pub(crate) const UNREADABLE: &str = "realtime_bus_unreadable_total";

/// Tells the recorder what the names mean. An engine does it when it starts.
pub(crate) fn describe() {
    describe_counter!(APPENDED, "Events kept, per channel they were kept in");
    describe_histogram!(APPEND_SECONDS, Unit::Seconds, "From an append to its acknowledgement");
    describe_gauge!(APPEND_QUEUE, "Appends waiting for an acknowledgement");
    describe_histogram!(COMMIT_APPENDS, "Appends that shared one commit of the embedded log");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "One commit of the embedded log, with its sync");
    describe_counter!(DUPLICATES, "Appends that a channel had already");
    describe_counter!(ERRORS, "Calls to the bus that failed");
    describe_counter!(GAPS_HEALED, "Times a subscription had missed events and read them from the log");
    describe_counter!(HEALED, "Events that subscriptions read from the log after a gap");
    describe_counter!(HEAL_RETRIES, "Times a subscription could not read the log and waited to try again");
    describe_counter!(PASSED, "Events told to those who listened, and not kept");
    describe_counter!(
        PASSING_LOST,
        "Passing events that one subscription of the embedded bus did not get, as its queue was full"
    );
    describe_counter!(
        REDELIVERED,
        "Events delivered to a group again because nobody acknowledged them in time"
    );
    describe_counter!(RESETS, "Times a subscription had missed events that are no longer retained");
    describe_gauge!(SUBSCRIPTIONS, "Open subscriptions");
    describe_counter!(TRIMMED, "Events that left the retention, by age or by number");
    describe_counter!(UNREADABLE, "Events that can't be read, and were left out");
}
