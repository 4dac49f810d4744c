//! What a reader of a channel knows: where it is, whether something is missing, and how late it hears. Pure.
//!
//! Ages are those that the gateway measured, by its own clock, so that the clock of the terminal does not matter.

use std::time::Instant;

use hdrhistogram::Histogram;
use platepal_events::{Class, EventType, Timestamp};
use platepal_proto::v1;
use serde::Serialize;

/// Latencies above are counted as this much.
const LATENCY_MICROS_MAX: u64 = 3_600_000_000;

/// One entry, in its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) offset: u64,
    /// Since the publisher's timestamp.
    pub(super) age_micros: i64,
    /// Since the bus kept it; `None` when the entry does not say when that was.
    pub(super) since_kept_micros: Option<i64>,
    /// What should have come before it did not.
    pub(super) gap: Option<Gap>,
}

/// Events are missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The last offset before it.
    pub(super) after: u64,
}

/// A reader of one channel.
pub(super) struct Follower {
    began: Instant,
    /// The last position in the log; `None` until something said one.
    at: Option<(String, u64)>,
    entries: u64,
    live: u64,
    gaps: u64,
    resets: u64,
    from_publisher: Option<Histogram<u64>>,
    from_kept: Option<Histogram<u64>>,
}

/// How it went.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) entries: u64,
    /// Those that were kept while we read; the latencies are theirs.
    pub(super) live: u64,
    pub(super) gaps: u64,
    pub(super) resets: u64,
    pub(super) seconds: f64,
    pub(super) live_per_second: f64,
    pub(super) from_publisher: Option<Latency>,
    pub(super) from_kept: Option<Latency>,
}

/// In milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

impl Follower {
    /// Begins to read.
    pub(super) fn new(now: Instant) -> Self {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3).ok();
        Self {
            began: now,
            at: None,
            entries: 0,
            live: 0,
            gaps: 0,
            resets: 0,
            from_publisher: histogram(),
            from_kept: histogram(),
        }
    }

    /// An entry came, so old by the gateway's clock.
    pub(super) fn entry(&mut self, entry: &v1::Entry, age_micros: i64, now: Instant) -> Seen {
        self.entries += 1;
        let event = entry.event.as_ref();
        let micros = |at: Option<prost_types::Timestamp>| Some(Timestamp::try_from(at?).ok()?.micros());
        let published = event.and_then(|event| micros(event.timestamp));
        let to_kept = micros(entry.kept_at).zip(published).map(|(kept, published)| kept - published);
        let since_kept_micros = to_kept.map(|to_kept| (age_micros - to_kept).max(0));
        let reading = i64::try_from(now.duration_since(self.began).as_micros()).unwrap_or(i64::MAX);
        if since_kept_micros.unwrap_or(age_micros) <= reading {
            self.live += 1;
            note(&mut self.from_publisher, age_micros);
            if let Some(since) = since_kept_micros {
                note(&mut self.from_kept, since);
            }
        }
        let position = entry.position.clone().unwrap_or_default();
        let kind = event.and_then(|event| event.r#type.parse::<EventType>().ok());
        let gap = match kind.map(|kind| kind.class()) {
            Some(Class::Log) => self.step(&position, entry.previous_offset),
            // Only the newest counts, or none: nothing can be missing.
            _ => None,
        };
        Seen { offset: position.offset, age_micros, since_kept_micros, gap }
    }

    fn step(&mut self, position: &v1::Position, previous: u64) -> Option<Gap> {
        let before = self.at.replace((position.epoch.clone(), position.offset));
        let (epoch, offset) = before?;
        if epoch == position.epoch && previous <= offset {
            return None;
        }
        self.gaps += 1;
        Some(Gap { after: offset })
    }

    /// The gateway said that it goes on elsewhere.
    pub(super) fn reset(&mut self, position: Option<&v1::Position>) {
        self.resets += 1;
        self.at = position.map(|position| (position.epoch.clone(), position.offset));
    }

    /// The gateway said where the silent channel is.
    pub(super) fn idle(&mut self, position: &v1::Position) {
        // A head beyond what was seen would hide a gap, so only the first of all is taken.
        self.at.get_or_insert_with(|| (position.epoch.clone(), position.offset));
    }

    /// How it went until now.
    pub(super) fn summary(&self, now: Instant) -> Summary {
        let seconds = now.duration_since(self.began).as_secs_f64();
        Summary {
            entries: self.entries,
            live: self.live,
            gaps: self.gaps,
            resets: self.resets,
            seconds,
            live_per_second: if seconds > 0.0 { self.live as f64 / seconds } else { 0.0 },
            from_publisher: latency(self.from_publisher.as_ref()),
            from_kept: latency(self.from_kept.as_ref()),
        }
    }
}

fn note(histogram: &mut Option<Histogram<u64>>, micros: i64) {
    if let Some(histogram) = histogram {
        histogram.saturating_record(u64::try_from(micros).unwrap_or_default());
    }
}

fn latency(histogram: Option<&Histogram<u64>>) -> Option<Latency> {
    let histogram = histogram.filter(|histogram| !histogram.is_empty())?;
    let millis = |micros: u64| micros as f64 / 1e3;
    Some(Latency {
        p50_ms: millis(histogram.value_at_quantile(0.5)),
        p99_ms: millis(histogram.value_at_quantile(0.99)),
        max_ms: millis(histogram.max()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    const PUBLISHED: i64 = 1_796_000_000_000_000;

    fn entry(kind: &str, offset: u64, previous: u64) -> v1::Entry {
        let at = |micros| Some(Timestamp::from_micros(micros).into());
        v1::Entry {
            event: Some(v1::Event { r#type: kind.into(), timestamp: at(PUBLISHED), ..Default::default() }),
            position: Some(v1::Position { epoch: "e".into(), offset }),
            previous_offset: previous,
            kept_at: at(PUBLISHED + 2_000),
            ..Default::default()
        }
    }

    #[test]
    fn a_gap_is_seen_by_the_predecessor_and_only_in_the_log() {
        let now = Instant::now();
        let mut follower = Follower::new(now);
        let mut gap = |kind, offset, previous| follower.entry(&entry(kind, offset, previous), 0, now).gap;
        assert_eq!(gap("order.accepted", 12, 7), None, "nothing was promised before the first");
        assert_eq!(gap("order.accepted", 20, 12), None, "offsets need not follow each other");
        assert_eq!(gap("rider_location", 3, 0), None);
        assert_eq!(gap("order.accepted", 30, 25), Some(Gap { after: 20 }));
        assert_eq!(gap("order.accepted", 31, 30), None);
        follower.reset(Some(&v1::Position { epoch: "e".into(), offset: 90 }));
        assert_eq!(
            follower.entry(&entry("order.accepted", 91, 90), 0, now).gap,
            None,
            "a reset says it itself"
        );
        let summary = follower.summary(now);
        assert_eq!((summary.entries, summary.gaps, summary.resets), (6, 1, 1));
    }

    #[test]
    fn latencies_are_those_of_what_came_while_we_read() {
        let began = Instant::now();
        let mut follower = Follower::new(began);
        let old = follower.entry(&entry("order.accepted", 1, 0), 60_000_000, began + Duration::from_secs(1));
        assert_eq!(old.since_kept_micros, Some(59_998_000));
        for (offset, age) in (2..102).zip((0..).map(|n| 3_000 + n * 10)) {
            let entry = entry("order.accepted", offset, offset - 1);
            follower.entry(&entry, age, began + Duration::from_secs(2));
        }
        let summary = follower.summary(began + Duration::from_secs(10));
        assert_eq!((summary.entries, summary.live), (101, 100));
        assert!((summary.live_per_second - 10.0).abs() < 1e-9);
        let kept = summary.from_kept.unwrap();
        assert!((1.4..1.6).contains(&kept.p50_ms) && (1.9..2.0).contains(&kept.p99_ms), "{kept:?}");
        assert!(summary.from_publisher.unwrap().max_ms > 3.9);
    }
}
