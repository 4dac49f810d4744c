//! One target at work: starts libFuzzer, follows what it says, and tells what came of it.

use std::{
    collections::VecDeque,
    fmt, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Target, build::Build};
use crate::place;

/// An input that takes longer breaks the target: so would a client.
const INPUT_SECONDS_MAX: u64 = 10;
/// Memory beyond which an input breaks the target.
const MEMORY_MB_MAX: u64 = 1_024;
/// Lines of the engine's words that are shown when an input breaks a target.
const WORDS_MAX: usize = 40;

/// A target's turn.
pub(super) struct Run<'a> {
    target: &'a Target,
    build: &'a Build,
    /// Where new inputs go.
    found: PathBuf,
    time: Duration,
}

/// What the engine has seen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    executions: u64,
    seconds: u64,
    /// Places in the code that some input has reached.
    coverage: u64,
    /// Inputs that reached a new one.
    new_inputs: u64,
}

/// How a turn ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub seen: Seen,
    pub broken: Option<Broken>,
}

/// An input broke the target.
#[derive(Debug)]
pub(super) struct Broken {
    target: String,
    /// `None`: the engine itself failed.
    input: Option<String>,
    words: Vec<String>,
}

impl<'a> Run<'a> {
    pub fn new(target: &'a Target, build: &'a Build, found: PathBuf, time: Duration) -> Self {
        Self { target, build, found, time }
    }

    /// Runs it; `watch` is told what was seen so far.
    pub fn start(&self, watch: impl Fn(&Seen)) -> Result<Outcome> {
        for folder in [&self.found, &self.target.corpus(), &self.target.artifacts()] {
            fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
        }
        let mut command = engine(self.target, self.build);
        command.arg(format!("-max_total_time={}", self.time.as_secs().max(1))).arg("-print_final_stats=1");
        if let Some(dictionary) = self.target.dictionary() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        command.arg(&self.found).arg(self.target.corpus());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| {
                let name = &self.target.name;
                format!("the program of target {name} did not start; does fuzz/Cargo.toml have its [[bin]]?")
            })?;
        let mut seen = Seen::default();
        let mut words = VecDeque::new();
        let mut input = None;
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).split(b'\n') {
                let line = String::from_utf8_lossy(&line?).into_owned();
                if seen.read(&line) {
                    watch(&seen);
                    continue;
                }
                if let Some((_, path)) = line.split_once("Test unit written to ") {
                    input = Some(path.trim().to_owned());
                }
                if words.len() >= WORDS_MAX {
                    words.pop_front();
                }
                words.push_back(line);
            }
        }
        let status = child.wait()?;
        let broken = (!status.success()).then(|| Broken {
            target: self.target.name.clone(),
            input,
            words: words.into_iter().collect(),
        });
        Ok(Outcome { seen, broken })
    }
}

/// Gives a target one input.
pub(super) fn repeat(target: &Target, build: &Build, input: &Path) -> Result<()> {
    let status = engine(target, build).arg(input).status()?;
    if !status.success() {
        bail!("{} breaks target {}", input.display(), target.name);
    }
    Ok(())
}

fn engine(target: &Target, build: &Build) -> Command {
    let mut command = Command::new(build.program(target));
    command.current_dir(place::root());
    // A sanitizer's shadow memory counts, too.
    let memory = if build.sanitizer { 2 * MEMORY_MB_MAX } else { MEMORY_MB_MAX };
    command.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg(format!("-rss_limit_mb={memory}"));
    command.arg(format!("-artifact_prefix={}/", target.artifacts().display()));
    command.env("RUST_BACKTRACE", "1").env("ASAN_OPTIONS", "detect_odr_violation=0:detect_leaks=0");
    command
}

impl Seen {
    /// Reads one line of the engine: `#4096 NEW cov: 120 ft: …` or a figure of the end. False: it is something
    /// else.
    fn read(&mut self, line: &str) -> bool {
        if let Some(figure) = line.strip_prefix("stat::") {
            if let Some(number) = figure.strip_prefix("number_of_executed_units:") {
                self.executions = number.trim().parse().unwrap_or(self.executions);
            } else if let Some(number) = figure.strip_prefix("new_units_added:") {
                self.new_inputs = number.trim().parse().unwrap_or(self.new_inputs);
            }
            return true;
        }
        if let Some(ran) = line.strip_prefix("Done ") {
            // `Done 1234 runs in 5 second(s)`
            let seconds = ran.split_whitespace().nth(3).and_then(|number| number.parse().ok());
            self.seconds = seconds.unwrap_or(self.seconds);
            return true;
        }
        let Some(rest) = line.strip_prefix('#') else { return false };
        let mut words = rest.split_whitespace();
        let Some(executions) = words.next().and_then(|number| number.parse().ok()) else { return false };
        self.executions = executions;
        while let Some(word) = words.next() {
            match word {
                "cov:" => {
                    self.coverage = words.next().and_then(|number| number.parse().ok()).unwrap_or_default();
                }
                "exec/s:" => {
                    let speed: u64 = words.next().and_then(|number| number.parse().ok()).unwrap_or_default();
                    self.seconds = executions.checked_div(speed).unwrap_or_default();
                }
                "NEW" => self.new_inputs += 1,
                _ => {}
            }
        }
        true
    }

    /// Adds a later turn.
    pub fn add(&mut self, later: &Self) {
        self.executions += later.executions;
        self.seconds += later.seconds;
        self.coverage = self.coverage.max(later.coverage);
        self.new_inputs += later.new_inputs;
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let speed = self.executions / self.seconds.max(1);
        write!(
            f,
            "{} executions, {speed}/s, coverage {}, {} new inputs",
            self.executions, self.coverage, self.new_inputs
        )
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for words in &self.words {
            writeln!(f, "  | {words}")?;
        }
        let Self { target, input, .. } = self;
        match input {
            Some(input) => write!(
                f,
                "target {target} is broken by {input}\n  repeat it: cargo xtask fuzz {target} --input {input}\n  \
                 once it is mended, move it to fuzz/corpus/{target}/ and make it a unit test"
            ),
            None => write!(f, "target {target} ended without an input to blame"),
        }
    }
}

/// What is going on, on a terminal a line for each target at work.
pub(super) struct Progress {
    lines: MultiProgress,
}

/// One target's line.
pub(super) struct Line {
    bar: ProgressBar,
    lines: MultiProgress,
}

impl Progress {
    pub fn new() -> Self {
        Self { lines: MultiProgress::new() }
    }

    pub fn line(&self, name: &str) -> Line {
        let bar = self.lines.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:20} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Line { bar, lines: self.lines.clone() }
    }

    /// Says something that stays.
    pub fn say(&self, text: &str) {
        self.lines.suspend(|| anstream::eprintln!("{text}"));
    }
}

impl Line {
    pub fn show(&self, seen: &Seen) {
        self.bar.set_message(seen.to_string());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.lines.remove(&self.bar);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_says_is_understood() {
        let mut seen = Seen::default();
        assert!(!seen.read("INFO: Seed: 123"));
        assert!(!seen.read("thread '<unnamed>' panicked at src/lib.rs:1:1:"));
        assert!(seen.read("#2	INITED cov: 62 ft: 63 corp: 1/1b exec/s: 0 rss: 34Mb"));
        assert!(
            seen.read("#4000	NEW    cov: 70 ft: 80 corp: 2/3b lim: 4 exec/s: 2000 rss: 34Mb L: 2/2 MS: 1")
        );
        assert_eq!(seen, Seen { executions: 4_000, seconds: 2, coverage: 70, new_inputs: 1 });
        assert!(seen.read("Done 9000 runs in 5 second(s)"));
        assert!(seen.read("stat::number_of_executed_units: 9000"));
        assert!(seen.read("stat::new_units_added:          7"));
        assert_eq!(seen, Seen { executions: 9_000, seconds: 5, coverage: 70, new_inputs: 7 });
        assert_eq!(seen.to_string(), "9000 executions, 1800/s, coverage 70, 7 new inputs");
    }
}
