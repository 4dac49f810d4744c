//! A running tier: the real binary, in one process or in many, with the servers that it needs.
//!
//! A test says which shape it wants and otherwise names roles; in one process, every role is that process.

mod builder;
mod instance;

use std::{net::SocketAddr, path::PathBuf};

pub use builder::TierBuilder;
use instance::Instance;

use crate::{Clients, Connect, Ended, NatsServer, PATIENCE, Postgres, Token, http};

/// Signs the tokens of every test; at least 32 bytes, as the tier demands.
const SECRET: &str = "a-secret-of-tests-and-of-nothing-else";
/// The key of every test's backend.
const API_KEY: &str = "tests=a-key-of-tests-and-of-nothing-else";
/// Where a browser of these tests comes from.
const ORIGIN: &str = "http://localhost:3000";

/// Every domain that has a process of its own. A new domain is one more name.
const DOMAINS: &[&str] = &["orders", "tracking", "chat", "notifications", "menus"];

/// How the tier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Every role in one process.
    AllInOne,
    /// A process per role, over NATS and PostgreSQL.
    Split,
}

/// Where events are kept when the tier is one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// In the process.
    Embedded,
    /// In a NATS server of the test.
    Nats,
}

/// One role of the tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// One of the edges, counted from 0.
    Edge(usize),
    /// The gateway.
    Gateway,
    /// The operators' console, if the tier has one.
    Console,
    /// A domain, by its name.
    Domain(&'static str),
    /// One more replica of a domain, counted from 1. The gateway and the edges ask the first.
    Replica(&'static str, usize),
}

impl Role {
    /// The first edge.
    pub const EDGE: Self = Self::Edge(0);
    /// The orders domain.
    pub const ORDERS: Self = Self::Domain("orders");
    /// The tracking domain.
    pub const TRACKING: Self = Self::Domain("tracking");
    /// The notifications domain.
    pub const NOTIFICATIONS: Self = Self::Domain("notifications");
    /// The menus domain.
    pub const MENUS: Self = Self::Domain("menus");
    /// The chat domain.
    pub const CHAT: Self = Self::Domain("chat");

    /// The role's name on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Edge(_) => "edge",
            Self::Gateway => "gateway",
            Self::Console => "console",
            Self::Domain(name) | Self::Replica(name, _) => name,
        }
    }
}

/// A running tier. What it started ends with it.
#[derive(Debug)]
pub struct Tier {
    shape: Shape,
    console: Option<SocketAddr>,
    // Ends first: fields are dropped in this order.
    instances: Vec<Instance>,
    nats: Option<NatsServer>,
    postgres: Option<Postgres>,
}

impl Tier {
    /// Describes a tier of this binary: `Tier::builder(env!("CARGO_BIN_EXE_platepal-realtime"))`.
    pub fn builder(binary: impl Into<PathBuf>) -> TierBuilder {
        TierBuilder::new(binary.into())
    }

    /// Every role in one process, on the embedded bus and SQLite.
    pub async fn all_in_one(binary: impl Into<PathBuf>) -> Self {
        Self::builder(binary).start().await
    }

    /// Every role in a process of its own, over NATS and PostgreSQL.
    pub async fn split(binary: impl Into<PathBuf>) -> Self {
        Self::builder(binary).shape(Shape::Split).start().await
    }

    /// How it runs.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The address of a path on the console.
    pub fn console_url(&self, path: &str) -> String {
        let address = self.console.expect("the test asked for a console");
        format!("http://{address}{path}")
    }

    /// A token of this user, good for every role; spoil it as needed, then sign it.
    pub fn token(&self, user_id: u64) -> Token {
        Token::new(SECRET, user_id)
    }

    /// The address of a path on the first edge, e.g. `ws://127.0.0.1:…/ws/customer/7`.
    pub fn socket_url(&self, path: &str) -> String {
        self.socket_url_of(Role::EDGE, path)
    }

    /// The address of a path on one edge.
    pub fn socket_url_of(&self, edge: Role, path: &str) -> String {
        format!("ws://{}{path}", self.public_address(edge))
    }

    /// The address of a path on the first edge for HTTP.
    pub fn http_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public_address(Role::EDGE))
    }

    /// Where an edge serves clients.
    pub fn public_address(&self, edge: Role) -> SocketAddr {
        self.instance(edge).ports.http
    }

    /// A connection to a path of the first edge as a browser of this user makes it: token in the query, and an
    /// allowed origin. `path` may have a query of its own.
    pub fn connect(&self, path: &str, token: &Token) -> Connect {
        self.connect_to(Role::EDGE, path, token)
    }

    /// [`Tier::connect`] to one edge.
    pub fn connect_to(&self, edge: Role, path: &str, token: &Token) -> Connect {
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}token={}", self.socket_url_of(edge, path), token.sign());
        Connect::to(url).origin(ORIGIN)
    }

    /// Clients of the gateway with the API key.
    pub fn grpc(&self) -> Clients {
        Clients::new(&self.grpc_url(Role::Gateway), Some(self.api_key()))
    }

    /// Clients of the gateway without a key.
    pub fn grpc_without_key(&self) -> Clients {
        Clients::new(&self.grpc_url(Role::Gateway), None)
    }

    /// Where a role serves gRPC: `http://127.0.0.1:…`.
    pub fn grpc_url(&self, role: Role) -> String {
        format!("http://{}", self.instance(role).ports.grpc)
    }

    /// The API key that the tier accepts.
    pub fn api_key(&self) -> &'static str {
        API_KEY.split_once("=").map_or(API_KEY, |(_, key)| key)
    }

    /// The secret with which the tier's tokens are signed.
    pub fn secret(&self) -> &'static str {
        SECRET
    }

    /// The address of a path on a role's admin port.
    pub fn admin_url(&self, role: Role, path: &str) -> String {
        format!("http://{}{path}", self.instance(role).ports.admin)
    }

    /// A role's metrics, as Prometheus would scrape them.
    pub async fn metrics(&self, role: Role) -> String {
        http::get(&self.admin_url(role, "/metrics")).await.body
    }

    /// The sum of a metric over its labels; 0 if it is not there.
    pub async fn metric(&self, role: Role, name: &str) -> f64 {
        let metrics = self.metrics(role).await;
        let values = metrics.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = if rest.starts_with('{') { rest.rsplit_once('}')?.1 } else { rest };
            value.strip_prefix(' ')?.split(' ').next()?.parse::<f64>().ok()
        });
        values.sum()
    }

    /// What a role's process has printed since its last start.
    pub fn logs(&self, role: Role) -> String {
        self.instance(role).output()
    }

    /// The process id of a role.
    pub fn process_id(&self, role: Role) -> u32 {
        self.instance(role).process_id()
    }

    /// Kills a role's process at once (SIGKILL).
    pub fn kill(&mut self, role: Role) {
        self.instance_mut(role).kill();
    }

    /// Asks a role's process to end (SIGTERM) and does not wait; [`Tier::wait_ended`] does.
    pub fn terminate(&mut self, role: Role) {
        self.instance_mut(role).terminate();
    }

    /// Waits until a role's process has ended by itself.
    pub async fn wait_ended(&mut self, role: Role) -> Ended {
        self.instance_mut(role).wait_ended(PATIENCE * 2).await
    }

    /// Starts a role's process again, on the same ports and data, and waits until it is ready. Kills it first
    /// if it runs.
    pub async fn start(&mut self, role: Role) {
        self.start_without_waiting(role);
        self.wait_ready(role).await;
    }

    /// Starts a role's process again and does not wait.
    pub fn start_without_waiting(&mut self, role: Role) {
        self.instance_mut(role).start();
    }

    /// Waits until a role is ready; panics with its output when its process ends before.
    pub async fn wait_ready(&mut self, role: Role) {
        self.instance_mut(role).wait_ready().await;
    }

    /// Whether a role says that it is ready; false when its process does not run.
    pub async fn is_ready(&self, role: Role) -> bool {
        self.instance(role).is_ready().await
    }

    /// The NATS server under the tier; panics when the bus is embedded.
    pub fn nats(&mut self) -> &mut NatsServer {
        self.nats.as_mut().expect("this tier runs on the embedded bus; ask for Shape::Split or Bus::Nats")
    }

    /// The PostgreSQL server under the tier; panics when it runs on SQLite.
    pub fn postgres(&mut self) -> &mut Postgres {
        self.postgres.as_mut().expect("this tier runs on SQLite; ask for Shape::Split")
    }

    /// Every role, in the order in which they start.
    pub fn roles(&self) -> Vec<Role> {
        self.instances.iter().flat_map(|instance| instance.roles.iter().copied()).collect()
    }

    fn instance(&self, role: Role) -> &Instance {
        let found = self.instances.iter().find(|instance| instance.roles.contains(&role));
        found.unwrap_or_else(|| panic!("this tier has no {role:?}"))
    }

    fn instance_mut(&mut self, role: Role) -> &mut Instance {
        let found = self.instances.iter_mut().find(|instance| instance.roles.contains(&role));
        found.unwrap_or_else(|| panic!("this tier has no {role:?}"))
    }
}
