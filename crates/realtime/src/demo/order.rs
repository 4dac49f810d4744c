//! One order, from placed to delivered, as PlatePal's backend sees it: what it publishes of the order, and what it says of
//! the delivery to tracking.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use platepal_proto::v1::{self, DeliveryStatus, OrderStatus, OrderType};
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::{sync::OwnedSemaphorePermit, time::sleep};

use super::{
    backend::{self, Backend},
    city::{City, Door, Kitchen},
    fleet::{Driven, Fleet},
    place::Place,
    ride::Ride,
    talk::Talk,
};

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

/// One of so many orders is rejected by its restaurant.
const REJECTED_EVERY: u32 = 12;
/// One of so many job offers is declined, if somebody else is free.
const DECLINED_EVERY: u32 = 4;
/// How long a rider waits at the restaurant, takes to set off, and waits at the door, seconds.
const AT_RESTAURANT: std::ops::Range<f32> = 7.0..12.0;
const SETTING_OFF: std::ops::Range<f32> = 2.0..4.0;
const AT_DOOR: std::ops::Range<f32> = 8.0..13.0;

/// An order on its way through the kitchen and the city.
pub(crate) struct Order {
    id: i64,
    customer: String,
    kitchen: &'static Kitchen,
    dish: &'static str,
    price: f64,
    is_rejected: bool,
    leaving: Leaving,
    version: u64,
    /// Who brings it, once somebody does: id and name.
    rider: Option<(String, &'static str)>,
    backend: Backend,
}

/// How an order leaves its restaurant.
pub(crate) enum Leaving {
    /// The customer comes for it.
    Collected,
    /// A rider brings it.
    Brought(Box<Brought>),
}

/// What an order needs that is brought.
pub(crate) struct Brought {
    pub(crate) city: Arc<City>,
    pub(crate) fleet: Fleet,
    pub(crate) door: &'static Door,
    /// Of the page's own order: it is watched, and talked about.
    pub(crate) talk: Option<Talk>,
    /// A rider will be free for it.
    pub(crate) _seat: OwnedSemaphorePermit,
}

impl Order {
    pub(crate) fn placed(
        id: i64,
        customer: String,
        kitchen: &'static Kitchen,
        leaving: Leaving,
        backend: Backend,
        random: &mut impl Rng,
    ) -> Self {
        let (dish, price) = DISHES.choose(random).copied().unwrap_or(("Soup", 6.0));
        let is_rejected = random.random_ratio(1, REJECTED_EVERY);
        Self { id, customer, kitchen, dish, price, is_rejected, leaving, version: 0, rider: None, backend }
    }

    /// From placed to delivered.
    pub(crate) async fn live(mut self) -> anyhow::Result<()> {
        self.publish(OrderStatus::Pending).await?;
        pause(1.5..3.0).await;
        if self.is_rejected {
            return self.publish(OrderStatus::Cancelled).await;
        }
        self.publish(OrderStatus::Accepted).await?;
        pause(2.0..4.0).await;
        self.publish(OrderStatus::Preparing).await?;
        pause(4.0..7.0).await;
        self.publish(OrderStatus::Ready).await?;
        match std::mem::replace(&mut self.leaving, Leaving::Collected) {
            Leaving::Collected => pause(6.0..12.0).await,
            Leaving::Brought(brought) => {
                let result = self.bring(&brought).await;
                // Whatever went wrong: nobody watches a delivery that nobody brings.
                if let Err(why) = result {
                    let id = self.id.to_string();
                    let _ = self.backend.cancel_delivery(&id).await;
                    self.publish(OrderStatus::Cancelled).await?;
                    return Err(why);
                }
            }
        }
        self.publish(OrderStatus::Delivered).await
    }

    /// From the kitchen's counter to the customer's door.
    async fn bring(&mut self, brought: &Brought) -> anyhow::Result<()> {
        let Brought { city, fleet, door, talk, .. } = brought;
        self.tell(DeliveryStatus::Pending, door).await?;
        let mut rider = self.find_rider(fleet, door).await?;
        self.rider = Some((rider.id.clone(), rider.name));
        rider.watched = talk.is_some().then(|| self.id.to_string());
        if let Some(talk) = talk {
            talk.begin(self.id, &self.customer, &rider.id, rider.name).await;
        }
        let result = self.drive(city, &mut rider, door, talk.as_ref()).await;
        rider.watched = None;
        result
    }

    async fn drive(
        &mut self,
        city: &City,
        rider: &mut Driven,
        door: &Door,
        talk: Option<&Talk>,
    ) -> anyhow::Result<()> {
        let id = self.id;
        let say = async |words: String| {
            if let Some(talk) = talk {
                talk.say(id, &words).await;
            }
        };
        self.tell(DeliveryStatus::Assigned, door).await?;
        self.tell(DeliveryStatus::Accepted, door).await?;
        self.publish_to(OrderStatus::Assigned, Some(door)).await?;
        say(format!("Moi! I am {}, on my way to {}.", rider.name, self.kitchen.name)).await;
        ride(city, rider, self.kitchen.place).await;
        // That the rider arrived is for tracking to find out.
        rider.stand(some(AT_RESTAURANT)).await;
        self.tell(DeliveryStatus::PickedUp, door).await?;
        self.publish_to(OrderStatus::PickedUp, Some(door)).await?;
        say(format!("I have your {}, still warm. Leaving now.", self.dish)).await;
        rider.stand(some(SETTING_OFF)).await;
        self.tell(DeliveryStatus::InTransit, door).await?;
        self.publish_to(OrderStatus::OutForDelivery, Some(door)).await?;
        ride(city, rider, door.place).await;
        say("I am at your door.".to_owned()).await;
        rider.stand(some(AT_DOOR)).await;
        self.tell(DeliveryStatus::Delivered, door).await
    }

    /// Offers the job to the nearest rider, and to the next one if they decline.
    async fn find_rider(&self, fleet: &Fleet, door: &Door) -> anyhow::Result<Driven> {
        let delivery = self.id.to_string();
        let payload = json!({
            "restaurant": self.kitchen.name, "pickup_address": self.kitchen.address, "dropoff_address": door.address,
            "distance_m": self.kitchen.place.metres_to(door.place).round(),
        });
        let mut rider = fleet.nearest(self.kitchen.place).await;
        let declines = rand::rng().random_ratio(1, DECLINED_EVERY);
        if declines && let Some(mut next) = fleet.nearest_now(self.kitchen.place) {
            std::mem::swap(&mut rider, &mut next);
            let offer = self.backend.offer(&delivery, &next.id, &payload).await?;
            pause(0.8..2.0).await;
            next.answer(&offer, false).await?;
        }
        let offer = self.backend.offer(&delivery, &rider.id, &payload).await?;
        pause(0.8..2.0).await;
        rider.answer(&offer, true).await?;
        Ok(rider)
    }

    /// Says to tracking what the delivery is now.
    async fn tell(&self, status: DeliveryStatus, door: &Door) -> anyhow::Result<()> {
        let payload = json!({ "restaurant_name": self.kitchen.name, "dropoff_address": door.address });
        let delivery = v1::Delivery {
            delivery_id: self.id.to_string(),
            order_id: self.id.to_string(),
            status: status.into(),
            customer_id: self.customer.clone(),
            restaurant_id: self.kitchen.id.to_owned(),
            rider_id: self.rider.as_ref().map(|(id, _)| id.clone()).unwrap_or_default(),
            pickup: Some(backend::place(self.kitchen.place)),
            dropoff: Some(backend::place(door.place)),
            // The order of arrival counts: tracking itself changes it, too.
            version: 0,
            occurred_at: None,
            payload: payload.to_string().into(),
        };
        self.backend
            .put_delivery(delivery)
            .await
            .with_context(|| format!("delivery {} could not be told", self.id))
    }

    async fn publish(&mut self, status: OrderStatus) -> anyhow::Result<()> {
        let door = match &self.leaving {
            Leaving::Brought(brought) => Some(brought.door),
            Leaving::Collected => None,
        };
        self.publish_to(status, door).await
    }

    async fn publish_to(&mut self, status: OrderStatus, door: Option<&Door>) -> anyhow::Result<()> {
        self.version += 1;
        let rider_id = self.rider.as_ref().map(|(id, _)| id.clone()).unwrap_or_default();
        let is_delivery = door.is_some() || self.rider.is_some();
        let is_rejected = self.is_rejected && status == OrderStatus::Cancelled;
        let update = v1::OrderUpdate {
            order_id: self.id.to_string(),
            status: status.into(),
            r#type: if is_rejected { "order.rejected".to_owned() } else { String::new() },
            order_type: if is_delivery { OrderType::Delivery } else { OrderType::Pickup }.into(),
            version: self.version,
            customer_id: self.customer.clone(),
            restaurant_id: self.kitchen.id.to_owned(),
            rider_id,
            payload: self.payload(status, door, is_delivery).to_string().into(),
            ..Default::default()
        };
        self.backend.publish_order(update).await.context("publishing failed")
    }

    /// The order as Django would serialise it.
    fn payload(&self, status: OrderStatus, door: Option<&Door>, is_delivery: bool) -> Value {
        let price = format!("{:.2}", self.price);
        let Kitchen { id, name, address, place } = self.kitchen;
        json!({
            "id": self.id, "order_number": format!("PP-{}", self.id), "version": self.version,
            "status": status.as_str_name().trim_start_matches("ORDER_STATUS_"),
            "order_type": if is_delivery { "DELIVERY" } else { "PICKUP" },
            "customer": self.customer,
            "restaurant": {
                "id": id, "name": name, "address": address, "latitude": place.latitude, "longitude": place.longitude,
            },
            "courier": self.rider.as_ref().map(|(id, name)| json!({ "id": id, "name": name })),
            "delivery_address": door.map(|door| json!({
                "address": door.address, "latitude": door.place.latitude, "longitude": door.place.longitude,
            })),
            "items": [{ "name": self.dish, "quantity": 1, "unit_price": price }],
            "total_amount": price, "currency": "EUR",
        })
    }
}

async fn ride(city: &City, rider: &mut Driven, to: Place) {
    let ride = Ride::along(&city.way(rider.place(), to), &mut rand::rng());
    if let Some(ride) = ride {
        rider.ride(&ride).await;
    }
}

fn some(seconds: std::ops::Range<f32>) -> Duration {
    Duration::from_secs_f32(rand::rng().random_range(seconds))
}

async fn pause(seconds: std::ops::Range<f32>) {
    sleep(some(seconds)).await;
}
