//! What chat costs: from sending to reading over many rooms, one room with many readers, and messages per second of CPU
//! time.
//!
//! Against the real server, from outside: messages come by gRPC, each call is answered when the message is kept and told,
//! and readers are real sockets. Every measure starts a server of its own.

use std::{
    fmt::Write as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bench::{
    command,
    load::{Dialect, Swarm},
    machine::Machine,
    mark::{Mark, Marks, message},
    plots,
    watched::{Watched, own_cpu, raise_open_files},
};
use clap::Parser;
use futures_util::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use platepal_proto::v1;
use platepal_testkit::{Clients, Role, Shape, Tier};

/// Opening sockets, at most.
const OPENING: Duration = Duration::from_secs(120);
/// Connections over which messages come, as those of a backend's workers.
const CONNECTIONS: usize = 8;
/// Calls under way when messages come as fast as they are answered.
const IN_FLIGHT: usize = 256;
/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// The courier of room 5 is user 100,005; its customer is user 5.
const COURIERS: u64 = 100_000;

/// From sending to reading, over many rooms and in a large one.
#[derive(Parser)]
struct Arguments {
    /// Small measures, to see that all works: their numbers mean little.
    #[arg(long)]
    quick: bool,
    /// Rooms, each with one reader.
    #[arg(long, default_value_t = 1_000)]
    rooms: u64,
    /// Messages a second over all rooms.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// Readers of the one room.
    #[arg(long, default_value_t = 5_000)]
    readers: u64,
    /// Seconds of each measure.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// A process per role on NATS and PostgreSQL, too.
    #[arg(long)]
    split: bool,
    /// The binary to start.
    #[arg(long, default_value = "target/release/platepal-realtime")]
    binary: PathBuf,
    /// Write a page, and plots into the folder of the same name beside it, e.g. docs/chat-speed.md.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// From sending to reading.
struct Latency {
    sent: u64,
    read: u64,
    failed: u64,
    micros: Histogram<u64>,
    server_cores: f64,
    load_cores: f64,
}

/// One server's measures.
struct Findings {
    shape: &'static str,
    rooms: Latency,
    large: Latency,
    /// Messages as fast as they are answered: by the clock, and by all of the server's CPU time.
    per_second: f64,
    per_cpu_second: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    command::until_interrupted(Box::pin(run(&arguments))).await
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    command::check_binary(&arguments.binary)?;
    let open_files = raise_open_files();
    let shapes: &[Shape] =
        if arguments.split { &[Shape::AllInOne, Shape::Split] } else { &[Shape::AllInOne] };
    let bar = ProgressBar::new(shapes.len() as u64 * 3);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?);
    bar.enable_steady_tick(Duration::from_secs(1));
    let mut findings = Vec::new();
    for shape in shapes {
        let words = match shape {
            Shape::AllInOne => "one process, embedded bus, SQLite",
            Shape::Split => "a process per role, NATS, PostgreSQL",
        };
        bar.set_message(format!("{words}: many rooms"));
        let rooms = rooms(arguments, *shape).await?;
        bar.inc(1);
        bar.set_message(format!("{words}: one large room"));
        let large = large(arguments, *shape).await?;
        bar.inc(1);
        bar.set_message(format!("{words}: as fast as it goes"));
        let (per_second, per_cpu_second) = rush(arguments, *shape).await?;
        bar.inc(1);
        findings.push(Findings { shape: words, rooms, large, per_second, per_cpu_second });
    }
    bar.finish_and_clear();
    let text = page(&findings, &Machine::here(open_files), arguments);
    command::publish(&text, arguments.out.as_ref(), |folder| {
        if let Some(first) = findings.first() {
            let caption = "Milliseconds from sending to reading, by share of messages";
            plots::latency::draw(&first.rooms.micros, caption, &folder.join("rooms.svg"))?;
            let caption = "Milliseconds from sending to reading in one large room, by share of readers";
            plots::latency::draw(&first.large.micros, caption, &folder.join("large.svg"))?;
        }
        Ok(())
    })
}

/// A server on which nobody waits for the pace of people.
async fn server(arguments: &Arguments, shape: Shape) -> Tier {
    Tier::builder(&arguments.binary)
        .shape(shape)
        .set("REALTIME_CHAT_PACE_MESSAGES", 1_000)
        .set("REALTIME_CHAT_PACE_WINDOW", "1s")
        .start()
        .await
}

/// Its connections.
struct Backend([Clients; CONNECTIONS]);

impl Backend {
    /// The connection whose turn it is.
    fn turn(&self, number: u64) -> Clients {
        let [first, ..] = &self.0;
        self.0.get(number as usize % CONNECTIONS).unwrap_or(first).clone()
    }
}

/// All of the server's processes.
fn watch(tier: &Tier) -> anyhow::Result<Vec<Watched>> {
    let mut pids: Vec<u32> = tier.roles().into_iter().map(|role| tier.process_id(role)).collect();
    pids.dedup();
    pids.into_iter().map(Watched::new).collect()
}

fn cpu(watched: &[Watched]) -> anyhow::Result<Duration> {
    watched.iter().map(|one| one.cpu()).sum()
}

/// Makes the rooms; gives the connections of a backend, which are used in turn.
async fn make_rooms(tier: &Tier, rooms: u64) -> anyhow::Result<Backend> {
    let backend = Backend(std::array::from_fn(|_| tier.grpc()));
    let member = |user: u64, role: v1::MemberRole| v1::Member {
        user_id: user.to_string(),
        role: role.into(),
        name: "Ada".to_owned(),
        ..Default::default()
    };
    let made = (1..=rooms).map(|room| {
        let members =
            vec![member(room, v1::MemberRole::Customer), member(COURIERS + room, v1::MemberRole::Courier)];
        let room = v1::Room {
            room_id: room.to_string(),
            r#type: v1::RoomType::RiderCustomer.into(),
            members,
            ..Default::default()
        };
        let mut chat = backend.turn(0).chat();
        async move { chat.put_room(v1::PutRoomRequest { room: Some(room) }).await.map(drop) }
    });
    stream::iter(made).buffer_unordered(64).try_collect::<()>().await?;
    Ok(backend)
}

/// Sends message `number` to a room.
async fn send(clients: &Clients, room: u64, number: u64, epoch: Instant) -> anyhow::Result<()> {
    let at_micros = u64::try_from(epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
    let request = v1::SendMessageRequest {
        room_id: room.to_string(),
        sender_id: room.to_string(),
        client_id: format!("n-{number}"),
        content: message(Mark { number, at_micros }),
        ..Default::default()
    };
    clients.chat().send_message(request).await?;
    Ok(())
}

/// Messages at an even pace to rooms in turn, whatever becomes of them; how many were sent and how many failed.
async fn pace(
    backend: &Backend,
    rooms: u64,
    rate: f64,
    time: Duration,
    first: u64,
    epoch: Instant,
) -> anyhow::Result<(u64, u64)> {
    let failed = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    let (began, mut sent) = (tokio::time::Instant::now(), 0_u64);
    let total = (rate * time.as_secs_f64()) as u64;
    while sent < total {
        tokio::time::sleep_until(began + Duration::from_secs_f64(sent as f64 / rate)).await;
        let clients = backend.turn(sent);
        let (room, number, failed) = (1 + sent % rooms, first + sent, Arc::clone(&failed));
        tasks.spawn(async move {
            if send(&clients, room, number, epoch).await.is_err() {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        });
        sent += 1;
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
    Ok((sent, failed.load(Ordering::Relaxed)))
}

async fn measure(
    tier: &Tier,
    backend: &Backend,
    swarm: &Swarm,
    (rooms, rate, readers_each): (u64, f64, u64),
    time: Duration,
    epoch: Instant,
) -> anyhow::Result<Latency> {
    let watched = watch(tier)?;
    let (warm, _) = pace(backend, rooms, rate, WARM_UP, 0, epoch).await?;
    swarm.reset().await?;
    swarm.record_latencies().await?;
    let (server, load, began) = (cpu(&watched)?, own_cpu()?, Instant::now());
    let (sent, failed) = pace(backend, rooms, rate, time, warm, epoch).await?;
    let took = began.elapsed().as_secs_f64();
    let (server, load) = (cpu(&watched)?.saturating_sub(server), own_cpu()?.saturating_sub(load));
    let wanted = (sent - failed) * readers_each;
    swarm.until(|counts| counts.events.load(Ordering::Acquire) >= wanted, Duration::from_secs(5)).await;
    Ok(Latency {
        sent,
        failed,
        read: swarm.counts().events.load(Ordering::Acquire),
        micros: swarm.take_latencies().await?,
        server_cores: server.as_secs_f64() / took,
        load_cores: load.as_secs_f64() / took,
    })
}

async fn rooms(arguments: &Arguments, shape: Shape) -> anyhow::Result<Latency> {
    let (rooms, rate) = if arguments.quick { (100, 200) } else { (arguments.rooms, arguments.rate) };
    let tier = server(arguments, shape).await;
    let backend = make_rooms(&tier, rooms).await?;
    let epoch = Instant::now();
    let swarm =
        Swarm::with_marks(tier.public_address(Role::EDGE), Dialect::PlatePal, epoch, Marks::of_messages())?;
    let path = |room: u64| format!("/ws/chat/{room}?token={}", tier.token(COURIERS + room).sign());
    swarm.open((1..=rooms).map(path).collect(), OPENING).await?;
    measure(&tier, &backend, &swarm, (rooms, rate as f64, 1), time(arguments), epoch).await
}

/// One message a second to one room that many read.
async fn large(arguments: &Arguments, shape: Shape) -> anyhow::Result<Latency> {
    let readers = if arguments.quick { 200 } else { arguments.readers };
    let tier = server(arguments, shape).await;
    let backend = make_rooms(&tier, 1).await?;
    let epoch = Instant::now();
    let swarm =
        Swarm::with_marks(tier.public_address(Role::EDGE), Dialect::PlatePal, epoch, Marks::of_messages())?;
    let path = |user: u64| {
        let staff = tier.token(2 * COURIERS + user).role("SUPPORT");
        format!("/ws/chat/1?token={}", staff.sign())
    };
    swarm.open((0..readers).map(path).collect(), OPENING).await?;
    measure(&tier, &backend, &swarm, (1, 1.0, readers), time(arguments), epoch).await
}

fn time(arguments: &Arguments) -> Duration {
    Duration::from_secs(if arguments.quick { 3 } else { arguments.seconds })
}

/// Messages as fast as they are answered, without readers: per second by the clock, and of CPU time.
async fn rush(arguments: &Arguments, shape: Shape) -> anyhow::Result<(f64, f64)> {
    let (rooms, messages) = if arguments.quick { (100, 1_000) } else { (arguments.rooms, 60_000) };
    let tier = server(arguments, shape).await;
    let backend = make_rooms(&tier, rooms).await?;
    let (watched, epoch) = (watch(&tier)?, Instant::now());
    let sending = (0..messages).map(|number| {
        let clients = backend.turn(number);
        async move { send(&clients, 1 + number % rooms, number, epoch).await }
    });
    let (spent, began) = (cpu(&watched)?, Instant::now());
    stream::iter(sending).buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
    let (took, spent) = (began.elapsed().as_secs_f64(), cpu(&watched)?.saturating_sub(spent).as_secs_f64());
    Ok((messages as f64 / took, messages as f64 / spent.max(f64::MIN_POSITIVE)))
}

fn page(findings: &[Findings], machine: &Machine, arguments: &Arguments) -> String {
    let mut page = String::from("# How fast chat is\n\n");
    // Writing to a text can't fail.
    let _ = writeln!(
        page,
        "`cargo run --release -p bench --bin chat -- --split`, on {}: {} cores ({}), {} GiB of memory, Linux {}. The load \
         runs beside the server on the same cores.",
        machine.date, machine.cores, machine.processor, machine.memory_gib, machine.kernel
    );
    if arguments.quick {
        page.push_str("\n**A quick run, to see that all works: its numbers mean little.**\n");
    }
    for Findings { shape, rooms, large, per_second, per_cpu_second } in findings {
        let _ = writeln!(page, "\n## {shape}\n\n| measure | value | goal |\n|---|---|---|");
        let millis =
            |latency: &Latency, quantile: f64| latency.micros.value_at_quantile(quantile) as f64 / 1e3;
        let _ = writeln!(
            page,
            "| {} messages/s over {} rooms, from sending to reading: p50 | {:.1} ms | |\n| p99 | {:.1} ms | ≤ 100 ms |\n\
             | p99.9 | {:.1} ms | |\n| read of {} sent, {} failed | {} | |\n| cores busy: server, load | {:.2}, {:.2} | |",
            arguments.rate,
            arguments.rooms,
            millis(rooms, 0.5),
            millis(rooms, 0.99),
            millis(rooms, 0.999),
            rooms.sent,
            rooms.failed,
            rooms.read,
            rooms.server_cores,
            rooms.load_cores
        );
        let _ = writeln!(
            page,
            "| one message a second to {} readers of one room: p50 | {:.1} ms | |\n| p99 | {:.1} ms | |\n| slowest | {:.1} ms | |\n\
             | read, of {} messages | {} | |",
            arguments.readers,
            millis(large, 0.5),
            millis(large, 0.99),
            large.micros.max() as f64 / 1e3,
            large.sent,
            large.read
        );
        let _ = writeln!(
            page,
            "| messages as fast as they are answered, without readers | {per_second:.0} per second, {per_cpu_second:.0} per second of CPU time | |"
        );
    }
    page.push_str(
        "\n![From sending to reading](chat-speed/rooms.svg)\n\n![From sending to reading in one large room](chat-speed/large.svg)\n\n\
         From the moment before the gRPC call is made, through the message's commit, the outbox, the bus and the room's sockets, until \
         a reader's client has read it. The plots are of the first server. CPU time counts all of the server's own processes, not \
         NATS and PostgreSQL.\n",
    );
    page
}
