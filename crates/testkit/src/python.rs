//! The Python whose packages tests run.

use std::{
    env,
    path::{Path, PathBuf},
};

/// A Python that has what `cargo xtask install` installs, e.g. `cent`.
pub fn python() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/venv/bin/python");
    let python = env::var_os("PLATEPAL_SDK_PYTHON").map_or(installed, PathBuf::from);
    assert!(python.exists(), "{} is not there; `cargo xtask install` installs it", python.display());
    python
}
