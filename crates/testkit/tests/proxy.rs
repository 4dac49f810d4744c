//! The proxy does to connections what its methods say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use platepal_testkit::{PATIENCE, Proxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// A server that sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn says(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap()?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn a_good_network_forwards_both_ways() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(says(&mut stream, "hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn a_cut_resets_open_connections_and_lets_new_ones_through() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut stream, "hello").await.unwrap();
    proxy.cut();
    let mut byte = [0];
    let error = timeout(PATIENCE, stream.read_exact(&mut byte)).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let mut again = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(says(&mut again, "again").await.unwrap(), "again");
}

#[tokio::test]
async fn a_black_hole_holds_bytes_back_until_it_forwards() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut stream, "hello").await.unwrap();
    proxy.black_hole();
    stream.write_all(b"held").await.unwrap();
    let mut answer = [0; 4];
    assert!(timeout(Duration::from_millis(100), stream.read_exact(&mut answer)).await.is_err());
    proxy.forward();
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"held");
}

#[tokio::test]
async fn a_slow_network_takes_its_time() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut stream, "hello").await.unwrap();
    proxy.slow(10_000);
    let start = Instant::now();
    says(&mut stream, &"x".repeat(1_000)).await.unwrap();
    // 0.1 s there and 0.1 s back.
    assert!(start.elapsed() >= Duration::from_millis(190), "took only {:?}", start.elapsed());
}

#[tokio::test]
async fn a_refusing_network_lets_nobody_in() {
    let proxy = Proxy::start(echo().await).await;
    proxy.refuse();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(says(&mut stream, "hello").await.is_err());
    proxy.forward();
    let mut again = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(says(&mut again, "again").await.unwrap(), "again");
}
