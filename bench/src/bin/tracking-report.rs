//! How well riders are tracked: positions, arrivals, ETAs, trails, silence, on drives whose truth is known.
//!
//! Writes tables and plots into the docs. What each measure is: `bench/src/tracking/`.

use std::path::PathBuf;

use anyhow::Context as _;
use bench::{
    page,
    tracking::{
        self, Findings, arrivals, drives, etas, map::Map, plots, silences, smoothing, town::Town, trails,
    },
};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;
use platepal_testkit::traces::{Plane, phone::Phone};
use platepal_tracking::replay::shift::{Ahead, NoRoads};
use rand::{SeedableRng, rngs::StdRng};

/// Where the docs keep plots and numbers; the page beside it has the tables.
const DOCS: &str = "docs/tracking";
/// Where the recordings are, seen from the top of the repository.
const DATA: &str = "../shared/data/gps";

/// Judges how well riders are tracked.
///
/// Without --out it writes docs/tracking.md and the plots beside it. The same seed gives the same numbers.
#[derive(Parser)]
struct Arguments {
    /// Folder of the recordings city_driving_1hz.csv and delivery_agents_5s.csv; without them only made-up rides are
    /// measured.
    #[arg(long, default_value = DATA)]
    data: PathBuf,
    /// A fifth of the rides, to see that all works.
    #[arg(long)]
    quick: bool,
    /// Of all random numbers.
    #[arg(long, default_value_t = 20_261_124)]
    seed: u64,
    /// Folder for plots and numbers; the tables go into the page of the same name beside it.
    #[arg(long, default_value = DOCS)]
    out: PathBuf,
    /// Measure nothing: make tables and plots again from the numbers in --out.
    #[arg(long)]
    redraw: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.redraw {
        let file = arguments.out.join("tracking.json");
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("no numbers in {}", file.display()))?;
        return publish(&serde_json::from_str(&text)?, &arguments);
    }
    let bar = ProgressBar::new(8);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?);
    bar.enable_steady_tick(std::time::Duration::from_secs(1));
    let work = bar.clone();
    let (data, quick, seed) = (arguments.data.clone(), arguments.quick, arguments.seed);
    tokio::select! {
        findings = tokio::task::spawn_blocking(move || measure(&data, quick, seed, &work)) => {
            bar.finish_and_clear();
            publish(&findings??, &arguments)
        }
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            bar.finish_and_clear();
            anstream::eprintln!("{}", "interrupted; nothing was written".yellow());
            // What is being reckoned can't be told to stop, and has nothing to tidy up.
            std::process::exit(130);
        }
    }
}

fn measure(data: &std::path::Path, quick: bool, seed: u64, bar: &ProgressBar) -> anyhow::Result<Findings> {
    let next = |what: &str| {
        bar.set_message(what.to_owned());
        bar.inc(1);
    };
    let random = |part: u64| StdRng::seed_from_u64(seed.wrapping_mul(1_000) + part);
    let size = if quick { 1 } else { 5 };
    next("drives");
    let recorded = drives::recorded(data)?;
    if recorded.is_none() {
        bar.suspend(|| {
            let where_to = "--data FOLDER says where they are";
            anstream::eprintln!(
                "{} no recordings in {}; {where_to}",
                "left out".yellow().bold(),
                data.display()
            );
        });
    }
    let mut map = Map::load()?;
    let rides = map.rides(12 * size, &mut random(1));
    let (city, delivering) =
        recorded.map_or((Vec::new(), None), |recorded| (recorded.city, Some(recorded.delivering)));
    let mut said = vec![drives::words("rides made up along the streets of central Helsinki", &rides)];
    if !city.is_empty() {
        said.push(drives::words(
            "recorded city drives (Omaha, 1 Hz), each one's longest clean stretch taken for true",
            &city,
        ));
    }

    next("positions");
    let (mut smoothed, mut errors) = (Vec::new(), Vec::new());
    let phones = [
        Phone::OPEN,
        Phone::OPEN.every(5.0),
        Phone::WHITE,
        Phone::WHITE.every(5.0),
        Phone::STREET,
        Phone::STREET.every(5.0),
        Phone::CANYON,
        Phone::CANYON.every(5.0),
        Phone::DEEP_CANYON,
        Phone::DEEP_CANYON.every(5.0),
        Phone::CANYON.without_velocity(),
        Phone::CANYON.every(5.0).without_velocity(),
        Phone { name: "open sky, 2 % outliers", ..Phone::OPEN.with_outliers(0.02) },
        Phone {
            name: "canyon, 2 % outliers, bad network",
            ..Phone::CANYON.every(5.0).with_outliers(0.02).on_bad_network()
        },
    ];
    let kinds: [(&str, &Vec<_>, Option<&dyn Ahead>); 3] =
        [("streets", &rides, Some(&map)), ("streets", &rides, None), ("city", &city, None)];
    for (kind, drives, roads) in kinds.into_iter().filter(|(_, drives, _)| !drives.is_empty()) {
        for (index, phone) in phones.iter().enumerate() {
            let (found, curve) =
                smoothing::measure(kind, drives, phone, roads, &mut random(100 + index as u64));
            let is_drawn = found.map && found.velocity && (found.interval > 1.0 || phone.outliers > 0.0);
            if is_drawn {
                errors.push(curve);
            }
            smoothed.push(found);
        }
    }
    let example = rides
        .iter()
        .max_by(|a, b| a.metres().total_cmp(&b.metres()))
        .map(|ride| smoothing::example(ride, &map, &Phone::CANYON.every(5.0), &mut random(2)))
        .unwrap_or_default();

    next("arrivals");
    let mut arrived = Vec::new();
    let all: Vec<_> = rides.iter().chain(&city).cloned().collect();
    let bad = Phone {
        name: "street, 2 % outliers, bad network",
        ..Phone::STREET.with_outliers(0.02).on_bad_network()
    };
    for scene in
        [arrivals::Scene::Arrives, arrivals::Scene::Passes, arrivals::Scene::Light, arrivals::Scene::Close]
    {
        for phone in [
            Phone::OPEN,
            Phone::STREET.every(5.0),
            bad.every(5.0),
            Phone::CANYON.every(5.0),
            Phone::DEEP_CANYON.every(5.0),
        ] {
            arrived.push(arrivals::measure(scene, &all, 4, &phone, &mut random(200 + arrived.len() as u64)));
        }
    }
    let parked = delivering.as_ref().map(|delivering| arrivals::parked(delivering));

    next("ETAs along roads");
    let mut reckoned = Vec::new();
    let phone = Phone::STREET.every(5.0);
    let mut judge = |rides: &str, shifts: &[etas::Shift], roads: &dyn Ahead, how: &str| {
        reckoned.push(etas::measure(how, rides, shifts, &phone, roads, seed));
    };
    // Ten minutes ahead is on the way to the restaurant, or at it.
    let whole = map.shifts(40 * size, (300.0, f64::INFINITY), false, &mut random(3));
    // Ten minutes ahead is on the way to the customer: from one end of the map to the other.
    let long = map.shifts(40 * size, (1_700.0, f64::INFINITY), true, &mut random(4));
    let town = drives::town_shifts(40 * size, &mut random(5));
    judge("whole deliveries", &whole, &map, "along roads, speeds as cited");
    judge("bicycles on long ways", &long, &map, "along roads, speeds as cited");
    map.learn(seed ^ 0x5eed);
    judge("whole deliveries", &whole, &map, "along roads, speeds learned");
    judge("bicycles on long ways", &long, &map, "along roads, speeds learned");
    judge("whole deliveries", &whole, &NoRoads, "straight line");
    judge("bicycles on long ways", &long, &NoRoads, "straight line");
    judge("a made-up town", &town, &Town(Plane::HELSINKI), "along roads");
    judge("a made-up town", &town, &NoRoads, "straight line");
    said.push(format!(
        "{} and {} shifts on the map and {} in a made-up town, for ETAs",
        whole.len(),
        long.len(),
        town.len()
    ));
    said.push(format!(
        "speeds of the map in km/h, before and after learning from 20 other shifts: {}",
        map.words()
    ));

    next("trails");
    let mut trailed = Vec::new();
    for (kind, drives) in
        [("streets", &rides), ("city", &city)].into_iter().filter(|(_, drives)| !drives.is_empty())
    {
        for phone in [Phone::OPEN, Phone::STREET.every(5.0), Phone::CANYON.every(5.0)] {
            trailed.push(trails::measure(kind, drives, &phone, &mut random(300 + trailed.len() as u64)));
        }
    }

    next("silence");
    let silent = delivering.as_ref().map(|delivering| silences::measure(delivering));
    Ok(Findings {
        command: format!(
            "cargo run -p bench --bin tracking-report{}",
            if quick { " -- --quick" } else { "" }
        ),
        seed,
        recordings: delivering.is_some(),
        drives: said,
        smoothing: smoothed,
        errors,
        example,
        arrivals: arrived,
        parked,
        etas: reckoned,
        trails: trailed,
        silences: silent,
    })
}

fn publish(findings: &Findings, arguments: &Arguments) -> anyhow::Result<()> {
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| format!("{} can't be made", out.display()))?;
    std::fs::write(out.join("tracking.json"), serde_json::to_string(findings)? + "\n")?;
    plots::draw(findings, out)?;
    let file = out.with_extension("md");
    page::put(&file, "tracking", &plots::PLOTS, &tracking::page::write(findings))?;
    anstream::println!("{} {} and the plots in {}", "written:".green().bold(), file.display(), out.display());
    Ok(())
}
