//! A TCP load balancer in front of several servers: each connection goes to the next one that takes it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A running balancer.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    passed: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Balancer {
    /// Starts on a free port in front of these servers.
    pub async fn start(servers: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound listener has an address");
        let passed = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, servers, Arc::clone(&passed)));
        Self { address, passed, task }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that some server took so far.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, servers: Vec<SocketAddr>, passed: Arc<AtomicUsize>) {
    let mut turn = 0;
    while let Ok((client, _)) = listener.accept().await {
        turn += 1;
        let mut order = servers.clone();
        order.rotate_left(turn % servers.len());
        let passed = Arc::clone(&passed);
        tokio::spawn(async move {
            if let Some(server) = first_that_takes(&order).await {
                passed.fetch_add(1, Ordering::SeqCst);
                pass(client, server).await;
            }
        });
    }
}

async fn first_that_takes(servers: &[SocketAddr]) -> Option<TcpStream> {
    for server in servers {
        if let Ok(stream) = TcpStream::connect(server).await {
            return Some(stream);
        }
    }
    None
}

async fn pass(mut client: TcpStream, mut server: TcpStream) {
    // Latency only.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // An error is the end of the connection, which both ends see.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
