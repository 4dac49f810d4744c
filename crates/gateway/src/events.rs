//! `EventsService`: publish, one or many; read and tail a channel.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use platepal_bus::{Bus, Delivery};
use platepal_events::{Channel, EVENTS_PER_BATCH_MAX, Entry, Event, EventId, EventType};
use platepal_proto::v1::{self, events_service_server::EventsService, tail_response::Item};
use platepal_service::{
    Clock, Parts, Shutdown,
    grpc::{blamed_field, bus_status, fields, invalid},
    trace,
};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{
    Settings,
    publish::{Checked, Publisher},
};

/// Entries that a read gives when the caller names no limit.
const READ_LIMIT_DEFAULT: u32 = 100;
/// The most entries that one read gives.
const READ_LIMIT_MAX: u32 = 1_000;
/// The longest name of an outbox, in characters.
const NAME_CHARS_MAX: usize = 64;
/// What is said of events that were not tried.
const KEPT_BACK: &str = "an earlier event failed; nothing was done, repeat both in their order";
/// Entries that a tail reads from the log at once.
const TAIL_PAGE: usize = 100;

/// Serves `EventsService`.
pub(crate) struct Events {
    publisher: Publisher,
    bus: Arc<dyn Bus>,
    clock: Clock,
    shutdown: Shutdown,
    tails: Arc<Semaphore>,
    tail_queue: usize,
    tail_idle: Duration,
}

impl Events {
    pub(crate) fn new(publisher: Publisher, settings: &Settings, parts: &Parts) -> Self {
        metrics::describe_gauge!("realtime_gateway_tails", "Open tails.");
        Self {
            publisher,
            bus: parts.bus.clone(),
            clock: parts.clock,
            shutdown: parts.shutdown.clone(),
            tails: Arc::new(Semaphore::new(settings.tails)),
            tail_queue: settings.tail_queue.max(1),
            tail_idle: settings.tail_idle,
        }
    }
}

fn parse_channel(name: &str) -> Result<Channel, Status> {
    name.parse().map_err(|why| invalid("channel", why))
}

/// An event of a batch.
#[derive(Debug, Clone)]
enum Asked {
    Event(Checked),
    /// Its form is wrong; of its channels those whose names can be read.
    Wrong(Status, Vec<Channel>),
}

impl Asked {
    fn of(publisher: &Publisher, mut request: v1::PublishRequest) -> Self {
        stamp(&mut request);
        let v1::PublishRequest { event, channels: names } = request;
        match publisher.check(event, &names) {
            Ok(event) => Self::Event(event),
            Err(why) => Self::Wrong(why, names.iter().filter_map(|name| name.parse().ok()).collect()),
        }
    }

    fn channels(&self) -> &[Channel] {
        match self {
            Self::Event(event) => &event.channels,
            Self::Wrong(_, channels) => channels,
        }
    }
}

/// What became of one event of a batch.
fn result(kept: Result<v1::PublishResponse, Status>) -> v1::PublishResult {
    let result = match kept {
        Ok(kept) => v1::publish_result::Result::Kept(kept),
        Err(status) => {
            let field = blamed_field(&status).to_owned();
            let reason = status.message().strip_prefix(&format!("{field}: ")).unwrap_or(status.message());
            let reason = reason.to_owned();
            v1::publish_result::Result::Problem(v1::Problem { code: status.code().into(), field, reason })
        }
    };
    v1::PublishResult { result: Some(result) }
}

/// Splits a batch into runs that may go at the same time: events that share a channel, directly or through
/// others, stay in one run and keep their order.
fn runs<'a>(batch: &[&'a [Channel]]) -> Vec<Vec<usize>> {
    let mut run_of_channel: HashMap<&'a Channel, usize> = HashMap::new();
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for (place, channels) in batch.iter().enumerate() {
        let mut joined: Vec<usize> =
            channels.iter().filter_map(|channel| run_of_channel.get(channel).copied()).collect();
        joined.sort_unstable();
        joined.dedup();
        let target = joined.first().copied().unwrap_or(runs.len());
        if target == runs.len() {
            runs.push(Vec::new());
        }
        let mut members = vec![place];
        for run in &joined {
            members.append(&mut runs.get_mut(*run).map(std::mem::take).unwrap_or_default());
        }
        members.sort_unstable();
        if let Some(run) = runs.get_mut(target) {
            *run = members;
        }
        for run in run_of_channel.values_mut().filter(|run| joined.contains(run)) {
            *run = target;
        }
        run_of_channel.extend(channels.iter().map(|channel| (channel, target)));
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[tonic::async_trait]
impl EventsService for Events {
    async fn publish(
        &self,
        request: Request<v1::PublishRequest>,
    ) -> Result<Response<v1::PublishResponse>, Status> {
        let mut request = request.into_inner();
        stamp(&mut request);
        let v1::PublishRequest { event, channels } = request;
        self.publisher.publish(self.publisher.check(event, &channels)?).await.map(Response::new)
    }

    async fn publish_batch(
        &self,
        request: Request<v1::PublishBatchRequest>,
    ) -> Result<Response<v1::PublishBatchResponse>, Status> {
        let v1::PublishBatchRequest { events, ordered } = request.into_inner();
        let count = events.len();
        if count > EVENTS_PER_BATCH_MAX {
            return Err(invalid("events", format!("{count} events, the limit is {EVENTS_PER_BATCH_MAX}")));
        }
        let batch: Vec<Asked> = events.into_iter().map(|event| Asked::of(&self.publisher, event)).collect();
        let channels: Vec<&[Channel]> = batch.iter().map(Asked::channels).collect();
        let answered: Vec<Vec<(usize, v1::PublishResult)>> = stream::iter(runs(&channels))
            .map(|run| {
                let publisher = self.publisher.clone();
                let events: Vec<(usize, Asked)> =
                    run.iter().filter_map(|place| Some((*place, batch.get(*place)?.clone()))).collect();
                async move {
                    let mut answers = Vec::with_capacity(events.len());
                    let mut kept_back = false;
                    for (index, asked) in events {
                        let kept = match asked {
                            _ if kept_back => Err(Status::aborted(KEPT_BACK)),
                            Asked::Event(event) => publisher.publish(event).await,
                            Asked::Wrong(why, _) => Err(why),
                        };
                        kept_back |= ordered && kept.is_err();
                        answers.push((index, result(kept)));
                    }
                    answers
                }
            })
            .buffer_unordered(self.publisher.batch_concurrency)
            .collect()
            .await;
        let mut results = vec![v1::PublishResult::default(); count];
        for (index, answer) in answered.into_iter().flatten() {
            if let Some(result) = results.get_mut(index) {
                *result = answer;
            }
        }
        Ok(Response::new(v1::PublishBatchResponse { results }))
    }

    async fn read(&self, request: Request<v1::ReadRequest>) -> Result<Response<v1::ReadResponse>, Status> {
        let v1::ReadRequest { channel, after, limit } = request.into_inner();
        let channel = parse_channel(&channel)?;
        let limit = match limit {
            0 => READ_LIMIT_DEFAULT,
            1..=READ_LIMIT_MAX => limit,
            _ => return Err(invalid("limit", format!("{limit} entries, the limit is {READ_LIMIT_MAX}"))),
        };
        let head = self.bus.head(&channel).await.map_err(|why| bus_status(&why))?;
        // An offset of another epoch says nothing here: start with the oldest.
        let known = after.filter(|after| after.epoch == head.epoch.as_str());
        let is_known = known.is_some();
        let offset = known.map_or(0, |after| after.offset);
        let page = self
            .bus
            .read(&channel, offset, usize::try_from(limit).unwrap_or(usize::MAX))
            .await
            .map_err(|why| bus_status(&why))?;
        Ok(Response::new(v1::ReadResponse {
            entries: page.entries.iter().map(v1::Entry::from).collect(),
            head: Some(page.head.into()),
            complete: is_known && page.complete,
        }))
    }

    async fn report_outbox(
        &self,
        request: Request<v1::ReportOutboxRequest>,
    ) -> Result<Response<v1::ReportOutboxResponse>, Status> {
        let v1::ReportOutboxRequest { name, waiting, oldest_waiting_at, dead, relayed } =
            request.into_inner();
        if name.is_empty() {
            return Err(invalid("name", "must be 1-64 characters"));
        }
        fields::text("name", &name, NAME_CHARS_MAX)?;
        let oldest = fields::maybe_moment("oldest_waiting_at", oldest_waiting_at)?;
        let now = self.clock.now();
        let report = json!({
            "name": name,
            "waiting": waiting,
            "oldest_waiting_at": oldest.map(|at| at.to_string()),
            "dead": dead,
            "relayed": relayed,
            "reported_at": now.to_string(),
        });
        let event = Event::new(EventId::make(), EventType::named("outbox.reported"), report.to_string(), now);
        let event = Event { key: EventId::derived(&["outbox", &name]).as_str().into(), ..event };
        self.bus.append(&[Channel::sessions()], &event).await.map_err(|why| bus_status(&why))?;
        Ok(Response::new(v1::ReportOutboxResponse {}))
    }

    type TailStream = Pin<Box<dyn Stream<Item = Result<v1::TailResponse, Status>> + Send>>;

    async fn tail(&self, request: Request<v1::TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let v1::TailRequest { channel, after, retained } = request.into_inner();
        let channel = parse_channel(&channel)?;
        let Ok(permit) = self.tails.clone().try_acquire_owned() else {
            return Err(Status::resource_exhausted(
                "too many tails are open: close one, or raise REALTIME_GATEWAY_TAILS",
            ));
        };
        let (sender, receiver) = mpsc::channel(self.tail_queue);
        let tail = Tail { bus: self.bus.clone(), clock: self.clock, channel, sender, idle: self.tail_idle };
        let told = self.shutdown.told();
        self.shutdown.spawn(async move {
            metrics::gauge!("realtime_gateway_tails").increment(1.0);
            tokio::select! {
                () = told => {}
                result = tail.run(after, retained) => if let Err(status) = result {
                    tracing::debug!(%status, "a tail ended");
                }
            }
            metrics::gauge!("realtime_gateway_tails").decrement(1.0);
            drop(permit);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// One open tail: attach, read what was before, then live.
struct Tail {
    bus: Arc<dyn Bus>,
    clock: Clock,
    channel: Channel,
    sender: mpsc::Sender<Result<v1::TailResponse, Status>>,
    idle: Duration,
}

impl Tail {
    /// Ends when the reader went away, or with the error that it was told.
    async fn run(&self, after: Option<v1::Position>, retained: bool) -> Result<(), Status> {
        let result = self.follow(after, retained).await;
        if let Err(status) = &result {
            self.sender.send(Err(status.clone())).await.ok();
        }
        result
    }

    async fn follow(&self, after: Option<v1::Position>, retained: bool) -> Result<(), Status> {
        let status = |why| bus_status(&why);
        let mut live = self.bus.subscribe(&self.channel).await.map_err(status)?;
        let head = self.bus.head(&self.channel).await.map_err(status)?;
        let mut seen = match after {
            Some(after) if after.epoch == head.epoch.as_str() => {
                self.replay(after.offset, head.offset).await?
            }
            Some(_) => {
                let reset = v1::Reset {
                    position: Some(head.clone().into()),
                    reason: "the log is a new one".to_owned(),
                };
                self.send(Item::Reset(reset), None).await?;
                head.offset
            }
            None if retained => self.replay(0, head.offset).await?,
            None => head.offset,
        };
        for entry in self.bus.latest(&self.channel).await.map_err(status)? {
            self.send_entry(&entry).await?;
        }
        let mut position = head;
        loop {
            let Ok(delivery) = tokio::time::timeout(self.idle, live.next()).await else {
                position.offset = position.offset.max(seen);
                self.send(Item::Idle(position.clone().into()), None).await?;
                continue;
            };
            match delivery {
                None => {
                    return Err(Status::unavailable(
                        "the bus was shut down; tail again from the last position",
                    ));
                }
                Some(Delivery::Reset { position: from, reason }) => {
                    seen = from.offset;
                    position = from.clone();
                    let reset = v1::Reset { position: Some(from.into()), reason };
                    self.send(Item::Reset(reset), None).await?;
                }
                // A tail tells what can be asked for again.
                Some(Delivery::Passing(_)) => {}
                Some(Delivery::Entry(entry)) => {
                    let is_log = entry.event.kind.class() == platepal_events::Class::Log;
                    if is_log && entry.position.offset <= seen {
                        continue;
                    }
                    if is_log {
                        seen = entry.position.offset;
                        position = entry.position.clone();
                    }
                    self.send_entry(&entry).await?;
                }
            }
        }
    }

    /// Sends what the log has after an offset, up to `head` at least; gives the last offset sent.
    async fn replay(&self, after: u64, head: u64) -> Result<u64, Status> {
        let mut seen = after;
        while seen < head {
            let page = self.bus.read(&self.channel, seen, TAIL_PAGE).await.map_err(|why| bus_status(&why))?;
            if !page.complete && seen > 0 {
                let reason = "events after this position are no longer retained".to_owned();
                let reset = v1::Reset { position: Some(page.head.clone().into()), reason };
                self.send(Item::Reset(reset), None).await?;
            }
            let Some(last) = page.entries.last() else { break };
            seen = last.position.offset;
            for entry in &page.entries {
                self.send_entry(entry).await?;
            }
        }
        Ok(seen.max(head))
    }

    async fn send_entry(&self, entry: &Entry) -> Result<(), Status> {
        let age_micros = self.clock.now().micros().saturating_sub(entry.event.timestamp.micros()).max(0);
        let age = prost_types::Duration {
            seconds: age_micros / 1_000_000,
            nanos: i32::try_from(age_micros % 1_000_000 * 1_000).unwrap_or_default(),
        };
        self.send(Item::Entry(v1::Entry::from(entry)), Some(age)).await
    }

    async fn send(&self, item: Item, age: Option<prost_types::Duration>) -> Result<(), Status> {
        let response = v1::TailResponse { item: Some(item), age };
        self.sender.send(Ok(response)).await.map_err(|_| Status::cancelled("the reader went away"))
    }
}

/// An event that names no trace is a part of the call's: that of its caller, from gRPC metadata.
fn stamp(request: &mut v1::PublishRequest) {
    if let Some(event) = &mut request.event
        && event.traceparent.is_empty()
    {
        event.traceparent = trace::current().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_that_share_a_channel_stay_in_one_run_in_their_order(
            batch in proptest::collection::vec(proptest::collection::vec(0u8..12, 1..4), 0..40)
        ) {
            let name = |id: &u8| format!("menu:{id}").parse::<Channel>().unwrap();
            let channels: Vec<Vec<Channel>> = batch.iter().map(|ids| ids.iter().map(name).collect()).collect();
            let events: Vec<&[Channel]> = channels.iter().map(Vec::as_slice).collect();
            let runs = runs(&events);
            let run_of = |place: usize| runs.iter().position(|run| run.contains(&place)).unwrap();
            prop_assert_eq!(runs.iter().map(Vec::len).sum::<usize>(), batch.len());
            for run in &runs {
                prop_assert!(run.is_sorted());
            }
            for (a, left) in batch.iter().enumerate() {
                for (b, right) in batch.iter().enumerate() {
                    if left.iter().any(|channel| right.contains(channel)) {
                        prop_assert_eq!(run_of(a), run_of(b));
                    }
                }
            }
        }
    }
}
