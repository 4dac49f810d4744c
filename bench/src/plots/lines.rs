//! Cost per delivery over the number of connections.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

use super::colour;
use crate::{
    peers::Peer,
    results::{Cost, Measured, Run},
};

const SIZE: (u32, u32) = (860, 460);

pub(super) fn draw(run: &Run, file: &Path) -> anyhow::Result<()> {
    let all: Vec<(Peer, Vec<&Cost>)> = run
        .peers
        .iter()
        .map(|(peer, findings)| (*peer, findings.fan_out.iter().filter_map(Measured::got).collect()))
        .collect();
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    paint(&area, &all).map_err(|why| anyhow!("{} can't be drawn: {why}", file.display()))
}

fn paint(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    all: &[(Peer, Vec<&Cost>)],
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let costs = || all.iter().flat_map(|(_, costs)| costs);
    let most_readers = costs().map(|cost| cost.readers).max().unwrap_or(1) as f64;
    let least = costs().map(|cost| cost.server_seconds).fold(f64::INFINITY, f64::min).clamp(0.1, 1e6);
    let most = costs().map(|cost| cost.server_seconds).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption("CPU seconds per million deliveries of one channel (logarithmic)", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..most_readers * 1.03, (least / 1.5..most * 1.6).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("connections")
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value}"))
        .light_line_style(WHITE)
        .draw()?;
    for (peer, costs) in all.iter().filter(|(_, costs)| !costs.is_empty()) {
        let style = colour(*peer).stroke_width(if *peer == Peer::Ours { 3 } else { 2 });
        let points = || costs.iter().map(|cost| (cost.readers as f64, cost.server_seconds));
        chart
            .draw_series(LineSeries::new(points(), style))?
            .label(peer.title())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        chart.draw_series(points().map(|point| Circle::new(point, 4, style.filled())))?;
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(190, 190, 190))
        .position(SeriesLabelPosition::MiddleRight)
        .draw()?;
    area.present()?;
    Ok(())
}
