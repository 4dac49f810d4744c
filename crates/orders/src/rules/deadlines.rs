//! What becomes due for an order, and when.

use platepal_events::Timestamp;

use super::{order::Order, status::Status};

/// Nobody accepted the order in time.
pub(crate) const ACCEPTANCE: &str = "acceptance";
/// The order will soon be late.
pub(crate) const WARNING: &str = "warning";
/// The order is late.
pub(crate) const COMPLETION: &str = "completion";

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) acceptance_millis: i64,
    pub(crate) completion_millis: i64,
    /// When a warning is given, in per cent of the time to completion.
    pub(crate) warning_percent: u32,
}

impl Limits {
    /// Milliseconds from acceptance to a breach for this order.
    pub(crate) fn completion_millis(&self, order: &Order) -> i64 {
        order.sla_minutes.map_or(self.completion_millis, |minutes| i64::from(minutes) * 60_000)
    }
}

/// The order's timers: none when it has ended, and none that has fired before.
pub(crate) fn timers(order: &Order, limits: &Limits) -> Vec<(&'static str, Timestamp)> {
    let mut timers = Vec::new();
    if order.status.is_end() {
        return timers;
    }
    match (order.accepted_at, order.placed_at) {
        (Some(accepted_at), _) => {
            let accepted_at = Timestamp::from_micros(accepted_at);
            let completion = limits.completion_millis(order);
            let warning = completion.saturating_mul(i64::from(limits.warning_percent)) / 100;
            timers.push((WARNING, accepted_at.plus_millis(warning)));
            timers.push((COMPLETION, accepted_at.plus_millis(completion)));
        }
        (None, Some(placed_at)) if order.status == Status::Pending => {
            timers
                .push((ACCEPTANCE, Timestamp::from_micros(placed_at).plus_millis(limits.acceptance_millis)));
        }
        (None, _) => {}
    }
    timers.retain(|(name, _)| !order.fired.iter().any(|fired| fired == name));
    timers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::order::{apply, tests::update};

    const LIMITS: Limits =
        Limits { acceptance_millis: 600_000, completion_millis: 2_100_000, warning_percent: 80 };

    #[test]
    fn placement_acceptance_and_end_set_and_cancel() {
        let at = |millis: i64| Timestamp::from_micros(millis * 1_000);
        let (order, _) = apply(None, &update("a", Status::Pending, 1, 0));
        assert_eq!(timers(&order, &LIMITS), [(ACCEPTANCE, at(600_000))]);
        let (order, _) = apply(Some(order), &update("b", Status::Accepted, 2, 60_000_000));
        assert_eq!(timers(&order, &LIMITS), [(WARNING, at(1_740_000)), (COMPLETION, at(2_160_000))]);
        let (order, _) = apply(Some(order), &update("c", Status::Delivered, 3, 70_000_000));
        assert!(timers(&order, &LIMITS).is_empty());
    }

    #[test]
    fn a_restaurants_own_minutes_count() {
        let (mut order, _) = apply(None, &update("b", Status::Accepted, 2, 0));
        order.sla_minutes = Some(50);
        order.fired.push(WARNING.to_owned());
        assert_eq!(timers(&order, &LIMITS), [(COMPLETION, Timestamp::from_micros(3_000_000_000))]);
    }
}
