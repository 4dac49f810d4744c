//! `history`: pages of a channel's log.

use platepal_events::{Entry, Epoch, Position, Spelling, frame};
use platepal_service::history::{self, HistoryError, Query};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Answer, Api, Problem,
    answer::{done, parse},
    publish::named,
};

/// Publications in one answer.
const LIMIT_MAX: usize = 1_000;

#[derive(Deserialize)]
struct Asked {
    channel: String,
    /// 0: only where the log ends. Negative: as many as may be.
    limit: Option<i64>,
    since: Option<Since>,
    reverse: Option<bool>,
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    epoch: String,
}

#[derive(Serialize)]
struct Page {
    publications: Vec<Publication>,
    epoch: String,
    offset: u64,
}

#[derive(Serialize)]
struct Publication {
    data: Box<RawValue>,
    offset: u64,
}

impl Api {
    pub(super) async fn history(&self, body: &[u8]) -> Answer {
        let Asked { channel, limit, since, reverse } = parse(body)?;
        let channel = named(&channel)?;
        let reverse = reverse.unwrap_or_default();
        if reverse && since.as_ref().is_some_and(|since| since.offset == 0) {
            return Err(Problem::bad_request("there is nothing before offset 0"));
        }
        let query = Query {
            since: since.map(|since| Position { epoch: Epoch::new(since.epoch), offset: since.offset }),
            reverse,
            limit: usize::try_from(limit.unwrap_or_default()).map_or(LIMIT_MAX, |limit| limit.min(LIMIT_MAX)),
        };
        let page = history::read(&*self.bus, &channel, &query).await.map_err(|why| match why {
            HistoryError::OtherEpoch => Problem::new(112, "unrecoverable position"),
            HistoryError::Bus(why) => Problem::internal(why),
        })?;
        done(&Page {
            publications: page.entries.iter().filter_map(publication).collect(),
            epoch: page.head.epoch.as_str().to_owned(),
            offset: page.head.offset,
        })
    }
}

/// As clients get it.
fn publication(entry: &Entry) -> Option<Publication> {
    let data = String::from_utf8(frame(&entry.event, Spelling::Underscored)).ok()?;
    Some(Publication { data: RawValue::from_string(data).ok()?, offset: entry.position.offset })
}
