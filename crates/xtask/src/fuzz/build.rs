//! The targets as programs, compiled so that the engine sees where an input goes.

use std::path::PathBuf;

use anyhow::Result;

use super::Target;
use crate::{
    place,
    shell::{self, command, quiet},
};

/// What the engine needs to see: branches that were taken, and what was compared with what. Stable flags.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// What a build is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Soon there: our crates alone are instrumented, dependencies are those of the tests.
    Short,
    /// Quick to run: everything is instrumented and optimised, on nightly with the address sanitizer.
    Long { sanitizer: bool },
}

impl Kind {
    /// For long runs: with the sanitizer if a nightly compiler is there.
    pub fn long() -> Self {
        let nightly = quiet(command("rustup", ["run", "nightly", "cargo", "--version"]));
        Self::Long { sanitizer: nightly.is_some() }
    }
}

/// Every target, compiled.
#[derive(Debug)]
pub(super) struct Build {
    folder: PathBuf,
    pub sanitizer: bool,
}

impl Build {
    pub fn make(kind: Kind) -> Result<Self> {
        let package = ["--package", "platepal-fuzz", "--features", "engine", "--bins", "--locked"];
        let Kind::Long { sanitizer } = kind else {
            let mut cargo = command("cargo", ["build"].iter().chain(&package));
            cargo.env("RUSTC_WORKSPACE_WRAPPER", place::root().join("fuzz/instrument.sh"));
            cargo.env("PLATEPAL_FUZZ_FLAGS", FLAGS);
            shell::run(cargo)?;
            return Ok(Self { folder: place::target().join("debug"), sanitizer: false });
        };
        let host = shell::host()?;
        // A target has to be named, or build scripts would be instrumented, too.
        let options = ["build", "--profile", "fuzz", "--target", host.as_str()];
        let arguments = options.iter().chain(&package);
        let (mut cargo, target) = if sanitizer {
            let nightly = ["run", "nightly", "cargo"];
            let mut cargo = command("rustup", nightly.iter().chain(arguments));
            for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
                cargo.env_remove(name);
            }
            cargo.env("RUSTFLAGS", format!("{FLAGS} -Zsanitizer=address"));
            (cargo, place::target().join("fuzz-address"))
        } else {
            let mut cargo = command("cargo", arguments);
            cargo.env("RUSTFLAGS", FLAGS);
            (cargo, place::target().join("fuzz-plain"))
        };
        // Other flags, other builds: in the tests' folder each would throw the other's away.
        cargo.env("CARGO_TARGET_DIR", &target);
        shell::run(cargo)?;
        Ok(Self { folder: target.join(host).join("fuzz"), sanitizer })
    }

    /// The program of a target.
    pub fn program(&self, target: &Target) -> PathBuf {
        self.folder.join(format!("fuzz-{}", target.name))
    }
}
