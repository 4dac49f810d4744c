//! Fuzzing: every decoder that sees bytes from outside is given inputs that nobody would think of.
//!
//! A target is a file in `fuzz/targets/`. With `cargo xtask test` each runs for a few seconds, from the inputs in
//! `fuzz/corpus/` on; `cargo xtask fuzz` runs them for as long as one likes, and goes on where it was, as what it
//! found stays in `fuzz/found/`. The engine is libFuzzer, which needs no more than a stable compiler; with a
//! nightly one, long runs also have the address sanitizer.

mod build;
mod engine;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anstream::{eprintln, println};
use anyhow::{Context, Result, bail};
use owo_colors::OwoColorize;

use crate::{install, place};
use build::{Build, Kind};
use engine::{Outcome, Run};

/// How long each target runs with the tests, after its corpus.
const SHORT: Duration = Duration::from_secs(4);
/// How long a target runs before it is the next one's turn.
const TURN: Duration = Duration::from_secs(60);

/// A decoder that is fuzzed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    name: String,
}

impl Target {
    /// Every target, by name.
    fn all() -> Result<Vec<Self>> {
        let files = fs::read_dir(home().join("targets")).context("fuzz/targets can't be read")?;
        let stems = files
            .flatten()
            .filter_map(|file| Some(file.path().file_name()?.to_str()?.strip_suffix(".rs")?.to_owned()));
        let mut targets: Vec<Self> = stems.map(|name| Self { name }).collect();
        targets.sort();
        Ok(targets)
    }

    /// The inputs that are in the repository.
    fn corpus(&self) -> PathBuf {
        home().join("corpus").join(&self.name)
    }

    fn found(&self) -> PathBuf {
        home().join("found").join(&self.name)
    }

    /// Where inputs that break it are kept.
    fn artifacts(&self) -> PathBuf {
        home().join("artifacts").join(&self.name)
    }

    /// Words that its inputs are made of, if they are listed.
    fn dictionary(&self) -> Option<PathBuf> {
        Some(home().join("dictionaries").join(format!("{}.dict", self.name))).filter(|path| path.is_file())
    }
}

fn home() -> PathBuf {
    place::root().join("fuzz")
}

/// A few seconds of every target, for the tests.
pub(crate) fn short() -> Result<()> {
    install::ensure(install::FOR_FUZZING)?;
    let targets = Target::all()?;
    let build = Build::make(Kind::Short)?;
    // Their corpora must say the same today and tomorrow, so what is found is not kept.
    let scratch = place::target().join("fuzz-short");
    let failures = Mutex::new(Vec::new());
    side_by_side(targets.len(), |turn| {
        let Some(target) = targets.get(turn) else { return };
        let found = scratch.join(&target.name);
        fs::remove_dir_all(&found).ok();
        match Run::new(target, &build, found, SHORT).start(|_| {}) {
            Ok(Outcome { seen, broken: None }) => {
                eprintln!("{} fuzz {}: {seen}", "ok:".green().bold(), target.name)
            }
            Ok(Outcome { broken: Some(broken), .. }) => keep(&failures, broken.to_string()),
            Err(why) => keep(&failures, format!("{why:#}")),
        }
    });
    finish(failures)
}

/// All targets, or one, in turns, for so many minutes or until it is interrupted.
pub(crate) fn long(only: Option<&str>, minutes: Option<u64>) -> Result<()> {
    let targets = chosen(only)?;
    install::ensure(install::FOR_FUZZING)?;
    let build = Build::make(Kind::long())?;
    let end = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    if end.is_none() {
        eprintln!("fuzzing until you press Ctrl-C; what is found stays in fuzz/found/");
    }
    let progress = engine::Progress::new();
    let totals: Vec<Mutex<engine::Seen>> = targets.iter().map(|_| Mutex::default()).collect();
    let failures = Mutex::new(Vec::new());
    let broken: Vec<AtomicUsize> = targets.iter().map(|_| AtomicUsize::new(0)).collect();
    side_by_side(usize::MAX, |turn| {
        let index = turn % targets.len();
        let (Some(target), Some(total), Some(is_broken)) =
            (targets.get(index), totals.get(index), broken.get(index))
        else {
            return false;
        };
        if broken.iter().all(|times| times.load(Ordering::Relaxed) > 0) {
            return false;
        }
        // An input that breaks it would be found again at once.
        if is_broken.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let left = end.map_or(TURN, |end| end.saturating_duration_since(Instant::now()));
        if left < Duration::from_secs(1) {
            return false;
        }
        let line = progress.line(&target.name);
        let ran = Run::new(target, &build, target.found(), left.min(TURN)).start(|seen| line.show(seen));
        match ran {
            Ok(Outcome { seen, broken: None }) => {
                if let Ok(mut total) = total.lock() {
                    total.add(&seen);
                    progress.say(&format!("{:20} {total}", target.name));
                }
            }
            Ok(Outcome { broken: Some(broken), .. }) => {
                is_broken.fetch_add(1, Ordering::Relaxed);
                progress.say(&format!("{} {broken}", "broken:".red().bold()));
                keep(&failures, broken.to_string());
            }
            Err(why) => {
                is_broken.fetch_add(1, Ordering::Relaxed);
                keep(&failures, format!("{why:#}"));
            }
        }
        true
    });
    finish(failures)
}

/// One input again, shown as it breaks the target.
pub(crate) fn repeat(name: &str, input: &Path) -> Result<()> {
    let targets = chosen(Some(name))?;
    install::ensure(install::FOR_FUZZING)?;
    let build = Build::make(Kind::Short)?;
    for target in &targets {
        engine::repeat(target, &build, input)?;
    }
    println!("{} {} takes {} and stands", "ok:".green().bold(), name, input.display());
    Ok(())
}

fn chosen(only: Option<&str>) -> Result<Vec<Target>> {
    let all = Target::all()?;
    let Some(name) = only else { return Ok(all) };
    let names: Vec<&str> = all.iter().map(|target| target.name.as_str()).collect();
    if !names.contains(&name) {
        bail!("{name} is not a target; there are {}", names.join(", "));
    }
    Ok(vec![Target { name: name.to_owned() }])
}

/// Gives out turns 0, 1, 2 … to as many workers as there are processors.
fn side_by_side<T: GoOn>(turns: usize, work: impl Fn(usize) -> T + Sync) {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= turns || !work(turn).go_on() {
                        break;
                    }
                }
            });
        }
    });
}

/// Whether a worker takes another turn.
trait GoOn {
    fn go_on(self) -> bool;
}

impl GoOn for () {
    fn go_on(self) -> bool {
        true
    }
}

impl GoOn for bool {
    fn go_on(self) -> bool {
        self
    }
}

fn keep(failures: &Mutex<Vec<String>>, failure: String) {
    if let Ok(mut failures) = failures.lock() {
        failures.push(failure);
    }
}

fn finish(failures: Mutex<Vec<String>>) -> Result<()> {
    let failures = failures.into_inner().unwrap_or_default();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n        "));
    }
    Ok(())
}
