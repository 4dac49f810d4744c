//! Passing events: a plain publish to the subject on which the log is told, so that those who listen to a channel
//! need no subscription more.
//!
//! A header marks them, and they have none of JetStream's: no sequence, so that they can't look like an event of
//! the log, or like a gap.

use async_nats::{HeaderMap, Message, client::PublishErrorKind, connection::State};
use metrics::counter;
use platepal_events::{Channel, Event};

use super::{
    Shared,
    connect::unavailable,
    direct::header,
    subjects::{self, LOG_TOLD},
};
use crate::{BusError, body, clock, measure, passing, subscription::Signal};

/// Marks a message as passing.
const PASSING: &str = "Realtime-Passing";

impl Shared {
    pub(super) async fn pass(&self, channel: &Channel, event: &Event) -> Result<(), BusError> {
        passing::admit(event, self.settings.passing_bytes)?;
        // The client would keep it until it is connected again, and those who hear it then take it for news.
        if self.commands.connection_state() != State::Connected {
            return Err(unavailable("not connected now"));
        }
        let subject = subjects::of_channel(LOG_TOLD, self.partition(channel)?.number(), channel);
        let mut headers = HeaderMap::new();
        headers.insert(PASSING, "1");
        let body = body::encode(event).into();
        self.commands.publish_with_headers(subject, headers, body).await.map_err(|why| match why.kind() {
            PublishErrorKind::MaxPayloadExceeded => BusError::Refused(format!(
                "the event is larger than NATS takes ({why}); nobody was told; raise max_payload of the NATS server"
            )),
            _ => unavailable(why),
        })
    }
}

/// Whether a message is one that is kept nowhere.
pub(super) fn is_passing(message: &Message) -> bool {
    header(message, PASSING).is_some()
}

/// The event of such a message. `None`: it can't be read, which is said.
pub(super) fn passed(channel: &Channel, message: &Message) -> Option<Signal> {
    match body::decode(message.payload.clone(), clock::now()) {
        Ok(event) => Some(Signal::Passing(event)),
        Err(why) => {
            counter!(measure::UNREADABLE).increment(1);
            tracing::error!(%channel, why, "a passing event can't be read; it is left out");
            None
        }
    }
}
