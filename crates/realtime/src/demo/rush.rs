//! A dinner rush: orders are placed, cooked, and collected or brought, as fast as they are asked for.

use std::{sync::Arc, time::Duration};

use rand::{Rng, seq::IndexedRandom};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{
    backend::Backend,
    city::City,
    fleet::{Fleet, RIDERS},
    order::{Brought, Leaving, Order},
    talk::Talk,
};

/// Orders under way at the same time; a new one waits for one of them.
const ORDERS_MAX: usize = 200;
/// Customers beside the one on the page.
const OTHERS: std::ops::Range<u32> = 8..30;

/// Publishes orders until it is dropped. Every second one is of the customer on the page, of whom one at a time is
/// brought; every second one is of the page's restaurant. Whoever finds no rider collects their order.
pub(crate) async fn run(
    city: Arc<City>,
    fleet: Fleet,
    backend: Backend,
    talk: Talk,
    first_id: i64,
    per_minute: u32,
) -> anyhow::Result<()> {
    fleet.start().await;
    let mut idle = JoinSet::new();
    fleet.idle(&mut idle);
    if per_minute == 0 {
        return std::future::pending().await;
    }
    let own = Arc::new(Semaphore::new(1));
    let others = Arc::new(Semaphore::new(RIDERS.len() - 1));
    let mut ticks = tokio::time::interval(Duration::from_secs(60) / per_minute);
    let mut under_way = JoinSet::new();
    for id in first_id.. {
        ticks.tick().await;
        while under_way.len() >= ORDERS_MAX {
            under_way.join_next().await;
        }
        while under_way.try_join_next().is_some() {}
        let is_own = id % 2 == 0;
        let seat = Arc::clone(if is_own { &own } else { &others }).try_acquire_owned().ok();
        let Some(order) = order(id, is_own, seat, &city, &fleet, &backend, &talk) else { continue };
        under_way.spawn(async move {
            if let Err(why) = order.live().await {
                tracing::warn!("order {id} was given up: {why:#}");
            }
        });
    }
    Ok(())
}

fn order(
    id: i64,
    is_own: bool,
    seat: Option<OwnedSemaphorePermit>,
    city: &Arc<City>,
    fleet: &Fleet,
    backend: &Backend,
    talk: &Talk,
) -> Option<Order> {
    let random = &mut rand::rng();
    let kitchen =
        if random.random_bool(0.5) { City::kitchens().first() } else { City::kitchens().choose(random) }?;
    let customer = if is_own { super::CUSTOMER.to_owned() } else { random.random_range(OTHERS).to_string() };
    let leaving = match seat {
        None => Leaving::Collected,
        Some(seat) => {
            let door = city.door_for(kitchen, random)?;
            let talk = is_own.then(|| talk.clone());
            Leaving::Brought(Box::new(Brought {
                city: Arc::clone(city),
                fleet: fleet.clone(),
                door,
                talk,
                _seat: seat,
            }))
        }
    };
    Some(Order::placed(id, customer, kitchen, leaving, backend.clone(), random))
}
