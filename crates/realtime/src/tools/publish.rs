//! `publish`: one event through the gateway.

use anstream::println;
use owo_colors::OwoColorize;
use platepal_proto::v1::{self, events_service_client::EventsServiceClient};

use super::{connect, refused};
use crate::cli;

/// Publishes and prints what was kept, a channel a line.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(asked: cli::Publish) -> anyhow::Result<()> {
    let mut events = EventsServiceClient::new(connect(&asked.gateway).await?);
    let event = v1::Event {
        event_id: asked.event_id.unwrap_or_default(),
        r#type: asked.kind,
        payload: asked.payload.into(),
        key: asked.key.unwrap_or_default(),
        ..Default::default()
    };
    let request = v1::PublishRequest { event: Some(event), channels: asked.channel };
    let response = events.publish(request).await.map_err(|status| refused(&status))?.into_inner();
    let outcome = response.outcome();
    let outcome = outcome.as_str_name().trim_start_matches("OUTCOME_").to_lowercase();
    println!("{} {}", outcome.green().bold(), response.event_id);
    for kept in &response.kept {
        let offset = kept.position.as_ref().map_or(0, |position| position.offset);
        let repeat = if kept.duplicate { "  (had it already)" } else { "" };
        println!("  {} at {}{}", kept.channel.cyan(), offset, repeat.dimmed());
    }
    if !response.note.is_empty() {
        println!("  {}", response.note.yellow());
    }
    Ok(())
}
