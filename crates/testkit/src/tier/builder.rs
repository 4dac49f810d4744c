//! What a test says about the tier it wants.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use super::{
    API_KEY, Bus, DOMAINS, ORIGIN, Role, SECRET, Shape, Tier,
    instance::{Instance, Ports},
};
use crate::{NatsServer, Postgres, ports};

/// A tier to be started.
#[derive(Debug)]
pub struct TierBuilder {
    binary: PathBuf,
    shape: Shape,
    bus: Bus,
    edges: usize,
    replicas: Vec<Role>,
    /// Where the console listens.
    console: Option<SocketAddr>,
    /// A role of `None` means all of them.
    environment: Vec<(Option<Role>, String, String)>,
}

impl TierBuilder {
    pub(super) fn new(binary: PathBuf) -> Self {
        Self {
            binary,
            shape: Shape::AllInOne,
            bus: Bus::Embedded,
            edges: 1,
            replicas: Vec::new(),
            console: None,
            environment: Vec::new(),
        }
    }

    /// One process (the default) or many.
    #[must_use]
    pub fn shape(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// The bus of a tier in one process: embedded (the default) or NATS. Many processes always have NATS.
    #[must_use]
    pub fn bus(mut self, bus: Bus) -> Self {
        self.bus = bus;
        self
    }

    /// Edges of a tier in many processes; 1 by default.
    #[must_use]
    pub fn edges(mut self, edges: usize) -> Self {
        self.edges = edges;
        self
    }

    /// One more replica of a domain, for a tier in many processes: `Role::Replica("tracking", 1)`.
    #[must_use]
    pub fn replica(mut self, replica: Role) -> Self {
        self.replicas.push(replica);
        self
    }

    /// With an operators' console that this password opens.
    #[must_use]
    pub fn console(self, password: &str) -> Self {
        let address = ports::free_address();
        let own = self.set_for(Role::Console, "REALTIME_CONSOLE_PASSWORD", password);
        let own = own.set_for(Role::Console, "REALTIME_CONSOLE_ADDR", address);
        Self { console: Some(address), ..own }
    }

    /// A setting for every role; it wins over what the builder would set.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((None, name.to_owned(), value.to_string()));
        self
    }

    /// A setting for one role.
    #[must_use]
    pub fn set_for(mut self, role: Role, name: &str, value: impl ToString) -> Self {
        self.environment.push((Some(role), name.to_owned(), value.to_string()));
        self
    }

    /// Starts it and waits until every role is ready.
    pub async fn start(self) -> Tier {
        assert!(
            self.binary.is_file(),
            "{} is not built; `cargo build -p platepal-realtime` builds it",
            self.binary.display()
        );
        let mut tier = match self.shape {
            Shape::AllInOne => self.one_process().await,
            Shape::Split => self.many_processes().await,
        };
        tier.instances.iter_mut().for_each(Instance::start);
        for instance in &mut tier.instances {
            instance.wait_ready().await;
        }
        tier
    }

    async fn one_process(self) -> Tier {
        assert!(self.edges == 1, "a tier in one process has one edge; ask for Shape::Split");
        let nats = match self.bus {
            Bus::Embedded => None,
            Bus::Nats => Some(NatsServer::start().await),
        };
        let roles: Vec<Role> =
            [Role::EDGE, Role::Gateway, Role::Console].into_iter().chain(domains()).collect();
        let mut environment = shared(nats.as_ref(), None);
        self.extend(&mut environment, &roles);
        let instance = Instance::new(self.binary, None, roles, Ports::free(), environment);
        Tier {
            shape: Shape::AllInOne,
            console: self.console,
            instances: vec![instance],
            nats,
            postgres: None,
        }
    }

    async fn many_processes(self) -> Tier {
        let (nats, postgres) = tokio::join!(NatsServer::start(), Postgres::start());
        let edges = (0..self.edges).map(Role::Edge);
        // Domains first: the others ask them.
        let placed: Vec<(Role, Ports)> = domains()
            .chain(self.replicas.iter().copied())
            .chain([Role::Gateway])
            .chain(self.console.map(|_| Role::Console))
            .chain(edges)
            .map(|role| (role, Ports::free()))
            .collect();
        let addresses: Vec<(String, String)> = placed
            .iter()
            .filter(|(role, _)| matches!(role, Role::Domain(_)))
            .map(|(role, ports)| {
                (format!("REALTIME_{}_URL", role.name().to_uppercase()), format!("http://{}", ports.grpc))
            })
            .collect();
        let gateway = placed.iter().find(|(role, _)| *role == Role::Gateway);
        let gateway = gateway.map(|(_, ports)| format!("http://{}", ports.grpc)).unwrap_or_default();
        let instances = placed.iter().map(|(role, ports)| {
            let mut environment = shared(Some(&nats), Some(&postgres));
            if !matches!(role, Role::Domain(_) | Role::Replica(..)) {
                environment.extend(addresses.iter().cloned());
            }
            if *role == Role::Console {
                environment.insert("REALTIME_GATEWAY_URL".to_owned(), gateway.clone());
            }
            self.extend(&mut environment, &[*role]);
            Instance::new(self.binary.clone(), Some(role.name()), vec![*role], *ports, environment)
        });
        let instances = instances.collect();
        Tier {
            shape: Shape::Split,
            console: self.console,
            instances,
            nats: Some(nats),
            postgres: Some(postgres),
        }
    }

    /// Adds what the test set for these roles.
    fn extend(&self, environment: &mut BTreeMap<String, String>, roles: &[Role]) {
        for (role, name, value) in &self.environment {
            if role.is_none_or(|role| roles.contains(&role)) {
                environment.insert(name.clone(), value.clone());
            }
        }
    }
}

fn domains() -> impl Iterator<Item = Role> {
    DOMAINS.iter().map(|name| Role::Domain(name))
}

/// What every process is told.
fn shared(nats: Option<&NatsServer>, postgres: Option<&Postgres>) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = [
        ("REALTIME_JWT_SECRET", SECRET),
        ("REALTIME_API_KEYS", API_KEY),
        ("REALTIME_ALLOWED_ORIGINS", ORIGIN),
        ("NO_COLOR", "1"),
        // What a feed carries is what the test publishes; tests of notifications turn it on.
        ("REALTIME_NOTIFICATIONS_PRODUCE", "false"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    if let Some(nats) = nats {
        environment.insert("REALTIME_NATS_URL".to_owned(), nats.url());
    }
    if let Some(postgres) = postgres {
        environment.insert("REALTIME_DATABASE_URL".to_owned(), postgres.url());
    }
    environment
}
