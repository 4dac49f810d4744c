//! PlatePal Realtime next to other servers, on the same work and in one run: memory, CPU time per delivery, the
//! highest rate, a reconnect storm, latency.
//!
//! Writes tables and plots into the docs. What each measure is: `bench/src/measures/`; who the peers are:
//! `bench/src/peers.rs`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::Context as _;
use bench::{
    machine::Machine,
    measures::{Measure, Plan},
    page,
    peers::Peer,
    plots,
    results::{Findings, Run},
    watched,
};
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;

/// Open files of a process that are not connections.
const FILES_APART: u64 = 500;
/// Where the docs keep plots and numbers; the page beside it has the tables.
const DOCS: &str = "docs/performance";

/// Measures PlatePal Realtime and its peers.
///
/// A run over everything writes docs/performance.md and the plots beside it; any other prints its tables, unless --out
/// says where they go. Installs what the peers need into .cache/peers.
#[derive(Parser)]
struct Arguments {
    /// Small measures, to see that all works.
    #[arg(long)]
    quick: bool,
    /// These servers only.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Peer>,
    /// These measures only.
    #[arg(long, value_enum, value_delimiter = ',')]
    measures: Vec<Measure>,
    /// Folder for plots and numbers; the tables go into the page of the same name beside it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Measure nothing: make tables and plots again from the numbers in --out.
    #[arg(long)]
    redraw: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.redraw {
        let out = arguments.out.unwrap_or_else(|| DOCS.into());
        let file = out.join("peers.json");
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("no numbers in {}", file.display()))?;
        return publish(&serde_json::from_str(&text)?, Some(out));
    }
    tokio::select! {
        result = measure(&arguments) => result,
        // What runs is dropped with the other branch, and servers end with what holds them.
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            anstream::eprintln!("{}", "interrupted; the servers are ended, nothing was written".yellow());
            Ok(())
        }
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let open_files = watched::raise_open_files();
    let plan = match arguments.quick {
        true => Plan::quick(),
        false => Plan::full(open_files.saturating_sub(FILES_APART)),
    };
    let is_asked = |peer: &Peer| arguments.only.is_empty() || arguments.only.contains(peer);
    let peers: Vec<Peer> = Peer::ALL.into_iter().filter(is_asked).collect();
    let measures: Vec<Measure> = Measure::value_variants()
        .iter()
        .copied()
        .filter(|measure| arguments.measures.is_empty() || arguments.measures.contains(measure))
        .collect();
    let bar = ProgressBar::new((peers.len() * (1 + measures.len())) as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?);
    // The clock goes on while a build takes its minutes.
    bar.enable_steady_tick(Duration::from_secs(1));
    let mut run = Run {
        machine: Machine::here(open_files),
        command: command(arguments),
        plan,
        disturbance: 0.0,
        peers: BTreeMap::new(),
    };
    for peer in &peers {
        bar.set_message(format!("{}: installing what is missing, minutes the first time", peer.title()));
        let mut findings = Findings::default();
        match peer.install().await {
            Ok(version) => findings.version = version,
            Err(why) => {
                let why = format!("{why:#}");
                bar.suspend(|| anstream::eprintln!("{} {}: {why}", "left out".yellow().bold(), peer.title()));
                findings.left_out = Some(why);
            }
        }
        run.peers.insert(*peer, findings);
        bar.inc(1);
    }
    let meter = watched::Disturbance::start()?;
    // Measure by measure, not server by server: what else the machine does then hits all alike.
    for measure in measures.iter().copied() {
        for peer in &peers {
            let mut findings = run.peers.remove(peer).unwrap_or_default();
            if findings.left_out.is_none() {
                bar.set_message(format!("{}: {}", name(measure), peer.title()));
                run.plan.measure(measure, *peer, &mut findings).await;
            }
            run.peers.insert(*peer, findings);
            bar.inc(1);
        }
    }
    run.disturbance = meter.share()?;
    bar.finish_and_clear();
    let is_whole = !arguments.quick && arguments.only.is_empty() && arguments.measures.is_empty();
    publish(&run, arguments.out.clone().or_else(|| is_whole.then(|| DOCS.into())))
}

fn publish(run: &Run, out: Option<PathBuf>) -> anyhow::Result<()> {
    let text = page::write(run);
    let Some(out) = out else {
        anstream::println!("{text}");
        return Ok(());
    };
    std::fs::create_dir_all(&out).with_context(|| format!("{} can't be made", out.display()))?;
    std::fs::write(out.join("peers.json"), serde_json::to_string_pretty(run)? + "\n")?;
    plots::draw(run, &out)?;
    let file = out.with_extension("md");
    page::put(&file, "peers", &page::PLOTS, &text)?;
    anstream::println!("{} {} and the plots in {}", "written:".green().bold(), file.display(), out.display());
    Ok(())
}

fn name(measure: Measure) -> String {
    measure.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The command as one would type it, without where it wrote.
fn command(arguments: &Arguments) -> String {
    let mut command = "cargo run --release -p bench --bin peers".to_owned();
    let mut options = Vec::new();
    if arguments.quick {
        options.push("--quick".to_owned());
    }
    let peers: Vec<String> = arguments
        .only
        .iter()
        .filter_map(|peer| Some(peer.to_possible_value()?.get_name().to_owned()))
        .collect();
    if !peers.is_empty() {
        options.push(format!("--only {}", peers.join(",")));
    }
    let measures: Vec<String> = arguments.measures.iter().copied().map(name).collect();
    if !measures.is_empty() {
        options.push(format!("--measures {}", measures.join(",")));
    }
    if !options.is_empty() {
        command = format!("{command} -- {}", options.join(" "));
    }
    command
}
