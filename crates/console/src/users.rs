//! What an operator sees of a user, and may do: look at the sessions, end them, refuse their tokens.

use std::time::Duration;

use metrics::counter;
use platepal_bus::BusError;
use platepal_events::millis;
use platepal_proto::v1;
use platepal_service::{
    instruction::{Instruction, Whom},
    revocation::Revocation,
};
use serde::Serialize;

use crate::{Console, sampler::moment};

/// What is said to whom an operator disconnects.
const REASON: &str = "ended by an operator";
/// How long tokens are refused that an operator takes back: longer than access tokens live, and no longer than the bus keeps.
const REFUSED_FOR: Duration = Duration::from_secs(24 * 3600);

#[derive(Serialize)]
pub(crate) struct Sessions {
    user_id: String,
    clients: u32,
    sessions: Vec<Session>,
    silent_edges: Vec<String>,
}

#[derive(Serialize)]
struct Session {
    client_id: String,
    protocol: String,
    address: String,
    edge: String,
    connected_at: String,
    expires_at: String,
    channels: Vec<String>,
}

impl Console {
    /// A user's open sessions.
    pub(crate) async fn sessions(&self, user_id: &str) -> Sessions {
        let request = v1::ConnectedRequest { user_id: user_id.to_owned(), ..Default::default() };
        let v1::ConnectedResponse { sessions, clients, silent_edges, .. } =
            self.parts.edges.connected(request).await;
        let sessions = sessions.into_iter().map(|own| Session {
            client_id: own.client_id,
            protocol: own.protocol,
            address: own.address,
            edge: own.edge,
            connected_at: moment(own.connected_at),
            expires_at: moment(own.expires_at),
            channels: own.channels,
        });
        Sessions { user_id: user_id.to_owned(), clients, sessions: sessions.collect(), silent_edges }
    }

    /// Ends a user's sessions, or one of them.
    pub(crate) async fn disconnect(&self, user_id: &str, client_id: Option<String>) -> Result<(), BusError> {
        tracing::warn!(target: "audit", user_id, client_id, "an operator ends sessions");
        counter!("realtime_console_actions_total", "action" => "disconnect").increment(1);
        let whom = Whom { user: Some(user_id.to_owned()), client: client_id, session: None };
        let order =
            Instruction::Disconnect { whom, code: None, reason: REASON.to_owned(), except: Vec::new() };
        order.give(&*self.parts.bus, self.parts.clock.now()).await
    }

    /// Refuses the tokens that a user has now, and ends what began with them.
    pub(crate) async fn sign_out(&self, user_id: &str) -> Result<(), BusError> {
        tracing::warn!(target: "audit", user_id, "an operator takes tokens back");
        counter!("realtime_console_actions_total", "action" => "sign_out").increment(1);
        let now = self.parts.clock.now();
        let until = now.plus_millis(millis(REFUSED_FOR));
        let revocation = Revocation { user: user_id.to_owned(), token_id: None, issued_before: now, until };
        revocation.give(&*self.parts.bus, now).await
    }
}
