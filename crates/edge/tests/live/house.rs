//! A whole edge on a real port: the embedded bus, a link in memory, and a domain of the test's own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use platepal_auth::{ApiKeys, KeySettings, Principal, ShareSettings, ShareSigner, Verifier};
use platepal_bus::{Bus, Embedded};
use platepal_events::{Channel, Domain as Owner, Event, Timestamp};
use platepal_proto::v1;
use platepal_service::{
    Clock, Parts, Readiness, Shutdown,
    domain::{self, Domain, Sender, Snapshot, Verdict},
    edges::{Edges, Own},
    grpc::{Door, Links, Server, memory},
};
use platepal_settings::{Group, Reader};
use platepal_testkit::{Connect, Socket, Token, eventually, ports};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tonic::Status;

pub const SECRET: &str = "a secret for tests of at least 32 bytes";

pub const SHARE_SECRET: &str = "a secret for links of at least 32 bytes";

/// Who may read what, by user and channel; whoever is not listed is denied.
pub struct Rules {
    pub verdicts: Mutex<HashMap<(String, String), Verdict>>,
    pub snapshots: Mutex<HashMap<String, Snapshot>>,
    pub questions: AtomicUsize,
    pub snapshots_asked: AtomicUsize,
    /// What was called or sent, by whom; in the order in which it came.
    pub asked: Mutex<Vec<(String, String, Value)>>,
    /// A question is answered when it gets one of these; without end unless a test takes them.
    pub answers: Semaphore,
    /// The most questions that were open at once.
    pub open_max: AtomicUsize,
    open: AtomicUsize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            verdicts: Mutex::default(),
            snapshots: Mutex::default(),
            questions: AtomicUsize::default(),
            snapshots_asked: AtomicUsize::default(),
            asked: Mutex::default(),
            answers: Semaphore::new(Semaphore::MAX_PERMITS),
            open_max: AtomicUsize::default(),
            open: AtomicUsize::default(),
        }
    }
}

impl Rules {
    /// Answers a question, when a test lets it.
    async fn answer(&self, user: &Principal, what: &str, data: &[u8]) -> Result<Value, Status> {
        let data: Value =
            serde_json::from_slice(data).map_err(|why| Status::invalid_argument(why.to_string()))?;
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.open_max.fetch_max(open, Ordering::SeqCst);
        self.asked.lock().unwrap().push((user.user_id.to_string(), what.to_owned(), data.clone()));
        self.answers.acquire().await.unwrap().forget();
        self.open.fetch_sub(1, Ordering::SeqCst);
        match data["refuse"].as_str() {
            Some("words") => Err(Status::failed_precondition("no shift is running; start one first")),
            Some("broken") => Err(Status::internal("the disk is full")),
            _ => Ok(json!({ "heard": data })),
        }
    }
}

#[async_trait]
impl Domain for Rules {
    async fn publish(&self, _: Event, _: Vec<Channel>) -> Result<v1::PublishResponse, Status> {
        Err(Status::unimplemented("tests publish on the bus"))
    }

    async fn authorize(&self, principal: &Principal, token: &str, channel: &Channel) -> Verdict {
        let is_link = principal.shared_delivery().is_some();
        assert_eq!(token.is_empty(), is_link, "the owner needs the token to ask Django, and a link is none");
        self.questions.fetch_add(1, Ordering::SeqCst);
        let key = (principal.user_id.to_string(), channel.to_string());
        let verdicts = self.verdicts.lock().unwrap();
        verdicts.get(&key).cloned().unwrap_or(Verdict::Denied("not listed".into()))
    }

    async fn snapshot(&self, channel: &Channel) -> Result<Snapshot, Status> {
        self.snapshots_asked.fetch_add(1, Ordering::SeqCst);
        let snapshots = self.snapshots.lock().unwrap();
        Ok(snapshots.get(channel.as_str()).cloned().unwrap_or(Snapshot::NONE))
    }

    async fn send(&self, sender: &Sender, channel: &Channel, data: Bytes) -> Result<(), Status> {
        self.answer(&sender.principal, channel.as_str(), &data).await.map(drop)
    }

    async fn call(&self, sender: &Sender, method: &str, data: Bytes) -> Result<Bytes, Status> {
        self.answer(&sender.principal, method, &data).await.map(|answer| answer.to_string().into())
    }

    async fn grant(&self, _: &str, _: &Channel, _: Option<Timestamp>) -> Result<(), Status> {
        Err(Status::unimplemented("tests write their rules"))
    }

    async fn revoke(&self, _: &str, _: &Channel) -> Result<bool, Status> {
        Err(Status::unimplemented("tests write their rules"))
    }
}

pub struct House {
    pub bus: Arc<Embedded>,
    pub rules: Arc<Rules>,
    pub shutdown: Shutdown,
    pub readiness: Readiness,
    pub address: String,
    _folder: tempfile::TempDir,
}

pub fn group<G: Group>(variables: &[(&str, &str)]) -> G {
    let mut reader = Reader::new(variables.iter().copied());
    let group = reader.read::<G>();
    reader.finish(G::SPECS).unwrap();
    group.unwrap()
}

impl House {
    pub async fn open() -> Self {
        Self::with(&[]).await
    }

    /// With these settings of the edge.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = ports::free_address().to_string();
        let bus = Embedded::open(folder.path(), &group(&[])).unwrap();
        let service: platepal_service::Settings = group(&[("REALTIME_DRAIN_TIME", "5s")]);
        let (link, door) = memory(Duration::from_secs(5));
        let (edge_link, edge_door) = memory(Duration::from_secs(1));
        let own = Own { id: 7, link: edge_link, url: None };
        let rules = Arc::new(Rules::default());
        let parts = Parts {
            process: Arc::new(platepal_service::process::Process::unknown()),
            settings: Arc::new(service),
            bus: Arc::clone(&bus) as Arc<dyn Bus>,
            links: Links::new(Owner::ALL.into_iter().map(|owner| (owner, link.clone())).collect()),
            edges: Edges::new(group(&[]), Some(own), None, 1 << 20),
            keys: ApiKeys::new(&group::<KeySettings>(&[])).unwrap(),
            clock: Clock,
            shutdown: Shutdown::default(),
            readiness: Readiness::default(),
        };
        Server::new("orders", &parts)
            .with_service(domain::service(Arc::clone(&rules), Clock, 1 << 20))
            .serve(vec![Door::Memory(door)], None::<tonic::service::Routes>)
            .await
            .unwrap();
        let tokens: platepal_auth::Settings =
            group(&[("REALTIME_JWT_SECRET", SECRET), ("REALTIME_JWT_LEEWAY", "0s")]);
        let verifier = Verifier::start(&tokens).await.unwrap().accepting_shares(&shares()).unwrap();
        let mut all = vec![("REALTIME_HTTP_ADDR", address.as_str())];
        all.extend(variables);
        platepal_edge::run(group(&all), verifier, parts.clone(), None, vec![Door::Memory(edge_door)])
            .await
            .unwrap();
        eventually("the edge hears of revocations", || async { parts.readiness.closed().is_empty() }).await;
        let Parts { shutdown, readiness, .. } = parts;
        Self { bus, rules, shutdown, readiness, address, _folder: folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub fn connect(&self, path: &str, user: u64) -> Connect {
        Connect::to(format!("{}?token={}", self.url(path), token(user)))
    }

    pub fn connect_since(&self, path: &str, user: u64, since: &str) -> Connect {
        Connect::to(format!("{}?token={}&since_event_id={since}", self.url(path), token(user)))
    }

    pub fn rule(&self, user: u64, channel: &str, verdict: Verdict) {
        self.rules.verdicts.lock().unwrap().insert((user.to_string(), channel.to_owned()), verdict);
    }

    pub fn allow(&self, user: u64, channel: &str) {
        self.rule(user, channel, Verdict::Allowed(Duration::from_secs(60)));
    }

    pub async fn publish(&self, channel: &str, event: &Event) -> platepal_events::Position {
        self.bus.append(&[channel.parse().unwrap()], event).await.unwrap().remove(0).position
    }

    /// What the tier's own processes tell each other.
    pub async fn tell_edges(&self, event: &Event) {
        self.bus.append(&[Channel::sessions()], event).await.unwrap();
    }

    /// An open and live socket: what is published from now on comes.
    pub async fn live(&self, path: &str, user: u64, channel: &str) -> Socket {
        let mut socket = self.connect(path, user).open().await;
        self.greet(&mut socket, channel).await;
        socket
    }

    /// Publishes until the socket, which may still be opening, gets something; then nothing more is on its way.
    pub async fn greet(&self, socket: &mut Socket, channel: &str) {
        let mut last = String::new();
        for turn in 0.. {
            assert!(turn < 1_000, "the socket never went live");
            last = format!("greeting-{}", uuid::Uuid::new_v4());
            self.publish(channel, &event(&last)).await;
            match socket.next(Duration::from_millis(20)).await {
                platepal_testkit::Next::Json(frame) => {
                    if id(&frame) == last {
                        return;
                    }
                    break;
                }
                platepal_testkit::Next::Nothing => {}
                other => panic!("{other:?}"),
            }
        }
        loop {
            if id(&socket.json().await) == last {
                return;
            }
        }
    }
}

fn shares() -> ShareSettings {
    group(&[("REALTIME_SHARE_SECRET", SHARE_SECRET)])
}

/// The token in the link to a delivery.
pub fn link(delivery_id: &str, valid_for: Duration) -> String {
    ShareSigner::new(&shares()).unwrap().unwrap().sign(delivery_id, valid_for, Clock.now()).unwrap().0
}

pub fn token(user: u64) -> String {
    Token::new(SECRET, user).sign()
}

pub fn id(frame: &Value) -> String {
    frame["event_id"].as_str().unwrap_or_else(|| panic!("no event: {frame}")).to_owned()
}

pub fn event(id: &str) -> Event {
    sized(id, 0)
}

/// An event with about so many bytes.
pub fn sized(id: &str, bytes: usize) -> Event {
    let payload = serde_json::json!({ "id": id, "filler": "x".repeat(bytes) }).to_string();
    parse(v1::Event {
        event_id: id.into(),
        r#type: "order.accepted".into(),
        payload: payload.into(),
        ..Default::default()
    })
}

pub fn rider_location(key: &str, eta_minutes: u32) -> Event {
    value("rider_location", key, &serde_json::json!({ "eta_minutes": eta_minutes }))
}

/// A value of the *latest* class.
pub fn value(kind: &str, key: &str, data: &Value) -> Event {
    let payload = data.to_string();
    parse(v1::Event { r#type: kind.into(), key: key.into(), payload: payload.into(), ..Default::default() })
}

pub fn revoked(user: u64, channel: &str) -> Event {
    let payload = serde_json::json!({ "user_id": user.to_string(), "channel": channel }).to_string();
    parse(v1::Event { r#type: "grant.revoked".into(), payload: payload.into(), ..Default::default() })
}

/// Nobody may read a channel any more.
pub fn revoked_for_all(channel: &str) -> Event {
    let payload = serde_json::json!({ "channel": channel }).to_string();
    parse(v1::Event { r#type: "grant.revoked".into(), payload: payload.into(), ..Default::default() })
}

fn parse(message: v1::Event) -> Event {
    Event::parse(message, Timestamp::from_micros(1_795_519_800_123_456)).unwrap()
}
