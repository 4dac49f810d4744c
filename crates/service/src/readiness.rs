//! Whether this process can work: what `/readyz` answers.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

/// The gates of one process, by name; it is ready when all are open. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    closed: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

/// One thing that must be well. Closed when made.
#[derive(Debug, Clone)]
pub struct Gate {
    name: String,
    readiness: Readiness,
}

impl Readiness {
    /// A new gate, closed because it is starting.
    pub fn gate(&self, name: &str) -> Gate {
        let gate = Gate { name: name.to_owned(), readiness: self.clone() };
        gate.close("starting");
        gate
    }

    /// Why the process is not ready: the closed gates and their reasons; empty when it is.
    pub fn closed(&self) -> Vec<(String, String)> {
        self.closed.lock().iter().filter_map(|(name, why)| Some((name.clone(), why.clone()?))).collect()
    }
}

impl Gate {
    /// All is well here.
    pub fn open(&self) {
        self.readiness.closed.lock().insert(self.name.clone(), None);
    }

    /// Something is not well here; `why` is for people.
    pub fn close(&self, why: impl Into<String>) {
        self.readiness.closed.lock().insert(self.name.clone(), Some(why.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_gate_is_open() {
        let readiness = Readiness::default();
        let (bus, store) = (readiness.gate("bus"), readiness.gate("store"));
        bus.open();
        assert_eq!(readiness.closed(), [("store".to_owned(), "starting".to_owned())]);
        store.open();
        assert!(readiness.closed().is_empty());
        bus.close("can't reach NATS");
        assert_eq!(readiness.closed(), [("bus".to_owned(), "can't reach NATS".to_owned())]);
    }
}
