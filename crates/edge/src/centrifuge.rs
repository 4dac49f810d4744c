//! Centrifuge's client protocol, as its official SDKs speak it: one connection, many channels.
//!
//! Commands are taken in their order and answered when they are done; no push of a channel comes before the
//! answer to its subscribe. What is missed is recovered by the same replay as everywhere else.
//!
//! Invariant: a channel is read only after its owner, the token, or a subscription token has allowed it.

mod connect;
mod errors;
pub(crate) mod frames;
mod history;
pub(crate) mod messages;
mod presence;
mod requests;
mod subscribe;
mod tokens;

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use metrics::counter;
use platepal_events::{Channel, Event};
use tokio::time::Instant;

pub(crate) use self::messages::EmulationRequest;
use self::{
    connect::Connected,
    errors::{Refusal, because, error},
    frames::Encoding,
    messages::{Command, Empty, ErrorReply, Presence, Push, Reply, Unsubscribe},
    subscribe::Subscribed,
    tokens::Refreshed,
};
use crate::{
    close::{Close, Code},
    codec::{PING, Wire},
    limits::{Admission, Rate},
    queue::Outgoing,
    session::{
        Outcome, Session, User, Work,
        asking::ONLY_READS,
        presence::{JOINED, LEFT},
    },
};

/// What the server says of itself.
const VERSION: &str = concat!("PlatePal Realtime ", env!("CARGO_PKG_VERSION"));

/// What the protocol needs to know of a connection.
pub(crate) struct Client {
    encoding: Encoding,
    phase: Phase,
    /// What is not looked at yet of the last frame.
    rest: Bytes,
    /// Channels whose subscribe is being worked on.
    subscribing: Vec<Channel>,
    /// Subscribes have a rate of their own.
    subscribes: Rate,
    /// Pings are WebSocket's own, for clients without SDK.
    native_pings: bool,
    /// Stands for the connection in requests beside it; for connections without socket.
    secret: Option<Arc<str>>,
    address: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Connecting,
    Connected,
}

/// What became of a command. Boxed as a whole.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Done {
    Connected(u32, Result<Connected, Refusal>),
    Subscribed {
        id: u32,
        channel: Channel,
        result: Result<Subscribed, Refusal>,
    },
    /// An order from elsewhere, which nobody waits for.
    Added(Channel, Result<Subscribed, Refusal>),
    Refreshed(u32, Result<Refreshed, Refusal>),
    SubRefreshed {
        id: u32,
        channel: Channel,
        result: Result<Refreshed, Refusal>,
    },
    Answered(Result<Reply, Refusal>, u32),
}

impl Client {
    pub fn new(
        wire: Wire,
        native_pings: bool,
        secret: Option<Arc<str>>,
        address: Option<IpAddr>,
    ) -> Box<Self> {
        let is_protobuf = matches!(wire, Wire::ProtobufSocket | Wire::ProtobufStream);
        Box::new(Self {
            encoding: if is_protobuf { Encoding::Protobuf } else { Encoding::Json },
            phase: Phase::New,
            rest: Bytes::new(),
            subscribing: Vec::new(),
            subscribes: Rate::new(u32::MAX, Instant::now()),
            native_pings,
            secret,
            address,
        })
    }

    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Whether commands wait that came in already.
    pub fn has_unanswered(&self) -> bool {
        !self.rest.is_empty()
    }

    pub fn ping(&self, wire: Wire) -> Bytes {
        if self.native_pings { PING } else { wire.ping() }
    }
}

impl Session {
    /// A connection that has to say who it is first, in time.
    pub(crate) fn begin_centrifuge(&mut self, client: Box<Client>) {
        counter!("realtime_edge_handshakes_total", "result" => "centrifuge").increment(1);
        self.client = Some(client);
        self.expires_at = Some(Instant::now() + self.edge.settings.connect_timeout);
    }

    /// A frame came, of this kind of socket; streams have none of their own.
    pub(crate) fn hear_centrifuge(&mut self, frame: Bytes, kind: Wire) {
        self.answer_by = None;
        let is_socket = matches!(self.wire, Wire::JsonSocket | Wire::ProtobufSocket);
        if self.is_closing() {
            return;
        }
        let Some(client) = &mut self.client else { return };
        if (is_socket && kind != self.wire) || client.encoding.is_blank(&frame) {
            return self.close(&Code::BadRequest.into());
        }
        client.rest = frame;
        self.proceed();
    }

    /// Takes the commands that wait, as far as they can be worked on now.
    fn proceed(&mut self) {
        while !self.is_closing() {
            let Some(client) = &mut self.client else { return };
            // With so many at work, the next ones wait, and the client is not listened to.
            let is_full = self.work.len() >= self.edge.settings.calls_max;
            if client.phase == Phase::Connecting || is_full || client.rest.is_empty() {
                return;
            }
            let before = client.rest.clone();
            match client.encoding.next(&mut client.rest) {
                None => client.rest = Bytes::new(),
                Some(Err(_)) => self.close(&Code::BadRequest.into()),
                Some(Ok(command)) => {
                    if client.must_wait(&command) {
                        client.rest = before;
                        return;
                    }
                    self.command(command);
                }
            }
        }
    }

    fn command(&mut self, command: Command) {
        let Some(client) = &self.client else { return };
        let (phase, id) = (client.phase, command.id);
        if let Some(request) = command.connect {
            return match (phase, id) {
                (Phase::New, 1..) => self.connect(id, request),
                _ => self.close(&Code::BadRequest.into()),
            };
        }
        let Some(user) = self.user.as_deref().filter(|_| phase == Phase::Connected).cloned() else {
            return self.close(&Code::BadRequest.into());
        };
        if id == 0 {
            // A pong, or a message that nobody answers; no domain takes any yet.
            return match command.send {
                Some(_) => self.count("ignored"),
                None => self.hear_sign(),
            };
        }
        let admission = if command.subscribe.is_some() { self.admit_subscribe() } else { self.admit() };
        match admission {
            Admission::Admit => {}
            Admission::Warn => {
                self.count("limited");
                return self.refuse(id, error(111));
            }
            Admission::Close => {
                self.count("closed");
                if let Some(client) = &mut self.client {
                    client.rest = Bytes::new();
                }
                // After the answers to what it asked before.
                return self.queue.close(Code::Policy);
            }
        }
        self.count("answered");
        self.dispatch(id, command, user);
    }

    /// A client that comes back asks for all its channels at once; those who are refused could ask without end.
    fn admit_subscribe(&mut self) -> Admission {
        let settings = &self.edge.settings;
        let burst = u32::try_from(settings.channels_max).unwrap_or(u32::MAX);
        let per_second = settings.messages_per_second;
        self.client.as_mut().map_or(Admission::Close, |client| {
            client.subscribes.admit(per_second, burst.max(settings.messages_burst), Instant::now())
        })
    }

    fn dispatch(&mut self, id: u32, command: Command, user: User) {
        let asks = command.publish.is_some() || command.rpc.is_some();
        let looks_around = command.presence.is_some() || command.presence_stats.is_some();
        if user.principal.only_reads() && (asks || looks_around) {
            return self.refuse(id, because(103, ONLY_READS));
        }
        if let Some(request) = command.subscribe {
            self.subscribe(id, request, &user);
        } else if let Some(request) = command.unsubscribe {
            self.unsubscribe_by_client(id, &request.channel);
        } else if let Some(request) = command.publish {
            self.publish(id, request, user);
        } else if let Some(request) = command.presence {
            self.presence(id, &request.channel, &user, false);
        } else if let Some(request) = command.presence_stats {
            self.presence(id, &request.channel, &user, true);
        } else if let Some(request) = command.history {
            self.history(id, request, user);
        } else if command.ping.is_some() {
            self.reply(&Reply { id, ping: Some(Empty {}), ..Reply::default() });
        } else if let Some(request) = command.rpc {
            self.rpc(id, request, user);
        } else if let Some(request) = command.refresh {
            self.refresh(id, request, &user);
        } else if let Some(request) = command.sub_refresh {
            self.sub_refresh(id, request, &user);
        } else {
            self.close(&Code::BadRequest.into());
        }
    }

    /// What became of a command.
    pub(crate) fn take_centrifuge(&mut self, done: Done) {
        match done {
            Done::Connected(id, result) => self.connected(id, result),
            Done::Subscribed { id, channel, result } => self.subscribed(id, &channel, result),
            Done::Added(channel, result) => self.added(&channel, result),
            Done::Refreshed(id, result) => self.refreshed(id, result),
            Done::SubRefreshed { id, channel, result } => self.sub_refreshed(id, &channel, result),
            Done::Answered(Ok(reply), id) => self.reply(&Reply { id, ..reply }),
            Done::Answered(Err(refusal), id) => self.refused(id, refusal),
        }
        self.proceed();
    }

    /// Through the queue, whose bound holds for a client that asks and does not read, too.
    fn reply(&self, reply: &Reply) {
        self.queue.push(Outgoing::plain(self.wire.reply(reply)));
    }

    fn push(&self, push: Push) {
        self.reply(&Reply { push: Some(push), ..Reply::default() });
    }

    fn refuse(&self, id: u32, error: ErrorReply) {
        self.reply(&Reply { id, error: Some(error), ..Reply::default() });
    }

    fn refused(&mut self, id: u32, refusal: Refusal) {
        match refusal {
            Refusal::Error(error) => self.refuse(id, error),
            Refusal::Close(close) => self.close(&close),
        }
    }

    /// Ahead of everything that will come, after everything that waits.
    fn say(&mut self, frames: impl IntoIterator<Item = Outgoing>) {
        let waiting = self.queue.take_frames();
        self.line.extend(waiting);
        self.line.extend(frames);
    }

    fn spawn(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.work.push(Box::pin(async move { Outcome::Centrifuge(Box::new(work.await)) }) as Work);
    }

    /// Takes a channel from the client, and says so.
    pub(crate) fn unsubscribe(&mut self, channel: &Channel, code: u32, reason: &str) {
        if self.leave(channel).is_some() {
            let unsubscribe = Some(Unsubscribe { code, reason: reason.to_owned() });
            self.push(Push { channel: channel.to_string(), unsubscribe, ..Push::default() });
        }
    }
}

impl Client {
    /// Whether a command concerns a channel whose subscribe is not done yet.
    fn must_wait(&self, command: &Command) -> bool {
        let named = command.unsubscribe.as_ref().map(|request| &request.channel);
        let named = named.or(command.sub_refresh.as_ref().map(|request| &request.channel));
        named.is_some_and(|name| self.subscribing.iter().any(|channel| channel.as_str() == name))
    }
}

/// Whether an event tells of somebody's coming or going.
pub(crate) fn is_presence(event: &Event) -> bool {
    matches!(event.kind.as_str(), JOINED | LEFT)
}

/// What is pushed when somebody comes to a channel or goes; `None` for any other event.
pub(crate) fn coming_or_going(channel: &Channel, event: &Event) -> Option<Reply> {
    let info = || serde_json::from_slice(&event.payload).ok().map(|info| Presence { info: Some(info) });
    let push = Push { channel: channel.to_string(), ..Push::default() };
    let push = match event.kind.as_str() {
        JOINED => Push { join: Some(info()?), ..push },
        LEFT => Push { leave: Some(info()?), ..push },
        _ => return None,
    };
    Some(Reply { push: Some(push), ..Reply::default() })
}

/// Closes, unless it can be answered.
impl From<Close> for Refusal {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}
