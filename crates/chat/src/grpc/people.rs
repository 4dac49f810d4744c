//! What is known of one user: handed out, and taken away.

use platepal_proto::v1;
use platepal_service::grpc::fields;
use tokio::sync::mpsc;
use tonic::Status;

use super::{Chat, convert, store_status};

/// Messages in one answer of an export, and that are erased in one transaction.
const PAGE: i64 = 200;
/// Answers that were read and not sent yet; then the client's reading sets the pace.
const AHEAD: usize = 4;

impl Chat {
    pub(crate) fn export(
        &self,
        request: v1::ExportUserRequest,
    ) -> Result<mpsc::Receiver<Result<v1::ExportUserResponse, Status>>, Status> {
        let user_id = request.user_id;
        fields::id("user_id", &user_id)?;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let store = self.store.clone();
        self.shutdown.spawn(async move {
            let mut after = 0;
            loop {
                let page = match store.written_by(&user_id, after, PAGE).await {
                    Ok(page) => page,
                    Err(why) => return drop(sender.send(Err(store_status(why))).await),
                };
                let Some(last) = page.last() else { return };
                after = last.id;
                let messages = page.into_iter().map(convert::message).collect();
                if sender.send(Ok(v1::ExportUserResponse { messages })).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    pub(crate) async fn delete_user(
        &self,
        request: v1::DeleteUserRequest,
    ) -> Result<v1::DeleteUserResponse, Status> {
        let user_id = request.user_id;
        fields::id("user_id", &user_id)?;
        let mut messages = 0;
        loop {
            let now = self.clock.now();
            let erased = self.store.erase_some(&user_id, PAGE, now).await.map_err(store_status)?;
            let Some((stream, count)) = erased else { break };
            messages += count;
            self.drain(&[stream], now).await?;
        }
        self.store.erase_faces(&user_id).await.map_err(store_status)?;
        Ok(v1::DeleteUserResponse { messages })
    }
}
