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
const KITCHENS: [Kitchen; 7] = [
    kitchen(super::RESTAURANT, "Trattoria Sole", "Aleksanterinkatu 15", 60.16918, 24.94428),
    kitchen("13", "Kaisa Ramen", "Kaisaniemenkatu 3", 60.17102, 24.94673),
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
        let near: Vec<&Door> =
            DOORS.iter().filter(|door| RANGE_METRES.contains(&kitchen.place.metres_to(door.place))).collect();
        near.choose(random).copied()
    }

    /// Where a rider of the fleet begins.
    pub(crate) fn stand(&self, index: usize) -> Place {
        DOORS.get(index * 3 % DOORS.len()).map_or(KITCHENS[0].place, |door| door.place)
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
            let near: Vec<_> = DOORS
                .iter()
                .filter(|door| RANGE_METRES.contains(&kitchen.place.metres_to(door.place)))
                .collect();
            assert!(near.len() >= 4, "{}: {}", kitchen.name, near.len());
            for door in near {
                let line = city.way(kitchen.place, door.place);
                let metres: f64 = line.windows(2).map(|street| street[0].metres_to(street[1])).sum();
                let beeline = kitchen.place.metres_to(door.place);
                assert!(line.len() > 4, "{} to {}: a straight line", kitchen.name, door.address);
                assert!(
                    metres < 2.6 * beeline,
                    "{} to {}: {metres} m for {beeline} m",
                    kitchen.name,
                    door.address
                );
                let ride = Ride::along(&line, &mut StdRng::seed_from_u64(1)).unwrap();
                assert!((30.0..420.0).contains(&ride.seconds()), "{} s", ride.seconds());
                assert!(ride.at(f64::MAX).place.metres_to(door.place) < 0.1);
            }
        }
    }

    #[test]
    fn each_rider_begins_somewhere_else() {
        let city = City::open().unwrap();
        let stands: Vec<Place> = (0..8).map(|index| city.stand(index)).collect();
        for (index, stand) in stands.iter().enumerate() {
            assert!(stands.iter().skip(index + 1).all(|other| other.metres_to(*stand) > 50.0));
        }
    }
}
