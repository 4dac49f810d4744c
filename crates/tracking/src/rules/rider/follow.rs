//! Where a rider is after a fix: jumps are rejected, the rest is smoothed, and the better of device and way says speed
//! and direction.

use platepal_events::Timestamp;

use super::super::{
    fix::{Fix, Reason},
    jump::{Mark, Verdict},
    kalman::{Filter, Measure},
    limits::Limits,
    place::Place,
};
use super::{COURSE_MPS, RIDE_MILLIS_MAX, Rider, Smoothed};

impl Rider {
    /// Where the rider is after a fix, and was before.
    #[allow(clippy::type_complexity)]
    pub(super) fn follow(
        &mut self,
        fix: &Fix,
        limits: &Limits,
    ) -> Result<(Smoothed, Option<(Place, Timestamp)>), Reason> {
        let mark = Mark { place: fix.place(), accuracy: fix.metres(limits), at: fix.recorded_at.micros() };
        match self.jumps.judge(mark, limits) {
            Verdict::Plausible => {}
            Verdict::Jump => return Err(Reason::Jump),
            // What was known of the way says nothing about the new place.
            Verdict::Elsewhere => {
                self.filter = None;
                self.smoothed = None;
                (self.streets, self.on_street) = Default::default();
            }
        }
        let (speed, heading) = (fix.true_speed(limits), fix.true_heading());
        let measure = Measure { place: mark.place, accuracy: mark.accuracy, at: mark.at, speed, heading };
        let filter = match &mut self.filter {
            Some(filter) => {
                if !filter.take(&measure, limits) {
                    return Err(Reason::Outlier);
                }
                filter
            }
            none => none.insert(Filter::begin(&measure)),
        };
        let estimate = filter.estimate();
        self.jumps.believe(mark);

        let rides = estimate.is_significant && estimate.speed > limits.moving_mps;
        // Some devices say 0 whatever they do.
        let speed = match speed {
            Some(speed) if speed <= limits.moving_mps && rides && estimate.speed > COURSE_MPS => {
                estimate.speed
            }
            Some(speed) => speed,
            None if rides => estimate.speed,
            None => 0.0,
        };
        let moving = speed > limits.moving_mps;
        let last = self.smoothed.filter(|last| fix.recorded_at.millis_since(last.at) <= limits.gap_millis);
        let course = rides.then_some(estimate.course);
        let heading = if !moving {
            last.and_then(|last| last.heading).or(heading)
        } else if estimate.speed >= COURSE_MPS {
            course.or(heading)
        } else {
            heading.or(course)
        };
        let heading = heading.or_else(|| last.and_then(|last| last.heading));
        let smoothed = Smoothed {
            place: estimate.place,
            speed,
            heading,
            accuracy: estimate.accuracy,
            moving,
            at: fix.recorded_at,
        };
        if let Some(last) = last
            && moving
        {
            self.pace.rode(speed, smoothed.at.millis_since(last.at).min(RIDE_MILLIS_MAX), limits);
        }
        self.smoothed = Some(smoothed);
        Ok((smoothed, last.map(|last| (last.place, last.at))))
    }
}
