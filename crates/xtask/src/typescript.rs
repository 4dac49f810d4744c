//! The TypeScript package: its dependencies, its tests against a real tier and a real browser, its lints.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    place,
    shell::{self, command},
};

/// What says which dependencies it has; the lock file is what decides whether they are the right ones.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

fn package() -> PathBuf {
    place::root().join("clients/typescript")
}

/// Where npm finds its dependencies: a link into the cache, so that they outlive a checkout.
fn link() -> PathBuf {
    package().join("node_modules")
}

/// Its dependencies, if they are those that are locked.
pub(crate) fn dependencies() -> Option<PathBuf> {
    let folder = place::cache().join("typescript");
    let is_current = MANIFESTS.iter().all(|name| {
        let copy = fs::read(folder.join(name)).ok();
        copy.is_some() && copy == fs::read(package().join(name)).ok()
    });
    let modules = folder.join("node_modules");
    (is_current && modules.is_dir() && fs::read_link(link()).is_ok_and(|target| target == modules))
        .then_some(folder)
}

pub(crate) fn install() -> Result<()> {
    let folder = place::cache().join("typescript");
    fs::create_dir_all(&folder).context("the folder of the TypeScript package can't be made")?;
    for name in MANIFESTS {
        fs::copy(package().join(name), folder.join(name))
            .with_context(|| format!("{name} can't be copied"))?;
    }
    let mut npm = command("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
    // Not by `--prefix`: npm takes a folder behind a link for a package of that name.
    npm.current_dir(fs::canonicalize(&folder)?).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    let installed = shell::run(npm).and_then(|()| relink(&folder.join("node_modules")));
    if installed.is_err() {
        // What is there is not what the copy says.
        let _ = fs::remove_file(folder.join("package-lock.json"));
    }
    installed
}

fn relink(modules: &Path) -> Result<()> {
    let link = link();
    // Of somebody who installed by hand; npm makes it again.
    let removed = if link.is_symlink() { fs::remove_file(&link) } else { fs::remove_dir_all(&link) };
    if let Err(why) = removed
        && link.exists()
    {
        return Err(why).context("clients/typescript/node_modules can't be replaced");
    }
    symlink(modules, link).context("clients/typescript/node_modules can't be made")
}

/// The browser of its tests; none is downloaded.
pub(crate) fn chromium() -> Option<PathBuf> {
    let chosen = env::var_os("PLATEPAL_CHROMIUM").map(PathBuf::from);
    chosen.or_else(|| {
        ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| place::program(name))
    })
}

/// Against the binary that was built last.
pub(crate) fn test() -> Result<()> {
    let with_tier = |script| {
        let mut npm = npm(script);
        npm.env("PLATEPAL_REALTIME_BINARY", place::target().join("debug/platepal-realtime"));
        npm.envs(chromium().map(|path| ("PLATEPAL_CHROMIUM", path)));
        shell::run(npm)
    };
    shell::all([shell::run(npm("build")), with_tier("test"), with_tier("test:browser")])
}

pub(crate) fn lint() -> Result<()> {
    shell::run(npm("lint"))
}

fn npm(script: &str) -> Command {
    command("npm", ["run", "--silent", "--prefix", "clients/typescript", script])
}
