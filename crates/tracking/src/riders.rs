//! The riders: whose fixes this replica takes, and how to reach the replica that takes the others'.
//!
//! Riders are divided into partitions, and each partition is leased by one replica ([`leases`]). A rider is worked on
//! in one lane ([`lane`]), in the order in which calls come; what the lane has committed is answered, and positions
//! are told by the [`teller`].
//!
//! Invariant: what is answered as kept is in the store, and only a rider's owner can have put it there.

pub(crate) mod drives;
mod lane;
mod leases;
mod letters;
pub(crate) mod map;
mod rebuild;
mod teller;

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use platepal_bus::Bus;
use platepal_events::Timestamp;
use platepal_proto::v1::{self, rider_owner_service_client::RiderOwnerServiceClient};
use platepal_service::{
    Clock, Shutdown,
    grpc::{AttachKey, Link},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout},
};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::{
    riders::{
        lane::{Job, Lane, Question},
        leases::Table,
        teller::Teller,
    },
    rules::{
        fix::{Answer, Fix},
        limits::Limits,
        liveness::Liveness,
        rider::Smoothed,
        road::Ahead,
    },
    settings::Settings,
    store::Store,
};

/// Pause before another attempt while a rider changes hands; also ended by news of the leases.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Describes what is measured here.
pub(crate) fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_gauge!("realtime_tracking_partitions", "Partitions whose riders this replica follows.");
    describe_gauge!("realtime_tracking_riders", "Riders in memory.");
    describe_gauge!("realtime_tracking_queue", "Calls that wait for their turn.");
    describe_counter!("realtime_tracking_handovers_total", "Partitions that came or went, by which of it.");
    describe_counter!(
        "realtime_tracking_fenced_total",
        "Commits that were not made because another replica follows their riders now."
    );
    describe_counter!(
        "realtime_tracking_lost_total",
        "Riders that left memory because their lease was lost."
    );
    describe_counter!("realtime_tracking_fixes_total", "Fixes, by answer and by why they are not shown.");
    describe_counter!("realtime_tracking_forwarded_total", "Calls that another replica answered, by result.");
    describe_counter!("realtime_tracking_saved_total", "Times a rider was stored.");
    describe_counter!("realtime_tracking_rebuilt_total", "Riders that were rebuilt from the store.");
    describe_histogram!(
        "realtime_tracking_commit_seconds",
        Unit::Seconds,
        "From taking the calls of one commit until it is durable"
    );
    describe_counter!("realtime_tracking_told_total", "Positions, by whether they were told.");
    describe_gauge!("realtime_tracking_tell_waiting", "Positions that wait to be told.");
}

/// Where a rider is now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Whereabouts {
    pub(crate) shift_started_at: Timestamp,
    pub(crate) smoothed: Option<Smoothed>,
    pub(crate) liveness: Liveness,
    pub(crate) deliveries: Vec<String>,
}

/// Why a call about a rider was not done. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RidersError {
    #[error("another replica follows this rider now")]
    NotHere,
    #[error("too many calls wait; nothing was kept: send the same fixes again in a second")]
    Full,
    #[error("{0}; nothing was kept: send the same fixes again")]
    Unavailable(String),
}

impl RidersError {
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::NotHere => Status::failed_precondition(self.to_string()),
            Self::Full => Status::resource_exhausted(self.to_string()),
            Self::Unavailable(_) => Status::unavailable(self.to_string()),
        }
    }
}

/// What is around the riders.
pub(crate) struct Around {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    /// What opens the doors of other replicas.
    pub(crate) key: AttachKey,
    /// Where other replicas reach this one.
    pub(crate) url: String,
}

/// The riders. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Riders(Arc<Shared>);

struct Shared {
    store: Store,
    settings: Settings,
    clock: Clock,
    table: watch::Receiver<Arc<Table>>,
    lanes: Vec<mpsc::Sender<Job>>,
    key: AttachKey,
    links: Mutex<HashMap<String, Owner>>,
}

type Owner = RiderOwnerServiceClient<InterceptedService<Channel, AttachKey>>;

impl Riders {
    /// Starts the lanes and takes a share of the partitions. Returns when it has them, or others do.
    pub(crate) async fn start(
        store: Store,
        settings: &Settings,
        limits: Limits,
        roads: Arc<dyn Ahead>,
        around: Around,
    ) -> Result<Self, crate::store::StoreError> {
        let Around { bus, clock, shutdown, key, url } = around;
        let (leases, table) = leases::Leases::start(store.clone(), settings, url, clock).await?;
        let teller = Teller::start(bus, settings, &shutdown);
        let count = if store.is_shared() { settings.lanes } else { 1 };
        let mut lanes = Vec::with_capacity(count);
        for number in 0..count {
            let (jobs, waiting) = mpsc::channel(settings.queue.div_ceil(count));
            let lane = Lane::new(
                store.clone(),
                settings.clone(),
                limits.clone(),
                Arc::clone(&roads),
                teller.clone(),
                table.clone(),
                clock,
                (number, count),
                leases.doubt(),
            );
            shutdown.spawn(lane.run(waiting, shutdown.clone()));
            lanes.push(jobs);
        }
        leases.run(lanes.clone(), shutdown);
        Ok(Self(Arc::new(Shared {
            store,
            settings: settings.clone(),
            clock,
            table,
            lanes,
            key,
            links: Mutex::default(),
        })))
    }

    /// Takes fixes of one rider, wherever the rider is followed; an answer for each.
    pub(crate) async fn take(
        &self,
        rider_id: &str,
        fixes: Vec<v1::Fix>,
    ) -> Result<Vec<v1::FixAnswer>, RidersError> {
        let request = v1::ReportFixesRequest { rider_id: rider_id.to_owned(), fixes };
        self.anywhere(
            rider_id,
            || async { self.take_here(rider_id, &request.fixes).await },
            |mut owner| {
                let request = request.clone();
                async move { owner.take(request).await.map(|answer| answer.into_inner().answers) }
            },
        )
        .await
    }

    /// The same, if the rider is followed here.
    pub(crate) async fn take_here(
        &self,
        rider_id: &str,
        fixes: &[v1::Fix],
    ) -> Result<Vec<v1::FixAnswer>, RidersError> {
        let now = self.0.clock.now();
        let fixes: Vec<Fix> = fixes.iter().map(|fix| crate::grpc::fixes::fix(fix, now)).collect();
        let traceparent = platepal_service::trace::current().unwrap_or_default();
        let answers = self.ask_here(rider_id, |answer| Question::Take { fixes, traceparent, answer }).await?;
        Ok(answers.into_iter().map(crate::grpc::fixes::answer).collect())
    }

    /// Has the owner of a rider read shift and deliveries again. If there is none, the next one reads them anyway.
    pub(crate) async fn reload(&self, rider_id: &str) -> Result<(), RidersError> {
        if !self.is_followed(rider_id).await? {
            return Ok(());
        }
        self.anywhere(
            rider_id,
            || self.reload_here(rider_id),
            |mut owner| {
                let request = v1::ReloadRiderRequest { rider_id: rider_id.to_owned() };
                async move { owner.reload(request).await.map(drop) }
            },
        )
        .await
    }

    /// Whether any replica has the rider's partition.
    pub(crate) async fn is_followed(&self, rider_id: &str) -> Result<bool, RidersError> {
        let partition = self.0.store.partition_of(rider_id);
        if self.0.table.borrow().owner(partition).is_some() {
            return Ok(true);
        }
        let leases = self.0.store.leases().await.map_err(|why| RidersError::Unavailable(why.to_string()))?;
        Ok(leases.iter().any(|lease| lease.partition == partition && !lease.owner.is_empty()))
    }

    /// The same, if the rider is followed here.
    pub(crate) async fn reload_here(&self, rider_id: &str) -> Result<(), RidersError> {
        self.ask_here(rider_id, |answer| Question::Reload { answer }).await
    }

    /// Where a rider is; `None` without a shift.
    pub(crate) async fn whereabouts(
        &self,
        rider_id: &str,
    ) -> Result<Option<v1::GetRiderResponse>, RidersError> {
        self.anywhere(
            rider_id,
            || self.whereabouts_here(rider_id),
            |mut owner| {
                let request = v1::GetRiderRequest { rider_id: rider_id.to_owned() };
                async move {
                    match owner.r#where(request).await {
                        Ok(answer) => Ok(Some(answer.into_inner())),
                        Err(status) if status.code() == Code::NotFound => Ok(None),
                        Err(status) => Err(status),
                    }
                }
            },
        )
        .await
    }

    /// The same, if the rider is followed here.
    pub(crate) async fn whereabouts_here(
        &self,
        rider_id: &str,
    ) -> Result<Option<v1::GetRiderResponse>, RidersError> {
        let whereabouts = self.ask_here(rider_id, |answer| Question::Where { answer }).await?;
        Ok(whereabouts.map(crate::grpc::fixes::whereabouts))
    }

    async fn ask_here<T>(
        &self,
        rider_id: &str,
        question: impl FnOnce(oneshot::Sender<Result<T, RidersError>>) -> Question,
    ) -> Result<T, RidersError> {
        let Shared { store, lanes, .. } = &*self.0;
        let partition = store.partition_of(rider_id);
        let lane = usize::try_from(partition).unwrap_or_default() % lanes.len().max(1);
        let ending = || RidersError::Unavailable("this replica is ending".to_owned());
        let lane = lanes.get(lane).ok_or_else(ending)?;
        let (answer, answered) = oneshot::channel();
        let job = Job { rider_id: rider_id.to_owned(), partition, question: question(answer) };
        metrics::gauge!("realtime_tracking_queue").increment(1.0);
        let sent = lane.try_send(job);
        if let Err(why) = sent {
            metrics::gauge!("realtime_tracking_queue").decrement(1.0);
            return Err(match why {
                mpsc::error::TrySendError::Full(_) => RidersError::Full,
                mpsc::error::TrySendError::Closed(_) => ending(),
            });
        }
        answered.await.map_err(|_| ending())?
    }

    /// Asks the owner of a rider, here or elsewhere; while the rider changes hands, waits for the next owner.
    async fn anywhere<T, Here, There>(
        &self,
        rider_id: &str,
        here: impl Fn() -> Here,
        there: impl Fn(Owner) -> There,
    ) -> Result<T, RidersError>
    where
        Here: Future<Output = Result<T, RidersError>>,
        There: Future<Output = Result<T, Status>>,
    {
        let partition = self.0.store.partition_of(rider_id);
        let deadline = Instant::now() + self.0.settings.owner_timeout;
        let mut table = self.0.table.clone();
        loop {
            let known = Arc::clone(&table.borrow_and_update());
            let why = match known.owner(partition) {
                Some(owner) if owner.is_here => match here().await {
                    Err(RidersError::NotHere) => "the replica that follows this rider changes".to_owned(),
                    answer => return answer,
                },
                Some(owner) => match self.forward(&owner.url, deadline, &there).await {
                    Ok(answer) => return Ok(answer),
                    Err(status) if matches!(status.code(), Code::ResourceExhausted) => {
                        return Err(RidersError::Full);
                    }
                    Err(status) => {
                        format!("the replica that follows this rider can't be reached ({})", status.message())
                    }
                },
                None => "no replica follows this rider now".to_owned(),
            };
            if Instant::now() + RETRY_PAUSE >= deadline {
                return Err(RidersError::Unavailable(why));
            }
            // News of the leases, or just another look.
            let _ = timeout(RETRY_PAUSE, table.changed()).await;
        }
    }

    async fn forward<T, There>(
        &self,
        url: &str,
        deadline: Instant,
        there: &impl Fn(Owner) -> There,
    ) -> Result<T, Status>
    where
        There: Future<Output = Result<T, Status>>,
    {
        let owner = self.link(url)?;
        let left = deadline.saturating_duration_since(Instant::now());
        let answer =
            timeout(left, there(owner)).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        let result = if answer.is_ok() { "answered" } else { "failed" };
        metrics::counter!("realtime_tracking_forwarded_total", "result" => result).increment(1);
        answer
    }

    fn link(&self, url: &str) -> Result<Owner, Status> {
        let mut links = self.0.links.lock();
        if let Some(owner) = links.get(url) {
            return Ok(owner.clone());
        }
        let parsed = url.parse().map_err(|why| Status::internal(format!("{url} is no address: {why}")))?;
        let link = Link::remote(&parsed, None, self.0.settings.owner_timeout).map_err(Status::internal)?;
        // Those of replicas that are gone are forgotten with the next one that comes.
        let living = Arc::clone(&self.0.table.borrow());
        links.retain(|url, _| living.has_url(url));
        let owner = RiderOwnerServiceClient::with_interceptor(link.raw().0, self.0.key.clone());
        links.insert(url.to_owned(), owner.clone());
        Ok(owner)
    }
}

/// Counts answers.
fn count(answers: &[Answer]) {
    for answer in answers {
        let reason = answer.reason().map_or("", |reason| reason.word());
        metrics::counter!("realtime_tracking_fixes_total", "answer" => answer.word(), "reason" => reason)
            .increment(1);
    }
}
