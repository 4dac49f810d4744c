//! A drive as a phone measured it goes through the rules.

use platepal_events::Timestamp;
use platepal_testkit::traces::{Drive, Plane, Spot, phone::Sent};
use platepal_tracking::replay::{
    Answer, Fix,
    shift::{Ahead, Delivery, Input, Place, Shift, Step},
};

/// When a drive's time begins: 2026-11-24T11:30:00Z.
const BEGIN_MICROS: i64 = 1_795_519_800_000_000;
/// How far from everything the shift begins, so that privacy takes nothing from trails.
const AWAY_METRES: f64 = 30_000.0;

/// What followed from an input.
#[derive(Debug, Clone)]
pub struct Passed {
    /// When, in the drive's time.
    pub seconds: f64,
    /// The fix that came in.
    pub sent: Option<Sent>,
    /// What followed.
    pub step: Step,
}

impl Passed {
    /// The fix and where the rider is shown after it, if it was believed.
    pub fn position(&self, plane: &Plane) -> Option<(&Sent, Spot)> {
        let (sent, seen_at) = (self.sent.as_ref()?, self.step.seen_at?);
        Some((sent, spot(plane, seen_at)))
    }

    /// The fix, if it was refused as being somewhere else.
    pub fn is_refused(&self) -> bool {
        matches!(self.step.answer, Some(Answer::Refused(_)))
    }
}

/// A moment of the drive's time.
pub fn at(seconds: f64) -> Timestamp {
    Timestamp::from_micros(BEGIN_MICROS + (seconds * 1e6) as i64)
}

/// A moment in the drive's time.
pub fn seconds(at: Timestamp) -> f64 {
    (at.micros() - BEGIN_MICROS) as f64 / 1e6
}

/// A place on the plane.
pub fn spot(plane: &Plane, place: Place) -> Spot {
    plane.spot(place.latitude, place.longitude)
}

/// A spot on earth.
pub fn place(plane: &Plane, spot: Spot) -> Place {
    let (latitude, longitude) = plane.degrees(spot);
    Place { latitude, longitude }
}

/// Gives the rules fixes as they arrive, deliveries at their moments, and the time once a second.
pub fn pass(drive: &Drive, sent: &[Sent], deliveries: &[(f64, Delivery)], roads: &dyn Ahead) -> Vec<Passed> {
    let mut inputs: Vec<(f64, u8, Option<Sent>, Input)> = Vec::new();
    let (begin, mut end) = (drive.begin().seconds, drive.end().seconds);
    for sent in sent {
        end = end.max(sent.arrives_seconds);
        inputs.push((sent.arrives_seconds, 1, Some(*sent), Input::Fix(fix(sent))));
    }
    for (seconds, delivery) in deliveries {
        inputs.push((*seconds, 0, None, Input::Delivery(delivery.clone())));
    }
    for second in 0..=(end - begin).ceil() as u32 {
        inputs.push((begin + f64::from(second), 2, None, Input::Tick));
    }
    inputs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let away = place(&drive.plane, Spot { east: -AWAY_METRES, north: 0.0 });
    let mut shift = Shift::begin(at(begin - 60.0), away);
    let mut passed: Vec<Passed> = inputs
        .into_iter()
        .map(|(seconds, _, sent, input)| Passed {
            seconds,
            sent,
            step: shift.step(&input, at(seconds), roads),
        })
        .collect();
    let kept = shift.end(at(end + 1.0));
    passed.push(Passed { seconds: end + 1.0, sent: None, step: Step { kept, ..Step::default() } });
    passed
}

fn fix(sent: &Sent) -> Fix {
    Fix {
        latitude: sent.latitude,
        longitude: sent.longitude,
        accuracy: sent.accuracy_m,
        heading: sent.heading_deg,
        speed: sent.speed_mps,
        battery_level: None,
        recorded_at: at(sent.recorded_seconds),
    }
}
