//! From what processes count to what people look at: rates, and delays that a share of events stay below.
//!
//! Reads Prometheus's text format as far as our own processes write it.

use std::collections::BTreeMap;

/// Sums over all labels, of one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counts {
    values: BTreeMap<String, f64>,
    /// By histogram: how many were at most so much.
    buckets: BTreeMap<String, BTreeMap<Bound, f64>>,
}

/// An upper bound of a bucket, in microseconds or whatever is counted a million times: floats have no order.
type Bound = u64;

const UNBOUNDED: Bound = u64::MAX;

impl Counts {
    /// What one process counts.
    pub fn of(text: &str) -> Self {
        let mut counts = Self::default();
        counts.add(text);
        counts
    }

    /// What several count together.
    pub fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for Self { values, buckets } in all {
            for (name, value) in values {
                *sum.values.entry(name.clone()).or_default() += value;
            }
            for (name, buckets) in buckets {
                let own = sum.buckets.entry(name.clone()).or_default();
                for (bound, value) in buckets {
                    *own.entry(*bound).or_default() += value;
                }
            }
        }
        sum
    }

    fn add(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            match name.strip_suffix("_bucket") {
                Some(histogram) => {
                    let Some(bound) = bound(labels) else { continue };
                    let buckets = self.buckets.entry(histogram.to_owned()).or_default();
                    *buckets.entry(bound).or_default() += value;
                }
                None => *self.values.entry(name.to_owned()).or_default() += value,
            }
        }
    }

    /// A gauge, or how much was counted so far.
    pub fn value(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or_default()
    }

    /// How much was counted in a second since then; a process that began again counts from nothing.
    pub fn rate(&self, before: &Self, name: &str, seconds: f64) -> f64 {
        ((self.value(name) - before.value(name)) / seconds).max(0.0)
    }

    /// What a share of what was measured since then stayed below, as far as the buckets tell; `None`: there was nothing.
    pub fn quantile(&self, before: &Self, histogram: &str, share: f64) -> Option<f64> {
        let now = self.buckets.get(histogram)?;
        let empty = BTreeMap::new();
        let before = before.buckets.get(histogram).unwrap_or(&empty);
        let since = |bound: &Bound| {
            let count = now.get(bound).copied().unwrap_or_default();
            (count - before.get(bound).copied().unwrap_or_default()).max(0.0)
        };
        let all = since(&UNBOUNDED);
        if all < 1.0 {
            return None;
        }
        let (mut lower, mut below) = (0.0, 0.0);
        for bound in now.keys() {
            let upto = since(bound);
            let upper = if *bound == UNBOUNDED { lower } else { *bound as f64 / 1e6 };
            if upto >= share * all {
                let within = upto - below;
                let part = if within > 0.0 { (share * all - below) / within } else { 1.0 };
                return Some(lower + (upper - lower) * part);
            }
            (lower, below) = (upper, upto);
        }
        Some(lower)
    }
}

fn bound(labels: &str) -> Option<Bound> {
    let text = labels.split("le=\"").nth(1)?.split('"').next()?;
    if text == "+Inf" {
        return Some(UNBOUNDED);
    }
    // Bounds are small and above zero.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    text.parse::<f64>().ok().map(|bound| (bound * 1e6) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEFORE: &str = "# TYPE a counter\na_total{x=\"1\"} 5\na_total{x=\"2\"} 7\nb 3\n\
        t_seconds_bucket{le=\"0.1\"} 10\nt_seconds_bucket{le=\"1\"} 10\nt_seconds_bucket{le=\"+Inf\"} 10\n";
    const AFTER: &str = "a_total{x=\"1\"} 15\na_total{x=\"2\"} 7\nb 4\n\
        t_seconds_bucket{le=\"0.1\"} 60\nt_seconds_bucket{le=\"1\"} 109\nt_seconds_bucket{le=\"+Inf\"} 110\n";

    #[test]
    fn series_are_summed_and_rates_are_of_the_time_between() {
        let (before, after) = (Counts::of(BEFORE), Counts::of(AFTER));
        assert_eq!((before.value("a_total"), after.value("b"), after.value("none")), (12.0, 4.0, 0.0));
        assert_eq!(after.rate(&before, "a_total", 2.0), 5.0);
        assert_eq!(before.rate(&after, "a_total", 2.0), 0.0, "it began again");
    }

    #[test]
    fn what_processes_count_together_is_the_sum_of_series_and_buckets() {
        let sum = Counts::sum([Counts::of(BEFORE), Counts::of(AFTER)].iter());
        assert_eq!((sum.value("a_total"), sum.value("b")), (34.0, 7.0));
        let before = Counts::of(BEFORE);
        assert_eq!(
            sum.quantile(&before, "t_seconds", 0.5),
            Counts::of(AFTER).quantile(&Counts::default(), "t_seconds", 0.5)
        );
    }

    #[test]
    fn a_quantile_is_of_what_was_measured_in_between() {
        let (before, after) = (Counts::of(BEFORE), Counts::of(AFTER));
        assert_eq!(after.quantile(&before, "t_seconds", 0.5), Some(0.1));
        let p99 = after.quantile(&before, "t_seconds", 0.99).unwrap_or_default();
        assert!((p99 - 1.0).abs() < 1e-9, "{p99}");
        assert_eq!(after.quantile(&before, "t_seconds", 1.0), Some(1.0), "nobody knows how long beyond");
        assert_eq!(after.quantile(&after, "t_seconds", 0.5), None);
        assert_eq!(after.quantile(&before, "none", 0.5), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z_{}=\"+. 0-9\n#]{0,200}") {
            let counts = Counts::of(&text);
            let _ = counts.quantile(&Counts::default(), "a", 0.5);
        }
    }
}
