//! A response without end as a line: frames go into its body; what its client sends comes by other requests.
//!
//! Invariant: at most one chunk waits in the body, so that a client which does not read is felt here.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream as Chunks;
use platepal_service::Clock;
use tokio::sync::mpsc;

use crate::{line::Heard, queue::Outgoing};

/// Bytes of one chunk; a frame is never cut.
const CHUNK_BYTES: usize = 64 * 1024;
/// Messages of the client that wait to be read.
const MESSAGES_MAX: usize = 8;

/// This side of the response.
pub(crate) struct Stream {
    body: mpsc::Sender<Bytes>,
    messages: mpsc::Receiver<Bytes>,
    /// Taken out while waiting.
    heard: Option<Bytes>,
    batch: VecDeque<Outgoing>,
    closing: bool,
}

/// The response's body.
pub(crate) struct Body(mpsc::Receiver<Bytes>);

/// A stream, the body in which it ends, and where to put what its client sends.
pub(crate) fn open() -> (Stream, Body, mpsc::Sender<Bytes>) {
    let (body, chunks) = mpsc::channel(1);
    let (sender, messages) = mpsc::channel(MESSAGES_MAX);
    let stream = Stream { body, messages, heard: None, batch: VecDeque::new(), closing: false };
    (stream, Body(chunks), sender)
}

impl Stream {
    pub async fn ready(&mut self, hearing: bool) -> io::Result<()> {
        let over = || io::ErrorKind::BrokenPipe.into();
        if self.closing && self.batch.is_empty() {
            return Ok(());
        }
        let (writing, hearing) = (!self.batch.is_empty(), hearing && self.heard.is_none());
        tokio::select! {
            room = self.body.reserve(), if writing => room.map(drop).map_err(|_| over()),
            () = self.body.closed(), if !writing => Err(over()),
            // Its other end is kept for as long as the session is known.
            Some(message) = self.messages.recv(), if hearing => {
                self.heard = Some(message);
                Ok(())
            }
        }
    }

    pub fn is_writing(&self) -> bool {
        !self.batch.is_empty()
    }

    pub fn extend(&mut self, frames: impl IntoIterator<Item = Outgoing>) {
        self.batch.extend(frames);
    }

    pub fn discard(&mut self) {
        self.batch.clear();
    }

    pub fn close(&mut self, goodbye: Bytes) {
        self.batch.push_back(Outgoing::plain(goodbye));
        self.closing = true;
    }

    pub fn hear(&mut self) -> Heard {
        if self.closing && self.batch.is_empty() {
            return Heard::End;
        }
        match self.heard.take().or_else(|| self.messages.try_recv().ok()) {
            Some(message) => Heard::Binary(message),
            None => Heard::Nothing,
        }
    }

    pub fn write(&mut self, clock: Clock) -> io::Result<bool> {
        let (mut progress, mut now) = (false, None);
        while !self.batch.is_empty() {
            let room = match self.body.try_reserve() {
                Ok(room) => room,
                Err(mpsc::error::TrySendError::Full(())) => break,
                Err(mpsc::error::TrySendError::Closed(())) => return Err(io::ErrorKind::BrokenPipe.into()),
            };
            let mut chunk = BytesMut::new();
            while let Some(first) = self.batch.front() {
                if !chunk.is_empty() && chunk.len() + first.frame.len() > CHUNK_BYTES {
                    break;
                }
                chunk.extend_from_slice(&first.frame);
                first.written(&mut now, clock);
                self.batch.pop_front();
            }
            room.send(chunk.freeze());
            progress = true;
        }
        Ok(progress)
    }
}

impl Chunks for Body {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(Ok))
    }
}
