//! A drive along a way: cruising, slowing down for turns, standing at lights.
//!
//! The numbers are those of two-wheelers in a city; each rider is drawn anew. They are chosen without looking at what the
//! tier takes for a rider's speed, so that an ETA is not judged by its own assumptions.

use rand::Rng;

use super::{Drive, Moment, Plane, Spot, normal};

/// The way is reckoned in steps of this length.
const STEP_METRES: f64 = 3.0;
/// A turn is what changes the direction within this length to both sides.
const TURN_METRES: f64 = 9.0;
/// A junction with lights comes about every so many metres.
const LIGHTS_METRES: f64 = 220.0;

/// How somebody rides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rider {
    /// Where nothing is in the way.
    pub cruise_mps: f64,
    /// Speeding up, m/s².
    pub accelerates: f64,
    /// Slowing down, m/s².
    pub brakes: f64,
    /// Share of junctions with lights at which the lights are red.
    pub red: f64,
    /// How long they are red for whoever comes: from and to.
    pub red_seconds: (f64, f64),
}

impl Rider {
    /// On a bicycle: 15 to 22 km/h where nothing is in the way.
    pub fn bicycle(random: &mut impl Rng) -> Self {
        Self { cruise_mps: random.random_range(4.2..6.2), ..Self::moped(random) }
    }

    /// On a moped: 25 to 38 km/h where nothing is in the way.
    pub fn moped(random: &mut impl Rng) -> Self {
        Self {
            cruise_mps: random.random_range(7.0..10.5),
            accelerates: 1.2,
            brakes: 1.5,
            red: 0.35,
            red_seconds: (5.0, 45.0),
        }
    }

    /// Rides a way, from standing to standing. One moment a second.
    pub fn drive(&self, name: &str, plane: Plane, way: &[Spot], random: &mut impl Rng) -> Drive {
        let steps = resampled(way);
        let (mut most, stands) = self.limits(&steps, random);
        if let (Some(first), true) = (most.first_mut(), steps.len() > 1) {
            *first = 0.0;
        }
        if let Some(last) = most.last_mut() {
            *last = 0.0;
        }
        for index in (1..most.len()).rev() {
            let metres = steps[index - 1].metres_to(steps[index]);
            most[index - 1] = most[index - 1].min((most[index].powi(2) + 2.0 * self.brakes * metres).sqrt());
        }
        for index in 1..most.len() {
            let metres = steps[index - 1].metres_to(steps[index]);
            most[index] = most[index].min((most[index - 1].powi(2) + 2.0 * self.accelerates * metres).sqrt());
        }
        let mut passed = vec![(0.0, 0)];
        let mut seconds = 0.0;
        for index in 1..steps.len() {
            let metres = steps[index - 1].metres_to(steps[index]);
            seconds += metres / ((most[index - 1] + most[index]) / 2.0).max(0.5);
            passed.push((seconds, index));
            if stands[index] > 0.0 && index + 1 < steps.len() {
                seconds += stands[index];
                passed.push((seconds, index));
            }
        }
        let moments: Vec<Moment> = passed
            .iter()
            .map(|(seconds, index)| {
                let next = (index + 1).min(steps.len() - 1);
                let from = next.saturating_sub(1);
                Moment {
                    seconds: *seconds,
                    spot: steps[*index],
                    speed_mps: most[*index],
                    heading_deg: steps[from].heading_to(steps[next]),
                }
            })
            .collect();
        let exact = Drive { name: name.to_owned(), plane, moments };
        let mut moments: Vec<Moment> =
            (0..=seconds as u32).map(|second| exact.at(f64::from(second))).collect();
        moments.push(exact.end());
        moments.dedup_by(|b, a| b.seconds - a.seconds < 1e-6);
        Drive { moments, ..exact }
    }

    /// The highest speed at each step, and how long the rider stands there.
    fn limits(&self, steps: &[Spot], random: &mut impl Rng) -> (Vec<f64>, Vec<f64>) {
        let around = (TURN_METRES / STEP_METRES) as usize;
        let mut wobble = 0.0_f64;
        let mut until_lights = random.random_range(0.3..1.0) * LIGHTS_METRES;
        let mut most = Vec::with_capacity(steps.len());
        let mut stands = Vec::with_capacity(steps.len());
        for index in 0..steps.len() {
            // Nobody keeps a speed: 8 %, forgotten after 60 m.
            let kept = (-STEP_METRES / 60.0).exp();
            wobble = kept * wobble + (1.0 - kept * kept).sqrt() * 0.08 * normal(random).0;
            let before = steps[index.saturating_sub(around)];
            let after = steps[(index + around).min(steps.len() - 1)];
            let turn = match (before.metres_to(steps[index]), steps[index].metres_to(after)) {
                (a, b) if a > 1.0 && b > 1.0 => {
                    let turn = before.heading_to(steps[index]) - steps[index].heading_to(after);
                    ((turn + 180.0).rem_euclid(360.0) - 180.0).abs()
                }
                _ => 0.0,
            };
            let turning = match turn {
                turn if turn > 100.0 => 2.0,
                turn if turn > 50.0 => 3.5,
                turn if turn > 25.0 => 5.5,
                _ => f64::INFINITY,
            };
            let mut speed = (self.cruise_mps * (1.0 + wobble.clamp(-0.3, 0.3))).min(turning);
            let mut stand = 0.0;
            until_lights -= STEP_METRES;
            if until_lights < 0.0 {
                until_lights = random.random_range(0.5..1.5) * LIGHTS_METRES;
                if random.random_bool(self.red) {
                    stand = random.random_range(self.red_seconds.0..self.red_seconds.1);
                    speed = 0.0;
                }
            }
            most.push(speed);
            stands.push(stand);
        }
        (most, stands)
    }
}

/// The same way with a spot every few metres.
fn resampled(way: &[Spot]) -> Vec<Spot> {
    let mut steps: Vec<Spot> = way.first().copied().into_iter().collect();
    for (a, b) in way.iter().zip(way.iter().skip(1)) {
        let pieces = (a.metres_to(*b) / STEP_METRES).ceil() as u32;
        steps.extend((1..=pieces).map(|piece| a.toward(*b, f64::from(piece) / f64::from(pieces))));
    }
    steps
}
