//! What users want.

use platepal_proto::v1;
use platepal_service::grpc::{fields, invalid};
use tonic::Status;

use super::{Notifications, convert, store_status};

impl Notifications {
    pub(crate) async fn get_preferences(
        &self,
        request: v1::GetPreferencesRequest,
    ) -> Result<v1::GetPreferencesResponse, Status> {
        fields::id("user_id", &request.user_id)?;
        let preferences = self.store.preferences(&request.user_id).await.map_err(store_status)?;
        Ok(v1::GetPreferencesResponse { preferences: Some(convert::preferences_message(preferences)) })
    }

    pub(crate) async fn set_preferences(
        &self,
        request: v1::SetPreferencesRequest,
    ) -> Result<v1::SetPreferencesResponse, Status> {
        let v1::SetPreferencesRequest { user_id, preferences } = request;
        fields::id("user_id", &user_id)?;
        let preferences = preferences.ok_or_else(|| invalid("preferences", "must be set"))?;
        let preferences = convert::preferences(preferences)?;
        let kept = self.store.set_preferences(&user_id, |_| preferences).await.map_err(store_status)?;
        Ok(v1::SetPreferencesResponse { preferences: Some(convert::preferences_message(kept)) })
    }

    pub(crate) async fn snooze(&self, request: v1::SnoozeRequest) -> Result<v1::SnoozeResponse, Status> {
        let v1::SnoozeRequest { user_id, until } = request;
        fields::id("user_id", &user_id)?;
        let until = fields::maybe_moment("until", until)?;
        self.store.snooze(&user_id, until).await.map_err(store_status)?;
        Ok(v1::SnoozeResponse {})
    }
}
