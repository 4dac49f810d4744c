//! The bus: the embedded log's lock, or NATS with all that we ask of it.

use std::time::Instant;

use async_nats::{Client, ConnectOptions, jetstream};
use platepal_bus::nats::stream_names;
use serde_json::Value;

use super::{ANSWER_TIME, Finding, Patient, clocks};

/// Atomic batches and what else we use exist since this release.
const VERSION_MIN: (u32, u32) = (2, 12);
/// The largest event in its envelope, with room.
const PAYLOAD_MIN: usize = 128 * 1024;

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Finding> {
    let settings = &patient.configuration.bus;
    let Some(url) = &settings.nats_url else {
        return vec![embedded(patient)];
    };
    let place = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(4222));
    let options = ConnectOptions::new().name("platepal-realtime doctor").connection_timeout(ANSWER_TIME);
    let client = match options.connect(url.as_str()).await {
        Ok(client) => client,
        Err(why) => {
            let advice = "is it running, and does REALTIME_NATS_URL name it, with user and password?";
            return vec![Finding::fail("bus", format!("no connection to NATS at {place}: {why}; {advice}"))];
        }
    };
    let mut findings = server(&client, &place);
    findings.extend(jet_stream(patient, &client).await);
    findings
}

fn embedded(patient: &Patient<'_>) -> Finding {
    let lock = patient.configuration.service.data_dir.join("bus.lock");
    let Ok(file) = std::fs::File::open(&lock) else {
        return Finding::ok("bus", "embedded; its log is made at the first start");
    };
    match file.try_lock() {
        Ok(()) => Finding::ok("bus", "embedded; nobody has its log open"),
        Err(std::fs::TryLockError::WouldBlock) => Finding::warn(
            "bus",
            "embedded; a running tier has its log open: stop that one before you start another",
        ),
        Err(std::fs::TryLockError::Error(why)) => {
            Finding::fail("bus", format!("{} can't be locked: {why}", lock.display()))
        }
    }
}

fn server(client: &Client, place: &str) -> Vec<Finding> {
    let server = client.server_info();
    let mut findings = Vec::new();
    let mut parts = server.version.split('.').map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    findings.push(if version < VERSION_MIN {
        let (major, minor) = VERSION_MIN;
        Finding::fail(
            "bus",
            format!("NATS at {place} is {}; install {major}.{minor} or later", server.version),
        )
    } else {
        Finding::ok("bus", format!("NATS {} at {place}", server.version))
    });
    if server.max_payload < PAYLOAD_MIN {
        let message = format!(
            "NATS takes messages of at most {} bytes; set its max_payload to 1MB",
            server.max_payload
        );
        findings.push(Finding::fail("bus", message));
    }
    findings
}

async fn jet_stream(patient: &Patient<'_>, client: &Client) -> Vec<Finding> {
    let settings = &patient.configuration.bus;
    let context = jetstream::new(client.clone());
    let account = match context.query_account().await {
        Ok(account) => account,
        Err(why) => {
            let advice = "start NATS with -js, and enable it for this account";
            return vec![Finding::fail("bus", format!("JetStream does not answer ({why}); {advice}"))];
        }
    };
    let mut findings = vec![Finding::ok("bus", "JetStream is on")];
    let partitions = settings.partitions.max(1);
    let (mut missing, mut seen) = (0, None);
    for name in (0..partitions).flat_map(stream_names) {
        let asked = Instant::now();
        match stream(client, &name).await {
            Some(info) => {
                findings.extend(replicas_of(patient, &name, &info));
                seen.get_or_insert((info, asked));
            }
            None => missing += 1,
        }
    }
    findings.push(match missing {
        0 => Finding::ok("bus", "all streams are there"),
        _ => Finding::ok("bus", format!("{missing} streams are made at the first start")),
    });
    // No limit is written -1, or not at all.
    let left = |limit: Option<i64>, used: u64| Some(u64::try_from(limit?).ok()?.saturating_sub(used));
    if left(account.limits.max_streams, account.streams as u64).is_some_and(|left| left < missing) {
        let message = format!("the account allows too few streams: {missing} more are needed");
        findings.push(Finding::fail("bus", format!("{message}; raise its limit")));
    }
    if let Some(left) = left(account.limits.max_storage, account.storage)
        && left < (256 << 20)
    {
        let message = format!("the account may store only {} MiB more; raise its limit", left >> 20);
        findings.push(Finding::warn("bus", message));
    }
    let is_cluster = client.server_info().cluster.is_some_and(|name| !name.is_empty());
    if settings.replicas > 1 && !is_cluster {
        let message = format!(
            "REALTIME_BUS_REPLICAS is {}, but this NATS server is in no cluster: the streams can't be made",
            settings.replicas
        );
        findings.push(Finding::fail("bus", message));
    } else if settings.replicas < 3 && is_cluster {
        let message =
            "NATS is a cluster, but REALTIME_BUS_REPLICAS is below 3: events are lost with a server";
        findings.push(Finding::warn("bus", message));
    }
    match seen
        .as_ref()
        .and_then(|(info, asked)| Some((info.get("ts")?.as_str()?.parse().ok()?, asked.elapsed())))
    {
        Some((theirs, took)) => findings.push(clocks::compare(patient, "NATS", theirs, took)),
        None => findings.push(Finding::ok("clock", "NATS tells its time when its streams are there")),
    }
    findings
}

fn replicas_of(patient: &Patient<'_>, name: &str, info: &Value) -> Option<Finding> {
    let cluster = info.get("cluster")?;
    let behind = cluster.get("replicas").and_then(Value::as_array)?.iter().filter(|replica| {
        let is = |key: &str, value: bool| replica.get(key).and_then(Value::as_bool) == Some(value);
        is("offline", true) || is("current", false)
    });
    let behind = behind.count();
    (behind > 0).then(|| {
        let copies = patient.configuration.bus.replicas;
        let message =
            format!("{behind} of {copies} copies of {name} are away or behind; look at that NATS server");
        Finding::warn("bus", message)
    })
}

/// What JetStream says of a stream; `None` when there is none.
async fn stream(client: &Client, name: &str) -> Option<Value> {
    let answer = client.request(format!("$JS.API.STREAM.INFO.{name}"), "{}".into()).await.ok()?;
    let answer: Value = serde_json::from_slice(&answer.payload).ok()?;
    answer.get("config").is_some().then_some(answer)
}
