//! What kind of street a way is, and who may drive it in which direction, from OpenStreetMap's tags.
//!
//! Streets are for riders on two wheels and in cars: what either of them may use is in. A way that only bicycles
//! may use is of the class [`Class::Cycle`], whatever it is otherwise. A oneway street is one for everybody, also
//! where bicycles may ride against it: a route then never tells a car to do so.

use serde::{Deserialize, Serialize};

/// The kind of a street, from the widest to the narrowest. Slip roads are of their road's class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Class {
    /// `highway=motorway`
    Motorway,
    /// `highway=trunk`
    Trunk,
    /// `highway=primary`
    Primary,
    /// `highway=secondary`
    Secondary,
    /// `highway=tertiary`
    Tertiary,
    /// `highway=unclassified`: a through street of no importance.
    Unclassified,
    /// `highway=residential`
    Residential,
    /// `highway=living_street`
    Living,
    /// `highway=service` and `track`: yards, car parks, driveways.
    Service,
    /// What only bicycles may use.
    Cycle,
}

impl Class {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// All of them, in their order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Motorway,
        Self::Trunk,
        Self::Primary,
        Self::Secondary,
        Self::Tertiary,
        Self::Unclassified,
        Self::Residential,
        Self::Living,
        Self::Service,
        Self::Cycle,
    ];

    /// Its place in an array with an entry per class.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Metres per second before anything was learned, of two-wheelers in traffic: 45 km/h is what mopeds may (EU class
    /// L1e-B, regulation 168/2013), 25 km/h what light mopeds and electric bicycles do (L1e-A, EN 15194); the slow
    /// streets are those of Project OSRM's `profiles/bicycle.lua` and `car.lua`.
    pub fn prior_mps(self) -> f64 {
        let kmh = match self {
            Self::Motorway | Self::Trunk => 45.0,
            Self::Primary | Self::Secondary | Self::Tertiary => 25.0,
            Self::Unclassified | Self::Residential => 20.0,
            Self::Living => 10.0,
            Self::Service | Self::Cycle => 15.0,
        };
        kmh / 3.6
    }
}

/// How a way may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) class: Class,
    /// The speed limit in km/h, if the map has one.
    pub(crate) limit_kmh: Option<u8>,
    /// Along the way as it is drawn.
    pub(crate) forward: bool,
    /// Against it.
    pub(crate) backward: bool,
}

/// The tags that matter.
#[derive(Default)]
struct Tags<'a> {
    highway: &'a str,
    junction: &'a str,
    area: &'a str,
    oneway: &'a str,
    oneway_bicycle: &'a str,
    maxspeed: &'a str,
    access: &'a str,
    vehicle: &'a str,
    motor_vehicle: &'a str,
    motorcar: &'a str,
    motorcycle: &'a str,
    bicycle: &'a str,
}

impl Usage {
    /// From a way's tags; none if riders may not use it, or it is no street.
    pub(crate) fn of<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let mut way = Tags::default();
        for (key, value) in tags {
            let field = match key {
                "highway" => &mut way.highway,
                "junction" => &mut way.junction,
                "area" => &mut way.area,
                "oneway" => &mut way.oneway,
                "oneway:bicycle" => &mut way.oneway_bicycle,
                "maxspeed" => &mut way.maxspeed,
                "access" => &mut way.access,
                "vehicle" => &mut way.vehicle,
                "motor_vehicle" => &mut way.motor_vehicle,
                "motorcar" => &mut way.motorcar,
                "motorcycle" => &mut way.motorcycle,
                "bicycle" => &mut way.bicycle,
                _ => continue,
            };
            *field = value;
        }
        way.usage()
    }
}

impl Tags<'_> {
    fn usage(&self) -> Option<Usage> {
        if self.area == "yes" {
            return None;
        }
        let kind = self.highway.strip_suffix("_link").unwrap_or(self.highway);
        // The class for motors, and whether motors and bicycles may use it if no tag says otherwise.
        let (class, motors, bicycles) = match kind {
            "motorway" => (Class::Motorway, true, false),
            "trunk" => (Class::Trunk, true, true),
            "primary" => (Class::Primary, true, true),
            "secondary" => (Class::Secondary, true, true),
            "tertiary" => (Class::Tertiary, true, true),
            "unclassified" | "road" => (Class::Unclassified, true, true),
            "residential" => (Class::Residential, true, true),
            "living_street" => (Class::Living, true, true),
            "service" | "track" => (Class::Service, true, true),
            "cycleway" => (Class::Cycle, false, true),
            "path" | "footway" | "pedestrian" | "bridleway" => (Class::Cycle, false, false),
            _ => return None,
        };
        // The most special tag decides.
        let general = allowed(self.vehicle).or(allowed(self.access));
        let motor_vehicle = allowed(self.motor_vehicle).or(general);
        let motors = match (allowed(self.motorcar), allowed(self.motorcycle)) {
            (None, None) => motor_vehicle.unwrap_or(motors),
            (car, motorcycle) => {
                let rest = motor_vehicle.unwrap_or(motors);
                car.unwrap_or(rest) || motorcycle.unwrap_or(rest)
            }
        };
        // A footway that vehicles may use is still none unless bicycles are named.
        let motors = motors && class != Class::Cycle;
        let named = allowed(self.bicycle);
        let bicycles = named.unwrap_or(bicycles && general.unwrap_or(true));
        let class = match (motors, bicycles) {
            (true, _) => class,
            (false, true) => Class::Cycle,
            (false, false) => return None,
        };
        let (forward, backward) = self.directions(kind, class)?;
        Some(Usage { class, limit_kmh: limit(self.maxspeed), forward, backward })
    }

    /// None if the direction changes with the time of day.
    fn directions(&self, kind: &str, class: Class) -> Option<(bool, bool)> {
        let oneway = match class {
            Class::Cycle if !self.oneway_bicycle.is_empty() => self.oneway_bicycle,
            _ => self.oneway,
        };
        match oneway {
            "yes" | "true" | "1" => Some((true, false)),
            "-1" | "reverse" => Some((false, true)),
            "reversible" => None,
            "no" | "false" | "0" => Some((true, true)),
            _ if matches!(self.junction, "roundabout" | "circular") || kind == "motorway" => {
                Some((true, false))
            }
            _ => Some((true, true)),
        }
    }
}

/// What a value of an access tag says; none if it says nothing.
fn allowed(value: &str) -> Option<bool> {
    match value {
        "yes" | "designated" | "permissive" | "destination" | "delivery" | "customers" | "official" => {
            Some(true)
        }
        // Those who push their bicycle don't ride.
        "no" | "private" | "dismount" | "use_sidepath" | "agricultural" | "forestry" | "emergency"
        | "psv" | "bus" | "military" | "permit" | "residents" => Some(false),
        _ => None,
    }
}

/// A speed limit in km/h; signs that are no number, such as `none`, are no limit.
fn limit(value: &str) -> Option<u8> {
    let (number, factor) = match value.strip_suffix("mph") {
        Some(number) => (number, 1.609_344),
        None => (value.strip_suffix("km/h").unwrap_or(value), 1.0),
    };
    let kmh = number.trim().parse::<f64>().ok()? * factor;
    // The range makes the conversion exact but for its rounding.
    (5.0..=150.0).contains(&kmh).then_some(kmh.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(tags: &[(&str, &str)]) -> Option<Usage> {
        Usage::of(tags.iter().copied())
    }

    #[test]
    fn classes_are_in_the_order_of_their_indexes() {
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), index);
        }
    }

    #[test]
    fn what_riders_may_not_use_is_no_street() {
        for tags in [
            &[("highway", "steps")][..],
            &[("highway", "footway")],
            &[("highway", "construction")],
            &[("highway", "service"), ("access", "private")],
            &[("highway", "residential"), ("access", "no")],
            &[("highway", "pedestrian"), ("area", "yes"), ("bicycle", "yes")],
            &[("highway", "cycleway"), ("bicycle", "no")],
            &[("highway", "primary"), ("oneway", "reversible")],
            &[("highway", "service"), ("motor_vehicle", "no"), ("bicycle", "no")],
            &[("building", "yes")],
        ] {
            assert_eq!(usage(tags), None, "{tags:?}");
        }
    }

    #[test]
    fn the_most_special_access_tag_decides() {
        let class = |tags: &[(&str, &str)]| usage(tags).map(|usage| usage.class);
        let road = ("highway", "residential");
        assert_eq!(class(&[road, ("access", "no"), ("motor_vehicle", "yes")]), Some(Class::Residential));
        assert_eq!(class(&[road, ("access", "private"), ("bicycle", "yes")]), Some(Class::Cycle));
        assert_eq!(class(&[road, ("motor_vehicle", "no")]), Some(Class::Cycle));
        assert_eq!(class(&[road, ("motorcar", "no")]), Some(Class::Residential), "motorcycles remain");
        assert_eq!(class(&[("highway", "footway"), ("bicycle", "designated")]), Some(Class::Cycle));
        assert_eq!(class(&[("highway", "primary_link")]), Some(Class::Primary));
    }

    #[test]
    fn oneways_are_read_in_every_spelling() {
        let ways = |tags: &[(&str, &str)]| usage(tags).map(|usage| (usage.forward, usage.backward));
        let road = ("highway", "residential");
        assert_eq!(ways(&[road]), Some((true, true)));
        assert_eq!(ways(&[road, ("oneway", "yes")]), Some((true, false)));
        assert_eq!(ways(&[road, ("oneway", "-1")]), Some((false, true)));
        assert_eq!(ways(&[road, ("junction", "roundabout")]), Some((true, false)));
        assert_eq!(ways(&[road, ("junction", "roundabout"), ("oneway", "no")]), Some((true, true)));
        assert_eq!(ways(&[("highway", "motorway_link")]), Some((true, false)));
        let both = [road, ("oneway", "yes"), ("oneway:bicycle", "no")];
        assert_eq!(ways(&both), Some((true, false)), "a car must not be sent against it");
        assert_eq!(ways(&[both[0], both[1], both[2], ("motor_vehicle", "no")]), Some((true, true)));
    }

    #[test]
    fn limits_are_numbers_with_their_unit() {
        for (text, kmh) in [
            ("50", Some(50)),
            ("30 mph", Some(48)),
            ("40 km/h", Some(40)),
            ("none", None),
            ("FI:urban", None),
            ("0", None),
            ("9999", None),
            ("NaN", None),
        ] {
            assert_eq!(limit(text), kmh, "{text}");
        }
    }
}
