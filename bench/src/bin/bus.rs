//! How fast the bus keeps events: both engines, next to publishing to JetStream without the bus.
//!
//! Every way gets the same body, the same number of appends under way and the same server; rounds alternate, so
//! that what else the machine does hits all of them. Each append is answered when it is durable as far as its
//! engine promises: embedded after a sync, NATS after JetStream's acknowledgement.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_nats::jetstream::{self, message::PublishMessage, stream};
use clap::Parser;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;
use platepal_bus::{Bus, Embedded, Nats, Settings};
use platepal_events::{Channel, ChannelKind, Event, Timestamp};
use platepal_proto::v1;
use platepal_testkit::NatsServer;
use serde::Serialize;
use tokio::task::JoinSet;

/// Channels over which the appends are spread.
const CHANNELS: u64 = 1_000;
/// Latencies above it are counted as this, in microseconds.
const LATENCY_MAX_MICROS: u64 = 60_000_000;

/// Appends per second and their latency: both engines of the bus, next to bare JetStream.
#[derive(Parser)]
struct Arguments {
    /// How long each way is measured in all.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Size of an event's payload.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(8..=65536))]
    bytes: u64,
    /// Appends under way at the same time.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    in_flight: u64,
    /// Alternations.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// One way to keep events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Bare,
    Alike,
    Nats,
    Embedded,
}

impl Way {
    const ALL: [Self; 4] = [Self::Bare, Self::Alike, Self::Nats, Self::Embedded];

    fn title(self) -> &'static str {
        match self {
            Self::Bare => "JetStream, bare",
            Self::Alike => "JetStream, ids and republish",
            Self::Nats => "bus on NATS",
            Self::Embedded => "bus, embedded",
        }
    }
}

struct Result {
    way: Way,
    appends: u64,
    took: Duration,
    micros: Histogram<u64>,
}

/// A line of the report.
#[derive(Serialize)]
struct Line {
    way: &'static str,
    appends: u64,
    seconds: f64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    to_bare: f64,
}

/// What is measured, ready.
struct Subjects {
    context: jetstream::Context,
    nats: Arc<dyn Bus>,
    embedded: Arc<dyn Bus>,
    channels: Vec<Channel>,
    event: Event,
    body: bytes::Bytes,
    counter: AtomicU64,
    _server: NatsServer,
    _folder: tempfile::TempDir,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let subjects = Arc::new(prepare(&arguments).await?);
    let mut results = Vec::new();
    for way in Way::ALL {
        results.push(Result { way, appends: 0, took: Duration::ZERO, micros: histogram()? });
    }
    let stop = Arc::new(AtomicBool::new(false));
    let interrupted = Arc::clone(&stop);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.store(true, Ordering::Relaxed);
        }
    });
    // One unmeasured round first: connections, files and caches are then as they stay.
    let steps = (arguments.rounds + 1) * Way::ALL.len() as u64;
    let bar = ProgressBar::new(steps).with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?);
    let slice = Duration::from_secs_f64(arguments.seconds as f64 / arguments.rounds as f64);
    'rounds: for round in 0..=arguments.rounds {
        for result in &mut results {
            bar.set_message(result.way.title());
            let length = if round == 0 { slice.min(Duration::from_secs(1)) } else { slice };
            let (appends, took, micros) = measure(&subjects, result.way, length, &arguments, &stop).await?;
            if stop.load(Ordering::Relaxed) {
                break 'rounds;
            }
            if round > 0 {
                result.appends += appends;
                result.took += took;
                result.micros.add(&micros)?;
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    report(&results, &arguments)
}

async fn prepare(arguments: &Arguments) -> anyhow::Result<Subjects> {
    let server = NatsServer::start().await;
    let folder = tempfile::tempdir()?;
    let url = server.url();
    let in_flight = arguments.in_flight.max(1).to_string();
    let mut reader = platepal_bus_settings(&url, &in_flight);
    let settings = reader.read::<Settings>();
    reader.finish(Settings::SPECS)?;
    let settings = settings.context("the settings")?;
    let client = async_nats::connect(&url).await?;
    let context = jetstream::ContextBuilder::new()
        .max_ack_inflight(usize::try_from(arguments.in_flight)?)
        .build(client);
    context
        .create_stream(stream::Config {
            name: "BARE".into(),
            subjects: vec!["bare.>".into()],
            storage: stream::StorageType::File,
            ..stream::Config::default()
        })
        .await?;
    context
        .create_stream(stream::Config {
            name: "ALIKE".into(),
            subjects: vec!["alike.>".into()],
            storage: stream::StorageType::File,
            max_messages_per_subject: i64::from(settings.retention_events),
            max_age: settings.retention_age,
            duplicate_window: settings.duplicate_window,
            allow_direct: true,
            republish: Some(stream::Republish {
                source: "alike.>".into(),
                destination: "told.>".into(),
                headers_only: false,
            }),
            ..stream::Config::default()
        })
        .await?;
    let filler = "x".repeat(usize::try_from(arguments.bytes)?.saturating_sub(8));
    let message = v1::Event {
        event_id: "0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11".into(),
        r#type: "order.accepted".into(),
        payload: format!("{{\"a\":\"{filler}\"}}").into(),
        ..Default::default()
    };
    let event = Event::parse(message, Timestamp::from_micros(1_795_519_800_123_456))?;
    Ok(Subjects {
        context,
        nats: Nats::connect(&settings).await?,
        embedded: Embedded::open(folder.path(), &settings)?,
        channels: (0..CHANNELS)
            .map(|n| Channel::new(ChannelKind::Customer, &n.to_string()))
            .collect::<std::result::Result<_, _>>()?,
        body: prost::Message::encode_to_vec(&v1::Event::from(&event)).into(),
        event,
        counter: AtomicU64::new(0),
        _server: server,
        _folder: folder,
    })
}

fn platepal_bus_settings(url: &str, in_flight: &str) -> platepal_settings::Reader {
    platepal_settings::Reader::new([("REALTIME_NATS_URL", url), ("REALTIME_BUS_APPEND_QUEUE", in_flight)])
}

async fn measure(
    subjects: &Arc<Subjects>,
    way: Way,
    length: Duration,
    arguments: &Arguments,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<(u64, Duration, Histogram<u64>)> {
    let began = Instant::now();
    let until = began + length;
    let mut callers = JoinSet::new();
    for _ in 0..arguments.in_flight {
        let (subjects, stop) = (Arc::clone(subjects), Arc::clone(stop));
        callers.spawn(async move {
            let mut micros = Vec::new();
            while Instant::now() < until && !stop.load(Ordering::Relaxed) {
                let number = subjects.counter.fetch_add(1, Ordering::Relaxed);
                let sent = Instant::now();
                subjects.append(way, number).await?;
                micros.push(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            anyhow::Ok(micros)
        });
    }
    let mut all = histogram()?;
    while let Some(micros) = callers.join_next().await {
        for micros in micros?? {
            all.saturating_record(micros);
        }
    }
    Ok((all.len(), began.elapsed(), all))
}

impl Subjects {
    async fn append(&self, way: Way, number: u64) -> anyhow::Result<()> {
        match way {
            Way::Bare => {
                let subject = format!("bare.customer.{}", number % CHANNELS);
                self.context.publish(subject, self.body.clone()).await?.await?;
            }
            Way::Alike => {
                let subject = format!("alike.customer.{}", number % CHANNELS);
                let id = format!("customer:{}|{number}", number % CHANNELS);
                let message = PublishMessage::build().payload(self.body.clone()).message_id(id);
                self.context.send_publish(subject, message).await?.await?;
            }
            Way::Nats => keep(&*self.nats, self, number).await?,
            Way::Embedded => keep(&*self.embedded, self, number).await?,
        }
        Ok(())
    }
}

async fn keep(bus: &dyn Bus, subjects: &Subjects, number: u64) -> anyhow::Result<()> {
    let mut event = subjects.event.clone();
    event.id = format!("0b2d3b1e-7d1c-4f4e-9d57-{number:012}").parse()?;
    let channel = subjects.channels.get(usize::try_from(number % CHANNELS)?).context("a channel")?;
    bus.append(std::slice::from_ref(channel), &event).await?;
    Ok(())
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3)?)
}

fn report(results: &[Result], arguments: &Arguments) -> anyhow::Result<()> {
    let rate = |result: &Result| result.appends as f64 / result.took.as_secs_f64().max(f64::MIN_POSITIVE);
    let bare = results.first().map_or(f64::NAN, rate);
    let lines: Vec<Line> = results
        .iter()
        .map(|result| Line {
            way: result.way.title(),
            appends: result.appends,
            seconds: result.took.as_secs_f64(),
            per_second: rate(result),
            p50_ms: result.micros.value_at_quantile(0.5) as f64 / 1_000.0,
            p99_ms: result.micros.value_at_quantile(0.99) as f64 / 1_000.0,
            to_bare: rate(result) / bare,
        })
        .collect();
    if arguments.json {
        anstream::println!("{}", serde_json::to_string_pretty(&lines)?);
        return Ok(());
    }
    anstream::println!(
        "{} bytes of payload, {} appends under way, {} rounds",
        arguments.bytes,
        arguments.in_flight,
        arguments.rounds
    );
    let head = format!("{:<30} {:>11} {:>9} {:>9} {:>8}", "", "appends/s", "p50 ms", "p99 ms", "to bare");
    anstream::println!("{}", head.bold());
    for line in lines {
        anstream::println!(
            "{:<30} {:>11.0} {:>9.2} {:>9.2} {:>7.0}%",
            line.way,
            line.per_second,
            line.p50_ms,
            line.p99_ms,
            line.to_bare * 100.0
        );
    }
    Ok(())
}
