//! All clients of one server, on a thread of their own.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::{AbortHandle, LocalSet, spawn_local},
};

use super::{
    dialect::{Dialect, Resume},
    seat::{Seat, Shared, live},
};
use crate::mark::Marks;

/// All clients read into one buffer of this size.
const SCRATCH_BYTES: usize = 256 << 10;
/// Handshakes under way at the same time, except in a storm.
const HANDSHAKES: usize = 100;
/// Orders that wait for the thread.
const ORDERS: usize = 16;
/// Latencies above it are counted as this, in microseconds.
const LATENCY_MAX_MICROS: u64 = 60_000_000;
/// Time between two looks at the counts.
const LOOK: Duration = Duration::from_millis(1);

/// What the clients report while they run.
#[derive(Debug, Default)]
pub struct Counts {
    /// Clients that are readers, since the last cut.
    pub opened: AtomicU64,
    /// Moment of the last one, in microseconds of the run's clock.
    pub last_opened_micros: AtomicU64,
    /// Clients that were refused and gave up.
    pub failed: AtomicU64,
    /// Refusals after which a client tried again.
    pub retries: AtomicU64,
    /// Readers that the server closed.
    pub closed: AtomicU64,
    /// Events of all clients.
    pub events: AtomicU64,
    /// Sum of the events' numbers.
    pub sum: AtomicU64,
    /// Moment of the last event, in microseconds of the run's clock.
    pub last_event_micros: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Counts {
    /// The first refusal or close of all.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    pub(super) fn note(&self, why: String) {
        self.trouble.lock().get_or_insert(why);
    }
}

type Order = Box<dyn FnOnce(&mut Readers) + Send>;

/// The clients of one server. Dropping it cuts them.
pub struct Swarm {
    orders: Option<mpsc::Sender<Order>>,
    counts: Arc<Counts>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Readers {
    shared: Rc<Shared>,
    seats: Vec<Rc<Seat>>,
    tasks: Vec<AbortHandle>,
}

impl Swarm {
    /// No clients yet. `epoch` starts the clock in which publishers mark events.
    pub fn new(address: SocketAddr, dialect: Dialect, epoch: Instant) -> anyhow::Result<Self> {
        Self::with_marks(address, dialect, epoch, Marks::default())
    }

    /// The same, for events that are marked in another way.
    pub fn with_marks(
        address: SocketAddr,
        dialect: Dialect,
        epoch: Instant,
        marks: Marks,
    ) -> anyhow::Result<Self> {
        let counts = Arc::new(Counts::default());
        let (orders, mut queue) = mpsc::channel::<Order>(ORDERS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared_counts = Arc::clone(&counts);
        let thread = thread::Builder::new().name("readers".into()).spawn(move || {
            let shared = Shared {
                address,
                dialect,
                marks,
                scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
                counts: shared_counts,
                epoch,
                latencies: RefCell::new(None),
                remember: Cell::new(false),
                insist: Cell::new(false),
                gate: Semaphore::new(HANDSHAKES),
            };
            let mut readers = Readers { shared: Rc::new(shared), seats: Vec::new(), tasks: Vec::new() };
            LocalSet::new().block_on(&runtime, async {
                while let Some(order) = queue.recv().await {
                    order(&mut readers);
                }
            });
        })?;
        Ok(Self { orders: Some(orders), counts, thread: Some(thread) })
    }

    /// What the clients report.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Opens one client per path, and waits until all are readers.
    pub async fn open(&self, paths: Vec<String>, within: Duration) -> anyhow::Result<()> {
        let wanted = self.counts.opened.load(Ordering::Relaxed) + paths.len() as u64;
        self.order(move |readers| {
            for path in paths {
                let seat = Rc::new(Seat::new(readers.seats.len(), path));
                readers.seats.push(Rc::clone(&seat));
                readers.send_in(seat, None);
            }
        })
        .await?;
        let counts = &self.counts;
        let settled = |counts: &Counts| {
            let failed = counts.failed.load(Ordering::Relaxed);
            counts.opened.load(Ordering::Relaxed) + failed >= wanted
        };
        let in_time = self.until(settled, within).await;
        let opened = counts.opened.load(Ordering::Relaxed);
        anyhow::ensure!(
            in_time && opened >= wanted,
            "{opened} of {wanted} clients could connect within {within:?} (the first that could not: {})",
            counts.trouble().unwrap_or_else(|| "no answer".to_owned())
        );
        Ok(())
    }

    /// Has each client keep its last event, and knock again when it is refused: what [`Swarm::come_back`] needs.
    pub async fn be_persistent(&self) -> anyhow::Result<()> {
        self.order(|readers| {
            readers.shared.remember.set(true);
            readers.shared.insist.set(true);
        })
        .await
    }

    /// Cuts every client at once (a TCP reset each).
    pub async fn cut(&self) -> anyhow::Result<()> {
        self.order(|readers| {
            for task in readers.tasks.drain(..) {
                task.abort();
            }
            readers.shared.counts.opened.store(0, Ordering::Relaxed);
        })
        .await
    }

    /// Sends every client back in, all at once, from where it was; says the moment, in microseconds of the run's
    /// clock.
    pub async fn come_back(&self) -> anyhow::Result<u64> {
        self.order(|readers| {
            let began = readers.shared.epoch.elapsed();
            readers.shared.gate.add_permits(readers.seats.len());
            let dialect = readers.shared.dialect;
            for seat in readers.seats.clone() {
                let resume = seat.resume(dialect);
                readers.send_in(seat, Some(resume));
            }
            u64::try_from(began.as_micros()).unwrap_or(u64::MAX)
        })
        .await
    }

    /// Forgets what was counted, except who is open. Nothing must be under way.
    pub async fn reset(&self) -> anyhow::Result<()> {
        self.order(|readers| {
            for seat in &readers.seats {
                seat.got.set((0, 0));
            }
            let counts = &readers.shared.counts;
            for count in [&counts.closed, &counts.retries, &counts.events, &counts.sum] {
                count.store(0, Ordering::Relaxed);
            }
            *counts.trouble.lock() = None;
        })
        .await
    }

    /// How many clients did not get exactly these events (their count, and the sum of their numbers).
    pub async fn unlike(&self, events: u64, sum: u64) -> anyhow::Result<usize> {
        self.order(move |readers| readers.seats.iter().filter(|seat| seat.got.get() != (events, sum)).count())
            .await
    }

    /// Starts to record latencies.
    pub async fn record_latencies(&self) -> anyhow::Result<()> {
        let empty = Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3)?;
        self.order(move |readers| drop(readers.shared.latencies.replace(Some(empty)))).await
    }

    /// Ends it: microseconds from publishing to reading.
    pub async fn take_latencies(&self) -> anyhow::Result<Histogram<u64>> {
        let taken = self.order(|readers| readers.shared.latencies.take()).await?;
        taken.context("latencies were not recorded")
    }

    /// Waits until the counts are as wanted; false: not in time.
    pub async fn until(&self, wanted: impl Fn(&Counts) -> bool, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while !wanted(&self.counts) {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    async fn order<T: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Readers) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (answer, answered) = oneshot::channel();
        let order: Order = Box::new(move |readers| drop(answer.send(order(readers))));
        let orders = self.orders.as_ref().context("the readers have ended")?;
        orders.send(order).await.ok().context("the readers' thread has ended")?;
        answered.await.context("the readers' thread has ended")
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // An error means that it panicked, which has been printed.
            let _ = thread.join();
        }
    }
}

impl Readers {
    fn send_in(&mut self, seat: Rc<Seat>, resume: Option<Resume>) {
        let task = spawn_local(live(Rc::clone(&self.shared), seat, resume));
        self.tasks.push(task.abort_handle());
    }
}
