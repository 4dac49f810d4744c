//! The fleet: a handful of riders, of whom each is driven by one order at a time and otherwise stands where it was.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{backend::Backend, city::City, phone::Phone, place::Place, rider::Rider};

/// The riders' ids and names. Every second one has the app.
pub(crate) const RIDERS: [(&str, &str); 8] = [
    ("31", "Aino"),
    ("32", "Elias"),
    ("33", "Venla"),
    ("34", "Oskar"),
    ("35", "Linnea"),
    ("36", "Eino"),
    ("37", "Saga"),
    ("38", "Joel"),
];
/// Between two fixes of a rider who has nothing to do.
const IDLE_PACE: Duration = Duration::from_secs(5);
/// Between two looks for a free rider.
const LOOK_AGAIN: Duration = Duration::from_millis(150);

/// A rider who is driven by whoever holds this.
pub(crate) type Driven = OwnedMutexGuard<Rider>;

/// All riders.
#[derive(Clone)]
pub(crate) struct Fleet {
    city: Arc<City>,
    riders: Arc<[Arc<Mutex<Rider>>]>,
}

impl Fleet {
    /// `tokens` are the riders', in their order.
    pub(crate) fn new(city: &Arc<City>, edge: SocketAddr, tokens: &[String], backend: &Backend) -> Self {
        let stands = city.stands(RIDERS.len());
        let riders =
            RIDERS.iter().zip(tokens).zip(stands).enumerate().map(|(index, (((id, name), token), stand))| {
                let phone = match index % 2 {
                    0 => Phone::with_app(format!("ws://{edge}/ws/delivery/{id}?token={token}")),
                    _ => Phone::relayed_by(backend),
                };
                Arc::new(Mutex::new(Rider::new(id, name, stand, phone, backend.clone())))
            });
        Self { city: Arc::clone(city), riders: riders.collect() }
    }

    /// Begins all shifts, at the same time.
    pub(crate) async fn start(&self) {
        let mut starting = JoinSet::new();
        for rider in self.riders.iter() {
            let mut rider = Arc::clone(rider).lock_owned().await;
            starting.spawn(async move {
                if let Err(why) = rider.start().await {
                    tracing::warn!("rider {} could not start: {why:#}", rider.id);
                }
            });
        }
        while starting.join_next().await.is_some() {}
    }

    /// Has those who are free report now and then, as phones do.
    pub(crate) fn idle(&self, tasks: &mut JoinSet<()>) {
        for rider in self.riders.iter() {
            let rider = Arc::clone(rider);
            tasks.spawn(async move {
                let mut ticks = interval(IDLE_PACE);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    if let Ok(mut rider) = rider.try_lock() {
                        rider.report().await;
                    }
                }
            });
        }
    }

    /// The free rider with the shortest way along the streets, as soon as there is one.
    pub(crate) async fn nearest(&self, to: Place) -> Driven {
        loop {
            if let Some(rider) = self.nearest_now(to) {
                return rider;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The rider with the shortest way of those who are free now.
    pub(crate) fn nearest_now(&self, to: Place) -> Option<Driven> {
        let free = self.riders.iter().filter_map(|rider| Arc::clone(rider).try_lock_owned().ok());
        let metres = |rider: &Driven| self.city.metres(rider.place(), to);
        free.min_by(|one, other| metres(one).total_cmp(&metres(other)))
    }
}
