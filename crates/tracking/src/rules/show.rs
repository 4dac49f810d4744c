//! Who is told now: at most one position a second, and one every 10 s at least while there is something new.

use serde::{Deserialize, Serialize};

use super::{limits::Limits, place::Place, rider::Smoothed};

/// A rider who is said to stand, and is this far from what was shown, in metres, is shown again.
const STOOD_METRES: f64 = 10.0;

/// What was shown last. Moments in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Show {
    at: Option<i64>,
    place: Option<Place>,
    /// A position came too early to be shown, and waits.
    waits: bool,
}

impl Show {
    /// Whether a new position is due. `has_changed`: something else that is shown has.
    pub(crate) fn is_due(
        &mut self,
        now_millis: i64,
        smoothed: &Smoothed,
        has_changed: bool,
        limits: &Limits,
    ) -> bool {
        let Some(at) = self.at else { return true };
        let elapsed = now_millis.saturating_sub(at);
        if (0..limits.show_min_millis).contains(&elapsed) {
            self.waits = true;
            return false;
        }
        has_changed
            || smoothed.moving
            || !(0..limits.show_max_millis).contains(&elapsed)
            || self.place.is_none_or(|shown| shown.metres_to(smoothed.place) > STOOD_METRES)
    }

    /// A position came that is not shown now; the newest will be.
    pub(crate) fn wait(&mut self) {
        self.waits = true;
    }

    /// Whether something waits whose time has come.
    pub(crate) fn is_over(&self, now_millis: i64, limits: &Limits) -> bool {
        self.waits && self.is_free(now_millis, limits)
    }

    /// Whether anything may be shown.
    pub(crate) fn is_free(&self, now_millis: i64, limits: &Limits) -> bool {
        self.at.is_none_or(|at| !(0..limits.show_min_millis).contains(&now_millis.saturating_sub(at)))
    }

    /// Whether anything was shown.
    pub(crate) fn has_shown(&self) -> bool {
        self.at.is_some()
    }

    /// It was shown.
    pub(crate) fn shown(&mut self, now_millis: i64, place: Place) {
        *self = Self { at: Some(now_millis), place: Some(place), waits: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fix::tests::at;

    const HERE: Place = Place { latitude: 60.17, longitude: 24.94 };

    fn smoothed(moving: bool) -> Smoothed {
        Smoothed { place: HERE, speed: 0.0, heading: None, accuracy: 5.0, moving, at: at(0.0) }
    }

    #[test]
    fn once_a_second_and_what_waited_comes_then() {
        let limits = Limits::default();
        let mut show = Show::default();
        assert!(show.is_due(0, &smoothed(true), false, &limits));
        show.shown(0, HERE);
        assert!(!show.is_due(999, &smoothed(true), true, &limits) && !show.is_over(999, &limits));
        assert!(show.is_over(1_000, &limits));
        assert!(show.is_due(1_000, &smoothed(true), false, &limits));
    }

    #[test]
    fn who_stands_is_shown_every_ten_seconds() {
        let limits = Limits::default();
        let mut show = Show::default();
        show.shown(0, HERE);
        assert!(!show.is_due(9_999, &smoothed(false), false, &limits));
        assert!(show.is_due(10_000, &smoothed(false), false, &limits));
        assert!(show.is_due(5_000, &smoothed(false), true, &limits), "or when something else is new");
    }
}
