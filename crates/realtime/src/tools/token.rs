//! `token`: a token as Django would sign it.

use std::time::Duration;

use anstream::println;
use platepal_auth::{NewToken, Settings, mint};
use platepal_service::Clock;

use super::environment;
use crate::cli;

/// Prints the token alone, so that a shell can use it.
#[allow(clippy::print_stdout)]
pub(crate) fn run(asked: &cli::Token) -> anyhow::Result<()> {
    let mut reader = environment();
    let Some(settings) = reader.read::<Settings>() else {
        reader.finish(Settings::SPECS)?;
        anyhow::bail!("the settings can't be read");
    };
    let mut token = NewToken::for_user(asked.user.parse()?, Clock.now());
    token.lifetime = Duration::from_secs(asked.seconds.into());
    token.roles = asked.role.iter().map(|role| role.parse()).collect::<Result<_, _>>()?;
    token.restaurant_ids.clone_from(&asked.restaurant);
    println!("{}", mint(&settings, &token)?);
    Ok(())
}
