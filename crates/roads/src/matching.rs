//! Which streets were driven, from fixes that are some metres off: the most likely way, not the nearest streets.
//!
//! A hidden Markov model as by P. Newson and J. Krumm, *Hidden Markov Map Matching Through Noise and Sparseness*,
//! ACM SIGSPATIAL 2009. Each fix may have been at the nearest place of any street around it; a fix is likely to
//! be as far off as its accuracy says (their formula 1), and between two fixes one drives about as far as they are
//! apart (formula 2). The likeliest sequence is found by Viterbi's algorithm.

use crate::{
    Class, Place, Roads, Snap, Speeds,
    reach::{Heading, Reach, TURN_METRES},
    route::Leg,
};

/// The newest so many fixes are looked at, and of those that say something the newest so many are matched.
const FIXES_MAX: usize = 2_000;
const MATCHED_MAX: usize = 200;
/// A fix says something if it is so many times the accuracy away from the one before. Newson and Krumm take 2;
/// then, with a fix each second, of one who stands every third fix counts, and each is a mistake.
const APART: f64 = 4.0;
/// Streets that are considered for one fix, the nearest.
const CANDIDATES_MAX: usize = 8;
/// A fix is at least so far off, in metres: 4.07 is Newson and Krumm's estimate for plain GPS.
const OFF_METRES_MIN: f64 = 4.07;
/// Streets may be so many times the accuracy away from a fix, within these bounds in metres.
const AROUND: f64 = 4.0;
const AROUND_METRES: (f64, f64) = (40.0, 200.0);
/// The mean difference between the way driven and the straight line, in metres: the paper's β. Theirs is smaller
/// because they take it from fixes without much noise; noise at both ends makes the difference larger.
const DETOUR_METRES: f64 = 5.0;
/// A way that is longer than twice the straight line and this, in metres, is none.
const DETOUR_METRES_MAX: f64 = 200.0;
/// Two fixes that are farther apart than this, in metres or milliseconds, are of different drives.
const GAP_METRES_MAX: f64 = 2_000.0;
const GAP_MILLIS_MAX: i64 = 180_000;

/// A measured place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Where it seems to be.
    pub place: Place,
    /// How far off that may be, in metres: the radius that holds it in two of three cases.
    pub accuracy_m: f64,
    /// When, in milliseconds of any clock that goes on.
    pub at_millis: i64,
}

impl Measured {
    /// The standard deviation to reckon with.
    fn off_m(&self) -> f64 {
        if self.accuracy_m.is_finite() { self.accuracy_m.max(OFF_METRES_MIN) } else { OFF_METRES_MIN }
    }
}

/// A drive on streets, since the last break in the fixes.
#[derive(Debug, Clone, PartialEq)]
pub struct Matched {
    /// Where the newest fix was, on its street.
    pub place: Place,
    /// How far the fix was off.
    pub off_m: f64,
    /// Where it goes there, in degrees clockwise from north: none for one who did not move on a street that may be
    /// driven both ways.
    pub bearing_deg: Option<f64>,
    /// The kind of the street at the end.
    pub class: Class,
    /// Metres driven on streets of each class, at the class's index.
    pub metres_by_class: [f64; Class::COUNT],
    /// Seconds that this took: the time between fixes, shared out as the priors would.
    pub seconds_by_class: [f64; Class::COUNT],
    /// The way that was driven.
    pub line: Vec<Place>,
    /// The numbers of the streets that were driven, in order.
    pub streets: Vec<u32>,
}

/// A place where a fix may have been.
struct Candidate {
    heading: Heading,
    /// The logarithm of how likely the best way to it is.
    score: f64,
    /// The candidate of the fix before that it comes from.
    before: usize,
}

/// All of them for one fix.
struct Layer {
    fix: Measured,
    candidates: Vec<Candidate>,
}

impl Roads {
    /// What was driven. None if the newest fix is near no street.
    ///
    /// Fixes are in the order of their time; one that is older than the one before is left out.
    pub fn matched(&self, fixes: &[Measured]) -> Option<Matched> {
        let mut layers: Vec<Layer> = Vec::new();
        let newest = fixes.last()?;
        for fix in thinned(fixes) {
            let candidates = self.candidates(&fix);
            if candidates.is_empty() {
                continue;
            }
            let mut layer = Layer { fix, candidates };
            if layers.last().is_some_and(|before| !self.step(before, &mut layer)) {
                // No way leads here: another drive begins.
                layers.clear();
            }
            layers.push(layer);
        }
        if layers.last()?.fix != *newest {
            return None;
        }
        self.likeliest(&layers)
    }

    fn candidates(&self, fix: &Measured) -> Vec<Candidate> {
        let off_m = fix.off_m();
        let around = (off_m * AROUND).clamp(AROUND_METRES.0, AROUND_METRES.1);
        let snaps = self.snap(fix.place, around).into_iter().take(CANDIDATES_MAX);
        let score = |snap: &Snap| -0.5 * (snap.metres / off_m).powi(2);
        let mut candidates = Vec::new();
        for snap in snaps {
            for is_backward in [false, true].into_iter().take(if snap.is_oneway { 1 } else { 2 }) {
                let heading = Heading { snap, is_backward };
                candidates.push(Candidate { heading, score: score(&snap), before: 0 });
            }
        }
        candidates
    }

    /// Connects each candidate with the best one before it; those that none leads to are dropped. False if that
    /// leaves none.
    fn step(&self, before: &Layer, layer: &mut Layer) -> bool {
        let straight = before.fix.place.metres_to(layer.fix.place);
        let elapsed = layer.fix.at_millis.saturating_sub(before.fix.at_millis);
        if straight > GAP_METRES_MAX || elapsed > GAP_MILLIS_MAX {
            return false;
        }
        let slack = slack(&before.fix, &layer.fix);
        let within = straight * 2.0 + DETOUR_METRES_MAX;
        let ends: Vec<Heading> = layer.candidates.iter().map(|candidate| candidate.heading).collect();
        let mut best: Vec<Option<(f64, usize)>> = vec![None; layer.candidates.len()];
        for (index, from) in before.candidates.iter().enumerate() {
            let reach = Reach::of(self, from.heading, &ends, within);
            for (best, to) in best.iter_mut().zip(&layer.candidates) {
                let Some(drive) = reach.drive_to(to.heading, slack) else { continue };
                let turn = if drive.is_turned { TURN_METRES } else { 0.0 };
                let score = from.score - ((drive.metres - straight).abs() + turn) / DETOUR_METRES;
                if best.is_none_or(|(other, _)| other < score) {
                    *best = Some((score, index));
                }
            }
        }
        let candidates = std::mem::take(&mut layer.candidates);
        for (mut candidate, best) in candidates.into_iter().zip(best) {
            if let Some((score, before)) = best {
                candidate.score += score;
                candidate.before = before;
                layer.candidates.push(candidate);
            }
        }
        if layer.candidates.is_empty() {
            // It is the first of another drive.
            layer.candidates = self.candidates(&layer.fix);
            return false;
        }
        true
    }

    fn likeliest(&self, layers: &[Layer]) -> Option<Matched> {
        let last = layers.last()?;
        let by_score = |(_, one): &(usize, &Candidate), (_, other): &(usize, &Candidate)| {
            one.score.total_cmp(&other.score)
        };
        let (mut index, end) = last.candidates.iter().enumerate().max_by(by_score)?;
        let mut chosen = Vec::new();
        for layer in layers.iter().rev() {
            let candidate = layer.candidates.get(index)?;
            chosen.push((layer.fix, candidate.heading));
            index = candidate.before;
        }
        chosen.reverse();
        let mut drive = Driven::new(&end.heading.snap);
        for pair in chosen.windows(2) {
            let [(from_fix, from), (to_fix, to)] = pair else { continue };
            let within = from_fix.place.metres_to(to_fix.place) * 2.0 + DETOUR_METRES_MAX;
            let reach = Reach::of(self, *from, &[*to], within);
            let legs = reach.legs(&reach.drive_to(*to, slack(from_fix, to_fix))?)?;
            let elapsed = to_fix.at_millis.saturating_sub(from_fix.at_millis);
            drive.add(self, &legs, elapsed as f64 / 1_000.0);
        }
        Some(drive.end(&end.heading, last.fix.off_m()))
    }
}

/// How far back noise may seem to move one who stands.
fn slack(one: &Measured, other: &Measured) -> f64 {
    one.off_m() + other.off_m()
}

/// The fixes that say something, and the newest.
fn thinned(fixes: &[Measured]) -> Vec<Measured> {
    let mut kept: Vec<Measured> = Vec::new();
    let count = fixes.len();
    for (index, fix) in fixes.iter().enumerate().skip(count.saturating_sub(FIXES_MAX)) {
        let is_in_order = kept.last().is_none_or(|last| fix.at_millis >= last.at_millis);
        let is_apart = kept.last().is_none_or(|last| last.place.metres_to(fix.place) > APART * fix.off_m());
        if is_in_order && (is_apart || index + 1 == count) {
            kept.push(*fix);
        }
    }
    kept.drain(..kept.len().saturating_sub(MATCHED_MAX));
    kept
}

/// Counts legs together.
struct Driven {
    matched: Matched,
}

impl Driven {
    fn new(end: &Snap) -> Self {
        let matched = Matched {
            place: end.place,
            off_m: end.metres,
            bearing_deg: None,
            class: end.class,
            metres_by_class: [0.0; Class::COUNT],
            seconds_by_class: [0.0; Class::COUNT],
            line: Vec::new(),
            streets: Vec::new(),
        };
        Self { matched }
    }

    fn add(&mut self, roads: &Roads, legs: &[Leg], seconds: f64) {
        let prior = Speeds::default();
        let streets = legs.iter().filter_map(|leg| Some((leg, roads.graph.street(leg.arc.street())?)));
        let parts = streets.map(|(leg, street)| {
            let metres = (leg.to_m - leg.from_m).abs();
            (leg, street, metres, metres * prior.pace(street.class, street.limit_kmh))
        });
        let parts: Vec<_> = parts.filter(|(_, _, metres, _)| *metres > 0.0).collect();
        let expected: f64 = parts.iter().map(|(.., seconds)| seconds).sum();
        for (leg, street, metres, share) in parts {
            let index = street.class.index();
            if let Some(of_class) = self.matched.metres_by_class.get_mut(index) {
                *of_class += metres;
            }
            if let Some(of_class) = self.matched.seconds_by_class.get_mut(index) {
                *of_class += seconds * share / expected;
            }
            if self.matched.streets.last() != Some(&street.id) {
                self.matched.streets.push(street.id);
            }
            for place in street.line(leg.from_m, leg.to_m) {
                if self.matched.line.last() != Some(&place) {
                    self.matched.line.push(place);
                }
            }
        }
    }

    fn end(mut self, end: &Heading, off_m: f64) -> Matched {
        if self.matched.streets.is_empty() {
            self.matched.streets.push(end.snap.street);
            self.matched.line.push(end.snap.place);
        }
        let driven: f64 = self.matched.metres_by_class.iter().sum();
        self.matched.bearing_deg = (end.snap.is_oneway || driven > off_m).then(|| {
            let turned = if end.is_backward { 180.0 } else { 0.0 };
            (end.snap.bearing_deg + turned).rem_euclid(360.0)
        });
        self.matched
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, f64::consts::TAU};

    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::tests::{HELSINKI, anywhere};

    /// Metres per second of the drives.
    const SPEED: f64 = 8.0;

    /// Two independent numbers with a standard deviation of one (Box and Muller 1958).
    fn normal(random: &mut StdRng) -> (f64, f64) {
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
        let angle = random.random::<f64>() * TAU;
        (radius * angle.cos(), radius * angle.sin())
    }

    /// A fix each second along a line, off by white noise of so many metres in each direction.
    fn drive(line: &[Place], noise_m: f64, random: &mut StdRng) -> Vec<Measured> {
        let mut fixes = Vec::new();
        let mut until_next = 0.0;
        for pair in line.windows(2) {
            let (length, bearing) = (pair[0].metres_to(pair[1]), pair[0].bearing_to(pair[1]));
            while until_next <= length {
                let (north, east) = normal(random);
                let place = pair[0].ahead(bearing, until_next);
                let place = place.ahead(0.0, north * noise_m).ahead(90.0, east * noise_m);
                let at_millis = fixes.len() as i64 * 1_000;
                fixes.push(Measured { place, accuracy_m: noise_m, at_millis });
                until_next += SPEED;
            }
            until_next -= length;
        }
        fixes
    }

    /// Drives of 300 m and more, each with its legs.
    fn drives(count: usize, random: &mut StdRng) -> Vec<(Vec<Leg>, Vec<Place>, f64)> {
        let mut drives = Vec::new();
        while drives.len() < count {
            let near = |place| HELSINKI.snap(place, 30.0).into_iter().next();
            let (Some(start), Some(end)) = (near(anywhere(random)), near(anywhere(random))) else { continue };
            let found = HELSINKI.find(&start, None, &end).unwrap();
            let route = HELSINKI.route(start.place, None, end.place, &Speeds::default()).unwrap();
            if route.metres > 300.0 {
                drives.push((found.legs, route.line, route.metres));
            }
        }
        drives
    }

    /// The share of the streets driven that is found, and how much longer the way found is than the one driven.
    fn recovered(noise_m: f64, seed: u64) -> (f64, f64) {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut driven, mut found, mut metres, mut matched_metres) = (0, 0, 0.0, 0.0);
        for (legs, line, length) in drives(60, &mut random) {
            let fixes = drive(&line, noise_m, &mut random);
            let matched = HELSINKI.matched(&fixes).unwrap();
            let streets: HashSet<u32> = matched.streets.iter().copied().collect();
            for leg in legs.iter().filter(|leg| leg.from_m != leg.to_m) {
                driven += 1;
                found += usize::from(streets.contains(&leg.arc.street()));
            }
            metres += length;
            matched_metres += matched.metres_by_class.iter().sum::<f64>();
        }
        (f64::from(u32::try_from(found).unwrap()) / f64::from(driven), matched_metres / metres)
    }

    #[test]
    fn a_drive_with_5_m_of_noise_is_found_again() {
        let (share, longer) = recovered(5.0, 6);
        assert!(share >= 0.95, "{share}");
        assert!((0.95..1.05).contains(&longer), "{longer}");
    }

    #[test]
    fn of_a_drive_with_15_m_of_noise_three_quarters_are_found_again() {
        let (share, longer) = recovered(15.0, 7);
        assert!(share >= 0.75, "{share}");
        assert!((0.85..1.15).contains(&longer), "{longer}");
    }

    #[test]
    fn the_end_of_a_drive_is_told_with_its_direction() {
        let mut random = StdRng::seed_from_u64(8);
        let (mut right, mut count) = (0, 0);
        for (_, line, length) in drives(60, &mut random) {
            let matched = HELSINKI.matched(&drive(&line, 3.0, &mut random)).unwrap();
            let [.., before, last] = line[..] else { panic!("a line") };
            assert!(matched.place.metres_to(last) < 60.0);
            let seconds: f64 = matched.seconds_by_class.iter().sum();
            assert!((seconds - length / SPEED).abs() < 5.0 + length / SPEED * 0.1, "{seconds}");
            if before.metres_to(last) > 20.0 {
                count += 1;
                let bearing = matched.bearing_deg.unwrap();
                right += usize::from(crate::route::turned(bearing, before.bearing_to(last)) < 30.0);
            }
        }
        assert!(right * 10 >= count * 9, "{right} of {count}");
    }

    #[test]
    fn who_stands_drove_nothing_far() {
        let place = HELSINKI.snap(Place { latitude: 60.1705, longitude: 24.9415 }, 200.0)[0].place;
        let mut random = StdRng::seed_from_u64(9);
        let fixes: Vec<Measured> = (0..300)
            .map(|second| {
                let (north, east) = normal(&mut random);
                let place = place.ahead(0.0, north * 4.0).ahead(90.0, east * 4.0);
                Measured { place, accuracy_m: 6.0, at_millis: second * 1_000 }
            })
            .collect();
        let matched = HELSINKI.matched(&fixes).unwrap();
        let driven: f64 = matched.metres_by_class.iter().sum();
        assert!(driven < 60.0, "{driven}");
    }

    #[test]
    fn a_jump_begins_another_drive() {
        let mut random = StdRng::seed_from_u64(10);
        let [(_, one, _), (_, other, length)] = &drives(2, &mut random)[..] else { panic!("two") };
        let mut fixes = drive(one, 1.0, &mut random);
        let later = fixes.last().unwrap().at_millis + GAP_MILLIS_MAX + 1;
        fixes.extend(
            drive(other, 1.0, &mut random)
                .iter()
                .map(|fix| Measured { at_millis: fix.at_millis + later, ..*fix }),
        );
        let metres: f64 = HELSINKI.matched(&fixes).unwrap().metres_by_class.iter().sum();
        assert!((metres - length).abs() < length * 0.1 + 10.0, "{metres} {length}");
    }

    #[test]
    fn nothing_is_matched_off_the_streets_or_without_fixes() {
        assert_eq!(HELSINKI.matched(&[]), None);
        let fix = |latitude: f64, accuracy_m: f64, at_millis: i64| Measured {
            place: Place { latitude, longitude: 24.94 },
            accuracy_m,
            at_millis,
        };
        assert_eq!(HELSINKI.matched(&[fix(f64::NAN, 5.0, 0)]), None);
        assert_eq!(HELSINKI.matched(&[fix(60.17, 5.0, 0), fix(61.0, 5.0, 9_000)]), None);
        let odd = [fix(60.17, f64::NAN, i64::MIN), fix(60.17, -1.0, i64::MAX), fix(60.17, 1e300, i64::MAX)];
        assert!(HELSINKI.matched(&odd).is_some());
    }
}
