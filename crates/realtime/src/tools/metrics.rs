//! `metrics`: the reference page.
//!
//! Metrics are described where they are counted, when a role starts; so every role is started for a moment, on
//! ports that nobody knows and in a folder that is removed again.

use std::{fs, path::Path};

use anstream::print;
use platepal_settings::Reader;
use rand::{Rng, distr::Alphanumeric};

use crate::{cli::Role, configuration::Configuration, roles::Running};

/// What stands above the table.
const HEAD: &str = "# Metrics\n\nWhat every process serves at `/metrics` on `REALTIME_ADMIN_ADDR`, for Prometheus. \
    This page is what `platepal-realtime metrics` prints.\n\nHistograms of times have bounds from 0.1 ms to 10 s, \
    those of sizes from 64 B to 64 MiB, all others powers of two.\n\n";

/// Prints the page that `docs/metrics.md` holds.
#[allow(clippy::print_stdout)]
pub(crate) async fn run() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("platepal-metrics-{}", std::process::id()));
    let table = Box::pin(table(&folder)).await;
    fs::remove_dir_all(&folder).ok();
    print!("{HEAD}{}", table?);
    Ok(())
}

async fn table(folder: &Path) -> anyhow::Result<String> {
    let secret: String = rand::rng().sample_iter(Alphanumeric).take(48).map(char::from).collect();
    let anywhere = "127.0.0.1:0";
    let reader = Reader::new([
        ("REALTIME_HTTP_ADDR", anywhere),
        ("REALTIME_GRPC_ADDR", anywhere),
        ("REALTIME_ADMIN_ADDR", anywhere),
        ("REALTIME_DATA_DIR", &folder.to_string_lossy()),
        ("REALTIME_JWT_SECRET", &secret),
        ("REALTIME_LOG", "error"),
        ("REALTIME_DRAIN_TIME", "1s"),
    ]);
    let roles = Role::all_if_empty(&[]);
    let running = Running::start(&Configuration::read(reader, &roles)?, &roles, None).await?;
    let table = running.metrics().reference();
    running.drain().await;
    Ok(table)
}
