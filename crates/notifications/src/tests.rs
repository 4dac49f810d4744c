//! The domain as a whole, without the wire: one suite, run on SQLite and on a real PostgreSQL, over the
//! embedded bus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod calls;
mod inbox;
mod leaving;
mod people;
mod producing;
mod pushes;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use platepal_bus::{Bus, Embedded};
use platepal_events::{Channel, Timestamp};
use platepal_proto::v1;
use platepal_push::Senders;
use platepal_service::{
    Clock, Database, Shutdown,
    access::Access,
    domain::{Domain, Sender, principal_from},
    worker::fire_due,
};
use platepal_settings::Reader;
use platepal_testkit::Postgres;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::{grpc::Notifications, settings::Settings, store::Store, worker::Rounds};

/// A database and a bus; replicas of the domain are made on them.
struct World {
    bus: Arc<Embedded>,
    _folder: TempDir,
    /// SQLite is one process: its replicas share one pool.
    sqlite: Option<Database>,
    postgres: Option<Postgres>,
}

fn settings<G: platepal_settings::Group>() -> G {
    Reader::new(Vec::<(String, String)>::new()).read::<G>().unwrap()
}

impl World {
    async fn on_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("notifications.db");
        let sqlite = Database::sqlite(&file, Duration::from_secs(10)).await.unwrap();
        let bus = Embedded::open(&folder.path().join("bus"), &settings()).unwrap();
        Self { bus, _folder: folder, sqlite: Some(sqlite), postgres: None }
    }

    async fn on_postgres() -> Self {
        let folder = TempDir::new().unwrap();
        let postgres = Postgres::start().await;
        let bus = Embedded::open(&folder.path().join("bus"), &settings()).unwrap();
        Self { bus, _folder: folder, sqlite: None, postgres: Some(postgres) }
    }

    /// A replica with a pool of its own, where the engine allows that.
    async fn replica(&self) -> Notifications {
        self.replica_with(&[]).await
    }

    /// A replica with settings of its own.
    async fn replica_with(&self, settings: &[(&str, &str)]) -> Notifications {
        let settings: Settings = Reader::new(settings.iter().copied()).read().unwrap();
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
        Notifications {
            access: Access::new(&self::settings(), Arc::new(store.grants.clone()), Clock).unwrap(),
            templates: Arc::new(settings.read_templates().unwrap()),
            senders: Arc::new(Senders::new(&self::settings()).unwrap()),
            bus,
            clock: Clock,
            shutdown: Shutdown::default(),
            store,
        }
    }

    /// The payloads of all that a channel was told with this type.
    async fn payloads(&self, channel: &str, kind: &str) -> Vec<Value> {
        let told = self.bus.read(&channel.parse().unwrap(), 0, 1_000).await.unwrap().entries;
        let of_kind = told.iter().filter(|entry| entry.event.kind.as_str() == kind);
        of_kind.map(|entry| serde_json::from_slice(&entry.event.payload).unwrap()).collect()
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

/// An order's state for user 7.
fn order(kind: &str, dedupe_key: &str) -> v1::NotifyRequest {
    v1::NotifyRequest {
        user_id: "7".into(),
        r#type: kind.into(),
        data: r#"{"order_id":5012,"restaurant_name":"Bella Napoli"}"#.into(),
        dedupe_key: dedupe_key.into(),
        collapse_key: "order:5012".into(),
        ..Default::default()
    }
}

fn note(user_id: &str, title: &str) -> v1::NotifyRequest {
    v1::NotifyRequest {
        user_id: user_id.into(),
        r#type: "SYSTEM".into(),
        title: title.into(),
        message: "…".into(),
        ..Default::default()
    }
}

async fn notify(notifications: &Notifications, request: v1::NotifyRequest) -> v1::Notification {
    notifications.notify(request).await.unwrap().notification.unwrap()
}

/// Titles, the newest first, and how many are unread.
async fn inbox(notifications: &Notifications, user_id: &str) -> (Vec<String>, u64) {
    let request = v1::ListInboxRequest { user_id: user_id.into(), limit: 100, ..Default::default() };
    let page = notifications.list_inbox(request).await.unwrap();
    (page.notifications.into_iter().map(|one| one.title).collect(), page.unread)
}

/// Way, state and why.
async fn deliveries(notifications: &Notifications, id: u64) -> Vec<(v1::Way, v1::DeliveryState, String)> {
    let request = v1::ListDeliveriesRequest { notification_id: id };
    let deliveries = notifications.list_deliveries(request).await.unwrap().deliveries;
    deliveries.into_iter().map(|record| (record.way(), record.state(), record.why)).collect()
}

async fn fire(notifications: &Notifications, now: Timestamp) -> usize {
    let rounds = Rounds { store: notifications.store.clone(), edges: None };
    fire_due(&rounds, 100, now).await.unwrap()
}

fn soon(seconds: i64) -> Timestamp {
    Clock.now().plus_millis(seconds * 1_000)
}

fn sender(user_id: &str) -> Sender {
    let principal = v1::Principal { user_id: user_id.into(), ..Default::default() };
    let principal = principal_from(principal).unwrap();
    Sender { principal, token: String::new(), client_id: "c".into(), channel: None }
}

async fn call(
    notifications: &Notifications,
    user_id: &str,
    method: &str,
    arguments: Value,
) -> Result<Value, Status> {
    let data = Bytes::from(arguments.to_string());
    let answer = notifications.call(&sender(user_id), method, data).await;
    answer.map(|answer| serde_json::from_slice(&answer).unwrap())
}
