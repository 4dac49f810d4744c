//! How good an ETA is, by how far ahead it was told.

use platepal_testkit::traces::{Drive, phone::Phone, scenes::Delivered, spread::Spread};
use platepal_tracking::replay::shift::{Ahead, Delivery, Stage};
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::pass::{pass, place};

/// Minutes ahead at which an ETA is judged.
pub const AHEAD: std::ops::RangeInclusive<u32> = 1..=12;
/// An ETA is good within this.
pub const GOOD_MINUTES: f64 = 2.0;

/// Of one method and kind of ride.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// How it is reckoned.
    pub method: String,
    /// Which rides.
    pub rides: String,
    /// By minutes ahead.
    pub ahead: Vec<At>,
}

/// So many minutes before the customer really had it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct At {
    /// Minutes.
    pub minutes: u32,
    /// Deliveries that were under way then.
    pub count: usize,
    /// Share within two minutes.
    pub good: f64,
    /// Mean of what was told less what was true, in minutes.
    pub bias: f64,
    /// Of its size: half are less, in minutes.
    pub median: f64,
    /// 95 % are less.
    pub p95: f64,
    /// Share of truths within the range that was told.
    pub in_range: f64,
}

/// A shift, and which of its deliveries are judged.
pub struct Shift {
    /// What truly was.
    pub drive: Drive,
    /// Its deliveries.
    pub deliveries: Vec<Delivered>,
    /// The first that is judged.
    pub from: usize,
}

/// What was told of shifts against what was true. The noise is the same for every method.
pub fn measure(
    method: &str,
    rides: &str,
    shifts: &[Shift],
    phone: &Phone,
    roads: &dyn Ahead,
    seed: u64,
) -> Found {
    let mut errors: Vec<(u32, Vec<f64>, usize)> = AHEAD.map(|minutes| (minutes, Vec::new(), 0)).collect();
    for (index, shift) in shifts.iter().enumerate() {
        let mut random = StdRng::seed_from_u64(seed ^ index as u64);
        let sent = phone.measure(&shift.drive, &mut random);
        let mut changes = Vec::new();
        for (number, delivered) in shift.deliveries.iter().enumerate() {
            let delivery = |stage| Delivery {
                delivery_id: number.to_string(),
                stage,
                pickup: place(&shift.drive.plane, delivered.pickup),
                dropoff: place(&shift.drive.plane, delivered.dropoff),
            };
            changes.push((delivered.accepted_seconds, delivery(Stage::Accepted)));
            changes.push((delivered.in_transit_seconds, delivery(Stage::InTransit)));
            changes.push((delivered.delivered_seconds, delivery(Stage::Delivered)));
        }
        let passed = pass(&shift.drive, &sent, &changes, roads);
        for (number, delivered) in shift.deliveries.iter().enumerate().skip(shift.from) {
            let id = number.to_string();
            let told: Vec<(f64, (u32, u32, u32))> = passed
                .iter()
                .flat_map(|passed| passed.step.told.iter().map(|told| (passed.seconds, told)))
                .filter(|(_, told)| told.delivery_id == id)
                .filter_map(|(at, told)| Some((at, told.eta_minutes?)))
                .collect();
            for (minutes, errors, in_range) in &mut errors {
                let moment = delivered.delivered_seconds - f64::from(*minutes) * 60.0;
                // What the customer saw at that moment.
                let shown = told.iter().rev().find(|(at, _)| *at <= moment);
                if let Some((_, (eta, least, most))) = shown {
                    errors.push(f64::from(*eta) - f64::from(*minutes));
                    *in_range += usize::from((*least..=*most).contains(minutes));
                }
            }
        }
    }
    let ahead =
        errors.into_iter().filter(|(_, errors, _)| !errors.is_empty()).map(|(minutes, errors, in_range)| {
            let sizes: Spread = errors.iter().map(|error| error.abs()).collect();
            let signed: Spread = errors.into_iter().collect();
            At {
                minutes,
                count: sizes.count(),
                good: sizes.within(GOOD_MINUTES),
                bias: signed.mean(),
                median: sizes.median(),
                p95: sizes.p95(),
                in_range: in_range as f64 / sizes.count() as f64,
            }
        });
    Found { method: method.to_owned(), rides: rides.to_owned(), ahead: ahead.collect() }
}
