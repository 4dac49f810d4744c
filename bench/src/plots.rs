//! Plots of a run, as SVG: plain text that diffs well and needs neither fonts nor scripts to be drawn.

mod bars;
pub mod latency;
mod lines;

use std::path::Path;

use crate::{
    peers::Peer,
    results::{Findings, Measured, Run},
};
use bars::{Bar, Bars};

/// Draws all of them into a folder.
pub fn draw(run: &Run, folder: &Path) -> anyhow::Result<()> {
    let bars = |name: &str, title: &str, values: &dyn Fn(&Findings) -> Vec<(&'static str, f64)>| {
        let bars = run.peers.iter().flat_map(|(peer, findings)| {
            let values = values(findings).into_iter();
            values.map(|(note, value)| Bar { peer: *peer, note, value })
        });
        Bars { title, bars: bars.collect() }.draw(&folder.join(format!("{name}.svg")))
    };
    let each = |value: Option<f64>| value.map(|value| ("", value)).into_iter().collect::<Vec<_>>();
    bars("idle", "Memory of an idle connection with a feed of its own, KB", &|f| {
        each(got(f.idle_own.as_ref()).map(|idle| idle.bytes_each / 1e3))
    })?;
    bars("unicast", "CPU seconds per million deliveries, a channel per connection", &|f| {
        let single = got(f.unicast.as_ref()).map(|unicast| ("", unicast.cost.server_seconds));
        let batched = got(f.unicast_batched.as_ref()).map(|unicast| ("batches", unicast.cost.server_seconds));
        single.into_iter().chain(batched).collect()
    })?;
    bars("highest", "Deliveries per second of one channel without a loss", &|f| {
        each(got(f.highest.as_ref()).map(|highest| highest.cost.per_second))
    })?;
    bars("storm", "Seconds until all are back after a cut, and have what they missed", &|f| {
        got(f.storm.as_ref())
            .map(|storm| match storm.recovered_seconds {
                Some(seconds) => ("", seconds),
                None => ("events lost", storm.back_seconds),
            })
            .into_iter()
            .collect()
    })?;
    bars("latency", "Milliseconds from publishing to reading", &|f| {
        let Some(latency) = got(f.latency.as_ref()) else { return Vec::new() };
        let percentiles = [("p50", latency.p50), ("p99", latency.p99), ("p99.9", latency.p999)];
        percentiles.map(|(note, micros)| (note, micros as f64 / 1e3)).into()
    })?;
    lines::draw(run, &folder.join("fan-out.svg"))
}

fn got<T>(measured: Option<&Measured<T>>) -> Option<&T> {
    measured.and_then(Measured::got)
}

/// A colour per server, of a palette that colour-blind people can tell apart.
fn colour(peer: Peer) -> plotters::style::RGBColor {
    use plotters::style::RGBColor;
    match peer {
        Peer::Ours => RGBColor(213, 94, 0),
        Peer::Ws => RGBColor(0, 114, 178),
        Peer::SocketIo => RGBColor(86, 180, 233),
        Peer::Nchan => RGBColor(0, 158, 115),
        Peer::ChannelsUvicorn => RGBColor(204, 121, 167),
        Peer::ChannelsDaphne => RGBColor(110, 110, 110),
    }
}

/// A value on a plot: short.
fn label(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{:.0}k", v / 1e3),
        v if v >= 1_000.0 => format!("{:.1}k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
