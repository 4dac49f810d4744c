//! Messages that wait for somebody to decide.

use platepal_proto::v1;
use platepal_service::grpc::fields;
use tonic::Status;

use super::{Chat, convert, number, store_status};

/// Messages in an answer, unless it is said, and at most.
const HELD: (u32, u32) = (50, 200);

impl Chat {
    pub(crate) async fn list_held(
        &self,
        request: v1::ListHeldRequest,
    ) -> Result<v1::ListHeldResponse, Status> {
        let limit = fields::limit("limit", request.limit, HELD.0, HELD.1)?;
        let held = self.store.held(i64::try_from(limit).unwrap_or(i64::MAX)).await.map_err(store_status)?;
        let messages = held.into_iter().map(|message| v1::HeldMessage {
            reason: message.reason.clone(),
            message: Some(convert::message(message)),
        });
        Ok(v1::ListHeldResponse { messages: messages.collect() })
    }

    pub(crate) async fn decide_message(
        &self,
        request: v1::DecideMessageRequest,
    ) -> Result<v1::DecideMessageResponse, Status> {
        let v1::DecideMessageRequest { id, show } = request;
        let id = number("id", id)?;
        let unknown = || Status::not_found(format!("there is no message {id}"));
        let held = self.store.message(id).await.map_err(store_status)?.ok_or_else(unknown)?;
        let (now, traceparent) = (self.clock.now(), Self::traceparent());
        let decided = self.store.decide(&held.room_id, id, show, (&traceparent, now)).await;
        let decided = decided.map_err(store_status)?.ok_or_else(unknown)?;
        self.drain(&[decided.stream], now).await?;
        metrics::counter!("realtime_chat_changes_total", "change" => "decided").increment(1);
        Ok(v1::DecideMessageResponse { message: Some(convert::message(decided.message)) })
    }
}
