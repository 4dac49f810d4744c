//! Notifications that Django makes.

use futures_util::{StreamExt, stream};
use platepal_proto::v1;
use platepal_service::grpc::invalid;
use tonic::Status;

use super::{Notifications, convert, store_status};
use crate::store::inbox::Made;

/// The most in one call.
const MANY_MAX: usize = 500;
/// Of them, so many are kept at a time; notifications of one user wait for each other.
const AT_ONCE: usize = 16;

impl Notifications {
    pub(crate) async fn notify(&self, request: v1::NotifyRequest) -> Result<v1::NotifyResponse, Status> {
        let (notification, duplicate) = self.make(request).await?;
        Ok(v1::NotifyResponse { notification: Some(notification), duplicate })
    }

    pub(crate) async fn notify_many(
        &self,
        request: v1::NotifyManyRequest,
    ) -> Result<v1::NotifyManyResponse, Status> {
        let notifications = request.notifications;
        if notifications.len() > MANY_MAX {
            return Err(invalid(
                "notifications",
                format!("{}, the limit is {MANY_MAX}", notifications.len()),
            ));
        }
        let made = stream::iter(notifications).map(|one| async move {
            match self.make(one).await {
                Ok((notification, duplicate)) => {
                    v1::NotifyOutcome { notification: Some(notification), duplicate, error: String::new() }
                }
                Err(status) => {
                    v1::NotifyOutcome { error: status.message().to_owned(), ..v1::NotifyOutcome::default() }
                }
            }
        });
        Ok(v1::NotifyManyResponse { outcomes: made.buffered(AT_ONCE).collect().await })
    }

    async fn make(&self, request: v1::NotifyRequest) -> Result<(v1::Notification, bool), Status> {
        let new = convert::new(request, Self::traceparent())?;
        let now = self.clock.now();
        let Made { notification, duplicate, stream } =
            self.store.make(new, &self.templates, now).await.map_err(store_status)?;
        self.drain(&stream, now).await?;
        let source = if duplicate { "repeat" } else { "call" };
        metrics::counter!("realtime_notifications_made_total", "source" => source).increment(1);
        Ok((convert::message(notification), duplicate))
    }
}
