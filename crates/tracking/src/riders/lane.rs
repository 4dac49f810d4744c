//! A lane: the riders of some partitions in memory, worked on one call after the other.
//!
//! What waits is done together: the rules take each call's fixes in order, then one transaction keeps all that
//! follows, then each call is answered, then positions are told. If the transaction fails, what is in memory of its
//! riders is thrown away and read again from the store: memory never knows more than what was kept.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use platepal_events::Channel;
use platepal_service::{Clock, Shutdown, trace};
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior},
};

use super::{
    RidersError, Whereabouts,
    leases::Table,
    letters::{area, position},
    rebuild::{self, Changes},
    teller::{About, Letters, Teller},
};
use crate::{
    rules::{
        fence::{Crossing, Doing},
        fix::{Answer, Fix, Reason},
        limits::Limits,
        rider::Rider,
        road::Ahead,
        trail::TrailPoint,
    },
    settings::Settings,
    store::{Store, StoreError, riders::Batch},
};

/// How often riders are looked at who send nothing.
const TICK: Duration = Duration::from_secs(1);

/// Arrivals of one lane that are told at the same time; the worker tells what finds no place.
const ARRIVALS_IN_FLIGHT: usize = 16;

/// Something to do for one rider.
pub(super) struct Job {
    /// Empty for what concerns a whole lane.
    pub(super) rider_id: String,
    pub(super) partition: i64,
    pub(super) question: Question,
}

/// What, and where to answer.
pub(super) enum Question {
    Take {
        fixes: Vec<Fix>,
        traceparent: String,
        answer: oneshot::Sender<Result<Vec<Answer>, RidersError>>,
    },
    Reload {
        answer: oneshot::Sender<Result<(), RidersError>>,
    },
    Where {
        answer: oneshot::Sender<Result<Option<Whereabouts>, RidersError>>,
    },
    /// Store the riders of these partitions and forget them.
    LetGo {
        partitions: Vec<i64>,
        answer: oneshot::Sender<()>,
    },
}

/// A rider in memory.
struct Held {
    rider: Rider,
    partition: i64,
    /// The term of the partition's lease in which it was read: in another it has to be read again.
    term: i64,
    /// The newest fixes that were kept.
    seq: i64,
    /// Calls since it was stored.
    unsaved: u32,
}

/// What has to be written for one rider.
#[derive(Default)]
struct Writes {
    batches: Vec<Batch>,
    /// By delivery; empty outside of one.
    points: BTreeMap<String, Vec<TrailPoint>>,
    arrivals: Vec<Crossing>,
    save: bool,
}

/// An answer that waits for the commit.
enum Reply {
    Take(oneshot::Sender<Result<Vec<Answer>, RidersError>>, Vec<Answer>),
    Reload(oneshot::Sender<Result<(), RidersError>>),
}

impl Reply {
    fn send(self, committed: &Result<(), RidersError>) {
        // Whoever stopped waiting is not told.
        match (self, committed) {
            (Self::Take(answer, answers), Ok(())) => {
                super::count(&answers);
                let _ = answer.send(Ok(answers));
            }
            (Self::Reload(answer), Ok(())) => drop(answer.send(Ok(()))),
            (Self::Take(answer, _), Err(why)) => drop(answer.send(Err(why.clone()))),
            (Self::Reload(answer), Err(why)) => drop(answer.send(Err(why.clone()))),
        }
    }
}

/// One commit in the making.
#[derive(Default)]
struct Group {
    writes: BTreeMap<String, Writes>,
    replies: Vec<Reply>,
    told: Vec<(About, Letters)>,
}

pub(super) struct Lane {
    store: Store,
    settings: Settings,
    limits: Limits,
    roads: Arc<dyn Ahead>,
    teller: Teller,
    table: watch::Receiver<Arc<Table>>,
    clock: Clock,
    /// Which of the lanes it is, and how many there are: its partitions are those that this number divides so.
    place: (usize, usize),
    doubt: Arc<Notify>,
    arrivals: Arc<Semaphore>,
    riders: HashMap<String, Box<Held>>,
    /// Terms at which it has read the riders of its partitions.
    met: HashMap<i64, i64>,
    /// Riders who are on a shift and not read yet.
    to_meet: VecDeque<(String, i64)>,
}

impl Lane {
    #[allow(clippy::too_many_arguments, reason = "a lane is made in one place, of what all lanes share")]
    pub(super) fn new(
        store: Store,
        settings: Settings,
        limits: Limits,
        roads: Arc<dyn Ahead>,
        teller: Teller,
        table: watch::Receiver<Arc<Table>>,
        clock: Clock,
        place: (usize, usize),
        doubt: Arc<Notify>,
    ) -> Self {
        Self {
            store,
            settings,
            limits,
            roads,
            teller,
            table,
            clock,
            place,
            doubt,
            arrivals: Arc::new(Semaphore::new(ARRIVALS_IN_FLIGHT)),
            riders: HashMap::new(),
            met: HashMap::new(),
            to_meet: VecDeque::new(),
        }
    }

    /// Works until nobody can send jobs any more; after the shutdown, as long as jobs come soon.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Job>, shutdown: Shutdown) {
        let told = shutdown.told();
        tokio::pin!(told);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut jobs = Vec::new();
        let mut ending = false;
        loop {
            tokio::select! {
                count = waiting.recv_many(&mut jobs, self.settings.group) => {
                    if count == 0 {
                        return;
                    }
                    metrics::gauge!("realtime_tracking_queue").decrement(count as f64);
                    let is_last = ending && jobs.iter().any(|job| matches!(job.question, Question::LetGo { .. }));
                    self.work(std::mem::take(&mut jobs)).await;
                    if is_last {
                        return;
                    }
                }
                _ = ticks.tick(), if !ending => {
                    self.meet().await;
                    self.tick();
                }
                () = &mut told, if !ending => ending = true,
            }
        }
    }

    async fn work(&mut self, jobs: Vec<Job>) {
        let mut group = Group::default();
        for job in jobs {
            let Job { rider_id, partition, question } = job;
            match question {
                Question::Take { fixes, traceparent, answer } => {
                    match self.hold(&rider_id, partition).await {
                        Ok(true) => self.take(&rider_id, &fixes, &traceparent, answer, &mut group),
                        Ok(false) => {
                            let answers = vec![Answer::Refused(Reason::NoShift); fixes.len()];
                            super::count(&answers);
                            let _ = answer.send(Ok(answers));
                        }
                        Err(why) => drop(answer.send(Err(why))),
                    }
                }
                Question::Reload { answer } => match self.reload(&rider_id, partition, &mut group).await {
                    Ok(()) => group.replies.push(Reply::Reload(answer)),
                    Err(why) => drop(answer.send(Err(why))),
                },
                Question::Where { answer } => {
                    let held = self.hold(&rider_id, partition).await;
                    let _ = answer.send(held.map(|_| self.whereabouts(&rider_id)));
                }
                Question::LetGo { partitions, answer } => {
                    // What came before is kept before.
                    self.finish(std::mem::take(&mut group)).await;
                    self.let_go(&partitions).await;
                    let _ = answer.send(());
                }
            }
        }
        self.finish(group).await;
    }

    /// Has a rider in memory, if there ever was a shift. An error if somebody else follows the rider.
    async fn hold(&mut self, rider_id: &str, partition: i64) -> Result<bool, RidersError> {
        let term = self.table.borrow().term(partition).ok_or(RidersError::NotHere)?;
        if self.riders.get(rider_id).is_some_and(|held| held.term == term) {
            return Ok(true);
        }
        let now = self.clock.now();
        let stored = self.store.rider(rider_id).await.map_err(unavailable)?;
        let Some(stored) = stored else {
            if self.riders.remove(rider_id).is_some() {
                metrics::gauge!("realtime_tracking_riders").decrement(1.0);
            }
            return Ok(false);
        };
        let (rider, seq) = rebuild::rebuild(rider_id, stored, now, &self.limits, &*self.roads);
        metrics::counter!("realtime_tracking_rebuilt_total").increment(1);
        let held = Box::new(Held { rider, partition, term, seq, unsaved: 0 });
        if self.riders.insert(rider_id.to_owned(), held).is_none() {
            metrics::gauge!("realtime_tracking_riders").increment(1.0);
        }
        Ok(true)
    }

    fn take(
        &mut self,
        rider_id: &str,
        fixes: &[Fix],
        traceparent: &str,
        answer: oneshot::Sender<Result<Vec<Answer>, RidersError>>,
        group: &mut Group,
    ) {
        let Some(held) = self.riders.get_mut(rider_id) else { return };
        let span = tracing::debug_span!("take fixes", rider = rider_id, fixes = fixes.len());
        trace::follow(&span, traceparent);
        let _entered = span.entered();
        // Positions are told later; they belong to the trace of this call.
        let traceparent = trace::recorded().unwrap_or_else(|| traceparent.to_owned());
        let now = self.clock.now();
        let taken = held.rider.take_all(fixes, now, &self.limits, &*self.roads);
        let answers: Vec<Answer> = taken.iter().map(|taken| taken.answer).collect();
        let kept: Vec<Fix> = fixes
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| changes_the_rider(**answer))
            .map(|(fix, _)| *fix)
            .collect();
        let writes = group.writes.entry(rider_id.to_owned()).or_default();
        if !kept.is_empty() {
            held.seq += 1;
            held.unsaved += 1;
            writes.batches.push(Batch { seq: held.seq, taken_at: now, fixes: kept });
            if held.unsaved >= self.settings.save_after {
                held.unsaved = 0;
                writes.save = true;
            }
        }
        let delivery = held.rider.trail_of().unwrap_or_default().to_owned();
        for taken in taken {
            if let Some(point) = taken.point {
                writes.points.entry(delivery.clone()).or_default().push(point);
            }
            writes
                .arrivals
                .extend(taken.crossings.into_iter().filter(|crossing| crossing.what == Doing::Arrived));
            group.told.extend(taken.shown.iter().map(|shown| position(shown, now, &traceparent)));
            if let Some(moved) = taken.area {
                group.told.extend(area(
                    &held.rider,
                    Some(&moved.now),
                    moved.left.as_deref(),
                    now,
                    &self.limits,
                ));
            }
        }
        group.replies.push(Reply::Take(answer, answers));
    }

    /// Reads shift and deliveries again.
    async fn reload(&mut self, rider_id: &str, partition: i64, group: &mut Group) -> Result<(), RidersError> {
        let was_held = self.riders.contains_key(rider_id);
        if !self.hold(rider_id, partition).await? {
            return Ok(());
        }
        let stored = self.store.rider(rider_id).await.map_err(unavailable)?;
        let now = self.clock.now();
        let Some(stored) = stored else {
            // Forgotten meanwhile.
            if let Some(held) = self.riders.remove(rider_id) {
                metrics::gauge!("realtime_tracking_riders").decrement(1.0);
                self.silence(&held.rider).await;
            }
            group.writes.remove(rider_id);
            return Ok(());
        };
        let Some(held) = self.riders.get_mut(rider_id) else { return Ok(()) };
        let cell = held.rider.area().map(str::to_owned);
        let Changes { points, ended, shift_ended } =
            rebuild::reconcile(&mut held.rider, stored.shift, &stored.deliveries, &self.limits);
        let writes = group.writes.entry(rider_id.to_owned()).or_default();
        for (delivery, point) in points {
            writes.points.entry(delivery).or_default().push(point);
        }
        // What follows is taken with what is known now.
        writes.save = was_held || writes.save;
        held.unsaved = 0;
        // What was about to be told of them is not.
        group.told.retain(|(about, _)| !matches!(about, About::Delivery(id) if ended.contains(id)));
        for delivery_id in ended {
            self.teller.silence(&About::Delivery(delivery_id)).await;
        }
        if shift_ended {
            self.teller.silence(&About::Rider(rider_id.to_owned())).await;
            if let Some(held) = self.riders.get(rider_id) {
                group.told.extend(area(&held.rider, None, cell.as_deref(), now, &self.limits));
            }
        }
        Ok(())
    }

    async fn silence(&self, rider: &Rider) {
        for delivery in rider.deliveries() {
            self.teller.silence(&About::Delivery(delivery.delivery_id.clone())).await;
        }
        self.teller.silence(&About::Rider(rider.rider_id().to_owned())).await;
    }

    fn whereabouts(&self, rider_id: &str) -> Option<Whereabouts> {
        let rider = &self.riders.get(rider_id)?.rider;
        Some(Whereabouts {
            shift_started_at: rider.on_shift_since()?,
            smoothed: rider.smoothed(),
            liveness: rider.liveness(self.clock.now(), &self.limits),
            deliveries: rider.deliveries().iter().map(|delivery| delivery.delivery_id.clone()).collect(),
        })
    }

    /// Commits, answers, tells.
    async fn finish(&mut self, group: Group) {
        let Group { writes, replies, told } = group;
        if writes.is_empty() && replies.is_empty() {
            return;
        }
        let began = Instant::now();
        let (committed, streams) = match self.commit(&writes).await {
            Ok(streams) => (Ok(()), streams),
            Err(why) => {
                tracing::warn!(%why, riders = writes.len(), "what riders sent was not kept; they are told so");
                if why == RidersError::NotHere {
                    metrics::counter!("realtime_tracking_fenced_total").increment(1);
                    self.doubt.notify_one();
                }
                // Memory is ahead of the store now.
                for rider_id in writes.keys() {
                    if self.riders.remove(rider_id).is_some() {
                        metrics::gauge!("realtime_tracking_riders").decrement(1.0);
                    }
                }
                (Err(why), Vec::new())
            }
        };
        metrics::histogram!("realtime_tracking_commit_seconds").record(began.elapsed());
        for reply in replies {
            reply.send(&committed);
        }
        if committed.is_err() {
            return;
        }
        for (about, letters) in told {
            self.teller.tell(about, letters);
        }
        // A slow bus must not hold up fixes.
        for stream in streams {
            let Ok(place) = Arc::clone(&self.arrivals).try_acquire_owned() else { break };
            let (store, now) = (self.store.clone(), self.clock.now());
            tokio::spawn(async move {
                if let Err(why) = store.outbox.drain(&stream, now).await {
                    tracing::warn!(%stream, %why, "an arrival is kept but not told yet; will try again");
                }
                drop(place);
            });
        }
        // Who has no shift and nothing to bring is read again if anything comes.
        let before = self.riders.len();
        for rider_id in writes.keys() {
            let is_idle = |held: &Held| held.rider.on_shift_since().is_none() && held.unsaved == 0;
            if self.riders.get(rider_id).is_some_and(|held| is_idle(held)) {
                self.riders.remove(rider_id);
            }
        }
        metrics::gauge!("realtime_tracking_riders").decrement((before - self.riders.len()) as f64);
    }

    async fn commit(&self, writes: &BTreeMap<String, Writes>) -> Result<Vec<Channel>, RidersError> {
        let now = self.clock.now();
        let mut terms: BTreeMap<i64, i64> = BTreeMap::new();
        for rider_id in writes.keys() {
            if let Some(held) = self.riders.get(rider_id) {
                terms.insert(held.partition, held.term);
            }
        }
        let terms: Vec<(i64, i64)> = terms.into_iter().collect();
        let own = self.table.borrow().own().to_owned();
        let mut tx = self.store.database.begin().await.map_err(|why| unavailable(why.into()))?;
        if !self.store.holds(&mut tx, &own, &terms).await.map_err(unavailable)? {
            return Err(RidersError::NotHere);
        }
        let mut streams = Vec::new();
        let batches: Vec<(&str, &Batch)> = writes
            .iter()
            .flat_map(|(rider_id, writes)| writes.batches.iter().map(move |batch| (rider_id.as_str(), batch)))
            .collect();
        self.store.keep_fixes(&mut tx, &batches).await.map_err(unavailable)?;
        for (rider_id, writes) in writes {
            for (delivery, points) in &writes.points {
                self.store.extend_trail(&mut tx, rider_id, delivery, points).await.map_err(unavailable)?;
            }
            if writes.save
                && let Some(held) = self.riders.get(rider_id)
            {
                let place = (held.partition, held.seq);
                self.store.save_rider(&mut tx, &held.rider, place, now).await.map_err(unavailable)?;
                metrics::counter!("realtime_tracking_saved_total").increment(1);
            }
        }
        for (rider_id, writes) in writes {
            for Crossing { delivery_id, zone, at, .. } in &writes.arrivals {
                let of = (delivery_id.as_str(), rider_id.as_str());
                let stream = self.store.arrive(&mut tx, of, *zone, *at, now).await.map_err(unavailable)?;
                streams.extend(stream);
            }
        }
        tx.commit().await.map_err(|why| unavailable(why.into()))?;
        Ok(streams)
    }

    async fn let_go(&mut self, partitions: &[i64]) {
        let mut group = Group::default();
        for (rider_id, held) in &mut self.riders {
            if partitions.contains(&held.partition) && held.unsaved > 0 {
                held.unsaved = 0;
                group.writes.insert(rider_id.clone(), Writes { save: true, ..Writes::default() });
            }
        }
        // If it fails, the next owner takes the fixes again.
        self.finish(group).await;
        let before = self.riders.len();
        self.riders.retain(|_, held| !partitions.contains(&held.partition));
        metrics::gauge!("realtime_tracking_riders").decrement((before - self.riders.len()) as f64);
    }

    /// Reads the riders of partitions that came, some at a time: those who watch them are told how old their position
    /// is, also if nothing comes.
    async fn meet(&mut self) {
        let table = Arc::clone(&self.table.borrow());
        let (number, lanes) = self.place;
        for (partition, term) in table.terms() {
            let is_mine =
                usize::try_from(partition).is_ok_and(|partition| partition % lanes.max(1) == number);
            if !is_mine || self.met.get(&partition) == Some(&term) {
                continue;
            }
            match self.store.riders_on_shift(partition).await {
                Ok(riders) => {
                    self.to_meet.extend(riders.into_iter().map(|rider_id| (rider_id, partition)));
                    self.met.insert(partition, term);
                }
                Err(why) => {
                    tracing::debug!(%why, partition, "its riders can't be read now; will try again");
                    return;
                }
            }
        }
        for _ in 0..self.settings.chunk {
            let Some((rider_id, partition)) = self.to_meet.pop_front() else { return };
            if let Err(why @ RidersError::Unavailable(_)) = self.hold(&rider_id, partition).await {
                tracing::debug!(%why, rider_id, "can't be read now; will try again");
                self.to_meet.push_back((rider_id, partition));
                return;
            }
        }
    }

    /// What is due without a fix.
    fn tick(&mut self) {
        let now = self.clock.now();
        let table = Arc::clone(&self.table.borrow());
        let before = self.riders.len();
        // Nor is one kept in memory who was only asked about.
        let is_idle = |held: &Held| held.rider.on_shift_since().is_none() && held.unsaved == 0;
        let mut lost = 0;
        self.riders.retain(|_, held| {
            let is_lost = table.is_lost(held.partition, held.term);
            lost += u64::from(is_lost);
            !is_lost && !is_idle(held)
        });
        metrics::gauge!("realtime_tracking_riders").decrement((before - self.riders.len()) as f64);
        if lost > 0 {
            metrics::counter!("realtime_tracking_lost_total").increment(lost);
            tracing::warn!(riders = lost, "the lease of riders was lost; another replica follows them now");
        }
        for held in self.riders.values_mut() {
            if table.term(held.partition) != Some(held.term) {
                continue;
            }
            for shown in held.rider.tick(now, &self.limits) {
                let (about, letters) = position(&shown, now, "");
                self.teller.tell(about, letters);
            }
        }
    }
}

/// Whether a rider is another one after such an answer, so that the fix has to be taken again when it is rebuilt.
fn changes_the_rider(answer: Answer) -> bool {
    match answer {
        Answer::Shown | Answer::Kept(_) | Answer::Refused(Reason::Jump | Reason::Outlier) => true,
        Answer::Duplicate | Answer::Refused(_) => false,
    }
}

fn unavailable(why: StoreError) -> RidersError {
    RidersError::Unavailable(why.to_string())
}
