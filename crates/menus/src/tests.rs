//! The domain as a whole, without the wire: one suite, run on SQLite and on a real PostgreSQL, over the
//! embedded bus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod events;
mod reading;
mod returning;
mod updating;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use platepal_bus::{Bus, Embedded};
use platepal_events::{Channel, Entry, Event, Timestamp};
use platepal_proto::v1::{self, menus_service_server::MenusService};
use platepal_service::{Clock, Database};
use platepal_settings::Reader;
use platepal_testkit::Postgres;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Request, Status};

use crate::{grpc::Menus, settings::Settings, store::Store};

/// A database and a bus; replicas of the domain are made on them.
struct World {
    bus: Arc<Embedded>,
    folder: TempDir,
    /// SQLite is one process: its replicas share one pool.
    sqlite: Option<Database>,
    postgres: Option<Postgres>,
}

fn settings<G: platepal_settings::Group>(values: &[(&str, &str)]) -> G {
    Reader::new(values.iter().copied()).read::<G>().unwrap()
}

fn open_bus(folder: &Path) -> Arc<Embedded> {
    Embedded::open(folder, &settings(&[])).unwrap()
}

impl World {
    async fn on_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let sqlite =
            Database::sqlite(&folder.path().join("menus.db"), Duration::from_secs(10)).await.unwrap();
        Self { bus: open_bus(&folder.path().join("bus")), folder, sqlite: Some(sqlite), postgres: None }
    }

    async fn on_postgres() -> Self {
        let folder = TempDir::new().unwrap();
        let postgres = Postgres::start().await;
        Self { bus: open_bus(&folder.path().join("bus")), folder, sqlite: None, postgres: Some(postgres) }
    }

    /// A replica with a pool of its own, where the engine allows that.
    async fn replica(&self) -> Menus {
        self.replica_with(&[]).await
    }

    /// A replica with settings of its own.
    async fn replica_with(&self, values: &[(&str, &str)]) -> Menus {
        let database = match (&self.sqlite, &self.postgres) {
            (Some(sqlite), _) => sqlite.clone(),
            (None, Some(server)) => {
                Database::postgres(&server.url(), 6, Duration::from_secs(10)).await.unwrap()
            }
            (None, None) => unreachable!("a world has a database"),
        };
        let store = Store::open(database, self.bus.clone(), &settings::<Settings>(values), 6).await.unwrap();
        Menus { store, bus: self.bus.clone(), clock: Clock }
    }

    /// All that a channel's log was told.
    async fn told(&self, name: &str) -> Vec<Entry> {
        self.bus.read(&channel(name), 0, 1_000).await.unwrap().entries
    }

    async fn told_types(&self, name: &str) -> Vec<String> {
        self.told(name).await.iter().map(|entry| entry.event.kind.to_string()).collect()
    }

    /// The newest values of a menu, by item.
    async fn values(&self, name: &str) -> BTreeMap<String, Value> {
        let latest = self.bus.latest(&channel(name)).await.unwrap();
        latest.iter().map(|entry| (entry.event.key.to_string(), data(&entry.event))).collect()
    }

    /// Closes the bus and opens it again on its log.
    async fn bus_back(&mut self) {
        self.bus.close().await;
        self.bus = open_bus(&self.folder.path().join("bus"));
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

fn on(item_id: &str) -> v1::ItemChange {
    v1::ItemChange { item_id: item_id.into(), available: Some(true), ..Default::default() }
}

fn off(item_id: &str) -> v1::ItemChange {
    v1::ItemChange { item_id: item_id.into(), available: Some(false), ..Default::default() }
}

fn off_until(item_id: &str, until: Timestamp) -> v1::ItemChange {
    v1::ItemChange { until: Some(until.into()), ..off(item_id) }
}

fn priced(item_id: &str, price: &str) -> v1::ItemChange {
    v1::ItemChange { item_id: item_id.into(), price: Some(price.into()), ..Default::default() }
}

fn left(item_id: &str, inventory: u32) -> v1::ItemChange {
    v1::ItemChange { item_id: item_id.into(), inventory: Some(inventory), ..Default::default() }
}

/// An update of the menu of restaurant 12.
fn update(event_id: &str, version: u64, items: Vec<v1::ItemChange>) -> v1::UpdateMenuRequest {
    v1::UpdateMenuRequest {
        event_id: event_id.into(),
        restaurant_id: "12".into(),
        version,
        items,
        ..Default::default()
    }
}

async fn try_take(menus: &Menus, request: v1::UpdateMenuRequest) -> Result<v1::UpdateMenuResponse, Status> {
    menus.update_menu(Request::new(request)).await.map(tonic::Response::into_inner)
}

async fn take(menus: &Menus, request: v1::UpdateMenuRequest) -> v1::UpdateMenuResponse {
    try_take(menus, request).await.unwrap()
}

async fn get(menus: &Menus, restaurant_id: &str) -> v1::GetMenuResponse {
    let request = v1::GetMenuRequest { restaurant_id: restaurant_id.into() };
    menus.get_menu(Request::new(request)).await.unwrap().into_inner()
}

fn data(event: &Event) -> Value {
    serde_json::from_slice(&event.payload).unwrap()
}

fn channel(name: &str) -> Channel {
    name.parse().unwrap()
}
