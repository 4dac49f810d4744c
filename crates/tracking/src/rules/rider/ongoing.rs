//! A delivery as its rider's memory has it: which borders were crossed, and what was told of it.
//!
//! A restaurant is told less often than a customer: it sees no position.

use platepal_events::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Smoothed, age_millis, millis};
use crate::rules::{
    delivery::{DeliveryStatus, Phase},
    eta::{Eta, EtaState},
    fence::{Crossing, Fences, Zone},
    limits::Limits,
    liveness::Liveness,
    place::Place,
    show::Show,
};

/// A delivery on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ongoing {
    pub(crate) delivery_id: String,
    pub(crate) order_id: String,
    pub(crate) rider_id: String,
    pub(crate) customer_id: String,
    pub(crate) restaurant_id: String,
    pub(crate) status: DeliveryStatus,
    pub(crate) pickup: Place,
    pub(crate) dropoff: Place,
    pub(crate) version: u64,
    #[serde(default)]
    pub(super) fences: Fences,
    #[serde(default)]
    pub(super) eta: EtaState,
    #[serde(default)]
    pub(super) show: Show,
    /// What was told last.
    #[serde(default)]
    pub(super) told: Option<(Phase, Liveness)>,
    #[serde(default)]
    pub(super) news: Option<News>,
}

/// What the restaurant was told last: it sees no position, so that a second's ride is no news to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct News {
    phase: Phase,
    liveness: Liveness,
    eta: Option<Eta>,
    at_millis: i64,
}

/// A position that those of one delivery are told now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    pub(crate) delivery_id: String,
    pub(crate) order_id: String,
    pub(crate) customer_id: String,
    pub(crate) restaurant_id: String,
    pub(crate) rider_id: String,
    pub(crate) smoothed: Smoothed,
    pub(crate) age_seconds: i64,
    pub(crate) liveness: Liveness,
    pub(crate) phase: Phase,
    pub(crate) eta: Option<Eta>,
    /// The restaurant is told, too: what it sees has changed, or it was told long ago.
    pub(crate) is_news: bool,
    /// The way ahead, encoded polyline of precision 5; empty without a map.
    pub(crate) line: String,
}

impl Ongoing {
    /// Before anything of it was seen.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        delivery_id: String,
        order_id: String,
        rider_id: String,
        customer_id: String,
        restaurant_id: String,
        status: DeliveryStatus,
        pickup: Place,
        dropoff: Place,
        version: u64,
    ) -> Self {
        Self {
            delivery_id,
            order_id,
            rider_id,
            customer_id,
            restaurant_id,
            status,
            pickup,
            dropoff,
            version,
            fences: Fences::default(),
            eta: EtaState::default(),
            show: Show::default(),
            told: None,
            news: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn arrived_at_pickup(&self) -> Option<Timestamp> {
        self.fences.pickup.arrived_at()
    }

    #[cfg(test)]
    pub(crate) fn arrived_at_dropoff(&self) -> Option<Timestamp> {
        self.fences.dropoff.arrived_at()
    }

    /// What its customer sees of it now; `None`: nothing.
    pub(crate) fn phase(&self) -> Option<Phase> {
        self.status.phase(&self.fences)
    }

    /// Which borders the rider has crossed.
    pub(super) fn cross(
        &mut self,
        before: Option<(Place, Timestamp)>,
        now: &Smoothed,
        limits: &Limits,
    ) -> Vec<Crossing> {
        let mut crossings = Vec::new();
        let mut note = |zone, doing: Vec<_>| {
            for (what, at) in doing {
                crossings.push(Crossing { delivery_id: self.delivery_id.clone(), zone, what, at });
            }
        };
        let goes_there = matches!(self.status, DeliveryStatus::Accepted | DeliveryStatus::ArrivedAtPickup);
        if goes_there || (self.status.has_order() && self.fences.pickup.is_inside()) {
            note(Zone::Pickup, self.fences.pickup.step(self.pickup, before, now, limits));
        }
        if self.status.has_order() {
            note(Zone::Dropoff, self.fences.dropoff.step(self.dropoff, before, now, limits));
        }
        crossings
    }

    /// Tells the position now.
    pub(super) fn tell(
        &mut self,
        phase: Phase,
        eta: Option<Eta>,
        smoothed: Smoothed,
        now: Timestamp,
        limits: &Limits,
    ) -> Shown {
        let age_millis = age_millis(&smoothed, now);
        let liveness = Liveness::of(age_millis, limits);
        self.told = Some((phase, liveness));
        self.show.shown(millis(now), smoothed.place);
        // Where nothing is known of the rider, nothing is known of the arrival.
        let eta = eta.filter(|_| liveness != Liveness::Unknown);
        let is_known = |news: &News| {
            let elapsed = millis(now).saturating_sub(news.at_millis);
            (news.phase, news.liveness, news.eta) == (phase, liveness, eta)
                && (0..limits.show_max_millis).contains(&elapsed)
        };
        let is_news = !self.news.as_ref().is_some_and(is_known);
        if is_news {
            self.news = Some(News { phase, liveness, eta, at_millis: millis(now) });
        }
        Shown {
            delivery_id: self.delivery_id.clone(),
            order_id: self.order_id.clone(),
            customer_id: self.customer_id.clone(),
            restaurant_id: self.restaurant_id.clone(),
            rider_id: self.rider_id.clone(),
            smoothed,
            age_seconds: age_millis / 1_000,
            liveness,
            phase,
            eta,
            is_news,
            line: self.eta.line_ahead(smoothed.place),
        }
    }
}
