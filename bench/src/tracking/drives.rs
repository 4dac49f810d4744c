//! The drives that are taken for true: recorded, and made up along streets.

use std::path::Path;

use platepal_testkit::traces::{
    Drive, Plane, Spot,
    driven::Rider,
    recorded::{self, Delivering},
    scenes,
    streets::{self, Corner},
};
use rand::{Rng, rngs::StdRng};

use super::etas::Shift;

/// What was recorded.
pub struct Recorded {
    /// Clean stretches of city drives.
    pub city: Vec<Drive>,
    /// Deliveries as they are.
    pub delivering: Vec<Delivering>,
}

/// Reads the recordings of a folder; `None`: they are not there.
pub fn recorded(folder: &Path) -> anyhow::Result<Option<Recorded>> {
    let (city, delivering) = (folder.join("city_driving_1hz.csv"), folder.join("delivery_agents_5s.csv"));
    if !city.exists() || !delivering.exists() {
        return Ok(None);
    }
    Ok(Some(Recorded { city: recorded::city_drives(&city)?, delivering: recorded::deliveries(&delivering)? }))
}

/// Drives in a sentence.
pub fn words(what: &str, drives: &[Drive]) -> String {
    let km = drives.iter().map(Drive::metres).sum::<f64>() / 1e3;
    let hours = drives.iter().map(|drive| drive.end().seconds - drive.begin().seconds).sum::<f64>() / 3_600.0;
    let stands = |drive: &Drive| {
        let fixes = drive.moments.iter().filter(|moment| moment.speed_mps < 0.5).count();
        fixes as f64 / drive.moments.len() as f64
    };
    let standing = drives.iter().map(stands).sum::<f64>() / drives.len() as f64;
    format!(
        "{}: {what}; {km:.0} km in {hours:.1} h ({:.1} km/h on average, {:.0} % of the time standing)",
        drives.len(),
        km / hours,
        standing * 100.0
    )
}

/// Half of all ride bicycles.
pub fn rider(index: usize, random: &mut StdRng) -> Rider {
    if index.is_multiple_of(2) { Rider::bicycle(random) } else { Rider::moped(random) }
}

/// Shifts of two deliveries in the made-up town, of which the second is judged: 0.4 to 1.5 km to the restaurant, and 1.5
/// to 4 km to the customer.
pub fn town_shifts(count: usize, random: &mut StdRng) -> Vec<Shift> {
    let shift = |index: usize, random: &mut StdRng| {
        let rider = rider(index, random);
        let mut here: Corner = (0, 0);
        let mut way = |from: f64, to: f64, random: &mut StdRng| -> Vec<Spot> {
            let next = streets::away(here, random.random_range(from..to), random);
            streets::between(std::mem::replace(&mut here, next), next, random)
        };
        let mut pair = |random: &mut StdRng| [way(400.0, 1_500.0, random), way(1_500.0, 4_000.0, random)];
        let ways = [pair(random), pair(random)];
        let (drive, deliveries) = scenes::shift("a shift in town", Plane::HELSINKI, &ways, &rider, random)?;
        Some(Shift { drive, deliveries, from: 1 })
    };
    (0..count).filter_map(|index| shift(index, random)).collect()
}
