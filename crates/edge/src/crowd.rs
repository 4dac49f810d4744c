//! What each address holds and does: its connections, and how often it shakes hands.
//!
//! An address is in the table while it has connections or has shaken hands lately; so the table is as large as
//! what it counts, and a bound of its own keeps a flood from many addresses out of it.

use std::{
    collections::{HashMap, hash_map},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use metrics::gauge;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    Settings,
    limits::{Allowance, Pace},
};

/// Entries below which looking for idle ones is not worth it.
const SWEEP_MIN: usize = 1024;

/// All addresses.
#[derive(Debug)]
pub(crate) struct Crowd {
    connections_max: usize,
    handshakes: Allowance,
    addresses_max: usize,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    entries: HashMap<IpAddr, Entry>,
    /// How many entries there must be until idle ones are looked for.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    connections: usize,
    pace: Pace,
}

/// One connection of an address; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    /// `None`: there was no room to count it.
    address: Option<IpAddr>,
}

impl Crowd {
    pub fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            connections_max: settings.connections_per_address_max,
            handshakes: Allowance {
                per_second: settings.handshakes_per_address_per_second,
                burst: settings.handshakes_per_address_burst,
            },
            addresses_max: settings.addresses_max,
            table: Mutex::new(Table { entries: HashMap::new(), sweep_at: SWEEP_MIN }),
        })
    }

    /// Counts a connection; `None` when its address has too many.
    pub fn enter(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Place> {
        let mut table = self.table.lock();
        let counted = match table.entry(address, self.addresses_max, now) {
            Some(entry) if entry.connections >= self.connections_max => return None,
            Some(entry) => {
                entry.connections += 1;
                Some(address)
            }
            None => None,
        };
        Some(Place { crowd: Arc::clone(self), address: counted })
    }

    /// Counts a handshake; the error is how long its address has to wait for the next.
    pub fn shake(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        match self.table.lock().entry(address, self.addresses_max, now) {
            Some(entry) => entry.pace.reserve(self.handshakes, now, Duration::ZERO).map(drop),
            None => Ok(()),
        }
    }

    /// A handshake that was counted does not take place.
    pub fn unshake(&self, address: IpAddr) {
        if let Some(entry) = self.table.lock().entries.get_mut(&address) {
            entry.pace.give_back(self.handshakes);
        }
    }

    fn leave(&self, address: IpAddr, now: Instant) {
        let mut table = self.table.lock();
        let hash_map::Entry::Occupied(mut entry) = table.entries.entry(address) else { return };
        entry.get_mut().connections = entry.get().connections.saturating_sub(1);
        if entry.get().is_idle(now) {
            entry.remove();
            gauge!("realtime_edge_addresses").set(table.entries.len() as f64);
        }
    }
}

impl Table {
    /// The entry of an address; `None` when there are too many.
    fn entry(&mut self, address: IpAddr, max: usize, now: Instant) -> Option<&mut Entry> {
        if !self.entries.contains_key(&address) {
            if self.entries.len() >= self.sweep_at.min(max) {
                self.entries.retain(|_, entry| !entry.is_idle(now));
                // So that looking costs each newcomer the same, however many there are.
                self.sweep_at = (2 * self.entries.len()).max(SWEEP_MIN);
                self.entries.shrink_to(self.sweep_at);
            }
            if self.entries.len() >= max {
                return None;
            }
            gauge!("realtime_edge_addresses").set((self.entries.len() + 1) as f64);
        }
        Some(self.entries.entry(address).or_insert_with(|| Entry { connections: 0, pace: Pace::new(now) }))
    }
}

impl Entry {
    fn is_idle(&self, now: Instant) -> bool {
        self.connections == 0 && self.pace.is_full(now)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.crowd.leave(address, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::settings::tests::read;

    fn crowd(variables: &[(&str, &str)]) -> Arc<Crowd> {
        Crowd::new(&read(variables).0)
    }

    fn address(last: u32) -> IpAddr {
        IpAddr::from((0xc633_6400 + last).to_be_bytes())
    }

    #[test]
    fn an_address_has_so_many_connections_and_a_closed_one_makes_room() {
        let (crowd, now) = (crowd(&[("REALTIME_EDGE_CONNECTIONS_PER_ADDRESS_MAX", "2")]), Instant::now());
        let first = crowd.enter(address(1), now).unwrap();
        let _second = crowd.enter(address(1), now).unwrap();
        assert!(crowd.enter(address(1), now).is_none());
        let _other = crowd.enter(address(2), now).unwrap();
        drop(first);
        assert!(crowd.enter(address(1), now).is_some());
    }

    #[test]
    fn an_address_shakes_hands_so_often_and_is_told_how_long_to_wait() {
        let crowd = crowd(&[
            ("REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_PER_SECOND", "10"),
            ("REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_BURST", "2"),
        ]);
        let now = Instant::now();
        assert_eq!(crowd.shake(address(1), now), Ok(()));
        assert_eq!(crowd.shake(address(1), now), Ok(()));
        assert_eq!(crowd.shake(address(1), now), Err(Duration::from_millis(100)));
        assert_eq!(crowd.shake(address(2), now), Ok(()));
        crowd.unshake(address(1));
        assert_eq!(crowd.shake(address(1), now), Ok(()));
        assert_eq!(crowd.shake(address(1), now + Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn a_flood_of_addresses_leaves_nothing_behind_and_keeps_nobody_out() {
        let crowd = crowd(&[("REALTIME_EDGE_ADDRESSES_MAX", "5000")]);
        let now = Instant::now();
        let place = crowd.enter(address(0), now).unwrap();
        for last in 1..20_000 {
            assert_eq!(crowd.shake(address(last), now), Ok(()));
            assert!(crowd.table.lock().entries.len() <= 5_000);
        }
        // There is no room to count it, so it is not counted.
        drop(crowd.enter(address(20_000), now).unwrap());
        assert_eq!(crowd.table.lock().entries.len(), 5_000);
        assert_eq!(crowd.shake(address(20_001), now + Duration::from_secs(60)), Ok(()));
        assert_eq!(crowd.table.lock().entries.len(), 2, "the idle ones are gone");
        drop(place);
        assert_eq!(crowd.table.lock().entries.len(), 1);
    }
}
