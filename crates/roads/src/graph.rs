//! Streets and junctions in flat arrays. A junction is where streets meet or change; what lies between two of them
//! is one street with a line.
//!
//! Invariant: every street may be driven forward, from its first junction to its second; some also backward.

use crate::{Class, Place};

/// Parts of a degree that are counted: OpenStreetMap's own precision, about a centimetre.
const PER_DEGREE: f64 = 1e7;

/// A place in fixed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) latitude: i32,
    pub(crate) longitude: i32,
}

impl Point {
    /// None if it is not on the earth.
    pub(crate) fn of(place: Place) -> Option<Self> {
        let is_on_earth = place.latitude.abs() <= 90.0 && place.longitude.abs() <= 180.0;
        // Within those bounds it fits.
        is_on_earth.then(|| Self {
            latitude: (place.latitude * PER_DEGREE).round() as i32,
            longitude: (place.longitude * PER_DEGREE).round() as i32,
        })
    }

    pub(crate) fn place(self) -> Place {
        Place {
            latitude: f64::from(self.latitude) / PER_DEGREE,
            longitude: f64::from(self.longitude) / PER_DEGREE,
        }
    }
}

/// A street in one of its directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Arc(u32);

impl Arc {
    pub(crate) fn new(street: u32, is_backward: bool) -> Self {
        Self(street << 1 | u32::from(is_backward))
    }

    pub(crate) fn street(self) -> u32 {
        self.0 >> 1
    }

    pub(crate) fn is_backward(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A street, looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Street<'a> {
    pub(crate) id: u32,
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) points: &'a [Point],
    pub(crate) metres: f64,
    pub(crate) class: Class,
    pub(crate) limit_kmh: Option<u8>,
    pub(crate) is_oneway: bool,
}

impl Street<'_> {
    /// Where a drive along this arc begins and ends.
    pub(crate) fn ends(&self, is_backward: bool) -> (u32, u32) {
        if is_backward { (self.to, self.from) } else { (self.from, self.to) }
    }

    /// The line between two distances from its first end; the other way round if the first is the larger.
    pub(crate) fn line(&self, from_m: f64, to_m: f64) -> Vec<Place> {
        let (low, high) = (from_m.min(to_m), from_m.max(to_m));
        let mut line = Vec::new();
        let mut done = 0.0;
        for pair in self.points.windows(2) {
            let &[a, b] = pair else { continue };
            let (a, b) = (a.place(), b.place());
            let length = a.metres_to(b);
            if line.is_empty() && low <= done + length {
                line.push(between(a, b, (low - done) / length));
            }
            if high <= done + length {
                line.push(between(a, b, (high - done) / length));
                break;
            }
            if !line.is_empty() {
                line.push(b);
            }
            done += length;
        }
        // A distance may lie a rounding behind the end.
        if let Some(last) = self.points.last().filter(|_| high > done || line.is_empty())
            && line.len() < 2
        {
            line.push(last.place());
        }
        if to_m < from_m {
            line.reverse();
        }
        line
    }
}

/// The place at a share of the way from one to the other.
pub(crate) fn between(a: Place, b: Place, share: f64) -> Place {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    Place {
        latitude: a.latitude + (b.latitude - a.latitude) * share,
        longitude: a.longitude + (b.longitude - a.longitude) * share,
    }
}

/// Everything of a street but its line.
#[derive(Debug, Clone, Copy)]
struct Head {
    from: u32,
    to: u32,
    metres: f32,
    class: Class,
    limit_kmh: u8,
    is_oneway: bool,
    first_point: u32,
}

/// The graph.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Length of the map's streets that are not in, because not all others are reached from them or reach them.
    pub(crate) dropped_metres: f64,
    junctions: u32,
    heads: Vec<Head>,
    points: Vec<Point>,
    /// Where the arcs of a junction begin in `arcs`; one more than there are junctions.
    first_arc: Vec<u32>,
    arcs: Vec<Arc>,
}

/// A street that is to be part of a graph.
pub(crate) struct NewStreet<'a> {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) line: &'a [Point],
    pub(crate) class: Class,
    pub(crate) limit_kmh: Option<u8>,
    pub(crate) is_oneway: bool,
}

impl Graph {
    pub(crate) fn with_junctions(junctions: u32) -> Self {
        Self { junctions, ..Self::default() }
    }

    /// False if the graph is as large as its numbers allow.
    pub(crate) fn add(&mut self, street: &NewStreet<'_>) -> bool {
        let (Ok(first_point), Ok(id)) = (u32::try_from(self.points.len()), u32::try_from(self.heads.len()))
        else {
            return false;
        };
        if id >= u32::MAX >> 1 {
            return false;
        }
        let metres: f64 = street
            .line
            .windows(2)
            .map(|pair| match pair {
                &[a, b] => a.place().metres_to(b.place()),
                _ => 0.0,
            })
            .sum();
        self.points.extend_from_slice(street.line);
        self.heads.push(Head {
            from: street.from,
            to: street.to,
            metres: metres as f32,
            class: street.class,
            limit_kmh: street.limit_kmh.unwrap_or(0),
            is_oneway: street.is_oneway,
            first_point,
        });
        true
    }

    /// Sorts the arcs by the junction that they leave: after the last street was added.
    pub(crate) fn finish(&mut self) {
        let mut arcs: Vec<(u32, Arc)> = self
            .streets()
            .flat_map(|street| {
                let forward = (street.from, Arc::new(street.id, false));
                let backward = (street.to, Arc::new(street.id, true));
                std::iter::once(forward).chain((!street.is_oneway).then_some(backward))
            })
            .collect();
        arcs.sort_unstable();
        self.first_arc = Vec::with_capacity(self.junctions as usize + 1);
        let mut begin = 0;
        for junction in 0..=self.junctions {
            while arcs.get(begin).is_some_and(|(from, _)| *from < junction) {
                begin += 1;
            }
            // There are fewer arcs than twice the streets, which fit.
            self.first_arc.push(begin as u32);
        }
        self.arcs = arcs.into_iter().map(|(_, arc)| arc).collect();
        self.heads.shrink_to_fit();
        self.points.shrink_to_fit();
    }

    pub(crate) fn junctions(&self) -> usize {
        self.junctions as usize
    }

    pub(crate) fn street(&self, id: u32) -> Option<Street<'_>> {
        let head = self.heads.get(id as usize)?;
        let begin = head.first_point as usize;
        let end = self.heads.get(id as usize + 1).map_or(self.points.len(), |next| next.first_point as usize);
        Some(Street {
            id,
            from: head.from,
            to: head.to,
            points: self.points.get(begin..end)?,
            metres: f64::from(head.metres),
            class: head.class,
            limit_kmh: (head.limit_kmh > 0).then_some(head.limit_kmh),
            is_oneway: head.is_oneway,
        })
    }

    pub(crate) fn streets(&self) -> impl Iterator<Item = Street<'_>> {
        // Their number fits: `add` saw to it.
        (0..self.heads.len() as u32).filter_map(|id| self.street(id))
    }

    /// The arcs that leave a junction.
    pub(crate) fn leaving(&self, junction: u32) -> &[Arc] {
        let begin = self.first_arc.get(junction as usize).copied().unwrap_or_default();
        let end = self.first_arc.get(junction as usize + 1).copied().unwrap_or_default();
        self.arcs.get(begin as usize..end as usize).unwrap_or_default()
    }

    pub(crate) fn bounds(&self) -> (Place, Place) {
        let (mut low, mut high) = (Point { latitude: 0, longitude: 0 }, Point { latitude: 0, longitude: 0 });
        if let Some(first) = self.points.first() {
            (low, high) = (*first, *first);
        }
        for point in &self.points {
            low.latitude = low.latitude.min(point.latitude);
            low.longitude = low.longitude.min(point.longitude);
            high.latitude = high.latitude.max(point.latitude);
            high.longitude = high.longitude.max(point.longitude);
        }
        (low.place(), high.place())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.heads.len() * size_of::<Head>()
            + self.points.len() * size_of::<Point>()
            + self.first_arc.len() * size_of::<u32>()
            + self.arcs.len() * size_of::<Arc>()
    }
}
