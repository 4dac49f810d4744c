//! The domain as a whole, without the wire: one suite, run on SQLite and on a real PostgreSQL, over the
//! embedded bus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod access;
mod deliveries;
mod offers;
mod riders;
mod trails;

use std::{path::Path, sync::Arc, time::Duration};

use platepal_auth::ShareSettings;
use platepal_bus::{Bus, Embedded};
use platepal_events::{Channel, Entry};
use platepal_proto::v1::{self, rider_owner_service_server::RiderOwnerServiceServer};
use platepal_service::{Clock, Database, Shutdown, access::Access, grpc::AttachKey};
use platepal_settings::Reader;
use platepal_testkit::Postgres;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::transport::server::TcpIncoming;

use crate::{
    grpc::{Tracking, share::Shares, trails::Replays},
    riders::{Around, Riders},
    settings::Settings,
    store::Store,
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
        let file = folder.path().join("tracking.db");
        let sqlite = Database::sqlite(&file, Duration::from_secs(10)).await.unwrap();
        Self { bus: open_bus(&folder.path().join("bus")), folder, sqlite: Some(sqlite), postgres: None }
    }

    async fn on_postgres() -> Self {
        let folder = TempDir::new().unwrap();
        let postgres = Postgres::start().await;
        Self { bus: open_bus(&folder.path().join("bus")), folder, sqlite: None, postgres: Some(postgres) }
    }

    /// A replica with a pool of its own, where the engine allows that.
    async fn replica(&self) -> Tracking {
        self.replica_with(&[]).await
    }

    /// A replica with settings of its own.
    async fn replica_with(&self, settings: &[(&str, &str)]) -> Tracking {
        let secret = [("REALTIME_SHARE_SECRET", "a secret for links of at least 32 bytes")];
        let shares = Reader::new(secret).read().unwrap();
        self.replica_of(Reader::new(settings.iter().copied()).read().unwrap(), &shares).await
    }

    async fn replica_sharing(&self, shares: &ShareSettings) -> Tracking {
        self.replica_of(settings::<Settings>(), shares).await
    }

    async fn replica_of(&self, settings: Settings, shares: &ShareSettings) -> Tracking {
        let database = match (&self.sqlite, &self.postgres) {
            (Some(sqlite), _) => sqlite.clone(),
            (None, Some(server)) => {
                Database::postgres(&server.url(), 6, Duration::from_secs(10)).await.unwrap()
            }
            (None, None) => unreachable!("a world has a database"),
        };
        let bus: Arc<dyn Bus> = self.bus.clone();
        let store = Store::open(database, bus.clone(), &settings, 6).await.unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let access = Access::new(&self::settings(), Arc::new(store.grants.clone()), Clock).unwrap();
        let shutdown = Shutdown::default();
        // Other replicas ask this one about its riders.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let around = Around {
            bus: bus.clone(),
            clock: Clock,
            shutdown: shutdown.clone(),
            key: AttachKey::new(None),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let limits = crate::rules::limits::Limits::default();
        let roads = Arc::new(crate::rules::road::NoRoads);
        let riders = Riders::start(store.clone(), &settings, limits, roads, around).await.unwrap();
        let tracking = Tracking {
            bus,
            access,
            valid_for: Duration::from_secs(60),
            clock: Clock,
            shutdown,
            riders,
            drives: Default::default(),
            shares: Shares::new(platepal_auth::ShareSigner::new(shares).unwrap(), &settings),
            replays: Replays::new(settings.replays),
            settings,
            store,
        };
        let owner = RiderOwnerServiceServer::new(tracking.clone());
        let served = tonic::transport::Server::builder()
            .add_service(owner)
            .serve_with_incoming_shutdown(TcpIncoming::from(listener), tracking.shutdown.told());
        tokio::spawn(served);
        tracking
    }

    /// All that a channel was told.
    async fn told(&self, channel: &str) -> Vec<Entry> {
        let channel = if channel == "sessions" { Channel::sessions() } else { channel.parse().unwrap() };
        self.bus.read(&channel, 0, 1_000).await.unwrap().entries
    }

    /// The types of all that a channel was told.
    async fn told_types(&self, channel: &str) -> Vec<String> {
        self.told(channel).await.iter().map(|entry| entry.event.kind.to_string()).collect()
    }

    /// The payloads of all that a channel was told with this type.
    async fn payloads(&self, channel: &str, kind: &str) -> Vec<Value> {
        let told = self.told(channel).await;
        let of_kind = told.iter().filter(|entry| entry.event.kind.as_str() == kind);
        of_kind.map(|entry| data(entry)["payload"].clone()).collect()
    }
}

/// Runs a story on both databases.
macro_rules! on_both {
    ($($name:ident)+) => {
        mod on_sqlite { $( #[tokio::test] async fn $name() { super::$name(crate::tests::World::on_sqlite().await).await; } )+ }
        mod on_postgres { $( #[tokio::test] async fn $name() { super::$name(crate::tests::World::on_postgres().await).await; } )+ }
    };
}
use on_both;

fn data(entry: &Entry) -> Value {
    serde_json::from_slice(&entry.event.payload).unwrap()
}

fn channel(name: &str) -> Channel {
    name.parse().unwrap()
}

/// Delivery 9 of order 5012 as Django puts it; `rider` may be empty.
fn delivery(status: v1::DeliveryStatus, version: u64, rider: &str) -> v1::Delivery {
    v1::Delivery {
        delivery_id: "9".into(),
        order_id: "5012".into(),
        status: status.into(),
        customer_id: "7".into(),
        restaurant_id: "12".into(),
        rider_id: rider.into(),
        pickup: Some(v1::Place { latitude: 52.52, longitude: 13.40 }),
        dropoff: Some(v1::Place { latitude: 52.53, longitude: 13.42 }),
        version,
        payload: json!({"id": 9, "version": version}).to_string().into(),
        ..Default::default()
    }
}

async fn put(tracking: &Tracking, delivery: v1::Delivery) -> v1::PutDeliveryResponse {
    put_as(tracking, "", delivery).await
}

async fn put_as(tracking: &Tracking, event_id: &str, delivery: v1::Delivery) -> v1::PutDeliveryResponse {
    let request =
        v1::PutDeliveryRequest { event_id: event_id.into(), delivery: Some(delivery), channels: Vec::new() };
    Tracking::put_delivery(tracking, request).await.unwrap()
}
