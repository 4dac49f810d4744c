//! Keys that an issuer publishes: fetched over HTTP from a server of this test, rotated, and gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use parking_lot::Mutex;
use platepal_auth::{Settings, TokenError, Verifier};
use platepal_events::Timestamp;
use platepal_settings::Reader;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};

const EXP: i64 = 1_795_519_800;
/// How long a condition may take to become true.
const PATIENCE: Duration = Duration::from_secs(20);

/// An issuer: answers every request with what it was told last.
struct Issuer {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    requests: watch::Receiver<u64>,
}

impl Issuer {
    async fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let (count, requests) = watch::channel(0);
        let said = Arc::clone(&answer);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(1..) = socket.read_buf(&mut request).await else { break };
                }
                let answer = said.lock().clone();
                count.send_modify(|count| *count += 1);
                socket.write_all(answer.as_bytes()).await.ok();
            }
        });
        Self { address, answer, requests }
    }

    fn publish(&self, keys: &[Value]) {
        *self.answer.lock() = ok(&set(keys));
    }

    fn requests(&self) -> u64 {
        *self.requests.borrow()
    }

    async fn verifier(&self, more: &[(&str, &str)]) -> Verifier {
        start(self.address, more).await
    }
}

async fn start(address: SocketAddr, more: &[(&str, &str)]) -> Verifier {
    // The binary does this first thing; a second test of this process finds it done.
    rustls::crypto::ring::default_provider().install_default().ok();
    let url = format!("http://{address}/jwks");
    let mut variables = vec![("REALTIME_JWT_JWKS_URL", url.as_str())];
    variables.extend_from_slice(more);
    let settings = Reader::new(variables).read::<Settings>().unwrap();
    Verifier::start(&settings).await.unwrap()
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn failing() -> String {
    "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into()
}

fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

/// One key pair of the issuer.
struct Pair(Algorithm, EncodingKey, &'static str);

impl Pair {
    fn rsa_a() -> Self {
        let pem = include_bytes!("keys/rsa_a.private.pem");
        Self(Algorithm::RS256, EncodingKey::from_rsa_pem(pem).unwrap(), "a")
    }

    fn rsa_b() -> Self {
        let pem = include_bytes!("keys/rsa_b.private.pem");
        Self(Algorithm::RS256, EncodingKey::from_rsa_pem(pem).unwrap(), "b")
    }

    fn others() -> [Self; 3] {
        let p256 = EncodingKey::from_ec_pem(include_bytes!("keys/p256.private.pem")).unwrap();
        let p384 = EncodingKey::from_ec_pem(include_bytes!("keys/p384.private.pem")).unwrap();
        let ed25519 = EncodingKey::from_ed_pem(include_bytes!("keys/ed25519.private.pem")).unwrap();
        [
            Self(Algorithm::ES256, p256, "c"),
            Self(Algorithm::ES384, p384, "d"),
            Self(Algorithm::EdDSA, ed25519, "e"),
        ]
    }

    fn public(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.1, self.0).unwrap()).unwrap();
        jwk["kid"] = json!(self.2);
        jwk
    }

    fn token(&self, id: Option<&str>) -> String {
        let mut header = Header::new(self.0);
        header.kid = id.map(str::to_owned);
        let claims = json!({"token_type": "access", "exp": EXP, "user_id": 7});
        jsonwebtoken::encode(&header, &claims, &self.1).unwrap()
    }

    fn signed(&self) -> String {
        self.token(Some(self.2))
    }
}

async fn verdict(verifier: &Verifier, token: &str) -> Result<(), TokenError> {
    verifier.verify(token, Timestamp::from_micros((EXP - 60) * 1_000_000)).await.map(drop)
}

#[tokio::test]
async fn every_kind_of_published_key_verifies_tokens_that_name_it_or_none() {
    let pairs: Vec<Pair> = [Pair::rsa_a(), Pair::rsa_b()].into_iter().chain(Pair::others()).collect();
    let issuer = Issuer::start(ok(&set(&pairs.iter().map(Pair::public).collect::<Vec<_>>()))).await;
    let verifier = issuer.verifier(&[]).await;
    for pair in &pairs {
        assert_eq!(verdict(&verifier, &pair.signed()).await, Ok(()), "{:?}", pair.0);
        assert_eq!(verdict(&verifier, &pair.token(None)).await, Ok(()), "{:?}", pair.0);
    }
    // Named by another key's id: refused, and no reason to fetch again.
    assert_eq!(verdict(&verifier, &Pair::rsa_a().token(Some("b"))).await, Err(TokenError::BadSignature));
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn a_new_key_is_accepted_at_once_and_a_withdrawn_one_is_not() {
    let (old, new) = (Pair::rsa_a(), Pair::rsa_b());
    let issuer = Issuer::start(ok(&set(&[old.public()]))).await;
    let verifier = issuer.verifier(&[]).await;
    assert_eq!(verdict(&verifier, &old.signed()).await, Ok(()));
    issuer.publish(&[new.public()]);
    assert_eq!(verdict(&verifier, &old.signed()).await, Ok(()), "known keys cause no fetch");
    assert_eq!(verdict(&verifier, &new.signed()).await, Ok(()));
    assert_eq!(issuer.requests(), 2);
    assert_eq!(verdict(&verifier, &old.signed()).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn a_thousand_tokens_with_an_unknown_key_cause_one_request() {
    let issuer = Issuer::start(ok(&set(&[Pair::rsa_a().public()]))).await;
    let verifier = issuer.verifier(&[("REALTIME_JWT_JWKS_COOLDOWN", "1h")]).await;
    let token = Pair::rsa_a().token(Some("nobody's"));
    let waiting: Vec<_> = (0..1000)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { verdict(&verifier, &token).await })
        })
        .collect();
    for verdict in waiting {
        assert_eq!(verdict.await.unwrap(), Err(TokenError::UnknownKey));
    }
    assert_eq!(issuer.requests(), 2, "the first fetch, and one for all of them");
    assert_eq!(verdict(&verifier, &Pair::rsa_b().signed()).await, Err(TokenError::UnknownKey));
    assert_eq!(issuer.requests(), 2, "the cooldown holds for every unknown key");
}

#[tokio::test]
async fn the_keys_stay_in_use_while_the_issuer_fails() {
    let (known, new) = (Pair::rsa_a(), Pair::rsa_b());
    let issuer = Issuer::start(ok(&set(&[known.public()]))).await;
    let verifier = issuer
        .verifier(&[("REALTIME_JWT_JWKS_COOLDOWN", "1ms"), ("REALTIME_JWT_JWKS_SIZE_MAX", "4KiB")])
        .await;
    let far = "HTTP/1.1 302 Found\r\nlocation: https://attacker.example/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let huge = ok(&format!("{}{}", set(&[new.public()]), " ".repeat(4096)));
    for answer in [failing(), far.into(), huge, ok("{}"), ok(&set(&[])), ok("<html>"), String::new()] {
        *issuer.answer.lock() = answer.clone();
        let before = issuer.requests();
        let attempted = async {
            // The second request shows that the answer to the first was dealt with.
            while issuer.requests() < before + 2 {
                assert_eq!(verdict(&verifier, &new.signed()).await, Err(TokenError::UnknownKey), "{answer}");
            }
        };
        tokio::time::timeout(PATIENCE, attempted).await.expect("two fetches");
        assert_eq!(verdict(&verifier, &known.signed()).await, Ok(()), "{answer}");
    }
    issuer.publish(&[new.public()]);
    eventually_accepted(&verifier, &new.signed()).await;
}

#[tokio::test]
async fn an_issuer_that_is_away_at_the_start_is_asked_again_until_it_answers() {
    let issuer = Issuer::start(failing()).await;
    let verifier = issuer.verifier(&[("REALTIME_JWT_JWKS_COOLDOWN", "20ms")]).await;
    let token = Pair::rsa_a().token(None);
    assert!(!verifier.has_keys());
    assert_eq!(verdict(&verifier, &token).await, Err(TokenError::KeysUnavailable));
    issuer.publish(&[Pair::rsa_a().public()]);
    eventually_accepted(&verifier, &token).await;
    assert!(verifier.has_keys());
}

#[tokio::test]
async fn a_silent_issuer_delays_a_start_no_longer_than_the_timeout() {
    // Accepts connections, as the kernel does for it, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let starting = start(silent.local_addr().unwrap(), &[("REALTIME_JWT_JWKS_TIMEOUT", "50ms")]);
    let verifier = tokio::time::timeout(PATIENCE, starting).await.expect("a start");
    assert_eq!(verdict(&verifier, &Pair::rsa_a().signed()).await, Err(TokenError::KeysUnavailable));
}

#[tokio::test]
async fn the_set_is_fetched_again_and_again_until_the_last_verifier_is_dropped() {
    let mut issuer = Issuer::start(ok(&set(&[Pair::rsa_a().public()]))).await;
    let verifier = issuer.verifier(&[("REALTIME_JWT_JWKS_REFRESH", "5ms")]).await;
    let clone = verifier.clone();
    drop(verifier);
    tokio::time::timeout(PATIENCE, issuer.requests.wait_for(|count| *count >= 4)).await.unwrap().unwrap();
    drop(clone);
    // A fetcher that still lived would ask forty times in this time.
    let stopped = async {
        loop {
            let before = issuer.requests();
            if tokio::time::timeout(Duration::from_millis(200), issuer.requests.changed()).await.is_err() {
                assert_eq!(issuer.requests(), before);
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, stopped).await.expect("the fetching ends");
}

#[tokio::test]
async fn a_secret_is_judged_without_the_set() {
    let secret = "a secret of at least thirty-two bytes";
    let issuer = Issuer::start(failing()).await;
    let verifier =
        issuer.verifier(&[("REALTIME_JWT_SECRET", secret), ("REALTIME_JWT_JWKS_COOLDOWN", "1h")]).await;
    let signed =
        |secret: &str| Pair(Algorithm::HS256, EncodingKey::from_secret(secret.as_bytes()), "x").signed();
    assert!(verifier.has_keys());
    assert_eq!(verdict(&verifier, &signed(secret)).await, Ok(()));
    assert_eq!(verdict(&verifier, &signed("another")).await, Err(TokenError::BadSignature));
    assert_eq!(issuer.requests(), 1);
}

async fn eventually_accepted(verifier: &Verifier, token: &str) {
    let accepted = async {
        while verdict(verifier, token).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, accepted).await.expect("the token is accepted in the end");
}
