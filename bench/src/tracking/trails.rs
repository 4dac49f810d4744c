//! What a trail costs, and what it keeps.

use platepal_testkit::traces::{Drive, Spot, phone::Phone};
use platepal_tracking::replay::shift::{Delivery, NoRoads, Place, Stage, polyline};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::pass::{pass, place, seconds, spot};

/// Bytes of a moment in a list of differences: as text, with its comma.
const MOMENT_BYTES: usize = 5;

/// Trails of one kind of drive.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// Which drives.
    pub drives: String,
    /// Which phone.
    pub phone: String,
    /// Seconds between its fixes.
    pub interval: f64,
    /// Length of the drives.
    pub km: f64,
    /// Fixes.
    pub fixes: usize,
    /// Points that are kept.
    pub points: usize,
    /// Bytes of the fixes as a polyline with moments.
    pub fixes_bytes: usize,
    /// Bytes of the points as a polyline with moments.
    pub points_bytes: usize,
    /// From the smoothed positions to the trail: the greatest, in metres.
    pub error_most: f64,
    /// From the truth to the trail: half are less, in metres.
    pub truth_median: f64,
}

/// Measures drives.
pub fn measure(name: &str, drives: &[Drive], phone: &Phone, random: &mut impl Rng) -> Found {
    let mut found = Found {
        drives: name.to_owned(),
        phone: phone.name.to_owned(),
        interval: phone.interval_seconds,
        km: 0.0,
        fixes: 0,
        points: 0,
        fixes_bytes: 0,
        points_bytes: 0,
        error_most: 0.0,
        truth_median: 0.0,
    };
    let mut truths = Vec::new();
    for drive in drives {
        let sent = phone.measure(drive, random);
        // A trail belongs to a delivery and ends with it; what follows its last point is no part of it.
        let far = place(&drive.plane, drive.end().spot.ahead(0.0, 5_000.0));
        let delivery = |stage| Delivery { delivery_id: "1".to_owned(), stage, pickup: far, dropoff: far };
        let changes = [
            (drive.begin().seconds, delivery(Stage::InTransit)),
            (drive.end().seconds + 1.0, delivery(Stage::Delivered)),
        ];
        let passed = pass(drive, &sent, &changes, &NoRoads);
        let mut kept: Vec<(f64, Place)> = passed
            .iter()
            .filter_map(|passed| passed.step.kept.map(|(place, at)| (seconds(at), place)))
            .collect();
        kept.sort_by(|a, b| a.0.total_cmp(&b.0));
        let trail: Vec<Spot> = kept.iter().map(|(_, place)| spot(&drive.plane, *place)).collect();
        let places = passed.iter().filter_map(|passed| passed.position(&drive.plane));
        for (fix, position) in places {
            found.error_most = found.error_most.max(to_trail(position, &trail));
            truths.push(to_trail(drive.at(fix.recorded_seconds).spot, &trail));
        }
        found.km += drive.metres() / 1e3;
        found.fixes += sent.len();
        found.points += kept.len();
        let fixes = sent.iter().map(|fix| Place { latitude: fix.latitude, longitude: fix.longitude });
        found.fixes_bytes += polyline(fixes).len() + sent.len() * MOMENT_BYTES;
        let points = trail.iter().map(|spot| place(&drive.plane, *spot));
        found.points_bytes += polyline(points).len() + kept.len() * MOMENT_BYTES;
    }
    found.truth_median = truths.into_iter().collect::<platepal_testkit::traces::spread::Spread>().median();
    found
}

/// Metres to the nearest piece of a trail.
fn to_trail(spot: Spot, trail: &[Spot]) -> f64 {
    let pieces = trail.iter().zip(trail.iter().skip(1));
    pieces.map(|(from, to)| spot.metres_to_way(*from, *to)).fold(f64::INFINITY, f64::min)
}
