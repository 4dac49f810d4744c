//! A ride: where somebody on a bicycle is, second by second, on the way along a line of streets.
//!
//! Pure: a line and some chance go in, and places come out. Nobody is faster than [`SPEED_MAX_MPS`], corners are taken
//! slowly, some of them after a red light, and the ride ends at the end of its line.

use rand::Rng;

use super::place::{Place, turn};

/// What nobody exceeds, metres per second.
pub(crate) const SPEED_MAX_MPS: f64 = 10.5;
/// Speed on a straight street, metres per second: each ride has its own.
const CRUISES_MPS: std::ops::Range<f64> = 6.5..9.5;
/// Metres per second squared.
const ACCELERATION: f64 = 1.1;
const BRAKING: f64 = 1.7;
/// Speed of a start, of a stop, and of a turn on the spot, metres per second.
const SPEED_MIN_MPS: f64 = 0.8;
/// Between two places at which the speed is known, metres.
const STEP_METRES: f64 = 2.0;
/// A corner turns by more than this, degrees.
const CORNER_DEGREES: f64 = 25.0;
/// One of so many corners has a red light, and for how long, seconds.
const RED_LIGHT_EVERY: u32 = 5;
const RED_LIGHT_SECONDS: std::ops::Range<f64> = 3.0..9.0;
/// How far back and ahead a rider's direction is measured, metres.
const DIRECTION_METRES: f64 = 4.0;

/// A planned ride.
#[derive(Debug, Clone)]
pub(crate) struct Ride {
    start: Place,
    /// Every few metres of the line, in order.
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    place: Place,
    speed_mps: f64,
    /// When the rider leaves here, seconds from the start.
    leaves: f64,
    /// For how long they stood here before.
    stood: f64,
}

/// What is true at a moment of a ride.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moment {
    pub(crate) place: Place,
    /// Degrees clockwise from north.
    pub(crate) heading: f64,
    pub(crate) speed_mps: f64,
}

impl Ride {
    /// A ride along a line; `None`: it has no length.
    pub(crate) fn along(line: &[Place], random: &mut impl Rng) -> Option<Self> {
        let start = *line.first()?;
        let places = every_few_metres(line);
        if places.len() < 2 {
            return None;
        }
        let cruise = random.random_range(CRUISES_MPS);
        let mut pauses = vec![0.0; places.len()];
        let mut limits: Vec<f64> = (0..places.len())
            .map(|index| match corner(&places, index) {
                degrees if degrees < CORNER_DEGREES => cruise,
                // 4 m/s around a right angle.
                degrees => (cruise * (1.0 - degrees / 160.0)).clamp(SPEED_MIN_MPS, 4.0),
            })
            .collect();
        let mut last_light = 0;
        for (index, pause) in pauses.iter_mut().enumerate() {
            let is_new = index > last_light + 30 && index + 30 < places.len();
            let Some(limit) = limits.get_mut(index).filter(|limit| is_new && **limit < cruise) else {
                continue;
            };
            last_light = index;
            if random.random_ratio(1, RED_LIGHT_EVERY) {
                *pause = random.random_range(RED_LIGHT_SECONDS);
                *limit = SPEED_MIN_MPS;
            }
        }
        if let Some(first) = limits.first_mut() {
            *first = SPEED_MIN_MPS;
        }
        if let Some(last) = limits.last_mut() {
            *last = SPEED_MIN_MPS;
        }
        Some(Self { start, steps: timed(&places, &limits, &pauses) })
    }

    /// How long it takes.
    pub(crate) fn seconds(&self) -> f64 {
        self.steps.last().map_or(0.0, |last| last.leaves)
    }

    /// What is true so many seconds after the start; before and after the ride, at its ends.
    pub(crate) fn at(&self, seconds: f64) -> Moment {
        let next = self.steps.partition_point(|step| step.leaves <= seconds).min(self.steps.len() - 1);
        let before = next.saturating_sub(1);
        let (Some(from), Some(to)) = (self.steps.get(before), self.steps.get(next)) else {
            return Moment { place: self.start, heading: 0.0, speed_mps: 0.0 };
        };
        let arrives = to.leaves - to.stood;
        let share =
            if arrives > from.leaves { (seconds - from.leaves) / (arrives - from.leaves) } else { 1.0 };
        let has_ended = seconds >= self.seconds();
        let share = if has_ended { 1.0 } else { share };
        let stands = has_ended || share >= 1.0 || seconds <= 0.0;
        let share = share.clamp(0.0, 1.0);
        Moment {
            place: from.place.towards(to.place, share),
            heading: self.direction(before, next),
            speed_mps: if stands { 0.0 } else { from.speed_mps + (to.speed_mps - from.speed_mps) * share },
        }
    }

    /// Where the rider looks between two steps: over a corner, it turns by and by.
    fn direction(&self, before: usize, next: usize) -> f64 {
        let reach = (DIRECTION_METRES / STEP_METRES) as usize;
        let back = self.steps.get(before.saturating_sub(reach));
        let ahead = self.steps.get((next + reach).min(self.steps.len() - 1));
        match (back, ahead) {
            (Some(back), Some(ahead)) => back.place.bearing(ahead.place),
            _ => 0.0,
        }
    }
}

/// The line, with a place every [`STEP_METRES`] or less; its corners stay.
fn every_few_metres(line: &[Place]) -> Vec<Place> {
    let mut places: Vec<Place> = line.first().copied().into_iter().collect();
    for pair in line.windows(2) {
        let [from, to] = pair else { continue };
        let metres = from.metres_to(*to);
        if metres < 0.05 {
            continue;
        }
        let parts = (metres / STEP_METRES).ceil() as u32;
        places.extend((1..=parts).map(|part| from.towards(*to, f64::from(part) / f64::from(parts))));
    }
    places
}

/// By how many degrees the way turns around a step.
fn corner(places: &[Place], index: usize) -> f64 {
    let reach = (DIRECTION_METRES / STEP_METRES) as usize;
    let ends = (index.checked_sub(reach), index.checked_add(reach));
    let (Some(back), Some(ahead)) = ends else { return 0.0 };
    match (places.get(back), places.get(index), places.get(ahead)) {
        (Some(back), Some(here), Some(ahead)) => turn(back.bearing(*here), here.bearing(*ahead)).abs(),
        _ => 0.0,
    }
}

/// Speeds that keep the limits, and brake and accelerate in time; and the moments that follow.
fn timed(places: &[Place], limits: &[f64], pauses: &[f64]) -> Vec<Step> {
    let mut speeds = limits.to_vec();
    for index in (0..speeds.len().saturating_sub(1)).rev() {
        slow(&mut speeds, places, index + 1, index, BRAKING);
    }
    for index in 1..speeds.len() {
        slow(&mut speeds, places, index - 1, index, ACCELERATION);
    }
    let mut now = 0.0;
    let mut steps: Vec<Step> = Vec::with_capacity(places.len());
    for ((place, speed), pause) in places.iter().zip(&speeds).zip(pauses) {
        if let Some(last) = steps.last() {
            now += 2.0 * last.place.metres_to(*place) / (last.speed_mps + speed);
        }
        now += pause;
        steps.push(Step { place: *place, speed_mps: *speed, leaves: now, stood: *pause });
    }
    steps
}

/// Lowers the speed at a step to what can be reached from, or braked to, its neighbour.
fn slow(speeds: &mut [f64], places: &[Place], neighbour: usize, index: usize, rate: f64) {
    let (Some(a), Some(b), Some(known)) = (places.get(neighbour), places.get(index), speeds.get(neighbour))
    else {
        return;
    };
    let reachable = (known * known + 2.0 * rate * a.metres_to(*b)).sqrt();
    if let Some(speed) = speeds.get_mut(index) {
        *speed = speed.min(reachable).min(SPEED_MAX_MPS);
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const START: Place = Place { latitude: 60.17, longitude: 24.94 };

    /// Around two blocks: 300 m north, 200 m east, 100 m north.
    fn line() -> Vec<Place> {
        let corner = START.moved(300.0, 0.0);
        let second = corner.moved(0.0, 200.0);
        vec![START, corner, second, second.moved(100.0, 0.0)]
    }

    fn rides() -> impl Iterator<Item = Ride> {
        (0..50).map(|seed| Ride::along(&line(), &mut StdRng::seed_from_u64(seed)).unwrap())
    }

    fn seconds(ride: &Ride) -> impl Iterator<Item = f64> {
        let tenths = (ride.seconds() * 10.0).ceil() as u32;
        (0..=tenths).map(|tenth| f64::from(tenth) / 10.0)
    }

    #[test]
    fn nobody_is_faster_than_a_bicycle_and_nobody_jumps() {
        for ride in rides() {
            let mut before = ride.at(0.0);
            for now in seconds(&ride).skip(1).map(|second| ride.at(second)) {
                let metres = before.place.metres_to(now.place);
                assert!(metres <= SPEED_MAX_MPS * 0.1 + 0.05, "{metres} m in a tenth of a second");
                assert!((0.0..=SPEED_MAX_MPS).contains(&now.speed_mps), "{now:?}");
                before = now;
            }
        }
    }

    #[test]
    fn speeding_up_and_slowing_down_take_time() {
        for ride in rides() {
            let moving = seconds(&ride).map(|second| ride.at(second).speed_mps).filter(|speed| *speed > 0.0);
            let speeds: Vec<f64> = moving.collect();
            // A stop is braked to walking pace first; a start begins there.
            let change = speeds.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f64::max);
            assert!(change < 0.6, "{change} m/s in a tenth of a second");
        }
    }

    #[test]
    fn corners_are_taken_slowly() {
        for ride in rides() {
            let corner = START.moved(300.0, 0.0);
            let near = seconds(&ride).map(|second| ride.at(second));
            let slowest = near
                .filter(|moment| moment.place.metres_to(corner) < 3.0)
                .map(|moment| moment.speed_mps)
                .fold(f64::MAX, f64::min);
            assert!(slowest <= 4.1, "{slowest}");
        }
    }

    #[test]
    fn a_ride_stays_on_its_street_and_ends_at_the_door() {
        let line = line();
        let door = *line.last().unwrap();
        for ride in rides() {
            for moment in seconds(&ride).map(|second| ride.at(second)) {
                let off = line
                    .windows(2)
                    .map(|street| moment.place.metres_to_segment(street[0], street[1]))
                    .fold(f64::MAX, f64::min);
                assert!(off < 0.5, "{off} m beside the street");
            }
            let end = ride.at(ride.seconds() + 5.0);
            assert!(end.place.metres_to(door) < 0.1 && end.speed_mps == 0.0, "{end:?}");
            assert_eq!(ride.at(-1.0).place, START);
        }
    }

    #[test]
    fn a_rider_looks_where_they_go() {
        for ride in rides() {
            assert!(turn(ride.at(5.0).heading, 0.0).abs() < 1.0);
            assert!(turn(ride.at(ride.seconds()).heading, 0.0).abs() < 1.0);
        }
    }

    #[test]
    fn some_wait_at_a_red_light() {
        let waits = |ride: &Ride| {
            seconds(ride)
                .filter(|second| ride.at(*second).speed_mps == 0.0 && *second < ride.seconds())
                .count()
                > 20
        };
        let waiting = rides().filter(waits).count();
        assert!((5..45).contains(&waiting), "{waiting} of 50");
    }

    #[test]
    fn a_line_without_length_is_no_ride() {
        let mut random = StdRng::seed_from_u64(1);
        assert!(Ride::along(&[], &mut random).is_none());
        assert!(Ride::along(&[START, START], &mut random).is_none());
    }
}
