//! What happens without being asked: offers expire, what was kept but not told is told, what is old is forgotten.
//!
//! Every replica has one; the database decides which of them does a thing.

use std::time::Duration;

use platepal_events::Timestamp;
use platepal_service::{Clock, Shutdown};

use crate::{
    settings::{Settings, millis},
    store::{Store, StoreError},
};

/// Works until the shutdown.
pub(crate) async fn run(store: Store, settings: Settings, clock: Clock, shutdown: Shutdown) {
    let told = shutdown.told();
    tokio::pin!(told);
    let mut swept_at: Option<Timestamp> = None;
    // What an earlier life left behind is told at once.
    let mut relay_after = Duration::ZERO;
    loop {
        let now = clock.now();
        match fire_due(&store, &settings, now).await {
            Ok(0) => {}
            Ok(fired) => tracing::info!(fired, "offers expired"),
            Err(why) => tracing::warn!(%why, "timers can't fire now; will try again"),
        }
        let before = now.plus_millis(-millis(relay_after));
        if let Err(why) = store.outbox.relay(before, clock.now(), i64::from(settings.chunk)).await {
            tracing::warn!(%why, "untold events can't be read now; will try again");
        }
        relay_after = settings.relay_after;
        if swept_at.is_none_or(|at| now.millis_since(at) >= millis(settings.sweep_interval)) {
            swept_at = Some(now);
            sweep(&store, now).await;
        }
        let pause = pause(&store, &settings, clock.now()).await;
        tokio::select! {
            () = &mut told => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Until the next timer, at most the poll interval.
async fn pause(store: &Store, settings: &Settings, now: Timestamp) -> Duration {
    let Ok(Some(next)) = store.timers.next().await else { return settings.poll_interval };
    let left = next.millis_since(now).max(0).unsigned_abs();
    // Never none at all: a timer that can't fire must not spin.
    Duration::from_millis(left.max(5)).min(settings.poll_interval)
}

/// Fires what is due and tells it; how many timers this replica fired.
pub(crate) async fn fire_due(
    store: &Store,
    settings: &Settings,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut fired = 0;
    for timer in store.timers.due(now, i64::from(settings.chunk)).await? {
        let Some(stream) = store.expire(&timer, now).await? else { continue };
        fired += 1;
        metrics::counter!("realtime_tracking_timers_fired_total", "timer" => timer.name.clone()).increment(1);
        if let Err(why) = store.outbox.drain(&stream, now).await {
            tracing::warn!(%stream, %why, "a timer's event is kept but not told yet; will try again");
        }
    }
    Ok(fired)
}

async fn sweep(store: &Store, now: Timestamp) {
    match store.forget(now).await {
        Ok(forgotten) => {
            for (what, count) in forgotten.counts() {
                metrics::counter!("realtime_tracking_forgotten_total", "what" => what).increment(count);
            }
        }
        Err(why) => tracing::warn!(%why, "what is old can't be forgotten now; will try again"),
    }
}
