//! Installing what a peer needs: into the repository's cache, so that nothing of the user's is changed. What is there
//! already, at the version that is asked for, stays.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use super::{Peer, place};

/// What cargo tells a program that it runs, and build scripts (of `ring`) look at.
const RUN_BY_CARGO: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];
/// What was installed, in the folder of each peer.
const STAMP: &str = "installed";

pub(super) fn install(peer: Peer) -> anyhow::Result<String> {
    match peer {
        Peer::Ours => ours(),
        Peer::Ws | Peer::SocketIo => node(peer),
        Peer::ChannelsUvicorn | Peer::ChannelsDaphne => python(peer),
        Peer::Nchan => nchan(),
    }
}

/// Builds it as this program is built, so that what is measured is what is in the tree.
fn ours() -> anyhow::Result<String> {
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "-p", "platepal-realtime"]).current_dir(place::root());
    // What `cargo run` told this program of itself would change the build of some dependencies, and of all above them.
    for name in RUN_BY_CARGO {
        build.env_remove(name);
    }
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    run(build)?;
    let mut commit = Command::new("git");
    commit.args(["describe", "--always", "--dirty"]).current_dir(place::root());
    let commit = run(commit).map_or_else(|_| String::new(), |text| format!(" ({})", text.trim()));
    Ok(format!("{}{commit}", env!("CARGO_PKG_VERSION")))
}

fn node(peer: Peer) -> anyhow::Result<String> {
    let (source, home) = (place::source(peer), place::home(peer)?);
    for file in ["server.mjs", "package.json", "package-lock.json"] {
        fs::copy(source.join(file), home.join(file)).with_context(|| format!("{file} can't be copied"))?;
    }
    let wanted = fs::read_to_string(source.join("package-lock.json"))?;
    unless_stamped(&home, &wanted, || {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(&home);
        run(npm).map(drop)
    })?;
    let mut version = Command::new("node");
    version.arg("--version");
    let node = run(version).context("there is no Node.js")?;
    let package = fs::read_to_string(source.join("package.json"))?;
    let package: serde_json::Value = serde_json::from_str(&package)?;
    let pinned = package.get("dependencies").and_then(|all| all.as_object()?.values().next()?.as_str());
    Ok(format!("{}, Node.js {}", pinned.unwrap_or("?"), node.trim().trim_start_matches('v')))
}

fn python(peer: Peer) -> anyhow::Result<String> {
    let (source, home) = (place::source(peer), place::home(peer)?);
    let live = home.join("live");
    fs::create_dir_all(&live)?;
    for file in fs::read_dir(source.join("live"))?.flatten().filter(|file| file.path().is_file()) {
        fs::copy(file.path(), live.join(file.file_name()))?;
    }
    let requirements = source.join("requirements.txt");
    let wanted = fs::read_to_string(&requirements)?;
    unless_stamped(&home, &wanted, || {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(home.join("venv"));
        run(venv)?;
        let mut pip = Command::new(home.join("venv/bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
        run(pip).map(drop)
    })?;
    let mut version = Command::new(home.join("venv/bin/python"));
    version.arg("--version");
    let python = run(version)?;
    let pinned = |name: &str| {
        let line = wanted.lines().find(|line| line.starts_with(name));
        line.and_then(|line| Some(line.split_once("==")?.1.to_owned())).unwrap_or_default()
    };
    let server = match peer {
        Peer::ChannelsDaphne => format!("Daphne {}", pinned("daphne")),
        _ => format!("Uvicorn {}", pinned("uvicorn")),
    };
    Ok(format!("{}, {server}, Django {}, {}", pinned("channels"), pinned("Django"), python.trim()))
}

/// Where Debian's nginx keeps what it can't keep in memory. nchan makes a second configuration of it with these
/// defaults, whatever ours says, so the folder has to be there, empty.
const NGINX_STATE: &str = "/var/lib/nginx";

/// Unpacks Debian's packages and installs them not: that would start a web server on port 80.
fn nchan() -> anyhow::Result<String> {
    let home = place::home(Peer::Nchan)?;
    if !home.join(place::NGINX).is_file() || !home.join(place::NCHAN_MODULE).is_file() {
        let download = || {
            let mut apt = Command::new("apt-get");
            apt.args(["download", "-qq", "nginx", "libnginx-mod-nchan"]).current_dir(&home);
            run(apt)
        };
        if download().is_err() {
            let mut update = Command::new("apt-get");
            update.args(["update", "-qq"]);
            run(update)
                .context("apt-get knows no nginx, and can't update its lists (is this root, on Debian?)")?;
            download()?;
        }
        for package in fs::read_dir(&home)?.flatten().map(|file| file.path()) {
            if package.extension().is_some_and(|extension| extension == "deb") {
                let mut unpack = Command::new("dpkg");
                unpack.arg("-x").arg(&package).arg(&home);
                run(unpack)?;
            }
        }
    }
    fs::create_dir_all(NGINX_STATE)
        .with_context(|| format!("nchan needs the folder {NGINX_STATE}, which only root can make"))?;
    let versions = fs::read_dir(&home)?.flatten().filter_map(|file| {
        let name = file.file_name().to_string_lossy().replace("%3a", ":");
        let (package, rest) = name.strip_suffix(".deb")?.split_once('_')?;
        Some(format!("{package} {}", rest.rsplit_once('_')?.0))
    });
    let mut versions: Vec<String> = versions.collect();
    versions.sort();
    Ok(versions.join(", "))
}

/// Installs, unless the folder says that this was installed.
fn unless_stamped(
    home: &Path,
    wanted: &str,
    install: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stamp = home.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(&stamp, wanted).with_context(|| format!("{} can't be written", stamp.display()))
}

/// Runs a command to its end; its output, or what it complained of.
fn run(mut command: Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{name} could not be started"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
