//! Ending without a stampede: clients are told to go elsewhere one by one, in random order, over the drain time.

use std::{sync::Arc, time::Duration};

use metrics::counter;
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
    let moments = schedule(queues.len(), edge.drain_time);
    tracing::info!(clients = queues.len(), "telling clients to reconnect elsewhere");
    for (queue, moment) in queues.into_iter().zip(moments) {
        tokio::time::sleep_until(began + moment).await;
        queue.close(Code::Restart);
        counter!("realtime_edge_drained_total").increment(1);
    }
}

/// When each of so many clients is told, counted from the order to end: evenly, so that those who take them in
/// never get more of them in a second than the plan has.
fn schedule(clients: usize, drain_time: Duration) -> impl Iterator<Item = Duration> {
    let telling = drain_time.mul_f64(TELLING_SHARE);
    (0..clients).map(move |nth| telling.mul_f64(nth as f64 / clients as f64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn clients_are_told_evenly_and_all_in_time(clients in 1_usize..20_000, drain_ms in 1_u64..120_000) {
            let drain_time = Duration::from_millis(drain_ms);
            let moments: Vec<Duration> = schedule(clients, drain_time).collect();
            prop_assert_eq!(moments.len(), clients);
            prop_assert_eq!(moments.first(), Some(&Duration::ZERO));
            prop_assert!(moments.is_sorted());
            prop_assert!(moments.last().is_some_and(|last| *last < drain_time.mul_f64(TELLING_SHARE)));
            // In no second more than the plan has for one.
            let a_second = Duration::from_secs(1);
            let planned = clients as f64 / drain_time.mul_f64(TELLING_SHARE).as_secs_f64();
            for (first, from) in moments.iter().enumerate() {
                let told = moments.partition_point(|moment| *moment < *from + a_second) - first;
                prop_assert!(told as f64 <= planned.ceil() + 1.0, "{} in a second, planned {}", told, planned);
            }
        }
    }
}
