//! A position in words. (Draft of the signatures.)

use super::{liveness::Liveness, rider::{Shown, Smoothed}};

/// The payload of `rider_location` for a customer (and for the `track:` channel).
pub(crate) fn for_customer(shown: &Shown) -> String;
/// The same without `location`, `rider_id` and `route`: a restaurant sees when, not where.
pub(crate) fn for_restaurant(shown: &Shown) -> String;
/// The payload of `rider_location` for an `area:` channel.
pub(crate) fn for_area(
    rider_id: &str,
    smoothed: &Smoothed,
    age_seconds: i64,
    liveness: Liveness,
    delivery_ids: &[String],
) -> String;
/// The payload of `rider_left` for the `area:` channel of a cell that a rider has left.
pub(crate) fn left_area(rider_id: &str, at: platepal_events::Timestamp) -> String;
