//! A place on the earth, and distances between places.
//!
//! On a sphere of the earth's mean radius (6,371,008.8 m, IUGG): great circles by the haversine formula, which stays
//! exact for short distances (R. W. Sinnott, *Virtues of the Haversine*, Sky and Telescope 68, 1984). Within a
//! city that is good to 0.5 %.

use serde::{Deserialize, Serialize};

/// Mean radius of the earth, in metres (IUGG).
const EARTH_METRES: f64 = 6_371_008.8;

/// WGS 84, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Degrees north.
    #[serde(rename = "lat")]
    pub latitude: f64,
    /// Degrees east.
    #[serde(rename = "lon")]
    pub longitude: f64,
}

impl Place {
    /// Metres to another place, along the great circle.
    pub fn metres_to(self, other: Self) -> f64 {
        let (lat1, lat2) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_latitude = (lat2 - lat1) / 2.0;
        let half_longitude = (other.longitude - self.longitude).to_radians() / 2.0;
        let h = half_latitude.sin().powi(2) + lat1.cos() * lat2.cos() * half_longitude.sin().powi(2);
        2.0 * EARTH_METRES * h.clamp(0.0, 1.0).sqrt().asin()
    }

    /// Degrees clockwise from north in which another place lies: 0 up to 360.
    pub fn bearing_to(self, other: Self) -> f64 {
        let (lat1, lat2) = (self.latitude.to_radians(), other.latitude.to_radians());
        let longitude = (other.longitude - self.longitude).to_radians();
        let east = longitude.sin() * lat2.cos();
        let north = lat1.cos() * lat2.sin() - lat1.sin() * lat2.cos() * longitude.cos();
        let degrees = east.atan2(north).to_degrees().rem_euclid(360.0);
        // What is just below 0 can be rounded to 360.
        if degrees < 360.0 { degrees } else { 0.0 }
    }

    /// The place so many metres in this bearing.
    pub fn ahead(self, bearing: f64, metres: f64) -> Self {
        let (latitude, bearing, angle) =
            (self.latitude.to_radians(), bearing.to_radians(), metres / EARTH_METRES);
        let sine = latitude.sin() * angle.cos() + latitude.cos() * angle.sin() * bearing.cos();
        let east = bearing.sin() * angle.sin() * latitude.cos();
        let longitude = self.longitude.to_radians() + east.atan2(angle.cos() - latitude.sin() * sine);
        Self {
            latitude: sine.clamp(-1.0, 1.0).asin().to_degrees(),
            longitude: (longitude.to_degrees() + 180.0).rem_euclid(360.0) - 180.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn helsinki_is_where_it_is_from_tallinn() {
        let helsinki = Place { latitude: 60.1699, longitude: 24.9384 };
        let tallinn = Place { latitude: 59.4370, longitude: 24.7536 };
        assert!((tallinn.metres_to(helsinki) - 82_140.0).abs() < 300.0);
        assert!((tallinn.bearing_to(helsinki) - 7.1).abs() < 0.3);
    }

    proptest! {
        #[test]
        fn ahead_is_as_far_and_in_that_direction(
            latitude in -80.0_f64..80.0, longitude in -180.0_f64..180.0, bearing in 0.0_f64..360.0, metres in 1.0_f64..1e5,
        ) {
            let here = Place { latitude, longitude };
            let there = here.ahead(bearing, metres);
            prop_assert!((here.metres_to(there) - metres).abs() < 0.01);
            let off = (here.bearing_to(there) - bearing + 180.0).rem_euclid(360.0) - 180.0;
            prop_assert!(off.abs() < 0.1);
        }
    }
}
