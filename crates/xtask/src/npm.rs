//! npm packages of this repository: what they depend on is in the cache, so that it outlives a checkout.

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

/// What says which dependencies a package has; the lock file is what decides whether they are the right ones.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// One of them.
pub(crate) struct Package {
    /// Its folder, from the top of the repository.
    pub folder: &'static str,
    /// Its folder in the cache.
    pub cached: &'static str,
}

impl Package {
    fn own(&self) -> PathBuf {
        place::root().join(self.folder)
    }

    /// Where npm finds its dependencies: a link into the cache.
    fn link(&self) -> PathBuf {
        self.own().join("node_modules")
    }

    /// Its dependencies, if they are those that are locked.
    pub fn dependencies(&self) -> Option<PathBuf> {
        let folder = place::cache().join(self.cached);
        let is_current = MANIFESTS.iter().all(|name| {
            let copy = fs::read(folder.join(name)).ok();
            copy.is_some() && copy == fs::read(self.own().join(name)).ok()
        });
        let modules = folder.join("node_modules");
        (is_current && modules.is_dir() && fs::read_link(self.link()).is_ok_and(|target| target == modules))
            .then_some(folder)
    }

    pub fn install(&self) -> Result<()> {
        let folder = place::cache().join(self.cached);
        fs::create_dir_all(&folder).with_context(|| format!("the cache of {} can't be made", self.folder))?;
        for name in MANIFESTS {
            fs::copy(self.own().join(name), folder.join(name))
                .with_context(|| format!("{name} can't be copied"))?;
        }
        let mut npm = command("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
        // Not by `--prefix`: npm takes a folder behind a link for a package of that name.
        npm.current_dir(fs::canonicalize(&folder)?).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
        let installed = shell::run(npm).and_then(|()| self.relink(&folder.join("node_modules")));
        if installed.is_err() {
            // What is there is not what the copy says.
            let _ = fs::remove_file(folder.join("package-lock.json"));
        }
        installed
    }

    fn relink(&self, modules: &Path) -> Result<()> {
        let link = self.link();
        // Of somebody who installed by hand; npm makes it again.
        let removed = if link.is_symlink() { fs::remove_file(&link) } else { fs::remove_dir_all(&link) };
        if let Err(why) = removed
            && link.exists()
        {
            return Err(why).with_context(|| format!("{} can't be replaced", link.display()));
        }
        symlink(modules, &link).with_context(|| format!("{} can't be made", link.display()))
    }

    /// One of its scripts.
    pub fn script(&self, name: &str) -> Command {
        command("npm", ["run", "--silent", "--prefix", self.folder, name])
    }

    /// One of its scripts, against the binary that was built last.
    pub fn script_with_tier(&self, name: &str) -> Command {
        let mut npm = self.script(name);
        npm.env("PLATEPAL_REALTIME_BINARY", place::target().join("debug/platepal-realtime"));
        npm.envs(chromium().map(|path| ("PLATEPAL_CHROMIUM", path)));
        npm
    }
}

/// The browser of tests; none is downloaded.
pub(crate) fn chromium() -> Option<PathBuf> {
    let chosen = env::var_os("PLATEPAL_CHROMIUM").map(PathBuf::from);
    chosen.or_else(|| {
        ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| place::program(name))
    })
}
