//! Running commands: shown before they run, with our tools on their `PATH`.

use std::{
    env,
    ffi::OsString,
    process::{Command, Stdio},
};

use anstream::eprintln;
use anyhow::{Context, Result, bail};
use owo_colors::OwoColorize;

use crate::place;

/// A command at the top of the repository. `cargo` is the one that runs this.
pub(crate) fn command<I: AsRef<str>>(program: &str, arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = match program {
        "cargo" => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
        _ => Command::new(program),
    };
    command.args(arguments.into_iter().map(|argument| OsString::from(argument.as_ref())));
    command.current_dir(place::root());
    // What cargo tells this program of its package is not true of what it starts; some build scripts would run
    // again for it, and with them half of the dependencies.
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(&name);
        }
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = [place::tools().join("bin")].into_iter().chain(env::split_paths(&path));
    if let Ok(path) = env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
}

/// Shows and runs it; an error says that it failed.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let line = line(&command);
    eprintln!("{} {line}", "$".dimmed());
    let status = command.status().with_context(|| format!("`{line}` could not be started"))?;
    if !status.success() {
        bail!("`{line}` ({status})");
    }
    Ok(())
}

/// Runs it without showing anything; its output, if it succeeded.
pub(crate) fn quiet(mut command: Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The platform that this runs on, as rustc names it.
pub(crate) fn host() -> Result<String> {
    let version = quiet(command("rustc", ["-vV"])).context("rustc can't be asked for its platform")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say its platform")
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    [name].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Runs every step although one fails; one error names those that did.
pub(crate) fn all(steps: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let failures: Vec<String> =
        steps.into_iter().filter_map(Result::err).map(|why| format!("{why:#}")).collect();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n        "));
    }
    Ok(())
}
