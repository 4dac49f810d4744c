//! A rider from the store: the stored state, the fixes that came after it, and what shift and deliveries are now.

use platepal_events::Timestamp;

use crate::{
    rules::{
        limits::Limits,
        rider::{Ongoing, Rider},
        road::Ahead,
        trail::TrailPoint,
    },
    store::{
        deliveries,
        riders::{Batch, Stored},
        shifts::Shift,
    },
};

/// What follows from what changed in the store.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Points to store, with their deliveries.
    pub(super) points: Vec<(String, TrailPoint)>,
    /// Deliveries of which nothing is shown any more.
    pub(super) ended: Vec<String>,
    pub(super) shift_ended: bool,
}

/// The rider as it was, and the newest fixes that are in it. Whatever the fixes did besides was kept with them.
pub(super) fn rebuild(
    rider_id: &str,
    stored: Stored,
    now: Timestamp,
    limits: &Limits,
    roads: &dyn Ahead,
) -> (Rider, i64) {
    let Stored { rider, mut seq, shift, later, deliveries } = stored;
    let is_new = rider.is_none();
    let mut rider = rider.unwrap_or_else(|| Rider::new(rider_id));
    if is_new {
        reconcile(&mut rider, shift, &deliveries, limits);
    }
    for Batch { seq: newer, taken_at, fixes } in later {
        rider.take_all(&fixes, taken_at.min(now), limits, roads);
        seq = newer;
    }
    reconcile(&mut rider, shift, &deliveries, limits);
    (rider, seq)
}

/// Makes a rider's shift and deliveries what the store says.
pub(super) fn reconcile(
    rider: &mut Rider,
    shift: Shift,
    deliveries: &[deliveries::Read],
    limits: &Limits,
) -> Changes {
    let mut changes = Changes::default();
    let of = rider.trail_of().unwrap_or_default().to_owned();
    let running = rider.on_shift_since();
    if let Some(since) = running
        && (!shift.runs() || shift.started_at != Some(since))
    {
        let ended_at = shift.ended_at.filter(|ended_at| *ended_at >= since).unwrap_or(since);
        changes.points.extend(rider.end_shift(ended_at, limits).map(|point| (of.clone(), point)));
        changes.shift_ended = true;
    }
    if let Some(started_at) = shift.started_at.filter(|_| shift.runs())
        && running != Some(started_at)
    {
        rider.start_shift(started_at, None);
    }
    let gone: Vec<String> = rider
        .deliveries()
        .iter()
        .map(|held| held.delivery_id.clone())
        .filter(|id| deliveries.iter().all(|read| read.delivery.delivery_id != *id))
        .collect();
    for delivery_id in gone {
        let point = rider.end_delivery(&delivery_id, limits);
        changes.points.extend(point.map(|point| (delivery_id.clone(), point)));
        changes.ended.push(delivery_id);
    }
    for read in deliveries {
        let delivery = &read.delivery;
        // Without the two places nothing can be said of the way; the delivery is told, the rider is not shown.
        let (Some(pickup), Some(dropoff)) = (delivery.pickup, delivery.dropoff) else { continue };
        let ongoing = Ongoing::new(
            delivery.delivery_id.clone(),
            delivery.order_id.clone(),
            delivery.rider_id.clone(),
            delivery.customer_id.clone(),
            delivery.restaurant_id.clone(),
            delivery.status(),
            pickup,
            dropoff,
            delivery.version(),
        );
        if !rider.put_delivery(ongoing) {
            tracing::warn!(
                rider = rider.rider_id(),
                delivery = delivery.delivery_id,
                "the rider has too many deliveries at once; this one is not shown until another ends"
            );
        }
    }
    changes
}
