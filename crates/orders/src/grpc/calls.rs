//! What clients call by name.
//!
//! Invariant: an order is shown only to whoever may read its channel.

use bytes::Bytes;
use platepal_events::{Channel, ChannelKind};
use platepal_service::{
    domain::{Domain, Sender, Verdict},
    grpc::{fields::JsonId, invalid},
};
use serde::Deserialize;
use tonic::Status;

use super::Orders;

/// The arguments of `orders.get`.
#[derive(Deserialize)]
struct Get {
    order_id: JsonId,
}

impl Orders {
    /// The order as it is now: what the frame of its snapshot has in `data`.
    pub(super) async fn get(&self, sender: &Sender, arguments: &[u8]) -> Result<Bytes, Status> {
        let Get { order_id } = serde_json::from_slice(arguments)
            .map_err(|_| invalid("data", "must be like {\"order_id\": 5012}"))?;
        let id = String::from(order_id);
        let channel =
            Channel::new(ChannelKind::Order, &id).map_err(|why| invalid("order_id", why.to_string()))?;
        match self.authorize(&sender.principal, &sender.token, &channel).await {
            Verdict::Allowed(_) => {}
            Verdict::Denied(reason) => {
                tracing::debug!(user = %sender.principal.user_id, %channel, reason, "denied");
                return Err(Status::permission_denied("this user may not read this order"));
            }
            Verdict::Undecided(why) => {
                tracing::warn!(user = %sender.principal.user_id, %channel, why, "access can't be decided now");
                return Err(Status::unavailable("access can't be decided now; try again later"));
            }
        }
        let state = self.snapshot(&channel).await?.state;
        let (event, _) = state.ok_or_else(|| Status::not_found("nothing is known of this order yet"))?;
        Ok(event.payload)
    }
}
