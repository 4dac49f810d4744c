//! This replica's share of the partitions: claimed, renewed, let go.
//!
//! Each living replica has its even share. A newcomer gets it from those who have more; the share of one that died is
//! free when its leases end. What is let go is stored first, so that the next owner has nothing to rebuild.

use std::{collections::HashMap, sync::Arc, time::Duration};

use platepal_events::{Timestamp, millis};
use platepal_service::{Clock, Shutdown};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::lane::{Job, Question};
use crate::{
    settings::Settings,
    store::{Store, StoreError, leases::Lease},
};

/// The leases as they were read last.
#[derive(Debug, Default)]
pub(crate) struct Table {
    own: String,
    leases: HashMap<i64, Lease>,
    /// Given away, though the store does not say so yet.
    leaving: Vec<i64>,
}

/// Who follows a rider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnerPlace {
    pub(super) url: String,
    pub(super) is_here: bool,
}

impl Table {
    /// The owner of a partition, as far as this replica knows. A lease that has ended may be renewed: whoever asks
    /// its owner finds out.
    pub(super) fn owner(&self, partition: i64) -> Option<OwnerPlace> {
        let lease = self.leases.get(&partition).filter(|lease| !lease.owner.is_empty())?;
        let is_here = lease.owner == self.own;
        if is_here && self.leaving.contains(&partition) {
            return None;
        }
        Some(OwnerPlace { url: lease.url.clone(), is_here })
    }

    /// The term at which this replica has a partition; `None`: it has not.
    pub(super) fn term(&self, partition: i64) -> Option<i64> {
        let lease = self.leases.get(&partition).filter(|lease| lease.owner == self.own)?;
        (!self.leaving.contains(&partition)).then_some(lease.term)
    }

    /// What this replica has, with its terms.
    pub(super) fn terms(&self) -> impl Iterator<Item = (i64, i64)> {
        self.leases.keys().filter_map(|partition| Some((*partition, self.term(*partition)?)))
    }

    /// Whether a partition that this replica had in some term is no longer its own.
    pub(super) fn is_lost(&self, partition: i64, term: i64) -> bool {
        self.leases.get(&partition).is_none_or(|lease| lease.owner != self.own || lease.term != term)
    }

    pub(super) fn own(&self) -> &str {
        &self.own
    }

    pub(super) fn has_url(&self, url: &str) -> bool {
        self.leases.values().any(|lease| lease.url == url)
    }

    fn held(&self) -> Vec<i64> {
        let mut held: Vec<i64> = self
            .leases
            .values()
            .filter(|lease| lease.owner == self.own)
            .map(|lease| lease.partition)
            .collect();
        held.sort_unstable();
        held
    }
}

/// Keeps the share.
pub(super) struct Leases {
    store: Store,
    own: String,
    url: String,
    partitions: i64,
    lease_millis: i64,
    clock: Clock,
    table: watch::Sender<Arc<Table>>,
    /// Somebody could not write what it thought to be its own.
    doubt: Arc<Notify>,
}

impl Leases {
    /// Takes what is free.
    pub(super) async fn start(
        store: Store,
        settings: &Settings,
        url: String,
        clock: Clock,
    ) -> Result<(Self, watch::Receiver<Arc<Table>>), StoreError> {
        let own = uuid::Uuid::new_v4().to_string();
        let (table, watched) = watch::channel(Arc::new(Table { own: own.clone(), ..Table::default() }));
        let leases = Self {
            store,
            own,
            url,
            partitions: i64::from(settings.partitions),
            lease_millis: millis(settings.lease_time),
            clock,
            table,
            doubt: Arc::default(),
        };
        leases.look(&[]).await?;
        Ok((leases, watched))
    }

    /// Told when a write was fenced: then the leases are read at once.
    pub(super) fn doubt(&self) -> Arc<Notify> {
        Arc::clone(&self.doubt)
    }

    /// Goes on until the shutdown, and then gives everything back.
    pub(super) fn run(self, lanes: Vec<mpsc::Sender<Job>>, shutdown: Shutdown) {
        let task = shutdown.clone();
        task.spawn(async move {
            let told = shutdown.told();
            tokio::pin!(told);
            let pause = self.pause();
            loop {
                tokio::select! {
                    () = &mut told => break,
                    () = tokio::time::sleep(pause) => {}
                    () = self.doubt.notified() => {}
                }
                if let Err(why) = self.look(&lanes).await {
                    tracing::warn!(%why, "the leases of riders can't be renewed now; will try again");
                }
            }
            let held = self.table.borrow().held();
            self.let_go(&held, &lanes).await;
            if let Err(why) = self.store.leave(&self.own).await {
                tracing::debug!(%why, "others will see by its leases that this replica is gone");
            }
        });
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(self.lease_millis.max(3).unsigned_abs() / 3)
    }

    /// One look: renew, take what is free, let go of what is too much.
    async fn look(&self, lanes: &[mpsc::Sender<Job>]) -> Result<(), StoreError> {
        let now = self.store.now(self.clock.now()).await?;
        // The file is of this process alone: whoever had it before is gone.
        let is_shared = self.store.is_shared();
        let until = now.plus_millis(self.lease_millis);
        let replicas = self.store.renew(&self.own, now, until).await?.max(1);
        let share = if is_shared { (self.partitions + replicas - 1) / replicas } else { self.partitions };
        let mut leases: HashMap<i64, Lease> =
            self.store.leases().await?.into_iter().map(|lease| (lease.partition, lease)).collect();
        let mut held = leases.values().filter(|lease| lease.owner == self.own).count() as i64;
        // Not all replicas ask for the same one first.
        let first =
            i64::try_from(uuid::Uuid::new_v4().as_u128() % self.partitions.max(1).unsigned_abs() as u128)
                .unwrap_or_default();
        for step in 0..self.partitions {
            let partition = (first + step) % self.partitions;
            let is_free = leases
                .get(&partition)
                .is_none_or(|lease| lease.owner.is_empty() || lease.expires_at < now || !is_shared);
            let is_own = leases.get(&partition).is_some_and(|lease| lease.owner == self.own);
            if held >= share || is_own || !is_free {
                continue;
            }
            let wanted = Lease {
                partition,
                owner: self.own.clone(),
                url: self.url.clone(),
                term: 0,
                expires_at: until,
            };
            let before = if is_shared { now } else { Timestamp::from_micros(i64::MAX) };
            if let Some(term) = self.store.claim(&wanted, before).await? {
                leases.insert(partition, Lease { term, ..wanted });
                held += 1;
                metrics::counter!("realtime_tracking_handovers_total", "which" => "came").increment(1);
            }
        }
        self.publish(leases, Vec::new());
        if held > share {
            let surplus = usize::try_from(held - share).unwrap_or_default();
            let held = self.table.borrow().held();
            let surplus: Vec<i64> = held.into_iter().rev().take(surplus).collect();
            self.let_go(&surplus, lanes).await;
        }
        Ok(())
    }

    /// Stores the riders of some partitions and gives those back.
    async fn let_go(&self, partitions: &[i64], lanes: &[mpsc::Sender<Job>]) {
        if partitions.is_empty() {
            return;
        }
        // From now on nothing new is taken for them.
        let leases = self.table.borrow().leases.clone();
        self.publish(leases.clone(), partitions.to_vec());
        for lane in lanes {
            let (answer, answered) = oneshot::channel();
            let question = Question::LetGo { partitions: partitions.to_vec(), answer };
            let job = Job { rider_id: String::new(), partition: -1, question };
            metrics::gauge!("realtime_tracking_queue").increment(1.0);
            // A lane whose database is slow must not cost this replica its other leases. What it still wants to write
            // of these is fenced, and its callers repeat it.
            let stored = async {
                if lane.send(job).await.is_ok() {
                    let _ = answered.await;
                }
            };
            if tokio::time::timeout(self.pause(), stored).await.is_err() {
                tracing::warn!(
                    "riders are given away before they were stored; their next owner takes fixes again"
                );
            }
        }
        match self.store.release(&self.own, partitions).await {
            Ok(()) => {
                let mut leases = leases;
                leases.retain(|partition, _| !partitions.contains(partition));
                self.publish(leases, Vec::new());
                metrics::counter!("realtime_tracking_handovers_total", "which" => "went")
                    .increment(partitions.len() as u64);
            }
            Err(why) => tracing::warn!(%why, "partitions can't be given back now; their leases will end"),
        }
    }

    fn publish(&self, leases: HashMap<i64, Lease>, leaving: Vec<i64>) {
        let table = Table { own: self.own.clone(), leases, leaving };
        let before = self.table.borrow().held();
        let after = table.held();
        if before != after {
            tracing::info!(
                partitions = after.len(),
                "this replica follows the riders of other partitions now"
            );
            metrics::gauge!("realtime_tracking_partitions").set(after.len() as f64);
        }
        self.table.send_replace(Arc::new(table));
    }
}
