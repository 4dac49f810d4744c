//! Bad input gets its documented answer and costs nobody else anything.

use platepal_proto::v1;
use platepal_testkit::{Clients, Connect, Role, Tier, http};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    both_shapes,
    publishing::{event, new_id, publish},
};

/// A bystander: a socket that must get its events whatever others do.
struct Bystander {
    socket: platepal_testkit::Socket,
    clients: Clients,
}

impl Bystander {
    async fn open(tier: &Tier) -> Self {
        Self { socket: tier.connect("/ws/customer/7", &tier.token(7)).open().await, clients: tier.grpc() }
    }

    async fn is_unharmed(&mut self, after: &str) {
        let id = new_id();
        publish(&self.clients, event(&id, &json!({})), &["customer:7"]).await;
        assert_eq!(self.socket.json().await["event_id"], id.as_str(), "after {after}");
    }
}

both_shapes! {
    async fn malformed_frames_get_their_answer_and_harm_no_other_connection(tier: Tier) {
        let mut bystander = Bystander::open(&tier).await;
        let connect = || tier.connect("/ws/customer/8", &tier.token(8)).open();

        for text in ["", "{", "[]", "null", "\"text\"", "{\"type\":5}", "{\"type\":\"launch_rocket\"}"] {
            let mut socket = connect().await;
            socket.send_text(text).await;
            let error = socket.json().await;
            assert_eq!(error["type"], "error", "{text:?}");
            assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
            let id = new_id();
            publish(&tier.grpc(), event(&id, &json!({})), &["customer:8"]).await;
            assert_eq!(socket.json().await["event_id"], id.as_str(), "still open after {text:?}");
            bystander.is_unharmed(text).await;
        }

        let mut binary = connect().await;
        binary.send(Message::binary(vec![0xff; 100])).await;
        assert_eq!(binary.json().await["type"], "error");

        let mut giant = connect().await;
        giant.send(Message::text("x".repeat(1024 * 1024))).await;
        assert_eq!(giant.closed().await.0, 1009);
        bystander.is_unharmed("a giant frame").await;

        // A frame of 2^62 bytes, by its header; an unmasked frame; a reserved opcode; text that is not UTF-8.
        let broken: [&[u8]; 4] = [
            &[0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
            &[0x81, 0x02, b'h', b'i'],
            &[0x83, 0x80, 1, 2, 3, 4],
            &[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28],
        ];
        for bytes in broken {
            let mut socket = connect().await;
            socket.send_bytes(bytes).await;
            let (code, _) = socket.closed().await;
            assert!([1002, 1007, 1009].contains(&code), "{bytes:?} was answered with {code}");
            bystander.is_unharmed("a broken frame").await;
        }
    }
}

both_shapes! {
    async fn a_flood_of_messages_is_slowed_and_then_ended(tier: Tier) {
        let mut bystander = Bystander::open(&tier).await;
        let mut flooder = tier.connect("/ws/customer/8", &tier.token(8)).open().await;
        for _ in 0..2_000 {
            flooder.send_text("{\"type\":\"spam\"}").await;
        }
        assert_eq!(flooder.closed().await.0, 1008);
        bystander.is_unharmed("a flood").await;
    }
}

both_shapes! {
    async fn what_is_not_a_socket_gets_an_http_answer(tier: Tier) {
        for (path, status) in [
            ("/ws/kitchen/7", 404),
            ("/ws/customer/", 404),
            ("/ws/customer/7/8", 404),
            ("/ws/customer/a.b", 400),
            ("/nothing", 404),
            ("/ws/customer/7", 426),
        ] {
            let answer = http::get(&tier.http_url(path)).await;
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
            assert!(!answer.body.is_empty(), "{path}");
        }
        let refusal = Connect::to(tier.socket_url("/ws/kitchen/7")).attempt().await.expect_err("no such path");
        assert_eq!(refusal.status, 404);
    }
}

both_shapes! {
    async fn bytes_that_are_no_http_and_headers_without_end_cost_nobody_else_anything(tier: Tier) {
        let mut bystander = Bystander::open(&tier).await;
        let address = tier.public_address(Role::EDGE);
        for bytes in [b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), b"GET / HTTP/9\r\n\r\n".to_vec(), {
            let mut endless = b"GET /ws/customer/7 HTTP/1.1\r\nx: ".to_vec();
            endless.extend(std::iter::repeat_n(b'y', 200_000));
            endless
        }] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&bytes).await.ok();
            // Whatever the answer is, the connection ends.
            let mut answer = Vec::new();
            tokio::time::timeout(platepal_testkit::PATIENCE, stream.read_to_end(&mut answer))
                .await
                .expect("the server ends the connection")
                .ok();
            bystander.is_unharmed("bytes that are no HTTP").await;
        }
    }
}

/// Opens a connection that means no good, and leaves it to its fate.
async fn attack(nth: usize, address: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let handshake = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let bytes = match nth % 6 {
        // Nothing; half a request; no HTTP; a head without end; a socket that pings without end and reads nothing;
        // one that talks without end.
        0 => Vec::new(),
        1 => b"GET /ws/customer/7 HTTP/1.1\r\nhost: ".to_vec(),
        2 => b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        3 => [b"GET / HTTP/1.1\r\nx: ", "y".repeat(20_000).as_bytes()].concat(),
        4 => [handshake.as_bytes(), &[0x89, 0x80, 0, 0, 0, 0].repeat(2_000)].concat(),
        _ => [handshake.as_bytes(), &[0x81, 0x82, 0, 0, 0, 0, b'{', b'}'].repeat(2_000)].concat(),
    };
    stream.write_all(&bytes).await.ok();
    stream
}

both_shapes! {
    async fn a_thousand_connections_that_mean_no_good_cost_nobody_an_event(tier: Tier) {
        let mut bystander = Bystander::open(&tier).await;
        let address = tier.public_address(Role::EDGE);
        let mut connections = Vec::new();
        for nth in 0..1_000 {
            let user = 1_000 + nth as u64;
            let path = format!("/ws/customer/{user}?token={}", tier.token(user).sign());
            connections.push(attack(nth, address, &path).await);
            if nth % 100 == 0 {
                bystander.is_unharmed("some of a thousand").await;
            }
        }
        bystander.is_unharmed("a thousand").await;
        for result in ["malformed", "too_large"] {
            let name = format!("realtime_edge_handshakes_total{{result=\"{result}\"}}");
            let metrics = tier.metrics(Role::EDGE).await;
            assert!(metrics.contains(&name), "{name}: {metrics}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_mean_no_good_do_not_hold_up_the_end() {
    let drain = ("REALTIME_DRAIN_TIME", "4s");
    let mut tier = Tier::builder(crate::BINARY).set(drain.0, drain.1).start().await;
    let mut connections = Vec::new();
    for nth in 0..120 {
        let path = format!("/ws/customer/{nth}?token={}", tier.token(nth as u64).sign());
        connections.push(attack(nth, tier.public_address(Role::EDGE), &path).await);
    }
    tier.terminate(Role::EDGE);
    let ended = tier.wait_ended(Role::EDGE).await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!ended.output.contains("cut off"), "everything ended by itself: {ended:?}");
}

both_shapes! {
    async fn malformed_protobufs_and_unknown_services_get_a_status(tier: Tier) {
        let channel = tier.grpc().channel();
        let mut bystander = Bystander::open(&tier).await;
        // A message whose event is cut off in the middle: field 1, length 100, three bytes.
        let request = v1::ReadRequest { channel: "\u{1}".repeat(300), after: None, limit: 5000 };
        let status = tier.grpc().events().read(request).await.expect_err("not a channel");
        assert_eq!(status.code(), tonic::Code::InvalidArgument);

        let mut raw = tonic::client::Grpc::new(channel);
        for (path, code) in [
            ("/platepal.realtime.v1.EventsService/Publish", tonic::Code::Internal),
            ("/platepal.realtime.v1.OrdersService/PublishOrder", tonic::Code::Internal),
            ("/platepal.realtime.v1.DomainService/Authorize", tonic::Code::Unimplemented),
            ("/nobody.v9.Nothing/Here", tonic::Code::Unimplemented),
        ] {
            raw.ready().await.unwrap();
            let mut request = tonic::Request::new(bytes::Bytes::from_static(&[0x0a, 100, 1, 2, 3]));
            let key = format!("Bearer {}", tier.api_key()).parse().unwrap();
            request.metadata_mut().insert("authorization", key);
            let path = path.parse().unwrap();
            let status = raw.unary(request, path, RawCodec).await.expect_err("malformed or unknown");
            assert_eq!(status.code(), code, "{status}");
        }
        bystander.is_unharmed("malformed protobufs").await;
    }
}

/// Sends bytes as they are.
#[derive(Debug, Clone, Copy, Default)]
struct RawCodec;

impl tonic::codec::Codec for RawCodec {
    type Encode = bytes::Bytes;
    type Decode = bytes::Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl tonic::codec::Encoder for RawCodec {
    type Item = bytes::Bytes;
    type Error = tonic::Status;

    fn encode(
        &mut self,
        item: bytes::Bytes,
        buffer: &mut tonic::codec::EncodeBuf<'_>,
    ) -> Result<(), tonic::Status> {
        bytes::BufMut::put(buffer, item);
        Ok(())
    }
}

impl tonic::codec::Decoder for RawCodec {
    type Item = bytes::Bytes;
    type Error = tonic::Status;

    fn decode(
        &mut self,
        buffer: &mut tonic::codec::DecodeBuf<'_>,
    ) -> Result<Option<bytes::Bytes>, tonic::Status> {
        let length = bytes::Buf::remaining(buffer);
        Ok(Some(bytes::Buf::copy_to_bytes(buffer, length)))
    }
}
