//! Where things are: the repository, and the cache of what was downloaded or built for it.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Whether this runs in continuous integration.
pub(crate) fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    let chosen = env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    root().join(chosen.unwrap_or_else(|| "target".into()))
}

/// What is installed for chores: in the repository, or in CI, where the checkout is thrown away, in the
/// user's cache.
pub(crate) fn cache() -> PathBuf {
    if !in_ci() {
        return root().join(".cache");
    }
    let user = env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    user.or_else(home).unwrap_or_else(|| root().join(".cache")).join("platepal-realtime")
}

/// Where `cargo install` puts what chores need, so that nothing of the user's is changed.
pub(crate) fn tools() -> PathBuf {
    cache().join("tools")
}

/// Where a program is: among our tools, or on `PATH`.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = [tools().join("bin")].into_iter().chain(env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}
