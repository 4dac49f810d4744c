//! The console's settings.

use std::{net::SocketAddr, time::Duration};

use platepal_settings::{Reader, Secret};
use url::Url;

/// The shortest password, in characters.
const PASSWORD_CHARS_MIN: usize = 12;

platepal_settings::settings! {
    /// The operators' console: where it is, who gets in, how often it looks.
    pub struct Settings {
        /// Where the console listens; anywhere but on loopback it needs TLS before it.
        addr: SocketAddr = "REALTIME_CONSOLE_ADDR", default "127.0.0.1:9091";
        /// The operators' password, at least 12 characters. Without it there is no console.
        password: Option<Secret> = "REALTIME_CONSOLE_PASSWORD", optional;
        /// How long an operator stays signed in.
        session_time: Duration = "REALTIME_CONSOLE_SESSION_TIME", default "12h", bound { unit: "time", full: "the operator signs in again", metric: "realtime_console_logins_total" };
        /// Operators who are signed in at the same time.
        sessions: usize = "REALTIME_CONSOLE_SESSIONS", default "100", bound { unit: "sessions", full: "the one that began first ends", metric: "realtime_console_logins_total" };
        /// Wrong passwords in a minute, of everybody together.
        attempts: u32 = "REALTIME_CONSOLE_ATTEMPTS", default "10", bound { unit: "attempts per minute", full: "answered 429, also with the right password", metric: "realtime_console_logins_total" };
        /// How often all processes are asked what they count.
        sample_interval: Duration = "REALTIME_CONSOLE_SAMPLE_INTERVAL", default "2s", bound { unit: "time", full: "asked again", metric: "realtime_edges_asked_total" };
        /// Samples that are remembered for the plots.
        samples: usize = "REALTIME_CONSOLE_SAMPLES", default "450", bound { unit: "samples", full: "the oldest is forgotten", metric: "realtime_console_watchers" };
        /// Pages that follow what is happening.
        watchers: usize = "REALTIME_CONSOLE_WATCHERS", default "50", bound { unit: "pages", full: "a further one is answered 503", metric: "realtime_console_watchers" };
        /// Where the gateway answers, for processes that do not run it, e.g. `http://gateway:50051`: its health is shown.
        gateway_url: Option<Url> = "REALTIME_GATEWAY_URL", optional;
    }
}

impl Settings {
    /// Notes values that can't work. `alone`: the process runs nothing but the console.
    pub fn check(&self, reader: &mut Reader, alone: bool) {
        match &self.password {
            None if alone => {
                reader.mistake("REALTIME_CONSOLE_PASSWORD must be set: without it there is no console")
            }
            Some(password) if password.reveal().chars().count() < PASSWORD_CHARS_MIN => reader.mistake(
                format!("REALTIME_CONSOLE_PASSWORD must have at least {PASSWORD_CHARS_MIN} characters"),
            ),
            _ => {}
        }
        if self.sample_interval < Duration::from_millis(200) {
            reader.mistake("REALTIME_CONSOLE_SAMPLE_INTERVAL must be at least 200ms");
        }
        let least = [self.sessions, self.samples, self.watchers, self.attempts as usize];
        if least.contains(&0) {
            reader.mistake("REALTIME_CONSOLE_SESSIONS, _SAMPLES, _WATCHERS and _ATTEMPTS must be at least 1");
        }
    }
}
