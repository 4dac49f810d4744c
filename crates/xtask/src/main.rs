//! Chores: `cargo xtask` lists them, and each says what it needs.
//!
//! Invariant: uses nothing of ours, so that it builds in seconds and works when nothing else does.
// Chores are told by the environment whether they run in CI, and where caches are.
#![allow(clippy::disallowed_methods)]

mod fuzz;
mod install;
mod lint;
mod npm;
mod place;
mod shell;
mod test;
mod tidy;
mod typescript;
mod web;

use std::{path::PathBuf, process::ExitCode};

use anstream::{eprintln, println};
use clap::{CommandFactory, Parser, Subcommand};
use owo_colors::OwoColorize;

/// Chores of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Option<Chore>,
}

#[derive(Subcommand)]
enum Chore {
    /// Installs what tests and lints need, where it is missing.
    Install,
    /// Gives every decoder inputs that nobody would think of, in turns; until Ctrl-C, or for some time.
    Fuzz {
        /// Only this target, one of the files in `fuzz/targets/`.
        target: Option<String>,
        /// Ends after so many minutes in all.
        #[arg(long)]
        minutes: Option<u64>,
        /// A few seconds of each, as with the tests.
        #[arg(long, conflicts_with_all = ["target", "minutes"])]
        short: bool,
        /// Gives the target this one input, as to see again how it breaks.
        #[arg(long, requires = "target", conflicts_with = "minutes")]
        input: Option<PathBuf>,
    },
    /// Runs every test, and installs first what they need.
    Test {
        /// Passed on to `cargo nextest run`, e.g. `-- -p platepal-bus gap`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Checks format, clippy, dependencies, documentation, the house rules, and the Python package.
    Lint,
    /// Checks the house rules only: which crate may use which, file heads and sizes, forbidden words.
    Tidy,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        None => {
            println!("{}", Arguments::command().render_help().ansi());
            Ok(())
        }
        Some(Chore::Install) => install::all(),
        Some(Chore::Fuzz { target: Some(target), input: Some(input), .. }) => fuzz::repeat(&target, &input),
        Some(Chore::Fuzz { short: true, .. }) => fuzz::short(),
        Some(Chore::Fuzz { target, minutes, .. }) => fuzz::long(target.as_deref(), minutes),
        Some(Chore::Test { arguments }) => test::run(&arguments),
        Some(Chore::Lint) => lint::run(),
        Some(Chore::Tidy) => tidy::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{} {why:#}", "failed:".red().bold());
            ExitCode::FAILURE
        }
    }
}
