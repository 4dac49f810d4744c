//! Memory of a connection on which nothing happens.

use crate::{peers::Peer, publisher::Feed, results::Idle, stage::Stage};

/// The first connections pay for what all share: lazily made pools, caches, links.
const WARM: u64 = 50;

pub(super) async fn measure(
    peer: Peer,
    connections: u64,
    feed: impl Fn(u64) -> Feed,
) -> anyhow::Result<Idle> {
    let mut stage = Stage::empty(peer).await?;
    stage.open((1..=WARM).map(&feed)).await?;
    let watched = stage.server.watched();
    let before = watched.settled_memory().await?;
    stage.open((WARM + 1..=WARM + connections).map(&feed)).await?;
    let after = watched.settled_memory().await?;
    Ok(Idle {
        connections,
        bytes_each: after.saturating_sub(before) as f64 / connections as f64,
        bytes_before: before,
    })
}
