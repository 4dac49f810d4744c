//! Logs: structured, to stderr, without secrets.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::Settings;

/// Starts logging as the settings say. A second call changes nothing.
pub fn init_logs(settings: &Settings) {
    let filter = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error here means that logging is started already, as in tests.
    let _ = if settings.log_format == "json" {
        base.json().try_init()
    } else {
        base.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    };
}
