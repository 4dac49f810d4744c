//! `presence` and `presence_stats`: who reads a channel now, on all edges.

use std::collections::BTreeMap;

use platepal_proto::v1;
use platepal_service::edges::LIMIT_MAX;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Answer, Api, Problem,
    answer::{done, parse},
    publish::named,
};

#[derive(Deserialize)]
struct Asked {
    channel: String,
}

#[derive(Serialize)]
struct Presence {
    presence: BTreeMap<String, Client>,
}

#[derive(Serialize)]
struct Client {
    user: String,
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_info: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Stats {
    num_clients: u32,
    num_users: u32,
}

impl Api {
    pub(super) async fn presence(&self, body: &[u8]) -> Answer {
        let connected = self.readers(body, false).await?;
        let clients = connected.sessions.into_iter().map(|session| {
            let info = String::from_utf8(session.info.to_vec()).ok();
            let client = Client {
                user: session.user_id,
                client: session.client_id.clone(),
                conn_info: info.and_then(|info| RawValue::from_string(info).ok()),
            };
            (session.client_id, client)
        });
        done(&Presence { presence: clients.collect() })
    }

    pub(super) async fn presence_stats(&self, body: &[u8]) -> Answer {
        let v1::ConnectedResponse { clients, users, .. } = self.readers(body, true).await?;
        done(&Stats { num_clients: clients, num_users: users })
    }

    async fn readers(&self, body: &[u8], counts_only: bool) -> Result<v1::ConnectedResponse, Problem> {
        let Asked { channel } = parse(body)?;
        let request = v1::ConnectedRequest {
            user_id: String::new(),
            channel: named(&channel)?.to_string(),
            limit: LIMIT_MAX,
            counts_only,
        };
        Ok(self.edges.connected(request).await)
    }
}
