//! A NATS server of one's own: own port, own folder, gone with its value.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{PATIENCE, Process, ports};

/// A running NATS server with JetStream.
#[derive(Debug)]
pub struct NatsServer {
    port: u16,
    folder: TempDir,
    /// `None` between [`NatsServer::kill`] and [`NatsServer::restart`].
    process: Option<Process>,
}

impl NatsServer {
    /// Starts a server with an empty store and waits until it answers.
    pub async fn start() -> Self {
        let folder =
            TempDir::with_prefix("platepal-nats-").expect("the folder for temporary files can be written");
        let mut server = Self { port: ports::free(), folder, process: None };
        server.restart().await;
        server
    }

    /// Its address for clients.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where JetStream keeps its streams.
    pub fn store(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server at once (SIGKILL). What JetStream has written stays.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port and store; kills it first if it runs.
    pub async fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(binary());
        command.args(["-js", "-a", "127.0.0.1", "-p"]).arg(self.port.to_string());
        command.arg("-sd").arg(self.folder.path());
        let mut process = Process::start("nats-server", command);
        let url = self.url();
        let ready = process.wait_ready(PATIENCE, |_| is_ready(url.clone())).await;
        if let Err(ended) = ready {
            panic!("nats-server ended ({}) at its start:\n{}", ended.status, ended.output);
        }
        self.process = Some(process);
    }

    /// Starts it again with an empty store, as after a lost disk.
    pub async fn restart_empty(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.folder.path().join("jetstream"))
            .expect("the store of a killed server can be removed");
        self.restart().await;
    }

    /// Stops it without ending it (SIGSTOP): connections stay open and nothing answers.
    pub async fn pause(&mut self) {
        self.running().pause().await;
    }

    /// Lets it go on after [`NatsServer::pause`].
    pub fn resume(&mut self) {
        self.running().resume();
    }

    /// What the server has printed since its last start; empty when it does not run.
    pub fn logs(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    fn running(&mut self) -> &mut Process {
        self.process.as_mut().expect("this NATS server was killed; restart() it first")
    }
}

/// Ready: a client can connect, and JetStream answers.
async fn is_ready(url: String) -> bool {
    match async_nats::connect(url).await {
        Ok(client) => async_nats::jetstream::new(client).query_account().await.is_ok(),
        Err(_) => false,
    }
}

fn binary() -> PathBuf {
    if let Some(path) = env::var_os("PLATEPAL_NATS_SERVER") {
        return PathBuf::from(path);
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/venv/bin/nats-server");
    let on_path = || find_on_path("nats-server");
    Some(installed)
        .filter(|path| path.exists())
        .or_else(on_path)
        .expect("nats-server is not installed; `cargo xtask install` installs it")
}

/// Where a program is, by `PATH`.
pub(crate) fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}
