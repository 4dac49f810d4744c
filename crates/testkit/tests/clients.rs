//! The clients show what a server does, against servers that do it on purpose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::net::SocketAddr;

use futures_util::SinkExt;
use platepal_testkit::{Connect, Next, PATIENCE, PlatePalClient, http};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::CloseFrame,
    },
};

/// A server that gives each connection's address to the test, and the connection.
async fn sockets() -> (SocketAddr, mpsc::Receiver<(String, WebSocketStream<TcpStream>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connections) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut path = String::new();
            #[allow(clippy::result_large_err)] // the library's own type
            let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
                path = request.uri().to_string();
                Ok(response)
            };
            let socket = accept_hdr_async(stream, note).await.unwrap();
            if accepted.send((path, socket)).await.is_err() {
                return;
            }
        }
    });
    (address, connections)
}

/// A server that answers every request with these bytes.
async fn answering(bytes: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_socket_shows_frames_and_the_close_with_its_reason() {
    let (address, mut connections) = sockets().await;
    let mut client = Connect::to(format!("ws://{address}/ws")).origin("http://localhost:3000").open().await;
    let (_, mut server) = connections.recv().await.unwrap();
    server.send(Message::text(r#"{"type":"order_accepted"}"#)).await.unwrap();
    server.send(Message::text("not JSON")).await.unwrap();
    let close = CloseFrame { code: 4001.into(), reason: "token expired".into() };
    server.close(Some(close)).await.unwrap();

    assert_eq!(client.json().await, json!({"type": "order_accepted"}));
    assert_eq!(client.next(PATIENCE).await, Next::Text("not JSON".to_owned()));
    assert_eq!(client.closed().await, (4001, "token expired".to_owned()));
}

#[tokio::test]
async fn a_refused_handshake_shows_its_status() {
    let address =
        answering("HTTP/1.1 404 Not Found\r\ncontent-length: 7\r\nconnection: close\r\n\r\nno path").await;
    let refusal = Connect::to(format!("ws://{address}/nowhere")).attempt().await.unwrap_err();
    assert_eq!(refusal.status, 404);
    assert_eq!(refusal.body, "no path");
}

#[tokio::test]
async fn a_frontend_comes_back_with_the_last_event_it_saw() {
    let (address, mut connections) = sockets().await;
    let mut client = PlatePalClient::open(&format!("ws://{address}/ws/customer/7"), "TOKEN");
    let (path, mut server) = connections.recv().await.unwrap();
    assert_eq!(path, "/ws/customer/7?token=TOKEN");
    server.send(Message::text(r#"{"type":"a","event_id":"first"}"#)).await.unwrap();
    client.wait_for_event("first").await;

    client.cut();
    let (path, mut server) = connections.recv().await.unwrap();
    assert_eq!(path, "/ws/customer/7?token=TOKEN&since_event_id=first");
    server.send(Message::text(r#"{"type":"a","event_id":"second"}"#)).await.unwrap();
    assert_eq!(client.wait_for_frames(2).await.len(), 2);
    assert_eq!(client.event_ids(), ["first", "second"]);
    assert_eq!(client.connections(), 2);

    let close = CloseFrame { code: 1012.into(), reason: "moving".into() };
    server.close(Some(close)).await.unwrap();
    let (path, _server) = connections.recv().await.unwrap();
    assert_eq!(path, "/ws/customer/7?token=TOKEN&since_event_id=second");
    assert_eq!(client.closes(), [(1012, "moving".to_owned())]);
}

#[tokio::test]
async fn a_frontend_stays_away_after_a_close_with_1000() {
    let (address, mut connections) = sockets().await;
    let client = PlatePalClient::open(&format!("ws://{address}/ws/admin"), "TOKEN");
    let (_, mut server) = connections.recv().await.unwrap();
    let close = CloseFrame { code: 1000.into(), reason: "".into() };
    server.close(Some(close)).await.unwrap();
    let seen = || async { client.closes() == [(1000, String::new())] };
    platepal_testkit::eventually("the client was told 1000", seen).await;
    let again = tokio::time::timeout(std::time::Duration::from_millis(200), connections.recv()).await;
    assert!(again.is_err(), "it came back");
}

#[tokio::test]
async fn a_response_in_chunks_is_put_together() {
    let address = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n",
    )
    .await;
    let response = http::get(&format!("http://{address}/path")).await;
    assert_eq!((response.status, response.body.as_str()), (200, "hello world"));
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn an_event_stream_is_read_line_by_line() {
    let address = answering("HTTP/1.1 200 OK\r\n\r\nid: 7\ndata: {}\n\n").await;
    let url = format!("http://{address}/events/customer");
    let mut stream = http::Stream::open("GET", &url, &[], "").await.unwrap();
    assert_eq!(stream.line(PATIENCE).await.as_deref(), Some("id: 7"));
    assert_eq!(stream.line(PATIENCE).await.as_deref(), Some("data: {}"));
    assert_eq!(stream.line(PATIENCE).await.as_deref(), Some(""));
    assert_eq!(stream.line(PATIENCE).await, None);
}
