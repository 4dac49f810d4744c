//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use platepal_events::Domain;

use crate::configuration;

/// The realtime tier of PlatePal: live orders over WebSockets, published by Django over gRPC.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_long_help = configuration::help(),
    after_help = "Settings are environment variables; --help lists them, `settings` explains them."
)]
pub(crate) struct Cli {
    /// Roles to run in this process; all of them when none is named
    #[arg(value_enum)]
    pub(crate) roles: Vec<Role>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// A part of the tier that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Terminates client connections
    Edge,
    /// Takes events from Django
    Gateway,
    /// The orders domain
    Orders,
    /// The tracking domain
    Tracking,
    /// The chat domain
    Chat,
    /// The notifications domain
    Notifications,
    /// The menus domain
    Menus,
    /// The operators' console
    Console,
}

impl Role {
    /// These roles, or all of them.
    pub(crate) fn all_if_empty(roles: &[Self]) -> Vec<Self> {
        if roles.is_empty() { Self::value_variants().to_vec() } else { roles.to_vec() }
    }

    /// Whether it asks the edges who is connected.
    pub(crate) fn asks_edges(self) -> bool {
        matches!(self, Self::Edge | Self::Gateway | Self::Chat | Self::Notifications | Self::Console)
    }

    /// The role of a domain.
    pub(crate) fn of(domain: Domain) -> Self {
        match domain {
            Domain::Orders => Self::Orders,
            Domain::Tracking => Self::Tracking,
            Domain::Chat => Self::Chat,
            Domain::Notifications => Self::Notifications,
            Domain::Menus => Self::Menus,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole tier on its embedded default, with a dinner rush to look at
    Demo(Demo),
    /// Check settings, secrets, ports, bus, database and everybody else that a process needs
    Doctor(Doctor),
    /// Print a token as Django would sign it, for trying things
    Token(Token),
    /// Print a new pair of keys for web push
    Vapid,
    /// Publish an event through the gateway, and print what was kept
    Publish(Publish),
    /// Follow a channel: positions, ages, gaps
    Tail(Tail),
    /// Run a recorded way through the rules of tracking: what would be shown, and why not
    ReplayTrace(ReplayTrace),
    /// Print the reference of all settings as Markdown
    Settings,
    /// Print the reference of all metrics as Markdown
    Metrics,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Orders a minute in the rush
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(0..=6000))]
    pub(crate) orders_per_minute: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Roles that the process would run; all of them when none is named
    #[arg(value_enum)]
    pub(crate) roles: Vec<Role>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Who the token is for
    #[arg(long)]
    pub(crate) user: String,
    /// CUSTOMER, RESTAURANT, DELIVERY, ADMIN or SUPPORT; may be repeated
    #[arg(long)]
    pub(crate) role: Vec<String>,
    /// A restaurant that the user owns; may be repeated
    #[arg(long)]
    pub(crate) restaurant: Vec<String>,
    /// How long it is good, in seconds
    #[arg(long, default_value_t = 3600)]
    pub(crate) seconds: u32,
}

/// Where the gateway is.
#[derive(Debug, Args)]
pub(crate) struct Gateway {
    /// The gateway's address; by default that of REALTIME_GRPC_ADDR
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    pub(crate) gateway: Gateway,
    /// A channel (customer:7) or one of Django's groups (customer_7); may be repeated
    #[arg(long, required = true)]
    pub(crate) channel: Vec<String>,
    /// E.g. order.accepted
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: String,
    /// Names the event, so that a repeat is harmless; made when left out
    #[arg(long, value_name = "UUID")]
    pub(crate) event_id: Option<String>,
    /// JSON; reaches clients as `data`
    #[arg(long, default_value = "{}")]
    pub(crate) payload: String,
    /// Which value it replaces, for types of which only the newest counts
    #[arg(long)]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    pub(crate) gateway: Gateway,
    /// A channel, e.g. customer:7
    pub(crate) channel: String,
    /// Start with everything that is retained
    #[arg(long)]
    pub(crate) retained: bool,
    /// End after so many entries
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayTrace {
    /// CSV with a column trace_id, and either t_unix_s, latitude_deg, longitude_deg or t_s, x_m, y_m
    pub(crate) file: PathBuf,
    /// Where the order is fetched, in degrees north and east, e.g. 60.17,24.94
    #[arg(long, value_name = "LAT,LON", value_parser = place, allow_hyphen_values = true)]
    pub(crate) pickup: Option<(f64, f64)>,
    /// Where it is brought
    #[arg(long, value_name = "LAT,LON", value_parser = place, allow_hyphen_values = true)]
    pub(crate) dropoff: Option<(f64, f64)>,
}

fn place(text: &str) -> Result<(f64, f64), String> {
    let wrong = || format!("{text:?} is not a place; write degrees north and east, e.g. 60.17,24.94");
    let (latitude, longitude) = text.split_once(',').ok_or_else(wrong)?;
    let degrees =
        |text: &str, most: f64| text.trim().parse().ok().filter(|number: &f64| number.abs() <= most);
    degrees(latitude, 90.0).zip(degrees(longitude, 180.0)).ok_or_else(wrong)
}
