//! One question to all edges at once, and their answers as one.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures_util::future::join_all;
use metrics::{counter, gauge};
use platepal_proto::v1;
use tonic::{Response, Status};

use super::{Edges, name};
use crate::grpc::Link;

/// Sessions in an answer, and channels, unless another number is asked for.
const LIMIT_DEFAULT: u32 = 1_000;
/// The most sessions in an answer, and channels.
pub const LIMIT_MAX: u32 = 10_000;

/// What came back: the answers, and who gave none.
struct Answers<T> {
    given: Vec<T>,
    silent: Vec<String>,
}

impl Edges {
    /// Who is connected, on all edges.
    pub async fn connected(&self, request: v1::ConnectedRequest) -> v1::ConnectedResponse {
        let limit = limit(request.limit);
        let asked = v1::ConnectedRequest { limit, ..request };
        let Answers { given, silent } = self
            .ask("connected", |link, bytes_max| {
                let asked = asked.clone();
                async move { link.edge(bytes_max).connected(asked).await }
            })
            .await;
        let mut users = HashSet::new();
        let mut answer = v1::ConnectedResponse { silent_edges: silent, ..Default::default() };
        for v1::ConnectedHereResponse { sessions, clients, user_ids } in given {
            answer.sessions.extend(sessions);
            answer.clients = answer.clients.saturating_add(clients);
            users.extend(user_ids);
        }
        answer.sessions.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        answer.users = u32::try_from(users.len()).unwrap_or(u32::MAX);
        answer
    }

    /// Which channels are read, on all edges. A channel that is not among the [`LIMIT_MAX`] most read ones of an
    /// edge is not counted there.
    pub async fn channels(&self, request: v1::ChannelsRequest) -> v1::ChannelsResponse {
        let limit = usize::try_from(limit(request.limit)).unwrap_or(usize::MAX);
        // All that an edge will say: what is little read here may be read much in all.
        let asked = v1::ChannelsRequest { limit: LIMIT_MAX, ..request };
        let Answers { given, silent } = self
            .ask("channels", |link, bytes_max| {
                let asked = asked.clone();
                async move { link.edge(bytes_max).channels(asked).await }
            })
            .await;
        let mut sums: BTreeMap<String, u32> = BTreeMap::new();
        for (channel, clients) in given.into_iter().flat_map(|answer| answer.clients) {
            let sum = sums.entry(channel).or_default();
            *sum = sum.saturating_add(clients);
        }
        let mut most: Vec<(String, u32)> = sums.into_iter().collect();
        most.sort_by_key(|(_, clients)| std::cmp::Reverse(*clients));
        most.truncate(limit);
        v1::ChannelsResponse { clients: most.into_iter().collect(), silent_edges: silent }
    }

    /// All edges and how much each holds; those that did not answer without numbers.
    pub async fn statuses(&self) -> v1::EdgesResponse {
        let Answers { given, silent } =
            self.ask("status", async |link, max| link.edge(max).status(v1::StatusRequest {}).await).await;
        let silent = silent.into_iter().map(|id| v1::Edge { id, ..v1::Edge::default() });
        let mut edges: Vec<v1::Edge> =
            given.into_iter().filter_map(|answer| answer.edge).chain(silent).collect();
        edges.sort_by(|a, b| a.id.cmp(&b.id));
        v1::EdgesResponse { edges }
    }

    /// What became of an event on all edges, and the edges that did not say.
    pub async fn journeys(&self, request: v1::JourneyRequest) -> (Vec<v1::JourneyHere>, Vec<String>) {
        let Answers { given, silent } = self
            .ask("journey", |link, bytes_max| {
                let asked = request.clone();
                async move { link.edge(bytes_max).journey(asked).await }
            })
            .await;
        (given.into_iter().filter_map(|answer| answer.journey).collect(), silent)
    }

    /// What the processes of all edges say of themselves, and the edges that did not.
    pub async fn processes(&self, request: v1::DescribeRequest) -> (Vec<v1::DescribeResponse>, Vec<String>) {
        let Answers { given, silent } =
            self.ask("describe", async |link, max| link.process(max).describe(request).await).await;
        (given, silent)
    }

    /// Passes what a client without socket sent to the edge that holds its stream.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is no such edge, or it has no such session. `UNAVAILABLE`, `DEADLINE_EXCEEDED`: it
    /// did not answer.
    pub async fn emulate(&self, node: &str, session: String, data: Bytes) -> Result<(), Status> {
        let link = self.links().into_iter().find(|(id, _)| id == node).map(|(_, link)| link);
        let link = link.ok_or_else(|| Status::not_found(format!("there is no edge {node:?}")))?;
        let request = v1::EmulateRequest { session, data };
        let mut client = link.edge(self.0.message_bytes_max);
        let answer = tokio::time::timeout(self.0.settings.ask_timeout, client.emulate(request));
        let answer = answer.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("the edge is silent")));
        counter!("realtime_edges_asked_total", "question" => "emulate", "result" => if answer.is_ok() { "answered" } else { "failed" })
            .increment(1);
        answer.map(drop)
    }

    /// Every edge that is alive: its name and the way to it.
    pub(super) fn links(&self) -> Vec<(String, Link)> {
        let own = self.0.own.iter().map(|own| (name(own.id), own.link.clone()));
        let links: Vec<_> = own.chain(self.0.living.links()).collect();
        gauge!("realtime_edges_alive").set(links.len() as f64);
        links
    }

    async fn ask<T, F>(&self, question: &'static str, ask: impl Fn(Link, usize) -> F) -> Answers<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let (limit, bytes_max) = (self.0.settings.ask_timeout, self.0.message_bytes_max);
        let asked = self.links().into_iter().map(|(id, link)| {
            let answer = tokio::time::timeout(limit, ask(link, bytes_max));
            async move {
                match answer.await {
                    Ok(Ok(answer)) => Ok(answer.into_inner()),
                    Ok(Err(status)) => {
                        tracing::warn!(edge = id, question, %status, "an edge did not answer");
                        Err(id)
                    }
                    Err(_) => {
                        tracing::warn!(edge = id, question, ?limit, "an edge did not answer in time");
                        Err(id)
                    }
                }
            }
        });
        let mut answers = Answers { given: Vec::new(), silent: Vec::new() };
        for answer in join_all(asked).await {
            let result = if answer.is_ok() { "answered" } else { "silent" };
            counter!("realtime_edges_asked_total", "question" => question, "result" => result).increment(1);
            match answer {
                Ok(answer) => answers.given.push(answer),
                Err(id) => answers.silent.push(id),
            }
        }
        answers.silent.sort();
        answers
    }
}

fn limit(asked: u32) -> u32 {
    if asked == 0 { LIMIT_DEFAULT } else { asked.min(LIMIT_MAX) }
}
