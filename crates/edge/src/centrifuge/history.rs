//! `history`: pages of a channel's log, forwards and backwards.

use std::{collections::VecDeque, sync::Arc};

use platepal_bus::{Bus, BusError};
use platepal_events::{Channel, Entry};

use super::{
    Done,
    errors::{Refusal, error, of_close},
    messages::{HistoryRequest, HistoryResult, Reply},
    subscribe::{named, publications},
};
use crate::{
    Edge,
    hub::unavailable,
    session::{Session, User},
};

/// Publications in one answer.
const PUBLICATIONS_MAX: usize = 300;
/// Events read from the log at once.
const PAGE_EVENTS: usize = 256;

impl Session {
    pub(super) fn history(&mut self, id: u32, request: HistoryRequest, user: User) {
        let channel = match named(&request.channel) {
            Ok(channel) => channel,
            Err(refusal) => return self.refused(id, refusal),
        };
        let (edge, is_reader) = (Arc::clone(&self.edge), self.find(&channel).is_some());
        let limit = self.edge.settings.opening_timeout;
        self.spawn(async move {
            let answer = async {
                if !is_reader {
                    let check = edge.access.check(&user.principal, &user.token, &channel).await;
                    check.map_err(|close| of_close(&close))?;
                }
                let history = read(&edge, &channel, &request).await?;
                Ok(Reply { history: Some(history), ..Reply::default() })
            };
            let answer = tokio::time::timeout(limit, answer).await;
            Done::Answered(answer.unwrap_or_else(|_| Err(error(100).into())), id)
        });
    }
}

async fn read(edge: &Edge, channel: &Channel, request: &HistoryRequest) -> Result<HistoryResult, Refusal> {
    let bus = &*edge.bus;
    let head = bus.head(channel).await.map_err(failed)?;
    let since = request.since.as_ref();
    if since.is_some_and(|since| !since.epoch.is_empty() && since.epoch != head.epoch.as_str()) {
        return Err(error(112).into());
    }
    let limit = usize::try_from(request.limit).map_or(PUBLICATIONS_MAX, |limit| limit.min(PUBLICATIONS_MAX));
    let entries = match (limit, request.reverse, since.map(|since| since.offset)) {
        (0, ..) => Vec::new(),
        (_, false, since) => forwards(bus, channel, since.unwrap_or(0), limit).await?,
        (_, true, Some(0)) => return Err(error(107).into()),
        (_, true, since) => backwards(bus, channel, since.unwrap_or(u64::MAX), limit).await?,
    };
    Ok(HistoryResult {
        publications: publications(&entries, edge),
        epoch: head.epoch.as_str().to_owned(),
        offset: head.offset,
    })
}

async fn forwards(bus: &dyn Bus, channel: &Channel, after: u64, limit: usize) -> Result<Vec<Entry>, Refusal> {
    let (mut entries, mut after): (Vec<Entry>, u64) = (Vec::new(), after);
    while entries.len() < limit {
        let page = bus.read(channel, after, limit - entries.len()).await.map_err(failed)?;
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
) -> Result<Vec<Entry>, Refusal> {
    let (mut newest, mut after) = (VecDeque::new(), 0);
    loop {
        let page = bus.read(channel, after, PAGE_EVENTS).await.map_err(failed)?;
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

fn failed(why: BusError) -> Refusal {
    of_close(&unavailable(&why)).into()
}
