//! One client: from its upgrade to its end, in one task.
//!
//! One loop waits for the line, the queue, what is being asked of others, or the nearest deadline, and writes
//! everything that waits in one call. What a client says is the protocol's: [`crate::platepal`] or
//! [`crate::centrifuge`].

pub(crate) mod asking;
pub(crate) mod opening;
mod orders;
pub(crate) mod presence;
mod subscription;
mod work;

use std::{pin::Pin, sync::Arc, time::Duration};

use metrics::counter;
use platepal_auth::Principal;
use platepal_events::{Channel, Timestamp};
use rand::Rng;
use tokio::time::{Instant, Sleep};

pub(crate) use self::{
    asking::Lanes,
    opening::{Arrival, Opened},
    presence::Announced,
    subscription::{Role, Subscription},
    work::{Outcome, Work},
};
use crate::{
    Edge,
    centrifuge::Client,
    close::{Close, Code},
    codec::Wire,
    hub::{LogPage, Page, unavailable},
    limits::{Admission, Rate, end_of_life},
    line::{Heard, Line},
    queue::{Outgoing, Queue},
    sessions::Registration,
};

/// Frames of a replay that are taken at once: what a slow replay holds in memory.
pub(crate) const PAGE_FRAMES: usize = 64;
/// Batches that are written to one client before others get their turn.
const FLOW_MAX: usize = 8;
/// Messages of one client that are read before others get their turn.
const HEAR_MAX: usize = 32;

/// Somebody who may read.
#[derive(Clone)]
pub(crate) struct User {
    pub principal: Arc<Principal>,
    /// For asking the owners of channels; empty where nobody will be asked.
    pub token: Arc<str>,
    pub registration: Arc<Registration>,
}

pub(crate) struct Session {
    pub(crate) edge: Arc<Edge>,
    pub(crate) line: Line,
    pub(crate) wire: Wire,
    pub(crate) queue: Arc<Queue>,
    /// Who it is; nobody before it is known, and once the connection is closing.
    pub(crate) user: Option<Box<User>>,
    pub(crate) subscriptions: Vec<Subscription>,
    /// What is being asked of others.
    pub(crate) work: Vec<Work>,
    /// In which order the domains are asked.
    pub(crate) lanes: Lanes,
    /// Of Centrifuge's protocol; `None`: PlatePal's.
    pub(crate) client: Option<Box<Client>>,
    pub(crate) rate: Rate,
    ping_at: Instant,
    /// The client must have said something by then.
    pub(crate) answer_by: Option<Instant>,
    /// Something must have been written by then.
    write_by: Option<Instant>,
    pub(crate) expires_at: Option<Instant>,
    /// The end of its life, whatever it does.
    lives_until: Option<Instant>,
    /// The last moment at which there was something else than pings.
    active_at: Instant,
    /// The close frame is sent or waits; the connection is dropped by then.
    closing: Option<Instant>,
    /// There may be more to hear than the line will say.
    unheard: bool,
    ended: bool,
}

/// A session, or one that says why not; [`Session::live`] runs it. Boxed, as a future that holds it by value
/// holds it twice.
pub(crate) fn begin(
    edge: &Arc<Edge>,
    line: Line,
    wire: Wire,
    queue: Arc<Queue>,
    opened: Result<Opened, Close>,
) -> Box<Session> {
    let mut session = Session::new(edge, line, wire, queue);
    match opened {
        Ok(Opened { user, subscription, first }) => {
            counter!("realtime_edge_handshakes_total", "result" => "opened").increment(1);
            tracing::debug!(user = %user.principal.user_id, channel = %subscription.channel, "opened");
            session.expire_at(user.principal.expires_at);
            session.line.extend(first);
            session.line.extend(subscription.start());
            let announced = Announced::join(edge, &subscription.channel, &user);
            session.subscriptions.push(Subscription { _announced: announced, ..subscription });
            session.user = Some(Box::new(user));
        }
        Err(close) => {
            counter!("realtime_edge_handshakes_total", "result" => close.code.name()).increment(1);
            session.close(&close);
        }
    }
    session
}

impl Session {
    /// Of nobody yet.
    pub(crate) fn new(edge: &Arc<Edge>, line: Line, wire: Wire, queue: Arc<Queue>) -> Box<Self> {
        let (settings, now) = (&edge.settings, Instant::now());
        Box::new(Self {
            line,
            wire,
            queue,
            user: None,
            // One is what most connections have; a list that grows takes room for four.
            subscriptions: Vec::with_capacity(1),
            work: Vec::new(),
            lanes: Lanes::default(),
            client: None,
            rate: Rate::new(settings.messages_burst, now),
            // At a random moment of the interval, so that clients that came together are not pinged together.
            ping_at: now + settings.ping_interval.mul_f64(rand::rng().random_range(0.3..1.0)),
            answer_by: None,
            write_by: None,
            expires_at: None,
            lives_until: end_of_life(settings.lifetime_max, now, &mut rand::rng()),
            active_at: now,
            closing: None,
            unheard: false,
            ended: false,
            edge: Arc::clone(edge),
        })
    }

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
            let hearing = self.is_hearing();
            if self.unheard && hearing {
                self.unheard = self.hear();
                tokio::task::yield_now().await;
                continue;
            }
            self.arm(timer.as_mut());
            let closing = self.closing.is_some();
            tokio::select! {
                ready = self.line.ready(hearing) => match ready {
                    Ok(()) if hearing => self.unheard = self.hear(),
                    Ok(()) => {}
                    Err(_) => return,
                },
                () = self.queue.changed(), if !closing => {
                    if self.queue.is_slow() {
                        self.close(&Code::TooSlow.into());
                    } else {
                        // Not put off until a slow client has read what waits.
                        self.obey(self.queue.take_orders());
                    }
                }
                outcome = work::next(&mut self.work), if !closing => self.take(outcome),
                () = &mut timer => self.on_time(),
            }
        }
    }

    /// Takes and writes until nothing waits or the line is full. True: there is more, but it is others' turn.
    fn flow(&mut self) -> bool {
        for _ in 0..FLOW_MAX {
            self.fill();
            if !self.line.is_writing() {
                return false;
            }
            self.write();
            if self.ended || self.line.is_writing() {
                return false;
            }
        }
        true
    }

    /// Takes what waits, once the line has taken what was there before.
    fn fill(&mut self) {
        // Each turn gives the line something to write, or brings a channel to its head: few turns.
        while self.closing.is_none() && !self.line.is_writing() {
            let more = self.next_pages();
            let taken = self.queue.take();
            if !taken.frames.is_empty() {
                self.active_at = Instant::now();
                self.line.extend(taken.frames);
            }
            let orders = !taken.orders.is_empty();
            self.obey(taken.orders);
            if let Some(close) = taken.close {
                self.close(&close);
            }
            if !more && !orders {
                return;
            }
        }
    }

    /// The next page of each replay that is running. True: look again.
    fn next_pages(&mut self) -> bool {
        let (mut more, mut too_long) = (false, false);
        for subscription in &mut self.subscriptions {
            let (Some(cursor), false) = (subscription.cursor, subscription.paging) else { continue };
            match subscription.membership.page(cursor, PAGE_FRAMES) {
                Page::Live(newest) => {
                    self.line.extend(newest);
                    subscription.cursor = None;
                    more = true;
                }
                Page::InLog => {
                    subscription.paging = true;
                    self.work.push(subscription.read_log(cursor));
                }
                Page::Entries(entries, offset) => {
                    self.line.extend(subscription.frames(&entries, offset));
                    too_long |= subscription.replayed > self.edge.settings.replay_frames;
                    more = true;
                }
            }
        }
        if too_long {
            self.close(&Code::TryAgain.because("there is more to replay; reconnect to go on"));
        }
        more
    }

    /// What became of something that was asked of others.
    fn take(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Page(channel, page) => {
                let Some(subscription) = self.subscriptions.iter_mut().find(|own| own.channel == channel)
                else {
                    return;
                };
                subscription.paging = false;
                match page {
                    Ok(LogPage::Entries(entries, offset)) => {
                        self.line.extend(subscription.frames(&entries, offset));
                    }
                    Ok(LogPage::Gap) => self.missed(&channel),
                    Err(why) => self.close(&unavailable(&why)),
                }
            }
            Outcome::Rechecked(channel, verdict) => self.rechecked(&channel, verdict),
            Outcome::Asked(frame) => self.asked(frame),
            Outcome::Centrifuge(done) => self.take_centrifuge(*done),
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether the client is listened to: not while it has asked more than can be answered now.
    fn is_hearing(&self) -> bool {
        self.closing.is_some() || self.client.as_ref().is_none_or(|client| !client.has_unanswered())
    }

    fn write(&mut self) {
        match self.line.write(self.edge.clock) {
            Err(_) => self.ended = true,
            Ok(progress) => {
                if !self.line.is_writing() {
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
            if !self.is_hearing() {
                return true;
            }
            match self.line.hear() {
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
                        self.forget();
                    }
                }
                Heard::Fault(close) => self.close(&close),
                Heard::Sign => self.hear_sign(),
                Heard::Text(text) if self.client.is_some() => self.hear_centrifuge(text, Wire::JsonSocket),
                Heard::Binary(bytes) if self.client.is_some() => {
                    self.hear_centrifuge(bytes, Wire::ProtobufSocket);
                }
                Heard::Text(text) => self.hear_platepal(&text),
                Heard::Binary(_) => self.hear_binary(),
            }
        }
        true
    }

    /// A ping or a pong: it lives, and may say so as often as it may speak.
    pub(crate) fn hear_sign(&mut self) {
        self.answer_by = None;
        if self.closing.is_some() {
            return;
        }
        let settings = &self.edge.settings;
        if self.rate.is_flooded(settings.messages_per_second, settings.messages_burst, Instant::now()) {
            self.count("flooded");
            self.close(&Code::Policy.into());
        }
    }

    pub(crate) fn count(&self, result: &'static str) {
        counter!("realtime_edge_messages_total", "result" => result).increment(1);
    }

    /// Whether the client may say something now.
    pub(crate) fn admit(&mut self) -> Admission {
        let (settings, now) = (&self.edge.settings, Instant::now());
        self.active_at = now;
        self.rate.admit(settings.messages_per_second, settings.messages_burst, now)
    }

    /// The connection ends at this moment unless something changes it.
    pub(crate) fn expire_at(&mut self, moment: Timestamp) {
        let left = moment.millis_since(self.edge.clock.now());
        self.expires_at = Some(Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0)));
    }

    pub(crate) fn close(&mut self, close: &Close) {
        if self.closing.is_some() {
            return;
        }
        let settings = &self.edge.settings;
        let mut patience = settings.close_timeout;
        if close.code == Code::TooSlow {
            counter!("realtime_edge_slow_closes_total").increment(1);
            self.line.discard();
            // It may be about to read what is in the kernel's buffers.
            patience = patience.max(settings.write_timeout);
        }
        counter!("realtime_edge_closes_total", "code" => close.code.label()).increment(1);
        tracing::debug!(code = close.code.number(), "closing");
        self.line.close(close, self.wire);
        self.closing = Some(Instant::now() + patience);
        self.forget();
    }

    /// It reads no more: its places are free from now on.
    fn forget(&mut self) {
        self.work.clear();
        self.lanes = Lanes::default();
        self.subscriptions.clear();
        self.user = None;
    }

    fn deadline(&self) -> Instant {
        if let Some(by) = self.closing {
            return by;
        }
        let ends = self.subscriptions.iter().map(|subscription| subscription.expires_at);
        let own = [self.answer_by, self.write_by, self.expires_at, self.lives_until, self.idle_until()];
        let all = own.into_iter().chain(ends);
        all.flatten().fold(self.ping_at, Instant::min)
    }

    fn idle_until(&self) -> Option<Instant> {
        self.edge.settings.idle_max.and_then(|time| self.active_at.checked_add(time))
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
            let is_stale = self.client.as_ref().is_some_and(|client| !client.is_connected());
            self.close(&if is_stale { Code::Stale } else { Code::Expired }.into());
        } else if is_past(self.write_by) {
            self.close(&Code::TooSlow.into());
        } else if is_past(self.answer_by) {
            self.close(&Code::NoAnswer.into());
        } else if is_past(self.lives_until) || is_past(self.idle_until()) {
            self.close(&Code::Restart.because("this connection has lived long enough; reconnect"));
        } else if let Some(over) = self.subscriptions.iter().find(|own| is_past(own.expires_at)) {
            let channel = over.channel.clone();
            self.expired(&channel);
        } else if self.ping_at <= now {
            let settings = &self.edge.settings;
            self.ping_at = now + settings.ping_interval;
            // What waits to be written has a deadline of its own.
            if !self.line.is_writing() && self.answer_by.is_none() {
                let ping =
                    self.client.as_ref().map_or_else(|| self.wire.ping(), |client| client.ping(self.wire));
                self.line.extend([Outgoing::plain(ping)]);
                if self.wire.answers_pings() {
                    self.answer_by = Some(now + settings.pong_timeout);
                }
            }
        }
    }

    /// A channel that this connection reads.
    pub(crate) fn find(&self, channel: &Channel) -> Option<&Subscription> {
        self.subscriptions.iter().find(|own| own.channel == *channel)
    }

    /// Stops reading a channel.
    pub(crate) fn leave(&mut self, channel: &Channel) -> Option<Subscription> {
        let place = self.subscriptions.iter().position(|own| own.channel == *channel)?;
        if let Some(user) = &self.user {
            user.registration.leave(channel);
        }
        Some(self.subscriptions.swap_remove(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F>(_: fn(&'static mut Session) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_waits_for_years_holds_little() {
        // Bytes. There is one of each for every connection; look twice before allowing more.
        assert!(size_of_future(|session| session.live()) <= 384);
        assert!(size_of::<Session>() <= 640, "{}", size_of::<Session>());
        assert!(size_of::<Subscription>() <= 160, "{}", size_of::<Subscription>());
    }
}
