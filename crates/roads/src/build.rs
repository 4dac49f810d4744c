//! From ways to the graph: cut them where they meet, keep what can reach each other, join what only goes on.

use std::collections::{BTreeMap, btree_map::Entry};

use petgraph::graph::{DiGraph, NodeIndex};

use crate::{
    Class, Place, RoadsError,
    class::Usage,
    graph::{Graph, NewStreet, Point},
};

/// Neighbouring places of a way that are farther apart, in 1e-7 degrees, are a mistake of the map: a degree.
const STEP_MAX: u32 = 10_000_000;

/// A street that is drawn by hand or by a program, for [`crate::Roads::of`].
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// Its kind.
    pub class: Class,
    /// Its speed limit in km/h, if it has one.
    pub limit_kmh: Option<u8>,
    /// Whether it may be driven only from its first place to its last.
    pub is_oneway: bool,
    /// Its places.
    pub line: Vec<Place>,
}

/// Ways over numbered nodes.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) ways: Vec<(Usage, Vec<u32>)>,
    /// A node that the map does not have is none: ways are cut there.
    pub(crate) nodes: Vec<Option<Point>>,
}

/// The part of a way between two neighbouring nodes.
#[derive(Debug, Clone, Copy)]
struct Segment {
    a: u32,
    b: u32,
    usage: Usage,
}

impl Segment {
    fn other(&self, node: u32) -> u32 {
        if self.a == node { self.b } else { self.a }
    }

    /// How it may be used by one who comes from this end.
    fn from(&self, node: u32) -> Usage {
        if self.a == node {
            return self.usage;
        }
        Usage { forward: self.usage.backward, backward: self.usage.forward, ..self.usage }
    }
}

impl Draft {
    pub(crate) fn of(ways: &[Way]) -> Self {
        let mut draft = Self::default();
        let mut known = BTreeMap::new();
        for way in ways {
            let nodes = way.line.iter().filter_map(|place| {
                let point = Point::of(*place)?;
                match known.entry(point) {
                    Entry::Occupied(entry) => Some(*entry.get()),
                    Entry::Vacant(entry) => {
                        let node = u32::try_from(draft.nodes.len()).ok()?;
                        draft.nodes.push(Some(point));
                        Some(*entry.insert(node))
                    }
                }
            });
            let nodes = nodes.collect();
            let (class, limit_kmh) = (way.class, way.limit_kmh);
            let usage = Usage { class, limit_kmh, forward: true, backward: !way.is_oneway };
            draft.ways.push((usage, nodes));
        }
        draft
    }

    pub(crate) fn graph(self) -> Result<Graph, RoadsError> {
        let mut segments = self.segments();
        let kept = self.largest_part(&segments);
        let is_kept = |node: u32| kept.get(node as usize).copied().unwrap_or_default();
        let all = self.metres(&segments);
        segments.retain(|segment| is_kept(segment.a) && is_kept(segment.b));
        if segments.is_empty() {
            return Err(RoadsError::NoStreets);
        }
        let dropped = all - self.metres(&segments);
        let mut graph = Chains::of(&segments, &self.nodes).graph()?;
        // Below zero it is a rounding.
        graph.dropped_metres = dropped.max(0.0);
        Ok(graph)
    }

    fn metres(&self, segments: &[Segment]) -> f64 {
        let place = |node: u32| Some(self.nodes.get(node as usize).copied().flatten()?.place());
        segments.iter().filter_map(|segment| Some(place(segment.a)?.metres_to(place(segment.b)?))).sum()
    }

    fn segments(&self) -> Vec<Segment> {
        let point = |node: u32| self.nodes.get(node as usize).copied().flatten();
        let mut segments = Vec::new();
        for (usage, nodes) in &self.ways {
            for pair in nodes.windows(2) {
                let &[a, b] = pair else { continue };
                let (Some(from), Some(to)) = (point(a), point(b)) else { continue };
                let is_step = from.latitude.abs_diff(to.latitude) <= STEP_MAX
                    && from.longitude.abs_diff(to.longitude) <= STEP_MAX;
                if is_step && a != b && (usage.forward || usage.backward) {
                    segments.push(Segment { a, b, usage: *usage });
                }
            }
        }
        segments
    }

    /// Which nodes belong to the largest set that can all reach each other. The rest are mistakes of the map, or
    /// streets that it cuts off: a rider there is matched to none of them, and no route ends where none begins.
    fn largest_part(&self, segments: &[Segment]) -> Vec<bool> {
        let mut reaches = DiGraph::<(), (), u32>::with_capacity(self.nodes.len(), segments.len() * 2);
        for _ in &self.nodes {
            reaches.add_node(());
        }
        for Segment { a, b, usage } in segments {
            let (a, b) = (NodeIndex::from(*a), NodeIndex::from(*b));
            if usage.forward {
                reaches.add_edge(a, b, ());
            }
            if usage.backward {
                reaches.add_edge(b, a, ());
            }
        }
        let mut kept = vec![false; self.nodes.len()];
        let parts = petgraph::algo::kosaraju_scc(&reaches);
        for node in parts.into_iter().max_by_key(Vec::len).unwrap_or_default() {
            if let Some(kept) = kept.get_mut(node.index()) {
                *kept = true;
            }
        }
        kept
    }
}

/// Segments, joined where a street only goes on.
struct Chains<'a> {
    segments: &'a [Segment],
    nodes: &'a [Option<Point>],
    /// Where the segments of a node begin in `incident`.
    first: Vec<usize>,
    incident: Vec<u32>,
    is_junction: Vec<bool>,
    is_used: Vec<bool>,
}

impl<'a> Chains<'a> {
    fn of(segments: &'a [Segment], nodes: &'a [Option<Point>]) -> Self {
        let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(segments.len() * 2);
        for (index, segment) in (0_u32..).zip(segments) {
            pairs.extend([(segment.a, index), (segment.b, index)]);
        }
        pairs.sort_unstable();
        let mut first = Vec::with_capacity(nodes.len() + 1);
        let mut begin = 0;
        for node in 0..=nodes.len() {
            while pairs.get(begin).is_some_and(|(of, _)| (*of as usize) < node) {
                begin += 1;
            }
            first.push(begin);
        }
        let incident = pairs.into_iter().map(|(_, segment)| segment).collect();
        let is_used = vec![false; segments.len()];
        let mut chains = Self { segments, nodes, first, incident, is_junction: Vec::new(), is_used };
        chains.is_junction = (0_u32..).zip(nodes).map(|(node, _)| !chains.goes_on(node)).collect();
        chains
    }

    fn at(&self, node: u32) -> &[u32] {
        let begin = self.first.get(node as usize).copied().unwrap_or_default();
        let end = self.first.get(node as usize + 1).copied().unwrap_or_default();
        self.incident.get(begin..end).unwrap_or_default()
    }

    fn segment(&self, index: u32) -> Option<&'a Segment> {
        self.segments.get(index as usize)
    }

    /// Whether a street passes a node and nothing else is there.
    fn goes_on(&self, node: u32) -> bool {
        let &[first, second] = self.at(node) else { return false };
        let (Some(first), Some(second)) = (self.segment(first), self.segment(second)) else { return false };
        first.from(first.other(node)) == second.from(node)
    }

    fn graph(mut self) -> Result<Graph, RoadsError> {
        // A ring that nothing else meets has no junction: it gets one.
        let rings = self.rings();
        for node in rings {
            if let Some(is_junction) = self.is_junction.get_mut(node as usize) {
                *is_junction = true;
            }
        }
        let mut numbers = vec![0; self.nodes.len()];
        let mut junctions = 0;
        for ((node, number), is_junction) in (0..).zip(&mut numbers).zip(&self.is_junction) {
            if *is_junction && !self.at(node).is_empty() {
                *number = junctions;
                junctions += 1;
            }
        }
        let number = |node: u32| numbers.get(node as usize).copied().unwrap_or_default();
        let mut graph = Graph::with_junctions(junctions);
        self.is_used.fill(false);
        for node in (0_u32..).zip(self.nodes).map(|(node, _)| node) {
            if !self.is_junction.get(node as usize).copied().unwrap_or_default() {
                continue;
            }
            for index in self.at(node).to_vec() {
                let Some((usage, mut chain)) = self.trace(node, index) else { continue };
                if !usage.forward {
                    chain.reverse();
                }
                let line: Vec<Point> = chain
                    .iter()
                    .filter_map(|node| self.nodes.get(*node as usize).copied().flatten())
                    .collect();
                let (Some(from), Some(to)) = (chain.first(), chain.last()) else { continue };
                let is_added = graph.add(&NewStreet {
                    from: number(*from),
                    to: number(*to),
                    line: &line,
                    class: usage.class,
                    limit_kmh: usage.limit_kmh,
                    is_oneway: !(usage.forward && usage.backward),
                });
                if !is_added {
                    return Err(RoadsError::TooLarge);
                }
            }
        }
        graph.finish();
        Ok(graph)
    }

    /// A node of each ring.
    fn rings(&mut self) -> Vec<u32> {
        for node in (0_u32..).zip(self.nodes).map(|(node, _)| node) {
            if self.is_junction.get(node as usize).copied().unwrap_or_default() {
                for index in self.at(node).to_vec() {
                    self.trace(node, index);
                }
            }
        }
        let mut rings = Vec::new();
        for (index, segment) in (0_u32..).zip(self.segments) {
            if self.trace(segment.a, index).is_some() {
                rings.push(segment.a);
            }
        }
        rings
    }

    /// The nodes from this one along a segment up to a junction, and how one may drive them; none if that was
    /// traced before.
    fn trace(&mut self, start: u32, index: u32) -> Option<(Usage, Vec<u32>)> {
        let usage = self.segment(index)?.from(start);
        let mut chain = vec![start];
        let (mut node, mut index) = (start, index);
        loop {
            let is_used = self.is_used.get_mut(index as usize)?;
            if std::mem::replace(is_used, true) {
                break;
            }
            node = self.segment(index)?.other(node);
            chain.push(node);
            if self.is_junction.get(node as usize).copied().unwrap_or(true) {
                break;
            }
            let next = self.at(node).iter().find(|next| **next != index);
            let Some(next) = next else { break };
            index = *next;
        }
        (chain.len() > 1).then_some((usage, chain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(east: f64, north: f64) -> Place {
        Place { latitude: 60.0 + north / 1_000.0, longitude: 24.0 + east / 1_000.0 }
    }

    fn way(is_oneway: bool, line: &[(f64, f64)]) -> Way {
        let line = line.iter().map(|(east, north)| place(*east, *north)).collect();
        Way { class: Class::Residential, limit_kmh: None, is_oneway, line }
    }

    fn graph(ways: &[Way]) -> Graph {
        Draft::of(ways).graph().unwrap()
    }

    #[test]
    fn a_street_of_many_ways_is_one() {
        let graph = graph(&[
            way(false, &[(0.0, 0.0), (1.0, 0.0)]),
            way(false, &[(2.0, 0.0), (1.0, 0.0)]),
            way(false, &[(2.0, 0.0), (2.0, 1.0), (3.0, 1.0)]),
        ]);
        let streets: Vec<_> = graph.streets().collect();
        assert_eq!((graph.junctions(), streets.len()), (2, 1));
        assert_eq!(streets[0].points.len(), 5);
    }

    #[test]
    fn streets_are_cut_where_they_meet_or_change() {
        let mut other = way(false, &[(2.0, 0.0), (3.0, 0.0)]);
        other.class = Class::Primary;
        let graph = graph(&[
            way(false, &[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)]),
            way(false, &[(1.0, 0.0), (1.0, 1.0)]),
            other,
        ]);
        assert_eq!((graph.junctions(), graph.streets().count()), (5, 4));
    }

    #[test]
    fn what_can_not_be_left_again_is_left_out() {
        let graph = graph(&[
            way(false, &[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)]),
            way(true, &[(1.0, 0.0), (1.0, 5.0)]),
            way(false, &[(9.0, 9.0), (9.0, 8.0)]),
        ]);
        assert_eq!(graph.streets().count(), 1);
        assert!(graph.bounds().1.latitude < 60.001);
        let dropped = [((1.0, 0.0), (1.0, 5.0)), ((9.0, 9.0), (9.0, 8.0))]
            .map(|(from, to)| place(from.0, from.1).metres_to(place(to.0, to.1)));
        assert!((graph.dropped_metres - dropped.iter().sum::<f64>()).abs() < 0.1, "{}", graph.dropped_metres);
    }

    #[test]
    fn a_ring_that_nothing_meets_is_a_street() {
        let graph = graph(&[way(true, &[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)])]);
        let streets: Vec<_> = graph.streets().collect();
        assert_eq!((graph.junctions(), streets.len()), (1, 1));
        assert!(streets[0].is_oneway && streets[0].from == streets[0].to);
    }

    #[test]
    fn a_oneway_drawn_backward_is_driven_forward() {
        let mut draft = Draft::of(&[
            way(true, &[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)]),
            way(false, &[(0.0, 0.0), (1.0, 3.0), (2.0, 0.0)]),
        ]);
        draft.ways[0].0.forward = false;
        draft.ways[0].0.backward = true;
        let graph = draft.graph().unwrap();
        let oneway = graph.streets().find(|street| street.is_oneway).unwrap();
        let (first, last) = (oneway.points[0].place(), oneway.points[2].place());
        assert!(first.longitude > last.longitude);
    }

    #[test]
    fn no_streets_are_an_error() {
        assert!(matches!(Draft::of(&[]).graph(), Err(RoadsError::NoStreets)));
        let oneway = way(true, &[(0.0, 0.0), (1.0, 0.0)]);
        assert!(matches!(Draft::of(&[oneway]).graph(), Err(RoadsError::NoStreets)));
    }

    #[test]
    fn a_part_of_a_street_goes_from_its_begin_to_its_end() {
        let graph = graph(&[way(false, &[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0)])]);
        let street = graph.streets().next().unwrap();
        let third = street.metres / 3.0;
        let line = street.line(third / 2.0, third * 2.5);
        assert_eq!(line.len(), 4);
        assert!((line[0].metres_to(line[3]) - third * 2.0).abs() < 0.01);
        let back = street.line(third * 2.5, third / 2.0);
        assert_eq!(back.iter().rev().copied().collect::<Vec<_>>(), line);
        assert_eq!(street.line(0.0, street.metres + 1.0).len(), 4);
        assert_eq!(street.line(third, third).len(), 2);
    }
}
