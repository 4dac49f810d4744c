//! The two pages for people: `--help` and `docs/settings.md`.

use std::fmt::Write;

use crate::{Fallback, Spec};

/// The settings of one group as the end of `--help`: a name and its default a line.
pub fn help(title: &str, specs: &[Spec]) -> String {
    let mut page = format!("{}\n", title.trim());
    for spec in specs {
        let first_sentence = spec.doc.trim().split(". ").next().unwrap_or_default().trim_end_matches('.');
        let fallback = match spec.fallback {
            Fallback::Default(text) => format!(" [{text}]"),
            Fallback::Optional => String::new(),
            Fallback::Required(_) => " [required]".to_owned(),
        };
        writeln!(page, "  {:<38} {first_sentence}{fallback}", spec.name).ok();
    }
    page
}

/// The settings of one group as a section of the reference page.
pub fn markdown(title: &str, specs: &[Spec]) -> String {
    let mut page = format!("## {}\n\n", title.trim().trim_end_matches('.'));
    for spec in specs {
        let fallback = match spec.fallback {
            Fallback::Default(text) => format!("default `{text}`"),
            Fallback::Optional => "not set by default".to_owned(),
            Fallback::Required(why) => format!("required: {why}"),
        };
        writeln!(page, "### `{}`\n\n{} ({}; {fallback})\n", spec.name, spec.doc.trim(), spec.kind).ok();
        if spec.secret {
            writeln!(page, "May come from a file: `{}_FILE`.\n", spec.name).ok();
        }
        if let Some(bound) = spec.bound {
            writeln!(
                page,
                "Unit: {}. When reached: {}. Metric: `{}`.\n",
                bound.unit, bound.full, bound.metric
            )
            .ok();
        }
    }
    page
}
