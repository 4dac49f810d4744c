//! The machine that a run is about.

// A measurement's date is the machine's; nothing here decides by it.
#![allow(clippy::disallowed_methods)]

use std::time::{SystemTime, UNIX_EPOCH};

use platepal_events::Timestamp;
use procfs::Current as _;
use serde::{Deserialize, Serialize};

/// What numbers depend on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// The day of the run.
    pub date: String,
    /// Its processor.
    pub processor: String,
    /// How many of them.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Open files that a process may have.
    pub open_files: u64,
}

impl Machine {
    /// This one.
    pub fn here(open_files: u64) -> Self {
        let processor =
            procfs::CpuInfo::current().ok().and_then(|info| info.model_name(0).map(str::to_owned));
        let memory = procfs::Meminfo::current().map_or(0, |memory| memory.mem_total);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let now = now().to_string();
        Self {
            date: now.split('T').next().unwrap_or_default().to_owned(),
            processor: processor.unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (memory + (1 << 29)) >> 30,
            kernel: kernel.trim().to_owned(),
            open_files,
        }
    }
}

/// Now.
pub fn now() -> Timestamp {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    Timestamp::from_micros(i64::try_from(micros).unwrap_or_default())
}
