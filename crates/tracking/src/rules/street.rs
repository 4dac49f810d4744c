//! On which street a rider is: where a map says that one could be, a shown position lies on it.
//!
//! What a filter can't know of errors that last, a street does: nobody rides across the houses. A hidden Markov model as by
//! P. Newson and J. Krumm, *Hidden Markov Map Matching Through Noise and Sparseness*, ACM SIGSPATIAL 2009, of which only
//! the forward part is kept, as a rider is shown now. A street is the likelier the nearer it is (normal, with the
//! position's own accuracy), the better it goes in the rider's direction, and the better the way from where the rider was on
//! a street fits the way that was ridden (exponential). One state is *off the street*: yards, and streets that the map
//! does not have. Unless one street is the likeliest by far the position stays where the filter says.
//!
//! It changes only what is shown. Arrivals, trails and jumps are decided by the filter's positions.

use super::{place::Place, rider::Smoothed, road::Ahead};

/// Standard deviations of one axis in the radius that holds 68 %.
const RADIUS: f64 = 1.509_6;
/// A street is drawn as a line and is not one: no position is known better, in metres.
const SIGMA_METRES_MIN: f64 = 5.0;
/// Streets are looked for within so many standard deviations, and within so many metres at most.
const WITHIN: f64 = 3.0;
const WITHIN_METRES_MAX: f64 = 90.0;
/// Streets that are kept in mind.
const STREETS_MAX: usize = 8;
/// Standard deviation between a rider's direction and the street's, in degrees.
const DIRECTION_DEGREES: f64 = 30.0;
/// A street across the rider's direction is not impossible: directions of phones are odd now and then.
const ACROSS: f64 = 0.02;
/// How far the way on streets and the way that was ridden differ, in metres.
const DETOUR_METRES: f64 = 8.0;
/// What another street than before has to make up for.
const CHANGE: f64 = 0.3;
/// How likely it is to leave the streets, and to stay off them.
const LEAVES: f64 = 0.02;
const STAYS_OFF: f64 = 0.8;
/// Off the streets every place is as likely: as one so far from a street, in standard deviations.
const OFF_SIGMAS: f64 = 2.5;
/// A street has to be as likely as this.
const SURE: f64 = 0.5;

/// A place on a street that is near somebody.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Which street.
    pub street: u32,
    /// Where.
    pub place: Place,
    /// Metres away.
    pub metres: f64,
    /// Degrees clockwise from north in which the street goes.
    pub bearing: f64,
    /// Nobody goes the other way.
    pub is_oneway: bool,
}

/// What is known of a rider's street.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Streets {
    /// Where the filter said that the rider was.
    from: Option<Place>,
    likely: Vec<Likely>,
}

/// A street on which the rider may be.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Likely {
    street: u32,
    place: Place,
    /// All of them, and being off the streets, are 1 together.
    share: f64,
}

impl Streets {
    /// Where the rider is on a street, if that is likely enough.
    pub(crate) fn step(&mut self, smoothed: &Smoothed, roads: &dyn Ahead) -> Option<Place> {
        let sigma = (smoothed.accuracy / RADIUS).max(SIGMA_METRES_MIN);
        let mut near = roads.near(smoothed.place, (WITHIN * sigma).min(WITHIN_METRES_MAX));
        near.truncate(STREETS_MAX);
        if near.is_empty() {
            *self = Self::default();
            return None;
        }
        let ridden = self.from.map_or(0.0, |from| from.metres_to(smoothed.place));
        let was_off = 1.0 - self.likely.iter().map(|likely| likely.share).sum::<f64>();
        let before = |near: &Near| match self.from {
            None => 1.0,
            Some(_) => {
                let came = |likely: &Likely| {
                    let detour = (likely.place.metres_to(near.place) - ridden).abs() / DETOUR_METRES;
                    let change = if likely.street == near.street { 1.0 } else { CHANGE };
                    likely.share * change * (-detour).exp()
                };
                self.likely.iter().map(came).sum::<f64>() + was_off.max(0.0) * (1.0 - STAYS_OFF)
            }
        };
        let mut likely: Vec<Likely> = near
            .iter()
            .map(|near| Likely {
                street: near.street,
                place: near.place,
                share: before(near)
                    * (-(near.metres / sigma).powi(2) / 2.0).exp()
                    * direction(near, smoothed),
            })
            .collect();
        let off = (was_off.max(0.0) * STAYS_OFF).max(LEAVES) * (-OFF_SIGMAS.powi(2) / 2.0).exp();
        let all = off + likely.iter().map(|likely| likely.share).sum::<f64>();
        for likely in &mut likely {
            likely.share /= all;
        }
        self.from = Some(smoothed.place);
        self.likely = likely;
        let best = self.likely.iter().max_by(|one, other| one.share.total_cmp(&other.share))?;
        (best.share >= SURE).then_some(best.place)
    }
}

/// How well a street goes where the rider looks; who stands looks anywhere.
fn direction(near: &Near, smoothed: &Smoothed) -> f64 {
    let Some(heading) = smoothed.heading.filter(|_| smoothed.moving) else { return 1.0 };
    let turned = ((heading - near.bearing + 180.0).rem_euclid(360.0) - 180.0).abs();
    let turned = if near.is_oneway { turned } else { turned.min(180.0 - turned) };
    (-(turned / DIRECTION_DEGREES).powi(2) / 2.0).exp().max(ACROSS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::fix::tests::at;

    const HERE: Place = Place { latitude: 60.17, longitude: 24.94 };

    /// Two streets to the east, 60 m apart, and one to the north that crosses them.
    struct Town;

    impl Ahead for Town {
        fn ahead(&self, _: Place, _: Option<f64>, _: Place) -> Option<crate::rules::road::Road> {
            None
        }

        fn near(&self, at: Place, within_m: f64) -> Vec<Near> {
            let plane = crate::rules::plane::Plane::at(HERE);
            let (east, north) = plane.metres(at);
            let street = |street, place: (f64, f64), bearing| {
                let metres = (place.0 - east).hypot(place.1 - north);
                Near { street, place: plane.place(place), metres, bearing, is_oneway: false }
            };
            let mut near = vec![
                street(1, (east, 0.0), 90.0),
                street(2, (east, 60.0), 90.0),
                street(3, (200.0, north), 0.0),
            ];
            near.retain(|near| near.metres <= within_m);
            near.sort_by(|one, other| one.metres.total_cmp(&other.metres));
            near
        }
    }

    fn smoothed(east: f64, north: f64, heading: f64) -> Smoothed {
        Smoothed {
            place: crate::rules::plane::Plane::at(HERE).place((east, north)),
            speed: 7.0,
            heading: Some(heading),
            accuracy: 18.0,
            moving: true,
            at: at(0.0),
        }
    }

    fn off(place: Place) -> (f64, f64) {
        crate::rules::plane::Plane::at(HERE).metres(place)
    }

    #[test]
    fn who_drifts_beside_the_street_is_shown_on_it() {
        let mut streets = Streets::default();
        for step in 0..20_i32 {
            let east = f64::from(step) * 7.0;
            let seen = streets.step(&smoothed(east, 14.0, 88.0), &Town).map(off);
            let (shown_east, shown_north) = seen.unwrap_or((f64::NAN, f64::NAN));
            assert!((shown_east - east).abs() < 0.1 && shown_north.abs() < 0.1, "{step}: {seen:?}");
        }
    }

    #[test]
    fn a_parallel_street_does_not_take_over_for_a_moment_and_a_corner_does() {
        let mut streets = Streets::default();
        for step in 0..10_i32 {
            streets.step(&smoothed(f64::from(step) * 7.0, 5.0, 90.0), &Town);
        }
        // Nearer to the other street than to the own one.
        let seen = streets.step(&smoothed(70.0, 34.0, 90.0), &Town).map(off);
        assert!(seen.is_none_or(|(_, north)| north < 1.0), "{seen:?}");
        for step in 11..30_i32 {
            streets.step(&smoothed(f64::from(step) * 7.0, 5.0, 90.0), &Town);
        }
        for step in 1..6_i32 {
            streets.step(&smoothed(206.0, f64::from(step) * 7.0, 2.0), &Town);
        }
        let (east, north) = streets.step(&smoothed(207.0, 42.0, 1.0), &Town).map(off).unwrap_or_default();
        assert!((east - 200.0).abs() < 0.1 && (north - 42.0).abs() < 0.1, "{east} {north}");
    }

    #[test]
    fn far_from_streets_a_position_stays_where_it_is() {
        let mut streets = Streets::default();
        assert_eq!(streets.step(&smoothed(0.0, -80.0, 90.0), &Town), None);
        assert_eq!(streets.step(&smoothed(0.0, 5.0, 90.0), &crate::rules::road::NoRoads), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_shares_are_shares_and_nobody_is_moved_far(
            fixes in prop::collection::vec((-300.0..300.0_f64, -100.0..160.0_f64, 0.0..360.0_f64), 1..40)
        ) {
            let mut streets = Streets::default();
            for (east, north, heading) in fixes {
                let smoothed = smoothed(east, north, heading);
                let seen = streets.step(&smoothed, &Town);
                let all: f64 = streets.likely.iter().map(|likely| likely.share).sum();
                prop_assert!((0.0..=1.0 + 1e-9).contains(&all), "{all}");
                prop_assert!(seen.is_none_or(|place| place.metres_to(smoothed.place) <= WITHIN_METRES_MAX + 0.1));
            }
        }
    }
}
