//! A PostgreSQL cluster of one's own: own port, own folder, gone with its value.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::getuid;
use tempfile::TempDir;

use crate::{PATIENCE, Process, nats::find_on_path, ports};

/// Where distributions keep the servers' binaries, which are not on `PATH`.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Attempts to start again after a kill: the backends of the killed server need a moment to notice.
const STARTS: usize = 20;

/// A running PostgreSQL server with one database. Durable only as far as a killed process goes (`fsync=off`):
/// enough for a test that kills it, and much faster.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    folder: TempDir,
    account: Option<Account>,
    /// `None` between [`Postgres::kill`] and [`Postgres::restart`].
    process: Option<Process>,
}

/// PostgreSQL refuses to run as root; then it runs as the account that its package made.
#[derive(Debug, Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl Postgres {
    /// Makes an empty cluster, starts it and waits until it takes connections.
    pub async fn start() -> Self {
        let folder = TempDir::with_prefix("platepal-postgres-")
            .expect("the folder for temporary files can be written");
        let account = getuid().is_root().then(Account::postgres);
        if let Some(account) = account {
            chown(folder.path(), Some(account.user), Some(account.group))
                .expect("root may give folders away");
        }
        let mut server = Self { port: ports::free(), folder, account, process: None };
        server.make_cluster().await;
        server.restart().await;
        server
    }

    /// Its address, with the user and the (empty) database.
    pub fn url(&self) -> String {
        format!("postgres://platepal@127.0.0.1:{}/postgres", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server at once (SIGKILL). What it has written stays.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port and cluster; kills it first if it runs.
    pub async fn restart(&mut self) {
        self.kill();
        for _ in 0..STARTS {
            let mut process = Process::start("postgres", self.server());
            let cluster = self.cluster();
            match process.wait_ready(PATIENCE, |id| is_ready(cluster.clone(), id)).await {
                Ok(()) => {
                    self.process = Some(process);
                    return;
                }
                // "pre-existing shared memory block is still in use", or a lock file of one that just ended.
                Err(ended) if ended.output.contains("still in use") || ended.output.contains("lock file") => {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Err(ended) => panic!("postgres ended ({}) at its start:\n{}", ended.status, ended.output),
            }
        }
        panic!("the backends of the killed PostgreSQL server did not end");
    }

    /// What the server has printed since its last start; empty when it does not run.
    pub fn logs(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    fn cluster(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    async fn make_cluster(&self) {
        let mut command = self.command("initdb");
        command.args(["--no-sync", "--no-instructions", "--auth=trust", "--username=platepal"]);
        // Small log segments: a cluster is made for every test that needs one.
        command.args(["--encoding=UTF8", "--locale=C", "--wal-segsize=1", "-D"]).arg(self.cluster());
        let ended = Process::start("initdb", command).wait(PATIENCE * 3).await;
        assert!(ended.status.success(), "initdb failed ({}):\n{}", ended.status, ended.output);
    }

    fn server(&self) -> Command {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.cluster()).args(["-p", &self.port.to_string()]);
        // Its socket would be made where only the package's own server may write.
        command.arg("-k").arg(self.folder.path());
        for setting in
            ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=50", "shared_buffers=16MB"]
        {
            command.args(["-c", setting]);
        }
        command
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary(name));
        command.current_dir(self.folder.path());
        if let Some(Account { user, group }) = self.account {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its own children notice the death of their parent and end; the folder may go before them.
        self.kill();
    }
}

impl Account {
    fn postgres() -> Self {
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let account = accounts.lines().find_map(|line| {
            let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
            Some(Self { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
        });
        account.expect("there is no user `postgres`; `cargo xtask install` installs PostgreSQL")
    }
}

/// Ready: the server of this process id says so in its own status file.
async fn is_ready(cluster: PathBuf, id: u32) -> bool {
    let Ok(status) = fs::read_to_string(cluster.join("postmaster.pid")) else { return false };
    let mut lines = status.lines();
    let same = lines.next().is_some_and(|line| line.trim() == id.to_string());
    same && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}

fn binary(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir(Path::new(VERSIONS))
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin").join(name)).collect())
        .unwrap_or_default();
    versions.retain(|path| path.is_file());
    versions.sort();
    versions
        .pop()
        .or_else(|| find_on_path(name))
        .expect("PostgreSQL is not installed; `cargo xtask install` installs it")
}
