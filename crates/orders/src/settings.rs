//! The orders domain's settings.

use std::time::Duration;

use platepal_events::millis;
use platepal_settings::Reader;

use crate::rules::deadlines::Limits;

platepal_settings::settings! {
    /// Orders: deadlines, rejections, how long orders are remembered.
    pub struct Settings {
        /// From placement until a restaurant must have accepted.
        accept_time: Duration = "REALTIME_ORDERS_ACCEPT_TIME", default "10m", bound { unit: "time", full: "`sla_breach` of kind `acceptance` is told to restaurant and admin, once", metric: "realtime_orders_timers_fired_total" };
        /// From acceptance until the order must have ended; `sla_minutes` of an update overrides it for its restaurant.
        completion_time: Duration = "REALTIME_ORDERS_COMPLETION_TIME", default "35m", bound { unit: "time", full: "`sla_breach` of kind `completion` is told to restaurant and admin, once", metric: "realtime_orders_timers_fired_total" };
        /// When `order.sla_warning` is told, in per cent of the time to completion.
        warning_percent: u32 = "REALTIME_ORDERS_WARNING_PERCENT", default "80";
        /// Rejected orders of one restaurant within the rejection window that raise `restaurant.high_rejection_rate`.
        rejections: u32 = "REALTIME_ORDERS_REJECTIONS", default "5", bound { unit: "orders per restaurant and window", full: "restaurant and admin are told, once a window", metric: "realtime_orders_rejection_alerts_total" };
        /// The window in which rejections are counted.
        rejection_window: Duration = "REALTIME_ORDERS_REJECTION_WINDOW", default "24h", bound { unit: "time", full: "older rejections no longer count", metric: "realtime_orders_rejection_alerts_total" };
        /// How long an order, its event ids and its history are remembered after its last change.
        keep: Duration = "REALTIME_ORDERS_KEEP", default "90d", bound { unit: "time", full: "the order and the ids of its events are forgotten", metric: "realtime_orders_forgotten_total" };
        /// How often timers and untold events are looked for.
        poll_interval: Duration = "REALTIME_ORDERS_POLL_INTERVAL", default "500ms", bound { unit: "time", full: "looked again", metric: "realtime_orders_timers_fired_total" };
        /// For how long an event may be kept but untold before the worker tells it: its own call is about to.
        relay_after: Duration = "REALTIME_ORDERS_RELAY_AFTER", default "2s", bound { unit: "time", full: "the worker tells it", metric: "realtime_outbox_waiting_streams" };
        /// How often old orders are looked for.
        sweep_interval: Duration = "REALTIME_ORDERS_SWEEP_INTERVAL", default "1m", bound { unit: "time", full: "looked again", metric: "realtime_orders_forgotten_total" };
        /// Rows that the worker takes at once: due timers, untold streams, old orders.
        chunk: u32 = "REALTIME_ORDERS_CHUNK", default "500", bound { unit: "rows", full: "the rest follows in the next round", metric: "realtime_orders_forgotten_total" };
    }
}

impl Settings {
    /// Notes values that can't work.
    pub fn check(&self, reader: &mut Reader) {
        if !(1..=99).contains(&self.warning_percent) {
            reader.mistake("REALTIME_ORDERS_WARNING_PERCENT must be between 1 and 99");
        }
        if self.poll_interval.is_zero() || self.poll_interval > Duration::from_secs(1) {
            reader.mistake("REALTIME_ORDERS_POLL_INTERVAL must be above zero and at most 1s: timers fire within a second");
        }
        if self.rejections == 0 || self.chunk == 0 {
            reader.mistake("REALTIME_ORDERS_REJECTIONS and REALTIME_ORDERS_CHUNK must be at least 1");
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            acceptance_millis: millis(self.accept_time),
            completion_millis: millis(self.completion_time),
            warning_percent: self.warning_percent,
        }
    }
}
