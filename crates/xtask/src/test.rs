//! Every test of the workspace, of the clients' packages and of the pages, on real servers, and a few seconds of every
//! fuzz target.

use anyhow::{Context, Result};

use crate::{
    fuzz, install, place,
    shell::{self, command},
    typescript, web,
};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    install::ensure(install::FOR_TESTS)?;
    let mut nextest = command("cargo", ["nextest", "run", "--workspace", "--locked"]);
    if place::in_ci() {
        nextest.args(["--profile", "ci"]);
    }
    nextest.args(arguments);
    if let Some(server) = install::nats_server() {
        nextest.env("PLATEPAL_NATS_SERVER", server);
    }
    let sdks = [("PLATEPAL_SDK_NODE", install::sdk_node()), ("PLATEPAL_SDK_PYTHON", install::sdk_python())];
    for (variable, place) in sdks {
        nextest.envs(place.map(|place| (variable, place)));
    }
    if !arguments.is_empty() {
        // Somebody is after a few of them.
        return shell::run(nextest);
    }
    let doc_tests = command("cargo", ["test", "--workspace", "--locked", "--doc", "--quiet"]);
    // After the workspace's own, which build the binary that it runs.
    shell::all([
        shell::run(nextest),
        shell::run(doc_tests),
        python(),
        typescript::test(),
        web::test(),
        fuzz::short(),
    ])
}

/// The tests of Django's package, against the binary that was built last.
fn python() -> Result<()> {
    let python = install::python_client().context("the Python package is not installed")?;
    let mut pytest = command(&python.to_string_lossy(), ["-m", "pytest", "-q", "clients/python"]);
    pytest.env("PLATEPAL_REALTIME_BINARY", place::target().join("debug/platepal-realtime"));
    shell::run(pytest)
}
