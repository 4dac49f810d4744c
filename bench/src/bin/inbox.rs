//! What a full store costs whoever looks into their inbox: lists and counts over a million notifications.
//!
//! The rows are written into the store of a stopped server; then users are picked at random and asked for by gRPC, while
//! new notifications come.

use std::{
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::ensure;
use bench::{command, machine::Machine, plots, watched::raise_open_files};
use clap::Parser;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use platepal_proto::v1;
use platepal_service::{Clock, Database};
use platepal_testkit::{Clients, Role, Shape, Tier};

/// Inboxes among which the notifications are.
const USERS: u64 = 10_000;
/// Rows of one statement.
const CHUNK: u64 = 50_000;
/// Of five notifications in a row, so many are read.
const READ_OF_FIVE: i64 = 4;
/// Opening the store, and waiting for it.
const STORE: Duration = Duration::from_secs(60);
/// Looks before any is measured.
const WARM_UP: u64 = 500;

/// Lists and counts over a full store.
#[derive(Parser)]
struct Arguments {
    /// A small store, to see that all works: its numbers mean little.
    #[arg(long)]
    quick: bool,
    /// Notifications in the store.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Looks of each kind.
    #[arg(long, default_value_t = 10_000)]
    looks: u64,
    /// The binary to start.
    #[arg(long, default_value = "target/release/platepal-realtime")]
    binary: PathBuf,
    /// Write a page, and a plot into the folder of the same name beside it, e.g. docs/inbox-speed.md.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Microseconds of each kind of look, in one store.
struct Findings {
    store: &'static str,
    rows: u64,
    list: Histogram<u64>,
    unread: Histogram<u64>,
    notify: Histogram<u64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    command::until_interrupted(Box::pin(run(&arguments))).await
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    command::check_binary(&arguments.binary)?;
    let (rows, looks) = if arguments.quick { (100_000, 500) } else { (arguments.rows, arguments.looks) };
    let mut findings = Vec::new();
    for (shape, store) in [(Shape::AllInOne, "SQLite"), (Shape::Split, "PostgreSQL")] {
        findings.push(measure(arguments, shape, store, rows, looks).await?);
    }
    let text = page(&findings, &Machine::here(raise_open_files()), arguments.quick);
    command::publish(&text, arguments.out.as_ref(), |folder| {
        if let Some(first) = findings.first() {
            let caption = "Milliseconds to list an inbox, by share of lists (SQLite)";
            plots::latency::draw(&first.list, caption, &folder.join("list.svg"))?;
        }
        Ok(())
    })
}

async fn measure(
    arguments: &Arguments,
    shape: Shape,
    store: &'static str,
    rows: u64,
    looks: u64,
) -> anyhow::Result<Findings> {
    let folder = tempfile::tempdir()?;
    let tier = Tier::builder(&arguments.binary).shape(shape);
    let tier = match shape {
        Shape::AllInOne => tier.set("REALTIME_DATA_DIR", folder.path().display()),
        Shape::Split => tier,
    };
    let mut tier = tier.start().await;
    tier.terminate(Role::NOTIFICATIONS);
    tier.wait_ended(Role::NOTIFICATIONS).await;
    let database = match shape {
        Shape::AllInOne => Database::sqlite(&folder.path().join("notifications.db"), STORE).await?,
        Shape::Split => Database::postgres(&tier.postgres().url(), 1, STORE).await?,
    };
    fill(&database, store, rows).await?;
    drop(database);
    tier.start(Role::NOTIFICATIONS).await;

    let clients = tier.grpc();
    let mut findings = Findings {
        store,
        rows,
        list: Histogram::new(3)?,
        unread: Histogram::new(3)?,
        notify: Histogram::new(3)?,
    };
    let bar = progress(looks, &format!("{store}: looking"))?;
    for look in 0..WARM_UP.min(looks) + looks {
        if look == WARM_UP.min(looks) {
            findings.list.reset();
            findings.unread.reset();
            findings.notify.reset();
        }
        look_once(&clients, &mut findings, look).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(findings)
}

/// One of each: a list, a count, and every tenth time a new notification.
async fn look_once(clients: &Clients, findings: &mut Findings, look: u64) -> anyhow::Result<()> {
    let user_id = rand::random_range(0..USERS).to_string();
    let mut notifications = clients.notifications();
    let began = Instant::now();
    let request = v1::ListInboxRequest { user_id: user_id.clone(), limit: 20, ..Default::default() };
    let listed = notifications.list_inbox(request).await?.into_inner();
    findings.list.record(micros(began))?;
    ensure!(!listed.notifications.is_empty(), "the inbox of user {user_id} is empty");
    let began = Instant::now();
    let counted =
        notifications.count_unread(v1::CountUnreadRequest { user_id: user_id.clone() }).await?.into_inner();
    findings.unread.record(micros(began))?;
    ensure!(counted.unread > 0, "user {user_id} has nothing unread");
    if look.is_multiple_of(10) {
        let began = Instant::now();
        let request = v1::NotifyRequest {
            user_id,
            r#type: "ORDER_READY".to_owned(),
            title: "Your order is ready".to_owned(),
            message: "Pick it up at the counter.".to_owned(),
            ..Default::default()
        };
        notifications.notify(request).await?;
        findings.notify.record(micros(began))?;
    }
    Ok(())
}

fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Puts notifications into the tables, spread evenly over the inboxes, as they would be after some weeks.
async fn fill(database: &Database, store: &str, rows: u64) -> anyhow::Result<()> {
    let (rows, users, now) = (i64::try_from(rows)?, i64::try_from(USERS)?, Clock.now().micros());
    let per_user = rows / users;
    // The range of numbers is made by the engine.
    let range = "WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)";
    let bar = progress(rows.unsigned_abs(), &format!("{store}: filling"))?;
    let mut first = 0_i64;
    while first < rows {
        let next = (first + i64::try_from(CHUNK)?).min(rows);
        let sql = format!(
            "{range} INSERT INTO notifications_inbox (id, user_id, sequence, kind, category, priority, title, message, data, \
             collapse_key, created_at, read_at) SELECT -1 - i, CAST(i % {users} AS TEXT), 1 + i / {users}, 'ORDER_ACCEPTED', \
             'ORDERS', 'normal', 'Your order was accepted', 'Il Forno prepares your order; it will be ready in 25 minutes.', \
             '{{\"order_id\":\"5012\"}}', '', $3 - ({rows} - i) * 1000000, \
             CASE WHEN (i / {users}) % 5 < {READ_OF_FIVE} THEN $3 END FROM n"
        );
        database.execute(&sql, &[first.into(), next.into(), now.into()]).await?;
        bar.inc((next - first).unsigned_abs());
        first = next;
    }
    let sql = format!(
        "{range} INSERT INTO notifications_users (user_id, sequence, unread, preferences, promo_day, promo_count) \
         SELECT CAST(i AS TEXT), {per_user}, (SELECT COUNT(*) FROM notifications_inbox b WHERE b.user_id = CAST(i AS TEXT) \
         AND b.read_at IS NULL), '', '', 0 FROM n"
    );
    database.execute(&sql, &[0.into(), users.into()]).await?;
    bar.finish_and_clear();
    Ok(())
}

fn progress(length: u64, message: &str) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(length).with_message(message.to_owned());
    bar.set_style(ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {elapsed_precise} {msg}")?);
    bar.enable_steady_tick(Duration::from_secs(1));
    Ok(bar)
}

fn page(findings: &[Findings], machine: &Machine, quick: bool) -> String {
    let mut page = String::from("# How fast an inbox is\n\n");
    // Writing to a text can't fail.
    let _ = writeln!(
        page,
        "`cargo run --release -p bench --bin inbox`, on {}: {} cores ({}), {} GiB of memory, Linux {}. One caller, beside the \
         server on the same cores; every time is that of the whole gRPC call.",
        machine.date, machine.cores, machine.processor, machine.memory_gib, machine.kernel
    );
    if quick {
        page.push_str("\n**A quick run, to see that all works: its numbers mean little.**\n");
    }
    for Findings { store, rows, list, unread, notify } in findings {
        let _ = writeln!(
            page,
            "\n## {store}: {rows} notifications in {USERS} inboxes\n\n| call | p50 | p99 | p99.9 | goal |\n|---|---|---|---|---|"
        );
        for (call, times, goal) in [
            ("the newest 20 of an inbox", list, "p99 ≤ 5 ms"),
            ("how many are unread", unread, "p99 ≤ 5 ms"),
            ("a new notification, kept and told", notify, ""),
        ] {
            let millis = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e3;
            let _ = writeln!(
                page,
                "| {call} | {:.2} ms | {:.2} ms | {:.2} ms | {goal} |",
                millis(0.5),
                millis(0.99),
                millis(0.999)
            );
        }
    }
    page.push_str("\n![Lists](inbox-speed/list.svg)\n");
    page
}
