//! One client: from its upgrade to its end, in one task.
//!
//! Opening: who is it, may it read this channel, where does it go on. Then one loop that waits for the socket,
//! the queue, a page of the log, or the nearest deadline, and writes everything that waits in one call.

mod opening;

use std::{pin::Pin, sync::Arc, time::Duration};

use metrics::{counter, histogram};
use platepal_auth::Principal;
use platepal_events::Channel;
use rand::Rng;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    Edge,
    close::{Close, Code},
    codec::PING,
    hub::{Membership, Page},
    limits::{Admission, Rate},
    platepal,
    queue::{Bound, Outgoing, Queue},
    sessions::Registration,
    socket::{Heard, Socket},
};

/// Frames of a replay that are taken at once: what a slow replay holds in memory.
const PAGE_FRAMES: usize = 64;
/// Batches that are written to one client before others get their turn.
const FLOW_MAX: usize = 8;
/// Messages of one client that are read before others get their turn.
const HEAR_MAX: usize = 32;
/// How long asking again after a revocation may take, so that a revoked socket is cut within a second.
const RECHECK_TIMEOUT: Duration = Duration::from_millis(900);

/// What a client asked for in its handshake.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub channel: Channel,
    pub token: Option<String>,
    pub since: Option<String>,
}

/// A client that may read.
pub(super) struct Opened {
    principal: Principal,
    /// For asking again after a revocation; own feeds need none.
    token: Option<Box<str>>,
    membership: Membership,
    /// Where the replay stands; `None` once live.
    cursor: Option<u64>,
    first: Vec<Outgoing>,
    _registration: Registration,
}

type LogPage = Pin<Box<dyn Future<Output = Result<(Vec<Outgoing>, u64), Close>> + Send>>;
type Recheck = Pin<Box<dyn Future<Output = Result<(), Close>> + Send>>;

pub(crate) struct Session {
    edge: Arc<Edge>,
    channel: Channel,
    socket: Socket,
    queue: Arc<Queue>,
    opened: Option<Opened>,
    replayed: usize,
    log_page: Option<LogPage>,
    recheck: Option<Recheck>,
    rate: Rate,
    ping_at: Instant,
    /// The client must have said something by then.
    answer_by: Option<Instant>,
    /// Something must have been written by then.
    write_by: Option<Instant>,
    expires_at: Option<Instant>,
    /// The close frame is sent or waits; the connection is dropped by then.
    closing: Option<Instant>,
    ended: bool,
}

/// A client whose handshake is not answered yet: attached to its channel, or about to be told why not.
pub(crate) struct Opening {
    channel: Channel,
    queue: Arc<Queue>,
    opened: Result<Opened, Close>,
}

/// Opens a client before its handshake is answered, so that to the client "open" means: from now on nothing is
/// missed. A refusal waits for the socket too, as browsers only see why when it is closed after opening.
pub(crate) async fn open(edge: &Edge, arrival: Arrival) -> Opening {
    let settings = &edge.settings;
    let bound = Bound { frames: settings.queue_frames, bytes: settings.queue_bytes.0 };
    let queue = Arc::new(Queue::new(bound));
    let opened = tokio::time::timeout(settings.opening_timeout, opening::open(edge, &arrival, &queue)).await;
    let opened =
        opened.unwrap_or_else(|_| Err(Code::TryAgain.because("opening took too long; try again later")));
    Opening { channel: arrival.channel, queue, opened }
}

/// A session, or one that says why not; [`Session::live`] runs it. Boxed, as a future that holds it by value
/// holds it twice.
pub(crate) fn begin(edge: Arc<Edge>, socket: Socket, opening: Opening) -> Box<Session> {
    let settings = &edge.settings;
    let Opening { channel, queue, opened } = opening;
    let now = Instant::now();
    let mut session = Session {
        channel,
        socket,
        queue,
        opened: None,
        replayed: 0,
        log_page: None,
        recheck: None,
        rate: Rate::new(settings.messages_burst, now),
        // At a random moment of the interval, so that clients that came together are not pinged together.
        ping_at: now + settings.ping_interval.mul_f64(rand::rng().random_range(0.3..1.0)),
        answer_by: None,
        write_by: None,
        expires_at: None,
        closing: None,
        ended: false,
        edge: Arc::clone(&edge),
    };
    match opened {
        Ok(mut opened) => {
            counter!("realtime_edge_handshakes_total", "result" => "opened").increment(1);
            let left = opened.principal.expires_at.millis_since(edge.clock.now());
            session.expires_at = Some(now + Duration::from_millis(u64::try_from(left).unwrap_or(0)));
            session.socket.extend(std::mem::take(&mut opened.first));
            tracing::debug!(user = %opened.principal.user_id, channel = %session.channel, "opened");
            session.opened = Some(opened);
        }
        Err(close) => {
            counter!("realtime_edge_handshakes_total", "result" => close.code.name()).increment(1);
            session.close(&close);
        }
    }
    Box::new(session)
}

impl Session {
    /// Runs the client to its end.
    pub(crate) async fn live(&mut self) {
        let timer = tokio::time::sleep_until(self.deadline());
        tokio::pin!(timer);
        while !self.ended {
            if self.flow() {
                tokio::task::yield_now().await;
                continue;
            }
            if self.ended {
                return;
            }
            self.arm(timer.as_mut());
            let closing = self.closing.is_some();
            tokio::select! {
                ready = self.socket.ready() => match ready {
                    Ok(()) => {
                        if self.hear() {
                            tokio::task::yield_now().await;
                        }
                    }
                    Err(_) => return,
                },
                () = self.queue.changed(), if !closing => {
                    if self.queue.is_slow() {
                        self.close(&Code::TooSlow.into());
                    } else if self.queue.take_recheck() {
                        // Not put off until a slow client has read what waits.
                        self.ask_again();
                    }
                }
                page = pending_or(&mut self.log_page), if !closing => {
                    self.log_page = None;
                    self.take_log_page(page);
                }
                verdict = pending_or(&mut self.recheck), if !closing => {
                    self.recheck = None;
                    if let Err(close) = verdict {
                        self.close(&close);
                    }
                }
                () = &mut timer => self.on_time(),
            }
        }
    }

    /// Takes and writes until nothing waits or the socket is full. True: there is more, but it is others' turn.
    fn flow(&mut self) -> bool {
        for _ in 0..FLOW_MAX {
            self.fill();
            if !self.socket.is_writing() {
                return false;
            }
            self.write();
            if self.ended || self.socket.is_writing() {
                return false;
            }
        }
        true
    }

    /// Takes what waits, once the socket has taken what was there before.
    fn fill(&mut self) {
        // Each turn gives the socket something to write, or changes what is asked: at most three turns.
        while self.closing.is_none() && !self.socket.is_writing() {
            let mut more = self.next_page();
            let taken = self.queue.take();
            if !taken.frames.is_empty() {
                histogram!("realtime_edge_queue_frames").record(taken.frames.len() as f64);
                self.socket.extend(taken.frames);
            }
            if taken.recheck {
                self.ask_again();
                more = true;
            }
            if let Some(close) = taken.close {
                self.close(&close);
            }
            if !more {
                return;
            }
        }
    }

    /// The next page of a replay, if one is running. True: look again.
    fn next_page(&mut self) -> bool {
        let Some(opened) = &mut self.opened else { return false };
        let (Some(cursor), None) = (opened.cursor, &self.log_page) else { return false };
        match opened.membership.page(cursor, PAGE_FRAMES) {
            Page::Live => {
                opened.cursor = None;
                true
            }
            Page::InLog => {
                self.log_page = Some(Box::pin(opened.membership.read_log(cursor, PAGE_FRAMES)));
                false
            }
            Page::Frames(frames, offset) => {
                self.take_page(frames, offset);
                true
            }
        }
    }

    fn take_log_page(&mut self, page: Result<(Vec<Outgoing>, u64), Close>) {
        match page {
            Ok((frames, offset)) => self.take_page(frames, offset),
            Err(close) => self.close(&close),
        }
    }

    fn take_page(&mut self, frames: Vec<Outgoing>, offset: u64) {
        self.replayed += frames.len();
        counter!("realtime_edge_replayed_frames_total").increment(frames.len() as u64);
        self.socket.extend(frames);
        if let Some(opened) = &mut self.opened {
            opened.cursor = Some(offset);
        }
        if self.replayed > self.edge.settings.replay_frames {
            self.close(&Code::TryAgain.because("there is more to replay; reconnect to go on"));
        }
    }

    fn ask_again(&mut self) {
        let Some(opened) = &self.opened else { return };
        let Some(token) = &opened.token else { return };
        let (access, principal) = (self.edge.access.clone(), opened.principal.clone());
        let (token, channel) = (token.clone(), self.channel.clone());
        self.recheck = Some(Box::pin(async move {
            let check = access.check(&principal, &token, &channel);
            tokio::time::timeout(RECHECK_TIMEOUT, check).await.unwrap_or_else(|_| Err(Code::TryAgain.into()))
        }));
    }

    fn write(&mut self) {
        match self.socket.write(self.edge.clock) {
            Err(_) => self.ended = true,
            Ok(progress) => {
                if !self.socket.is_writing() {
                    self.write_by = None;
                } else if progress || self.write_by.is_none() {
                    self.write_by = Some(Instant::now() + self.edge.settings.write_timeout);
                }
            }
        }
    }

    /// Hears the client out. True: there may be more.
    fn hear(&mut self) -> bool {
        for _ in 0..HEAR_MAX {
            match self.socket.hear() {
                Heard::Nothing => return false,
                Heard::End => {
                    // The answer to its close frame; if it does not fit, nobody is there to read it.
                    self.write();
                    self.ended = true;
                    return false;
                }
                Heard::Close => {
                    if self.closing.is_none() {
                        counter!("realtime_edge_closes_total", "code" => Code::Normal.label()).increment(1);
                        self.closing = Some(Instant::now() + self.edge.settings.close_timeout);
                    }
                }
                Heard::Fault(close) => self.close(&close),
                Heard::Sign => self.answer_by = None,
                Heard::Text(message) => self.answer(|| platepal::answer(text_of(&message))),
                Heard::Binary => {
                    self.answer(|| platepal::error("this socket takes text, not binary messages"))
                }
            }
        }
        true
    }

    fn answer(&mut self, answer: impl FnOnce() -> bytes::Bytes) {
        self.answer_by = None;
        if self.closing.is_some() {
            return;
        }
        let settings = &self.edge.settings;
        let admission =
            self.rate.admit(settings.messages_per_second, settings.messages_burst, Instant::now());
        let result = match admission {
            Admission::Admit => {
                // Through the queue, whose bound holds for a client that asks and does not read, too.
                self.queue.push(Outgoing::plain(answer()));
                "answered"
            }
            Admission::Warn => {
                self.queue.push(Outgoing::plain(platepal::error("too many messages; slow down")));
                "limited"
            }
            Admission::Close => {
                self.close(&Code::Policy.into());
                "closed"
            }
        };
        counter!("realtime_edge_messages_total", "result" => result).increment(1);
    }

    fn close(&mut self, close: &Close) {
        if self.closing.is_some() {
            return;
        }
        let settings = &self.edge.settings;
        let mut patience = settings.close_timeout;
        if close.code == Code::TooSlow {
            counter!("realtime_edge_slow_closes_total").increment(1);
            self.socket.discard();
            // It may be about to read what is in the kernel's buffers.
            patience = patience.max(settings.write_timeout);
        }
        counter!("realtime_edge_closes_total", "code" => close.code.label()).increment(1);
        tracing::debug!(channel = %self.channel, code = close.code.number(), "closing");
        self.socket.close(close);
        self.log_page = None;
        self.recheck = None;
        self.closing = Some(Instant::now() + patience);
        // It reads no more: its place is free from now on.
        self.opened = None;
    }

    fn deadline(&self) -> Instant {
        match self.closing {
            Some(by) => by,
            None => [self.answer_by, self.write_by, self.expires_at]
                .into_iter()
                .flatten()
                .fold(self.ping_at, Instant::min),
        }
    }

    fn arm(&self, timer: Pin<&mut Sleep>) {
        let deadline = self.deadline();
        // A timer that fires too early costs a turn; one that is moved for every frame costs more.
        if timer.is_elapsed() || timer.deadline() > deadline {
            timer.reset(deadline);
        }
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        let is_past = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        if self.closing.is_some() {
            self.ended = is_past(self.closing);
        } else if is_past(self.expires_at) {
            self.close(&Code::Unauthorised.because("token expired"));
        } else if is_past(self.write_by) {
            self.close(&Code::TooSlow.into());
        } else if is_past(self.answer_by) {
            self.close(&Code::NoAnswer.into());
        } else if self.ping_at <= now {
            let settings = &self.edge.settings;
            self.ping_at = now + settings.ping_interval;
            // What waits to be written has a deadline of its own.
            if !self.socket.is_writing() && self.answer_by.is_none() {
                self.socket.push(PING);
                self.answer_by = Some(now + settings.pong_timeout);
            }
        }
    }
}

fn text_of(message: &Message) -> &str {
    message.to_text().unwrap_or_default()
}

/// The outcome of what is running; for ever pending when nothing is.
async fn pending_or<T>(running: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match running {
        Some(running) => running.await,
        None => std::future::pending().await,
    }
}
