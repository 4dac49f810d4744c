//! A program in another language that a test drives: a command per line in; answers and events, a line each, out.
//!
//! Commands are JSON objects that get an `id`; an answer repeats it with `ok` or `error`, an event has none.

use std::{
    collections::HashMap,
    env,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{Mutex, oneshot, watch},
    time::timeout,
};

use crate::{nats::find_on_path, wait::PATIENCE};

/// Events that a failing wait shows.
const SHOWN_EVENTS: usize = 60;

/// A running program. It is killed when its value is dropped.
#[derive(Debug)]
pub struct Driver {
    name: String,
    input: Mutex<ChildStdin>,
    next_id: AtomicU64,
    shared: Arc<Shared>,
    _child: Child,
}

#[derive(Debug, Default)]
struct Shared {
    /// Who waits for which answer.
    waiting: std::sync::Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    /// Every event so far, and whether there may be more.
    said: watch::Sender<Said>,
}

#[derive(Debug, Default)]
struct Said {
    events: Vec<Value>,
    ended: bool,
}

impl Driver {
    /// A script for Node, which is given the folder whose `node_modules` hold the SDK.
    pub fn node(script: &Path) -> Self {
        let node = find_on_path("node").expect("Node is not installed; `cargo xtask install` installs it");
        let modules = installed("PLATEPAL_SDK_NODE", "sdk");
        let mut command = Command::new(node);
        command.arg(script).arg(modules);
        Self::start("node", command)
    }

    /// A script for the Python that has the SDK.
    pub fn python(script: &Path) -> Self {
        let mut command = Command::new(installed("PLATEPAL_SDK_PYTHON", "venv/bin/python"));
        command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1");
        Self::start("python", command)
    }

    fn start(name: &str, mut command: Command) -> Self {
        // What it has to complain about is shown with the test's own output.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        // Connections are to this machine.
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        let mut child = command.spawn().unwrap_or_else(|why| panic!("{name} could not be started: {why}"));
        let input = child.stdin.take().expect("stdin is piped");
        let output = child.stdout.take().expect("stdout is piped");
        let shared = Arc::new(Shared::default());
        tokio::spawn(read(output, Arc::clone(&shared)));
        Self {
            name: name.to_owned(),
            input: Mutex::new(input),
            next_id: AtomicU64::new(1),
            shared,
            _child: child,
        }
    }

    /// Sends a command and gives its answer: what is in `ok`, or in `error`.
    pub async fn call(&self, mut command: Value) -> Result<Value, Value> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let fields = command.as_object_mut().expect("commands are objects");
        fields.insert("id".to_owned(), id.into());
        let (sender, answer) = oneshot::channel();
        self.shared.waiting().insert(id, sender);
        let line = format!("{command}\n");
        let written = self.input.lock().await.write_all(line.as_bytes()).await;
        written.unwrap_or_else(|why| panic!("{} takes no commands any more: {why}", self.name));
        match timeout(PATIENCE, answer).await {
            Ok(Ok(mut answer)) => match answer.get_mut("error") {
                Some(error) => Err(error.take()),
                None => Ok(answer.get_mut("ok").map(Value::take).unwrap_or_default()),
            },
            Ok(Err(_)) => panic!("{} ended before it answered {command}", self.name),
            Err(_) => {
                panic!(
                    "{} did not answer {command} within {PATIENCE:?}; {}",
                    self.name,
                    self.recent(|_| true)
                )
            }
        }
    }

    /// Every event so far, in order.
    pub fn events(&self) -> Vec<Value> {
        self.shared.said.borrow().events.clone()
    }

    /// Waits until the events hold what is looked for. Panics with `what`, and the events that are `of_interest`,
    /// when that takes longer than [`PATIENCE`].
    pub async fn wait<T>(
        &self,
        what: &str,
        of_interest: impl Fn(&Value) -> bool,
        mut find: impl FnMut(&[Value]) -> Option<T>,
    ) -> T {
        let mut said = self.shared.said.subscribe();
        let mut found = None;
        let mut look = |said: &Said| {
            found = find(&said.events);
            found.is_some() || said.ended
        };
        let waited = timeout(PATIENCE, said.wait_for(&mut look)).await.is_ok();
        let recent = || self.recent(of_interest);
        match found {
            Some(found) => found,
            None if waited => panic!("{} ended before {what}; {}", self.name, recent()),
            None => panic!("not within {PATIENCE:?}: {what}; {}", recent()),
        }
    }

    fn recent(&self, of_interest: impl Fn(&Value) -> bool) -> String {
        let events: Vec<String> =
            self.events().iter().filter(|event| of_interest(event)).map(Value::to_string).collect();
        let skipped = events.len().saturating_sub(SHOWN_EVENTS);
        let shown: Vec<&str> = events.iter().skip(skipped).map(String::as_str).collect();
        format!("{} said ({skipped} earlier left out):\n  {}", self.name, shown.join("\n  "))
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Value>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(output: ChildStdout, shared: Arc<Shared>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let said: Value =
            serde_json::from_str(&line).unwrap_or_else(|why| panic!("a driver said {line:?}: {why}"));
        match said.get("id").and_then(Value::as_u64) {
            Some(id) => {
                // Who gave up waiting has failed already.
                let _ = shared.waiting().remove(&id).map(|waits| waits.send(said));
            }
            None => shared.said.send_modify(|all| all.events.push(said)),
        }
    }
    shared.waiting().clear();
    shared.said.send_modify(|all| all.ended = true);
}

/// What `cargo xtask install` has installed, or what a variable names instead.
fn installed(variable: &str, path: &str) -> PathBuf {
    let chosen = env::var_os(variable).map(PathBuf::from);
    let ours = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache").join(path);
    let found = chosen.unwrap_or_else(ours);
    assert!(found.exists(), "{} is not there; `cargo xtask install` installs it", found.display());
    found
}
