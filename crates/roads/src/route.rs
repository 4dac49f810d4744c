//! The fastest way from one place to another, by contraction hierarchies.
//!
//! The hierarchy is made once, with the prior speeds as weights; the way that it finds is timed again with the
//! speeds that the caller learned. Making it anew for each lesson would cost seconds and change few ways.

use fast_paths::{FastGraph, InputGraph, PathCalculator};

use crate::{
    Class, Place, Roads, Snap, Speeds,
    graph::{Arc, Graph, Street},
};

/// How far from a street a place may be, in metres, to be reached by it.
pub(crate) const REACH_METRES: f64 = 150.0;
/// With a heading, streets that are so much farther than the nearest may be the one that is driven.
const BESIDE_METRES: f64 = 20.0;
/// What it costs to turn around at the start, in milliseconds.
const TURN_MILLIS: usize = 30_000;
/// Calculators that are kept for the next queries.
const CALCULATORS_MAX: usize = 8;

/// A way to somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// How long it takes, with the speeds that were given.
    pub seconds: f64,
    /// How long it is.
    pub metres: f64,
    /// From the street at the start to the street at the end.
    pub line: Vec<Place>,
    /// How much of it is on streets of each class, at the class's index.
    pub metres_by_class: [f64; Class::COUNT],
}

/// A part of a street that is driven, in metres from the street's begin: backward if the first is larger.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Leg {
    pub(crate) arc: Arc,
    pub(crate) from_m: f64,
    pub(crate) to_m: f64,
}

/// What the search finds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// The time by the prior.
    pub(crate) millis: usize,
    pub(crate) legs: Vec<Leg>,
}

/// The time by the prior for the whole of a street. Never nothing: the search wants positive weights.
pub(crate) fn millis(street: &Street<'_>) -> usize {
    let seconds = Speeds::default().pace(street.class, street.limit_kmh) * street.metres;
    ((seconds * 1_000.0).round() as usize).max(1)
}

pub(crate) fn hierarchy(graph: &Graph) -> FastGraph {
    let mut input = InputGraph::new();
    for street in graph.streets().filter(|street| street.from != street.to) {
        let (from, to, millis) = (street.from as usize, street.to as usize, millis(&street));
        input.add_edge(from, to, millis);
        if !street.is_oneway {
            input.add_edge(to, from, millis);
        }
    }
    input.freeze();
    fast_paths::prepare(&input)
}

pub(crate) fn bytes(fast: &FastGraph) -> usize {
    // An edge has two nodes, a weight and the two edges that it stands for.
    (fast.get_num_out_edges() + fast.get_num_in_edges()) * 5 * size_of::<usize>()
        + fast.get_num_nodes() * 3 * size_of::<usize>()
}

/// A way on or off a street, by one of its ends.
#[derive(Debug, Clone, Copy)]
struct Door {
    junction: usize,
    millis: usize,
    leg: Leg,
}

impl Roads {
    /// The fastest way, if both places are within 150 m of a street.
    ///
    /// Whoever moves in a direction starts on the street that goes there, and turns around only if that saves more
    /// than half a minute. The time of the way is that of the `speeds`, the choice that of the priors.
    pub fn route(&self, from: Place, heading_deg: Option<f64>, to: Place, speeds: &Speeds) -> Option<Route> {
        let heading_deg = heading_deg.filter(|heading| heading.is_finite());
        let start = self.start(from, heading_deg)?;
        let end = self.snap(to, REACH_METRES).into_iter().next()?;
        let found = self.find(&start, heading_deg, &end)?;
        Some(self.told(&found, speeds))
    }

    /// The street that one is on: the nearest, or one beside it that goes where one moves.
    pub(crate) fn start(&self, from: Place, heading_deg: Option<f64>) -> Option<Snap> {
        let snaps = self.snap(from, REACH_METRES);
        let nearest = *snaps.first()?;
        let Some(heading) = heading_deg else { return Some(nearest) };
        let beside = snaps.iter().take_while(|snap| snap.metres <= nearest.metres + BESIDE_METRES);
        let goes_there = |snap: &&Snap| {
            let ahead = turned(snap.bearing_deg, heading) <= 60.0;
            ahead || (!snap.is_oneway && turned(snap.bearing_deg, heading) >= 120.0)
        };
        Some(beside.into_iter().find(goes_there).copied().unwrap_or(nearest))
    }

    pub(crate) fn find(&self, start: &Snap, heading_deg: Option<f64>, end: &Snap) -> Option<Found> {
        let starts = self.doors(start, heading_deg, true)?;
        let ends = self.doors(end, None, false)?;
        let direct = self.direct(start, heading_deg, end);
        let by_junctions = self.by_junctions(&starts, &ends);
        match (direct, by_junctions) {
            (Some(direct), Some(other)) if other.millis < direct.millis => Some(other),
            (Some(direct), _) => Some(direct),
            (None, other) => other,
        }
    }

    /// The ends of its street by which one leaves a place, or comes to it.
    fn doors(&self, snap: &Snap, heading_deg: Option<f64>, is_leaving: bool) -> Option<Vec<Door>> {
        let street = self.graph.street(snap.street)?;
        let along = snap.along_m.clamp(0.0, street.metres);
        let door = |is_backward: bool| {
            let end = if is_backward == is_leaving { 0.0 } else { street.metres };
            let (first, last) = street.ends(is_backward);
            let (from_m, to_m) = if is_leaving { (along, end) } else { (end, along) };
            Door {
                junction: if is_leaving { last } else { first } as usize,
                millis: part(&street, from_m, to_m) + turn(snap, heading_deg, is_backward),
                leg: Leg { arc: Arc::new(street.id, is_backward), from_m, to_m },
            }
        };
        Some(std::iter::once(door(false)).chain((!street.is_oneway).then(|| door(true))).collect())
    }

    /// Along the one street that both are on.
    fn direct(&self, start: &Snap, heading_deg: Option<f64>, end: &Snap) -> Option<Found> {
        let street = self.graph.street(start.street).filter(|_| start.street == end.street)?;
        let (from_m, to_m) = (start.along_m, end.along_m);
        let is_backward = to_m < from_m;
        if is_backward && street.is_oneway {
            return None;
        }
        let millis = part(&street, from_m, to_m) + turn(start, heading_deg, is_backward);
        Some(Found { millis, legs: vec![Leg { arc: Arc::new(street.id, is_backward), from_m, to_m }] })
    }

    fn by_junctions(&self, starts: &[Door], ends: &[Door]) -> Option<Found> {
        let (nodes, millis) = self.nodes(starts, ends)?;
        let (first, last) = (*nodes.first()?, *nodes.last()?);
        let cheapest = |doors: &[Door], junction: usize| {
            doors.iter().filter(|door| door.junction == junction).min_by_key(|door| door.millis).copied()
        };
        let (start, end) = (cheapest(starts, first)?, cheapest(ends, last)?);
        let mut legs = vec![start.leg];
        for pair in nodes.windows(2) {
            let &[from, to] = pair else { continue };
            legs.push(self.cheapest(u32::try_from(from).ok()?, u32::try_from(to).ok()?)?);
        }
        legs.push(end.leg);
        Some(Found { millis, legs })
    }

    /// The junctions of the fastest way from any of the starts to any of the ends, and the time of all of it.
    fn nodes(&self, starts: &[Door], ends: &[Door]) -> Option<(Vec<usize>, usize)> {
        let count = self.fast.get_num_nodes();
        let known = |doors: &[Door]| -> Vec<(usize, usize)> {
            let doors = doors.iter().filter(|door| door.junction < count);
            doors.map(|door| (door.junction, door.millis)).collect()
        };
        let (sources, targets) = (known(starts), known(ends));
        if sources.is_empty() || targets.is_empty() {
            // A single junction with rings: the search has no node for it.
            let pairs = starts.iter().flat_map(|start| ends.iter().map(move |end| (start, end)));
            let same = pairs.filter(|(start, end)| start.junction == end.junction);
            let millis = |(start, end): &(&Door, &Door)| start.millis + end.millis;
            return same.min_by_key(millis).map(|pair| (vec![pair.0.junction], millis(&pair)));
        }
        let waiting = self.calculators.lock().pop();
        let mut calculator = waiting.unwrap_or_else(|| PathCalculator::new(count));
        let path = calculator.calc_path_multiple_sources_and_targets(&self.fast, sources, targets);
        let mut calculators = self.calculators.lock();
        if calculators.len() < CALCULATORS_MAX {
            calculators.push(calculator);
        }
        drop(calculators);
        path.map(|path| (path.get_nodes().clone(), path.get_weight()))
    }

    /// The fastest street from one junction to its neighbour.
    fn cheapest(&self, from: u32, to: u32) -> Option<Leg> {
        let arcs = self.graph.leaving(from).iter().filter_map(|arc| {
            let street = self.graph.street(arc.street())?;
            (street.ends(arc.is_backward()).1 == to).then_some((*arc, street))
        });
        let (arc, street) = arcs.min_by_key(|(_, street)| millis(street))?;
        let (from_m, to_m) = if arc.is_backward() { (street.metres, 0.0) } else { (0.0, street.metres) };
        Some(Leg { arc, from_m, to_m })
    }

    /// A way as the caller wants it.
    fn told(&self, found: &Found, speeds: &Speeds) -> Route {
        let mut route =
            Route { seconds: 0.0, metres: 0.0, line: Vec::new(), metres_by_class: [0.0; Class::COUNT] };
        for leg in &found.legs {
            let Some(street) = self.graph.street(leg.arc.street()) else { continue };
            let metres = (leg.to_m - leg.from_m).abs();
            route.metres += metres;
            route.seconds += metres * speeds.pace(street.class, street.limit_kmh);
            if let Some(of_class) = route.metres_by_class.get_mut(street.class.index()) {
                *of_class += metres;
            }
            for place in street.line(leg.from_m, leg.to_m) {
                if route.line.last() != Some(&place) {
                    route.line.push(place);
                }
            }
        }
        route
    }
}

/// The time by the prior for a part of a street.
pub(crate) fn part(street: &Street<'_>, from_m: f64, to_m: f64) -> usize {
    if street.metres <= 0.0 {
        return 0;
    }
    let share = ((to_m - from_m).abs() / street.metres).min(1.0);
    (millis(street) as f64 * share).round() as usize
}

/// What it costs to start in this direction for one who moves.
fn turn(snap: &Snap, heading_deg: Option<f64>, is_backward: bool) -> usize {
    let Some(heading) = heading_deg else { return 0 };
    let against = turned(snap.bearing_deg, heading) > 90.0;
    if against == is_backward { 0 } else { TURN_MILLIS }
}

/// How many degrees lie between two bearings: 0 to 180.
pub(crate) fn turned(one: f64, other: f64) -> f64 {
    let off = (one - other).rem_euclid(360.0);
    off.min(360.0 - off)
}

#[cfg(test)]
mod tests {
    use petgraph::{algo::dijkstra, graph::DiGraph};
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::{
        Way,
        tests::{HELSINKI, anywhere},
    };

    #[test]
    fn a_way_takes_as_long_as_the_one_of_a_plain_search() {
        let roads = &*HELSINKI;
        let mut graph = DiGraph::<(), usize>::new();
        let nodes: Vec<_> = (0..roads.graph.junctions()).map(|_| graph.add_node(())).collect();
        for street in roads.graph.streets() {
            let (from, to) = (nodes[street.from as usize], nodes[street.to as usize]);
            graph.add_edge(from, to, millis(&street));
            if !street.is_oneway {
                graph.add_edge(to, from, millis(&street));
            }
        }
        let mut random = StdRng::seed_from_u64(1);
        let mut asked = 0;
        while asked < 300 {
            let snap = |place| roads.snap(place, REACH_METRES).into_iter().next();
            let (Some(start), Some(end)) = (snap(anywhere(&mut random)), snap(anywhere(&mut random))) else {
                continue;
            };
            asked += 1;
            let (from, to) = (graph.add_node(()), graph.add_node(()));
            let street = roads.graph.street(start.street).unwrap();
            graph.add_edge(from, nodes[street.to as usize], part(&street, start.along_m, street.metres));
            if !street.is_oneway {
                graph.add_edge(from, nodes[street.from as usize], part(&street, start.along_m, 0.0));
            }
            let street = roads.graph.street(end.street).unwrap();
            graph.add_edge(nodes[street.from as usize], to, part(&street, 0.0, end.along_m));
            if !street.is_oneway {
                graph.add_edge(nodes[street.to as usize], to, part(&street, street.metres, end.along_m));
            }
            if start.street == end.street && (!street.is_oneway || start.along_m <= end.along_m) {
                graph.add_edge(from, to, part(&street, start.along_m, end.along_m));
            }
            let plain = dijkstra(&graph, from, Some(to), |edge| *edge.weight());
            let found = roads.find(&start, None, &end).unwrap();
            assert_eq!(found.millis, plain[&to], "from {start:?} to {end:?}");
        }
    }

    #[test]
    fn every_step_follows_the_one_before_on_a_street_that_may_be_driven_so() {
        let roads = &*HELSINKI;
        let mut random = StdRng::seed_from_u64(2);
        let mut steps = 0;
        for _ in 0..300 {
            let snap = |place| roads.snap(place, REACH_METRES).into_iter().next();
            let (Some(start), Some(end)) = (snap(anywhere(&mut random)), snap(anywhere(&mut random))) else {
                continue;
            };
            let found = roads.find(&start, None, &end).unwrap();
            let mut at = None;
            let mut millis = 0;
            for leg in &found.legs {
                let street = roads.graph.street(leg.arc.street()).unwrap();
                assert!(!(leg.arc.is_backward() && street.is_oneway), "against a oneway street");
                assert!(leg.arc.is_backward() == (leg.to_m < leg.from_m) || leg.to_m == leg.from_m);
                let (first, last) = street.ends(leg.arc.is_backward());
                assert!(at.is_none_or(|at| at == first), "a jump");
                at = Some(last);
                millis += part(&street, leg.from_m, leg.to_m);
                steps += 1;
            }
            assert_eq!(millis, found.millis);
        }
        assert!(steps > 1_000, "{steps}");
    }

    #[test]
    fn a_way_begins_and_ends_where_it_should_and_is_no_shorter_than_a_straight_line() {
        let roads = &*HELSINKI;
        let mut random = StdRng::seed_from_u64(3);
        let speeds = Speeds::default();
        for _ in 0..500 {
            let (from, to) = (anywhere(&mut random), anywhere(&mut random));
            let near = |place| roads.snap(place, REACH_METRES).first().map(|snap| snap.place);
            let (Some(start), Some(end)) = (near(from), near(to)) else {
                assert_eq!(roads.route(from, None, to, &speeds), None);
                continue;
            };
            let route = roads.route(from, None, to, &speeds).unwrap();
            let (first, last) = (route.line[0], *route.line.last().unwrap());
            assert!(first.metres_to(start) < 0.1 && last.metres_to(end) < 0.1, "{first:?} {start:?}");
            assert!(route.metres + 0.1 >= start.metres_to(end));
            let drawn: f64 = route.line.windows(2).map(|pair| pair[0].metres_to(pair[1])).sum();
            assert!((drawn - route.metres).abs() < 0.1 + route.metres * 1e-4, "{drawn} {}", route.metres);
            assert!((route.metres_by_class.iter().sum::<f64>() - route.metres).abs() < 1e-6);
            assert!(route.seconds >= route.metres / Class::Motorway.prior_mps());
        }
    }

    #[test]
    fn slower_streets_make_the_same_way_longer() {
        let roads = &*HELSINKI;
        let from = Place { latitude: 60.1665, longitude: 24.938 };
        let to = Place { latitude: 60.176, longitude: 24.949 };
        let mut slow = Speeds::default();
        for class in Class::ALL {
            slow.learn(class, 2_000.0, 2_000.0);
        }
        let before = roads.route(from, None, to, &Speeds::default()).unwrap();
        let after = roads.route(from, None, to, &slow).unwrap();
        assert_eq!(before.line, after.line);
        assert!(after.seconds > before.seconds);
    }

    fn street(is_oneway: bool, line: &[(f64, f64)]) -> Way {
        let place = |(east, north): &(f64, f64)| Place {
            latitude: 60.0 + north / 1_000.0,
            longitude: 24.0 + east / 1_000.0,
        };
        let line = line.iter().map(place).collect();
        Way { class: Class::Residential, limit_kmh: None, is_oneway, line }
    }

    #[test]
    fn who_moves_away_turns_around_only_if_that_saves_time() {
        // A long street, and a block at each of its ends.
        let roads = Roads::of(&[
            street(false, &[(0.0, 0.0), (20.0, 0.0)]),
            street(false, &[(20.0, 0.0), (20.0, 1.0), (21.0, 1.0), (20.0, 0.0)]),
            street(false, &[(0.0, 0.0), (0.0, 1.0), (-1.0, 1.0), (0.0, 0.0)]),
        ])
        .unwrap();
        let at = |east: f64| Place { latitude: 60.0, longitude: 24.0 + east / 1_000.0 };
        let route = |from, heading, to| roads.route(at(from), heading, at(to), &Speeds::default()).unwrap();
        // 11 m behind: turning around at once.
        let near = route(10.0, Some(90.0), 9.8);
        assert!(near.metres < 20.0, "{near:?}");
        // Almost at the block, which is quicker to drive around than to turn.
        let around = route(19.9, Some(90.0), 15.0);
        assert!(around.metres > 270.0, "{}", around.metres);
        assert!(route(19.9, Some(270.0), 15.0).metres < 280.0);
    }

    #[test]
    fn of_two_carriageways_the_one_that_goes_there_is_driven() {
        let roads = Roads::of(&[
            street(true, &[(0.0, 0.0), (10.0, 0.0)]),
            street(true, &[(10.0, 0.1), (0.0, 0.1)]),
            street(false, &[(0.0, 0.0), (0.0, 0.1)]),
            street(false, &[(10.0, 0.0), (10.0, 0.1)]),
        ])
        .unwrap();
        // Nearer to the northern one, which goes west.
        let from = Place { latitude: 60.00007, longitude: 24.005 };
        let to = Place { latitude: 60.0, longitude: 24.008 };
        let east = roads.route(from, Some(88.0), to, &Speeds::default()).unwrap();
        let west = roads.route(from, Some(272.0), to, &Speeds::default()).unwrap();
        assert!(east.metres < 200.0 && west.metres > 600.0, "{} {}", east.metres, west.metres);
    }

    #[test]
    fn a_single_ring_is_driven_around() {
        let roads = Roads::of(&[street(true, &[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)])])
            .unwrap();
        let at = |east: f64| Place { latitude: 60.0, longitude: 24.0 + east / 1_000.0 };
        let speeds = Speeds::default();
        assert!(roads.route(at(0.2), None, at(0.8), &speeds).unwrap().metres < 40.0);
        assert!(roads.route(at(0.8), None, at(0.2), &speeds).unwrap().metres > 250.0);
    }

    #[test]
    fn what_is_far_from_every_street_or_nowhere_is_not_reached() {
        let (roads, speeds) = (&*HELSINKI, Speeds::default());
        let here = Place { latitude: 60.1695, longitude: 24.94 };
        assert!(roads.route(here, None, here, &speeds).is_some());
        for (latitude, longitude) in [(60.3, 24.94), (f64::NAN, 24.94), (1e300, -1e300), (90.0, 180.0)] {
            let there = Place { latitude, longitude };
            assert_eq!(roads.route(here, None, there, &speeds), None);
            assert_eq!(roads.route(there, Some(f64::NAN), here, &speeds), None);
        }
        assert!(roads.route(here, Some(f64::INFINITY), here, &speeds).is_some());
    }
}
