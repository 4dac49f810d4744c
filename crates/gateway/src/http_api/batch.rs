//! `batch`: many calls in one request, each answered in its place.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use platepal_events::EVENTS_PER_BATCH_MAX;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Answer, Api, Call, Problem,
    answer::{done, error_body, parse},
};

#[derive(Deserialize)]
struct Batch {
    /// One method each, with its parameters.
    commands: Vec<BTreeMap<String, Box<RawValue>>>,
    #[serde(default)]
    parallel: bool,
}

impl Api {
    pub(super) async fn batch(&self, body: &[u8]) -> Answer {
        let Batch { commands, parallel } = parse(body)?;
        let count = commands.len();
        if count > EVENTS_PER_BATCH_MAX {
            let words = format!("{count} commands, the limit is {EVENTS_PER_BATCH_MAX}");
            return Err(Problem::bad_request(words));
        }
        let at_once = if parallel { self.publisher.batch_concurrency } else { 1 };
        let replies: Vec<Box<RawValue>> = stream::iter(commands)
            .map(|command| self.command(command))
            .buffered(at_once)
            .filter_map(std::future::ready)
            .collect()
            .await;
        done(&BTreeMap::from([("replies", replies)]))
    }

    /// A reply: `{"publish":{…}}`, or the error.
    async fn command(&self, command: BTreeMap<String, Box<RawValue>>) -> Option<Box<RawValue>> {
        let mut methods = command.into_iter();
        let reply = match (methods.next(), methods.next()) {
            (Some((word, parameters)), None) => match Call::named(&word) {
                Some(call) => {
                    let answer = self.one(call, parameters.get().as_bytes()).await;
                    answer.map(|result| format!(r#"{{"{}":{}}}"#, call.word(), result.get()))
                }
                None => Err(Problem::new(104, "method not found")),
            },
            _ => Err(Problem::bad_request("a command of a batch names one method")),
        };
        RawValue::from_string(reply.unwrap_or_else(|problem| error_body(&problem))).ok()
    }
}
