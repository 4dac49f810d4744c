//! What is measured: our tier, and servers that do the same work. Each is started the way its documents propose.
//!
//! The programs of the peers are in `bench/peers/`. They check no token, we do: what that costs counts for us.

mod install;
mod place;

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use platepal_testkit::{Process, Role, Tier, Token, http, poll, ports};
use serde::{Deserialize, Serialize};

use crate::{
    load::Dialect,
    publisher::{Feed, Publisher},
    watched::Watched,
};

/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(30);

/// A server that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// PlatePal Realtime: every role in one process, embedded bus.
    Ours,
    /// A Node.js server on `ws`.
    Ws,
    /// A Node.js server on Socket.IO.
    SocketIo,
    /// nginx with nchan.
    Nchan,
    /// Django Channels under Uvicorn, in-memory channel layer.
    ChannelsUvicorn,
    /// Django Channels under Daphne, in-memory channel layer.
    ChannelsDaphne,
}

impl Peer {
    /// All, in the order of tables.
    pub const ALL: [Self; 6] =
        [Self::Ours, Self::Ws, Self::SocketIo, Self::Nchan, Self::ChannelsUvicorn, Self::ChannelsDaphne];

    /// Its name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ours => "PlatePal Realtime",
            Self::Ws => "ws",
            Self::SocketIo => "Socket.IO",
            Self::ChannelsUvicorn => "Channels, Uvicorn",
            Self::ChannelsDaphne => "Channels, Daphne",
            Self::Nchan => "nginx nchan",
        }
    }

    /// Whether a client that comes back is given what it missed.
    pub fn recovers(self) -> bool {
        matches!(self, Self::Ours | Self::SocketIo | Self::Nchan)
    }

    /// Installs what it needs, where it is missing; says which version that is.
    pub async fn install(self) -> anyhow::Result<String> {
        tokio::task::spawn_blocking(move || install::install(self)).await?
    }

    fn dialect(self) -> Dialect {
        match self {
            Self::Ours => Dialect::PlatePal,
            Self::SocketIo => Dialect::SocketIo,
            Self::Nchan => Dialect::Nchan,
            Self::Ws | Self::ChannelsUvicorn | Self::ChannelsDaphne => Dialect::Plain,
        }
    }

    /// Starts it and waits until it answers.
    pub async fn start(self) -> anyhow::Result<Running> {
        if self == Self::Ours {
            let tier = Tier::all_in_one(place::our_binary()?).await;
            let watched = Watched::new(tier.process_id(Role::EDGE))?;
            let address = tier.public_address(Role::EDGE);
            return Ok(Running { peer: self, watched, address, tier: Some(tier), _process: None });
        }
        let port = ports::free();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut process = Process::start(self.title(), self.command(port)?);
        let url = format!("http://{address}/");
        let answered = poll(START, || {
            let (ended, url) = (process.ended(), url.clone());
            async move {
                match ended {
                    Some(ended) => Some(Err(ended)),
                    None => http::try_request("GET", &url, &[], "").await.is_ok().then_some(Ok(())),
                }
            }
        })
        .await;
        match answered {
            Some(Ok(())) => {}
            Some(Err(ended)) => bail!("it ended ({}): {}", ended.status, ended.output.trim()),
            None => bail!("it did not answer within {START:?}: {}", process.output().trim()),
        }
        let watched = Watched::new(process.id())?;
        Ok(Running { peer: self, watched, address, tier: None, _process: Some(process) })
    }

    fn command(self, port: u16) -> anyhow::Result<Command> {
        let home = place::home(self)?;
        let port = port.to_string();
        let mut command;
        match self {
            Self::Ours => bail!("ours is started by the testkit"),
            Self::Ws | Self::SocketIo => {
                command = Command::new("node");
                command.args(["server.mjs", &port]).current_dir(&home).env("NODE_ENV", "production");
            }
            Self::ChannelsUvicorn => {
                command = Command::new(home.join("venv/bin/uvicorn"));
                command.args(["live.asgi:application", "--host", "127.0.0.1", "--port", &port]);
                command.args(["--lifespan", "off", "--log-level", "warning"]).current_dir(&home);
            }
            Self::ChannelsDaphne => {
                command = Command::new(home.join("venv/bin/daphne"));
                command.args(["-b", "127.0.0.1", "-p", &port, "-v", "0", "live.asgi:application"]);
                command.current_dir(&home);
            }
            Self::Nchan => {
                let folder = home.to_string_lossy();
                let text = std::fs::read_to_string(place::source(self).join("nginx.conf"))?;
                let text = text
                    .replace("{{module}}", &home.join(place::NCHAN_MODULE).to_string_lossy())
                    .replace("{{folder}}", &folder)
                    .replace("{{port}}", &port);
                let configuration = home.join("nginx.conf");
                std::fs::write(&configuration, text)
                    .with_context(|| format!("{} can't be written", configuration.display()))?;
                command = Command::new(home.join(place::NGINX));
                command.arg("-p").arg(&home).arg("-c").arg(&configuration).args(["-e", "stderr"]);
            }
        }
        Ok(command)
    }
}

/// A running server. It ends, with all its processes, when this is dropped.
pub struct Running {
    peer: Peer,
    watched: Watched,
    address: SocketAddr,
    /// Ours.
    tier: Option<Tier>,
    /// Any other.
    _process: Option<Process>,
}

impl Running {
    /// Which one it is.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Its processes.
    pub fn watched(&self) -> Watched {
        self.watched
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its clients speak.
    pub fn dialect(&self) -> Dialect {
        self.peer.dialect()
    }

    /// The path of a feed for the client of this number; each is a user of its own.
    pub fn path(&self, feed: Feed, client: u64) -> String {
        let name = feed.name();
        match (&self.tier, self.peer) {
            (Some(tier), _) => match feed {
                Feed::Shared => {
                    let token = Token::new(tier.secret(), client + 1).role("ADMIN");
                    format!("/ws/admin?token={}", token.sign())
                }
                Feed::Own(number) => {
                    let token = Token::new(tier.secret(), number);
                    format!("/ws/customer/{number}?token={}", token.sign())
                }
            },
            (_, Peer::SocketIo) => format!("/socket.io/?EIO=4&transport=websocket&channel={name}"),
            (_, Peer::Nchan) => format!("/sub/{name}"),
            (_, Peer::ChannelsUvicorn | Peer::ChannelsDaphne) => format!("/ws/{name}/"),
            (_, Peer::Ours | Peer::Ws) => format!("/?channel={name}"),
        }
    }

    /// A publisher of its own. `epoch` starts the clock in which it marks events.
    pub fn publisher(&self, epoch: Instant) -> anyhow::Result<Publisher> {
        match &self.tier {
            Some(tier) => Ok(Publisher::grpc(tier.grpc(), epoch)),
            None => Publisher::http(format!("http://{}/publish", self.address), epoch),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Workers too, which would outlive a killed master. The first process has not been waited for yet.
        self.watched.kill();
    }
}
