//! Ending without a stampede: clients are told to go elsewhere one by one, in random order, over the drain time.

use std::sync::Arc;

use rand::seq::SliceRandom;
use tokio::time::Instant;

use crate::{Edge, close::Code};

/// The share of the drain time in which clients are told; the rest is theirs to close and ours to end.
const TELLING_SHARE: f64 = 0.7;

/// Waits for the order to end, and closes every client.
pub(crate) async fn run(edge: Arc<Edge>) {
    edge.shutdown.told().await;
    let mut queues = edge.sessions.queues();
    queues.shuffle(&mut rand::rng());
    let began = Instant::now();
    let total = queues.len().max(1) as f64;
    tracing::info!(clients = queues.len(), "telling clients to reconnect elsewhere");
    for (told, queue) in queues.into_iter().enumerate() {
        let share = TELLING_SHARE * told as f64 / total;
        tokio::time::sleep_until(began + edge.drain_time.mul_f64(share)).await;
        queue.close(Code::Restart);
    }
}
