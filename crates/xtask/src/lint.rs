//! Everything that can be said about the code without running it.

use anstream::eprintln;
use anyhow::{Context, Result};
use owo_colors::OwoColorize;

use crate::{
    install,
    shell::{self, command, quiet},
    tidy, typescript, web,
};

pub(crate) fn run() -> Result<()> {
    install::ensure(install::FOR_LINTS)?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"];
    let mut doc = command("cargo", ["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    shell::all([
        tidy::run(),
        shell::run(command("cargo", ["fmt", "--all", "--check"])),
        dependencies(),
        shell::run(command("cargo", clippy)),
        shell::run(doc),
        python(&["ruff", "check"]),
        python(&["ruff", "format", "--check"]),
        python(&["mypy"]),
        typescript::lint(),
        web::lint(),
    ])
}

/// A check of the Python package, as its `pyproject.toml` says.
fn python(check: &[&str]) -> Result<()> {
    let python = install::python_client().context("the Python package is not installed")?;
    let mut check = command(&python.to_string_lossy(), ["-m"].iter().chain(check));
    check.current_dir(install::python_package());
    shell::run(check)
}

/// Licences, sources and bans always; known vulnerabilities only where their list can be had.
fn dependencies() -> Result<()> {
    // Warnings (crates that are there twice) are for `cargo deny check bans`; here they would bury errors.
    let deny =
        |check: &[&str]| command("cargo", ["deny", "--log-level", "error", "check"].iter().chain(check));
    shell::run(deny(&["bans", "licenses", "sources"]))?;
    if quiet(command("cargo", ["deny", "fetch", "db"])).is_none() {
        eprintln!(
            "{} known vulnerabilities were NOT checked: the advisory database can't be fetched from here",
            "skipped:".yellow().bold()
        );
        return Ok(());
    }
    shell::run(deny(&["advisories"]))
}
