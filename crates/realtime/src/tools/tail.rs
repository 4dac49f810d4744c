//! `tail`: a channel from now on (or from its oldest entry), with positions, gaps and latencies.
//!
//! Entries go to stdout; the summary goes to stderr, at the end or when interrupted.

mod follow;

use std::time::Instant;

use anstream::{eprintln, println};
use owo_colors::OwoColorize;
use platepal_events::Timestamp;
use platepal_proto::v1::{self, events_service_client::EventsServiceClient, tail_response::Item};
use serde_json::json;

use self::follow::{Follower, Seen, Summary};
use super::{connect, refused};
use crate::cli;

/// Follows the channel until it is interrupted, or `count` entries were printed.
pub(crate) async fn run(asked: cli::Tail) -> anyhow::Result<()> {
    let mut events = EventsServiceClient::new(connect(&asked.gateway).await?);
    let request = v1::TailRequest { channel: asked.channel, after: None, retained: asked.retained };
    let mut items = events.tail(request).await.map_err(|status| refused(&status))?.into_inner();
    let mut follower = Follower::new(Instant::now());
    let end = follow(&mut items, &mut follower, asked.count.unwrap_or(u64::MAX), asked.json).await;
    print_summary(&follower.summary(Instant::now()), asked.json);
    end
}

async fn follow(
    items: &mut tonic::Streaming<v1::TailResponse>,
    follower: &mut Follower,
    count: u64,
    json: bool,
) -> anyhow::Result<()> {
    let mut left = count;
    while left > 0 {
        let next = tokio::select! {
            next = items.message() => next.map_err(|status| refused(&status))?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(v1::TailResponse { item: Some(item), age }) = next else {
            anyhow::bail!("the gateway ended the tail; start it again to go on");
        };
        match item {
            Item::Entry(entry) => {
                left -= 1;
                let age = age.map_or(0, |age| age.seconds * 1_000_000 + i64::from(age.nanos) / 1_000);
                let seen = follower.entry(&entry, age, Instant::now());
                if json { print_json(&entry, &seen) } else { print_entry(&entry, &seen) }
            }
            Item::Reset(reset) => {
                follower.reset(reset.position.as_ref());
                print_reset(&reset, json);
            }
            // Silence is not news.
            Item::Idle(position) => follower.idle(&position),
        }
    }
    Ok(())
}

fn moment(at: Option<prost_types::Timestamp>) -> String {
    at.and_then(|at| Timestamp::try_from(at).ok()).map(|at| at.to_string()).unwrap_or_default()
}

fn millis(micros: i64) -> f64 {
    micros as f64 / 1e3
}

#[allow(clippy::print_stdout)]
fn print_entry(entry: &v1::Entry, seen: &Seen) {
    let event = entry.event.clone().unwrap_or_default();
    if let Some(gap) = &seen.gap {
        let missed = format!("what stands between {} and {} did not come", gap.after, entry.previous_offset);
        println!("{} {missed}", "GAP".red().bold());
    }
    let kept = seen.since_kept_micros.map_or(String::new(), |kept| format!(", kept {:.1} ms", millis(kept)));
    println!(
        "{} {} {} {} {}",
        format!("{:>8}", seen.offset).cyan(),
        format!("<{}", entry.previous_offset).dimmed(),
        moment(event.timestamp).dimmed(),
        event.r#type.green(),
        format!("{:.1} ms{kept}  {}", millis(seen.age_micros), event.event_id).dimmed()
    );
    println!("         {}", String::from_utf8_lossy(&event.payload));
}

#[allow(clippy::print_stdout)]
fn print_json(entry: &v1::Entry, seen: &Seen) {
    let event = entry.event.clone().unwrap_or_default();
    let payload: serde_json::Value = serde_json::from_slice(&event.payload).unwrap_or_default();
    let line = json!({
        "channel": entry.channel,
        "epoch": entry.position.as_ref().map(|position| position.epoch.as_str()),
        "offset": seen.offset,
        "previous_offset": entry.previous_offset,
        "gap_after": seen.gap.as_ref().map(|gap| gap.after),
        "event_id": event.event_id,
        "type": event.r#type,
        "timestamp": moment(event.timestamp),
        "kept_at": moment(entry.kept_at),
        "age_ms": millis(seen.age_micros),
        "kept_age_ms": seen.since_kept_micros.map(millis),
        "traceparent": event.traceparent,
        "payload": payload,
    });
    println!("{line}");
}

#[allow(clippy::print_stdout)]
fn print_reset(reset: &v1::Reset, json: bool) {
    let position = reset.position.clone().unwrap_or_default();
    if json {
        let v1::Position { epoch, offset } = position;
        println!("{}", json!({ "reset": { "epoch": epoch, "offset": offset, "reason": reset.reason } }));
    } else {
        println!("{} {}; it goes on after {}", "RESET".yellow().bold(), reset.reason, position.offset);
    }
}

#[allow(clippy::print_stderr)]
fn print_summary(summary: &Summary, json: bool) {
    let Summary { entries, live, gaps, resets, seconds, .. } = summary;
    if json {
        eprintln!("{}", json!({ "summary": summary }));
        return;
    }
    let rate = summary.live_per_second;
    eprintln!("\n{entries} entries, {live} of them live: {rate:.1} a second for {seconds:.1} s");
    let marks = format!("{gaps} gaps, {resets} resets");
    if *gaps > 0 {
        eprintln!("{}", marks.red().bold())
    } else {
        eprintln!("{marks}")
    }
    for (what, latency) in [("from publisher", &summary.from_publisher), ("from kept", &summary.from_kept)] {
        if let Some(latency) = latency {
            eprintln!(
                "{what:<14}  p50 {:.1} ms  p99 {:.1} ms  max {:.1} ms",
                latency.p50_ms, latency.p99_ms, latency.max_ms
            );
        }
    }
}
