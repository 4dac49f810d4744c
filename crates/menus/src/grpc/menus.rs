//! `MenusService`.

use async_trait::async_trait;
use platepal_proto::v1::{self, menus_service_server::MenusService};
use platepal_service::{
    grpc::{fields, invalid},
    trace,
};
use tonic::{Request, Response, Status};

use super::{Menus, convert, message, note, store_status};

#[async_trait]
impl MenusService for Menus {
    async fn update_menu(
        &self,
        request: Request<v1::UpdateMenuRequest>,
    ) -> Result<Response<v1::UpdateMenuResponse>, Status> {
        let traceparent = trace::current().unwrap_or_default();
        let update = convert::update(request.into_inner(), traceparent, self.clock.now())?;
        if update.changes.is_empty() {
            return Err(invalid("items", "must name at least one"));
        }
        let event_id = update.event_id.to_string();
        let kept = self.take(update).await?;
        Ok(Response::new(v1::UpdateMenuResponse {
            event_id,
            outcome: message(kept.outcome).into(),
            menu_version: kept.menu_version,
            note: note(&kept),
        }))
    }

    async fn get_menu(
        &self,
        request: Request<v1::GetMenuRequest>,
    ) -> Result<Response<v1::GetMenuResponse>, Status> {
        let restaurant_id = request.into_inner().restaurant_id;
        fields::id("restaurant_id", &restaurant_id)?;
        let read = self.store.read(&restaurant_id).await.map_err(store_status)?;
        Ok(Response::new(v1::GetMenuResponse {
            restaurant_id,
            menu_version: read.menu_version,
            items: read.items.iter().map(convert::item).collect(),
        }))
    }
}
