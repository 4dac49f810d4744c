//! What a domain does without being asked: timers fire, what was kept but not told is told, what is old is
//! forgotten.
//!
//! Every replica has one worker; the database decides which of them does a thing.

use std::time::Duration;

use async_trait::async_trait;
use platepal_events::{Channel, Timestamp, millis};

use crate::{
    Clock, Shutdown,
    outbox::Outbox,
    timers::{Timer, Timers},
};

/// A domain's part of the work.
#[async_trait]
pub trait Chores: Send + Sync + 'static {
    /// The domain's timers.
    fn timers(&self) -> &Timers;
    /// The domain's outbox.
    fn outbox(&self) -> &Outbox;
    /// Fires a timer: takes it and keeps what follows, in one transaction. The streams in which something waits to be
    /// told now; `None`: another replica has fired it, or it was moved or cancelled.
    async fn fire(&self, timer: &Timer, now: Timestamp) -> Result<Option<Vec<Channel>>, String>;
    /// Forgets what is old, a chunk of it.
    async fn sweep(&self, now: Timestamp) -> Result<(), String>;
}

/// How often what is looked for, and how much is taken at once.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Timers and untold events.
    pub poll_interval: Duration,
    /// For how long an event may be untold before the worker tells it: its own call is about to.
    pub relay_after: Duration,
    /// What is old.
    pub sweep_interval: Duration,
    /// Rows.
    pub chunk: u32,
}

/// Works until the shutdown.
pub async fn run(chores: impl Chores, pace: Pace, clock: Clock, shutdown: Shutdown) {
    let told = shutdown.told();
    tokio::pin!(told);
    let mut swept_at: Option<Timestamp> = None;
    // What an earlier life left behind is told at once.
    let mut relay_after = Duration::ZERO;
    loop {
        let now = clock.now();
        match fire_due(&chores, pace.chunk, now).await {
            Ok(0) => {}
            Ok(fired) => tracing::info!(fired, "timers fired"),
            Err(why) => tracing::warn!(why, "timers can't fire now; will try again"),
        }
        let before = now.plus_millis(-millis(relay_after));
        if let Err(why) = chores.outbox().relay(before, clock.now(), i64::from(pace.chunk)).await {
            tracing::warn!(%why, "untold events can't be read now; will try again");
        }
        relay_after = pace.relay_after;
        if swept_at.is_none_or(|at| now.millis_since(at) >= millis(pace.sweep_interval)) {
            swept_at = Some(now);
            if let Err(why) = chores.sweep(now).await {
                tracing::warn!(why, "what is old can't be forgotten now; will try again");
            }
        }
        let pause = pause(chores.timers(), pace.poll_interval, clock.now()).await;
        tokio::select! {
            () = &mut told => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Until the next timer, at most the poll interval.
async fn pause(timers: &Timers, poll_interval: Duration, now: Timestamp) -> Duration {
    let Ok(Some(next)) = timers.next().await else { return poll_interval };
    let left = next.millis_since(now).max(0).unsigned_abs();
    // Never none at all: a timer that can't fire must not spin.
    Duration::from_millis(left.max(5)).min(poll_interval)
}

/// Fires what is due and tells it; how many timers this replica fired.
pub async fn fire_due(chores: &impl Chores, chunk: u32, now: Timestamp) -> Result<usize, String> {
    let mut fired = 0;
    let due = chores.timers().due(now, i64::from(chunk)).await.map_err(|why| why.to_string())?;
    for timer in due {
        let Some(streams) = chores.fire(&timer, now).await? else { continue };
        fired += 1;
        for stream in streams {
            if let Err(why) = chores.outbox().drain(&stream, now).await {
                tracing::warn!(%stream, %why, "a timer's event is kept but not told yet; will try again");
            }
        }
    }
    Ok(fired)
}
