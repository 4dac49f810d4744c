//! The map of central Helsinki: rides along its streets, and what it knows of ways ahead.

use std::path::Path;

use anyhow::Context as _;
use platepal_roads::{Class, Roads, Speeds};
use platepal_testkit::traces::{Drive, Plane, Spot, scenes};
use platepal_tracking::replay::shift::{Ahead, Near, Place, Road};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{drives, etas::Shift, pass};

/// The map, seen from the top of the repository. © OpenStreetMap contributors, ODbL 1.0.
const FILE: &str = "crates/roads/data/helsinki-centre-roads.osm.pbf";
/// Half the sides of the rectangle in which places are drawn, in metres east and north.
const HALF_METRES: (f64, f64) = (480.0, 800.0);
/// A place has a street within this.
const STREET_METRES: f64 = 60.0;
/// How far to the right of a street's line a rider keeps, in metres: from and to.
const ASIDE_METRES: (f64, f64) = (0.5, 4.5);
/// Attempts to find a way that fits.
const ATTEMPTS: usize = 400;
/// Shifts from which the map learns how fast its streets are before any is judged.
const LESSONS: usize = 20;

/// Streets.
pub struct Map {
    roads: Roads,
    speeds: Speeds,
    plane: Plane,
    streets: Vec<Vec<Spot>>,
}

impl Map {
    /// Reads the map.
    pub fn load() -> anyhow::Result<Self> {
        let roads = Roads::read_pbf(Path::new(FILE))
            .with_context(|| format!("{FILE} can't be read; run this at the top of the repository"))?;
        let plane = Plane::HELSINKI;
        let streets = roads
            .streets()
            .map(|(_, line)| line.into_iter().map(|at| plane.spot(at.latitude, at.longitude)).collect())
            .collect();
        Ok(Self { roads, speeds: Speeds::default(), plane, streets })
    }

    /// Every street, for drawing.
    pub fn streets(&self) -> &[Vec<Spot>] {
        &self.streets
    }

    /// Rides of about 2.5 km from place to place.
    pub fn rides(&self, count: usize, random: &mut StdRng) -> Vec<Drive> {
        let ride = |index: usize, random: &mut StdRng| {
            let mut way = self.way(None, (600.0, f64::INFINITY), random)?;
            while metres(&way) < 2_500.0 {
                way.extend(self.way(way.last().copied(), (400.0, f64::INFINITY), random)?);
            }
            let mut ride = drives::rider(index, random).drive("a ride in Helsinki", self.plane, &way, random);
            // Nobody rides on the line that the map draws.
            let aside = random.random_range(ASIDE_METRES.0..ASIDE_METRES.1);
            for moment in &mut ride.moments {
                moment.spot = moment.spot.ahead(moment.heading_deg + 90.0, aside);
            }
            Some(ride)
        };
        (0..count).filter_map(|index| ride(index, random)).collect()
    }

    /// Shifts of two deliveries, of which the second is judged. `to_customer`: how long the ways to the customer are;
    /// `bicycles`: all ride bicycles, else half of them.
    pub fn shifts(
        &self,
        count: usize,
        to_customer: (f64, f64),
        bicycles: bool,
        random: &mut StdRng,
    ) -> Vec<Shift> {
        let shift = |index: usize, random: &mut StdRng| {
            let rider = drives::rider(if bicycles { 0 } else { index }, random);
            let mut ways: Vec<[Vec<Spot>; 2]> = Vec::new();
            for _ in 0..2 {
                let here = ways.last().and_then(|pair| pair[1].last().copied());
                let (to_pickup, on) = (0..ATTEMPTS).find_map(|_| {
                    let to_pickup = self.way(here, (200.0, 1_500.0), random)?;
                    let on = self.try_way(to_pickup.last().copied(), to_customer, random)?;
                    Some((to_pickup, on))
                })?;
                ways.push([to_pickup, on]);
            }
            let (drive, deliveries) =
                scenes::shift("a shift in Helsinki", self.plane, &ways, &rider, random)?;
            Some(Shift { drive, deliveries, from: 1 })
        };
        (0..count).filter_map(|index| shift(index, random)).collect()
    }

    /// Learns from shifts that are not judged how fast the streets are, as the service does from finished deliveries.
    pub fn learn(&mut self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        for shift in self.shifts(LESSONS, (600.0, f64::INFINITY), false, &mut random) {
            for delivered in &shift.deliveries {
                let legs = [
                    (delivered.accepted_seconds, delivered.at_pickup_seconds),
                    (delivered.in_transit_seconds, delivered.at_dropoff_seconds),
                ];
                for (from, to) in legs {
                    self.learn_leg(&shift.drive, from, to);
                }
            }
        }
    }

    fn learn_leg(&mut self, drive: &Drive, from: f64, to: f64) {
        let measured: Vec<platepal_roads::Measured> = (0..=((to - from) / 5.0) as u32)
            .map(|step| {
                let seconds = from + f64::from(step) * 5.0;
                let (latitude, longitude) = self.plane.degrees(drive.at(seconds).spot);
                platepal_roads::Measured {
                    place: platepal_roads::Place { latitude, longitude },
                    accuracy_m: 5.0,
                    at_millis: (seconds * 1e3) as i64,
                }
            })
            .collect();
        let Some(matched) = self.roads.matched(&measured) else { return };
        for class in Class::ALL {
            let (metres, seconds) = (
                matched.metres_by_class.get(class.index()).copied().unwrap_or_default(),
                matched.seconds_by_class.get(class.index()).copied().unwrap_or_default(),
            );
            self.speeds.learn(class, metres, seconds);
        }
    }

    /// Metres per second of each class of street that a ride here may use, for people.
    pub fn words(&self) -> String {
        let classes = [Class::Secondary, Class::Tertiary, Class::Residential, Class::Service];
        let speeds: Vec<String> = classes
            .iter()
            .map(|class| {
                let (before, now) = (class.prior_mps() * 3.6, self.speeds.mps(*class) * 3.6);
                format!("{class:?} {before:.0} → {now:.0}").to_lowercase()
            })
            .collect();
        speeds.join(", ")
    }

    /// A way to somewhere, from a spot or from anywhere, of a length between these.
    fn way(&self, from: Option<Spot>, length: (f64, f64), random: &mut StdRng) -> Option<Vec<Spot>> {
        (0..ATTEMPTS).find_map(|_| self.try_way(from, length, random))
    }

    fn try_way(&self, from: Option<Spot>, length: (f64, f64), random: &mut StdRng) -> Option<Vec<Spot>> {
        let from = match from {
            Some(spot) => spot,
            None => self.somewhere(random)?,
        };
        let to = self.somewhere(random)?;
        let route = self.roads.route(self.place(from), None, self.place(to), &Speeds::default())?;
        let is_long_enough = (length.0..length.1).contains(&route.metres);
        is_long_enough
            .then(|| route.line.iter().map(|at| self.plane.spot(at.latitude, at.longitude)).collect())
    }

    fn somewhere(&self, random: &mut StdRng) -> Option<Spot> {
        let (east, north) = HALF_METRES;
        let spot = Spot { east: random.random_range(-east..east), north: random.random_range(-north..north) };
        let place = self.roads.snap(self.place(spot), STREET_METRES).first()?.place;
        Some(self.plane.spot(place.latitude, place.longitude))
    }

    fn place(&self, spot: Spot) -> platepal_roads::Place {
        let Place { latitude, longitude } = pass::place(&self.plane, spot);
        platepal_roads::Place { latitude, longitude }
    }
}

impl Ahead for Map {
    fn ahead(&self, from: Place, heading: Option<f64>, to: Place) -> Option<Road> {
        let theirs =
            |place: Place| platepal_roads::Place { latitude: place.latitude, longitude: place.longitude };
        let route = self.roads.route(theirs(from), heading, theirs(to), &self.speeds)?;
        Some(Road {
            seconds: route.seconds,
            metres: route.metres,
            line: route
                .line
                .iter()
                .map(|at| Place { latitude: at.latitude, longitude: at.longitude })
                .collect(),
        })
    }

    fn near(&self, at: Place, within_m: f64) -> Vec<Near> {
        let at = platepal_roads::Place { latitude: at.latitude, longitude: at.longitude };
        let near = self.roads.snap(at, within_m).into_iter().map(|snap| Near {
            street: snap.street,
            place: Place { latitude: snap.place.latitude, longitude: snap.place.longitude },
            metres: snap.metres,
            bearing: snap.bearing_deg,
            is_oneway: snap.is_oneway,
        });
        near.collect()
    }
}

fn metres(way: &[Spot]) -> f64 {
    way.iter().zip(way.iter().skip(1)).map(|(from, to)| from.metres_to(*to)).sum()
}
