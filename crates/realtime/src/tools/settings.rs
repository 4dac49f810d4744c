//! `settings`: the reference page.

use anstream::print;

use crate::configuration;

/// Prints the page that `docs/settings.md` holds.
#[allow(clippy::print_stdout)]
pub(crate) fn run() -> anyhow::Result<()> {
    print!("{}", configuration::reference());
    Ok(())
}
