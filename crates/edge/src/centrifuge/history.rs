//! `history`: pages of a channel's log, forwards and backwards.

use std::sync::Arc;

use platepal_events::{Channel, Epoch, Position};
use platepal_service::history::{self, HistoryError, Query};

use super::{
    Done,
    errors::{Refusal, error, of_close, within},
    messages::{HistoryRequest, HistoryResult, Reply},
    subscribe::{check_reader, named, publications},
};
use crate::{
    Edge,
    hub::unavailable,
    session::{Session, User},
};

/// Publications in one answer.
const PUBLICATIONS_MAX: usize = 300;

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
                check_reader(&edge, &user, &channel, is_reader).await?;
                let history = read(&edge, &channel, &request).await?;
                Ok(Reply { history: Some(history), ..Reply::default() })
            };
            Done::Answered(within(limit, answer).await, id)
        });
    }
}

async fn read(edge: &Edge, channel: &Channel, request: &HistoryRequest) -> Result<HistoryResult, Refusal> {
    let since = request.since.as_ref();
    let query = Query {
        since: since.map(|since| Position { epoch: Epoch::new(since.epoch.as_str()), offset: since.offset }),
        reverse: request.reverse,
        limit: usize::try_from(request.limit).map_or(PUBLICATIONS_MAX, |limit| limit.min(PUBLICATIONS_MAX)),
    };
    let page = history::read(&*edge.bus, channel, &query).await.map_err(|why| match why {
        HistoryError::OtherEpoch => error(112),
        HistoryError::Bus(why) => of_close(&unavailable(&why)),
    })?;
    if query.limit > 0 && query.reverse && since.is_some_and(|since| since.offset == 0) {
        return Err(error(107).into());
    }
    Ok(HistoryResult {
        publications: publications(&page.entries, edge),
        epoch: page.head.epoch.as_str().to_owned(),
        offset: page.head.offset,
    })
}
