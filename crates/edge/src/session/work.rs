//! What a session is asking of others, and what becomes of it.

use std::{pin::Pin, task::Poll};

use bytes::Bytes;
use platepal_bus::BusError;
use platepal_events::Channel;

use crate::{centrifuge::Done, close::Close, hub::LogPage};

/// Something that is running; dropping it gives it up.
pub(crate) type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What became of it.
pub(crate) enum Outcome {
    /// A page of a channel's log.
    Page(Channel, Result<LogPage, BusError>),
    /// Whether a channel may still be read.
    Rechecked(Channel, Result<(), Close>),
    /// What a domain answered, as a frame of PlatePal's protocol.
    Asked(Option<Bytes>),
    Centrifuge(Box<Done>),
}

/// The outcome of whatever is done first; for ever pending when nothing is running. A session has little work
/// at a time, so all of it is looked at.
pub(super) async fn next(running: &mut Vec<Work>) -> Outcome {
    std::future::poll_fn(|context| {
        for (index, work) in running.iter_mut().enumerate() {
            if let Poll::Ready(outcome) = work.as_mut().poll(context) {
                drop(running.swap_remove(index));
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    })
    .await
}
