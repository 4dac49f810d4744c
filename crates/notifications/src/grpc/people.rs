//! What is known of one user: handed out, and taken away.

use platepal_proto::v1;
use platepal_service::grpc::fields;
use tonic::Status;

use super::{Notifications, convert, devices, store_status};

/// Notifications that are read at once.
const PAGE: usize = 500;

impl Notifications {
    pub(crate) async fn export_inbox(
        &self,
        request: v1::ExportInboxRequest,
    ) -> Result<v1::ExportInboxResponse, Status> {
        let user_id = request.user_id;
        fields::id("user_id", &user_id)?;
        let (mut notifications, mut before) = (Vec::new(), None);
        loop {
            let listed = self.store.list(&user_id, before, false, PAGE).await;
            let (page, more, _) = listed.map_err(store_status)?;
            before = page.last().map(|last| last.sequence);
            notifications.extend(page.into_iter().map(convert::message));
            if !more {
                break;
            }
        }
        let preferences = self.store.preferences(&user_id).await.map_err(store_status)?;
        let own = self.store.devices(&user_id).await.map_err(store_status)?;
        Ok(v1::ExportInboxResponse {
            notifications,
            preferences: Some(convert::preferences_message(preferences)),
            devices: own.into_iter().map(devices::message).collect(),
        })
    }

    pub(crate) async fn delete_inbox(
        &self,
        request: v1::DeleteInboxRequest,
    ) -> Result<v1::DeleteInboxResponse, Status> {
        fields::id("user_id", &request.user_id)?;
        let notifications = self.store.erase(&request.user_id).await.map_err(store_status)?;
        Ok(v1::DeleteInboxResponse { notifications })
    }
}
