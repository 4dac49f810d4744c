//! Composition: which role gets what, in one place.
//!
//! Domains and edges are reached through links: a pipe in memory when they run here, their URL when they do
//! not. The gRPC address is the gateway's; in a process without a gateway it is the domain's or the edge's.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use platepal_auth::{ApiKeys, ShareSigner, Verifier};
use platepal_bus::{Bus, embedded::Embedded, nats::Nats};
use platepal_edge::Landing;
use platepal_events::Domain;
use platepal_push::Senders;
use platepal_service::{
    Clock, Metrics, Parts, Readiness, Shutdown, Telemetry, admin,
    edges::{Edges, Own},
    grpc::{Door, Link, Links, MemoryDoor, memory},
    process::Process,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::{cli::Role, configuration::Configuration};

/// How often the bus is asked whether it works, for readiness.
const BUS_CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How often the metric of draining moves.
const DRAIN_SHOWN_INTERVAL: Duration = Duration::from_millis(500);
/// What the last spans get when draining took all its time.
const FLUSH_TIME_MIN: Duration = Duration::from_secs(1);

/// The bus of this process, and how to leave it.
enum Engine {
    Embedded(Arc<Embedded>),
    Nats(Arc<Nats>),
}

impl Engine {
    async fn open(configuration: &Configuration) -> anyhow::Result<Self> {
        Ok(match &configuration.bus.nats_url {
            Some(_) => Self::Nats(Nats::connect(&configuration.bus).await?),
            None => {
                let folder = &configuration.service.data_dir;
                Self::Embedded(Embedded::open(folder, &configuration.bus)?)
            }
        })
    }

    fn bus(&self) -> Arc<dyn Bus> {
        match self {
            Self::Embedded(bus) => bus.clone(),
            Self::Nats(bus) => bus.clone(),
        }
    }

    async fn close(self) {
        match self {
            Self::Embedded(bus) => bus.close().await,
            // Every append was acknowledged or answered with an error; there is nothing to flush.
            Self::Nats(_) => {}
        }
    }
}

/// Runs roles until SIGTERM or SIGINT, then drains. `landing` is served at `/` by the edge.
pub(crate) async fn run(
    configuration: Configuration,
    roles: &[Role],
    landing: Option<Landing>,
) -> anyhow::Result<()> {
    let running = Running::start(&configuration, roles, landing).await?;
    running.until_told().await?;
    running.drain().await;
    Ok(())
}

/// A process that serves.
pub(crate) struct Running {
    parts: Parts,
    engine: Engine,
    metrics: Metrics,
    telemetry: Telemetry,
}

impl Running {
    /// Starts roles; returns when all of them are listening.
    pub(crate) async fn start(
        configuration: &Configuration,
        roles: &[Role],
        landing: Option<Landing>,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::install().map_err(anyhow::Error::msg)?;
        let names: Vec<String> =
            roles.iter().filter_map(|role| Some(role.to_possible_value()?.get_name().to_owned())).collect();
        let telemetry = Telemetry::start(&configuration.service, &configuration.traces, &names.join(","))
            .map_err(anyhow::Error::msg)?;
        let keys = ApiKeys::new(&configuration.keys).map_err(|why| anyhow::anyhow!("{why}"))?;
        let (links, mut doors) = connect(configuration, &keys, roles)?;
        let (edges, edge_door) = edges(configuration, &keys, roles);
        let engine = Engine::open(configuration).await.context("can't open the bus")?;
        let process = Process {
            // By one name, so that what edges say of themselves is found among the processes.
            id: edges.own().map_or_else(rand::random, |own| own.id),
            roles: names,
            started_at: Clock.now(),
            settings: configuration.effective.clone(),
            metrics: Some(metrics.clone()),
        };
        let parts = Parts {
            process: Arc::new(process),
            settings: Arc::new(configuration.service.clone()),
            bus: engine.bus(),
            links,
            edges,
            keys,
            clock: Clock,
            shutdown: Shutdown::default(),
            readiness: Readiness::default(),
        };
        let running = Self { parts: parts.clone(), engine, metrics: metrics.clone(), telemetry };
        // Before anybody can ask, so that no process is ready before all of its roles are.
        let started = parts.readiness.gate("start");
        watch_bus(&parts);
        if roles.iter().any(|role| role.asks_edges()) {
            parts.edges.follow(parts.bus.clone(), parts.clock, &parts.shutdown);
        }
        // On the heap: it holds the settings of a role that is being started, and its callers would carry them along.
        let starting = start_roles(configuration, roles, landing, &parts, metrics, &mut doors, edge_door);
        let result = Box::pin(starting).await;
        if let Err(why) = result {
            running.drain().await;
            return Err(why);
        }
        started.open();
        tracing::info!(?roles, "serving");
        Ok(running)
    }

    /// Waits for SIGTERM or SIGINT.
    pub(crate) async fn until_told(&self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }

    /// What the roles were given.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What this process counts.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Tells clients to move, lets running calls finish, and closes the bus.
    pub(crate) async fn drain(self) {
        let (limit, began) = (self.parts.settings.drain_time, Instant::now());
        tracing::info!(?limit, "draining");
        self.parts.shutdown.tell();
        let show = async {
            let mut ticks = tokio::time::interval(DRAIN_SHOWN_INTERVAL);
            loop {
                ticks.tick().await;
                metrics::gauge!("realtime_drain_seconds").set(began.elapsed());
            }
        };
        tokio::select! {
            in_time = self.parts.shutdown.wait(limit) => if !in_time {
                tracing::warn!("some tasks did not end in REALTIME_DRAIN_TIME and were cut off");
            },
            () = show => {}
        }
        self.engine.close().await;
        tracing::info!("ended");
        self.telemetry.flush(limit.saturating_sub(began.elapsed()).max(FLUSH_TIME_MIN)).await;
    }
}

/// The links to all domains, and the pipes' doors of those that run here.
fn connect(
    configuration: &Configuration,
    keys: &ApiKeys,
    roles: &[Role],
) -> anyhow::Result<(Links, HashMap<Domain, MemoryDoor>)> {
    let timeout = configuration.service.grpc_timeout;
    let (mut links, mut doors) = (HashMap::new(), HashMap::new());
    for domain in Domain::ALL {
        if roles.contains(&Role::of(domain)) {
            let (link, door) = memory(timeout);
            links.insert(domain, link);
            doors.insert(domain, door);
        } else if let Some(url) = configuration.service.domain_url(domain) {
            let link = Link::remote(url, keys.first(), timeout).map_err(anyhow::Error::msg)?;
            links.insert(domain, link);
        }
    }
    Ok((Links::new(links), doors))
}

/// All edges, and the door of the one that runs here.
fn edges(configuration: &Configuration, keys: &ApiKeys, roles: &[Role]) -> (Edges, Option<MemoryDoor>) {
    let settings = configuration.edges.clone();
    let (own, door) = match roles.contains(&Role::Edge) {
        false => (None, None),
        true => {
            let (link, door) = memory(settings.ask_timeout);
            // On the embedded bus there are no others.
            let url = configuration.bus.nats_url.as_ref();
            let url = url.and_then(|_| settings.url(configuration.service.grpc_addr));
            (Some(Own { id: rand::random(), link, url }), Some(door))
        }
    };
    let bytes_max = configuration.service.grpc_message_bytes.0;
    (Edges::new(settings, own, keys.first(), bytes_max), door)
}

#[allow(clippy::too_many_arguments, reason = "composition has all the parts in its hands, once")]
async fn start_roles(
    configuration: &Configuration,
    roles: &[Role],
    landing: Option<Landing>,
    parts: &Parts,
    metrics: Metrics,
    memory_doors: &mut HashMap<Domain, MemoryDoor>,
    edge_door: Option<MemoryDoor>,
) -> anyhow::Result<()> {
    admin::run(parts.clone(), metrics).await?;
    let tcp = || Door::Tcp(parts.settings.grpc_addr);
    let has_gateway = roles.contains(&Role::Gateway);
    let domains: Vec<Domain> = Domain::ALL.into_iter().filter(|d| roles.contains(&Role::of(*d))).collect();
    let has_edge = roles.contains(&Role::Edge);
    if domains.len() + usize::from(has_edge) > 1 && !has_gateway {
        bail!(
            "several domains, or one and the edge, in one process need the gateway there too: they share its \
             gRPC address"
        );
    }
    for domain in domains {
        let mut doors: Vec<Door> = memory_doors.remove(&domain).map(Door::Memory).into_iter().collect();
        if !has_gateway {
            doors.push(tcp());
        }
        let parts = parts.clone();
        match domain {
            Domain::Orders => {
                let access = configuration.access.clone();
                Box::pin(platepal_orders::run(configuration.orders.clone(), access, parts, doors)).await?;
            }
            Domain::Tracking => {
                let access = configuration.access.clone();
                let shares = ShareSigner::new(&configuration.shares)?;
                let settings = configuration.tracking.clone();
                Box::pin(platepal_tracking::run(settings, access, shares, parts, doors)).await?;
            }
            Domain::Chat => {
                let access = configuration.access.clone();
                Box::pin(platepal_chat::run(configuration.chat.clone(), access, parts, doors)).await?;
            }
            Domain::Notifications => {
                let access = configuration.access.clone();
                let push = Senders::new(&configuration.push).map_err(anyhow::Error::msg)?;
                let settings = configuration.notifications.clone();
                Box::pin(platepal_notifications::run(settings, push, access, parts, doors)).await?;
            }
            Domain::Menus => {
                Box::pin(platepal_menus::run(configuration.menus.clone(), parts, doors)).await?;
            }
        }
    }
    if roles.contains(&Role::Console) {
        platepal_console::run(configuration.console.clone(), parts.clone()).await?;
    }
    if has_gateway {
        platepal_gateway::run(configuration.gateway.clone(), parts.clone(), vec![tcp()]).await?;
    }
    if has_edge {
        let verifier =
            Verifier::start(&configuration.tokens).await.map_err(|why| anyhow::anyhow!("{why}"))?;
        let verifier =
            verifier.accepting_shares(&configuration.shares).map_err(|why| anyhow::anyhow!("{why}"))?;
        let mut doors: Vec<Door> = edge_door.map(Door::Memory).into_iter().collect();
        if !has_gateway {
            doors.push(tcp());
        }
        platepal_edge::run(configuration.edge.clone(), verifier, parts.clone(), landing, doors).await?;
    }
    Ok(())
}

/// Keeps the bus's gate of readiness true to the bus.
fn watch_bus(parts: &Parts) {
    let (bus, gate, told) = (parts.bus.clone(), parts.readiness.gate("bus"), parts.shutdown.told());
    parts.shutdown.spawn(async move {
        let watch = async {
            let mut ticks = tokio::time::interval(BUS_CHECK_INTERVAL);
            loop {
                ticks.tick().await;
                match bus.check().await {
                    Ok(()) => gate.open(),
                    Err(why) => gate.close(why.to_string()),
                }
            }
        };
        tokio::select! {
            () = told => {}
            () = watch => {}
        }
    });
}
