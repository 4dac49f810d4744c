//! `demo`: the whole tier on its embedded default, with a made-up dinner rush in a real city, and a page to watch it.
//!
//! Orders and deliveries go through the public gRPC API like any backend's; riders report over sockets like any rider
//! app's. Nothing here knows a way around them.
//!
//! - `rush` places orders, `order` is the life of one, `fleet` has the riders;
//! - `rider` drives a `ride` and says so by `phone`, as its `receiver` sees it; `place`, `ride` and `receiver` are pure;
//! - `talk` is what riders and the customer say to each other;
//! - `city` is where they are, `backend` what PlatePal's backend calls, `page` what people look at.
//!
//! The one place where secrets are generated; they stay in the demo's own folder, readable by its user only.

mod backend;
mod city;
mod fleet;
mod order;
mod page;
mod phone;
mod place;
mod receiver;
mod ride;
mod rider;
mod rush;
pub(crate) mod secrets;
mod talk;

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anstream::println;
use anyhow::Context;
use owo_colors::OwoColorize;
use platepal_auth::{NewToken, Role as UserRole, mint};
use platepal_edge::Landing;
use platepal_service::Clock;
use platepal_settings::{Reader, Secret};

use crate::{
    cli::{self, Role},
    configuration::Configuration,
    demo::{backend::Backend, city::City, fleet::Fleet, talk::Talk},
    roles::Running,
};

/// The customer, the restaurant and its owner, and the member of staff whose screens the page shows.
const CUSTOMER: &str = "7";
const RESTAURANT: &str = "12";
const OWNER: &str = "3";
const STAFF: &str = "1";
/// The event, told to operations only, of what a watched rider's phone measured before anybody smoothed it.
const MEASURED: &str = "demo.measured";

/// Characters of a cell of the map.
const AREA_PRECISION: usize = 6;
/// The tokens on the page outlive a long demo.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Where PlatePal's frontends run in development.
const DEVELOPMENT_PORTS: [u16; 7] = [3000, 3020, 3021, 3022, 3023, 3024, 5173];

/// Runs until it is interrupted.
pub(crate) async fn run(asked: &cli::Demo) -> anyhow::Result<()> {
    let configuration = configure()?;
    let mint = |user: &str, role, restaurants: &[&str]| token(&configuration, user, role, restaurants);
    let tokens = page::Tokens {
        customer: mint(CUSTOMER, UserRole::Customer, &[])?,
        owner: mint(OWNER, UserRole::Restaurant, &[RESTAURANT])?,
        staff: mint(STAFF, UserRole::Admin, &[])?,
    };
    let riders: Vec<String> = fleet::RIDERS
        .iter()
        .map(|(id, _)| mint(id, UserRole::Delivery, &[]))
        .collect::<anyhow::Result<_>>()?;
    let page = page::page(&tokens, AREA_PRECISION);
    let (http, grpc) = (configuration.edge.http_addr, configuration.service.grpc_addr);
    let admin = configuration.service.admin_addr;
    let console = (configuration.console.addr, configuration.console.password.clone());
    let backend = Backend::new(grpc, configuration.keys.api_keys.first())?;
    let city = Arc::new(City::open()?);
    let fleet = Fleet::new(&city, http, &riders, &backend);

    let running = Running::start(&configuration, &Role::all_if_empty(&[]), Some(Landing(page))).await?;
    print_welcome(http, grpc, admin, &console, &tokens.customer);
    let shutdown = running.parts().shutdown.clone();
    // Ids that no earlier run has used.
    let first_id = Clock.now().micros() / 1_000_000 % 100_000 * 100;
    let talk = Talk::new(backend.clone());
    let answers = talk.clone().answer();
    let rush = rush::run(city, fleet, backend, talk, first_id, asked.orders_per_minute);
    running.parts().shutdown.spawn(async move {
        tokio::select! {
            () = shutdown.told() => {}
            () = answers => {}
            result = rush => if let Err(why) = result {
                tracing::error!("the dinner rush ended: {why:#}");
            }
        }
    });
    running.until_told().await?;
    running.drain().await;
    Ok(())
}

/// The settings of a demo: what the environment says, completed by what only a demo may choose by itself.
fn configure() -> anyhow::Result<Configuration> {
    let mut reader = Reader::from_env();
    reader.set_default("REALTIME_DATA_DIR", secrets::FOLDER);
    reader.set_default("REALTIME_LOG", "warn");
    // Nobody waits for a demo to move its clients elsewhere.
    reader.set_default("REALTIME_DRAIN_TIME", "2s");
    let origins: Vec<String> = DEVELOPMENT_PORTS
        .iter()
        .flat_map(|port| [format!("http://localhost:{port}"), format!("http://127.0.0.1:{port}")])
        .collect();
    reader.set_default("REALTIME_TRACKING_MAP", map()?);
    reader.set_default("REALTIME_ALLOWED_ORIGINS", origins.join(","));
    secrets::make_and_offer(&mut reader)?;
    Ok(Configuration::read(reader, &Role::all_if_empty(&[]))?)
}

/// The map as a file, for tracking.
fn map() -> anyhow::Result<String> {
    let path = Path::new(secrets::FOLDER).join("helsinki-centre-roads.osm.pbf");
    let path = path.to_str().context("the demo's folder has an odd name")?;
    fs::create_dir_all(secrets::FOLDER)
        .with_context(|| format!("can't make the folder {}", secrets::FOLDER))?;
    fs::write(path, city::MAP).with_context(|| format!("can't write {path}"))?;
    Ok(path.to_owned())
}

fn token(
    configuration: &Configuration,
    user: &str,
    role: UserRole,
    restaurants: &[&str],
) -> anyhow::Result<String> {
    let mut token = NewToken::for_user(user.parse()?, Clock.now());
    token.lifetime = TOKEN_LIFETIME;
    token.roles = vec![role];
    token.restaurant_ids = restaurants.iter().map(|id| (*id).to_owned()).collect();
    Ok(mint(&configuration.tokens, &token)?)
}

#[allow(clippy::print_stdout)]
fn print_welcome(
    http: SocketAddr,
    grpc: SocketAddr,
    admin: SocketAddr,
    (console, password): &(SocketAddr, Option<Secret>),
    token: &str,
) {
    let program = std::env::current_exe().map_or_else(
        |_| "platepal-realtime".to_owned(),
        |path| match std::env::current_dir()
            .ok()
            .and_then(|here| path.strip_prefix(here).ok().map(ToOwned::to_owned))
        {
            Some(relative) => relative.display().to_string(),
            None => path.display().to_string(),
        },
    );
    println!("\n{}", "PlatePal Realtime is serving a dinner rush.".bold());
    println!("\n  open      {}", page::address(http).cyan().underline());
    println!("  gRPC      {grpc}\n  metrics   http://{admin}/metrics");
    if let Some(password) = password {
        println!("  console   http://{console}/  password {}", password.reveal());
    }
    println!("\n{}", "Try, in another terminal:".bold());
    println!("  {program} tail customer:{CUSTOMER}");
    println!(
        "  {program} publish --channel customer:{CUSTOMER} --type order.accepted --payload '{{\"id\":1,\"status\":\"ACCEPTED\"}}'"
    );
    println!("  {program} token --user {CUSTOMER} --role CUSTOMER");
    println!("\n{}", "A socket of the customer:".bold());
    println!("  ws://{http}/ws/customer/{CUSTOMER}/?token={token}");
    println!("\n{}", "Ctrl-C ends it; what was kept is in the folder data/demo.".dimmed());
}
