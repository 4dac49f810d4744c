//! How long something takes, by the share of times that it was faster.

use std::path::Path;

use anyhow::anyhow;
use hdrhistogram::Histogram;
use plotters::prelude::*;

const SIZE: (u32, u32) = (860, 420);

/// Milliseconds, from a histogram of microseconds.
pub fn draw(latencies: &Histogram<u64>, caption: &str, file: &Path) -> anyhow::Result<()> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    paint(&area, latencies, caption).map_err(|why| anyhow!("{} can't be drawn: {why}", file.display()))
}

fn paint(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    latencies: &Histogram<u64>,
    caption: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    // Nines along the axis: 0 is none, 1 is 90 %, 3 is 99.9 %.
    let points: Vec<(f64, f64)> = (0..=60)
        .map(|step| {
            let nines = f64::from(step) / 20.0;
            let quantile = 1.0 - 10_f64.powf(-nines);
            (nines, latencies.value_at_quantile(quantile) as f64 / 1e3)
        })
        .collect();
    let most = points.iter().map(|(_, millis)| *millis).fold(1.0, f64::max);
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..3.0, 0.0..most * 1.1)?;
    chart
        .configure_mesh()
        .x_desc("share that was faster")
        .x_labels(4)
        .x_label_formatter(&|nines: &f64| format!("{} %", (100.0 - 100.0 * 10_f64.powf(-nines)).max(0.0)))
        .light_line_style(WHITE)
        .draw()?;
    let style = RGBColor(213, 94, 0).stroke_width(3);
    chart.draw_series(LineSeries::new(points, style))?;
    area.present()?;
    Ok(())
}
