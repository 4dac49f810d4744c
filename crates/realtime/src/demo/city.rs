//! The city in which the demo plays: central Helsinki, its streets, some kitchens and some doors.
//!
//! Places and streets are real (© OpenStreetMap contributors, ODbL 1.0); who cooks there and who lives there is made up.

use platepal_roads::{Roads, Speeds};
use rand::{Rng, seq::IndexedRandom};

use super::place::Place;

/// The streets, as OpenStreetMap has them; tracking reads the same file.
pub(crate) const MAP: &[u8] = include_bytes!("../../../roads/data/helsinki-centre-roads.osm.pbf");

/// Where an order is cooked.
#[derive(Debug)]
pub(crate) struct Kitchen {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) address: &'static str,
    pub(crate) place: Place,
}

/// Where an order is brought.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) address: &'static str,
    pub(crate) place: Place,
}

/// The first is the page's.
const KITCHENS: [Kitchen; 6] = [
    kitchen(super::RESTAURANT, "Trattoria Sole", "Kaisaniemenkatu 3", 60.17102, 24.94673),
    kitchen("14", "Espa Tacos", "Eteläesplanadi 14", 60.16696, 24.94728),
    kitchen("15", "Anna Falafel", "Annankatu 25", 60.16733, 24.93652),
    kitchen("16", "Pitkäsilta Curry", "Siltasaarenkatu 3", 60.17736, 24.95046),
    kitchen("17", "Bulevardi Poke", "Bulevardi 7", 60.16487, 24.93810),
    kitchen("18", "Liisa Bibimbap", "Snellmaninkatu 16", 60.17424, 24.95284),
];

const DOORS: [Door; 26] = [
    door("Korkeavuorenkatu 30", 60.16602, 24.94567),
    door("Lönnrotinkatu 15", 60.16562, 24.93600),
    door("Yrjönkatu 7", 60.16571, 24.94228),
    door("Kasarmikatu 21", 60.16583, 24.94805),
    door("Unioninkatu 22", 60.16640, 24.95096),
    door("Fredrikinkatu 41", 60.16511, 24.93618),
    door("Unioninkatu 11", 60.16510, 24.95163),
    door("Lönnrotinkatu 11", 60.16596, 24.93698),
    door("Rikhardinkatu 3", 60.16616, 24.94650),
    door("Kalevankatu 18", 60.16642, 24.93584),
    door("Fabianinkatu 8", 60.16662, 24.94935),
    door("Yrjönkatu 22", 60.16714, 24.93978),
    door("Pohjoisesplanadi 19", 60.16798, 24.95070),
    door("Yrjönkatu 36", 60.16854, 24.93653),
    door("Fabianinkatu 16", 60.16867, 24.94914),
    door("Simonkatu 20", 60.16949, 24.93785),
    door("Yliopistonkatu 3", 60.16997, 24.94811),
    door("Fabianinkatu 30", 60.17139, 24.94882),
    door("Rauhankatu 17", 60.17165, 24.95277),
    door("Kaisaniemenkatu 6", 60.17238, 24.94793),
    door("Liisankatu 27", 60.17418, 24.95201),
    door("Snellmaninkatu 18", 60.17486, 24.95274),
    door("Pitkänsillanranta 13", 60.17765, 24.94657),
    door("John Stenbergin ranta 6", 60.17769, 24.95155),
    door("Paasivuorenkatu 3", 60.17860, 24.94846),
    door("Säästöpankinranta 8", 60.17869, 24.94630),
];

/// How far a door is from its kitchen as the crow flies, metres: rides of one to three minutes.
const RANGE_METRES: std::ops::Range<f64> = 420.0..1_150.0;

/// So far are riders at the beginning from each other and from a kitchen, at least.
const APART_METRES: f64 = 100.0;

/// The longest way to a door, over the way that a crow would take: the map ends where other streets would begin, and some
/// of its streets have one direction.
const DETOUR_MAX: f64 = 2.5;

/// The streets, and who is where.
pub(crate) struct City {
    roads: Roads,
}

impl City {
    pub(crate) fn open() -> anyhow::Result<Self> {
        Ok(Self { roads: Roads::from_pbf(MAP)? })
    }

    pub(crate) fn kitchens() -> &'static [Kitchen] {
        &KITCHENS
    }

    /// Somebody near enough to be brought something.
    pub(crate) fn door_for(&self, kitchen: &Kitchen, random: &mut impl Rng) -> Option<&'static Door> {
        self.near(kitchen).choose(random).copied()
    }

    fn near(&self, kitchen: &Kitchen) -> Vec<&'static Door> {
        let is_near = |door: &&Door| {
            let beeline = kitchen.place.metres_to(door.place);
            RANGE_METRES.contains(&beeline) && self.metres(kitchen.place, door.place) < DETOUR_MAX * beeline
        };
        DOORS.iter().filter(is_near).collect()
    }

    /// Where the riders of a fleet begin: each near a kitchen, and nobody where somebody else does.
    pub(crate) fn stands(&self, riders: usize) -> Vec<Place> {
        let mut stands = Vec::new();
        for kitchen in KITCHENS.iter().cycle().take(riders) {
            let is_free = |door: &&Door| {
                door.place.metres_to(kitchen.place) > APART_METRES
                    && stands.iter().all(|stand| door.place.metres_to(*stand) > APART_METRES)
            };
            let metres = |door: &&Door| self.metres(door.place, kitchen.place);
            let nearest =
                DOORS.iter().filter(is_free).min_by(|one, other| metres(one).total_cmp(&metres(other)));
            stands.push(nearest.map_or(kitchen.place, |door| door.place));
        }
        stands
    }

    /// The way along the streets, from door to door; the straight line where no street leads.
    pub(crate) fn way(&self, from: Place, to: Place) -> Vec<Place> {
        let at =
            |place: Place| platepal_roads::Place { latitude: place.latitude, longitude: place.longitude };
        let route = self.roads.route(at(from), None, at(to), &Speeds::default());
        let streets = route.into_iter().flat_map(|route| route.line);
        let streets = streets.map(|place| Place::new(place.latitude, place.longitude));
        std::iter::once(from).chain(streets).chain([to]).collect()
    }

    /// How long that way is.
    pub(crate) fn metres(&self, from: Place, to: Place) -> f64 {
        let line = self.way(from, to);
        line.iter().zip(line.iter().skip(1)).map(|(one, next)| one.metres_to(*next)).sum()
    }
}

const fn kitchen(
    id: &'static str,
    name: &'static str,
    address: &'static str,
    latitude: f64,
    longitude: f64,
) -> Kitchen {
    Kitchen { id, name, address, place: Place::new(latitude, longitude) }
}

const fn door(address: &'static str, latitude: f64, longitude: f64) -> Door {
    Door { address, place: Place::new(latitude, longitude) }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::{super::ride::Ride, *};

    #[test]
    fn every_kitchen_has_doors_and_streets_lead_there() {
        let city = City::open().unwrap();
        for kitchen in City::kitchens() {
            let near = city.near(kitchen);
            assert!(near.len() >= 4, "{}: {}", kitchen.name, near.len());
            for door in near {
                let line = city.way(kitchen.place, door.place);
                assert!(line.len() > 4, "{} to {}: a straight line", kitchen.name, door.address);
                let ride = Ride::along(&line, &mut StdRng::seed_from_u64(1)).unwrap();
                assert!((30.0..420.0).contains(&ride.seconds()), "{} s", ride.seconds());
                assert!(ride.at(f64::MAX).place.metres_to(door.place) < 0.1);
            }
        }
    }

    #[test]
    fn each_rider_begins_somewhere_else() {
        let city = City::open().unwrap();
        let stands = city.stands(8);
        for (index, stand) in stands.iter().enumerate() {
            assert!(stands.iter().skip(index + 1).all(|other| other.metres_to(*stand) > 50.0));
        }
    }
}
