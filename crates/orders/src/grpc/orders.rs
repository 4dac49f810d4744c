//! `OrdersService`.

use async_trait::async_trait;
use platepal_events::{CHANNELS_PER_EVENT_MAX, Channel};
use platepal_proto::v1::{self, orders_service_server::OrdersService};
use platepal_service::{grpc::invalid, trace};
use tonic::{Request, Response, Status};

use super::{Orders, Told, convert, store_status};
use crate::store::Audience;

/// The most orders of one `BatchGetOrders`.
const BATCH_ORDERS_MAX: usize = 500;

#[async_trait]
impl OrdersService for Orders {
    async fn publish_order(
        &self,
        request: Request<v1::PublishOrderRequest>,
    ) -> Result<Response<v1::PublishOrderResponse>, Status> {
        let traceparent = trace::current().unwrap_or_default();
        let v1::PublishOrderRequest { update, channels } = request.into_inner();
        let update = update.ok_or_else(|| invalid("update", "must be set"))?;
        let update = convert::update(update, traceparent, self.clock.now())?;
        if channels.len() > CHANNELS_PER_EVENT_MAX {
            return Err(invalid(
                "channels",
                format!("{}, the limit is {CHANNELS_PER_EVENT_MAX}", channels.len()),
            ));
        }
        let channels = channels
            .iter()
            .map(|name| name.parse::<Channel>().map_err(|why| invalid("channels", why)))
            .collect::<Result<Vec<_>, _>>()?;
        let Told { event_id, outcome, version, kept, note } =
            self.take(update, Audience::Participants(channels)).await?;
        Ok(Response::new(v1::PublishOrderResponse {
            event_id: event_id.to_string(),
            outcome: outcome.into(),
            version,
            kept,
            note,
        }))
    }

    async fn get_order(
        &self,
        request: Request<v1::GetOrderRequest>,
    ) -> Result<Response<v1::GetOrderResponse>, Status> {
        let id = request.into_inner().order_id;
        convert::order_id("order_id", &id)?;
        match self.store.read(&id).await.map_err(store_status)? {
            Some(read) => Ok(Response::new(v1::GetOrderResponse { order: Some(convert::order(read)) })),
            None => Err(Status::not_found(format!("order {id} was never published here"))),
        }
    }

    async fn batch_get_orders(
        &self,
        request: Request<v1::BatchGetOrdersRequest>,
    ) -> Result<Response<v1::BatchGetOrdersResponse>, Status> {
        let ids = request.into_inner().order_ids;
        if ids.is_empty() || ids.len() > BATCH_ORDERS_MAX {
            return Err(invalid("order_ids", format!("{}, must be 1 to {BATCH_ORDERS_MAX}", ids.len())));
        }
        for (n, id) in ids.iter().enumerate() {
            convert::order_id(&format!("order_ids[{n}]"), id)?;
        }
        let read = self.store.read_all(&ids).await.map_err(store_status)?;
        Ok(Response::new(v1::BatchGetOrdersResponse {
            orders: read.into_iter().map(convert::order).collect(),
        }))
    }
}
