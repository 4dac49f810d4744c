//! A child process: what it prints is kept and shown when the test fails; it never outlives its value.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

use crate::wait::{PATIENCE, poll};

/// Lines of a process's output that a failing test shows.
const SHOWN_LINES: usize = 80;

/// A process that ended when it should have run, and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its output.
    pub output: String,
}

/// A running child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// Output goes to a file and not to a pipe: nobody has to read it for the process to go on.
    folder: TempDir,
}

impl Process {
    /// Starts a command; `name` heads its output when the test fails.
    pub fn start(name: &str, mut command: Command) -> Self {
        let folder =
            TempDir::with_prefix("platepal-output-").expect("the folder for temporary files can be written");
        let output = fs::File::create(folder.path().join("output")).expect("a new folder can be written");
        let errors = output.try_clone().expect("a file handle can be copied");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().unwrap_or_else(|why| {
            panic!("{name} could not be started ({:?}): {why}", command.get_program());
        });
        Self { name: name.to_owned(), child, folder }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed so far, to both outputs, in order.
    pub fn output(&self) -> String {
        let bytes = fs::read(self.output_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<Ended> {
        let status = self.child.try_wait().expect("a child of this process can be waited for")?;
        Some(Ended { status, output: self.output() })
    }

    /// Waits until it ends by itself; panics with its output when it does not.
    pub async fn wait(&mut self, within: Duration) -> Ended {
        let mut ended = None;
        poll(within, || {
            ended = self.ended();
            let done = ended.is_some().then_some(());
            async move { done }
        })
        .await;
        ended.unwrap_or_else(|| panic!("{} still runs after {within:?}", self.name))
    }

    /// Waits until `ready` says so. Fails early, with its output, when the process ends before.
    pub async fn wait_ready<F>(
        &mut self,
        within: Duration,
        mut ready: impl FnMut(u32) -> F,
    ) -> Result<(), Ended>
    where
        F: Future<Output = bool>,
    {
        let outcome = poll(within, || {
            let ended = self.ended();
            let answer = ready(self.child.id());
            async move {
                match ended {
                    Some(ended) => Some(Err(ended)),
                    None => answer.await.then_some(Ok(())),
                }
            }
        })
        .await;
        outcome.unwrap_or_else(|| panic!("{} did not become ready within {within:?}", self.name))
    }

    /// Kills it as a power cut would (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only when the process is gone already, which is what is asked for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM); [`Process::wait`] tells when it did.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal; nothing happens when the process is gone.
    pub fn signal(&mut self, signal: Signal) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // The child has not been waited for, so its id can't belong to another process.
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// Stops it without ending it (SIGSTOP), and waits until it stands still: the signal reaches the threads of
    /// a process one after the other, and until it did those may still answer.
    pub async fn pause(&mut self) {
        self.signal(Signal::STOP);
        let child = Pid::from_child(&self.child);
        let stopped = poll(PATIENCE, || {
            // Asks for stops only, so that the end of the process stays there for whoever waits for it.
            let stop =
                waitid(WaitId::Pid(child), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG).ok().flatten();
            async move { stop.filter(|status| status.stopped()).map(|_| ()) }
        })
        .await;
        assert!(stopped.is_some(), "{} did not stop within {PATIENCE:?}", self.name);
    }

    /// Lets it go on after [`Process::pause`].
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    fn output_path(&self) -> PathBuf {
        self.folder.path().join("output")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            let skipped = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!("──── output of {} ({skipped} earlier lines left out)", self.name);
            for line in lines.iter().skip(skipped) {
                eprintln!("  {line}");
            }
            eprintln!("────");
        }
    }
}
