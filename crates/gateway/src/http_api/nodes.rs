//! `channels` and `info`: what is read, and which edges there are.

use std::collections::BTreeMap;

use platepal_events::Timestamp;
use platepal_proto::v1;
use platepal_service::edges::LIMIT_MAX;
use serde::{Deserialize, Serialize};

use super::{
    Answer, Api,
    answer::{done, parse},
};
use crate::sessions::check_pattern;

#[derive(Deserialize)]
struct Asked {
    pattern: Option<String>,
}

#[derive(Serialize)]
struct Channels {
    channels: BTreeMap<String, Channel>,
}

#[derive(Serialize)]
struct Channel {
    num_clients: u32,
}

#[derive(Serialize)]
struct Info {
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    uid: String,
    name: String,
    version: String,
    num_clients: u32,
    num_users: u32,
    num_channels: u32,
    num_subs: u32,
    /// In seconds.
    uptime: u64,
}

impl Api {
    pub(super) async fn channels(&self, body: &[u8]) -> Answer {
        let pattern = parse::<Asked>(body)?.pattern.unwrap_or_default();
        check_pattern(&pattern)?;
        let read = self.edges.channels(v1::ChannelsRequest { pattern, limit: LIMIT_MAX }).await;
        let channels = read.clients.into_iter().map(|(name, num_clients)| (name, Channel { num_clients }));
        done(&Channels { channels: channels.collect() })
    }

    pub(super) async fn info(&self) -> Answer {
        let now = self.clock.now();
        let edges = self.edges.statuses().await.edges;
        let nodes = edges.into_iter().filter(|edge| edge.answered).map(|edge| {
            let started_at = edge.started_at.and_then(|moment| Timestamp::try_from(moment).ok());
            let uptime = started_at.map_or(0, |started_at| now.millis_since(started_at) / 1_000);
            Node {
                name: format!("edge-{}", edge.id),
                uid: edge.id,
                version: edge.version,
                num_clients: edge.clients,
                num_users: edge.users,
                num_channels: edge.channels,
                num_subs: edge.subscriptions,
                uptime: u64::try_from(uptime).unwrap_or_default(),
            }
        });
        done(&Info { nodes: nodes.collect() })
    }
}
