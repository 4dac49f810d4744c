//! `replay-trace`: a recorded way through the rules of tracking, one JSON line for each fix, and a summary.
//!
//! Rows are read, taken and printed one by one, so that a file of any length can be replayed and a pipe that is closed
//! ends it. Each trace is a rider of its own.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
};

use anyhow::{Context, bail};
use csv::{ReaderBuilder, StringRecord};
use owo_colors::OwoColorize;
use platepal_events::Timestamp;
use platepal_tracking::replay::{Answer, Fix, Position, Replay, Step, laid};
use serde_json::{Value, json};

use crate::cli;

/// Accuracy of a fix of which the file says nothing, and of one whose dilution of precision is 1, in metres.
const ACCURACY_METRES: f64 = 5.0;

/// Which column has what.
struct Columns {
    trace: usize,
    seconds: usize,
    place: PlaceColumns,
    accuracy: Option<usize>,
    hdop: Option<usize>,
    speed: Option<usize>,
    heading: Option<usize>,
}

enum PlaceColumns {
    Degrees { latitude: usize, longitude: usize },
    Metres { east: usize, north: usize },
}

/// What became of a file.
#[derive(Default)]
struct Summary {
    traces: u64,
    fixes: u64,
    shown: u64,
    kept: u64,
    duplicates: u64,
    refused: u64,
    reasons: BTreeMap<&'static str, u64>,
    crossings: BTreeMap<String, u64>,
    metres: f64,
    seconds: f64,
}

/// Replays a file.
pub(crate) fn run(arguments: &cli::ReplayTrace) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match replay(arguments, &mut out) {
        // Whoever reads has seen enough.
        Err(why) if is_closed_pipe(&why) => Ok(()),
        result => result,
    }
}

fn is_closed_pipe(why: &anyhow::Error) -> bool {
    why.downcast_ref::<io::Error>().is_some_and(|why| why.kind() == io::ErrorKind::BrokenPipe)
}

#[allow(clippy::print_stdout)]
fn replay(arguments: &cli::ReplayTrace, out: &mut impl Write) -> anyhow::Result<()> {
    let file = &arguments.file;
    let opened = File::open(file).with_context(|| format!("{} can't be read", file.display()))?;
    let mut rows = ReaderBuilder::new().from_reader(opened);
    let header = rows.headers().with_context(|| format!("{} is no CSV", file.display()))?;
    let columns = Columns::of(header, file)?;

    let begin = || Replay::new(arguments.pickup, arguments.dropoff);
    let (mut trace, mut rider) = (String::new(), begin());
    let (mut summary, mut way) = (Summary::default(), Way::default());
    let mut row = StringRecord::new();
    while rows.read_record(&mut row).with_context(|| format!("{} is no CSV", file.display()))? {
        let name = row.get(columns.trace).unwrap_or_default();
        if summary.traces == 0 || name != trace {
            name.clone_into(&mut trace);
            (rider, way) = (begin(), Way::default());
            summary.traces += 1;
        }
        let fix = columns.fix(&row).with_context(|| {
            format!("{}, line {}", file.display(), row.position().map_or(0, csv::Position::line))
        })?;
        let step = rider.take(&fix);
        summary.count(&step, way.on(&fix, &step));
        writeln!(out, "{}", line(&trace, &fix, &step))?;
    }
    if io::stdout().is_terminal() {
        out.flush()?;
        anstream::println!("{}", summary.for_people());
    } else {
        writeln!(out, "{}", summary.for_machines(file))?;
        out.flush()?;
    }
    Ok(())
}

/// How far a rider has come.
#[derive(Default)]
struct Way {
    last: Option<(Timestamp, Position)>,
    newest: Option<Timestamp>,
}

impl Way {
    /// Metres and seconds that a fix adds.
    fn on(&mut self, fix: &Fix, step: &Step) -> (f64, f64) {
        let newest = self.newest.map_or(fix.recorded_at, |newest| newest.max(fix.recorded_at));
        let seconds = self.newest.map_or(0.0, |before| newest.millis_since(before) as f64 / 1e3);
        self.newest = Some(newest);
        let Some(position) = step.position else { return (0.0, seconds) };
        let before = self.last.replace((fix.recorded_at, position));
        // Standing makes no way, however the position wanders.
        let metres =
            before.filter(|_| position.moving).map_or(0.0, |(_, before)| before.metres_to(&position));
        (metres, seconds)
    }
}

impl Columns {
    fn of(header: &StringRecord, file: &Path) -> anyhow::Result<Self> {
        let find = |names: &[&str]| {
            names.iter().find_map(|name| header.iter().position(|column| column.trim() == *name))
        };
        let mut missing = Vec::new();
        let mut need = |names: &[&'static str]| {
            find(names).unwrap_or_else(|| {
                missing.push(names.join(" or "));
                0
            })
        };
        let trace = need(&["trace_id"]);
        let seconds = need(&["t_unix_s", "t_s"]);
        let place = if find(&["x_m", "y_m"]).is_some() {
            PlaceColumns::Metres { east: need(&["x_m"]), north: need(&["y_m"]) }
        } else {
            PlaceColumns::Degrees { latitude: need(&["latitude_deg"]), longitude: need(&["longitude_deg"]) }
        };
        if !missing.is_empty() {
            bail!(
                "{} has no column {}. Needed are trace_id and either t_unix_s, latitude_deg, longitude_deg or t_s, x_m, y_m",
                file.display(),
                missing.join(", ")
            );
        }
        Ok(Self {
            trace,
            seconds,
            place,
            accuracy: find(&["accuracy", "accuracy_m"]),
            hdop: find(&["hdop"]),
            speed: find(&["speed_mps", "speed"]),
            heading: find(&["heading_deg", "heading"]),
        })
    }

    fn fix(&self, row: &StringRecord) -> anyhow::Result<Fix> {
        let number = |column: usize| {
            let text = row.get(column).unwrap_or_default().trim();
            text.parse::<f64>().with_context(|| format!("{text:?} is not a number"))
        };
        let maybe = |column: Option<usize>| {
            let column = column.filter(|column| row.get(*column).is_some_and(|text| !text.trim().is_empty()));
            column.map(number).transpose()
        };
        let (latitude, longitude) = match self.place {
            PlaceColumns::Degrees { latitude, longitude } => (number(latitude)?, number(longitude)?),
            PlaceColumns::Metres { east, north } => laid(number(east)?, number(north)?),
        };
        let accuracy = match (maybe(self.accuracy)?, maybe(self.hdop)?) {
            (Some(accuracy), _) => accuracy,
            (None, Some(hdop)) => hdop * ACCURACY_METRES,
            (None, None) => ACCURACY_METRES,
        };
        Ok(Fix {
            latitude,
            longitude,
            accuracy,
            heading: maybe(self.heading)?,
            speed: maybe(self.speed)?,
            battery_level: None,
            recorded_at: Timestamp::from_micros((number(self.seconds)? * 1e6).round() as i64),
        })
    }
}

fn line(trace: &str, fix: &Fix, step: &Step) -> Value {
    let position = step.position.as_ref();
    let mut line = json!({
        "trace_id": trace,
        "recorded_at": fix.recorded_at.to_string(),
        "answer": step.answer.word(),
        "reason": step.answer.reason().map(|reason| reason.word()),
        "latitude": position.map(|position| round(position.latitude, 1e6)),
        "longitude": position.map(|position| round(position.longitude, 1e6)),
        "accuracy": position.map(|position| round(position.accuracy, 10.0)),
        "speed": position.map(|position| round(position.speed, 100.0)),
        "heading": position.and_then(|position| position.heading).map(|degrees| round(degrees, 10.0)),
        "moving": position.map(|position| position.moving),
        "age_seconds": step.age_seconds,
    });
    if let (Some(phase), Some(line)) = (step.phase, line.as_object_mut()) {
        line.insert("phase".to_owned(), phase.into());
        line.insert("eta_minutes".to_owned(), step.eta_minutes.into());
    }
    if let (false, Some(line)) = (step.crossings.is_empty(), line.as_object_mut()) {
        line.insert("crossings".to_owned(), step.crossings.clone().into());
    }
    line
}

fn round(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

impl Summary {
    fn count(&mut self, step: &Step, (metres, seconds): (f64, f64)) {
        self.fixes += 1;
        match step.answer {
            Answer::Shown => self.shown += 1,
            Answer::Kept(_) => self.kept += 1,
            Answer::Duplicate => self.duplicates += 1,
            Answer::Refused(_) => self.refused += 1,
        }
        if let Some(reason) = step.answer.reason() {
            *self.reasons.entry(reason.word()).or_default() += 1;
        }
        for crossing in &step.crossings {
            *self.crossings.entry(crossing.clone()).or_default() += 1;
        }
        self.metres += metres;
        self.seconds += seconds;
    }

    fn for_machines(&self, file: &Path) -> Value {
        json!({ "summary": {
            "file": file.display().to_string(),
            "traces": self.traces,
            "fixes": self.fixes,
            "shown": self.shown,
            "kept": self.kept,
            "duplicates": self.duplicates,
            "refused": self.refused,
            "reasons": self.reasons,
            "crossings": self.crossings,
            "distance_m": self.metres.round(),
            "duration_s": self.seconds.round(),
        }})
    }

    fn for_people(&self) -> String {
        let Self { traces, fixes, shown, kept, duplicates, refused, .. } = self;
        let reasons: Vec<String> =
            self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let crossings: String =
            self.crossings.iter().map(|(what, count)| format!(", {count} {what}")).collect();
        format!(
            "{} fixes of {traces} traces, {:.1} km in {:.0} min{crossings}: {} shown, {} kept, {duplicates} duplicate, {} refused{}",
            fixes.bold(),
            self.metres / 1e3,
            self.seconds / 60.0,
            shown.green(),
            kept.yellow(),
            refused.red(),
            reasons.dimmed(),
        )
    }
}
