//! Rooms: put, closed, read; and who is in one now.

use platepal_proto::v1;
use platepal_service::grpc::{fields, invalid};
use tonic::Status;

use super::{Chat, convert, no_room, room_id, store_status};
use crate::store::rooms::{Changed, Place};

/// Sessions of one room that are looked at to say who is there.
const PRESENT_MAX: u32 = 1_000;

impl Chat {
    pub(crate) async fn put_room(&self, request: v1::PutRoomRequest) -> Result<v1::PutRoomResponse, Status> {
        let room = request.room.ok_or_else(|| invalid("room", "must be set"))?;
        fields::id("room.room_id", &room.room_id)?;
        let room_id = room.room_id.clone();
        let update = convert::update(room)?;
        let (now, traceparent) = (self.clock.now(), Self::traceparent());
        let place = Place::new(&room_id, &traceparent, now).map_err(store_status)?;
        let Changed { read, stale, streams } =
            self.store.put_room(&place, update).await.map_err(store_status)?;
        self.drain(&streams, now).await?;
        let outcome = if stale { "stale" } else { "kept" };
        metrics::counter!("realtime_chat_rooms_total", "outcome" => outcome).increment(1);
        Ok(v1::PutRoomResponse { room: Some(convert::room_message(read)), stale })
    }

    pub(crate) async fn close_room(
        &self,
        request: v1::CloseRoomRequest,
    ) -> Result<v1::CloseRoomResponse, Status> {
        let v1::CloseRoomRequest { room_id: id, at } = request;
        room_id(&id)?;
        let (now, traceparent) = (self.clock.now(), Self::traceparent());
        let at = fields::moment("at", at, now)?;
        let place = Place::new(&id, &traceparent, now).map_err(store_status)?;
        let changed = if at <= now {
            metrics::counter!("realtime_chat_rooms_closed_total", "by" => "call").increment(1);
            self.store.close_room(&place).await
        } else {
            self.store.close_room_at(&place, at).await
        };
        let Changed { read, streams, .. } = changed.map_err(store_status)?.ok_or_else(|| no_room(&id))?;
        self.drain(&streams, now).await?;
        Ok(v1::CloseRoomResponse { room: Some(convert::room_message(read)) })
    }

    pub(crate) async fn get_room(&self, request: v1::GetRoomRequest) -> Result<v1::GetRoomResponse, Status> {
        let id = request.room_id;
        room_id(&id)?;
        let read = self.store.room(&id).await.map_err(store_status)?.ok_or_else(|| no_room(&id))?;
        let present_user_ids = self.present(&id).await?;
        Ok(v1::GetRoomResponse { room: Some(convert::room_message(read)), present_user_ids })
    }

    /// Who looks at a room now, as far as the edges answer.
    pub(super) async fn present(&self, room_id: &str) -> Result<Vec<String>, Status> {
        let channel = crate::store::channel(room_id).map_err(|why| invalid("room_id", why))?;
        let Some(edges) = &self.edges else { return Ok(Vec::new()) };
        let request = v1::ConnectedRequest {
            channel: channel.to_string(),
            limit: PRESENT_MAX,
            ..v1::ConnectedRequest::default()
        };
        let connected = edges.connected(request).await;
        let mut users: Vec<String> = connected.sessions.into_iter().map(|session| session.user_id).collect();
        users.sort();
        users.dedup();
        Ok(users)
    }
}
