//! The domain as a whole, without the wire: one suite, run on SQLite and on a real PostgreSQL, over the
//! embedded bus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod access;
mod checking;
mod desk;
mod mirror;
mod people;
mod rooms;
mod sending;

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use platepal_auth::Principal;
use platepal_bus::{Bus, Embedded};
use platepal_events::{Channel, Entry, Timestamp};
use platepal_proto::v1;
use platepal_service::{
    Clock, Database, Shutdown,
    access::Access,
    domain::{Domain, Sender, principal_from},
};
use platepal_settings::Reader;
use platepal_testkit::Postgres;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::{check::Check, grpc::Chat, settings::Settings, store::Store, typing::Typing};

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

fn open_bus(folder: &Path) -> Arc<Embedded> {
    Embedded::open(folder, &settings()).unwrap()
}

impl World {
    async fn on_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let sqlite = Database::sqlite(&folder.path().join("chat.db"), Duration::from_secs(10)).await.unwrap();
        Self {
            bus: open_bus(&folder.path().join("bus")),
            _folder: folder,
            sqlite: Some(sqlite),
            postgres: None,
        }
    }

    async fn on_postgres() -> Self {
        let folder = TempDir::new().unwrap();
        let postgres = Postgres::start().await;
        Self {
            bus: open_bus(&folder.path().join("bus")),
            _folder: folder,
            sqlite: None,
            postgres: Some(postgres),
        }
    }

    /// A replica with a pool of its own, where the engine allows that.
    async fn replica(&self) -> Chat {
        self.replica_with(&[]).await
    }

    /// A replica with settings of its own.
    async fn replica_with(&self, settings: &[(&str, &str)]) -> Chat {
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
        let access = Access::new(&self::settings(), Arc::new(store.grants.clone()), Clock).unwrap();
        Chat {
            typing: Typing::new(&settings, bus.clone()),
            check: Check::new(&settings).unwrap(),
            canned: Arc::new(settings.read_canned().unwrap()),
            limits: Arc::new(settings.limits()),
            bus,
            access,
            valid_for: Duration::from_secs(60),
            clock: Clock,
            shutdown: Shutdown::default(),
            edges: None,
            store,
        }
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
        told.iter().filter(|entry| entry.event.kind.as_str() == kind).map(data).collect()
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

fn one(user_id: &str, role: v1::MemberRole) -> v1::Member {
    v1::Member {
        user_id: user_id.into(),
        role: role.into(),
        name: format!("N{user_id}"),
        ..Default::default()
    }
}

/// A room of customer 7 and courier 31 about order 5012.
fn room(room_id: &str) -> v1::Room {
    v1::Room {
        room_id: room_id.into(),
        r#type: v1::RoomType::RiderCustomer.into(),
        order_id: "5012".into(),
        members: vec![one("7", v1::MemberRole::Customer), one("31", v1::MemberRole::Courier)],
        version: 1,
        ..Default::default()
    }
}

/// A room of customer 7 that waits for somebody at the desk.
fn support_room(room_id: &str) -> v1::Room {
    v1::Room {
        r#type: v1::RoomType::Support.into(),
        order_id: String::new(),
        members: vec![one("7", v1::MemberRole::Customer)],
        ..room(room_id)
    }
}

async fn put(chat: &Chat, room: v1::Room) -> v1::Room {
    chat.put_room(v1::PutRoomRequest { room: Some(room) }).await.unwrap().room.unwrap()
}

async fn try_send(
    chat: &Chat,
    room_id: &str,
    user: &str,
    client_id: &str,
    content: &str,
) -> Result<v1::SendMessageResponse, Status> {
    let request = v1::SendMessageRequest {
        room_id: room_id.into(),
        sender_id: user.into(),
        client_id: client_id.into(),
        content: content.into(),
        ..Default::default()
    };
    chat.send_message(request).await
}

async fn send(chat: &Chat, room_id: &str, user: &str, content: &str) -> v1::Message {
    try_send(chat, room_id, user, "", content).await.unwrap().message.unwrap()
}

fn sender(user_id: &str, roles: &[&str]) -> Sender {
    let roles = roles.iter().map(ToString::to_string).collect();
    let principal = v1::Principal { user_id: user_id.into(), roles, restaurant_ids: Vec::new() };
    let principal: Principal = principal_from(principal).unwrap();
    Sender { principal, token: String::new(), client_id: "c".into(), channel: None }
}

/// What a user calls on a room.
async fn call(chat: &Chat, who: &Sender, method: &str, arguments: Value) -> Result<Value, Status> {
    let data = Bytes::from(arguments.to_string());
    chat.call(who, method, data).await.map(|answer| serde_json::from_slice(&answer).unwrap())
}

async fn contents(chat: &Chat, room_id: &str) -> Vec<String> {
    let request = v1::ListMessagesRequest { room_id: room_id.into(), limit: 200, ..Default::default() };
    let page = chat.list_messages(request).await.unwrap();
    page.messages.into_iter().map(|message| message.content).collect()
}

/// With more messages in the window than a test sends.
const NO_PACE: (&str, &str) = ("REALTIME_CHAT_PACE_MESSAGES", "100000");
