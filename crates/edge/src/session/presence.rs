//! Who comes to a channel and goes, for channels whose readers may know: told to those who read it now, and kept
//! nowhere.
//!
//! Invariant: whoever was said to have come is said to have gone, whatever way its connection ended; only the
//! end of a whole edge says nothing. Who is there is [`crate::questions`]' to answer.

use std::{sync::Arc, time::Duration};

use platepal_events::{Channel, Event};
use platepal_proto::v1;

use super::User;
use crate::{Edge, centrifuge::messages::ClientInfo};

/// The types of the two events, between edges only.
pub(crate) const JOINED: &str = "presence.joined";
pub(crate) const LEFT: &str = "presence.left";
/// How long saying it may take; nobody waits for it.
const SAYING_TIMEOUT: Duration = Duration::from_secs(2);

/// Somebody who was said to have come; dropping it says that it has gone.
pub(crate) struct Announced {
    edge: Arc<Edge>,
    channel: Channel,
    info: ClientInfo,
}

impl Announced {
    /// Says that somebody has come, if the channel's readers may know of each other's coming and going.
    pub fn join(edge: &Arc<Edge>, channel: &Channel, user: &User) -> Option<Box<Self>> {
        if !channel.kind().tells_presence() {
            return None;
        }
        let info = ClientInfo {
            user: user.principal.user_id.to_string(),
            client: edge.sessions.client_name(user.registration.id()),
            conn_info: user.principal.info.as_deref().map(|info| info.to_owned().into()).unwrap_or_default(),
        };
        let announced = Box::new(Self { edge: Arc::clone(edge), channel: channel.clone(), info });
        announced.say(JOINED);
        Some(announced)
    }

    fn say(&self, kind: &str) {
        let (bus, channel, clock) = (Arc::clone(&self.edge.bus), self.channel.clone(), self.edge.clock);
        let payload = serde_json::to_vec(&self.info).unwrap_or_default();
        let message = v1::Event { r#type: kind.to_owned(), payload: payload.into(), ..v1::Event::default() };
        self.edge.shutdown.spawn(async move {
            let Ok(event) = Event::parse(message, clock.now()) else { return };
            match tokio::time::timeout(SAYING_TIMEOUT, bus.pass(&channel, &event)).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => tracing::debug!(%channel, %why, "who came or went is not told"),
                Err(_) => tracing::debug!(%channel, "who came or went is not told in time"),
            }
        });
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.say(LEFT);
    }
}
