//! How far it is to drive from a place on a street to others nearby: a plain search with a bound, by metres.
//!
//! The hierarchy of [`crate::route`] answers one pair; matching asks for many ends near one start, and by length.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, hash_map::Entry},
};

use crate::{Roads, Snap, graph::Arc, route::Leg};

/// What it counts, in metres, to turn around on a street.
pub(crate) const TURN_METRES: f64 = 60.0;

/// A place on a street, with the direction in which one drives there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heading {
    pub(crate) snap: Snap,
    pub(crate) is_backward: bool,
}

impl Heading {
    /// Metres from one place to another of the same street, in this direction.
    fn ahead(&self, from_m: f64, to_m: f64) -> f64 {
        if self.is_backward { from_m - to_m } else { to_m - from_m }
    }
}

/// How one comes to a junction.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    millimetres: u64,
    is_turned: bool,
    arc: Arc,
    /// Where the arc begins; none if that is the start.
    before: Option<u32>,
}

/// A way, and what it counts.
pub(crate) struct Drive {
    pub(crate) metres: f64,
    /// Whether one turns around on it.
    pub(crate) is_turned: bool,
    /// The last part, and the junction where it begins unless that is the start.
    leg: Leg,
    from: Option<u32>,
}

impl Drive {
    fn counts(&self) -> f64 {
        self.metres + if self.is_turned { TURN_METRES } else { 0.0 }
    }
}

/// What is reached from one place.
pub(crate) struct Reach<'a> {
    roads: &'a Roads,
    start: Heading,
    junctions: HashMap<u32, Arrival>,
}

impl<'a> Reach<'a> {
    /// What lies between a place and these others, as far as that is at most so many metres away.
    pub(crate) fn of(roads: &'a Roads, start: Heading, ends: &[Heading], within_m: f64) -> Self {
        // Where their streets begin: when all of those are reached nothing else matters.
        let begin = |end: &Heading| Some(roads.graph.street(end.snap.street)?.ends(end.is_backward).0);
        let mut wanted: HashSet<u32> = ends.iter().filter_map(begin).collect();
        let within = millimetres(within_m);
        let turn = millimetres(TURN_METRES);
        let mut junctions = HashMap::new();
        let mut next = BinaryHeap::new();
        if let Some(street) = roads.graph.street(start.snap.street) {
            let along = start.snap.along_m.clamp(0.0, street.metres);
            for is_backward in [false, true] {
                if is_backward && street.is_oneway {
                    continue;
                }
                let metres = millimetres(if is_backward { along } else { street.metres - along });
                let is_turned = is_backward != start.is_backward;
                let counts = metres + if is_turned { turn } else { 0 };
                let arc = Arc::new(street.id, is_backward);
                next.push(Reverse((counts, street.ends(is_backward).1, arc, None, is_turned)));
            }
        }
        while let Some(Reverse((counts, junction, arc, before, is_turned))) = next.pop() {
            if counts > within {
                break;
            }
            let Entry::Vacant(entry) = junctions.entry(junction) else { continue };
            let millimetres_driven = counts - if is_turned { turn } else { 0 };
            entry.insert(Arrival { millimetres: millimetres_driven, is_turned, arc, before });
            wanted.remove(&junction);
            if wanted.is_empty() {
                break;
            }
            for arc in roads.graph.leaving(junction) {
                let Some(street) = roads.graph.street(arc.street()) else { continue };
                let there = street.ends(arc.is_backward()).1;
                if !junctions.contains_key(&there) {
                    let counts = counts + millimetres(street.metres);
                    next.push(Reverse((counts, there, *arc, Some(junction), is_turned)));
                }
            }
        }
        Self { roads, start, junctions }
    }

    /// The drive to a place that counts least, if it is reached.
    ///
    /// Who seems to have gone back a little without turning stood still: within the slack.
    pub(crate) fn drive_to(&self, end: Heading, slack_m: f64) -> Option<Drive> {
        let street = self.roads.graph.street(end.snap.street)?;
        let along = end.snap.along_m;
        let arc = Arc::new(street.id, end.is_backward);
        let mut drives = [None, None];
        if end.snap.street == self.start.snap.street {
            let from_m = self.start.snap.along_m;
            let ahead = end.ahead(from_m, along);
            let is_turned = end.is_backward != self.start.is_backward;
            let to_m = if ahead >= 0.0 { along } else { from_m };
            let leg = Leg { arc, from_m, to_m };
            let drive = Drive { metres: ahead.max(0.0), is_turned, leg, from: None };
            drives[0] = (ahead >= -slack_m).then_some(drive);
        }
        let (junction, _) = street.ends(end.is_backward);
        let from_m = if end.is_backward { street.metres } else { 0.0 };
        if let Some(arrival) = self.junctions.get(&junction) {
            // Who comes out of a street at its end and goes into it again turns, too.
            let is_turned = arrival.is_turned || arrival.arc.street() == street.id;
            let metres = arrival.millimetres as f64 / 1_000.0 + (along - from_m).abs();
            let leg = Leg { arc, from_m, to_m: along };
            drives[1] = Some(Drive { metres, is_turned, leg, from: Some(junction) });
        }
        drives.into_iter().flatten().min_by(|one, other| one.counts().total_cmp(&other.counts()))
    }

    /// Its parts.
    pub(crate) fn legs(&self, drive: &Drive) -> Option<Vec<Leg>> {
        let mut legs = vec![drive.leg];
        let mut at = drive.from;
        while let Some(junction) = at {
            let Arrival { arc, before, .. } = self.junctions.get(&junction)?;
            let street = self.roads.graph.street(arc.street())?;
            let begin = if arc.is_backward() { street.metres } else { 0.0 };
            let from_m = if before.is_some() { begin } else { self.start.snap.along_m };
            legs.push(Leg { arc: *arc, from_m, to_m: street.metres - begin });
            at = *before;
        }
        legs.reverse();
        Some(legs)
    }
}

fn millimetres(metres: f64) -> u64 {
    // Negative and absurd values end at the bounds.
    (metres * 1_000.0).round() as u64
}
