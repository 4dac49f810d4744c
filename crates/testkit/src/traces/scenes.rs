//! Situations in which tracking has to be right: arriving, passing by, waiting at a light, a shift with deliveries.

use rand::Rng;

use super::{Drive, Plane, Spot, driven::Rider, normal};

/// A stand that is a light and not a destination.
const LIGHT_SECONDS: f64 = 8.0;
/// How long somebody stands where the drive ends.
const STAND_SECONDS: f64 = 180.0;
/// Handing over takes this long for half of all, with this deviation of its logarithm: 2 min in the mean, 3.5 min for
/// every twentieth.
const HANDOVER_MEDIAN_SECONDS: f64 = 110.0;
const HANDOVER_DEVIATION: f64 = 0.4;
/// Attempts to find a place that fits.
const ATTEMPTS: usize = 200;

/// The drive ends within 15 m of a door, and the rider stands there for three minutes.
pub fn arriving(drive: &Drive, random: &mut impl Rng) -> (Drive, Spot) {
    let door = drive.end().spot.ahead(random.random_range(0.0..360.0), random.random_range(0.0..15.0));
    (drive.clone().and_stand(STAND_SECONDS), door)
}

/// A door that the drive passes, coming as near as this and no nearer; `None`: there is no room for one.
pub fn passing(drive: &Drive, metres: (f64, f64), random: &mut impl Rng) -> Option<Spot> {
    let length = drive.end().seconds - drive.begin().seconds;
    (0..ATTEMPTS).find_map(|_| {
        let moment = drive.at(drive.begin().seconds + length * random.random_range(0.2..0.8));
        let side = if random.random_bool(0.5) { 90.0 } else { -90.0 };
        let aside = random.random_range(metres.0..metres.1);
        let door = moment.spot.ahead(moment.heading_deg + side, aside);
        let is_far_from_ends =
            drive.begin().spot.metres_to(door) > 200.0 && drive.end().spot.metres_to(door) > 200.0;
        (is_far_from_ends && (metres.0..metres.1).contains(&drive.metres_to(door))).then_some(door)
    })
}

/// A door as near as this to a light at which the drive stands; the drive comes no nearer.
pub fn at_a_light(drive: &Drive, metres: (f64, f64), random: &mut impl Rng) -> Option<Spot> {
    let (first, last) = (drive.begin().seconds + 30.0, drive.end().seconds - 30.0);
    let lights: Vec<Spot> = drive
        .moments
        .iter()
        .filter(|moment| (first..last).contains(&moment.seconds) && moment.speed_mps < 0.1)
        .filter(|moment| drive.at(moment.seconds + LIGHT_SECONDS).spot.metres_to(moment.spot) < 0.5)
        .map(|moment| moment.spot)
        .collect();
    (0..ATTEMPTS).find_map(|_| {
        let light = lights.get(random.random_range(0..lights.len().max(1)))?;
        let aside = random.random_range(metres.0..metres.1);
        let door = light.ahead(random.random_range(0.0..360.0), aside);
        let is_far_from_end = drive.end().spot.metres_to(door) > 200.0;
        (is_far_from_end && drive.metres_to(door) >= metres.0).then_some(door)
    })
}

/// A delivery as it truly was. Moments in the drive's time.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// Where the order was.
    pub pickup: Spot,
    /// Where it went.
    pub dropoff: Spot,
    /// The rider accepted it, and went to the pickup.
    pub accepted_seconds: f64,
    /// The rider was at the pickup.
    pub at_pickup_seconds: f64,
    /// The rider left with the order.
    pub in_transit_seconds: f64,
    /// The rider was at the dropoff.
    pub at_dropoff_seconds: f64,
    /// The customer had the order.
    pub delivered_seconds: f64,
}

/// A shift: for each pair of ways, one to the pickup and one to the customer, each with its wait at the end. The first way
/// of all begins where the rider is, each other where the one before ended.
pub fn shift(
    name: &str,
    plane: Plane,
    ways: &[[Vec<Spot>; 2]],
    rider: &Rider,
    random: &mut impl Rng,
) -> Option<(Drive, Vec<Delivered>)> {
    let mut whole: Option<Drive> = None;
    let mut deliveries = Vec::new();
    for pair in ways {
        let [pickup, dropoff] = [pair[0].last().copied()?, pair[1].last().copied()?];
        let accepted_seconds = whole.as_ref().map_or(0.0, |drive| drive.end().seconds);
        let mut moments = Vec::new();
        for way in pair {
            let drive = rider.drive(name, plane, way, random);
            let ridden = match whole.take() {
                Some(before) => before.and_then(&drive),
                None => drive,
            };
            moments.push(ridden.end().seconds);
            let stood =
                ridden.and_stand(HANDOVER_MEDIAN_SECONDS * (HANDOVER_DEVIATION * normal(random).0).exp());
            moments.push(stood.end().seconds);
            whole = Some(stood);
        }
        let [at_pickup_seconds, in_transit_seconds, at_dropoff_seconds, delivered_seconds] =
            moments.try_into().ok()?;
        deliveries.push(Delivered {
            pickup,
            dropoff,
            accepted_seconds,
            at_pickup_seconds,
            in_transit_seconds,
            at_dropoff_seconds,
            delivered_seconds,
        });
    }
    Some((whole?, deliveries))
}
