//! A dinner rush: orders that move through their lives, published as Django would, over gRPC.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use platepal_proto::v1::{self, OrderStatus, OrderType, orders_service_client::OrdersServiceClient};
use platepal_service::{Clock, grpc::AttachKey};
use platepal_settings::Secret;
use rand::{Rng, seq::IndexedRandom};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

type Orders = OrdersServiceClient<InterceptedService<Channel, AttachKey>>;

/// Orders under way at the same time; a new one waits for one of them.
const ORDERS_MAX: usize = 200;
/// Attempts to publish one update before the order is given up.
const ATTEMPTS_MAX: u32 = 5;

const DISHES: [(&str, f64); 8] = [
    ("Margherita", 9.5),
    ("Ramen", 12.0),
    ("Falafel bowl", 10.5),
    ("Bibimbap", 13.0),
    ("Tacos al pastor", 11.0),
    ("Butter chicken", 12.5),
    ("Pad thai", 11.5),
    ("Poke", 13.5),
];

/// The life of a delivered order, with the seconds that pass before each step at dinner-rush speed.
const LIFE: [(OrderStatus, f32); 8] = [
    (OrderStatus::Pending, 0.0),
    (OrderStatus::Accepted, 2.0),
    (OrderStatus::Preparing, 3.0),
    (OrderStatus::Ready, 5.0),
    (OrderStatus::Assigned, 2.0),
    (OrderStatus::PickedUp, 4.0),
    (OrderStatus::OutForDelivery, 3.0),
    (OrderStatus::Delivered, 6.0),
];

/// Publishes orders until it is dropped. Every second one is of the customer on the page, all of them of its
/// restaurant.
pub(crate) async fn run(gateway: SocketAddr, key: Option<Secret>, per_minute: u32) -> anyhow::Result<()> {
    if per_minute == 0 {
        return Ok(());
    }
    let channel = Endpoint::from_shared(format!("http://{gateway}"))?.connect_lazy();
    let key = AttachKey::new(key.as_ref().map(|key| bare(key.reveal())));
    let orders = Orders::new(InterceptedService::new(channel, key));
    let first_id = Clock.now().micros() / 1_000_000 % 100_000 * 100;
    let mut ticks = tokio::time::interval(Duration::from_secs(60) / per_minute);
    let mut under_way = JoinSet::new();
    for id in first_id.. {
        ticks.tick().await;
        while under_way.len() >= ORDERS_MAX {
            under_way.join_next().await;
        }
        while under_way.try_join_next().is_some() {}
        let customer = if id % 2 == 0 { super::CUSTOMER.to_owned() } else { (8 + id % 5).to_string() };
        let order = Order { id, customer, rider: (30 + id % 4).to_string(), orders: orders.clone() };
        under_way.spawn(async move {
            if let Err(why) = order.live().await {
                tracing::warn!("order {id} was given up: {why:#}");
            }
        });
    }
    Ok(())
}

/// The key of `name=key`.
fn bare(key: &str) -> &str {
    key.split_once('=').map_or(key, |(_, key)| key)
}

struct Order {
    id: i64,
    customer: String,
    rider: String,
    orders: Orders,
}

impl Order {
    /// From placed to delivered; one in twelve is rejected by the restaurant.
    async fn live(mut self) -> anyhow::Result<()> {
        let (dish, price, is_rejected) = {
            let mut random = rand::rng();
            let (dish, price) = DISHES.choose(&mut random).copied().unwrap_or(("Soup", 6.0));
            (dish, price, random.random_ratio(1, 12))
        };
        for (version, (status, seconds)) in (1..).zip(LIFE) {
            let pace = rand::rng().random_range(0.7..1.4);
            sleep(Duration::from_secs_f32(seconds * pace)).await;
            let is_end = is_rejected && status == OrderStatus::Accepted;
            let status = if is_end { OrderStatus::Cancelled } else { status };
            self.publish(status, version, dish, price, is_end).await?;
            if is_end {
                break;
            }
        }
        Ok(())
    }

    async fn publish(
        &mut self,
        status: OrderStatus,
        version: u64,
        dish: &str,
        price: f64,
        is_rejected: bool,
    ) -> anyhow::Result<()> {
        let has_rider = status as i32 >= OrderStatus::Assigned as i32 && !is_rejected;
        let word = status.as_str_name().trim_start_matches("ORDER_STATUS_");
        let payload = json!({
            "id": self.id, "order_number": format!("PP-{}", self.id), "status": word, "version": version,
            "customer": self.customer, "restaurant": {"id": super::RESTAURANT, "name": "Trattoria Sole"},
            "courier": has_rider.then_some(&self.rider),
            "items": [{"name": dish, "quantity": 1, "unit_price": format!("{price:.2}")}],
            "total_amount": format!("{price:.2}"), "currency": "EUR",
        });
        let update = v1::OrderUpdate {
            // The same id in every attempt: a repeat is harmless.
            event_id: Uuid::new_v4().to_string(),
            order_id: self.id.to_string(),
            status: status.into(),
            r#type: if is_rejected { "order.rejected".to_owned() } else { String::new() },
            order_type: OrderType::Delivery.into(),
            version,
            customer_id: self.customer.clone(),
            restaurant_id: super::RESTAURANT.to_owned(),
            rider_id: if has_rider { self.rider.clone() } else { String::new() },
            payload: payload.to_string().into(),
            ..Default::default()
        };
        let request = v1::PublishOrderRequest { update: Some(update), channels: Vec::new() };
        for attempt in 1..=ATTEMPTS_MAX {
            match self.orders.publish_order(request.clone()).await {
                Ok(_) => return Ok(()),
                Err(why) if attempt == ATTEMPTS_MAX => return Err(why).context("publishing failed"),
                Err(_) => sleep(Duration::from_millis(200) * attempt).await,
            }
        }
        Ok(())
    }
}
