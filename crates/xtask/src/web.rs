//! The pages that the binary embeds: their dependencies, their tests against a real tier and a real browser, their lints.

use std::path::PathBuf;

use anyhow::Result;

use crate::{npm::Package, shell};

const PACKAGE: Package = Package { folder: "web", cached: "web" };

pub(crate) fn dependencies() -> Option<PathBuf> {
    PACKAGE.dependencies()
}

pub(crate) fn install() -> Result<()> {
    PACKAGE.install()
}

pub(crate) fn test() -> Result<()> {
    shell::all([shell::run(PACKAGE.script("test")), shell::run(PACKAGE.script_with_tier("test:browser"))])
}

/// Also whether the files that the binary embeds are what the sources make.
pub(crate) fn lint() -> Result<()> {
    shell::run(PACKAGE.script("lint"))
}
