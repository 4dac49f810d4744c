//! The inbox: listed, read, cleared; and what became of a notification.

use platepal_events::Timestamp;
use platepal_proto::v1;
use platepal_service::grpc::{fields, invalid};
use tonic::Status;

use super::{Notifications, convert, number, store_status};
use crate::store::inbox::Marked;

/// Notifications on a page, unless it is said, and at most.
pub(super) const PAGE: (u32, u32) = (20, 100);
/// Ids in one call.
const IDS_MAX: usize = 500;

impl Notifications {
    pub(crate) async fn list_inbox(
        &self,
        request: v1::ListInboxRequest,
    ) -> Result<v1::ListInboxResponse, Status> {
        let v1::ListInboxRequest { user_id, before, limit, unread_only } = request;
        fields::id("user_id", &user_id)?;
        let limit = fields::limit("limit", limit, PAGE.0, PAGE.1)?;
        let before = Some(number("before", before)?).filter(|before| *before > 0);
        let listed = self.store.list(&user_id, before, unread_only, limit).await;
        let (notifications, more, unread) = listed.map_err(store_status)?;
        let notifications = notifications.into_iter().map(convert::message).collect();
        Ok(v1::ListInboxResponse { notifications, more, unread: unread.unsigned_abs() })
    }

    pub(crate) async fn count_unread(
        &self,
        request: v1::CountUnreadRequest,
    ) -> Result<v1::CountUnreadResponse, Status> {
        fields::id("user_id", &request.user_id)?;
        let unread = self.store.count_unread(&request.user_id).await.map_err(store_status)?;
        Ok(v1::CountUnreadResponse { unread: unread.unsigned_abs() })
    }

    pub(crate) async fn mark_notifications_read(
        &self,
        request: v1::MarkNotificationsReadRequest,
    ) -> Result<v1::MarkNotificationsReadResponse, Status> {
        let v1::MarkNotificationsReadRequest { user_id, ids, up_to, all } = request;
        fields::id("user_id", &user_id)?;
        let ids = ids.into_iter().map(|id| number("ids", id)).collect::<Result<Vec<_>, _>>()?;
        let up_to = if all { i64::MAX } else { number("up_to", up_to)? };
        let Marked { count, unread } = self.mark(&user_id, &ids, up_to).await?;
        Ok(v1::MarkNotificationsReadResponse { marked: count, unread: unread.unsigned_abs() })
    }

    pub(super) async fn mark(&self, user_id: &str, ids: &[i64], up_to: i64) -> Result<Marked, Status> {
        if ids.len() > IDS_MAX {
            return Err(invalid("ids", format!("{}, the limit is {IDS_MAX}", ids.len())));
        }
        let (now, traceparent) = (self.clock.now(), Self::traceparent());
        let marked = self.store.mark_read(user_id, ids, up_to, (&traceparent, now)).await;
        let (marked, stream) = marked.map_err(store_status)?;
        if let Some(stream) = stream {
            self.drain(&stream, now).await?;
        }
        metrics::counter!("realtime_notifications_read_total").increment(marked.count);
        Ok(marked)
    }

    pub(crate) async fn clear_read(
        &self,
        request: v1::ClearReadRequest,
    ) -> Result<v1::ClearReadResponse, Status> {
        fields::id("user_id", &request.user_id)?;
        let cleared = self.clear(&request.user_id).await?;
        Ok(v1::ClearReadResponse { cleared })
    }

    pub(super) async fn clear(&self, user_id: &str) -> Result<u64, Status> {
        let (now, traceparent) = (self.clock.now(), Self::traceparent());
        let cleared = self.store.clear_read(user_id, (&traceparent, now)).await;
        let (cleared, stream) = cleared.map_err(store_status)?;
        if let Some(stream) = stream {
            self.drain(&stream, now).await?;
        }
        Ok(cleared)
    }

    pub(crate) async fn list_deliveries(
        &self,
        request: v1::ListDeliveriesRequest,
    ) -> Result<v1::ListDeliveriesResponse, Status> {
        let records = self.store.deliveries(number("notification_id", request.notification_id)?).await;
        let deliveries = records.map_err(store_status)?.into_iter().map(|record| v1::DeliveryRecord {
            way: record.way.to_message().into(),
            device_id: record.device_id,
            state: record.state.to_message().into(),
            why: record.why,
            attempts: u32::try_from(record.attempts).unwrap_or(u32::MAX),
            changed_at: Some(Timestamp::from_micros(record.changed_at).into()),
        });
        Ok(v1::ListDeliveriesResponse { deliveries: deliveries.collect() })
    }
}
