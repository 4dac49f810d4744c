//! Opening: token, user's limit, access, channel, and where the client goes on.

use std::sync::Arc;

use metrics::counter;
use platepal_auth::TokenError;
use platepal_events::{Event, EventId, Position};

use super::{Arrival, Opened};
use crate::{
    Edge,
    close::{Close, Code},
    codec::event_frame,
    hub::Membership,
    queue::{Outgoing, Queue},
};

/// Everything before the first frame; the error is what to close with.
pub(super) async fn open(edge: &Edge, arrival: &Arrival, queue: &Arc<Queue>) -> Result<Opened, Close> {
    let Arrival { channel, token, since } = arrival;
    let token = token.as_deref().unwrap_or_default();
    let principal = edge.verifier.verify(token, edge.clock.now()).await.map_err(refused)?;
    // Before the question of access, so that a revocation in the meantime finds this socket.
    let registration = edge.sessions.register(&principal.user_id, channel, queue).ok_or(Code::TooMany)?;
    if edge.shutdown.is_told() {
        return Err(Code::Restart.into());
    }
    edge.access.check(&principal, token, channel).await?;
    let joined = edge.hub.join(channel, queue).await?;
    let mut first = Vec::new();
    let cursor = start(edge, &joined.membership, &joined.head, since.as_deref(), arrival, &mut first).await?;
    first.extend(joined.latest);
    let token = (!channel.kind().is_own_feed()).then(|| token.into());
    Ok(Opened {
        principal,
        token,
        membership: joined.membership,
        cursor: Some(cursor),
        first,
        _registration: registration,
    })
}

fn refused(why: TokenError) -> Close {
    let code = if why.is_temporary() { Code::TryAgain } else { Code::Unauthorised };
    code.because(why.to_string())
}

/// The offset after which the client goes on. A channel with a snapshot gives it to whoever has no place in it.
async fn start(
    edge: &Edge,
    membership: &Membership,
    head: &Position,
    since: Option<&str>,
    arrival: &Arrival,
    first: &mut Vec<Outgoing>,
) -> Result<u64, Close> {
    let known = match since.map(str::parse::<EventId>) {
        // What can't be an event id is one that nobody knows.
        Some(Ok(id)) => membership.find(&id).await?,
        Some(Err(_)) | None => None,
    };
    if let Some(offset) = known {
        return Ok(offset);
    }
    if arrival.channel.kind().has_snapshot() {
        return snapshot(edge, head, arrival, first).await;
    }
    Ok(if since.is_some() { 0 } else { head.offset })
}

/// The reader is attached already, so what happens while the owner is asked is in the ring, after the
/// snapshot's position or before it.
async fn snapshot(
    edge: &Edge,
    head: &Position,
    arrival: &Arrival,
    first: &mut Vec<Outgoing>,
) -> Result<u64, Close> {
    counter!("realtime_edge_snapshots_total").increment(1);
    let unavailable = |why: String| {
        tracing::warn!(channel = %arrival.channel, why, "no snapshot");
        Code::TryAgain.because("the feed is not available now; try again later")
    };
    let answer = edge.access.snapshot(&arrival.channel).await.map_err(unavailable)?;
    let Some((event, position)) = answer else { return Ok(head.offset) };
    let position = Position::from(position);
    if position.offset > 0 && position.epoch != head.epoch {
        return Err(unavailable("its position is of another epoch".to_owned()));
    }
    let event = Event::parse(event, edge.clock.now()).map_err(|why| unavailable(why.to_string()))?;
    first.push(Outgoing::plain(event_frame(&event, edge.settings.spelling())));
    Ok(position.offset)
}
