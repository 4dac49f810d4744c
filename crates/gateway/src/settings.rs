//! The gateway's settings.

use std::time::Duration;

use platepal_settings::{ByteSize, Reader};

platepal_settings::settings! {
    /// The gateway: what backends may ask for at once.
    pub struct Settings {
        /// Events of one batch that are published at the same time; events that share a channel keep their order.
        batch_concurrency: usize = "REALTIME_GATEWAY_BATCH_CONCURRENCY", default "64", bound { unit: "events", full: "the others of the batch wait", metric: "realtime_gateway_publish_seconds" };
        /// Tails (`EventsService.Tail`) that may be open in one gateway.
        tails: usize = "REALTIME_GATEWAY_TAILS", default "256", bound { unit: "streams", full: "a further tail is refused with RESOURCE_EXHAUSTED", metric: "realtime_gateway_tails" };
        /// Entries of one tail that wait for its reader.
        tail_queue: usize = "REALTIME_GATEWAY_TAIL_QUEUE", default "64", bound { unit: "entries per stream", full: "the tail reads the log at its reader's speed", metric: "realtime_gateway_tails" };
        /// How often a silent tail says where it is.
        tail_idle: Duration = "REALTIME_GATEWAY_TAIL_IDLE", default "10s", bound { unit: "time", full: "the tail sends its position", metric: "realtime_gateway_tails" };
        /// How long revoked tokens are refused: at least as long as an access token lives.
        revocation_time: Duration = "REALTIME_GATEWAY_REVOCATION_TIME", default "24h", bound { unit: "time", full: "a token that lives longer is accepted again", metric: "realtime_edge_revocations" };
        /// The largest body of a request to the HTTP API.
        api_body_bytes: ByteSize = "REALTIME_GATEWAY_API_BODY_BYTES", default "4MiB", bound { unit: "bytes", full: "the request is answered 413", metric: "realtime_gateway_api_requests_total" };
    }
}

impl Settings {
    /// Notes values that can't work. `retention` is how long the bus keeps what is said.
    pub fn check(&self, reader: &mut Reader, retention: Duration) {
        if self.revocation_time.is_zero() || self.revocation_time > retention {
            reader.mistake(
                "REALTIME_GATEWAY_REVOCATION_TIME must be above zero and at most REALTIME_BUS_RETENTION_AGE: an edge that \
                 starts later learns of revocations from the bus",
            );
        }
    }
}
