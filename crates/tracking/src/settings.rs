//! The tracking domain's settings.

use std::time::Duration;

use platepal_settings::Reader;

platepal_settings::settings! {
    /// Tracking: riders' positions, deliveries, job offers, trails.
    pub struct Settings {
        /// How long a rider has to take a job offer that names no time of its own.
        offer_time: Duration = "REALTIME_TRACKING_OFFER_TIME", default "60s", bound { unit: "time", full: "the offer expires: rider and admin are told `offer.expired`, once", metric: "realtime_tracking_offers_total" };
        /// Offers of one delivery that were declined or expired until `delivery.escalation` is told to admin.
        offers: u32 = "REALTIME_TRACKING_OFFERS", default "5", bound { unit: "offers per delivery", full: "the delivery escalates to admin, once", metric: "realtime_tracking_offers_total" };
        /// How long a link to a delivery is good that was asked for without a time.
        share_time: Duration = "REALTIME_TRACKING_SHARE_TIME", default "2h";
        /// The longest time for which a link may be asked for. It ends with its delivery in any case.
        share_time_max: Duration = "REALTIME_TRACKING_SHARE_TIME_MAX", default "24h", bound { unit: "time", full: "INVALID_ARGUMENT: no link is signed", metric: "realtime_tracking_links_total" };
        /// Trails that are played back at the same time.
        replays: usize = "REALTIME_TRACKING_REPLAYS", default "50", bound { unit: "calls", full: "RESOURCE_EXHAUSTED: the caller may try again later", metric: "realtime_tracking_replays_open" };
        /// How long trails, and deliveries and offers after their last change, are remembered.
        keep: Duration = "REALTIME_TRACKING_KEEP", default "30d", bound { unit: "time", full: "they are forgotten", metric: "realtime_tracking_forgotten_total" };
        /// How often what is old is looked for.
        sweep_interval: Duration = "REALTIME_TRACKING_SWEEP_INTERVAL", default "1m", bound { unit: "time", full: "looked again", metric: "realtime_tracking_forgotten_total" };
        /// How often timers and untold events are looked for.
        poll_interval: Duration = "REALTIME_TRACKING_POLL_INTERVAL", default "500ms", bound { unit: "time", full: "looked again", metric: "realtime_tracking_timers_fired_total" };
        /// For how long an event may be kept but untold before the worker tells it: its own call is about to.
        relay_after: Duration = "REALTIME_TRACKING_RELAY_AFTER", default "2s", bound { unit: "time", full: "the worker tells it", metric: "realtime_outbox_waiting_streams" };
        /// Rows that the worker takes at once.
        chunk: u32 = "REALTIME_TRACKING_CHUNK", default "500", bound { unit: "rows", full: "the rest follows in the next round", metric: "realtime_tracking_forgotten_total" };
    }
}

impl Settings {
    /// Notes values that can't work.
    pub fn check(&self, reader: &mut Reader) {
        if self.poll_interval.is_zero() || self.poll_interval > Duration::from_secs(1) {
            reader.mistake(
                "REALTIME_TRACKING_POLL_INTERVAL must be above zero and at most 1s: timers fire within a second",
            );
        }
        if self.offers == 0 || self.chunk == 0 || self.replays == 0 {
            reader.mistake(
                "REALTIME_TRACKING_OFFERS, REALTIME_TRACKING_CHUNK and REALTIME_TRACKING_REPLAYS must be at least 1",
            );
        }
        if self.offer_time.is_zero() {
            reader.mistake("REALTIME_TRACKING_OFFER_TIME must be above zero");
        }
        if self.share_time < Duration::from_secs(1) || self.share_time > self.share_time_max {
            reader.mistake(
                "REALTIME_TRACKING_SHARE_TIME must be at least 1s, and at most REALTIME_TRACKING_SHARE_TIME_MAX",
            );
        }
    }
}

pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
