//! What an idle connection costs the server: resident memory before and after opening many.
//!
//! `own`: each connection reads a feed of its own, as customers do, so each brings a channel and a subscription
//! with it. `shared`: all read one feed, as dashboards do, so what is measured is the connection alone.

use std::path::PathBuf;

use bench::{
    command,
    watched::{Watched, raise_open_files},
};
use clap::{Parser, ValueEnum};
use futures_util::{StreamExt, TryStreamExt, stream};
use owo_colors::OwoColorize;
use platepal_testkit::{Connect, Role, Socket, Tier, Token};

/// Handshakes under way at the same time.
const HANDSHAKES: usize = 64;
const MIB: f64 = 1_048_576.0;

/// Memory of one idle connection.
#[derive(Parser)]
struct Arguments {
    /// Connections to open; the limits on open files of both sides must allow it.
    #[arg(long, default_value_t = 5_000)]
    connections: u64,
    /// What they read.
    #[arg(long, value_enum, default_value_t = Feed::Own)]
    feed: Feed,
    /// The binary to start.
    #[arg(long, default_value = "target/release/platepal-realtime")]
    binary: PathBuf,
    /// A running server instead, like `ws://127.0.0.1:8000`; needs --pid and --secret.
    #[arg(long, requires_all = ["pid", "secret"])]
    url: Option<String>,
    /// Its process.
    #[arg(long)]
    pid: Option<u32>,
    /// Its `REALTIME_JWT_SECRET`.
    #[arg(long)]
    secret: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Feed {
    Own,
    Shared,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    raise_open_files();
    let (tier, url, pid, secret) = match (&arguments.url, arguments.pid, &arguments.secret) {
        (Some(url), Some(pid), Some(secret)) => (None, url.clone(), pid, secret.clone()),
        _ => {
            command::check_binary(&arguments.binary)?;
            let tier = Tier::all_in_one(&arguments.binary).await;
            let (url, pid) = (tier.socket_url(""), tier.process_id(Role::Edge(0)));
            let secret = tier.secret().to_owned();
            (Some(tier), url, pid, secret)
        }
    };
    let url = url.trim_end_matches('/').to_owned();
    // The first connections pay for what all share: lazily made pools, caches, links.
    let warm = open(&url, &secret, arguments.feed, 1..=50).await?;
    let watched = Watched::new(pid)?;
    let before = watched.settled_memory().await?;
    let sockets = open(&url, &secret, arguments.feed, 1_001..=1_000 + arguments.connections).await?;
    let after = watched.settled_memory().await?;
    let each = after.saturating_sub(before) as f64 / 1024.0 / arguments.connections as f64;
    let feed = if arguments.feed == Feed::Own { "a feed each" } else { "one feed" };
    anstream::println!(
        "{} idle connections, {feed}: {:.1} MiB before, {:.1} MiB after, {} per connection",
        sockets.len(),
        before as f64 / MIB,
        after as f64 / MIB,
        format!("{each:.2} KiB").bold()
    );
    drop((warm, sockets, tier));
    Ok(())
}

async fn open(
    url: &str,
    secret: &str,
    feed: Feed,
    users: std::ops::RangeInclusive<u64>,
) -> anyhow::Result<Vec<Socket>> {
    let opening = users.map(|user| {
        let token = Token::new(secret, user);
        let address = match feed {
            Feed::Own => format!("{url}/ws/customer/{user}?token={}", token.sign()),
            Feed::Shared => format!("{url}/ws/admin?token={}", token.role("ADMIN").sign()),
        };
        async move {
            let socket = Connect::to(address).attempt().await;
            socket.map_err(|refusal| anyhow::anyhow!("user {user} was refused: {refusal:?}"))
        }
    });
    stream::iter(opening).buffer_unordered(HANDSHAKES).try_collect().await
}
