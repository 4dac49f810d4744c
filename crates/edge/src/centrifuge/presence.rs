//! `presence` and `presence_stats`: who reads a channel now, on all edges.

use std::sync::Arc;

use platepal_proto::v1;

use super::{
    Done,
    errors::error,
    messages::{ClientInfo, PresenceResult, PresenceStatsResult, Reply},
    subscribe::{check_reader, named},
};
use crate::session::{Session, User};

/// Clients in one answer.
const CLIENTS_MAX: u32 = 1_000;

impl Session {
    pub(super) fn presence(&mut self, id: u32, name: &str, user: &User, only_counts: bool) {
        let channel = match named(name) {
            Ok(channel) if channel.kind().has_presence() => channel,
            Ok(_) => return self.refuse(id, error(108)),
            Err(refusal) => return self.refused(id, refusal),
        };
        let is_reader = self.find(&channel).is_some();
        let (edge, user) = (Arc::clone(&self.edge), user.clone());
        self.spawn(async move {
            let answer = async {
                check_reader(&edge, &user, &channel, is_reader).await?;
                let request = v1::ConnectedRequest {
                    channel: channel.to_string(),
                    limit: CLIENTS_MAX,
                    counts_only: only_counts,
                    ..v1::ConnectedRequest::default()
                };
                let connected = edge.connected(request).await;
                Ok(if only_counts { stats(&connected) } else { clients(connected) })
            };
            Done::Answered(answer.await, id)
        });
    }
}

fn stats(connected: &v1::ConnectedResponse) -> Reply {
    let v1::ConnectedResponse { clients, users, .. } = *connected;
    Reply {
        presence_stats: Some(PresenceStatsResult { num_clients: clients, num_users: users }),
        ..Reply::default()
    }
}

fn clients(connected: v1::ConnectedResponse) -> Reply {
    let clients = connected.sessions.into_iter().map(|session| {
        let v1::Session { client_id, user_id, info, .. } = session;
        (client_id.clone(), ClientInfo { user: user_id, client: client_id, conn_info: info })
    });
    Reply { presence: Some(PresenceResult { presence: clients.collect() }), ..Reply::default() }
}
