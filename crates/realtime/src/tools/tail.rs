//! `tail`: a channel from now on (or from its oldest entry), with positions and ages.

use anstream::println;
use owo_colors::OwoColorize;
use platepal_events::Timestamp;
use platepal_proto::v1::{self, events_service_client::EventsServiceClient, tail_response::Item};

use super::{connect, refused};
use crate::cli;

/// Follows the channel until it is interrupted, or `count` entries were printed.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(asked: cli::Tail) -> anyhow::Result<()> {
    let mut events = EventsServiceClient::new(connect(&asked.gateway).await?);
    let request = v1::TailRequest { channel: asked.channel, after: None, retained: asked.retained };
    let mut items = events.tail(request).await.map_err(|status| refused(&status))?.into_inner();
    let mut left = asked.count.unwrap_or(u64::MAX);
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
                if asked.json { print_json(&entry) } else { print_line(&entry, age) }
            }
            Item::Reset(reset) if !asked.json => println!("{} {}", "reset".yellow().bold(), reset.reason),
            // Silence is not news to people, and neither is to a program that reads entries.
            Item::Reset(_) | Item::Idle(_) => {}
        }
    }
    Ok(())
}

fn parts(entry: &v1::Entry) -> (v1::Event, u64, String) {
    let event = entry.event.clone().unwrap_or_default();
    let offset = entry.position.as_ref().map_or(0, |position| position.offset);
    let at = event.timestamp.and_then(|at| Timestamp::try_from(at).ok());
    (event, offset, at.map(|at| at.to_string()).unwrap_or_default())
}

#[allow(clippy::print_stdout)]
fn print_line(entry: &v1::Entry, age: Option<prost_types::Duration>) {
    let (event, offset, at) = parts(entry);
    let age = age.map_or(0.0, |age| age.seconds as f64 * 1e3 + f64::from(age.nanos) / 1e6);
    println!(
        "{} {} {} {} {}",
        format!("{offset:>8}").cyan(),
        format!("<{}", entry.previous_offset).dimmed(),
        at.dimmed(),
        event.r#type.green(),
        format!("{age:.1} ms  {}", event.event_id).dimmed()
    );
    println!("         {}", String::from_utf8_lossy(&event.payload));
}

#[allow(clippy::print_stdout)]
fn print_json(entry: &v1::Entry) {
    let (event, offset, at) = parts(entry);
    let payload: serde_json::Value = serde_json::from_slice(&event.payload).unwrap_or_default();
    let line = serde_json::json!({
        "channel": entry.channel, "offset": offset, "previous_offset": entry.previous_offset,
        "event_id": event.event_id, "type": event.r#type, "timestamp": at, "payload": payload,
    });
    println!("{line}");
}
