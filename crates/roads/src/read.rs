//! Reads OpenStreetMap's PBF files.
//!
//! A file is read twice, because nodes come before the ways that need them: first the ways, then only the nodes
//! that they name. So a map takes the memory of its streets, not of everything in it.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use osmpbf::{Element, ElementReader};

use crate::{build::Draft, class::Usage, graph::Point};

/// Nodes of all streets together: more than any country has.
const NODES_MAX: usize = 500_000_000;

/// Why there is no graph.
#[derive(Debug, thiserror::Error)]
pub enum RoadsError {
    /// The file system refused.
    #[error("the map {} can't be read ({why}); check that it is there and may be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// The content is none of a `*.osm.pbf`.
    #[error("the map is broken ({what}); download it again, or make it anew, as a file *.osm.pbf")]
    Broken {
        /// What is wrong with it.
        what: String,
    },
    /// There is nothing to drive on.
    #[error(
        "the map has no streets that riders may use and leave again; check that it is of the right area and holds ways with `highway` tags"
    )]
    NoStreets,
    /// It does not fit into the graph's numbers.
    #[error(
        "the map has too many streets for one graph; cut it to the area that is served, for example with `osmium extract`"
    )]
    TooLarge,
}

pub(crate) fn file(path: &Path) -> Result<Draft, RoadsError> {
    let open = || File::open(path).map(BufReader::new);
    draft(open, |why| RoadsError::Unreadable { path: path.to_owned(), why })
}

pub(crate) fn bytes(bytes: &[u8]) -> Result<Draft, RoadsError> {
    draft(|| Ok(bytes), |why| broken(&why))
}

fn broken(why: &dyn std::fmt::Display) -> RoadsError {
    RoadsError::Broken { what: why.to_string() }
}

fn draft<R: Read + Send>(
    open: impl Fn() -> io::Result<R>,
    unreadable: impl Fn(io::Error) -> RoadsError,
) -> Result<Draft, RoadsError> {
    let mut ways: Vec<(Usage, Vec<i64>)> = Vec::new();
    let mut count = 0;
    each(open().map_err(&unreadable)?, |element| {
        let Element::Way(way) = element else { return };
        let Some(usage) = Usage::of(way.tags()) else { return };
        count += way.raw_refs().len();
        if count <= NODES_MAX {
            ways.push((usage, ids(way.raw_refs())));
        }
    })?;
    if count > NODES_MAX {
        return Err(RoadsError::TooLarge);
    }
    let mut known: Vec<i64> = ways.iter().flat_map(|(_, ids)| ids).copied().collect();
    known.sort_unstable();
    known.dedup();
    let mut nodes = vec![None; known.len()];
    each(open().map_err(&unreadable)?, |element| {
        let (id, latitude, longitude) = match element {
            Element::Node(node) => (node.id(), node.nano_lat(), node.nano_lon()),
            Element::DenseNode(node) => (node.id(), node.nano_lat(), node.nano_lon()),
            Element::Way(_) | Element::Relation(_) => return,
        };
        if let Ok(index) = known.binary_search(&id)
            && let Some(node) = nodes.get_mut(index)
        {
            *node = point(latitude, longitude);
        }
    })?;
    let number = |id: &i64| u32::try_from(known.binary_search(id).ok()?).ok();
    let ways = ways.into_iter().map(|(usage, ids)| (usage, ids.iter().filter_map(number).collect()));
    Ok(Draft { ways: ways.collect(), nodes })
}

/// Calls for each element of a file.
///
/// What is broken in it may come to light in the middle of decoding, where the library adds up differences without
/// looking: with overflow checks on it panics there, which is an answer like any other.
fn each<R: Read + Send>(reader: R, mut element: impl for<'a> FnMut(Element<'a>)) -> Result<(), RoadsError> {
    let reading = AssertUnwindSafe(|| ElementReader::new(reader).for_each(&mut element));
    match catch_unwind(reading) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(broken(&why)),
        Err(_) => Err(broken(&"its numbers are out of range")),
    }
}

/// The ids of a way's nodes: each is written as the difference to the one before.
fn ids(differences: &[i64]) -> Vec<i64> {
    let sum = |id: &mut i64, difference: &i64| {
        *id = id.wrapping_add(*difference);
        Some(*id)
    };
    differences.iter().scan(0, sum).collect()
}

/// None if it is not on the earth.
fn point(latitude: i64, longitude: i64) -> Option<Point> {
    let is_on_earth =
        latitude.unsigned_abs() <= 90_000_000_000 && longitude.unsigned_abs() <= 180_000_000_000;
    let fixed = |nano: i64| i32::try_from(nano / 100).ok();
    is_on_earth.then_some(())?;
    Some(Point { latitude: fixed(latitude)?, longitude: fixed(longitude)? })
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::{Roads, tests::MAP};

    #[test]
    fn a_file_is_read_as_its_bytes_are() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/helsinki-centre-roads.osm.pbf");
        let read = Roads::read_pbf(&path).unwrap();
        assert_eq!(read.summary(), Roads::from_pbf(MAP).unwrap().summary());
    }

    #[test]
    fn a_map_that_is_not_there_is_named_in_the_error() {
        let Err(why) = Roads::read_pbf(Path::new("no/such.osm.pbf")) else { panic!("there is none") };
        assert!(why.to_string().contains("no/such.osm.pbf"), "{why}");
    }

    #[test]
    fn a_map_that_was_cut_is_an_error_or_has_fewer_streets_and_never_a_panic() {
        assert!(matches!(Roads::from_pbf(&[]), Err(RoadsError::NoStreets)));
        assert!(matches!(Roads::from_pbf(b"<html>not found</html>"), Err(RoadsError::Broken { .. })));
        for share in 1..20 {
            let cut = &MAP[..MAP.len() * share / 20];
            assert!(Roads::from_pbf(cut).is_err(), "{share}");
        }
    }

    #[test]
    fn a_map_with_wrong_bytes_is_no_panic() {
        let mut random = StdRng::seed_from_u64(5);
        let mut refused = 0;
        for _ in 0..60 {
            let mut bytes = MAP.to_vec();
            for _ in 0..random.random_range(1..4) {
                let index = random.random_range(0..bytes.len());
                bytes[index] = random.random();
            }
            refused += usize::from(Roads::from_pbf(&bytes).is_err());
        }
        assert!(refused > 10, "{refused}");
    }
}
