//! Waiting for conditions, with a deadline. Tests never sleep and hope.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

/// How long tests wait for something that should happen soon. Generous: a loaded machine is not a bug, and a
/// condition that comes true ends the wait at once.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(10);

/// Asks until there is an answer; `None` when the time is over.
pub async fn poll<T, F>(within: Duration, mut ask: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits until a condition holds; panics with `what` when it does not within [`PATIENCE`].
pub async fn eventually<F>(what: &str, mut holds: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let held = poll(PATIENCE, || {
        let answer = holds();
        async { answer.await.then_some(()) }
    })
    .await;
    assert!(held.is_some(), "did not come true within {PATIENCE:?}: {what}");
}
