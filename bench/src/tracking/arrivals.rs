//! How soon an arrival is told, and whether one is told that is none.

use platepal_testkit::traces::{
    Drive, Spot,
    phone::{Phone, Sent},
    recorded::Delivering,
    scenes,
    spread::Spread,
};
use platepal_tracking::replay::shift::{Delivery, End, NoRoads, Stage};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::pass::{pass, place};

/// Within this of the door the rider has arrived.
const ARRIVED_METRES: f64 = 50.0;
/// PlatePal's zone: an arrival that is told further away is false.
const ZONE_METRES: f64 = 100.0;
/// An arrival is to be told within this.
pub const GOAL_SECONDS: f64 = 15.0;
/// Recorded riders who stay shorter than this have not been there long enough for an arrival.
const STAY_SECONDS: f64 = 25.0;

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scene {
    /// The drive ends at the door.
    Arrives,
    /// The drive passes at 60 to 150 m.
    Passes,
    /// A red light is 60 to 150 m away.
    Light,
    /// The drive passes at less than 40 m without a stop on purpose.
    Close,
}

impl Scene {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Arrives => "ends at the door",
            Self::Passes => "passes at 60-150 m",
            Self::Light => "waits at a light 60-150 m away",
            Self::Close => "passes within 40 m, may stop at a light there",
        }
    }
}

/// Of one scene and phone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// What was to happen.
    pub scene: Scene,
    /// Which phone.
    pub phone: String,
    /// Seconds between its fixes.
    pub interval: f64,
    /// How often it was tried.
    pub count: usize,
    /// Arrivals that were told while the rider was not in the zone (for a drive that ends at the door), or at all.
    pub false_arrivals: usize,
    /// Arrivals that were never told.
    pub missed: usize,
    /// Seconds from being within 50 m to being told, in order.
    pub delays: Vec<f64>,
}

impl Found {
    /// The delays.
    pub fn spread(&self) -> Spread {
        self.delays.iter().copied().collect()
    }

    /// Share of the true arrivals that are told in time.
    pub fn in_time(&self) -> f64 {
        let in_time = self.delays.iter().filter(|delay| **delay <= GOAL_SECONDS).count();
        in_time as f64 / (self.delays.len() + self.missed) as f64
    }
}

/// Tries a scene with each drive, several times.
pub fn measure(scene: Scene, drives: &[Drive], times: usize, phone: &Phone, random: &mut impl Rng) -> Found {
    let mut found = Found {
        scene,
        phone: phone.name.to_owned(),
        interval: phone.interval_seconds,
        count: 0,
        false_arrivals: 0,
        missed: 0,
        delays: Vec::new(),
    };
    for drive in drives.iter().flat_map(|drive| std::iter::repeat_n(drive, times)) {
        let placed = match scene {
            Scene::Arrives => Some(scenes::arriving(drive, random)),
            Scene::Passes => scenes::passing(drive, (60.0, 150.0), random).map(|door| (drive.clone(), door)),
            Scene::Light => {
                scenes::at_a_light(drive, (60.0, 150.0), random).map(|door| (drive.clone(), door))
            }
            Scene::Close => scenes::passing(drive, (3.0, 40.0), random).map(|door| (drive.clone(), door)),
        };
        let Some((drive, door)) = placed else { continue };
        // Who has been near before and left again arrived twice, and which one counts is not clear.
        if scene == Scene::Arrives && drive.leaves(ARRIVED_METRES, door) {
            continue;
        }
        found.count += 1;
        let sent = phone.measure(&drive, random);
        let told = arrival(&drive, &sent, door);
        if scene != Scene::Arrives {
            found.false_arrivals += usize::from(told.is_some());
            continue;
        }
        let there = drive.first_within(ARRIVED_METRES, door);
        match (told, there) {
            (Some(told), _) if drive.at(told).spot.metres_to(door) > ZONE_METRES => found.false_arrivals += 1,
            (Some(told), Some(there)) => found.delays.push(told - there),
            _ => found.missed += 1,
        }
    }
    found.delays.sort_by(f64::total_cmp);
    found
}

/// When the arrival at a door is told.
fn arrival(drive: &Drive, sent: &[Sent], door: Spot) -> Option<f64> {
    let pickup = place(&drive.plane, door);
    let delivery = Delivery { delivery_id: "1".to_owned(), stage: Stage::Accepted, pickup, dropoff: pickup };
    let passed = pass(drive, sent, &[(drive.begin().seconds, delivery)], &NoRoads);
    let arrived =
        passed.iter().find(|passed| passed.step.arrivals.iter().any(|(_, end, _)| *end == End::Pickup));
    arrived.map(|passed| passed.seconds)
}

/// Where recorded riders left their vans.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parked {
    /// Traces that have one.
    pub count: usize,
    /// Of those that stayed within 50 m for 25 s and more: how many were told.
    pub told: usize,
    /// And how many were not.
    pub missed: usize,
    /// Told while more than 100 m away.
    pub false_arrivals: usize,
    /// Told though the stay was shorter.
    pub short: usize,
    /// Seconds from the first fix within 50 m to being told.
    pub median: f64,
    /// The same, 95 %.
    pub p95: f64,
    /// Share told within 15 s.
    pub in_time: f64,
}

/// Takes each place at which a recorded rider began to walk for a door.
pub fn parked(recorded: &[Delivering]) -> Parked {
    let (mut count, mut told_in_all, mut missed, mut false_arrivals, mut short) = (0, 0, 0, 0, 0);
    let mut delays: Vec<f64> = Vec::new();
    for delivering in recorded {
        let drive = &delivering.drive;
        // Whoever begins within the zone does not arrive.
        let doors = delivering.parked_seconds.iter().map(|seconds| drive.at(*seconds).spot);
        for door in doors.filter(|door| drive.begin().spot.metres_to(*door) > ZONE_METRES) {
            count += 1;
            let there = drive.moments.iter().find(|moment| moment.spot.metres_to(door) <= ARRIVED_METRES);
            let Some(there) = there.map(|moment| moment.seconds) else { continue };
            let gone = drive
                .moments
                .iter()
                .find(|moment| moment.seconds > there && moment.spot.metres_to(door) > ARRIVED_METRES)
                .map_or(drive.end().seconds, |moment| moment.seconds);
            let stays = gone - there >= STAY_SECONDS;
            match arrival(drive, &as_sent(drive), door) {
                Some(told) if drive.at(told).spot.metres_to(door) > ZONE_METRES => false_arrivals += 1,
                Some(_) if !stays => short += 1,
                Some(told) => {
                    told_in_all += 1;
                    delays.push(told - there);
                }
                None if stays => missed += 1,
                None => {}
            }
        }
    }
    let in_time = delays.iter().filter(|delay| **delay <= GOAL_SECONDS).count() as f64 / delays.len() as f64;
    let delays: Spread = delays.into_iter().collect();
    Parked {
        count,
        told: told_in_all,
        missed,
        false_arrivals,
        short,
        median: delays.median(),
        p95: delays.p95(),
        in_time,
    }
}

/// A recording's own fixes: noise and gaps as they are, with an accuracy of 10 m, 0.3 s on their way.
pub(crate) fn as_sent(drive: &Drive) -> Vec<Sent> {
    let fixes = drive.moments.iter().map(|moment| {
        let (latitude, longitude) = drive.plane.degrees(moment.spot);
        Sent {
            latitude,
            longitude,
            accuracy_m: 10.0,
            heading_deg: None,
            speed_mps: None,
            recorded_seconds: moment.seconds,
            arrives_seconds: moment.seconds + 0.3,
            is_outlier: false,
            is_repeat: false,
        }
    });
    fixes.collect()
}
