//! Where the peers' programs are, and where what they need is installed.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Peer;

/// Where Debian's packages put them, under the folder in which they are unpacked.
pub(super) const NGINX: &str = "usr/sbin/nginx";
pub(super) const NCHAN_MODULE: &str = "usr/lib/nginx/modules/ngx_nchan_module.so";

/// The top of the repository.
pub(super) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The server built by the same profile as this program.
pub(super) fn our_binary() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe()?;
    Ok(me.parent().context("a program without a folder")?.join("platepal-realtime"))
}

/// Its program, as it is in the repository.
pub(super) fn source(peer: Peer) -> PathBuf {
    root().join("bench/peers").join(folder(peer))
}

/// Where it is installed and runs: the repository's cache of downloads.
pub(super) fn home(peer: Peer) -> anyhow::Result<PathBuf> {
    let home = root().join(".cache/peers").join(folder(peer));
    std::fs::create_dir_all(&home).with_context(|| format!("{} can't be made", home.display()))?;
    Ok(home)
}

fn folder(peer: Peer) -> &'static str {
    match peer {
        Peer::Ours => "ours",
        Peer::Ws => "ws",
        Peer::SocketIo => "socketio",
        Peer::ChannelsUvicorn | Peer::ChannelsDaphne => "channels",
        Peer::Nchan => "nchan",
    }
}
