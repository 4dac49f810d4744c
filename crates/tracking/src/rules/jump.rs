//! Nobody is here now and a kilometre away in a second.
//!
//! A fix that implies more than 41.7 m/s (150 km/h) since the last one that was believed is refused, unless three
//! fixes in a row agree on the new place: then the rider was somewhere else all the time. The speed is that of the
//! distance which the two accuracies do not explain, so that noise between fixes that are close in time is no jump.

use serde::{Deserialize, Serialize};

use super::{limits::Limits, place::Place};

/// A place that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) place: Place,
    /// Metres.
    pub(crate) accuracy: f64,
    /// Microseconds since 1970.
    pub(crate) at: i64,
}

/// What a fix is to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// One gets there in that time.
    Plausible,
    /// Nobody does.
    Jump,
    /// Nobody does, but it is where the rider is.
    Elsewhere,
}

/// The last that was believed, and what claims another place since.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Jumps {
    believed: Option<Mark>,
    claimed: Option<Mark>,
    agreeing: u8,
}

impl Jumps {
    /// When the last that was believed was measured, in microseconds since 1970.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.believed.map(|mark| mark.at)
    }

    /// Judges a mark that is later than the last. It is believed only by [`Jumps::believe`].
    pub(crate) fn judge(&mut self, mark: Mark, limits: &Limits) -> Verdict {
        if self.believed.is_none_or(|believed| is_reachable(believed, mark, limits)) {
            self.claimed = None;
            return Verdict::Plausible;
        }
        let agrees =
            self.claimed.is_some_and(|claimed| claimed.at < mark.at && is_reachable(claimed, mark, limits));
        self.agreeing = if agrees { self.agreeing.saturating_add(1) } else { 1 };
        self.claimed = Some(mark);
        if self.agreeing < limits.jump_agreeing { Verdict::Jump } else { Verdict::Elsewhere }
    }

    /// What comes next is judged by this one.
    pub(crate) fn believe(&mut self, mark: Mark) {
        *self = Self { believed: Some(mark), claimed: None, agreeing: 0 };
    }
}

fn is_reachable(from: Mark, to: Mark, limits: &Limits) -> bool {
    let unexplained = from.place.metres_to(to.place) - from.accuracy.hypot(to.accuracy);
    let seconds = to.at.saturating_sub(from.at) as f64 / 1e6;
    unexplained <= limits.jump_mps * seconds.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place { latitude: 60.17, longitude: 24.94 };

    fn mark(metres: f64, seconds: i64) -> Mark {
        Mark { place: HERE.ahead(90.0, metres), accuracy: 5.0, at: seconds * 1_000_000 }
    }

    fn begun() -> Jumps {
        let mut jumps = Jumps::default();
        jumps.believe(mark(0.0, 0));
        jumps
    }

    #[test]
    fn who_is_faster_than_150_km_h_jumps() {
        let limits = Limits::default();
        assert_eq!(begun().judge(mark(41.0 * 5.0, 5), &limits), Verdict::Plausible);
        assert_eq!(begun().judge(mark(44.0 * 5.0, 5), &limits), Verdict::Jump);
    }

    #[test]
    fn three_fixes_in_a_row_that_agree_are_believed() {
        let limits = Limits::default();
        let mut jumps = begun();
        assert_eq!(jumps.judge(mark(1_000.0, 5), &limits), Verdict::Jump);
        assert_eq!(jumps.judge(mark(1_040.0, 10), &limits), Verdict::Jump);
        assert_eq!(jumps.judge(mark(1_070.0, 15), &limits), Verdict::Elsewhere);
    }

    #[test]
    fn fixes_that_contradict_each_other_are_not() {
        let limits = Limits::default();
        let mut jumps = begun();
        for (metres, seconds) in [(9_000.0, 5), (-9_000.0, 10), (20_000.0, 15), (-20_000.0, 20)] {
            assert_eq!(jumps.judge(mark(metres, seconds), &limits), Verdict::Jump);
        }
        assert_eq!(jumps.judge(mark(30.0, 25), &limits), Verdict::Plausible);
    }

    #[test]
    fn a_good_fix_between_them_begins_the_count_anew() {
        let limits = Limits::default();
        let mut jumps = begun();
        assert_eq!(jumps.judge(mark(1_000.0, 5), &limits), Verdict::Jump);
        assert_eq!(jumps.judge(mark(1_000.0, 6), &limits), Verdict::Jump);
        assert_eq!(jumps.judge(mark(10.0, 7), &limits), Verdict::Plausible);
        jumps.believe(mark(10.0, 7));
        assert_eq!(jumps.judge(mark(1_000.0, 8), &limits), Verdict::Jump);
    }

    #[test]
    fn noise_of_fixes_that_are_close_in_time_is_no_jump() {
        let mut jumps = begun();
        let soon = Mark { at: 1_000, ..mark(6.0, 0) };
        assert_eq!(jumps.judge(soon, &Limits::default()), Verdict::Plausible);
    }
}
