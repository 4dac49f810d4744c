//! The embedded engine: an SQLite log in one process.
//!
//! One thread writes (`writer`): it takes all appends that wait, puts them into one transaction, and answers
//! them after one commit that has reached the disk. Reads go to a few read-only connections (`reader`). After
//! the commit, events go to the subscriptions of this process (`live`).
//!
//! Invariant: nothing is answered, and nothing is told to a subscription, before it is durable.

mod group;
mod live;
mod log;
mod reader;
mod retention;
mod writer;

use std::{
    collections::HashMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;
use platepal_events::{Channel, ChannelKind, Entry, Event, EventId, Position};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};
use tracing::Instrument;

use self::{
    group::{Group, Worker},
    live::Live,
    reader::Readers,
    writer::{Answer, Command, Writer},
};
use crate::{Appended, Bus, BusError, Consumer, Page, Settings, Subscription, body, measure, passing};

/// The embedded engine. Dropping the last handle closes it.
pub struct Embedded {
    commands: Option<mpsc::Sender<Command>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    readers: Arc<Readers>,
    live: Arc<Live>,
    /// The newest offset that is durable.
    committed: watch::Receiver<u64>,
    groups: Mutex<HashMap<String, Arc<Group>>>,
    settings: Settings,
}

impl Embedded {
    /// Opens the log in a folder, and makes both if they are not there. Only one process may have it open:
    /// another one is refused. Must be called within a Tokio runtime.
    pub fn open(dir: &Path, settings: &Settings) -> Result<Arc<Self>, BusError> {
        measure::describe();
        fs::create_dir_all(dir)
            .map_err(|why| BusError::Refused(format!("the folder {} can't be made: {why}", dir.display())))?;
        let lock = lock(dir)?;
        let path: PathBuf = dir.join("bus.sqlite");
        let (connection, epoch) = log::open(&path)?;
        let readers = Arc::new(Readers::new(path.clone(), epoch.clone(), settings.request_timeout));
        let live = Arc::new(Live::default());
        let (commands, queue) = mpsc::channel(settings.append_queue.max(1));
        let (committed_tx, committed) =
            watch::channel(log::newest_offset(&connection).map_err(log::refused)?);
        let writer = Writer::new(connection, path, epoch, Arc::clone(&live), committed_tx, settings, lock);
        let thread = std::thread::Builder::new()
            .name("bus-writer".into())
            .spawn(move || writer.run(queue))
            .map_err(|why| BusError::Refused(format!("the writer's thread did not start: {why}")))?;
        tokio::spawn(retention::tick(commands.downgrade(), settings.retention_age));
        Ok(Arc::new(Self {
            commands: Some(commands),
            thread: Mutex::new(Some(thread)),
            readers,
            live,
            committed,
            groups: Mutex::default(),
            settings: settings.clone(),
        }))
    }

    /// Commits what waits, and closes the log; later calls fail, subscriptions end.
    pub async fn close(&self) {
        // An error means that the writer has ended already.
        let _ = self.ask(Command::Close).await;
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// Sends a command to the writer and waits for its answer, both within the request timeout.
    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, BusError> {
        let by = Instant::now() + self.settings.request_timeout;
        let (answer, answered) = oneshot::channel();
        let asked = async {
            let commands = self.commands.as_ref().ok_or_else(closed)?;
            commands.send(command(answer)).await.map_err(|_| closed())?;
            answered.await.map_err(|_| closed())?
        };
        let result =
            timeout_at(by, asked).await.unwrap_or_else(|_| Err(too_slow(self.settings.request_timeout)));
        if let Err(why) = &result {
            counter!(measure::ERRORS).increment(1);
            tracing::debug!(%why, "the bus failed");
        }
        result
    }
}

#[async_trait]
impl Bus for Embedded {
    async fn append(&self, channels: &[Channel], event: &Event) -> Result<Vec<Appended>, BusError> {
        if channels.is_empty() {
            return Ok(Vec::new());
        }
        let began = Instant::now();
        let waiting = gauge!(measure::APPEND_QUEUE);
        waiting.increment(1);
        let appended = self
            .ask(|answer| Command::Append {
                channels: channels.into(),
                body: body::encode(event),
                event: Arc::new(event.clone()),
                answer,
            })
            .instrument(tracing::debug_span!("bus.append", engine = "embedded", channels = channels.len()))
            .await;
        waiting.decrement(1);
        histogram!(measure::APPEND_SECONDS).record(began.elapsed());
        appended
    }

    async fn pass(&self, channel: &Channel, event: &Event) -> Result<(), BusError> {
        let admitted = passing::admit(event, self.settings.passing_bytes);
        let passed =
            admitted.and_then(|()| if self.live.pass(channel, event) { Ok(()) } else { Err(closed()) });
        passing::count(&passed);
        passed
    }

    async fn read(&self, channel: &Channel, after: u64, limit: usize) -> Result<Page, BusError> {
        self.readers.page(channel, after, limit).await
    }

    async fn head(&self, channel: &Channel) -> Result<Position, BusError> {
        self.readers.head(channel).await
    }

    async fn find(&self, channel: &Channel, id: &EventId) -> Result<Option<u64>, BusError> {
        self.readers.find(channel, id).await
    }

    async fn latest(&self, channel: &Channel) -> Result<Vec<Entry>, BusError> {
        self.readers.newest(channel).await
    }

    async fn subscribe(&self, channel: &Channel) -> Result<Subscription, BusError> {
        let feed = self.live.attach(channel, self.settings.subscription_queue).ok_or_else(closed)?;
        let head = self.readers.head(channel).await?;
        let log = Arc::new(Arc::clone(&self.readers));
        Ok(Subscription::new(channel.clone(), log, feed, head, &self.settings))
    }

    async fn consume(&self, group: &str, kinds: &[ChannelKind]) -> Result<Consumer, BusError> {
        let start = self.ask(|answer| Command::Group { name: group.into(), answer }).await?;
        let commands = self.commands.as_ref().ok_or_else(closed)?.downgrade();
        let group = {
            let mut groups = self.groups.lock();
            let known = groups.entry(group.to_owned()).or_insert_with(|| {
                Arc::new(Group::new(group, kinds, start, Arc::clone(&self.readers), commands, &self.settings))
            });
            Arc::clone(known)
        };
        if !group.is_for(kinds) {
            return Err(BusError::Refused(format!(
                "the group {} has workers for other kinds of channels; use another name",
                group.name()
            )));
        }
        Ok(Consumer::new(Worker::new(group, self.committed.clone())))
    }

    async fn check(&self) -> Result<(), BusError> {
        self.ask(Command::Probe).await
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Without a sender the writer commits what waits and ends. Waiting for that, one commit, means that the
        // folder can be opened again at once.
        self.commands = None;
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("readers", &self.readers).finish_non_exhaustive()
    }
}

fn closed() -> BusError {
    BusError::Unavailable("it was shut down".into())
}

fn too_slow(limit: Duration) -> BusError {
    BusError::Unavailable(format!("no answer within {limit:?} (REALTIME_BUS_REQUEST_TIMEOUT)"))
}

/// The lock is gone when the process is, however it ended.
fn lock(dir: &Path) -> Result<fs::File, BusError> {
    let path = dir.join("bus.lock");
    let file = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|why| BusError::Refused(format!("{} can't be opened: {why}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(BusError::Refused(format!(
            "another process has the bus in {} open; stop it, or give this one a folder of its own, or use NATS \
             (REALTIME_NATS_URL) to share a bus between processes",
            dir.display()
        ))),
        Err(fs::TryLockError::Error(why)) => {
            Err(BusError::Refused(format!("{} can't be locked: {why}", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::stream;
    use platepal_proto::v1;

    use super::*;
    use crate::{
        Delivery,
        subscription::{Feed, Signal},
    };

    #[tokio::test]
    async fn passing_events_without_end_do_not_keep_a_subscription_from_looking_into_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = platepal_settings::Reader::new([("REALTIME_BUS_HEAL_INTERVAL", "10ms")]);
        let settings = reader.read::<Settings>().unwrap();
        let bus = Embedded::open(folder.path(), &settings).unwrap();
        let seven: Channel = "customer:7".parse().unwrap();
        let message =
            v1::Event { r#type: "order.accepted".into(), payload: "{}".into(), ..Default::default() };
        let event = Arc::new(Event::parse(message, crate::clock::now()).unwrap());

        let passing = Arc::clone(&event);
        let live = stream::repeat_with(move || Signal::Passing(Arc::clone(&passing)));
        let (_doubt, doubt) = watch::channel(0);
        let head = bus.head(&seven).await.unwrap();
        let log = Arc::new(Arc::clone(&bus.readers));
        let feed = Feed { live: Box::pin(live), doubt };
        let mut subscription = Subscription::new(seven.clone(), log, feed, head, &settings);
        bus.append(&[seven], &event).await.unwrap();
        let looked = async { while let Some(Delivery::Passing(_)) = subscription.next().await {} };
        tokio::time::timeout(Duration::from_secs(30), looked).await.unwrap();
        assert!(subscription.position().offset > 0);
    }
}
