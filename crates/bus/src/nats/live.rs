//! Live events of a channel: two plain subscriptions, one for the log and what passes, one for newest values.
//!
//! Each queue is bounded by the client (`REALTIME_BUS_SUBSCRIPTION_QUEUE`). When one was full, the client says so
//! for the whole connection, not for which subscription. The one it was is the one that had a whole queue to
//! deliver since: after as many events it doubts, and the others do not.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use async_nats::{Message, Subscriber};
use futures_util::Stream;
use platepal_events::{Channel, Epoch};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    Shared, Signs,
    connect::unavailable,
    direct::{number, sequence, stored},
    epochs::Partition,
    pass::{is_passing, passed},
    subjects::{self, LATEST_TOLD, LOG_TOLD},
};
use crate::{
    BusError, Subscription,
    subscription::{Feed, Signal},
};

struct Live {
    channel: Channel,
    partition: Arc<Partition>,
    log: Subscriber,
    latest: Subscriber,
    /// Of the log; when it goes backwards the stream is another one.
    last_sequence: u64,
    signs: Arc<Signs>,
    slow_seen: u64,
    /// Events until it is this one's queue that was full.
    doubt_after: usize,
    queue_events: usize,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Shared {
    pub(super) async fn subscribe(self: &Arc<Self>, channel: &Channel) -> Result<Subscription, BusError> {
        let partition = Arc::clone(self.partition(channel)?);
        let number = partition.number();
        let told = subjects::of_channel(LOG_TOLD, number, channel);
        let log = self.live.subscribe(told).await.map_err(unavailable)?;
        let told = format!("{}.>", subjects::of_channel(LATEST_TOLD, number, channel));
        let latest = self.live.subscribe(told).await.map_err(unavailable)?;
        let doubt = self.signs.doubt.subscribe();
        // On the same connection, so that both subscriptions are in force when this is answered.
        let head = self.head(&self.live, channel).await?;
        let live = Live {
            channel: channel.clone(),
            partition,
            log,
            latest,
            last_sequence: head.offset,
            slow_seen: self.signs.slow.load(Ordering::Acquire),
            signs: Arc::clone(&self.signs),
            doubt_after: 0,
            queue_events: self.settings.subscription_queue.max(1),
            end: Box::pin(self.end.clone().cancelled_owned()),
        };
        let feed = Feed { live: Box::pin(live), doubt };
        Ok(Subscription::new(channel.clone(), Arc::clone(self) as _, feed, head, &self.settings))
    }
}

impl Live {
    fn log_entry(&mut self, message: &Message) -> Option<Signal> {
        if is_passing(message) {
            return passed(&self.channel, message);
        }
        let offset = sequence(message)?;
        let epoch = if offset < self.last_sequence {
            self.partition.suspect();
            self.signs.look.notify_one();
            // Of no epoch that is known, so that the subscription asks.
            Epoch::new("")
        } else {
            self.partition.log_epoch()
        };
        self.last_sequence = offset;
        let previous = number(message, "Nats-Last-Sequence")?;
        stored(&self.channel, message, &epoch, previous).map(Signal::Told)
    }

    fn count(&mut self) {
        let slow = self.signs.slow.load(Ordering::Acquire);
        if slow != self.slow_seen {
            self.slow_seen = slow;
            // Half, as the sign may come while the queue is being emptied.
            self.doubt_after = self.queue_events.div_ceil(2) + 1;
        }
        self.doubt_after = self.doubt_after.saturating_sub(1);
    }
}

impl Stream for Live {
    type Item = Signal;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Signal>> {
        let live = &mut *self;
        if live.doubt_after == 1 {
            live.doubt_after = 0;
            return Poll::Ready(Some(Signal::Doubt));
        }
        loop {
            let signal = if let Poll::Ready(message) = Pin::new(&mut live.log).poll_next(context) {
                let Some(message) = message else { return Poll::Ready(None) };
                live.log_entry(&message)
            } else if let Poll::Ready(message) = Pin::new(&mut live.latest).poll_next(context) {
                let Some(message) = message else { return Poll::Ready(None) };
                stored(&live.channel, &message, &live.partition.epochs().latest, 0).map(Signal::Told)
            } else {
                return live.end.as_mut().poll(context).map(|()| None);
            };
            live.count();
            // What can't be read is a gap, which the next event or the next look shows.
            if let Some(signal) = signal {
                return Poll::Ready(Some(signal));
            }
        }
    }
}
