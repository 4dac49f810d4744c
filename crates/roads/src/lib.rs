//! The road graph of rider tracking: where on which street something is, the fastest way elsewhere, and which
//! streets a rider drove. Made from a file of OpenStreetMap.
//!
//! Invariant: a graph never changes after it was built; a query never fails, it finds nothing. Pure but for
//! reading the file: no clock, no settings, no network.
//!
//! [`Roads::read_pbf`] reads ([`read`] the file, [`class`] its tags, [`build`] the graph), [`Roads::snap`] and
//! [`Roads::route`] answer, [`Roads::matched`] tells a drive from noise, [`Speeds`] learns how fast streets are.

mod build;
mod class;
mod graph;
mod matching;
mod place;
mod reach;
mod read;
mod route;
mod snap;
mod speeds;

use std::path::Path;

use fast_paths::FastGraph;
use parking_lot::Mutex;

pub use build::Way;
pub use class::Class;
pub use matching::{Matched, Measured};
pub use place::Place;
pub use read::RoadsError;
pub use route::Route;
pub use snap::Snap;
pub use speeds::Speeds;

use graph::Graph;
use snap::Segments;

/// The streets of a map that can all reach each other, ready for questions from many threads.
///
/// ```
/// use platepal_roads::{Class, Place, Roads, Speeds, Way};
///
/// let [a, b, c] = [24.94, 24.95, 24.96].map(|longitude| Place { latitude: 60.17, longitude });
/// let way = Way { class: Class::Residential, limit_kmh: Some(30), is_oneway: false, line: vec![a, b, c] };
/// let roads = Roads::of(&[way])?;
/// let route = roads.route(a, None, c, &Speeds::default()).expect("they are on one street");
/// assert!((route.metres - a.metres_to(c)).abs() < 1.0);
/// # Ok::<(), platepal_roads::RoadsError>(())
/// ```
pub struct Roads {
    graph: Graph,
    segments: Segments,
    fast: FastGraph,
    /// Calculators that wait for the next query: each needs some memory per junction.
    calculators: Mutex<Vec<fast_paths::PathCalculator>>,
}

/// What a graph is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Places where streets meet or change.
    pub nodes: usize,
    /// Streets between them.
    pub edges: usize,
    /// Length of all streets, each counted once.
    pub kilometres: f64,
    /// Length of streets that were left out, because they can't be reached from the rest or not be left again. Much
    /// of it in a map that is cut well is a sign of a broken one.
    pub dropped_kilometres: f64,
    /// The corner of the bounding box with the lowest coordinates.
    pub south_west: Place,
    /// The other one.
    pub north_east: Place,
    /// Memory of graph, index and hierarchy, without calculators; about right.
    pub bytes: usize,
}

impl Roads {
    /// Reads a file `*.osm.pbf`, twice: first its ways, then the nodes that they need.
    ///
    /// # Errors
    /// If the file can't be read, is broken, or has no streets.
    pub fn read_pbf(path: &Path) -> Result<Self, RoadsError> {
        Ok(Self::new(read::file(path)?.graph()?))
    }

    /// From the content of such a file.
    ///
    /// # Errors
    /// If it is broken or has no streets.
    pub fn from_pbf(bytes: &[u8]) -> Result<Self, RoadsError> {
        Ok(Self::new(read::bytes(bytes)?.graph()?))
    }

    /// From ways that are made here: they meet where they share a place, to the last digit that OpenStreetMap has
    /// (1e-7 degrees).
    ///
    /// # Errors
    /// If no streets come of them.
    pub fn of(ways: &[Way]) -> Result<Self, RoadsError> {
        Ok(Self::new(build::Draft::of(ways).graph()?))
    }

    fn new(graph: Graph) -> Self {
        let segments = Segments::of(&graph);
        let fast = route::hierarchy(&graph);
        Self { graph, segments, fast, calculators: Mutex::default() }
    }

    /// What it is made of.
    pub fn summary(&self) -> Summary {
        let bounds = self.graph.bounds();
        Summary {
            nodes: self.graph.junctions(),
            edges: self.graph.streets().count(),
            kilometres: self.graph.streets().map(|street| street.metres).sum::<f64>() / 1_000.0,
            dropped_kilometres: self.graph.dropped_metres / 1_000.0,
            south_west: bounds.0,
            north_east: bounds.1,
            bytes: self.graph.bytes() + self.segments.bytes() + route::bytes(&self.fast),
        }
    }

    /// The line of every street, once, for drawing a map.
    pub fn streets(&self) -> impl Iterator<Item = (Class, Vec<Place>)> {
        self.graph
            .streets()
            .map(|street| (street.class, street.points.iter().map(|point| point.place()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rand::{Rng, rngs::StdRng};

    use super::*;

    pub(crate) static MAP: &[u8] = include_bytes!("../data/helsinki-centre-roads.osm.pbf");

    /// The map of the tests, read once.
    pub(crate) static HELSINKI: LazyLock<Roads> = LazyLock::new(|| Roads::from_pbf(MAP).unwrap());

    /// Anywhere on the map.
    pub(crate) fn anywhere(random: &mut StdRng) -> Place {
        let Summary { south_west, north_east, .. } = HELSINKI.summary();
        Place {
            latitude: random.random_range(south_west.latitude..north_east.latitude),
            longitude: random.random_range(south_west.longitude..north_east.longitude),
        }
    }

    #[test]
    fn a_real_map_becomes_a_graph() {
        let summary = HELSINKI.summary();
        assert!((200..5_000).contains(&summary.nodes), "{summary:?}");
        assert!(summary.edges > summary.nodes, "{summary:?}");
        assert!((15.0..120.0).contains(&summary.kilometres), "{summary:?}");
        assert!((0.01..5.0).contains(&summary.dropped_kilometres), "{summary:?}");
        assert!(summary.south_west.latitude > 60.15 && summary.north_east.latitude < 60.20, "{summary:?}");
        assert!(summary.south_west.longitude > 24.90 && summary.north_east.longitude < 25.00, "{summary:?}");
    }

    #[test]
    fn a_map_is_drawn_with_every_street_once() {
        let drawn: f64 = HELSINKI
            .streets()
            .map(|(_, line)| line.windows(2).map(|pair| pair[0].metres_to(pair[1])).sum::<f64>())
            .sum();
        let summary = HELSINKI.summary();
        assert_eq!(HELSINKI.streets().count(), summary.edges);
        assert!((drawn / 1_000.0 - summary.kilometres).abs() < 0.01);
    }

    #[test]
    fn a_graph_is_asked_by_many_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Roads>();
    }
}
