//! How far everybody has read: marks, and what is not read.

use platepal_events::{Event, EventId, EventType, Timestamp};
use platepal_proto::v1;
use platepal_service::grpc::fields;
use tonic::Status;

use super::{Chat, no_room, number, room_id, store_status};
use crate::{
    rules::payload,
    store::{
        reads::{NoMark, Unread},
        rooms::Place,
    },
};

impl Chat {
    pub(crate) async fn mark_read(
        &self,
        request: v1::MarkReadRequest,
    ) -> Result<v1::MarkReadResponse, Status> {
        let v1::MarkReadRequest { room_id: id, user_id, sequence } = request;
        room_id(&id)?;
        fields::id("user_id", &user_id)?;
        let sequence = self.mark(&id, &user_id, number("sequence", sequence)?).await?;
        Ok(v1::MarkReadResponse { sequence: sequence.unsigned_abs() })
    }

    /// Moves a member's mark on and tells the room; the mark.
    pub(super) async fn mark(&self, id: &str, user_id: &str, sequence: i64) -> Result<i64, Status> {
        let (now, traceparent) = (self.clock.now(), Self::traceparent());
        let place = Place::new(id, &traceparent, now).map_err(store_status)?;
        let marked = self.store.mark_read(&place, user_id, sequence).await.map_err(store_status)?;
        let (sequence, moved) = marked.map_err(|why| match why {
            NoMark::NoRoom => no_room(id),
            NoMark::NotAMember => Status::permission_denied("permission denied: you are not in this room"),
        })?;
        if moved {
            metrics::counter!("realtime_chat_reads_total").increment(1);
            self.tell_mark(&place, user_id, sequence, now).await;
        }
        Ok(sequence)
    }

    /// A mark is a newest value: one that is not told is made up for by the next.
    async fn tell_mark(&self, place: &Place<'_>, user_id: &str, sequence: i64, now: Timestamp) {
        let payload = payload::read(place.room_id, user_id, sequence, now);
        let event = Event {
            key: user_id.into(),
            traceparent: place.traceparent.into(),
            ..Event::new(EventId::make(), EventType::named("chat_read"), payload, now)
        };
        if let Err(why) = self.bus.append(std::slice::from_ref(&place.channel), &event).await {
            tracing::warn!(room = place.room_id, %why, "how far somebody has read is kept, and was not told");
        }
    }

    pub(crate) async fn get_unread(
        &self,
        request: v1::GetUnreadRequest,
    ) -> Result<v1::GetUnreadResponse, Status> {
        fields::id("user_id", &request.user_id)?;
        let rooms = self.store.unread(&request.user_id).await.map_err(store_status)?;
        let unread = rooms.iter().map(|room| room.unread.unsigned_abs()).sum();
        let rooms = rooms.into_iter().map(|Unread { room_id, unread, read_sequence, sequence }| v1::Unread {
            room_id,
            unread: unread.unsigned_abs(),
            read_sequence: read_sequence.unsigned_abs(),
            sequence: sequence.unsigned_abs(),
        });
        Ok(v1::GetUnreadResponse { rooms: rooms.collect(), unread })
    }
}
