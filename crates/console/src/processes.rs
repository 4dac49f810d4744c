//! Every process of the tier, asked at once what it says of itself.
//!
//! Invariant: an answer names every role that did not answer, or of which nobody knows where it is.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use platepal_events::Domain;
use platepal_proto::v1;
use platepal_service::{
    Parts,
    edges::Edges,
    grpc::{Link, Links},
    process::Answers,
};
use url::Url;

/// How long a process may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(900);

/// All of them.
pub(crate) struct Processes {
    own: Answers,
    links: Links,
    edges: Edges,
    gateway: Option<Link>,
    message_bytes_max: usize,
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct All {
    /// Each once, by its id, however many roles it has.
    pub processes: BTreeMap<String, v1::DescribeResponse>,
    /// Roles, or names of edges, that did not answer, and why.
    pub silent: BTreeMap<String, String>,
}

impl Processes {
    /// The error says what is wrong with the gateway's address.
    pub fn new(parts: &Parts, gateway: Option<&Url>) -> Result<Self, String> {
        let timeout = parts.settings.grpc_timeout;
        let gateway = gateway.map(|url| Link::remote(url, parts.keys.first(), timeout)).transpose()?;
        Ok(Self {
            own: Answers::of(parts),
            links: parts.links.clone(),
            edges: parts.edges.clone(),
            gateway,
            message_bytes_max: parts.settings.grpc_message_bytes.0,
        })
    }

    pub async fn describe(&self, request: v1::DescribeRequest) -> All {
        let mut all = All::default();
        let mut take = |answer: v1::DescribeResponse| {
            all.processes.insert(answer.process_id.clone(), answer);
        };
        take(self.own.describe(request));
        let domains =
            Domain::ALL.into_iter().filter_map(|domain| Some((domain.word(), self.links.get(domain)?)));
        let links = domains.chain(self.gateway.iter().map(|link| ("gateway", link)));
        let asked = links.map(|(role, link)| async move {
            let mut client = link.process(self.message_bytes_max);
            match tokio::time::timeout(ANSWER_TIMEOUT, client.describe(request)).await {
                Ok(Ok(answer)) => Ok(answer.into_inner()),
                Ok(Err(status)) => Err((role.to_owned(), status.message().to_owned())),
                Err(_) => Err((role.to_owned(), "it does not answer".to_owned())),
            }
        });
        let (answers, (edges, silent)) = tokio::join!(join_all(asked), self.edges.processes(request));
        let mut missing = Vec::new();
        for answer in answers.into_iter().chain(edges.into_iter().map(Ok)) {
            match answer {
                Ok(answer) => take(answer),
                Err(silent) => missing.push(silent),
            }
        }
        all.silent.extend(missing);
        all.silent
            .extend(silent.into_iter().map(|id| (format!("edge {id}"), "it does not answer".to_owned())));
        let unknown: Vec<&str> = Domain::ALL
            .into_iter()
            .filter(|domain| self.links.get(*domain).is_none())
            .map(Domain::word)
            .collect();
        for role in unknown {
            let setting = format!("REALTIME_{}_URL", role.to_uppercase());
            all.silent
                .insert(role.to_owned(), format!("this console was not told where it is: set {setting}"));
        }
        all
    }
}
