//! `demo`: the whole tier on its embedded default, with a made-up dinner rush that goes through the public gRPC
//! API like any backend's orders, and a page to watch it.
//!
//! The one place where secrets are generated; they stay in the demo's own folder, readable by its user only.

mod rush;
pub(crate) mod secrets;

use std::{net::SocketAddr, time::Duration};

use anstream::println;
use owo_colors::OwoColorize;
use platepal_auth::{NewToken, Role as UserRole, mint};
use platepal_edge::Landing;
use platepal_service::Clock;
use platepal_settings::Reader;

use crate::{
    cli::{self, Role},
    configuration::Configuration,
    roles::Running,
};

/// The customer, restaurant and rider whose screens the page shows.
const CUSTOMER: &str = "7";
const RESTAURANT: &str = "12";
const OWNER: &str = "3";

/// The tokens on the page outlive a long demo.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Where PlatePal's frontends run in development.
const DEVELOPMENT_PORTS: [u16; 7] = [3000, 3020, 3021, 3022, 3023, 3024, 5173];
/// The page, with its tokens left open.
const PAGE: &str = include_str!("demo/page.html");

/// Runs until it is interrupted.
pub(crate) async fn run(asked: &cli::Demo) -> anyhow::Result<()> {
    let configuration = configure()?;
    let customer = token(&configuration, CUSTOMER, UserRole::Customer, &[])?;
    let owner = token(&configuration, OWNER, UserRole::Restaurant, &[RESTAURANT])?;
    let page = PAGE
        .replace("{{customer_token}}", &customer)
        .replace("{{restaurant_token}}", &owner)
        .replace("{{customer}}", CUSTOMER)
        .replace("{{restaurant}}", RESTAURANT);
    let (http, grpc) = (configuration.edge.http_addr, configuration.service.grpc_addr);
    let admin = configuration.service.admin_addr;
    let key = configuration.keys.api_keys.first().cloned();

    let running = Running::start(configuration, &Role::all_if_empty(&[]), Some(Landing(page))).await?;
    print_welcome(http, grpc, admin, &customer);
    let shutdown = running.parts().shutdown.clone();
    let rush = rush::run(grpc, key, asked.orders_per_minute);
    running.parts().shutdown.spawn(async move {
        tokio::select! {
            () = shutdown.told() => {}
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
    reader.set_default("REALTIME_ALLOWED_ORIGINS", origins.join(","));
    secrets::make_and_offer(&mut reader)?;
    Ok(Configuration::read(reader, &Role::all_if_empty(&[]))?)
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
fn print_welcome(http: SocketAddr, grpc: SocketAddr, admin: SocketAddr, token: &str) {
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
    println!("\n  open      {}", format!("http://{http}/").cyan().underline());
    println!("  gRPC      {grpc}\n  metrics   http://{admin}/metrics");
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
