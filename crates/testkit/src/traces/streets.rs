//! A made-up town: blocks in rows, without an end, for rides that need no map or a larger one than there is.

use rand::Rng;

use super::Spot;

/// Length of a block along the streets and across.
const BLOCK_METRES: [f64; 2] = [90.0, 130.0];
/// The streets are turned by this, clockwise, so that no axis of a reckoning is favoured.
const TURNED_DEGREES: f64 = 14.0;
/// Of three corners, the rider goes straight ahead at about two.
const STRAIGHT: f64 = 0.6;

/// Where streets cross: blocks along, blocks across.
pub type Corner = (i32, i32);

/// Where a corner is.
pub fn spot(corner: Corner) -> Spot {
    Spot::default()
        .ahead(TURNED_DEGREES, f64::from(corner.0) * BLOCK_METRES[0])
        .ahead(TURNED_DEGREES + 90.0, f64::from(corner.1) * BLOCK_METRES[1])
}

/// The corner that is nearest to a spot.
pub fn corner(spot: Spot) -> Corner {
    let (sine, cosine) = TURNED_DEGREES.to_radians().sin_cos();
    let along = spot.east * sine + spot.north * cosine;
    let across = spot.east * cosine - spot.north * sine;
    ((along / BLOCK_METRES[0]).round() as i32, (across / BLOCK_METRES[1]).round() as i32)
}

/// A way between two corners, of the shortest there are: which one is left to chance.
pub fn between(from: Corner, to: Corner, random: &mut impl Rng) -> Vec<Spot> {
    let (mut here, mut is_along) = (from, random.random_bool(0.5));
    let mut spots = vec![spot(here)];
    while here != to {
        if !random.random_bool(STRAIGHT) {
            is_along = !is_along;
        }
        match (to.0 - here.0, to.1 - here.1) {
            (along, across) if (is_along && along != 0) || across == 0 => here.0 += along.signum(),
            (_, across) => here.1 += across.signum(),
        }
        spots.push(spot(here));
    }
    spots
}

/// A way of at least so many metres that leads away from where it began.
pub fn way(metres: f64, random: &mut impl Rng) -> Vec<Spot> {
    let blocks = (metres / BLOCK_METRES[0]).ceil() as i32;
    let across = random.random_range(-blocks / 3..=blocks / 3);
    between((0, 0), (blocks - across.abs(), across), random)
}

/// A corner so many metres of way from another, in a direction of chance.
pub fn away(from: Corner, metres: f64, random: &mut impl Rng) -> Corner {
    let part = random.random_range(0.0..1.0);
    let blocks = |metres: f64, block: f64, random: &mut dyn rand::RngCore| {
        let blocks = (metres / block).round() as i32;
        if random.random_bool(0.5) { blocks } else { -blocks }
    };
    (
        from.0 + blocks(part * metres, BLOCK_METRES[0], random),
        from.1 + blocks((1.0 - part) * metres, BLOCK_METRES[1], random),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corner_is_where_it_is_and_every_way_between_two_is_as_long() {
        let mut random = crate::rng(1);
        assert_eq!(corner(spot((7, -3)).ahead(100.0, 20.0)), (7, -3));
        for _ in 0..20 {
            let way = between((1, 2), (-5, 9), &mut random);
            let metres: f64 = way.iter().zip(way.iter().skip(1)).map(|(a, b)| a.metres_to(*b)).sum();
            assert!((metres - (6.0 * 90.0 + 7.0 * 130.0)).abs() < 1e-6, "{metres}");
            assert_eq!(way.last(), Some(&spot((-5, 9))));
        }
    }
}
