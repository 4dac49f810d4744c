//! Which streets are near a place.
//!
//! Distances are measured in the plane that touches the earth at the place that is asked for: over the few hundred
//! metres that matter it is flat to a centimetre.

use rstar::{AABB, RTree, RTreeObject};

use crate::{
    Class, Place, Roads,
    graph::{Graph, Point, between},
};

/// Nothing is looked for farther away, in metres.
const WITHIN_METRES_MAX: f64 = 2_000.0;
/// Metres per degree of latitude, on the sphere that [`Place`] uses.
const PER_DEGREE_METRES: f64 = 6_371_008.8 * std::f64::consts::PI / 180.0;

/// A place on a street, for one that was somewhere near.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snap {
    /// The nearest place of the street.
    pub place: Place,
    /// How far away it is.
    pub metres: f64,
    /// Where the street goes there, in degrees clockwise from north, in its forward direction.
    pub bearing_deg: f64,
    /// The street's kind.
    pub class: Class,
    /// Whether it may be driven only forward.
    pub is_oneway: bool,
    /// The number of the street, the same as long as the graph lives.
    pub street: u32,
    /// Metres from the street's begin.
    pub along_m: f64,
}

/// A straight part of a street.
#[derive(Debug, Clone, Copy)]
struct Segment {
    a: Point,
    b: Point,
    street: u32,
    /// Metres from the street's begin to `a`.
    along_m: f32,
}

impl RTreeObject for Segment {
    // Wider than what is kept, because the index adds and multiplies coordinates.
    type Envelope = AABB<[i64; 2]>;

    fn envelope(&self) -> Self::Envelope {
        AABB::from_corners(corner(self.a), corner(self.b))
    }
}

fn corner(point: Point) -> [i64; 2] {
    [point.latitude.into(), point.longitude.into()]
}

/// All straight parts of all streets, found by where they are.
pub(crate) struct Segments {
    tree: RTree<Segment>,
}

impl Segments {
    pub(crate) fn of(graph: &Graph) -> Self {
        let mut segments = Vec::new();
        for street in graph.streets() {
            let mut along_m = 0.0;
            for pair in street.points.windows(2) {
                let &[a, b] = pair else { continue };
                segments.push(Segment { a, b, street: street.id, along_m: along_m as f32 });
                along_m += a.place().metres_to(b.place());
            }
        }
        Self { tree: RTree::bulk_load(segments) }
    }

    pub(crate) fn bytes(&self) -> usize {
        // A quarter more for the nodes of the tree, which have six entries and their bounds.
        self.tree.size() * (size_of::<Segment>() + 8) * 5 / 4
    }
}

impl Segment {
    /// The nearest place of it, how far that is, and its share of the way from `a` to `b`.
    fn nearest(&self, at: Place) -> (Place, f64, f64) {
        let flat = |place: Place| {
            let east = (place.longitude - at.longitude) * at.latitude.to_radians().cos();
            (east * PER_DEGREE_METRES, (place.latitude - at.latitude) * PER_DEGREE_METRES)
        };
        let (a, b) = (self.a.place(), self.b.place());
        let ((ax, ay), (bx, by)) = (flat(a), flat(b));
        let (dx, dy) = (bx - ax, by - ay);
        let squared = dx * dx + dy * dy;
        let share = if squared > 0.0 { (-(ax * dx + ay * dy) / squared).clamp(0.0, 1.0) } else { 0.0 };
        (between(a, b, share), (ax + dx * share).hypot(ay + dy * share), share)
    }
}

impl Roads {
    /// The nearest place of each street that is within so many metres (2,000 at most), nearest first.
    pub fn snap(&self, at: Place, within_m: f64) -> Vec<Snap> {
        let Some(centre) = Point::of(at).filter(|_| within_m >= 0.0) else { return Vec::new() };
        let within_m = within_m.min(WITHIN_METRES_MAX);
        // In 1e-7 degrees; one more for roundings.
        let north = within_m / PER_DEGREE_METRES * 1e7 + 1.0;
        let east = (north / at.latitude.to_radians().cos().max(1e-6)).min(3.6e9);
        let [latitude, longitude] = corner(centre);
        let (north, east) = (north.ceil() as i64, east.ceil() as i64);
        let envelope = AABB::from_corners(
            [latitude.saturating_sub(north), longitude.saturating_sub(east)],
            [latitude.saturating_add(north), longitude.saturating_add(east)],
        );
        let mut near: Vec<(f64, f64, Place, &Segment)> = self
            .segments
            .tree
            .locate_in_envelope_intersecting(envelope)
            .filter_map(|segment| {
                let (place, metres, share) = segment.nearest(at);
                (metres <= within_m).then_some((metres, share, place, segment))
            })
            .collect();
        // The nearest of each street, the same for the same question.
        near.sort_by(|one, other| {
            let key = |(metres, _, _, segment): &(f64, f64, Place, &Segment)| (segment.street, *metres);
            let ((street, metres), (other_street, other_metres)) = (key(one), key(other));
            street.cmp(&other_street).then(metres.total_cmp(&other_metres))
        });
        near.dedup_by_key(|(_, _, _, segment)| segment.street);
        near.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
        let snaps = near.into_iter().filter_map(|(metres, share, place, segment)| {
            let street = self.graph.street(segment.street)?;
            let (a, b) = (segment.a.place(), segment.b.place());
            Some(Snap {
                place,
                metres,
                bearing_deg: a.bearing_to(b),
                class: street.class,
                is_oneway: street.is_oneway,
                street: street.id,
                along_m: (f64::from(segment.along_m) + a.metres_to(b) * share).min(street.metres),
            })
        });
        snaps.collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::{
        Way,
        tests::{HELSINKI, anywhere},
    };

    #[test]
    fn the_index_finds_what_looking_at_every_street_finds() {
        let roads = &*HELSINKI;
        let mut random = StdRng::seed_from_u64(4);
        let mut found = 0;
        for round in 0..300 {
            let (at, within) = (anywhere(&mut random), [10.0, 50.0, 150.0][round % 3]);
            let nearest = |line: &[Point]| {
                let parts = line.windows(2).map(|pair| {
                    let segment = Segment { a: pair[0], b: pair[1], street: 0, along_m: 0.0 };
                    segment.nearest(at).1
                });
                parts.fold(f64::INFINITY, f64::min)
            };
            let mut all: Vec<(f64, u32)> =
                roads.graph.streets().map(|street| (nearest(street.points), street.id)).collect();
            all.retain(|(metres, _)| *metres <= within);
            all.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
            let snaps = roads.snap(at, within);
            let answer: Vec<(f64, u32)> = snaps.iter().map(|snap| (snap.metres, snap.street)).collect();
            assert_eq!(answer, all);
            for snap in snaps {
                assert!((at.metres_to(snap.place) - snap.metres).abs() < 0.01, "{snap:?}");
                let street = roads.graph.street(snap.street).unwrap();
                let there = street.line(snap.along_m, snap.along_m)[0];
                assert!(there.metres_to(snap.place) < 0.1, "{snap:?}");
                found += 1;
            }
        }
        assert!(found > 1_000, "{found}");
    }

    #[test]
    fn a_place_on_a_street_lies_there_with_its_direction() {
        let place = |longitude| Place { latitude: 60.0, longitude };
        let line = vec![place(24.0), place(24.01)];
        let way = Way { class: Class::Primary, limit_kmh: None, is_oneway: false, line };
        let roads = Roads::of(&[way]).unwrap();
        let at = Place { latitude: 60.0001, longitude: 24.005 };
        let [snap] = roads.snap(at, 20.0)[..] else { panic!("one street") };
        assert!((snap.metres - 11.12).abs() < 0.01 && (snap.bearing_deg - 90.0).abs() < 0.1, "{snap:?}");
        assert!(roads.snap(at, 11.0).is_empty());
        assert!(roads.snap(at, f64::NAN).is_empty() && roads.snap(at, -1.0).is_empty());
        assert_eq!(roads.snap(at, f64::INFINITY).len(), 1);
    }

    #[test]
    fn streets_at_the_edge_of_the_world_are_found() {
        for (latitude, longitude) in [(-54.8, 179.99), (71.0, -179.99), (-89.99, 0.0)] {
            let place = |step: f64| Place { latitude, longitude: longitude + step };
            let way = Way {
                class: Class::Primary,
                limit_kmh: None,
                is_oneway: false,
                line: vec![place(0.0), place(0.005)],
            };
            let roads = Roads::of(&[way]).unwrap();
            assert_eq!(roads.snap(place(0.002), 5.0).len(), 1, "{latitude} {longitude}");
        }
    }
}
