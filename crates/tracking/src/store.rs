//! What is kept: riders, deliveries, offers, trails, what is still to be told and to become due, grants.
//!
//! One transaction keeps a change and everything that follows from it. Nothing here decides.
//!
//! Locks are taken in one order everywhere: rider, delivery, offers, timers, streams. So no two transactions wait
//! for each other.
//!
//! SQLite and PostgreSQL understand the same statements ([`platepal_service::sql`]), so there is one store; its
//! tests run on both.

pub(crate) mod deliveries;
pub(crate) mod leases;
pub(crate) mod offers;
pub(crate) mod retention;
pub(crate) mod riders;
pub(crate) mod shifts;
pub(crate) mod speeds;
pub(crate) mod trails;

use std::sync::Arc;

use platepal_bus::Bus;
use platepal_service::{Database, DatabaseError, access::Granted, outbox::Outbox, timers::Timers};

use crate::settings::Settings;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the store is unavailable: {0}; nothing was kept, repeat with the same ids")]
    Database(#[from] sqlx::Error),
    #[error("{0} is kept in a form that does not read: {1}; was it written by a newer version?")]
    State(String, serde_json::Error),
    #[error("an offer is kept with the status {0:?}, which this version does not know")]
    OfferStatus(String),
    #[error("the piece of a trail that began at {0} does not read; was it written by a newer version?")]
    Trail(platepal_events::Timestamp),
    #[error("{0}")]
    Name(#[from] platepal_events::ChannelError),
}

/// The tables of tracking.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
    pub(crate) timers: Timers,
    pub(crate) grants: Granted,
    pub(crate) settings: Settings,
}

impl Store {
    /// Brings the tables up to date.
    pub(crate) async fn open(
        database: Database,
        bus: Arc<dyn Bus>,
        settings: &Settings,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        database.migrate("tracking", sqlx::migrate!("./migrations")).await?;
        let outbox = Outbox::new(database.clone(), bus, "tracking", connections);
        Ok(Self {
            grants: Granted::new(database.clone(), outbox.clone(), "tracking"),
            outbox,
            timers: Timers::new(database.clone(), "tracking"),
            settings: settings.clone(),
            database,
        })
    }
}

impl Store {
    /// The partition of a rider: the same in every replica, whatever built it (FNV-1a, 64 bits).
    pub(crate) fn partition_of(&self, rider_id: &str) -> i64 {
        let hash = rider_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        i64::try_from(hash % u64::from(self.settings.partitions.max(1))).unwrap_or_default()
    }
}
