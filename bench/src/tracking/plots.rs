//! Plots of how riders are tracked, as SVG.

use std::path::Path;

use anyhow::anyhow;
use plotters::{coord::Shift, prelude::*};

use super::{
    Findings,
    arrivals::{self, Scene},
    etas::{At, GOOD_MINUTES},
    smoothing::{Curve, Example},
};

/// File and caption of each, in the order of the page.
pub const PLOTS: [(&str, &str); 4] = [
    ("errors", "How far positions are off, before and after smoothing"),
    ("example", "A ride in a canyon: truth, fixes, smoothed positions"),
    ("arrivals", "How soon an arrival is told"),
    ("etas", "Errors of ETAs by minutes ahead"),
];

const BEFORE: RGBColor = RGBColor(204, 121, 167);
const AFTER: RGBColor = RGBColor(0, 114, 178);
const TRUTH: RGBColor = RGBColor(0, 158, 115);
const STREET: RGBColor = RGBColor(205, 205, 205);
/// Told apart by colour-blind people as well.
const COLOURS: [RGBColor; 5] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(110, 110, 110),
];
const PANEL: (u32, u32) = (430, 330);
const TITLE: (&str, u32) = ("sans-serif", 16);
/// Around what is drawn of a map, in metres.
const MARGIN_METRES: f64 = 40.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Painted = Result<(), Box<dyn std::error::Error>>;

/// Draws all of them into a folder.
pub fn draw(findings: &Findings, folder: &Path) -> anyhow::Result<()> {
    let rows = u32::try_from(findings.errors.len().div_ceil(2))?;
    to_file(folder, "errors", (2 * PANEL.0, rows * PANEL.1), |area| errors(area, &findings.errors))?;
    to_file(folder, "example", (860, 700), |area| example(area, &findings.example))?;
    to_file(folder, "arrivals", (860, 430), |area| arrivals(area, findings))?;
    to_file(folder, "etas", (2 * PANEL.0, 2 * PANEL.1), |area| etas(area, findings))
}

fn to_file(
    folder: &Path,
    name: &str,
    size: (u32, u32),
    paint: impl FnOnce(&Area<'_>) -> Painted,
) -> anyhow::Result<()> {
    let file = folder.join(name).with_extension("svg");
    let area = SVGBackend::new(&file, size).into_drawing_area();
    let painted = area.fill(&WHITE).map_err(Into::into).and_then(|()| paint(&area)).and_then(|()| {
        area.present()?;
        Ok(())
    });
    painted.map_err(|why| anyhow!("{} can't be drawn: {why}", file.display()))
}

/// Share of positions that are at most so far off, a panel for each kind of noise.
fn errors(area: &Area<'_>, curves: &[Curve]) -> Painted {
    let panels = area.split_evenly((curves.len().div_ceil(2), 2));
    for (panel, curve) in panels.iter().zip(curves) {
        let at_95 = curve.points.iter().filter(|(share, ..)| *share <= 0.96);
        let most = at_95.map(|(_, before, after)| before.max(*after)).fold(1.0, f64::max) * 1.15;
        let mut chart = ChartBuilder::on(panel)
            .caption(&curve.phone, TITLE)
            .margin(10)
            .x_label_area_size(38)
            .y_label_area_size(44)
            .build_cartesian_2d(0.0..most, 0.0..1.0)?;
        chart
            .configure_mesh()
            .x_desc("metres off")
            .y_desc("share of positions")
            .y_label_formatter(&|share| format!("{:.0} %", share * 100.0))
            .light_line_style(WHITE)
            .draw()?;
        let line = |after: bool| {
            let points = curve.points.iter();
            points
                .map(move |(share, before, smooth)| (if after { *smooth } else { *before }, *share))
                .filter(move |(metres, _)| *metres <= most)
        };
        for (after, name, colour) in [(false, "fixes", BEFORE), (true, "smoothed", AFTER)] {
            chart
                .draw_series(LineSeries::new(line(after), colour.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.85))
            .position(SeriesLabelPosition::LowerRight)
            .draw()?;
    }
    Ok(())
}

fn example(area: &Area<'_>, example: &Example) -> Painted {
    let all = || example.truth.iter().chain(&example.fixes).chain(&example.positions);
    let least = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(f64::INFINITY, f64::min) - MARGIN_METRES;
    let most = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(f64::NEG_INFINITY, f64::max) + MARGIN_METRES;
    let (mut west, mut east) = (least(|spot| spot.0), most(|spot| spot.0));
    let (mut south, mut north) = (least(|spot| spot.1), most(|spot| spot.1));
    // A metre is as long in both directions.
    let (width, height) = (800.0, 590.0);
    let metre = f64::max((east - west) / width, (north - south) / height);
    let (wider, higher) = (metre * width - (east - west), metre * height - (north - south));
    (west, east, south, north) =
        (west - wider / 2.0, east + wider / 2.0, south - higher / 2.0, north + higher / 2.0);
    let mut chart = ChartBuilder::on(area)
        .caption(&example.title, TITLE)
        .margin(10)
        .x_label_area_size(38)
        .y_label_area_size(44)
        .build_cartesian_2d(west..east, south..north)?;
    chart.configure_mesh().x_desc("metres east").y_desc("metres north").disable_mesh().draw()?;
    let is_inside = |(x, y): &(f64, f64)| (west..east).contains(x) && (south..north).contains(y);
    for street in &example.streets {
        for piece in street.windows(2).filter(|piece| piece.iter().all(is_inside)) {
            chart.draw_series([PathElement::new(piece.to_vec(), STREET.stroke_width(4))])?;
        }
    }
    for (name, points, colour) in [("truth", &example.truth, TRUTH), ("smoothed", &example.positions, AFTER)]
    {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .draw_series(example.fixes.iter().map(|spot| Circle::new(*spot, 3, BEFORE.filled())))?
        .label("fixes")
        .legend(|(x, y)| Circle::new((x + 9, y), 3, BEFORE.filled()));
    chart.draw_series(example.positions.iter().map(|spot| Circle::new(*spot, 2, AFTER.filled())))?;
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(STREET)
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;
    Ok(())
}

/// Share of arrivals that are told within so many seconds.
fn arrivals(area: &Area<'_>, findings: &Findings) -> Painted {
    let mut chart = ChartBuilder::on(area)
        .caption("Share of arrivals told, by seconds since the rider was within 50 m", TITLE)
        .margin(10)
        .x_label_area_size(38)
        .y_label_area_size(44)
        .build_cartesian_2d(-10.0..40.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .x_desc("seconds; before 0: told while the rider was still between 100 and 50 m away")
        .y_label_formatter(&|share| format!("{:.0} %", share * 100.0))
        .light_line_style(WHITE)
        .draw()?;
    let goal = arrivals::GOAL_SECONDS;
    chart
        .draw_series([PathElement::new([(goal, 0.0), (goal, 1.0)], BLACK.stroke_width(1))])?
        .label("goal")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLACK));
    let arrives = findings.arrivals.iter().filter(|found| found.scene == Scene::Arrives);
    for (found, colour) in arrives.zip(COLOURS) {
        let all = (found.delays.len() + found.missed).max(1) as f64;
        let steps = found.delays.iter().enumerate().map(|(index, delay)| (*delay, (index + 1) as f64 / all));
        chart
            .draw_series(LineSeries::new(steps, colour.stroke_width(2)))?
            .label(format!("{}, every {} s", found.phone, found.interval))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(STREET)
        .position(SeriesLabelPosition::LowerRight)
        .draw()?;
    Ok(())
}

/// Share within two minutes above, bias below; a column for each of the first two kinds of ride.
fn etas(area: &Area<'_>, findings: &Findings) -> Painted {
    let mut rides: Vec<&str> = Vec::new();
    for found in &findings.etas {
        if !rides.contains(&found.rides.as_str()) {
            rides.push(&found.rides);
        }
    }
    let panels = area.split_evenly((2, 2));
    let (above, below) = panels.split_at(2);
    for ((above, below), rides) in above.iter().zip(below).zip(rides) {
        let title = format!("share within {GOOD_MINUTES} min: {rides}");
        eta(above, findings, rides, &title, 0.0..1.0, &|at| at.good, &|share| {
            format!("{:.0} %", share * 100.0)
        })?;
        let title = format!("bias in minutes: {rides}");
        eta(below, findings, rides, &title, -4.0..4.0, &|at| at.bias, &|minutes| format!("{minutes:+.0}"))?;
    }
    Ok(())
}

fn eta(
    panel: &Area<'_>,
    findings: &Findings,
    rides: &str,
    title: &str,
    range: std::ops::Range<f64>,
    value: &dyn Fn(&At) -> f64,
    label: &dyn Fn(&f64) -> String,
) -> Painted {
    let mut chart = ChartBuilder::on(panel)
        .caption(title, ("sans-serif", 14))
        .margin(10)
        .x_label_area_size(38)
        .y_label_area_size(44)
        .build_cartesian_2d(0.5..12.5, range.clone())?;
    chart
        .configure_mesh()
        .x_desc("minutes ahead")
        .x_labels(12)
        .x_label_formatter(&|minutes| format!("{minutes:.0}"))
        .y_label_formatter(label)
        .light_line_style(WHITE)
        .draw()?;
    for (found, colour) in findings.etas.iter().filter(|found| found.rides == rides).zip(COLOURS) {
        let points: Vec<(f64, f64)> = found
            .ahead
            .iter()
            .map(|at| (f64::from(at.minutes), value(at).clamp(range.start, range.end)))
            .collect();
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(&found.method)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(STREET)
        .position(SeriesLabelPosition::LowerRight)
        .draw()?;
    Ok(())
}
