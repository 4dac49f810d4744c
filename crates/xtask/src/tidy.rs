//! The house rules that no compiler knows. Each finding says where it is and what to do.
//!
//! A rule is a function over the [`Files`] of the repository. Rules have no list of pardoned places unless the
//! list is part of the rule.

mod arrows;
mod decisions;
mod files;
mod links;
mod shape;
mod words;

use std::{fmt, path::Path};

use anstream::eprintln;
use anyhow::{Result, bail};
use owo_colors::OwoColorize;

use crate::place;
use files::Files;

/// One breach of one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path from the top of the repository.
    file: String,
    /// Counted from 1.
    line: usize,
    /// What is wrong, and what to do.
    advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.advice)
    }
}

/// Checks the repository and prints what it finds.
pub(crate) fn run() -> Result<()> {
    let findings = check(place::root())?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => {
            eprintln!("{} the house rules hold", "tidy:".green().bold());
            Ok(())
        }
        count => bail!("tidy: {count} breaches of the house rules"),
    }
}

fn check(root: &Path) -> Result<Vec<Finding>> {
    let files = Files::of(root)?;
    let mut findings = arrows::check(root)?;
    findings.extend(shape::check(&files));
    findings.extend(words::check(&files));
    findings.extend(decisions::check(&files));
    findings.extend(links::check(&files));
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_rules_hold() {
        let findings = check(place::root()).expect("the repository can be read");
        let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(list.is_empty(), "\n{}\n", list.join("\n"));
    }
}
