//! The street map: ways ahead along real roads, at the speeds that this tier's own riders reached.

use std::{path::Path, sync::Arc};

use parking_lot::RwLock;
use platepal_roads::{Roads, RoadsError, Speeds};

use crate::rules::{
    place::Place,
    road::{Ahead, NoRoads, Road},
};

/// A road graph and the speeds on it.
pub(crate) struct Map {
    roads: Roads,
    speeds: RwLock<Speeds>,
}

/// Reads the map that the settings name; without one there are no roads.
pub(crate) async fn read(path: Option<&Path>) -> Result<Arc<dyn Ahead>, String> {
    let Some(path) = path.map(Path::to_owned) else { return Ok(Arc::new(NoRoads)) };
    let shown = path.display().to_string();
    let refused = |why: String| format!("can't read the map {shown}, set by REALTIME_TRACKING_MAP: {why}");
    // A country takes seconds.
    let roads: Result<Roads, RoadsError> = tokio::task::spawn_blocking(move || Roads::read_pbf(&path))
        .await
        .map_err(|why| refused(why.to_string()))?;
    let roads = roads.map_err(|why| refused(why.to_string()))?;
    tracing::info!(map = %shown, summary = ?roads.summary(), "the map is read");
    Ok(Arc::new(Map { roads, speeds: RwLock::default() }))
}

impl Ahead for Map {
    fn ahead(&self, from: Place, heading: Option<f64>, to: Place) -> Option<Road> {
        let speeds = self.speeds.read();
        let route = self.roads.route(from, heading, to, &speeds)?;

        Some(Road { seconds: route.seconds, metres: route.metres, line: route.line })
    }
}
