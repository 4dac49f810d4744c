//! The street map: ways ahead along real roads, at the speeds that this tier's own riders reached.

use std::{path::Path, sync::Arc};

use parking_lot::RwLock;
use platepal_roads::{Class, Measured, Roads, RoadsError, Speeds};

use crate::{
    rules::{
        place::Place,
        road::{Ahead, Road},
        street::Near,
        trail::TrailPoint,
    },
    store::speeds::Lesson,
};

/// Points of trails are smoothed: they are about so far off, in metres.
const TRAIL_ACCURACY_M: f64 = 5.0;

/// A road graph and the speeds on it.
pub(crate) struct Map {
    roads: Roads,
    speeds: RwLock<Arc<Speeds>>,
}

/// Reads the map that the settings name; without one there are no roads.
pub(crate) async fn read(path: Option<&Path>) -> Result<Option<Arc<Map>>, String> {
    let Some(path) = path.map(Path::to_owned) else { return Ok(None) };
    let shown = path.display().to_string();
    let refused = |why: String| format!("can't read the map {shown}, set by REALTIME_TRACKING_MAP: {why}");
    // A country takes seconds.
    let roads: Result<Roads, RoadsError> = tokio::task::spawn_blocking(move || Roads::read_pbf(&path))
        .await
        .map_err(|why| refused(why.to_string()))?;
    let roads = roads.map_err(|why| refused(why.to_string()))?;
    tracing::info!(map = %shown, summary = ?roads.summary(), "the map is read");
    Ok(Some(Arc::new(Map { roads, speeds: RwLock::default() })))
}

impl Map {
    /// Takes over what is known of speeds by now.
    pub(super) fn take_speeds(&self, speeds: Speeds) {
        *self.speeds.write() = Arc::new(speeds);
    }

    /// What a way says of the speeds on it.
    pub(super) fn lessons(&self, way: &[TrailPoint]) -> Vec<Lesson> {
        let measured: Vec<Measured> = way
            .iter()
            .map(|point| Measured {
                place: point.place,
                accuracy_m: TRAIL_ACCURACY_M,
                at_millis: point.at.micros() / 1_000,
            })
            .collect();
        let Some(matched) = self.roads.matched(&measured) else { return Vec::new() };
        Class::ALL
            .into_iter()
            .zip(matched.metres_by_class)
            .zip(matched.seconds_by_class)
            .filter(|((_, metres), seconds)| *metres >= 1.0 && *seconds > 0.0)
            .map(|((class, metres), seconds)| Lesson { class, metres, seconds })
            .collect()
    }
}

impl Ahead for Map {
    fn ahead(&self, from: Place, heading: Option<f64>, to: Place) -> Option<Road> {
        let speeds = Arc::clone(&self.speeds.read());
        let route = self.roads.route(from, heading, to, &speeds)?;
        Some(Road { seconds: route.seconds, metres: route.metres, line: route.line })
    }

    fn near(&self, at: Place, within_m: f64) -> Vec<Near> {
        let near = self.roads.snap(at, within_m).into_iter().map(|snap| Near {
            street: snap.street,
            place: snap.place,
            metres: snap.metres,
            bearing: snap.bearing_deg,
            is_oneway: snap.is_oneway,
        });
        near.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_events::Timestamp;
    use platepal_roads::Way;

    use super::*;

    fn map() -> Map {
        let street = [24.94, 24.95, 24.96].map(|longitude| Place { latitude: 60.17, longitude });
        let way =
            Way { class: Class::Residential, limit_kmh: Some(30), is_oneway: false, line: street.to_vec() };
        Map { roads: Roads::of(&[way]).unwrap(), speeds: RwLock::default() }
    }

    fn place(longitude: f64) -> Place {
        Place { latitude: 60.17, longitude }
    }

    #[test]
    fn the_way_ahead_follows_the_street() {
        let road = map().ahead(place(24.941), Some(90.0), place(24.959)).unwrap();
        assert!((road.metres - 996.0).abs() < 10.0, "{road:?}");
        assert!(road.seconds > 60.0 && road.line.len() >= 2, "{road:?}");
        assert_eq!(map().ahead(place(24.941), None, Place { latitude: 61.0, longitude: 25.0 }), None);
    }

    #[test]
    fn a_drive_says_how_fast_its_streets_are() {
        let at = |seconds: i64| Timestamp::from_micros(1_795_519_800_000_000 + seconds * 1_000_000);
        let way: Vec<TrailPoint> = (0..10)
            .map(|step| TrailPoint {
                place: place(24.941 + f64::from(step) * 0.001),
                at: at(i64::from(step) * 14),
            })
            .collect();
        let lessons = map().lessons(&way);
        let [Lesson { class: Class::Residential, metres, seconds }] = lessons[..] else {
            panic!("{lessons:?}")
        };
        assert!((metres / seconds - 3.95).abs() < 0.3, "{metres} m in {seconds} s");
    }
}
