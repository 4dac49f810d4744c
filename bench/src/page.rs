//! Parts of the docs that programs write, so that they can't grow old in pieces; and the part that is about peers.

mod goals;
mod overview;

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;

use crate::results::Run;

/// Plots of peers and their captions, in the order of the page.
pub const PLOTS: [(&str, &str); 6] = [
    ("fan-out", "CPU time per delivery of one channel, by connections"),
    ("unicast", "CPU time per delivery of a channel per connection"),
    ("highest", "Highest rate of one channel without a loss"),
    ("idle", "Memory of an idle connection"),
    ("latency", "From publishing to reading"),
    ("storm", "Until all are back after a cut"),
];

/// The whole part, in Markdown.
pub fn write(run: &Run) -> String {
    let mut page = String::new();
    // Writing to a text can't fail.
    let _ = writeln!(page, "## Next to other servers\n\n`{}`, in one run, on one machine:\n", run.command);
    let machine = &run.machine;
    let _ = writeln!(
        page,
        "- {}: {} cores ({}), {} GiB of memory, Linux {}, at most {} open files per process. Servers, readers and \
         publisher share it; everything goes over loopback. Others used {:.0} % of the CPU time meanwhile.",
        machine.date,
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.kernel,
        machine.open_files,
        run.disturbance * 100.0
    );
    for (peer, findings) in &run.peers {
        let _ = match &findings.left_out {
            None => writeln!(page, "- {}: {}", peer.title(), findings.version),
            Some(why) => writeln!(page, "- {}: left out ({why})", peer.title()),
        };
    }
    if run.plan.quick {
        page.push_str("\n**A quick run, to see that all works: its numbers mean little.**\n");
    }
    page.push_str(&goals::table(run));
    page.push_str(&overview::table(run));
    page.push_str(&overview::failures(run));
    page.push_str(&overview::method(run));
    page
}

/// Puts a program's part, with its plots, into its place in a page (between two lines with its name); at the end of a
/// page that has no such place.
pub fn put(file: &Path, name: &str, plots: &[(&str, &str)], part: &str) -> anyhow::Result<()> {
    let (begins, ends) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let old = fs::read_to_string(file).unwrap_or_default();
    let folder = file.file_stem().unwrap_or_default().to_string_lossy();
    let plots: Vec<String> =
        plots.iter().map(|(name, caption)| format!("![{caption}]({folder}/{name}.svg)")).collect();
    let part = format!("{begins}\n{}\n\n{}\n{ends}", part.trim_end(), plots.join("\n"));
    let new = match (old.find(&begins), old.find(&ends)) {
        (Some(begin), Some(end)) if begin < end => {
            let before = old.get(..begin).unwrap_or_default();
            let after = old.get(end + ends.len()..).unwrap_or_default();
            format!("{before}{part}{after}")
        }
        _ => format!("{}\n\n{part}\n", old.trim_end()),
    };
    fs::write(file, new.trim_start()).with_context(|| format!("{} can't be written", file.display()))
}

/// A table of Markdown: the first row is its head.
pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
    let mut text = String::from("\n");
    for (index, row) in rows.iter().enumerate() {
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if index == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(row.len()));
        }
    }
    text
}

/// A number as people read it: three digits that count, thousands apart.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        for (value, text) in
            [(0.0, "0.00"), (5.042, "5.04"), (12.34, "12.3"), (999.6, "1,000"), (1_234_567.0, "1,234,567")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn the_part_is_put_in_its_place_and_nothing_else_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.md");
        fs::write(&file, "# A\n\nbefore\n").unwrap();
        put(&file, "peers", &PLOTS, "one").unwrap();
        let mut once = fs::read_to_string(&file).unwrap();
        assert!(once.starts_with("# A\n\nbefore\n\n<!-- peers: begin -->\none\n\n![CPU time"), "{once}");
        once.push_str("after\n");
        fs::write(&file, &once).unwrap();
        put(&file, "peers", &PLOTS, "two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), once.replace("one\n", "two\n"));
    }
}
