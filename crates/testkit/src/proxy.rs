//! A TCP proxy that can be a bad network: cut, silent, slow or closed.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// Bytes moved at once; small, so that a slow network is evenly slow.
const PIECE: usize = 4 * 1024;

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    network: Network,
    /// Grows with every cut.
    cuts: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Good,
    /// Connections stay open, and nothing passes.
    Silent,
    /// This many bytes per second and direction.
    Slow(u32),
    /// New connections are reset at once.
    Closed,
}

impl Proxy {
    /// Starts on a free port in front of a target.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (state, of_state) = watch::channel(State { network: Network::Good, cuts: 0 });
        let task = tokio::spawn(accept(listener, target, of_state));
        Self { address, state, task }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards again, what was held back as well.
    pub fn forward(&self) {
        self.switch_to(Network::Good);
    }

    /// Keeps all connections open and lets nothing pass, as a network that loses packets.
    pub fn black_hole(&self) {
        self.switch_to(Network::Silent);
    }

    /// Forwards this many bytes per second and direction of each connection.
    pub fn slow(&self, bytes_per_second: u32) {
        assert!(bytes_per_second > 0, "0 bytes per second is black_hole()");
        self.switch_to(Network::Slow(bytes_per_second));
    }

    /// Resets all connections; new ones are forwarded as before.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Resets all connections, and new ones as well until [`Proxy::forward`].
    pub fn refuse(&self) {
        self.state.send_modify(|state| *state = State { network: Network::Closed, cuts: state.cuts + 1 });
    }

    fn switch_to(&self, network: Network) {
        self.state.send_modify(|state| state.network = network);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Receiver<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let now = *state.borrow();
        if now.network == Network::Closed {
            reset(&client);
            continue;
        }
        tokio::spawn(connection(client, target, state.clone(), now.cuts));
    }
}

async fn connection(mut client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>, cuts: u64) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        reset(&client);
        return;
    };
    // Nagle's algorithm would add delays that the network under test does not have.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let was_cut = {
        // Borrowed halves: owned ones would end their stream in an orderly way when they are dropped.
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = pump(from_client, to_server, state.clone());
        let back = pump(from_server, to_client, state.clone());
        tokio::select! {
            _ = async { tokio::join!(there, back) } => false,
            _ = state.wait_for(|state| state.cuts != cuts) => true,
        }
    };
    if was_cut {
        reset(&client);
        reset(&server);
    }
}

/// Moves bytes one way until their source ends.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut state: watch::Receiver<State>) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let Ok(open) = state.wait_for(|state| state.network != Network::Silent).await.map(|state| *state)
        else {
            break;
        };
        if let Network::Slow(bytes_per_second) = open.network {
            tokio::time::sleep(Duration::from_secs_f64(read as f64 / f64::from(bytes_per_second))).await;
        }
        if to.write_all(piece.get(..read).unwrap_or_default()).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

fn reset(stream: &TcpStream) {
    // With a linger of zero, dropping the stream sends a reset instead of an orderly end.
    let _ = stream.set_zero_linger();
}
