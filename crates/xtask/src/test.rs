//! Every test of the workspace, on real servers, and a few seconds of every fuzz target.

use anyhow::Result;

use crate::{
    fuzz, install, place,
    shell::{self, command},
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
    shell::all([shell::run(nextest), shell::run(doc_tests), fuzz::short()])
}
