//! What carries a connection: a WebSocket, or the response to a request that never ends.

use std::io;

use bytes::Bytes;
use platepal_service::Clock;

use crate::{
    close::{Close, Numbers},
    codec::Wire,
    queue::Outgoing,
    socket::Socket,
    stream::Stream,
};

// Nearly all lines are sockets: a box around them would cost each of them more than it saves the others.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Line {
    Socket(Socket),
    Stream(Stream),
}

/// What a client did.
pub(crate) enum Heard {
    Text(Bytes),
    Binary(Bytes),
    /// A ping or pong; it lives.
    Sign,
    /// It closes; the answer is on its way.
    Close,
    /// It broke a rule: close with this.
    Fault(Close),
    /// Nothing more for now.
    Nothing,
    /// The connection is over.
    End,
}

impl Line {
    /// Waits until there may be something to hear (if `hearing`), or room for what waits to be written.
    pub async fn ready(&mut self, hearing: bool) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.ready(hearing).await,
            // Boxed: nearly all lines are sockets, and all would have room for it.
            Self::Stream(stream) => Box::pin(stream.ready(hearing)).await,
        }
    }

    pub fn is_writing(&self) -> bool {
        match self {
            Self::Socket(socket) => socket.is_writing(),
            Self::Stream(stream) => stream.is_writing(),
        }
    }

    pub fn extend(&mut self, frames: impl IntoIterator<Item = Outgoing>) {
        match self {
            Self::Socket(socket) => socket.extend(frames),
            Self::Stream(stream) => stream.extend(frames),
        }
    }

    /// Throws away what was not begun.
    pub fn discard(&mut self) {
        match self {
            Self::Socket(socket) => socket.discard(),
            Self::Stream(stream) => stream.discard(),
        }
    }

    /// Says goodbye, after what waits.
    pub fn close(&mut self, close: &Close, wire: Wire) {
        match self {
            Self::Socket(socket) => {
                let numbers = if wire.is_centrifuge() { Numbers::Centrifuge } else { Numbers::PlatePal };
                socket.close(close, numbers);
            }
            Self::Stream(stream) => stream.close(wire.goodbye(close)),
        }
    }

    /// What the client did next.
    pub fn hear(&mut self) -> Heard {
        match self {
            Self::Socket(socket) => socket.hear(),
            Self::Stream(stream) => stream.hear(),
        }
    }

    /// Writes what the line takes. True: something was written.
    pub fn write(&mut self, clock: Clock) -> io::Result<bool> {
        match self {
            Self::Socket(socket) => socket.write(clock),
            Self::Stream(stream) => stream.write(clock),
        }
    }
}
