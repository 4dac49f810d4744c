//! The menus domain's settings.

use std::time::Duration;

use platepal_service::worker::Pace;
use platepal_settings::Reader;

platepal_settings::settings! {
    /// Menus: how many items, when one is low, how long menus are remembered.
    pub struct Settings {
        /// Items of one menu that are not removed.
        items: u32 = "REALTIME_MENUS_ITEMS", default "2000", bound { unit: "items per menu", full: "an update that adds one is refused with RESOURCE_EXHAUSTED", metric: "realtime_menus_updates_total" };
        /// Pieces at or below which an item is low that was given no number of its own.
        low_inventory: u32 = "REALTIME_MENUS_LOW_INVENTORY", default "5";
        /// How long event ids, and items that can be ordered at their usual price, are remembered after their last change.
        keep: Duration = "REALTIME_MENUS_KEEP", default "30d", bound { unit: "time", full: "forgotten", metric: "realtime_menus_forgotten_total" };
        /// How often items that come back, and untold events, are looked for.
        poll_interval: Duration = "REALTIME_MENUS_POLL_INTERVAL", default "500ms", bound { unit: "time", full: "looked again", metric: "realtime_menus_returned_total" };
        /// For how long an event may be kept but untold before the worker tells it: its own call is about to.
        relay_after: Duration = "REALTIME_MENUS_RELAY_AFTER", default "2s", bound { unit: "time", full: "the worker tells it", metric: "realtime_outbox_waiting_streams" };
        /// How often what is old is looked for.
        sweep_interval: Duration = "REALTIME_MENUS_SWEEP_INTERVAL", default "1m", bound { unit: "time", full: "looked again", metric: "realtime_menus_forgotten_total" };
        /// Rows that the worker takes at once: due timers, untold streams, old rows.
        chunk: u32 = "REALTIME_MENUS_CHUNK", default "500", bound { unit: "rows", full: "the rest follows in the next round", metric: "realtime_menus_forgotten_total" };
    }
}

/// Newest values of a channel that an edge keeps for newcomers, by default; a menu must not have more.
const ITEMS_MAX: u32 = 4096;

impl Settings {
    /// Notes values that can't work.
    pub fn check(&self, reader: &mut Reader) {
        if !(1..=ITEMS_MAX).contains(&self.items) {
            reader.mistake(format!(
                "REALTIME_MENUS_ITEMS must be between 1 and {ITEMS_MAX}: what an edge keeps for newcomers \
                 (REALTIME_EDGE_LATEST_KEYS)"
            ));
        }
        if self.poll_interval.is_zero() || self.poll_interval > Duration::from_secs(1) {
            reader.mistake("REALTIME_MENUS_POLL_INTERVAL must be above zero and at most 1s: items come back within a second");
        }
        if self.chunk == 0 {
            reader.mistake("REALTIME_MENUS_CHUNK must be at least 1");
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace {
            poll_interval: self.poll_interval,
            relay_after: self.relay_after,
            sweep_interval: self.sweep_interval,
            chunk: self.chunk,
        }
    }
}
