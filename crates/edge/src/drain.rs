//! Ending without a stampede: clients are told to go elsewhere one by one, in random order, over the drain time.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use rand::seq::SliceRandom;
use tokio::time::Instant;

use crate::{Edge, close::Code};

/// The share of the drain time in which clients are told; the rest is theirs to close and ours to end.
const TELLING_SHARE: f64 = 0.7;
/// The share that is left to telling even if those told last are cut off.
const TELLING_SHARE_MIN: f64 = 0.2;
/// What it takes to end after the last client has had its time to close.
const ENDING: Duration = Duration::from_millis(500);

/// Waits for the order to end, and closes every client.
pub(crate) async fn run(edge: Arc<Edge>) {
    edge.shutdown.told().await;
    let mut queues = edge.sessions.queues();
    queues.shuffle(&mut rand::rng());
    let began = Instant::now();
    let moments = schedule(queues.len(), telling_time(edge.drain_time, edge.settings.close_timeout));
    tracing::info!(clients = queues.len(), "telling clients to reconnect elsewhere");
    for (queue, moment) in queues.into_iter().zip(moments) {
        tokio::time::sleep_until(began + moment).await;
        queue.close(Code::Restart);
        counter!("realtime_edge_drained_total").increment(1);
    }
}

/// In which time all clients are told: the last one has time to close before everything is cut off.
fn telling_time(drain_time: Duration, close_timeout: Duration) -> Duration {
    let latest = drain_time.saturating_sub(close_timeout + ENDING).max(drain_time.mul_f64(TELLING_SHARE_MIN));
    drain_time.mul_f64(TELLING_SHARE).min(latest)
}

/// When each of so many clients is told, counted from the order to end: evenly, so that those who take them in
/// never get more of them in a second than the plan has.
fn schedule(clients: usize, telling: Duration) -> impl Iterator<Item = Duration> {
    (0..clients).map(move |nth| telling.mul_f64(nth as f64 / clients as f64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_client_that_is_told_has_time_to_close() {
        let telling = |drain, close| {
            telling_time(Duration::from_millis(drain), Duration::from_millis(close)).as_millis()
        };
        assert_eq!(telling(20_000, 2_000), 14_000);
        assert_eq!(telling(5_000, 2_000), 2_500);
        // There is no time for both: rather a little spread than all at once.
        assert_eq!(telling(2_000, 2_000), 400);
    }

    proptest! {
        #[test]
        fn clients_are_told_evenly_and_all_in_time(clients in 1_usize..20_000, telling_ms in 1_u64..120_000) {
            let telling = Duration::from_millis(telling_ms);
            let moments: Vec<Duration> = schedule(clients, telling).collect();
            prop_assert_eq!(moments.len(), clients);
            prop_assert_eq!(moments.first(), Some(&Duration::ZERO));
            prop_assert!(moments.is_sorted());
            prop_assert!(moments.last().is_some_and(|last| *last < telling));
            // In no second more than the plan has for one.
            let a_second = Duration::from_secs(1);
            let planned = clients as f64 / telling.as_secs_f64();
            for (first, from) in moments.iter().enumerate() {
                let told = moments.partition_point(|moment| *moment < *from + a_second) - first;
                prop_assert!(told as f64 <= planned.ceil() + 1.0, "{} in a second, planned {}", told, planned);
            }
        }
    }
}
