//! One channel that a connection reads: its place among the channel's readers, and where its replay stands.

use std::sync::Arc;

use metrics::counter;
use platepal_auth::Principal;
use platepal_events::{Channel, EventId, Position};
use tokio::time::Instant;

use super::{Announced, Outcome, PAGE_FRAMES, Work};
use crate::{
    Edge,
    close::Code,
    codec::Encoded,
    hub::{FromZero, Membership},
    queue::Outgoing,
};

/// Why a connection reads a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is what the connection is for.
    Feed,
    /// Its client asked for it.
    Client,
    /// The server gave it.
    Server,
}

pub(crate) struct Subscription {
    pub channel: Channel,
    pub role: Role,
    pub membership: Membership,
    /// Where the reader began.
    pub began_at: Position,
    /// Where the replay stands; `None` once live.
    pub cursor: Option<u64>,
    pub from_zero: FromZero,
    /// Frames of the replay so far.
    pub replayed: usize,
    /// A page of the log is being read.
    pub paging: bool,
    /// When the right to read ends, if before the connection does.
    pub expires_at: Option<Instant>,
    /// The right was the owner's to give: it is asked again after a revocation.
    pub asked: bool,
    /// It was said who came.
    pub _announced: Option<Box<Announced>>,
}

impl Subscription {
    /// From now on pages may be taken; gives the newest values of the channel.
    pub fn start(&self) -> Vec<Outgoing> {
        self.membership.start(self.cursor.unwrap_or(0))
    }

    /// What a client may name to go on from where this reader began.
    pub fn place(&self) -> EventId {
        EventId::at(&self.began_at)
    }

    /// The next page of the log.
    pub fn read_log(&self, cursor: u64) -> Work {
        let page = self.membership.read_log(cursor, PAGE_FRAMES, self.from_zero);
        let channel = self.channel.clone();
        Box::pin(async move { Outcome::Page(channel, page.await) })
    }

    /// A page as frames; the replay then stands at `offset`.
    pub fn frames<'a>(
        &'a mut self,
        entries: &'a [Arc<Encoded>],
        offset: u64,
    ) -> impl Iterator<Item = Outgoing> + 'a {
        self.replayed += entries.len();
        self.cursor = Some(offset);
        counter!("realtime_edge_replayed_frames_total").increment(entries.len() as u64);
        self.membership.frames(entries)
    }

    /// Asks the owner again whether the channel may be read.
    pub fn recheck(&self, edge: &Edge, principal: Arc<Principal>, token: Arc<str>) -> Work {
        let (access, channel) = (edge.access.clone(), self.channel.clone());
        Box::pin(async move {
            let check = access.check(&principal, &token, &channel);
            let verdict = tokio::time::timeout(super::orders::RECHECK_TIMEOUT, check).await;
            let verdict = verdict.unwrap_or_else(|_| Err(Code::TryAgain.into()));
            Outcome::Rechecked(channel, verdict)
        })
    }
}
