//! The bus's settings.

use std::time::Duration;

use url::Url;

platepal_settings::settings! {
    /// The bus: where events are kept, and for how long.
    pub struct Settings {
        /// Address of the NATS servers, e.g. `nats://user:password@nats:4222`. Without it, the bus is embedded and the tier is one process.
        nats_url: Option<Url> = "REALTIME_NATS_URL", optional;
        /// For how long events are kept.
        retention_age: Duration = "REALTIME_BUS_RETENTION_AGE", default "24h", bound { unit: "time", full: "older events are dropped; readers that need them are told to take a snapshot", metric: "realtime_bus_trimmed_total" };
        /// How many events a channel keeps.
        retention_events: u32 = "REALTIME_BUS_RETENTION_EVENTS", default "1000", bound { unit: "events per channel", full: "the oldest is dropped; readers that need it are told to take a snapshot", metric: "realtime_bus_trimmed_total" };
        /// For how long an append with an event id that a channel has already is recognised as a repeat.
        duplicate_window: Duration = "REALTIME_BUS_DUPLICATE_WINDOW", default "10m", bound { unit: "time", full: "a later repeat is a new event to the bus; the domains' stores still recognise it", metric: "realtime_bus_duplicates_total" };
        /// Streams over which channels are spread in NATS. Fixed for the life of the streams.
        partitions: u16 = "REALTIME_BUS_PARTITIONS", default "1";
        /// Copies of each stream that NATS keeps; 3 on a cluster.
        replicas: u16 = "REALTIME_BUS_REPLICAS", default "1";
        /// How long one append or read may take.
        request_timeout: Duration = "REALTIME_BUS_REQUEST_TIMEOUT", default "5s", bound { unit: "time", full: "the caller is told that the bus is unavailable, and may repeat", metric: "realtime_bus_errors_total" };
        /// Appends waiting to be kept.
        append_queue: usize = "REALTIME_BUS_APPEND_QUEUE", default "4096", bound { unit: "appends", full: "callers wait, up to the request timeout", metric: "realtime_bus_append_queue" };
        /// Live events waiting for one subscription.
        subscription_queue: usize = "REALTIME_BUS_SUBSCRIPTION_QUEUE", default "1024", bound { unit: "events per subscription", full: "the rest is read from the log when the reader catches up", metric: "realtime_bus_gaps_healed_total" };
        /// The largest payload of an event that is told and not kept.
        passing_bytes: usize = "REALTIME_BUS_PASSING_BYTES", default "16384", bound { unit: "bytes per event", full: "the event is refused, and the caller is told", metric: "realtime_bus_errors_total" };
        /// How often a silent subscription makes sure that it missed nothing.
        heal_interval: Duration = "REALTIME_BUS_HEAL_INTERVAL", default "30s", bound { unit: "time", full: "the head of the channel's log is compared with what was delivered", metric: "realtime_bus_gaps_healed_total" };
        /// How long a worker may hold an event before it is delivered again.
        ack_wait: Duration = "REALTIME_BUS_ACK_WAIT", default "30s", bound { unit: "time", full: "the event is delivered again, maybe to another worker of the group", metric: "realtime_bus_redelivered_total" };
        /// Events that the workers of one group may hold together without having acknowledged them.
        unacknowledged: usize = "REALTIME_BUS_UNACKNOWLEDGED", default "256", bound { unit: "events per group", full: "the group is given no more until it acknowledges", metric: "realtime_bus_redelivered_total" };
    }
}
