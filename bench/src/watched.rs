//! What the kernel says of a server: CPU time and memory of a process and all its descendants; and how busy the
//! rest of the machine was meanwhile.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use procfs::{CurrentSI as _, process::Process};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// Memory counts as settled when it changed by less than this between two looks, in bytes.
const SETTLED_BYTES: u64 = 64 << 10;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Looks before it is measured as it is.
const LOOKS_MAX: usize = 40;

/// CPU time of the servers that have ended.
static ENDED_MICROS: AtomicU64 = AtomicU64::new(0);

/// A server under measurement, by the id of its first process.
#[derive(Debug, Clone, Copy)]
pub struct Watched(i32);

impl Watched {
    /// The process of this id and its descendants.
    pub fn new(pid: u32) -> anyhow::Result<Self> {
        Ok(Self(i32::try_from(pid)?))
    }

    /// CPU time so far, user and system. What the kernel does for a packet on loopback, to the very wakeup of its
    /// reader, counts for whoever sent it.
    pub fn cpu(self) -> anyhow::Result<Duration> {
        self.members()?.iter().map(cpu_of).sum()
    }

    /// Resident memory, pages shared between its processes counted once.
    pub fn memory(self) -> anyhow::Result<u64> {
        let sizes = self.members()?.into_iter().map(|member| {
            let rollup = member.smaps_rollup()?;
            let map = rollup.memory_map_rollup.0.first().context("an empty smaps_rollup")?;
            map.extension.map.get("Pss").copied().context("no Pss")
        });
        sizes.sum()
    }

    /// [`Watched::memory`] once it stands still.
    pub async fn settled_memory(self) -> anyhow::Result<u64> {
        let mut last = self.memory()?;
        for _ in 0..LOOKS_MAX {
            tokio::time::sleep(LOOK).await;
            let now = self.memory()?;
            if now.abs_diff(last) < SETTLED_BYTES {
                return Ok(now);
            }
            last = now;
        }
        Ok(last)
    }

    /// Kills all of it at once. To be called while the first process has not been waited for: the ids are then its
    /// and nobody else's.
    pub fn kill(self) {
        ENDED_MICROS.fetch_add(self.cpu().map_or(0, micros), Ordering::Relaxed);
        for member in self.members().unwrap_or_default() {
            if let Some(pid) = Pid::from_raw(member.pid) {
                // An error means that it is gone already.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    fn members(self) -> anyhow::Result<Vec<Process>> {
        let mut rest: Vec<(i32, Process)> = procfs::process::all_processes()?
            .flatten()
            .filter_map(|process| Some((process.stat().ok()?.ppid, process)))
            .collect();
        let mut members = vec![Process::new(self.0).context("the server has ended")?];
        let mut ids = vec![self.0];
        loop {
            let (children, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|(parent, _)| ids.contains(parent));
            if children.is_empty() {
                return Ok(members);
            }
            ids = children.iter().map(|(_, child)| child.pid).collect();
            members.extend(children.into_iter().map(|(_, child)| child));
            rest = others;
        }
    }
}

fn cpu_of(process: &Process) -> anyhow::Result<Duration> {
    let stat = process.stat().context("a process of the server has ended")?;
    Ok(ticks(stat.utime + stat.stime))
}

/// CPU time of this process.
pub fn own_cpu() -> anyhow::Result<Duration> {
    cpu_of(&Process::myself()?)
}

/// CPU time of the whole machine that was not idle.
fn busy() -> anyhow::Result<Duration> {
    let total = procfs::KernelStats::current()?.total;
    let extra = [total.irq, total.softirq, total.steal].into_iter().flatten().sum::<u64>();
    Ok(ticks(total.user + total.nice + total.system + extra))
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / procfs::ticks_per_second() as f64)
}

/// Raises the limit on open files as far as it goes, for this process and the servers that it starts; says how far.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // An error leaves what was there, and that is what is said.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How much others use the machine while something is measured.
#[derive(Debug)]
pub struct Disturbance {
    busy: Duration,
    ours: Duration,
    began: Instant,
}

impl Disturbance {
    /// From now on. No server may run.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { busy: busy()?, ours: ours()?, began: Instant::now() })
    }

    /// Others' share of the machine's CPU time until now, from 0 to 1. No server may run.
    pub fn share(&self) -> anyhow::Result<f64> {
        let busy = busy()?.saturating_sub(self.busy).as_secs_f64();
        let ours = ours()?.saturating_sub(self.ours).as_secs_f64();
        let all = self.began.elapsed().as_secs_f64() * std::thread::available_parallelism()?.get() as f64;
        Ok(((busy - ours) / all).clamp(0.0, 1.0))
    }
}

fn ours() -> anyhow::Result<Duration> {
    Ok(own_cpu()? + Duration::from_micros(ENDED_MICROS.load(Ordering::Relaxed)))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
