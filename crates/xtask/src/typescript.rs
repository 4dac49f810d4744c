//! The TypeScript package: its dependencies, its tests against a real tier and a real browser, its lints.

use std::path::PathBuf;

use anyhow::Result;

use crate::{npm::Package, shell};

const PACKAGE: Package = Package { folder: "clients/typescript", cached: "typescript" };

pub(crate) fn dependencies() -> Option<PathBuf> {
    PACKAGE.dependencies()
}

pub(crate) fn install() -> Result<()> {
    PACKAGE.install()
}

pub(crate) fn test() -> Result<()> {
    let (build, browser) = (PACKAGE.script("build"), PACKAGE.script_with_tier("test:browser"));
    shell::all([shell::run(build), shell::run(PACKAGE.script_with_tier("test")), shell::run(browser)])
}

pub(crate) fn lint() -> Result<()> {
    shell::run(PACKAGE.script("lint"))
}
