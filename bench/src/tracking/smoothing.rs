//! Positions before and after smoothing, and what is refused as being somewhere else.

use platepal_testkit::traces::{
    Drive, Spot,
    phone::{Phone, Sent},
    spread::Spread,
};
use platepal_tracking::replay::shift::{Ahead, NoRoads};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{
    map::Map,
    pass::{Passed, pass},
};

/// Points of a curve: shares of 4 % each.
const CURVE_POINTS: u32 = 25;
/// A position that is so far off misleads.
const MISLEADING_METRES: f64 = 50.0;
/// Time of the ride that is drawn.
const EXAMPLE_SECONDS: f64 = 200.0;

/// Errors of positions, in metres.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Errors {
    /// How many positions.
    pub count: usize,
    /// Half are less.
    pub median: f64,
    /// 95 % are less.
    pub p95: f64,
    /// Root of the mean square.
    pub rms: f64,
    /// Share of positions that are 50 m off and more.
    pub misleading: f64,
}

impl From<&Spread> for Errors {
    fn from(errors: &Spread) -> Self {
        Self {
            count: errors.count(),
            median: errors.median(),
            p95: errors.p95(),
            rms: errors.rms(),
            misleading: 1.0 - errors.within(MISLEADING_METRES),
        }
    }
}

/// What a phone and its surroundings gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// Which drives.
    pub drives: String,
    /// Which phone.
    pub phone: String,
    /// There is a map: positions are put on its streets.
    pub map: bool,
    /// Seconds between its fixes.
    pub interval: f64,
    /// It sends speed and heading.
    pub velocity: bool,
    /// Of every fix.
    pub before: Errors,
    /// Of the position after each fix that was believed.
    pub after: Errors,
    /// Fixes that were somewhere else.
    pub outliers: usize,
    /// Those of them that were refused.
    pub refused: usize,
    /// Fixes that were not.
    pub good: usize,
    /// Those of them that were refused.
    pub wrongly_refused: usize,
}

impl Found {
    /// By how much the median is less, as a share.
    pub fn gain(&self) -> f64 {
        1.0 - self.after.median / self.before.median
    }
}

/// How errors are spread.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Curve {
    /// Which phone.
    pub phone: String,
    /// Metres that a share of the errors does not exceed: share, before, after.
    pub points: Vec<(f64, f64, f64)>,
}

/// A ride in metres east and north.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Example {
    /// For people.
    pub title: String,
    /// Streets around it.
    pub streets: Vec<Vec<(f64, f64)>>,
    /// Where the rider was.
    pub truth: Vec<(f64, f64)>,
    /// What the phone measured.
    pub fixes: Vec<(f64, f64)>,
    /// Where the rider is said to be.
    pub positions: Vec<(f64, f64)>,
}

/// Measures drives with a phone, with a map or without one.
pub fn measure(
    name: &str,
    drives: &[Drive],
    phone: &Phone,
    roads: Option<&dyn Ahead>,
    random: &mut impl Rng,
) -> (Found, Curve) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let (mut outliers, mut refused, mut good, mut wrongly_refused) = (0, 0, 0, 0);
    for drive in drives {
        let sent = phone.measure(drive, random);
        before
            .extend(sent.iter().filter(|fix| !fix.is_repeat).map(|fix| error(drive, fix, seen(drive, fix))));
        for passed in pass(drive, &sent, &[], roads.unwrap_or(&NoRoads)) {
            if let Some((fix, position)) = passed.position(&drive.plane) {
                after.push(error(drive, fix, position));
            }
            match passed.sent {
                Some(fix) if fix.is_repeat => {}
                Some(fix) if fix.is_outlier => {
                    outliers += 1;
                    refused += usize::from(passed.is_refused());
                }
                Some(_) => {
                    good += 1;
                    wrongly_refused += usize::from(passed.is_refused());
                }
                None => {}
            }
        }
    }
    let (before, after): (Spread, Spread) = (before.into_iter().collect(), after.into_iter().collect());
    let points = (0..=CURVE_POINTS).map(|point| {
        let share = f64::from(point) / f64::from(CURVE_POINTS);
        (share, before.at(share), after.at(share))
    });
    let curve = Curve { phone: phone.name.to_owned(), points: points.collect() };
    let found = Found {
        drives: name.to_owned(),
        phone: phone.name.to_owned(),
        map: roads.is_some(),
        interval: phone.interval_seconds,
        velocity: phone.velocity_mps.is_some(),
        before: Errors::from(&before),
        after: Errors::from(&after),
        outliers,
        refused,
        good,
        wrongly_refused,
    };
    (found, curve)
}

/// One ride, to be drawn.
pub fn example(drive: &Drive, map: &Map, phone: &Phone, random: &mut impl Rng) -> Example {
    let pair = |spot: Spot| (spot.east, spot.north);
    let sent = phone.measure(drive, random);
    let begin = drive.begin().seconds + 60.0;
    let is_drawn = |seconds: f64| (begin..begin + EXAMPLE_SECONDS).contains(&seconds);
    let passed: Vec<Passed> = pass(drive, &sent, &[], map);
    Example {
        title: format!("{}, a fix every {} s", phone.name, phone.interval_seconds),
        streets: map.streets().iter().map(|street| street.iter().copied().map(pair).collect()).collect(),
        truth: drive
            .moments
            .iter()
            .filter(|moment| is_drawn(moment.seconds))
            .map(|moment| pair(moment.spot))
            .collect(),
        fixes: sent
            .iter()
            .filter(|fix| is_drawn(fix.recorded_seconds))
            .map(|fix| pair(seen(drive, fix)))
            .collect(),
        positions: passed
            .iter()
            .filter_map(|passed| {
                let (fix, position) = passed.position(&drive.plane)?;
                is_drawn(fix.recorded_seconds).then(|| pair(position))
            })
            .collect(),
    }
}

fn seen(drive: &Drive, fix: &Sent) -> Spot {
    drive.plane.spot(fix.latitude, fix.longitude)
}

fn error(drive: &Drive, fix: &Sent, said: Spot) -> f64 {
    drive.at(fix.recorded_seconds).spot.metres_to(said)
}
