//! Whether silence is told: stale after 30 s, offline after 120 s, unknown after 600 s.

use platepal_testkit::traces::{recorded::Delivering, spread::Spread};
use platepal_tracking::replay::shift::{Delivery, NoRoads, Stage};
use serde::{Deserialize, Serialize};

use super::{
    arrivals::as_sent,
    pass::{pass, place},
};

/// Silence after which a rider is stale.
const STALE_SECONDS: f64 = 30.0;
/// The time comes once a second, and an age is told in its second.
const SLACK_SECONDS: f64 = 2.0;
/// Silence after the end of each trace, so that every stage is reached.
const AFTER_SECONDS: f64 = 640.0;
/// Names of the stages, and the age at which they begin.
const STAGES: [(&str, f64); 3] = [("stale", STALE_SECONDS), ("offline", 120.0), ("unknown", 600.0)];

/// Silences of recorded deliveries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// Traces.
    pub traces: usize,
    /// Fixes in them.
    pub fixes: usize,
    /// Of them on foot.
    pub on_foot: usize,
    /// Gaps of more than 15 s.
    pub gaps_15: usize,
    /// Gaps of more than 32 s, and the end of each trace.
    pub silences: usize,
    /// Those that were told as stale.
    pub told: usize,
    /// Told as stale while fixes came.
    pub told_wrongly: usize,
    /// From the last fix to `stale`, in seconds: half are less, and the greatest.
    pub stale_after: (f64, f64),
    /// Ends of traces that were told as offline, and as unknown.
    pub offline: usize,
    /// The same.
    pub unknown: usize,
    /// Seconds from the first fix after a gap to `live`: the greatest.
    pub live_after: f64,
    /// Fixes of the recordings that were refused.
    pub refused: usize,
}

/// Lets the traces pass as they are, each followed by silence.
pub fn measure(recorded: &[Delivering]) -> Found {
    let mut found = Found {
        traces: recorded.len(),
        fixes: 0,
        on_foot: 0,
        gaps_15: 0,
        silences: 0,
        told: 0,
        told_wrongly: 0,
        stale_after: (0.0, 0.0),
        offline: 0,
        unknown: 0,
        live_after: 0.0,
        refused: 0,
    };
    let mut stale_after = Vec::new();
    for delivering in recorded {
        let drive = delivering.drive.clone();
        let sent = as_sent(&drive);
        found.fixes += sent.len();
        found.on_foot += delivering.on_foot;
        let end = drive.end().seconds;
        let far = place(&drive.plane, drive.end().spot.ahead(0.0, 5_000.0));
        let delivery =
            Delivery { delivery_id: "1".to_owned(), stage: Stage::InTransit, pickup: far, dropoff: far };
        let mut silent = drive;
        let last = silent.end();
        silent.moments.push(platepal_testkit::traces::Moment { seconds: end + AFTER_SECONDS, ..last });
        let passed = pass(&silent, &sent, &[(silent.begin().seconds, delivery)], &NoRoads);
        found.refused += passed.iter().filter(|passed| passed.is_refused()).count();
        // What is said of the rider, whenever that changes; a fix that was refused is no news of the rider.
        let said: Vec<(f64, &str)> = passed
            .iter()
            .flat_map(|passed| passed.step.told.iter().map(|told| (passed.seconds, told.liveness)))
            .collect();
        // When fixes that were believed were recorded, and when they came.
        let believed: Vec<(f64, f64)> = passed
            .iter()
            .filter(|passed| passed.step.position.is_some())
            .filter_map(|passed| passed.sent.map(|sent| (sent.recorded_seconds, passed.seconds)))
            .collect();
        let ends = believed.iter().copied().skip(1).chain([(end + AFTER_SECONDS, end + AFTER_SECONDS)]);
        for ((from, came), (to, next)) in believed.iter().copied().zip(ends) {
            let is_last = to > end;
            found.gaps_15 += usize::from(to - from > 15.0 && !is_last);
            let during = |stage: &str| {
                let mut said = said.iter().filter(|(at, _)| (came..next).contains(at));
                said.find(|(_, liveness)| *liveness == stage).map(|(at, _)| at - from)
            };
            let stale = during("stale");
            if to - from > STALE_SECONDS + SLACK_SECONDS {
                found.silences += 1;
                found.told += usize::from(stale.is_some());
                stale_after.extend(stale);
            } else if next - from < STALE_SECONDS && stale.is_some() {
                found.told_wrongly += 1;
            }
            if is_last {
                found.offline += usize::from(during(STAGES[1].0).is_some_and(|age| age >= STAGES[1].1));
                found.unknown += usize::from(during(STAGES[2].0).is_some_and(|age| age >= STAGES[2].1));
            } else if to - from > STALE_SECONDS + SLACK_SECONDS {
                let live = said.iter().find(|(at, liveness)| *at >= next && *liveness == "live");
                found.live_after = found.live_after.max(live.map_or(f64::INFINITY, |(at, _)| at - next));
            }
        }
    }
    let stale_after: Spread = stale_after.into_iter().collect();
    found.stale_after = (stale_after.median(), stale_after.most());
    found
}
