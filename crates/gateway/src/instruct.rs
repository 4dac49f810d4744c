//! Orders for open sessions: their form is checked here, and they are given by being kept on the bus.

use std::sync::Arc;

use platepal_auth::UserId;
use platepal_bus::Bus;
use platepal_events::{Channel, Timestamp};
use platepal_proto::v1;
use platepal_service::{
    Clock, Parts,
    grpc::{bus_status, invalid},
    instruction::{EXCEPT_MAX, Instruction, Whom},
};
use tonic::Status;
use uuid::Uuid;

/// The longest reason that a close frame holds, in bytes.
const REASON_BYTES_MAX: usize = 123;
/// The longest secret of a session, in bytes.
const SECRET_BYTES_MAX: usize = 256;

/// Gives orders. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Instructor {
    bus: Arc<dyn Bus>,
    clock: Clock,
}

impl Instructor {
    pub(crate) fn new(parts: &Parts) -> Self {
        metrics::describe_counter!(
            "realtime_gateway_instructions_total",
            "Orders of backends for open sessions, by kind and result"
        );
        Self { bus: parts.bus.clone(), clock: parts.clock }
    }

    pub(crate) async fn disconnect(&self, request: v1::DisconnectRequest) -> Result<(), Status> {
        let v1::DisconnectRequest { selector, code, reason, except } = request;
        let whom = whom(selector)?;
        let code = match code {
            0 => None,
            3000..=4999 => u16::try_from(code).ok(),
            _ => return Err(invalid("code", format!("{code} is not a close code: 3000-4999, or 0"))),
        };
        if reason.len() > REASON_BYTES_MAX {
            let bytes = reason.len();
            return Err(invalid("reason", format!("{bytes} bytes, the limit is {REASON_BYTES_MAX}")));
        }
        if except.len() > EXCEPT_MAX {
            return Err(invalid("except", format!("{} client ids, the limit is {EXCEPT_MAX}", except.len())));
        }
        for (index, id) in except.iter().enumerate() {
            client_id(&format!("except[{index}]"), id)?;
        }
        self.give(Instruction::Disconnect { whom, code, reason, except }).await
    }

    pub(crate) async fn subscribe(&self, request: v1::SubscribeRequest) -> Result<(), Status> {
        let v1::SubscribeRequest { selector, channel, expires_at } = request;
        let (whom, channel) = (whom(selector)?, parse_channel(&channel)?);
        let until = expires_at.map(|moment| self.future(moment)).transpose()?;
        self.give(Instruction::Subscribe { whom, channel, until }).await
    }

    pub(crate) async fn unsubscribe(&self, request: v1::UnsubscribeRequest) -> Result<(), Status> {
        let v1::UnsubscribeRequest { selector, channel } = request;
        let (whom, channel) = (whom(selector)?, parse_channel(&channel)?);
        self.give(Instruction::Unsubscribe { whom, channel }).await
    }

    pub(crate) async fn refresh(&self, request: v1::RefreshRequest) -> Result<(), Status> {
        let v1::RefreshRequest { selector, expired, expires_at } = request;
        let whom = whom(selector)?;
        let until = match (expired, expires_at) {
            (true, _) => None,
            (false, Some(moment)) => Some(self.future(moment)?),
            (false, None) => {
                return Err(invalid("expires_at", "must be set, unless the session is expired now"));
            }
        };
        self.give(Instruction::Refresh { whom, until }).await
    }

    fn future(&self, moment: prost_types::Timestamp) -> Result<Timestamp, Status> {
        let moment = Timestamp::try_from(moment).map_err(|why| invalid("expires_at", why))?;
        if moment <= self.clock.now() {
            return Err(invalid("expires_at", format!("{moment} is in the past")));
        }
        Ok(moment)
    }

    /// Returns when the order is kept.
    async fn give(&self, instruction: Instruction) -> Result<(), Status> {
        let given = instruction.give(&*self.bus, self.clock.now()).await;
        let result = if given.is_ok() { "kept" } else { "failed" };
        metrics::counter!("realtime_gateway_instructions_total", "kind" => instruction.word(), "result" => result)
            .increment(1);
        given.map_err(|why| bus_status(&why))
    }
}

pub(crate) fn parse_channel(name: &str) -> Result<Channel, Status> {
    name.parse().map_err(|why| invalid("channel", why))
}

fn client_id(field: &str, text: &str) -> Result<(), Status> {
    Uuid::parse_str(text).map(drop).map_err(|_| invalid(field, "is not an id of a client: it must be a UUID"))
}

fn whom(selector: Option<v1::Selector>) -> Result<Whom, Status> {
    let v1::Selector { user_id, client_id: client, session } = selector.unwrap_or_default();
    if user_id.is_empty() && client.is_empty() && session.is_empty() {
        return Err(invalid("selector", "name a user_id, a client_id or a session"));
    }
    if !user_id.is_empty() {
        user_id.parse::<UserId>().map_err(|why| invalid("selector.user_id", why))?;
    }
    if !client.is_empty() {
        client_id("selector.client_id", &client)?;
    }
    if session.len() > SECRET_BYTES_MAX {
        return Err(invalid("selector.session", format!("is longer than {SECRET_BYTES_MAX} bytes")));
    }
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(Whom { user: given(user_id), client: given(client), session: given(session) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_service::grpc::blamed_field;

    use super::*;

    #[test]
    fn a_selector_that_names_nobody_or_nonsense_is_refused_by_field() {
        let selector = |user: &str, client: &str, session: &str| v1::Selector {
            user_id: user.to_owned(),
            client_id: client.to_owned(),
            session: session.to_owned(),
        };
        for (selector, field) in [
            (None, "selector"),
            (Some(selector("", "", "")), "selector"),
            (Some(selector("a b", "", "")), "selector.user_id"),
            (Some(selector("", "7", "")), "selector.client_id"),
            (Some(selector("7", "", &"x".repeat(257))), "selector.session"),
        ] {
            assert_eq!(blamed_field(&whom(selector).unwrap_err()), field);
        }
        assert_eq!(whom(Some(selector("7", "", ""))).unwrap().user.as_deref(), Some("7"));
    }
}
