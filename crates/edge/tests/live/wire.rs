//! A connection under every protocol: bytes out, bytes in.

use std::net::IpAddr;

use platepal_testkit::PATIENCE;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::house::token;

pub struct Wire(pub TcpStream);

/// The request of a WebSocket by this user.
pub fn handshake(path: &str, user: u64, headers: &[(&str, &str)]) -> String {
    let mut request = format!(
        "GET {path}?token={} HTTP/1.1\r\nhost: edge.example\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        token(user)
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request + "\r\n"
}

impl Wire {
    pub async fn open(address: &str) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// From this address of the machine's own.
    pub async fn open_from(from: &str, address: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from.parse::<IpAddr>().unwrap(), 0).into()).unwrap();
        Self(socket.connect(address.parse().unwrap()).await.unwrap())
    }

    /// A connection that keeps as little as it can of what it does not read.
    pub async fn deaf(address: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        Self(socket.connect(address.parse().unwrap()).await.unwrap())
    }

    /// Sends; that the other side closed already shows when reading.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// The head of an answer.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, self.0.read_u8()).await.expect("no answer").expect("no whole head"));
        }
        String::from_utf8(head).unwrap().to_lowercase().replacen("http", "HTTP", 1)
    }

    /// All that comes until the other side ends the connection, which it must.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end, too: the other side did not read all that was sent.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("the connection is ended");
        String::from_utf8_lossy(&rest).into_owned()
    }
}
