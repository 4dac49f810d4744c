//! `GET /events/…?wait=`: what a feed carried after an event, at once or as soon as something comes.

use std::{sync::Arc, time::Duration};

use ::http::{HeaderValue, Response, StatusCode, header};
use metrics::counter;
use platepal_settings::Value;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{Full, Reply, Request, refused};
use crate::{
    Edge,
    close::{Close, Code},
    codec::Wire,
    handshake::Refused,
    hub::{LogPage, Page, unavailable},
    queue::{Outgoing, Queue},
    session::{PAGE_FRAMES, Subscription, opening},
};

/// Frames in one answer; the client asks again for the rest.
const FRAMES_MAX: usize = 500;

#[derive(Serialize)]
struct Answer<'a> {
    events: Vec<&'a RawValue>,
    /// What to ask with next.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_id: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    event_id: String,
}

/// How long the client wants to wait: `20`, `20s`, `500ms`.
fn wait(text: &str, max: Duration) -> Result<Duration, Refused> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    let wait = seconds.or_else(|| Duration::parse(text).ok());
    wait.map(|wait| wait.min(max)).ok_or_else(|| {
        Refused::new(StatusCode::BAD_REQUEST, "bad_request", "wait must be a time, as 20s or 500ms")
    })
}

pub(super) async fn poll(edge: &Arc<Edge>, request: &Request<'_>, text: &str) -> Result<Reply, Refused> {
    let wait = wait(text, edge.settings.poll_wait_max)?;
    let arrival = request.head.arrival(Some(request.visitor.address))?;
    let _place = edge.entrance.admit(&request.visitor).await?;
    let (queue, wire) = (opening::queue(edge), Wire::PlatePalLines);
    let mut opened = opening::open(edge, &arrival, &queue, wire).await.map_err(|close| refused(&close))?;
    let mut frames = std::mem::take(&mut opened.first);
    frames.extend(opened.subscription.start());
    let told = edge.shutdown.told();
    tokio::select! {
        outcome = collect(&mut opened.subscription, &queue, &mut frames, arrival.since.is_some()) => {
            outcome.map_err(|close| refused(&close))?;
        }
        () = tokio::time::sleep_until(Instant::now() + wait) => {}
        () = told => {}
    }
    let lines: Vec<&[u8]> = frames.iter().map(|frame| frame.frame.trim_ascii_end()).collect();
    let last = lines.last().and_then(|line| serde_json::from_slice::<Named>(line).ok());
    // Nothing came: the client is where it was, or at the head that it was given a place at.
    let place = || Some(opened.subscription.place().to_string());
    counter!("realtime_edge_polls_total", "result" => if lines.is_empty() { "empty" } else { "events" })
        .increment(1);
    let answer = Answer {
        events: lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect(),
        last_event_id: last.map(|last| last.event_id).or(arrival.since.clone()).or_else(place),
    };
    let body = serde_json::to_string(&answer).unwrap_or_default() + "\n";
    let mut response = Response::new(Full::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(Box::new(response))
}

/// Takes what there is; with nothing, waits for the first.
async fn collect(
    subscription: &mut Subscription,
    queue: &Queue,
    frames: &mut Vec<Outgoing>,
    has_place: bool,
) -> Result<(), Close> {
    // Newest values are news to whoever asks for the first time; to others only when they change.
    let mut waiting = frames.is_empty() || has_place;
    loop {
        while let Some(cursor) = subscription.cursor {
            if frames.len() >= FRAMES_MAX {
                return Ok(());
            }
            let (entries, offset) = match subscription.membership.page(cursor, PAGE_FRAMES) {
                Page::Live(newest) => {
                    frames.extend(newest);
                    subscription.cursor = None;
                    continue;
                }
                Page::Entries(entries, offset) => (entries, offset),
                Page::InLog => {
                    let page =
                        subscription.membership.read_log(cursor, PAGE_FRAMES, subscription.from_zero).await;
                    match page.map_err(|why| unavailable(&why))? {
                        LogPage::Entries(entries, offset) => (entries, offset),
                        LogPage::Gap => {
                            return Err(Code::Restart.because("events were missed that are no longer kept"));
                        }
                    }
                }
            };
            waiting &= entries.is_empty();
            frames.extend(subscription.frames(&entries, offset));
        }
        let taken = queue.take();
        waiting &= taken.frames.is_empty();
        frames.extend(taken.frames);
        if let Some(close) = taken.close {
            return if frames.is_empty() { Err(close) } else { Ok(()) };
        }
        if !taken.orders.is_empty() {
            // Whatever it is, the next request is asked anew.
            return Ok(());
        }
        if !waiting {
            return Ok(());
        }
        queue.changed().await;
    }
}
