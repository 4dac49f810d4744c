//! What following riders costs: fixes per second of CPU time, memory per rider, and from fix to screen.
//!
//! Against the real server, from outside: fixes come by gRPC, each call is answered after its commit, and customers
//! read their positions on real sockets. Every measure starts a server of its own, in one process with an embedded
//! bus and SQLite.

use std::{
    fmt::Write as _,
    path::PathBuf,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bench::{
    command,
    fleet::Fleet,
    load::{Dialect, Swarm},
    machine::{self, Machine},
    mark::Marks,
    plots,
    watched::{Watched, own_cpu, raise_open_files},
};
use clap::{Parser, ValueEnum};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use platepal_testkit::{Role, Shape, Tier};

/// Between a rider's fixes.
const INTERVAL: Duration = Duration::from_secs(5);
/// Opening sockets, at most.
const OPENING: Duration = Duration::from_secs(120);
/// Calls under way when fixes come as fast as they are answered.
const IN_FLIGHT: u64 = 512;
/// Fixes of a call that brings what was queued while offline.
const BATCH: u64 = 20;

/// Fixes per CPU second, memory per rider, and from fix to screen.
#[derive(Parser)]
struct Arguments {
    /// Small measures, to see that all works: their numbers mean little.
    #[arg(long)]
    quick: bool,
    /// These only.
    #[arg(long, value_enum, value_delimiter = ',')]
    measures: Vec<Measure>,
    /// Street map of where the riders are, for what is measured with a map.
    #[arg(long, default_value = "crates/roads/data/helsinki-centre-roads.osm.pbf")]
    map: PathBuf,
    /// The binary to start.
    #[arg(long, default_value = "target/release/platepal-realtime")]
    binary: PathBuf,
    /// Write a page, and the plot into the folder of the same name beside it, e.g. docs/tracking-speed.md.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Fixes as fast as they are answered.
    Rate,
    /// Memory per rider.
    Memory,
    /// From fix to screen.
    Screen,
}

/// How fixes come.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// A call for each rider's.
    Calls,
    /// Those of many riders in a stream.
    Streams,
    /// The same, and every service is a process, with NATS and PostgreSQL beside them: what the tracking service itself takes.
    StreamsApart,
}

impl Way {
    fn of(self, fixes: u64) -> String {
        match self {
            Self::Calls => format!("calls with {fixes} each"),
            Self::Streams => format!("streams of many riders, {fixes} per message"),
            Self::StreamsApart => {
                "streams, the tracking service alone (NATS and PostgreSQL beside it)".to_owned()
            }
        }
    }

    fn shape(self) -> Shape {
        match self {
            Self::Calls | Self::Streams => Shape::AllInOne,
            Self::StreamsApart => Shape::Split,
        }
    }
}

/// Fixes as fast as they are answered.
struct Rate {
    way: String,
    has_map: bool,
    fixes: u64,
    /// By the clock, with the load on the same machine.
    per_second: f64,
    /// By the server's CPU time: what one core does.
    per_cpu_second: f64,
    refused: u64,
    /// Positions that were sent to channels, for each fix.
    told_per_fix: f64,
}

struct Memory {
    riders: u64,
    bytes_each: f64,
}

struct Screen {
    riders: u64,
    watchers: u64,
    fixes: u64,
    positions: u64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    /// Cores that were busy.
    server_cores: f64,
    load_cores: f64,
}

#[derive(Default)]
struct Findings {
    rates: Vec<Rate>,
    memory: Option<Memory>,
    screen: Option<(Screen, Histogram<u64>)>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    command::until_interrupted(Box::pin(run(&arguments))).await
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    command::check_binary(&arguments.binary)?;
    let open_files = raise_open_files();
    let is_asked = |measure: &Measure| arguments.measures.is_empty() || arguments.measures.contains(measure);
    let measures: Vec<Measure> = Measure::value_variants().iter().copied().filter(is_asked).collect();
    let bar = ProgressBar::new(measures.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?);
    bar.enable_steady_tick(Duration::from_secs(1));
    let mut findings = Findings::default();
    for measure in measures {
        match measure {
            Measure::Rate => {
                let calls = if arguments.quick { 2_000 } else { 100_000 };
                for (way, has_map, fixes, calls) in [
                    (Way::StreamsApart, false, 1, calls * 2),
                    (Way::StreamsApart, true, 1, calls * 2),
                    (Way::Streams, false, 1, calls * 2),
                    (Way::Streams, true, 1, calls * 2),
                    (Way::Calls, false, 1, calls),
                    (Way::Calls, false, BATCH, calls / BATCH * 4),
                ] {
                    let map = if has_map { "with a map" } else { "without" };
                    bar.set_message(format!("fixes as fast as they are answered: {}, {map}", way.of(fixes)));
                    findings.rates.push(rate(arguments, way, has_map, fixes, calls).await?);
                }
            }
            Measure::Memory => {
                bar.set_message("memory per rider");
                findings.memory = Some(memory(arguments).await?);
            }
            Measure::Screen => {
                bar.set_message("from fix to screen");
                findings.screen = Some(screen(arguments).await?);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let text = page(&findings, &Machine::here(open_files), arguments);
    command::publish(&text, arguments.out.as_ref(), |folder| {
        if let Some((_, latencies)) = &findings.screen {
            let caption = "Milliseconds from fix to screen, by share of positions";
            plots::latency::draw(latencies, caption, &folder.join("screen.svg"))?;
        }
        Ok(())
    })
}

async fn server(arguments: &Arguments, shape: Shape, has_map: bool) -> anyhow::Result<(Tier, Watched)> {
    let mut builder = Tier::builder(&arguments.binary).shape(shape);
    if has_map {
        builder = builder.set("REALTIME_TRACKING_MAP", std::path::absolute(&arguments.map)?.display());
    }
    let tier = builder.start().await;
    // Of all in one process this is the one.
    let watched = Watched::new(tier.process_id(Role::TRACKING))?;
    Ok((tier, watched))
}

async fn rate(
    arguments: &Arguments,
    way: Way,
    has_map: bool,
    fixes: u64,
    calls: u64,
) -> anyhow::Result<Rate> {
    let (tier, watched) = server(arguments, way.shape(), has_map).await?;
    // So many that hardly any position is left out because its rider was shown less than a second ago.
    let fleet = Fleet::start(&tier, if arguments.quick { 100 } else { 20_000 }).await?;
    let told = told(&tier).await;
    let (cpu, began) = (watched.cpu()?, Instant::now());
    let sent = match way {
        Way::Calls => fleet.rush(fixes, calls, IN_FLIGHT).await?,
        Way::Streams | Way::StreamsApart => fleet.relay(fixes, calls).await?,
    };
    let (took, spent) = (began.elapsed().as_secs_f64(), watched.cpu()?.saturating_sub(cpu).as_secs_f64());
    let refused = fleet.tally().refused.load(Ordering::Relaxed);
    Ok(Rate {
        way: way.of(fixes),
        has_map,
        fixes: sent,
        per_second: sent as f64 / took.max(f64::MIN_POSITIVE),
        per_cpu_second: sent as f64 / spent.max(f64::MIN_POSITIVE),
        refused,
        told_per_fix: (self::told(&tier).await - told) / sent as f64,
    })
}

/// Positions that were told.
async fn told(tier: &Tier) -> f64 {
    let metrics = tier.metrics(Role::TRACKING).await;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("realtime_tracking_told_total") && line.contains("\"told\""));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

async fn memory(arguments: &Arguments) -> anyhow::Result<Memory> {
    let (tier, watched) = server(arguments, Shape::AllInOne, true).await?;
    // What the bus and the databases keep of anything is full before the riders come whose memory is measured.
    let (few, many, fixes) = if arguments.quick { (200, 1_000, 2_000) } else { (5_000, 25_000, 300_000) };
    let warm = Fleet::start(&tier, few).await?;
    warm.relay(1, fixes).await?;
    let before = watched.settled_memory().await?;
    // The first ones are known already.
    let fleet = Fleet::start(&tier, many).await?;
    fleet.relay(1, many * 6).await?;
    let after = watched.settled_memory().await?;
    let more = fleet.riders().saturating_sub(warm.riders());
    Ok(Memory { riders: more, bytes_each: after.saturating_sub(before) as f64 / more as f64 })
}

async fn screen(arguments: &Arguments) -> anyhow::Result<(Screen, Histogram<u64>)> {
    let (tier, watched) = server(arguments, Shape::AllInOne, true).await?;
    let riders = if arguments.quick { 500 } else { 10_000 };
    let fleet = Fleet::start(&tier, riders).await?;
    let (epoch, began) = (machine::now(), Instant::now());
    let marks = Marks::of_positions(epoch);
    let swarm = Swarm::with_marks(tier.public_address(Role::EDGE), Dialect::PlatePal, began, marks)?;
    let path = |user: u64| format!("/ws/customer/{user}?token={}", tier.token(user).sign());
    swarm.open((1..=riders).map(path).collect(), OPENING).await?;
    fleet.drive(INTERVAL, INTERVAL * 2).await?;
    swarm.reset().await?;
    swarm.record_latencies().await?;
    let kept = fleet.tally().kept.load(Ordering::Relaxed);
    let (server, load, began) = (watched.cpu()?, own_cpu()?, Instant::now());
    fleet.drive(INTERVAL, INTERVAL * if arguments.quick { 2 } else { 12 }).await?;
    let took = began.elapsed().as_secs_f64();
    let (server, load) = (watched.cpu()?.saturating_sub(server), own_cpu()?.saturating_sub(load));
    // What is under way arrives.
    let fixes = fleet.tally().kept.load(Ordering::Relaxed) - kept;
    swarm.until(|counts| counts.events.load(Ordering::Acquire) >= fixes, Duration::from_secs(2)).await;
    let positions = swarm.counts().events.load(Ordering::Acquire);
    let latencies = swarm.take_latencies().await?;
    let millis = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1e3;
    let screen = Screen {
        riders,
        watchers: swarm.counts().opened.load(Ordering::Relaxed),
        fixes,
        positions,
        p50_ms: millis(0.5),
        p99_ms: millis(0.99),
        p999_ms: millis(0.999),
        server_cores: server.as_secs_f64() / took,
        load_cores: load.as_secs_f64() / took,
    };
    Ok((screen, latencies))
}

fn page(findings: &Findings, machine: &Machine, arguments: &Arguments) -> String {
    let mut page = String::from("# How fast riders are followed\n\n");
    // Writing to a text can't fail.
    let _ = writeln!(
        page,
        "`cargo run --release -p bench --bin tracking`, on {}: {} cores ({}), {} GiB of memory, Linux {}. The server \
         is one process with the embedded bus and SQLite; the load runs beside it on the same cores.",
        machine.date, machine.cores, machine.processor, machine.memory_gib, machine.kernel
    );
    if arguments.quick {
        page.push_str("\n**A quick run, to see that all works: its numbers mean little.**\n");
    }
    page.push_str(
        "\n| fixes, as fast as they are answered | map | per second of CPU time | goal | by the clock | positions told, of 100 |\n\
         |---|---|---|---|---|---|\n",
    );
    for rate in &findings.rates {
        let (map, goal) = if rate.has_map { ("yes", "5,000") } else { ("no", "20,000") };
        let _ = writeln!(
            page,
            "| {} | {map} | {:.0} | ≥ {goal} | {:.0} | {:.0} |",
            rate.way,
            rate.per_cpu_second,
            rate.per_second,
            100.0 * rate.told_per_fix
        );
        if rate.refused > 0 {
            let _ = writeln!(page, "| of {} fixes not kept | | {} | 0 | | |", rate.fixes, rate.refused);
        }
    }
    page.push_str("\n| measure | value | goal |\n|---|---|---|\n");
    if let Some(memory) = &findings.memory {
        let each = memory.bytes_each / 1_024.0;
        let _ = writeln!(page, "| memory per rider, of {} | {each:.1} KiB | ≤ 4 KiB |", memory.riders);
    }
    if let Some((screen, _)) = &findings.screen {
        let _ = writeln!(
            page,
            "| from fix to screen, {} riders and {} watchers, a fix every 5 s: p50 | {:.1} ms | |\n\
             | p99 | {:.1} ms | ≤ 250 ms |\n| p99.9 | {:.1} ms | |\n\
             | positions on screens, of {} fixes | {} | |\n| cores busy: server | {:.2} | |\n| cores busy: load | {:.2} | |",
            screen.riders,
            screen.watchers,
            screen.p50_ms,
            screen.p99_ms,
            screen.p999_ms,
            screen.fixes,
            screen.positions,
            screen.server_cores,
            screen.load_cores
        );
        page.push_str("\n![From fix to screen, by share of positions](tracking-speed/screen.svg)\n");
    }
    page.push_str(
        "\nFrom the moment at which a fix is recorded and sent by gRPC, through its commit, the bus and the customer's \
         socket, until the customer's client has read it. CPU time counts all of the server: gRPC, rules, commits, \
         telling. Memory is all of the process's that came with the riders, with what the database keeps in memory.\n\n\
         20,000 riders take turns, so that nearly every position is shown and told to its customer and its piece of the map. \
         About a third of what that costs is the bus (the embedded one writes three newest values for each), a fifth the rules and what \
         is around them, the rest gRPC and the store. Riders who send faster than once a second are shown once a second, and cost \
         less for each fix.\n",
    );
    page
}
