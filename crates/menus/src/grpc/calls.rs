//! What clients call by name.

use bytes::Bytes;
use platepal_service::{
    grpc::fields::{self, JsonId},
    json,
};
use serde::Deserialize;
use tonic::Status;

use super::{Menus, store_status};
use crate::rules::payload;

/// The arguments of `menus.get`.
#[derive(Deserialize)]
struct Get {
    restaurant_id: JsonId,
}

impl Menus {
    /// The menu as it is now: what its snapshot has in `data`, all of it.
    pub(super) async fn get_json(&self, arguments: &[u8]) -> Result<Bytes, Status> {
        let Get { restaurant_id } = json::arguments(arguments, "{\"restaurant_id\": 12}")?;
        let restaurant_id = String::from(restaurant_id);
        fields::id("restaurant_id", &restaurant_id)?;
        let read = self.store.read(&restaurant_id).await.map_err(store_status)?;
        json::answer(&payload::whole(&restaurant_id, read.menu_version, &read.items))
    }
}
