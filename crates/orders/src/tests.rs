//! The domain as a whole, without the wire: one suite, run on SQLite and on a real PostgreSQL, over the
//! embedded bus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod deadlines;
mod delivery;
mod reading;

use std::{path::Path, sync::Arc, time::Duration};

use platepal_bus::{Bus, Embedded};
use platepal_events::{Channel, Entry, Event, Timestamp};
use platepal_proto::v1;
use platepal_service::{Clock, Database, access::Access};
use platepal_settings::Reader;
use platepal_testkit::Postgres;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    grpc::{Orders, Told},
    rules::{order::Update, recognise::digest, status::Status},
    settings::Settings,
    store::{Audience, Store},
};

/// A database and a bus; replicas of the domain are made on them.
struct World {
    bus: Arc<Embedded>,
    folder: TempDir,
    /// SQLite is one process: its replicas share one pool.
    sqlite: Option<Database>,
    postgres: Option<Postgres>,
}

fn settings<G: platepal_settings::Group>() -> G {
    Reader::new(Vec::<(String, String)>::new()).read::<G>().unwrap()
}

fn open_bus(folder: &Path) -> Arc<Embedded> {
    Embedded::open(folder, &settings()).unwrap()
}

impl World {
    async fn on_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("orders.db");
        let sqlite = Database::sqlite(&file, Duration::from_secs(10)).await.unwrap();
        Self { bus: open_bus(&folder.path().join("bus")), folder, sqlite: Some(sqlite), postgres: None }
    }

    async fn on_postgres() -> Self {
        let folder = TempDir::new().unwrap();
        let postgres = Postgres::start().await;
        Self { bus: open_bus(&folder.path().join("bus")), folder, sqlite: None, postgres: Some(postgres) }
    }

    /// A replica with a pool of its own, where the engine allows that.
    async fn replica(&self) -> Orders {
        self.replica_on(self.bus.clone()).await
    }

    async fn replica_on(&self, bus: Arc<dyn Bus>) -> Orders {
        let database = match (&self.sqlite, &self.postgres) {
            (Some(sqlite), _) => sqlite.clone(),
            (None, Some(server)) => {
                Database::postgres(&server.url(), 6, Duration::from_secs(10)).await.unwrap()
            }
            (None, None) => unreachable!("a world has a database"),
        };
        let store = Store::open(database, bus.clone(), &settings::<Settings>(), 6).await.unwrap();
        let _ = rustls_provider();
        let access = Access::new(&settings(), Arc::new(store.grants.clone()), Clock).unwrap();
        Orders { store, bus, access, valid_for: Duration::from_secs(60), clock: Clock }
    }

    /// All that a channel was told.
    async fn told(&self, channel: &str) -> Vec<Entry> {
        self.bus.read(&channel.parse().unwrap(), 0, 1_000).await.unwrap().entries
    }

    async fn told_types(&self, channel: &str) -> Vec<String> {
        self.told(channel).await.iter().map(|entry| entry.event.kind.to_string()).collect()
    }

    /// Closes the bus and opens it again on its log.
    async fn bus_back(&mut self) {
        self.bus.close().await;
        self.bus = open_bus(&self.folder.path().join("bus"));
    }
}

/// The access client needs a TLS provider even when it asks nobody.
fn rustls_provider() -> Result<(), Arc<rustls::crypto::CryptoProvider>> {
    rustls::crypto::ring::default_provider().install_default()
}

/// Runs a story on both databases.
macro_rules! on_both {
    ($($name:ident)+) => {
        mod on_sqlite { $( #[tokio::test] async fn $name() { super::$name(crate::tests::World::on_sqlite().await).await; } )+ }
        mod on_postgres { $( #[tokio::test] async fn $name() { super::$name(crate::tests::World::on_postgres().await).await; } )+ }
    };
}
use on_both;

/// An update as `PublishOrder` makes it.
fn update(order: &str, event: &str, status: Status, version: u64) -> Update {
    at(order, event, status, version, Clock.now())
}

fn at(order: &str, event: &str, status: Status, version: u64, moment: Timestamp) -> Update {
    let payload = json!({"id": order, "status": status.word(), "n": version}).to_string();
    let message = v1::Event {
        event_id: event.into(),
        r#type: status.type_name().into(),
        payload: payload.clone().into(),
        timestamp: Some(moment.into()),
        ..Default::default()
    };
    Update {
        event: Event::parse(message, moment).unwrap(),
        verbatim: false,
        order_id: order.into(),
        status,
        way: None,
        stamp: platepal_events::Stamp { version, at: moment.micros() },
        customer: Some("7".into()),
        restaurant: Some("12".into()),
        rider: None,
        digest: digest(status, &payload, &[]),
        payload,
        sla_minutes: None,
    }
}

async fn take(orders: &Orders, update: Update) -> Told {
    orders.take(update, Audience::Participants(vec![])).await.unwrap()
}

fn data(entry: &Entry) -> Value {
    serde_json::from_slice(&entry.event.payload).unwrap()
}

fn channel(name: &str) -> Channel {
    name.parse().unwrap()
}
