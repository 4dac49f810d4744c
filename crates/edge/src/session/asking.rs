//! What a client asks of the domains, in whatever protocol.
//!
//! Invariants: what one connection asks of one domain is handed over in the order in which it was said, the next when
//! the one before is answered, so that a rider's fixes do not overtake each other; a slow domain keeps neither the
//! other domains waiting nor events and pings; and a connection has a bounded number of questions under way.

use std::time::Duration;

use bytes::Bytes;
use metrics::{counter, histogram};
use platepal_events::Domain;
use tokio::sync::oneshot;
use tonic::{Code as Grpc, Status};

use super::{Outcome, Session, User};
use crate::{
    close::Code,
    limits::Admission,
    owners::{Caller, Owners},
    platepal,
    queue::Outgoing,
};

/// What whoever has a link is told that wants more than to look.
pub(crate) const ONLY_READS: &str = "sign in to do this; a link, and whoever is not signed in, can only read";

/// The order of one connection's questions. Small, as most connections ask nothing.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Option<Box<Busy>>);

#[derive(Debug, Default)]
struct Busy {
    /// The end of the last question to each domain.
    last: Vec<(Domain, oneshot::Receiver<()>)>,
    /// Questions of PlatePal's protocol that are under way or wait for their turn.
    asked: usize,
}

/// A question's place among those to one domain; dropping it lets the next one go.
#[derive(Debug)]
pub(crate) struct Turn {
    before: Option<oneshot::Receiver<()>>,
    _done: oneshot::Sender<()>,
}

impl Lanes {
    /// The place after everything that was asked of a domain so far.
    pub fn turn(&mut self, domain: Domain) -> Turn {
        let lanes = &mut self.0.get_or_insert_default().last;
        let (done, next) = oneshot::channel();
        let before = match lanes.iter_mut().find(|(own, _)| *own == domain) {
            Some((_, last)) => Some(std::mem::replace(last, next)),
            None => {
                lanes.push((domain, next));
                None
            }
        };
        Turn { before, _done: done }
    }

    fn asked(&self) -> usize {
        self.0.as_ref().map_or(0, |busy| busy.asked)
    }
}

impl Turn {
    /// Asks when it is its turn. All of it may take so long, the waiting included.
    pub async fn ask<T>(
        mut self,
        limit: Duration,
        question: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let in_turn = async {
            if let Some(before) = self.before.take() {
                // An error: it was done, or given up.
                let _ = before.await;
            }
            let began = tokio::time::Instant::now();
            let answer = question.await;
            histogram!("realtime_edge_call_seconds").record(began.elapsed().as_secs_f64());
            answer
        };
        let late = || Err(Status::deadline_exceeded("the domain did not answer in time"));
        let answer = tokio::time::timeout(limit, in_turn).await.unwrap_or_else(|_| late());
        let result = match answer.as_ref().map_err(Status::code) {
            Ok(_) => "ok",
            Err(Grpc::DeadlineExceeded | Grpc::Cancelled) => "late",
            Err(Grpc::Unavailable | Grpc::Internal | Grpc::Unknown | Grpc::DataLoss | Grpc::Aborted) => {
                "failed"
            }
            Err(_) => "refused",
        };
        counter!("realtime_edge_calls_total", "result" => result).increment(1);
        answer
    }
}

impl Session {
    /// Who asks.
    pub(crate) fn caller(&self, user: User) -> Caller {
        let client_id = self.edge.sessions.client_name(user.registration.id());
        Caller { principal: user.principal, token: user.token, client_id }
    }

    /// A text on one of PlatePal's sockets.
    pub(super) fn hear_platepal(&mut self, text: &[u8]) {
        if !self.is_admitted() {
            return;
        }
        let feed = self.subscriptions.first().map(|subscription| subscription.channel.kind());
        let user = self.user.as_deref().cloned();
        let (Some(feed), Some(user)) = (feed, user) else { return };
        if user.principal.only_reads() {
            return self.answer(platepal::error(ONLY_READS), "refused");
        }
        match platepal::read(text, feed) {
            Ok(asked) => self.ask(asked, user),
            Err(why) => self.answer(why, "answered"),
        }
    }

    /// What is no text.
    pub(super) fn hear_binary(&mut self) {
        if self.is_admitted() {
            self.answer(platepal::error("this socket takes text, not binary messages"), "answered");
        }
    }

    fn ask(&mut self, asked: platepal::Asked, user: User) {
        let platepal::Asked { method, data, reply } = asked;
        let settings = &self.edge.settings;
        if self.lanes.asked() >= settings.calls_max {
            let words = "too many messages wait for their answers; wait for some before sending more";
            return self.answer(reply.error(words), "crowded");
        }
        let Some(domain) = Owners::of_method(method) else {
            tracing::error!(method, "the table names a method of no domain");
            return self.answer(reply.refusal(&Status::unimplemented(method)), "answered");
        };
        let (turn, limit) = (self.lanes.turn(domain), settings.call_timeout);
        if let Some(busy) = &mut self.lanes.0 {
            busy.asked += 1;
        }
        let (owners, caller) = (self.edge.owners.clone(), self.caller(user));
        let feed = self.subscriptions.first().map(|subscription| subscription.channel.clone());
        self.count("asked");
        self.work.push(Box::pin(async move {
            let answer = turn.ask(limit, owners.call(&caller, feed.as_ref(), method, data)).await;
            Outcome::Asked(match answer {
                Ok(data) => reply.result(&data),
                Err(status) => Some(reply.refusal(&status)),
            })
        }));
    }

    /// A domain's answer.
    pub(super) fn asked(&mut self, frame: Option<Bytes>) {
        if let Some(busy) = &mut self.lanes.0 {
            busy.asked = busy.asked.saturating_sub(1);
        }
        if let Some(frame) = frame {
            self.queue.push(Outgoing::plain(frame));
        }
    }

    /// Through the queue, whose bound holds for a client that asks and does not read, too.
    fn answer(&mut self, frame: Bytes, result: &'static str) {
        self.queue.push(Outgoing::plain(frame));
        self.count(result);
    }

    /// Whether what the client said is looked at; if not, it has been told why.
    fn is_admitted(&mut self) -> bool {
        self.answer_by = None;
        if self.is_closing() {
            return false;
        }
        match self.admit() {
            Admission::Admit => return true,
            Admission::Warn => self.answer(platepal::error("too many messages; slow down"), "limited"),
            Admission::Close => {
                self.close(&Code::Policy.into());
                self.count("closed");
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn lane() -> (Lanes, Arc<Mutex<Vec<u32>>>) {
        (Lanes::default(), Arc::default())
    }

    #[tokio::test]
    async fn questions_to_one_domain_are_asked_in_their_order_whichever_is_looked_at_first() {
        let (mut lanes, asked) = lane();
        let mut questions: Vec<_> = (0..8)
            .map(|number| {
                let (turn, asked) = (lanes.turn(Domain::Tracking), Arc::clone(&asked));
                turn.ask(LIMIT, async move {
                    tokio::task::yield_now().await;
                    asked.lock().unwrap().push(number);
                    Ok(())
                })
            })
            .collect();
        questions.reverse();
        futures_util::future::join_all(questions).await;
        assert_eq!(*asked.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[tokio::test]
    async fn a_domain_that_hangs_keeps_the_other_one_not_waiting() {
        let (mut lanes, _) = lane();
        let hangs = lanes.turn(Domain::Tracking).ask(LIMIT, std::future::pending::<Result<(), Status>>());
        let behind = lanes.turn(Domain::Tracking).ask(LIMIT, async { Ok(()) });
        let other = lanes.turn(Domain::Orders).ask(LIMIT, async { Ok(()) });
        tokio::pin!(hangs, behind);
        tokio::select! {
            biased;
            _ = &mut hangs => panic!("it hangs"),
            _ = &mut behind => panic!("it was not its turn"),
            answer = other => answer.unwrap(),
        }
    }

    #[tokio::test]
    async fn what_waits_behind_a_question_that_hangs_is_answered_in_time_and_what_is_given_up_lets_others_go()
    {
        let (mut lanes, _) = lane();
        let soon = Duration::from_millis(200);
        let hangs = lanes.turn(Domain::Tracking).ask(soon, std::future::pending::<Result<(), Status>>());
        let behind = lanes.turn(Domain::Tracking).ask(soon, std::future::pending::<Result<(), Status>>());
        let began = tokio::time::Instant::now();
        let (first, second) = futures_util::future::join(hangs, behind).await;
        assert_eq!(first.unwrap_err().code(), Grpc::DeadlineExceeded);
        assert_eq!(second.unwrap_err().code(), Grpc::DeadlineExceeded);
        assert!(began.elapsed() < 2 * soon, "they are late together");
        drop(lanes.turn(Domain::Tracking));
        lanes.turn(Domain::Tracking).ask(LIMIT, async { Ok(()) }).await.unwrap();
    }
}
