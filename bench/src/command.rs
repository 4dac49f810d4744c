//! What the command of every measurement against our own server does: it looks for the binary, can be stopped, and shows
//! or writes its page.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use owo_colors::OwoColorize;

/// That the server to measure was built.
pub fn check_binary(binary: &Path) -> anyhow::Result<()> {
    ensure!(binary.exists(), "{} is not there: cargo build --release -p platepal-realtime", binary.display());
    Ok(())
}

/// Measures until it is done, or until Ctrl-C.
pub async fn until_interrupted(measuring: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::select! {
        result = measuring => result,
        // The server ends with what holds it.
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            anstream::eprintln!("{}", "interrupted; the server is ended, nothing was written".yellow());
            Ok(())
        }
    }
}

/// Prints a page; or writes it, and its plots by `draw` into the folder of the same name beside it.
pub fn publish(
    page: &str,
    out: Option<&PathBuf>,
    draw: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(out) = out else {
        anstream::println!("{page}");
        return Ok(());
    };
    let folder = out.with_extension("");
    std::fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    draw(&folder)?;
    std::fs::write(out, page).with_context(|| format!("{} can't be written", out.display()))?;
    anstream::println!("{} {}", "written:".green().bold(), out.display());
    Ok(())
}
