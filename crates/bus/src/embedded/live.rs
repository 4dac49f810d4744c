//! The live side: the subscriptions of this process, by channel.
//!
//! The writer never waits for a reader: an event that does not fit into a reader's queue is left out, and the
//! reader is told to doubt. A passing event that does not fit is left out, and that is all.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use metrics::counter;
use parking_lot::Mutex;
use platepal_events::{Channel, Entry, Event};
use tokio::sync::{mpsc, watch};

use crate::{
    measure,
    subscription::{Feed, Signal},
};

#[derive(Default)]
pub(super) struct Live {
    /// `None` after the end.
    readers: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: bool,
    next_id: u64,
    channels: HashMap<Channel, Vec<Reader>>,
}

struct Reader {
    id: u64,
    /// Boxed: tokio allocates 32 places at once, for a channel that may never carry an event.
    queue: mpsc::Sender<Box<Signal>>,
    doubt: watch::Sender<u64>,
}

struct Attached {
    live: Arc<Live>,
    channel: Channel,
    id: u64,
    queue: mpsc::Receiver<Box<Signal>>,
}

impl Live {
    /// Everything that is told from now on. `None` after the end.
    pub fn attach(self: &Arc<Self>, channel: &Channel, queue_events: usize) -> Option<Feed> {
        let (sender, queue) = mpsc::channel(queue_events.max(1));
        let (doubt_sender, doubt) = watch::channel(0);
        let mut state = self.readers.lock();
        if state.ended {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        let reader = Reader { id, queue: sender, doubt: doubt_sender };
        state.channels.entry(channel.clone()).or_default().push(reader);
        drop(state);
        let attached = Attached { live: Arc::clone(self), channel: channel.clone(), id, queue };
        Some(Feed { live: Box::pin(attached), doubt })
    }

    /// Tells a channel's readers of an event.
    pub fn tell(&self, entry: &Entry) {
        let state = self.readers.lock();
        for reader in state.channels.get(&entry.channel).into_iter().flatten() {
            let signal = Box::new(Signal::Told(entry.clone()));
            if let Err(mpsc::error::TrySendError::Full(_)) = reader.queue.try_send(signal) {
                reader.doubt.send_modify(|times| *times = times.wrapping_add(1));
            }
        }
    }

    /// Tells a channel's readers of an event that is not kept. False after the end.
    pub fn pass(&self, channel: &Channel, event: &Event) -> bool {
        let state = self.readers.lock();
        if let Some(readers) = state.channels.get(channel) {
            let event = Arc::new(event.clone());
            for reader in readers {
                let signal = Box::new(Signal::Passing(Arc::clone(&event)));
                if let Err(mpsc::error::TrySendError::Full(_)) = reader.queue.try_send(signal) {
                    counter!(measure::PASSING_LOST).increment(1);
                }
            }
        }
        !state.ended
    }

    /// Whether anybody would be told.
    pub fn has_readers(&self, channel: &Channel) -> bool {
        self.readers.lock().channels.contains_key(channel)
    }

    /// Ends all feeds.
    pub fn end(&self) {
        let mut state = self.readers.lock();
        state.ended = true;
        state.channels.clear();
    }
}

impl Stream for Attached {
    type Item = Signal;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Signal>> {
        self.queue.poll_recv(context).map(|signal| signal.map(|signal| *signal))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut state = self.live.readers.lock();
        if let Some(readers) = state.channels.get_mut(&self.channel) {
            readers.retain(|reader| reader.id != self.id);
            if readers.is_empty() {
                state.channels.remove(&self.channel);
            }
        }
    }
}
