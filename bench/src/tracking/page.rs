//! The part of `docs/tracking.md` that holds numbers.

use std::fmt::Write as _;

use super::{
    Findings,
    arrivals::{self, Scene},
    etas::{self, At},
    smoothing,
};
use crate::page::{markdown, number};

/// The median in canyons is to be less by this share.
const CANYON_GOAL: f64 = 0.25;
/// So many ETAs at ten minutes are to be good.
const ETA_GOAL: f64 = 0.85;
/// Minutes at which that is judged.
const ETA_MINUTES: u32 = 10;
/// A trail may lose this, in metres.
const TRAIL_GOAL: f64 = 5.0;

/// The whole part, in Markdown.
pub fn write(findings: &Findings) -> String {
    let mut page = String::new();
    // Writing to a text can't fail.
    let _ = writeln!(
        page,
        "## Numbers\n\n`{}` (seed {}) gives all of this again:\n",
        findings.command, findings.seed
    );
    for drives in &findings.drives {
        let _ = writeln!(page, "- {drives}");
    }
    if !findings.recordings {
        page.push_str("\n**The recordings were not there: only made-up rides were measured.**\n");
    }
    page.push_str("\n### Goals\n");
    page.push_str(&goals(findings));
    page.push_str("\n### Positions\n");
    page.push_str(&positions(findings));
    page.push_str("\n### Refused fixes\n");
    page.push_str(&refused(findings));
    page.push_str("\n### Arrivals\n");
    page.push_str(&arrived(findings));
    page.push_str("\n### ETAs\n");
    page.push_str(&eta(findings));
    page.push_str("\n### Trails\n");
    page.push_str(&trails(findings));
    if let Some(found) = &findings.silences {
        let _ = write!(
            page,
            "\n### Silence\n\n{} recorded delivery traces ({} fixes, {} of them on foot), each followed by ten minutes of \
             silence: {} gaps of more than 15 s. Of {} silences of more than 32 s, {} were told as stale ({:.1} s after the last \
             fix in the middle, {:.1} s at most); {} were told as stale while fixes came. At the ends {} were told as \
             offline and {} as unknown. After a gap a rider was live again {:.1} s after the first fix at most. Of all fixes \
             {} were refused.\n",
            found.traces,
            number_of(found.fixes),
            number_of(found.on_foot),
            found.gaps_15,
            found.silences,
            found.told,
            found.stale_after.0,
            found.stale_after.1,
            found.told_wrongly,
            found.offline,
            found.unknown,
            found.live_after,
            found.refused,
        );
    }
    page.push_str("\n### Plots\n");
    page
}

fn number_of(count: usize) -> String {
    let text = number(count as f64);
    // Counts below a hundred have no decimals either.
    text.split('.').next().unwrap_or_default().to_owned()
}

fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.0} %", share * 100.0) } else { "-".to_owned() }
}

/// One of a thousand matters.
fn exactly(share: f64) -> String {
    if share.is_finite() { format!("{:.2} %", share * 100.0) } else { "-".to_owned() }
}

fn verdict(is_met: bool) -> String {
    if is_met { "met".to_owned() } else { "**missed**".to_owned() }
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn goals(findings: &Findings) -> String {
    let mut rows = vec![row(&["", "goal", "measured", ""])];
    for found in findings.smoothing.iter().filter(|found| is_canyon(found)) {
        rows.push(vec![
            format!(
                "median error, {}{}: {}, every {} s{}",
                found.drives,
                map(found.map),
                found.phone,
                found.interval,
                without(found.velocity)
            ),
            if found.map { format!("-{}", percent(CANYON_GOAL)) } else { String::new() },
            format!("{:+.0} %", -found.gain() * 100.0),
            if found.map { verdict(found.gain() >= CANYON_GOAL) } else { String::new() },
        ]);
    }
    for found in findings.arrivals.iter().filter(|found| found.scene == Scene::Arrives) {
        rows.push(vec![
            format!(
                "arrivals told within {} s: {}, every {} s",
                arrivals::GOAL_SECONDS,
                found.phone,
                found.interval
            ),
            "all".to_owned(),
            percent(found.in_time()),
            verdict(found.in_time() >= 1.0),
        ]);
    }
    for (scene, deep) in
        [(Scene::Passes, false), (Scene::Light, false), (Scene::Passes, true), (Scene::Light, true)]
    {
        let is_deep = |found: &arrivals::Found| found.phone.contains("canyon");
        let of_scene =
            || findings.arrivals.iter().filter(move |found| found.scene == scene && is_deep(found) == deep);
        let false_arrivals: usize = of_scene().map(|found| found.false_arrivals).sum();
        let count: usize = of_scene().map(|found| found.count).sum();
        rows.push(vec![
            format!("false arrivals, {}: {}", if deep { "canyons" } else { "no canyon" }, scene.words()),
            "none".to_owned(),
            format!("{false_arrivals} of {count}"),
            verdict(false_arrivals == 0),
        ]);
    }
    for found in &findings.etas {
        let at = found.ahead.iter().find(|at| at.minutes == ETA_MINUTES);
        let good = at.map_or(f64::NAN, |at| at.good);
        rows.push(vec![
            format!(
                "ETAs {ETA_MINUTES} min ahead within {} min: {}, {}",
                etas::GOOD_MINUTES,
                found.method,
                found.rides
            ),
            format!("≥ {}", percent(ETA_GOAL)),
            percent(good),
            verdict(good >= ETA_GOAL),
        ]);
    }
    let most = findings.trails.iter().map(|found| found.error_most).fold(0.0, f64::max);
    rows.push(vec![
        "what a trail loses".to_owned(),
        format!("≤ {TRAIL_GOAL} m"),
        format!("{most:.2} m"),
        verdict(most <= TRAIL_GOAL),
    ]);
    markdown(&rows)
}

fn is_canyon(found: &smoothing::Found) -> bool {
    found.phone.contains("canyon")
}

fn map(map: bool) -> &'static str {
    if map { " with their map" } else { ", no map" }
}

fn without(velocity: bool) -> &'static str {
    if velocity { "" } else { ", without speed and heading" }
}

fn positions(findings: &Findings) -> String {
    let head = [
        "drives",
        "phone",
        "every",
        "fixes",
        "median, m",
        "",
        "",
        "p95, m",
        "",
        "RMS, m",
        "",
        "50 m off",
        "",
    ];
    let mut rows = vec![row(&head)];
    for found in &findings.smoothing {
        let (before, after) = (&found.before, &found.after);
        rows.push(vec![
            format!("{}{}", found.drives, map(found.map)),
            format!("{}{}", found.phone, without(found.velocity)),
            format!("{} s", found.interval),
            number_of(before.count),
            number(before.median),
            format!("→ {}", number(after.median)),
            format!("{:+.0} %", -found.gain() * 100.0),
            number(before.p95),
            format!("→ {}", number(after.p95)),
            number(before.rms),
            format!("→ {}", number(after.rms)),
            exactly(before.misleading),
            format!("→ {}", exactly(after.misleading)),
        ]);
    }
    markdown(&rows)
}

fn refused(findings: &Findings) -> String {
    let mut rows = vec![row(&["drives", "phone", "every", "outliers", "refused", "good fixes", "refused"])];
    for found in &findings.smoothing {
        let share = |refused: usize, of: usize| match of {
            0 => "-".to_owned(),
            of => format!("{} ({})", number_of(refused), exactly(refused as f64 / of as f64)),
        };
        rows.push(vec![
            format!("{}{}", found.drives, map(found.map)),
            format!("{}{}", found.phone, without(found.velocity)),
            format!("{} s", found.interval),
            number_of(found.outliers),
            share(found.refused, found.outliers),
            number_of(found.good),
            share(found.wrongly_refused, found.good),
        ]);
    }
    markdown(&rows)
}

fn arrived(findings: &Findings) -> String {
    let mut rows = vec![row(&[
        "the drive",
        "phone",
        "every",
        "tried",
        "false",
        "missed",
        "median, s",
        "p95, s",
        "within 15 s",
    ])];
    for found in &findings.arrivals {
        let spread = found.spread();
        let ends = found.scene == Scene::Arrives;
        let if_ends = |text: String| if ends { text } else { "-".to_owned() };
        rows.push(vec![
            found.scene.words().to_owned(),
            found.phone.clone(),
            format!("{} s", found.interval),
            found.count.to_string(),
            found.false_arrivals.to_string(),
            if_ends(found.missed.to_string()),
            if_ends(format!("{:.1}", spread.median())),
            if_ends(format!("{:.1}", spread.p95())),
            if_ends(percent(found.in_time())),
        ]);
    }
    let mut text = markdown(&rows);
    if let Some(found) = &findings.parked {
        let _ = writeln!(
            text,
            "\nRecorded deliveries, with each place at which driving turned into walking for a door ({} of them, fixes every \
             5 s as they are): of the stays of 25 s and more {} were told and {} were not; {} shorter ones were told; {} were \
             told while more than 100 m away. Delay since the first fix within 50 m: {:.1} s in the middle, {:.1} s at 95 %, {} \
             within 15 s.",
            found.count,
            found.told,
            found.missed,
            found.short,
            found.false_arrivals,
            found.median,
            found.p95,
            percent(found.in_time),
        );
    }
    text
}

fn eta(findings: &Findings) -> String {
    let mut text = String::new();
    for found in &findings.etas {
        let _ = writeln!(text, "\n{}, {}:", found.method, found.rides);
        let of = |name: &str, value: &dyn Fn(&At) -> String| {
            std::iter::once(name.to_owned()).chain(found.ahead.iter().map(value)).collect::<Vec<_>>()
        };
        text.push_str(&markdown(&[
            of("minutes ahead", &|at| at.minutes.to_string()),
            of("deliveries", &|at| at.count.to_string()),
            of("within 2 min", &|at| percent(at.good)),
            of("bias, min", &|at| format!("{:+.2}", at.bias)),
            of("median of the error, min", &|at| format!("{:.1}", at.median)),
            of("p95 of the error, min", &|at| format!("{:.1}", at.p95)),
            of("truth within the range told", &|at| percent(at.in_range)),
        ]));
    }
    text
}

fn trails(findings: &Findings) -> String {
    let head = [
        "drives",
        "phone",
        "every",
        "km",
        "fixes/km",
        "points/km",
        "bytes/km of all fixes",
        "bytes/km kept",
        "off the smoothed way at most, m",
        "off the truth, median, m",
    ];
    let mut rows = vec![row(&head)];
    for found in &findings.trails {
        let per_km = |count: usize| number(count as f64 / found.km);
        rows.push(vec![
            found.drives.clone(),
            found.phone.clone(),
            format!("{} s", found.interval),
            number(found.km),
            per_km(found.fixes),
            per_km(found.points),
            per_km(found.fixes_bytes),
            per_km(found.points_bytes),
            format!("{:.2}", found.error_most),
            format!("{:.1}", found.truth_median),
        ]);
    }
    markdown(&rows)
}
