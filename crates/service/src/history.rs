//! Pages of a channel's log, forwards and backwards.

use std::collections::VecDeque;

use platepal_bus::{Bus, BusError};
use platepal_events::{Channel, Entry, Position};

/// Events read from the log at once.
const PAGE_EVENTS: usize = 256;

/// Which page is asked for.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Forwards, the first one is the next after this; backwards, the next before. `None`: from the end of the
    /// log that the direction starts at.
    pub since: Option<Position>,
    /// From newer to older.
    pub reverse: bool,
    /// Entries at most; 0: none, only where the log ends.
    pub limit: usize,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// In the direction asked for.
    pub entries: Vec<Entry>,
    /// The newest position of the log.
    pub head: Position,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The position is of a log that is no longer.
    #[error("this position is of another epoch: the log is a new one")]
    OtherEpoch,
    /// The bus did not answer.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Reads a page. An epoch that is empty stands for any.
pub async fn read(bus: &dyn Bus, channel: &Channel, query: &Query) -> Result<History, HistoryError> {
    let head = bus.head(channel).await?;
    let is_other = |since: &Position| !since.epoch.as_str().is_empty() && since.epoch != head.epoch;
    if query.since.as_ref().is_some_and(is_other) {
        return Err(HistoryError::OtherEpoch);
    }
    let since = query.since.as_ref().map(|since| since.offset);
    let entries = match (query.limit, query.reverse) {
        (0, _) => Vec::new(),
        (limit, false) => forwards(bus, channel, since.unwrap_or(0), limit).await?,
        (limit, true) => backwards(bus, channel, since.unwrap_or(u64::MAX), limit).await?,
    };
    Ok(History { entries, head })
}

async fn forwards(
    bus: &dyn Bus,
    channel: &Channel,
    mut after: u64,
    limit: usize,
) -> Result<Vec<Entry>, BusError> {
    let mut entries = Vec::new();
    while entries.len() < limit {
        let page = bus.read(channel, after, (limit - entries.len()).min(PAGE_EVENTS)).await?;
        let Some(last) = page.entries.last().map(|entry| entry.position.offset) else { break };
        after = last;
        entries.extend(page.entries);
        if last >= page.head.offset {
            break;
        }
    }
    Ok(entries)
}

/// The log is read forwards, and the newest before an offset are kept: what is retained is bounded.
async fn backwards(
    bus: &dyn Bus,
    channel: &Channel,
    before: u64,
    limit: usize,
) -> Result<Vec<Entry>, BusError> {
    let (mut newest, mut after) = (VecDeque::new(), 0);
    loop {
        let page = bus.read(channel, after, PAGE_EVENTS).await?;
        let Some(last) = page.entries.last().map(|entry| entry.position.offset) else { break };
        after = last;
        for entry in page.entries.into_iter().filter(|entry| entry.position.offset < before) {
            newest.push_back(entry);
            if newest.len() > limit {
                newest.pop_front();
            }
        }
        if last >= before || last >= page.head.offset {
            break;
        }
    }
    Ok(newest.into_iter().rev().collect())
}
