//! One client: its way in, what it heard, where it was when it was cut.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use memchr::memmem;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
};

use super::{
    dialect::{Dialect, Heard, Resume},
    frames::{self, Frame},
    swarm::Counts,
};
use crate::mark::Marks;

/// Clients per source address: an address has some 28,000 ports for all connections to one server.
const CLIENTS_PER_ADDRESS: usize = 4_000;
/// How long a client that insists waits after it was refused.
const RETRY: Duration = Duration::from_millis(100);

/// What all clients of a swarm share.
pub(super) struct Shared {
    pub address: SocketAddr,
    pub dialect: Dialect,
    pub marks: Marks,
    /// All read into this, one after the other.
    pub scratch: RefCell<Box<[u8]>>,
    pub counts: Arc<Counts>,
    /// The run's clock.
    pub epoch: Instant,
    /// From publishing to reading, in microseconds, while it is asked for.
    pub latencies: RefCell<Option<Histogram<u64>>>,
    /// Keep the last event of each client, to resume by it.
    pub remember: Cell<bool>,
    /// Try again when refused.
    pub insist: Cell<bool>,
    /// Handshakes that may be under way.
    pub gate: Semaphore,
}

impl Shared {
    fn now_micros(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A client, connected or not.
#[derive(Default)]
pub(super) struct Seat {
    pub number: usize,
    /// Where it reads.
    pub path: String,
    /// Events, and the sum of their numbers.
    pub got: Cell<(u64, u64)>,
    last: RefCell<Vec<u8>>,
    session: RefCell<String>,
}

impl Seat {
    pub(super) fn new(number: usize, path: String) -> Self {
        Self { number, path, ..Self::default() }
    }

    /// Where it was.
    pub(super) fn resume(&self, dialect: Dialect) -> Resume {
        let last = dialect.position(&self.last.borrow()).unwrap_or_default().to_owned();
        Resume { last, session: self.session.borrow().clone() }
    }
}

/// Connects and reads until the server closes.
pub(super) async fn live(shared: Rc<Shared>, seat: Rc<Seat>, resume: Option<Resume>) {
    loop {
        let mut connection = Connection { resume: resume.as_ref(), ..Connection::default() };
        let why = match connection.run(&shared, &seat).await {
            Ok(()) => "closed without a word".to_owned(),
            Err(why) => why,
        };
        shared.counts.note(why);
        if connection.is_open {
            shared.counts.closed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if !shared.insist.get() {
            shared.counts.failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        shared.counts.retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(RETRY).await;
    }
}

#[derive(Default)]
struct Connection<'a> {
    resume: Option<&'a Resume>,
    has_upgraded: bool,
    is_open: bool,
    /// The beginning of a frame whose end is not there yet.
    leftover: Vec<u8>,
    replies: Vec<u8>,
}

impl Connection<'_> {
    async fn run(&mut self, shared: &Shared, seat: &Seat) -> Result<(), String> {
        let mut permit = shared.gate.acquire().await.ok();
        let mut stream = connect(shared.address, seat.number).await.map_err(|why| why.to_string())?;
        let request = shared.dialect.request(&seat.path, self.resume);
        stream.write_all(request.as_bytes()).await.map_err(|why| why.to_string())?;
        while self.read(&mut stream, shared, seat).await? {
            if !self.replies.is_empty() {
                stream.write_all(&self.replies).await.map_err(|why| why.to_string())?;
                self.replies = Vec::new();
            }
            if self.is_open {
                permit.take();
            }
        }
        Ok(())
    }

    /// Takes what has come. False: the server has closed.
    async fn read(&mut self, stream: &mut TcpStream, shared: &Shared, seat: &Seat) -> Result<bool, String> {
        poll_fn(|context| {
            let mut scratch = shared.scratch.borrow_mut();
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(why)) => Poll::Ready(Err(why.to_string())),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Ok(false)),
                Poll::Ready(Ok(())) => Poll::Ready(self.take(shared, seat, buffer.filled()).map(|()| true)),
            }
        })
        .await
    }

    fn take(&mut self, shared: &Shared, seat: &Seat, bytes: &[u8]) -> Result<(), String> {
        let joined;
        let mut rest = bytes;
        if !self.leftover.is_empty() {
            self.leftover.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.leftover);
            rest = &joined;
        }
        if !self.has_upgraded {
            let Some(end) = memmem::find(rest, b"\r\n\r\n") else {
                self.leftover = rest.to_vec();
                return Ok(());
            };
            let (head, after) = rest.split_at_checked(end + 4).unwrap_or((rest, &[]));
            if !head.starts_with(b"HTTP/1.1 101") {
                let text = String::from_utf8_lossy(head);
                return Err(format!("refused: {}", text.lines().next().unwrap_or_default()));
            }
            rest = after;
            self.has_upgraded = true;
            if shared.dialect.opens_by_handshake() {
                self.open(shared);
            }
        }
        let mut batch = Batch::default();
        let taken = loop {
            match frames::first(rest) {
                Ok(None) => break Ok(()),
                Ok(Some((frame, length))) => {
                    if let Err(why) = self.hear(shared, seat, &frame, &mut batch) {
                        break Err(why);
                    }
                    rest = rest.get(length..).unwrap_or_default();
                }
                Err(frames::Broken) => break Err("sent what is not a WebSocket frame".to_owned()),
            }
        };
        batch.count(shared, seat);
        // Converting an empty slice allocates nothing.
        self.leftover = rest.to_vec();
        taken
    }

    fn hear(
        &mut self,
        shared: &Shared,
        seat: &Seat,
        frame: &Frame<'_>,
        batch: &mut Batch,
    ) -> Result<(), String> {
        let text = match frame {
            Frame::Data(text) => *text,
            Frame::Ping(payload) => {
                self.replies.extend(frames::pong(payload));
                return Ok(());
            }
            Frame::Pong => return Ok(()),
            Frame::Close(code) => return Err(format!("closed with {code}")),
        };
        match shared.dialect.hear(text) {
            Heard::Event(event) => {
                if let Some(mark) = shared.marks.read(event) {
                    batch.events += 1;
                    batch.sum += mark.number;
                    if let Some(latencies) = shared.latencies.borrow_mut().as_mut() {
                        let now = *batch.now.get_or_insert_with(|| shared.now_micros());
                        latencies.saturating_record(now.saturating_sub(mark.at_micros));
                    }
                }
                if shared.remember.get() {
                    let mut last = seat.last.borrow_mut();
                    last.clear();
                    last.extend_from_slice(event);
                }
            }
            Heard::Greeting => {
                self.replies.extend(frames::text(shared.dialect.greeting(self.resume).as_bytes()));
            }
            Heard::Open(session) => {
                session.clone_into(&mut seat.session.borrow_mut());
                self.open(shared);
            }
            Heard::Alive => self.replies.extend(frames::text(b"3")),
            Heard::Other => {}
        }
        Ok(())
    }

    fn open(&mut self, shared: &Shared) {
        self.is_open = true;
        shared.counts.opened.fetch_add(1, Ordering::Relaxed);
        shared.counts.last_opened_micros.store(shared.now_micros(), Ordering::Relaxed);
    }
}

/// What one read brought.
#[derive(Default)]
struct Batch {
    events: u64,
    sum: u64,
    now: Option<u64>,
}

impl Batch {
    fn count(&self, shared: &Shared, seat: &Seat) {
        if self.events == 0 {
            return;
        }
        let (events, sum) = seat.got.get();
        seat.got.set((events + self.events, sum + self.sum));
        let counts = &shared.counts;
        let now = self.now.unwrap_or_else(|| shared.now_micros());
        counts.last_event_micros.store(now, Ordering::Relaxed);
        counts.sum.fetch_add(self.sum, Ordering::Relaxed);
        // Last, and released: who sees the events sees when they came.
        counts.events.fetch_add(self.events, Ordering::Release);
    }
}

/// A connection that is gone at once when it is dropped, without a port that waits.
async fn connect(address: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    let last = u8::try_from(2 + number / CLIENTS_PER_ADDRESS).unwrap_or(u8::MAX);
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
    TcpSocket::from_std_stream(socket.into()).connect(address).await
}
