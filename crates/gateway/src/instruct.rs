//! Orders for open sessions: their form is checked here, and they are given by being kept on the bus.

use std::{sync::Arc, time::Duration};

use platepal_auth::UserId;
use platepal_bus::Bus;
use platepal_events::{Channel, Timestamp, millis};
use platepal_proto::v1;
use platepal_service::{
    Clock, Parts,
    grpc::{bus_status, invalid},
    instruction::{EXCEPT_MAX, Instruction, Whom},
    revocation::Revocation,
};
use tonic::Status;
use uuid::Uuid;

use crate::Settings;

/// The longest reason that a close frame holds, in bytes.
const REASON_BYTES_MAX: usize = 123;
/// The longest secret of a session, in bytes.
const SECRET_BYTES_MAX: usize = 256;
/// The longest id of a token, in bytes.
const TOKEN_ID_BYTES_MAX: usize = 256;
/// Django's clock may be ahead of ours by so much.
const AHEAD_MILLIS_MAX: i64 = 60_000;

/// Gives orders. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Instructor {
    bus: Arc<dyn Bus>,
    clock: Clock,
    revocation_time: Duration,
}

impl Instructor {
    pub(crate) fn new(settings: &Settings, parts: &Parts) -> Self {
        metrics::describe_counter!(
            "realtime_gateway_instructions_total",
            "Orders of backends for open sessions, by kind and result"
        );
        Self { bus: parts.bus.clone(), clock: parts.clock, revocation_time: settings.revocation_time }
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

    pub(crate) async fn revoke_tokens(&self, request: v1::RevokeTokensRequest) -> Result<(), Status> {
        let v1::RevokeTokensRequest { user_id, token_id, issued_before, until } = request;
        user_id.parse::<UserId>().map_err(|why| invalid("user_id", why))?;
        if token_id.len() > TOKEN_ID_BYTES_MAX {
            return Err(invalid("token_id", format!("is longer than {TOKEN_ID_BYTES_MAX} bytes")));
        }
        let now = self.clock.now();
        let moment = |field: &str, moment: Option<prost_types::Timestamp>| {
            moment.map(Timestamp::try_from).transpose().map_err(|why| invalid(field, why))
        };
        let issued_before = moment("issued_before", issued_before)?.unwrap_or(now);
        if issued_before > now.plus_millis(AHEAD_MILLIS_MAX) {
            return Err(invalid("issued_before", "is in the future: nobody could sign in until then"));
        }
        let last = now.plus_millis(millis(self.revocation_time));
        let until = moment("until", until)?.unwrap_or(last);
        if until > last {
            return Err(invalid(
                "until",
                format!(
                    "{until} is later than revocations are kept (REALTIME_GATEWAY_REVOCATION_TIME): until {last}"
                ),
            ));
        }
        let token_id = Some(token_id).filter(|id| !id.is_empty());
        let revocation = Revocation { user: user_id, token_id, issued_before, until };
        let given = revocation.give(&*self.bus, now).await;
        self.count("revoke_tokens", given.is_ok());
        given.map_err(|why| bus_status(&why))
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
        self.count(instruction.word(), given.is_ok());
        given.map_err(|why| bus_status(&why))
    }

    fn count(&self, kind: &'static str, is_kept: bool) {
        let result = if is_kept { "kept" } else { "failed" };
        metrics::counter!("realtime_gateway_instructions_total", "kind" => kind, "result" => result)
            .increment(1);
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
