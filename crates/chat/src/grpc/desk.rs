//! The support desk: the queue, and who has which room.

use platepal_proto::v1;
use platepal_service::grpc::{fields, invalid};
use tonic::Status;

use super::{Chat, convert, no_room, room_id, store_status};
use crate::{
    rules::room::{Member, MemberRole},
    store::{
        desk::AssignError,
        rooms::{Place, Read},
    },
};

/// Rooms in an answer, unless it is said, and at most.
const ROOMS: (u32, u32) = (50, 500);

impl Chat {
    pub(crate) async fn list_desk(
        &self,
        request: v1::ListDeskRequest,
    ) -> Result<v1::ListDeskResponse, Status> {
        let v1::ListDeskRequest { agent_id, limit } = request;
        fields::maybe_id("agent_id", &agent_id)?;
        let limit = fields::limit("limit", limit, ROOMS.0, ROOMS.1)?;
        let rooms = self.store.desk(&agent_id, i64::try_from(limit).unwrap_or(i64::MAX)).await;
        let rooms = rooms.map_err(store_status)?.into_iter().map(|read| v1::DeskRoom {
            waiting_since: convert::maybe_at(read.room.waiting_since),
            last_message_at: convert::maybe_at(read.last_message_at),
            room: Some(convert::room_message(read)),
        });
        Ok(v1::ListDeskResponse { rooms: rooms.collect() })
    }

    pub(crate) async fn assign_agent(
        &self,
        request: v1::AssignAgentRequest,
    ) -> Result<v1::AssignAgentResponse, Status> {
        let v1::AssignAgentRequest { room_id: id, agent, from_agent_id, release } = request;
        room_id(&id)?;
        fields::maybe_id("from_agent_id", &from_agent_id)?;
        let agent = match (agent, release) {
            (Some(_), true) => return Err(invalid("release", "must be false when there is an agent")),
            (None, false) => return Err(invalid("agent", "must be set, or `release`")),
            (None, true) => None,
            (Some(agent), false) => {
                let role = v1::MemberRole::Agent.into();
                Some(convert::member("agent", v1::Member { role, ..agent })?)
            }
        };
        let read = self.assign(&id, agent, &from_agent_id).await?;
        Ok(v1::AssignAgentResponse { room: Some(convert::room_message(read)) })
    }

    /// Gives a room to an agent, or back to the queue, and says so in the room.
    pub(super) async fn assign(&self, id: &str, agent: Option<Member>, from: &str) -> Result<Read, Status> {
        debug_assert!(agent.as_ref().is_none_or(|agent| agent.role == MemberRole::Agent));
        let line = match &agent {
            None => self.canned.text("agent_left", ""),
            Some(agent) if from.is_empty() => self.canned.text("agent_joined", &agent.face.name),
            Some(agent) => self.canned.text("agent_changed", &agent.face.name),
        };
        let (now, traceparent) = (self.clock.now(), Self::traceparent());
        let place = Place::new(id, &traceparent, now).map_err(store_status)?;
        let assigned = self.store.assign(&place, agent, from, line).await.map_err(store_status)?;
        let assigned = assigned.ok_or_else(|| no_room(id))?;
        let result = if assigned.is_ok() { "assigned" } else { "refused" };
        metrics::counter!("realtime_chat_assigned_total", "result" => result).increment(1);
        let changed = assigned.map_err(|why: AssignError| Status::failed_precondition(why.to_string()))?;
        self.drain(&changed.streams, now).await?;
        Ok(changed.read)
    }
}
