//! The files that rules look at: what git keeps, or would keep.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Result, bail};

/// Text files by their path from the top of the repository.
#[derive(Debug, Default)]
pub(super) struct Files {
    texts: BTreeMap<String, String>,
}

impl Files {
    /// Reads them: those in git, and new ones that git does not ignore.
    pub(super) fn of(root: &Path) -> Result<Self> {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        // A checkout may belong to another user, as in containers; to list its files is harmless.
        let output =
            Command::new("git").args(["-c", "safe.directory=*"]).args(list).current_dir(root).output()?;
        if !output.status.success() {
            bail!("git can't list the files: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let paths = String::from_utf8_lossy(&output.stdout).into_owned();
        let texts = paths.split('\0').filter(|path| !path.is_empty()).filter_map(|path| {
            // Deleted and not committed yet, or not text.
            Some((path.to_owned(), fs::read_to_string(root.join(path)).ok()?))
        });
        Ok(Self { texts: texts.collect() })
    }

    /// Files as a test wants them.
    #[cfg(test)]
    pub(super) fn from(texts: &[(&str, &str)]) -> Self {
        Self { texts: texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    /// Path and text of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text of one.
    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether there is a file or a folder of this path.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.texts.contains_key(path)
            || self.texts.range(folder.clone()..).next().is_some_and(|(first, _)| first.starts_with(&folder))
    }
}

/// The extension of a path, without the dot.
pub(super) fn extension(path: &str) -> &str {
    Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
