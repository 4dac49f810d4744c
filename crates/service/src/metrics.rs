//! Metrics: counted through the `metrics` crate by whoever has something to count, described where they are
//! counted, and rendered here: for Prometheus, and as the reference for people.

use std::{collections::BTreeMap, fmt::Write, sync::Arc, time::Duration};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_process::Collector;
use parking_lot::Mutex;

/// Upper bounds of histograms of times, in seconds: from less than a local append to the slowest request.
const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds of histograms of sizes, in bytes: from a position to the largest message.
const BYTES: &[f64] =
    &[64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 67_108_864.0];
/// Upper bounds of histograms of everything else, which is counted.
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16_384.0];

/// How often samples of histograms are put into their buckets when nobody scrapes; until then they wait.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Renders what was counted. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    descriptions: Descriptions,
    process: Collector,
}

/// What is known of each metric, by name.
type Descriptions = Arc<Mutex<BTreeMap<String, Description>>>;

#[derive(Debug, Clone)]
struct Description {
    kind: &'static str,
    unit: Option<Unit>,
    meaning: SharedString,
}

impl Metrics {
    /// Becomes the process's recorder. The error says that there is one already. Must be called within a Tokio
    /// runtime.
    pub fn install() -> Result<Self, String> {
        let suffix = |text: &str| Matcher::Suffix(text.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets(COUNTS)
            .and_then(|builder| builder.set_buckets_for_metric(suffix("_seconds"), SECONDS))
            .and_then(|builder| builder.set_buckets_for_metric(suffix("_bytes"), BYTES))
            .map_err(|why| why.to_string())?
            .build_recorder();
        let metrics = Self {
            handle: recorder.handle(),
            descriptions: Descriptions::default(),
            process: Collector::default(),
        };
        let describing = Describing { recorder, descriptions: metrics.descriptions.clone() };
        metrics::set_global_recorder(describing).map_err(|why| why.to_string())?;
        crate::describe_metrics();
        metrics.process.describe();
        metrics::gauge!("realtime_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        let handle = metrics.handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_INTERVAL).await;
                handle.run_upkeep();
            }
        });
        Ok(metrics)
    }

    /// All metrics in Prometheus's text format.
    pub fn render(&self) -> String {
        self.process.collect();
        self.handle.run_upkeep();
        self.handle.render()
    }

    /// Every metric that this process can show, with its unit and meaning, as a Markdown table.
    pub fn reference(&self) -> String {
        let mut page = String::from("| metric | kind | unit | meaning |\n|---|---|---|---|\n");
        for (name, Description { kind, unit, meaning }) in &*self.descriptions.lock() {
            let unit = unit.as_ref().map_or_else(|| unit_by_name(name), Unit::as_str);
            writeln!(page, "| `{name}` | {kind} | {unit} | {} |", meaning.trim_end_matches('.')).ok();
        }
        page
    }
}

fn unit_by_name(name: &str) -> &'static str {
    [("_seconds", "seconds"), ("_bytes", "bytes")]
        .into_iter()
        .find(|(suffix, _)| name.trim_end_matches("_total").ends_with(suffix))
        .map_or("count", |(_, unit)| unit)
}

/// Prometheus's recorder, which also remembers what it was told.
struct Describing {
    recorder: PrometheusRecorder,
    descriptions: Descriptions,
}

impl Describing {
    fn note(&self, name: &KeyName, kind: &'static str, unit: Option<Unit>, meaning: &SharedString) {
        let description = Description { kind, unit, meaning: meaning.clone() };
        self.descriptions.lock().insert(name.as_str().to_owned(), description);
    }
}

impl Recorder for Describing {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, meaning: SharedString) {
        self.note(&name, "counter", unit, &meaning);
        self.recorder.describe_counter(name, unit, meaning);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, meaning: SharedString) {
        self.note(&name, "gauge", unit, &meaning);
        self.recorder.describe_gauge(name, unit, meaning);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, meaning: SharedString) {
        self.note(&name, "histogram", unit, &meaning);
        self.recorder.describe_histogram(name, unit, meaning);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.recorder.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.recorder.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.recorder.register_histogram(key, metadata)
    }
}
