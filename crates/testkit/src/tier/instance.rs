//! One process of a tier, with what stays the same over its restarts: ports, data and environment.

use std::{collections::BTreeMap, env, net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use tempfile::TempDir;
use tokio::time::timeout;

use super::Role;
use crate::{Ended, PATIENCE, Process, http, ports};

/// Where one process listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
}

/// One process, running or not.
#[derive(Debug)]
pub(super) struct Instance {
    /// What it runs; more than one when the tier is one process.
    pub roles: Vec<Role>,
    pub ports: Ports,
    binary: PathBuf,
    /// The role's name, or none for all of them.
    argument: Option<&'static str>,
    environment: BTreeMap<String, String>,
    // Dropped in this order: the process must be gone before its data.
    process: Option<Process>,
    _data: TempDir,
}

impl Ports {
    pub(super) fn free() -> Self {
        Self { http: ports::free_address(), grpc: ports::free_address(), admin: ports::free_address() }
    }
}

impl Instance {
    pub(super) fn new(
        binary: PathBuf,
        argument: Option<&'static str>,
        roles: Vec<Role>,
        ports: Ports,
        mut environment: BTreeMap<String, String>,
    ) -> Self {
        let data =
            TempDir::with_prefix("platepal-data-").expect("the folder for temporary files can be written");
        let own = [
            ("REALTIME_HTTP_ADDR", ports.http.to_string()),
            ("REALTIME_GRPC_ADDR", ports.grpc.to_string()),
            ("REALTIME_ADMIN_ADDR", ports.admin.to_string()),
            ("REALTIME_DATA_DIR", data.path().display().to_string()),
        ];
        for (name, value) in own {
            // What the test set stays.
            environment.entry(name.to_owned()).or_insert(value);
        }
        Self { roles, ports, binary, argument, environment, process: None, _data: data }
    }

    pub(super) fn start(&mut self) {
        self.kill();
        let mut command = Command::new(&self.binary);
        command.args(self.argument);
        // A test must not depend on the settings of whoever runs it.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REALTIME_")) {
            command.env_remove(name);
        }
        command.envs(&self.environment);
        self.process = Some(Process::start(self.name(), command));
    }

    pub(super) async fn wait_ready(&mut self) {
        let name = self.name();
        let admin = self.ports.admin;
        let process = self.running();
        if let Err(ended) = process.wait_ready(PATIENCE, |_| readiness(admin)).await {
            panic!("{name} ended ({}) before it was ready:\n{}", ended.status, ended.output);
        }
    }

    pub(super) async fn is_ready(&self) -> bool {
        self.process.is_some() && readiness(self.ports.admin).await
    }

    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    pub(super) fn terminate(&mut self) {
        self.running().terminate();
    }

    pub(super) async fn wait_ended(&mut self, within: Duration) -> Ended {
        let ended = self.running().wait(within).await;
        self.process = None;
        ended
    }

    pub(super) fn output(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    pub(super) fn process_id(&self) -> u32 {
        self.process.as_ref().map(Process::id).unwrap_or_else(|| panic!("{} does not run", self.name()))
    }

    fn running(&mut self) -> &mut Process {
        let name = self.name();
        self.process.as_mut().unwrap_or_else(|| panic!("{name} does not run; start() it first"))
    }

    fn name(&self) -> &'static str {
        self.argument.unwrap_or("platepal-realtime")
    }
}

/// One look at `/readyz`; a process that does not answer is not ready.
async fn readiness(admin: SocketAddr) -> bool {
    let url = format!("http://{admin}/readyz");
    let answer = timeout(Duration::from_secs(1), http::try_request("GET", &url, &[], "")).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|response| response.status == 200))
}
