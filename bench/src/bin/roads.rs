//! How fast the road graph answers: the nearest street, the fastest way, the drive behind noisy fixes.
//!
//! The city is made up, because a real one of that size is no file to have in a repository: a grid of streets with
//! avenues, oneway streets, gaps and crooked blocks. Grids are harder than real cities, as they have more ways that
//! are equally good.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use bench::machine::Machine;
use clap::Parser;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;
use platepal_roads::{Class, Measured, Place, Roads, Speeds, Way};
use plotters::prelude::*;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

/// Its south-western corner.
const CORNER: Place = Place { latitude: 60.0, longitude: 24.0 };
/// Metres between streets.
const BLOCK_METRES: f64 = 100.0;
/// Each so many streets there is an avenue.
const AVENUE: usize = 8;
/// Questions before the first that counts.
const WARM: usize = 200;
/// Fixes of a drive, one each second.
const FIXES: usize = 120;
/// What is between these lines of the page belongs to this program.
const BEGIN: &str = "<!-- roads: begin -->";
const END: &str = "<!-- roads: end -->";

/// Time of a question to the road graph, on a made-up city or a map.
#[derive(Parser)]
struct Arguments {
    /// Junctions of the city, before gaps.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=2_000_000))]
    nodes: u32,
    /// A map `*.osm.pbf` instead.
    #[arg(long)]
    map: Option<PathBuf>,
    /// Questions of each kind; drives are a tenth.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    queries: u32,
    /// Of the city, the questions and the noise.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Put the table into this page, and the plot into a folder beside it.
    #[arg(long)]
    page: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What is asked.
struct Kind {
    title: &'static str,
    nanos: Histogram<u64>,
    /// How often there was an answer.
    found: u64,
}

/// A line of the report, in microseconds.
#[derive(Serialize)]
struct Line {
    query: &'static str,
    asked: u64,
    found: u64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let stop = Arc::new(AtomicBool::new(false));
    let interrupted = Arc::clone(&stop);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.store(true, Ordering::Relaxed);
        }
        // Building a graph can't be stopped in the middle.
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    let mut random = StdRng::seed_from_u64(arguments.seed);
    let spinner = ProgressBar::new_spinner().with_message("building the graph (Ctrl-C twice to stop)");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let (roads, built) = match &arguments.map {
        Some(map) => {
            let began = Instant::now();
            (Roads::read_pbf(map)?, began.elapsed())
        }
        None => {
            let city = city(arguments.nodes, &mut random);
            let began = Instant::now();
            (Roads::of(&city)?, began.elapsed())
        }
    };
    spinner.finish_and_clear();
    let kinds = ask(&roads, &arguments, &mut random, &stop)?;
    report(&roads, built, &kinds, &arguments)
}

/// Streets with avenues each 800 m, a quarter of the others oneway in turns, every twentieth block's side missing.
fn city(nodes: u32, random: &mut StdRng) -> Vec<Way> {
    let side = f64::from(nodes).sqrt().ceil() as usize;
    let row = |north: usize, random: &mut StdRng| -> Vec<Place> {
        let place = |east: usize| {
            let mut off = || random.random_range(-0.25..0.25);
            let (north, east) = (north as f64 + off(), east as f64 + off());
            CORNER.ahead(0.0, north * BLOCK_METRES).ahead(90.0, east * BLOCK_METRES)
        };
        (0..side).map(place).collect()
    };
    let rows: Vec<Vec<Place>> = (0..side).map(|north| row(north, random)).collect();
    let columns = (0..side).map(|east| rows.iter().filter_map(|row| row.get(east)).copied().collect());
    let columns: Vec<Vec<Place>> = columns.collect();
    let mut ways = Vec::new();
    for lines in [&rows, &columns] {
        for (number, line) in lines.iter().enumerate() {
            let is_avenue = number % AVENUE == 0;
            let is_oneway = !is_avenue && number % 4 == 1;
            let (class, limit_kmh) = match (is_avenue, number % (AVENUE * 4) == 0) {
                (true, true) => (Class::Primary, Some(60)),
                (true, false) => (Class::Secondary, Some(50)),
                (false, _) => (Class::Residential, Some(30)),
            };
            let mut line = line.clone();
            if number % AVENUE >= AVENUE / 2 {
                line.reverse();
            }
            for pair in line.windows(2) {
                if is_avenue || random.random_range(0..20) > 0 {
                    ways.push(Way { class, limit_kmh, is_oneway, line: pair.to_vec() });
                }
            }
        }
    }
    ways
}

/// Asks all questions, one after the other on one thread.
fn ask(
    roads: &Roads,
    arguments: &Arguments,
    random: &mut StdRng,
    stop: &AtomicBool,
) -> anyhow::Result<Vec<Kind>> {
    let (low, high) = (roads.summary().south_west, roads.summary().north_east);
    let anywhere = |random: &mut StdRng| Place {
        latitude: random.random_range(low.latitude..high.latitude),
        longitude: random.random_range(low.longitude..high.longitude),
    };
    let kind =
        |title| anyhow::Ok(Kind { title, nanos: Histogram::new_with_max(60_000_000_000, 3)?, found: 0 });
    let mut kinds = vec![
        kind("snap within 50 m")?,
        kind("route across the city")?,
        kind("route of at most 3 km")?,
        kind("matched, 120 fixes at 1 Hz, 5 m noise")?,
    ];
    let speeds = Speeds::default();
    let count = arguments.queries as usize;
    let bar = ProgressBar::new(count as u64 * 3 + count as u64 / 10)
        .with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta}")?);
    for (number, kind) in kinds.iter_mut().enumerate() {
        bar.set_message(kind.title);
        let count = if number == 3 { count / 10 } else { count };
        for index in 0..WARM.min(count) + count {
            if stop.load(Ordering::Relaxed) {
                bar.abandon();
                anyhow::bail!("stopped; nothing was written");
            }
            let from = anywhere(random);
            let near = from.ahead(random.random_range(0.0..360.0), random.random_range(0.0..3_000.0));
            let heading = Some(random.random_range(0.0..360.0));
            let (took, is_found) = match number {
                0 => timed(|| !roads.snap(from, 50.0).is_empty()),
                1 | 2 => {
                    let to = if number == 1 { anywhere(random) } else { near };
                    timed(|| roads.route(from, heading, to, &speeds).is_some())
                }
                _ => {
                    let fixes = drive(roads, from, anywhere(random), random);
                    timed(|| roads.matched(&fixes).is_some())
                }
            };
            if index >= WARM.min(count) {
                kind.nanos.saturating_record(u64::try_from(took.as_nanos())?);
                kind.found += u64::from(is_found);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(kinds)
}

fn timed(question: impl FnOnce() -> bool) -> (Duration, bool) {
    let began = Instant::now();
    let is_found = question();
    (began.elapsed(), is_found)
}

/// The begin of the way from one place to another, at 8 m/s, with white noise of 5 m in each direction.
fn drive(roads: &Roads, from: Place, to: Place, random: &mut StdRng) -> Vec<Measured> {
    let Some(route) = roads.route(from, None, to, &Speeds::default()) else { return Vec::new() };
    let mut fixes = Vec::new();
    let mut until_next = 0.0;
    for pair in route.line.windows(2) {
        let &[a, b] = pair else { continue };
        let length = a.metres_to(b);
        while until_next <= length && fixes.len() < FIXES {
            // Two independent normal numbers (Box and Muller 1958).
            let radius = 5.0 * (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
            let place = a.ahead(a.bearing_to(b), until_next).ahead(random.random_range(0.0..360.0), radius);
            let at_millis = fixes.len() as i64 * 1_000;
            fixes.push(Measured { place, accuracy_m: 5.0, at_millis });
            until_next += 8.0;
        }
        until_next -= length;
    }
    fixes
}

fn report(roads: &Roads, built: Duration, kinds: &[Kind], arguments: &Arguments) -> anyhow::Result<()> {
    let lines: Vec<Line> = kinds
        .iter()
        .map(|Kind { title, nanos, found }| {
            let micros = |quantile| nanos.value_at_quantile(quantile) as f64 / 1_000.0;
            Line {
                query: title,
                asked: nanos.len(),
                found: *found,
                p50_us: micros(0.5),
                p99_us: micros(0.99),
                p999_us: micros(0.999),
                max_us: nanos.max() as f64 / 1_000.0,
            }
        })
        .collect();
    let summary = roads.summary();
    let graph = format!(
        "{} nodes, {} edges, {:.0} km; built in {:.1} s, {:.0} MB",
        summary.nodes,
        summary.edges,
        summary.kilometres,
        built.as_secs_f64(),
        summary.bytes as f64 / 1e6
    );
    if let Some(page) = &arguments.page {
        put(page, &part(&graph, &lines, arguments))?;
        let folder = page.with_extension("");
        fs::create_dir_all(&folder)?;
        plot(kinds, &folder.join("queries.svg"))?;
    }
    if arguments.json {
        anstream::println!("{}", serde_json::to_string_pretty(&lines)?);
        return Ok(());
    }
    anstream::println!("{graph}");
    let head = format!(
        "{:<40} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "", "asked", "found", "p50 µs", "p99 µs", "p99.9", "most"
    );
    anstream::println!("{}", head.bold());
    for Line { query, asked, found, p50_us, p99_us, p999_us, max_us } in lines {
        anstream::println!(
            "{query:<40} {asked:>8} {found:>8} {p50_us:>9.1} {p99_us:>9.1} {p999_us:>9.1} {max_us:>9.1}"
        );
    }
    Ok(())
}

/// The part of the page, in Markdown.
fn part(graph: &str, lines: &[Line], arguments: &Arguments) -> String {
    let machine = Machine::here(0);
    let what = match &arguments.map {
        Some(map) => format!("--map {}", map.display()),
        None => format!("--nodes {}", arguments.nodes),
    };
    let mut text = format!(
        "`cargo run --release -p bench --bin roads -- {what} --queries {} --seed {} --page docs/roads.md`\n\n\
         {}, {} cores ({}), Linux {}; one thread asks, what else the machine does is not excluded. The graph: \
         {graph}.\n\n\
         | question | asked | answered | p50 µs | p99 µs | p99.9 µs | most µs |\n|---|---|---|---|---|---|---|\n",
        arguments.queries, arguments.seed, machine.date, machine.cores, machine.processor, machine.kernel
    );
    for Line { query, asked, found, p50_us, p99_us, p999_us, max_us } in lines {
        // Writing to a text can't fail.
        let _ = writeln!(
            text,
            "| {query} | {asked} | {found} | {p50_us:.1} | {p99_us:.1} | {p999_us:.1} | {max_us:.1} |"
        );
    }
    text.push_str(
        "\n![Time of a question by the share of questions that take no longer](roads/queries.svg)\n",
    );
    text
}

/// Puts the part into its place in the page; at the end of one that has no such place.
fn put(page: &Path, part: &str) -> anyhow::Result<()> {
    let old = fs::read_to_string(page).unwrap_or_default();
    let part = format!("{BEGIN}\n{part}{END}");
    let new = match (old.split_once(BEGIN), old.split_once(END)) {
        (Some((before, _)), Some((_, after))) => format!("{before}{part}{after}"),
        _ => format!("{}\n\n{part}\n", old.trim_end()),
    };
    fs::write(page, new.trim_start()).with_context(|| format!("{} can't be written", page.display()))
}

fn plot(kinds: &[Kind], file: &Path) -> anyhow::Result<()> {
    let area = SVGBackend::new(file, (860, 420)).into_drawing_area();
    paint(&area, kinds).map_err(|why| anyhow!("{} can't be drawn: {why}", file.display()))
}

fn paint(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    kinds: &[Kind],
) -> Result<(), Box<dyn std::error::Error>> {
    const COLOURS: [RGBColor; 4] =
        [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
    area.fill(&WHITE)?;
    let most = kinds.iter().map(|kind| kind.nanos.max()).max().unwrap_or(1) as f64 / 1_000.0;
    let mut chart = ChartBuilder::on(area)
        .caption("Microseconds of a question (logarithmic), by share of questions", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..100.0, (0.5..most * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("percent that take no longer")
        .y_label_formatter(&|value| format!("{value}"))
        .light_line_style(WHITE)
        .draw()?;
    for (kind, colour) in kinds.iter().zip(COLOURS) {
        let points = (0..=1_000).map(|permille| {
            let share = f64::from(permille) / 1_000.0;
            (share * 100.0, kind.nanos.value_at_quantile(share) as f64 / 1_000.0)
        });
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(kind.title)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(190, 190, 190))
        .draw()?;
    area.present()?;
    Ok(())
}
