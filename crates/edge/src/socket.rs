//! One WebSocket on a bare TCP stream, without waiting: the protocol's reading side is tungstenite's, the
//! writing side is ours, so that all frames that wait go out in one call from buffers that connections share.
//!
//! Whatever the protocol itself wants to say (pongs, close frames) goes into `control` and from there, as one
//! more frame, into the same batch: two writers never cut into each other's frames.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    task::Poll,
};

use bytes::Bytes;
use platepal_service::Clock;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use crate::{
    close::{Close, Code, Numbers},
    line::Heard,
    queue::Outgoing,
};

/// Capacity of a connection's read buffer, in bytes; it grows for a larger message.
const READ_BUFFER_BYTES: usize = 128;
/// Pongs that wait for a client which pings without reading; then its pings go unanswered.
const CONTROL_BYTES_MAX: usize = 1024;
/// What a message may be longer on the wire than in itself, in bytes: the heads of its frames.
const HEADS_BYTES_MAX: usize = 16 * 1024;
/// Frames in one write.
const SLICES_MAX: usize = 64;

pub(crate) struct Socket {
    stream: TcpStream,
    protocol: WebSocketContext,
    control: Vec<u8>,
    batch: VecDeque<Outgoing>,
    /// Bytes of the first frame that are written already.
    written: usize,
    /// The client broke the protocol: what it sends is thrown away.
    broken: bool,
    /// Bytes that may be read until there must have been a message.
    readable: usize,
    readable_max: usize,
}

/// What tungstenite sees: reads from the stream, writes into `control`.
struct Io<'a> {
    stream: &'a TcpStream,
    control: &'a mut Vec<u8>,
    readable: &'a mut usize,
}

impl Read for Io<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Pieces of nothing, without end, would be read in one go: tungstenite comes back with a message only.
        if *self.readable == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.stream.try_read(buffer)?;
        *self.readable = self.readable.saturating_sub(read);
        Ok(read)
    }
}

impl Write for Io<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.control.len() >= CONTROL_BYTES_MAX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.control.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// `read` is what the client sent after its handshake already.
    pub fn new(stream: TcpStream, read: Bytes, message_bytes_max: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(CONTROL_BYTES_MAX)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        // A copy of what there is, mostly nothing: converting `read` would hand over hyper's whole buffer of 8 KiB,
        // and the connection would keep it.
        let protocol = WebSocketContext::from_partially_read(read.to_vec(), Role::Server, Some(config));
        let readable_max = message_bytes_max + HEADS_BYTES_MAX;
        Self {
            stream,
            protocol,
            control: Vec::new(),
            batch: VecDeque::new(),
            written: 0,
            broken: false,
            readable: readable_max,
            readable_max,
        }
    }

    /// Waits until there is something to read (if `hearing`), or room to write if something waits. Polls the
    /// stream itself: a future of tokio's for it would be half of what a waiting connection holds.
    pub async fn ready(&self, hearing: bool) -> io::Result<()> {
        let writing = self.is_writing();
        poll_fn(|context| {
            if hearing && let Poll::Ready(ready) = self.stream.poll_read_ready(context) {
                return Poll::Ready(ready);
            }
            if writing && let Poll::Ready(ready) = self.stream.poll_write_ready(context) {
                return Poll::Ready(ready);
            }
            Poll::Pending
        })
        .await
    }

    pub fn is_writing(&self) -> bool {
        !self.batch.is_empty() || !self.control.is_empty()
    }

    pub fn extend(&mut self, frames: impl IntoIterator<Item = Outgoing>) {
        self.batch.extend(frames);
    }

    /// Throws away what was not begun.
    pub fn discard(&mut self) {
        self.batch.truncate(usize::from(self.written > 0));
    }

    /// Says goodbye, after what waits.
    pub fn close(&mut self, close: &Close, numbers: Numbers) {
        let mut io = Io { stream: &self.stream, control: &mut self.control, readable: &mut self.readable };
        // An error means that the client is closing, too.
        let _ = self.protocol.close(&mut io, Some(close.frame(numbers)));
    }

    /// What the client did next.
    pub fn hear(&mut self) -> Heard {
        if self.broken {
            return self.throw_away();
        }
        let mut io = Io { stream: &self.stream, control: &mut self.control, readable: &mut self.readable };
        let read = self.protocol.read(&mut io);
        if read.is_ok() || self.readable == 0 {
            let was_empty = std::mem::replace(&mut self.readable, self.readable_max) == 0;
            if was_empty && read.is_err() {
                // It counts as having said something.
                return Heard::Sign;
            }
        }
        match read {
            Ok(Message::Text(text)) => Heard::Text(text.into()),
            Ok(Message::Binary(bytes)) => Heard::Binary(bytes),
            Ok(Message::Close(_)) => Heard::Close,
            Ok(_) => Heard::Sign,
            Err(Error::Io(why)) if why.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Err(Error::Capacity(_)) => self.fault(Code::TooBig.into()),
            Err(Error::Utf8(_)) => self.fault(Code::NotText.into()),
            Err(Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => Heard::End,
            Err(Error::Protocol(why)) => self.fault(Code::Protocol.because(why.to_string())),
            Err(_) => Heard::End,
        }
    }

    fn fault(&mut self, close: Close) -> Heard {
        self.broken = true;
        Heard::Fault(close)
    }

    fn throw_away(&mut self) -> Heard {
        let mut buffer = [0; 1024];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => Heard::End,
            Ok(_) => Heard::Sign,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Err(_) => Heard::End,
        }
    }

    /// Writes what the stream takes. True: something was written.
    pub fn write(&mut self, clock: Clock) -> io::Result<bool> {
        let mut progress = false;
        loop {
            if !self.control.is_empty() {
                self.batch.push_back(Outgoing::plain(std::mem::take(&mut self.control).into()));
            }
            if self.batch.is_empty() {
                // An idle connection keeps no buffer.
                self.batch = VecDeque::new();
                return Ok(progress);
            }
            match self.try_write() {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    progress = true;
                    self.advance(bytes, clock);
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(progress),
                Err(why) => return Err(why),
            }
        }
    }

    /// What fits into one call. A frame alone, the usual case, spares the kernel a list of one.
    fn try_write(&self) -> io::Result<usize> {
        let mut waiting = self.batch.iter().map(|outgoing| &*outgoing.frame);
        let first = waiting.next().and_then(|frame| frame.get(self.written..)).unwrap_or_default();
        if self.batch.len() == 1 {
            return self.stream.try_write(first);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(std::iter::once(first).chain(waiting)) {
            *slice = IoSlice::new(frame);
            count += 1;
        }
        self.stream.try_write_vectored(slices.get(..count).unwrap_or_default())
    }

    fn advance(&mut self, bytes: usize, clock: Clock) {
        self.written += bytes;
        let mut now = None;
        while let Some(first) = self.batch.front() {
            if self.written < first.frame.len() {
                break;
            }
            self.written -= first.frame.len();
            first.written(&mut now, clock);
            self.batch.pop_front();
        }
    }
}
