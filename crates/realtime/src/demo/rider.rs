//! A rider: somebody on a bicycle with a phone, who rides where a delivery needs them and is seen on the way.

use std::{collections::VecDeque, time::Duration};

use platepal_service::Clock;
use rand::Rng;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    backend::Backend,
    phone::{Fix, Phone, Taken},
    place::Place,
    receiver::Receiver,
    ride::{Moment, Ride},
};

/// Fixes that a phone keeps while it can't send them; the oldest go first.
const UNSENT_MAX: usize = 300;
/// Fixes in one report.
const REPORT_MAX: usize = 200;
/// One of so many rides goes through a place without a signal, and for how long, seconds.
const NO_SIGNAL_EVERY: u32 = 9;
const NO_SIGNAL_SECONDS: std::ops::Range<u64> = 14..38;

/// A rider. Whoever holds it drives it.
pub(crate) struct Rider {
    pub(crate) id: String,
    pub(crate) name: &'static str,
    /// What is delivered to the customer on the page: its fixes as they were measured are shown too.
    pub(crate) watched: Option<String>,
    phone: Phone,
    receiver: Receiver,
    here: Moment,
    read_at: Instant,
    unsent: VecDeque<Fix>,
    signal_from: Instant,
    backend: Backend,
}

impl Rider {
    pub(crate) fn new(id: &str, name: &'static str, place: Place, phone: Phone, backend: Backend) -> Self {
        let now = Instant::now();
        Self {
            id: id.to_owned(),
            name,
            watched: None,
            phone,
            receiver: Receiver::default(),
            here: Moment { place, heading: 0.0, speed_mps: 0.0 },
            read_at: now,
            unsent: VecDeque::new(),
            signal_from: now,
            backend,
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.here.place
    }

    /// Begins the shift, free of what an earlier run has left.
    pub(crate) async fn start(&mut self) -> Result<(), tonic::Status> {
        self.backend.start_shift(&self.id).await?;
        for delivery in self.backend.deliveries_of(&self.id).await? {
            self.backend.cancel_delivery(&delivery).await?;
        }
        self.report().await;
        Ok(())
    }

    /// Rides to the end.
    pub(crate) async fn ride(&mut self, ride: &Ride) {
        if rand::rng().random_ratio(1, NO_SIGNAL_EVERY) {
            let seconds = rand::rng().random_range(NO_SIGNAL_SECONDS);
            self.signal_from = Instant::now() + Duration::from_secs(seconds);
        }
        let mut ticks = interval(self.phone.pace());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        loop {
            ticks.tick().await;
            let seconds = began.elapsed().as_secs_f64();
            self.here = ride.at(seconds);
            self.report().await;
            if seconds >= ride.seconds() {
                break;
            }
        }
    }

    /// Stands for a while.
    pub(crate) async fn stand(&mut self, time: Duration) {
        let mut ticks = interval(self.phone.pace());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        while began.elapsed() < time {
            ticks.tick().await;
            self.report().await;
        }
    }

    /// Measures once, and sends what is unsent.
    pub(crate) async fn report(&mut self) {
        self.here.speed_mps = if self.here.speed_mps < 0.05 { 0.0 } else { self.here.speed_mps };
        let seconds = self.read_at.elapsed().as_secs_f64();
        self.read_at = Instant::now();
        let reading = self.receiver.read(&self.here, seconds, &mut rand::rng());
        let fix = Fix { reading, at: Clock.now() };
        self.unsent.push_back(fix);
        while self.unsent.len() > UNSENT_MAX {
            self.unsent.pop_front();
        }
        if Instant::now() < self.signal_from {
            return;
        }
        self.show_as_measured().await;
        let fixes: Vec<Fix> = self.unsent.iter().take(REPORT_MAX).copied().collect();
        match self.phone.report(&self.id, &fixes).await {
            Ok(Taken::All) => drop(self.unsent.drain(..fixes.len())),
            Ok(Taken::NoShift) => {
                if let Err(why) = self.backend.start_shift(&self.id).await {
                    tracing::warn!("rider {} can't start a shift: {why:#}", self.id);
                }
            }
            // They are repeated with the next one.
            Err(why) => tracing::debug!("rider {} could not report: {why:#}", self.id),
        }
    }

    /// Tells whoever watches operations what the phone measured, before anybody smoothed it.
    async fn show_as_measured(&self) {
        let Some(delivery_id) = &self.watched else { return };
        let fixes: Vec<_> = self
            .unsent
            .iter()
            .map(|fix| {
                json!([fix.reading.place.latitude, fix.reading.place.longitude, fix.reading.accuracy_m])
            })
            .collect();
        let payload = json!({ "delivery_id": delivery_id, "rider_id": self.id, "fixes": fixes });
        if let Err(why) = self.backend.publish(super::MEASURED, "admin", &payload).await {
            tracing::debug!("what rider {} measured was not told: {why:#}", self.id);
        }
    }

    /// Answers a job offer.
    pub(crate) async fn answer(&mut self, offer_id: &str, accept: bool) -> anyhow::Result<()> {
        self.phone.answer(&self.backend, offer_id, accept).await
    }
}
