//! The notifications domain's settings.

use std::{path::PathBuf, time::Duration};

use platepal_service::worker;
use platepal_settings::Reader;

use crate::rules::templates::Templates;

platepal_settings::settings! {
    /// Notifications: inboxes, when something is pushed, what is handed over.
    pub struct Settings {
        /// For users who say nothing else: the language of the texts.
        language: String = "REALTIME_NOTIFICATIONS_LANGUAGE", default "en";
        /// A JSON file with texts of your own: language, then type, then `title` and `message` with places such as `{order_id}`. English and German are built in.
        templates: Option<PathBuf> = "REALTIME_NOTIFICATIONS_TEMPLATES", optional;
        /// Whether other domains' events become notifications by the table of rules.
        produce: bool = "REALTIME_NOTIFICATIONS_PRODUCE", default "true";
        /// How long a device of the user's has to show a notification before it is pushed.
        grace: Duration = "REALTIME_NOTIFICATIONS_GRACE", default "5s", bound { unit: "time", full: "the notification is pushed to the user's devices", metric: "realtime_notifications_deliveries_total" };
        /// Whether an open socket of the user's counts as having shown it. PlatePal's frontends say nothing of it; apps that say `notification_shown` can do without.
        connected_shows: bool = "REALTIME_NOTIFICATIONS_CONNECTED_SHOWS", default "true";
        /// Promotions that leave a user's inbox in a day.
        promotions: u32 = "REALTIME_NOTIFICATIONS_PROMOTIONS", default "3", bound { unit: "notifications per user and day", full: "further ones stay in the inbox", metric: "realtime_notifications_deliveries_total" };
        /// Devices of one user.
        devices: u32 = "REALTIME_NOTIFICATIONS_DEVICES", default "20", bound { unit: "devices per user", full: "the one that was added first is forgotten", metric: "realtime_notifications_devices_total" };
        /// Attempts to send one push.
        push_attempts: u32 = "REALTIME_NOTIFICATIONS_PUSH_ATTEMPTS", default "8", bound { unit: "attempts", full: "given up; what became of the notification says so", metric: "realtime_notifications_deliveries_total" };
        /// Pushes that one process sends at once.
        pushes: usize = "REALTIME_NOTIFICATIONS_PUSHES", default "64", bound { unit: "requests", full: "the next waits", metric: "realtime_notifications_pushes_open" };
        /// How long a push that is being sent is nobody else's; afterwards it is sent again.
        push_lease: Duration = "REALTIME_NOTIFICATIONS_PUSH_LEASE", default "60s", bound { unit: "time", full: "another process, or this one, sends it again under the same topic", metric: "realtime_notifications_deliveries_total" };
        /// How long a notification, what became of it and its key are kept.
        keep: Duration = "REALTIME_NOTIFICATIONS_KEEP", default "90d", bound { unit: "time", full: "forgotten", metric: "realtime_notifications_forgotten_total" };
        /// How long what is handed over to Django is kept while nobody reads it. Once there is a reader, it is kept until it has acknowledged it.
        handover_keep: Duration = "REALTIME_NOTIFICATIONS_HANDOVER_KEEP", default "7d", bound { unit: "time", full: "without any reader: the entry is forgotten", metric: "realtime_feed_forgotten_total" };
        /// How often timers, pushes and untold events are looked for.
        poll_interval: Duration = "REALTIME_NOTIFICATIONS_POLL_INTERVAL", default "500ms", bound { unit: "time", full: "looked again", metric: "realtime_notifications_deliveries_total" };
        /// For how long an event may be kept but untold before the worker tells it: its own call is about to.
        relay_after: Duration = "REALTIME_NOTIFICATIONS_RELAY_AFTER", default "2s", bound { unit: "time", full: "the worker tells it", metric: "realtime_outbox_waiting_streams" };
        /// How often what is old is looked for.
        sweep_interval: Duration = "REALTIME_NOTIFICATIONS_SWEEP_INTERVAL", default "1m", bound { unit: "time", full: "looked again", metric: "realtime_notifications_forgotten_total" };
        /// Rows that the worker takes at once.
        chunk: u32 = "REALTIME_NOTIFICATIONS_CHUNK", default "500", bound { unit: "rows", full: "the rest follows in the next round", metric: "realtime_notifications_forgotten_total" };
    }
}

impl Settings {
    /// Notes values that can't work. `push_timeout` is the longest that one request to a push service takes.
    pub fn check(&self, reader: &mut Reader, push_timeout: Duration) {
        if self.poll_interval.is_zero() || self.poll_interval > Duration::from_secs(1) {
            reader.mistake("REALTIME_NOTIFICATIONS_POLL_INTERVAL must be above zero and at most 1s");
        }
        // A push may have to wait for a token, and for a second one when the first is refused.
        if self.push_lease <= push_timeout * 4 {
            reader.mistake(
                "REALTIME_NOTIFICATIONS_PUSH_LEASE must be more than four times REALTIME_PUSH_TIMEOUT: a push that is \
                 being sent would be sent again",
            );
        }
        let least = [self.devices as usize, self.push_attempts as usize, self.pushes, self.chunk as usize];
        if least.contains(&0) {
            reader.mistake(
                "REALTIME_NOTIFICATIONS_DEVICES, _PUSH_ATTEMPTS, _PUSHES and _CHUNK must be at least 1",
            );
        }
    }

    /// The texts; an error names the setting.
    pub(crate) fn read_templates(&self) -> Result<Templates, String> {
        let own = match &self.templates {
            None => None,
            Some(file) => Some(std::fs::read_to_string(file).map_err(|why| {
                format!("REALTIME_NOTIFICATIONS_TEMPLATES: {} can't be read: {why}", file.display())
            })?),
        };
        Templates::new(own.as_deref(), &self.language).map_err(|why| {
            format!("REALTIME_NOTIFICATIONS_TEMPLATES and _LANGUAGE: the texts can't be used: {why}")
        })
    }

    pub(crate) fn pace(&self) -> worker::Pace {
        worker::Pace {
            poll_interval: self.poll_interval,
            relay_after: self.relay_after,
            sweep_interval: self.sweep_interval,
            chunk: self.chunk,
        }
    }
}
