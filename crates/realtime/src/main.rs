//! `platepal-realtime`: the realtime tier of PlatePal. One binary, many roles.
//!
//! Without arguments every role runs in this process; `platepal-realtime edge` runs one. `demo` runs everything
//! with made-up orders to look at. This crate composes ([`roles`]), reads settings ([`configuration`]) and talks
//! to people on a terminal ([`tools`], [`demo`]); it has no rules of its own.

mod cli;
mod configuration;
mod demo;
mod roles;
mod tools;

use std::process::ExitCode;

use anstream::eprintln;
use clap::Parser;
use owo_colors::OwoColorize;

use crate::{
    cli::{Cli, Command},
    configuration::Configuration,
};

#[tokio::main]
#[allow(clippy::print_stderr)]
async fn main() -> ExitCode {
    // One TLS provider, chosen before anything can ask for one; a second call would be the only error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    let result = match cli.command {
        None => Box::pin(serve(&cli.roles)).await,
        Some(Command::Demo(demo)) => Box::pin(demo::run(&demo)).await,
        Some(Command::Doctor(doctor)) => return tools::doctor::run(&doctor).await,
        Some(Command::Token(token)) => tools::token::run(&token),
        Some(Command::Vapid) => {
            tools::vapid::run();
            Ok(())
        }
        Some(Command::Publish(publish)) => tools::publish::run(publish).await,
        Some(Command::Tail(tail)) => tools::tail::run(tail).await,
        Some(Command::ReplayTrace(replay)) => tools::replay_trace::run(&replay),
        Some(Command::Settings) => tools::settings::run(),
        Some(Command::Metrics) => Box::pin(tools::metrics::run()).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{} {why:#}", "error:".red().bold());
            ExitCode::FAILURE
        }
    }
}

async fn serve(asked: &[cli::Role]) -> anyhow::Result<()> {
    let roles = cli::Role::all_if_empty(asked);
    let configuration = Configuration::read(platepal_settings::Reader::from_env(), &roles)?;
    Box::pin(roles::run(configuration, &roles, None)).await
}
