//! A rider's phone: how fixes and answers to job offers reach the tier.
//!
//! Half of the fleet has the rider app, which keeps a WebSocket open; the others' phones talk to PlatePal's backend, which
//! relays what they say over gRPC.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use platepal_events::Timestamp;
use platepal_proto::v1::{self, FixOutcome, OfferStatus};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::{backend::Backend, receiver::Reading};

/// How long an answer is waited for.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Offers that were heard of and not answered; older ones are forgotten, and expire.
const OFFERS_MAX: usize = 8;

/// Something that a phone measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fix {
    pub(crate) reading: Reading,
    pub(crate) at: Timestamp,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Each fix was answered; what was not shown was kept, or is not worth repeating.
    All,
    /// The rider has no shift.
    NoShift,
}

/// How a rider's phone talks.
pub(crate) enum Phone {
    App(Box<App>),
    Relay(Box<Backend>),
}

/// What the tier says on a socket.
#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    id: Option<u64>,
    message: Option<String>,
    #[serde(default)]
    data: Value,
}

/// The rider app: one socket, opened when there is something to say.
pub(crate) struct App {
    /// With the rider's token.
    url: String,
    socket: Option<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    next_id: u64,
    offers: VecDeque<String>,
}

impl Phone {
    pub(crate) fn with_app(url: String) -> Self {
        Self::App(Box::new(App { url, socket: None, next_id: 1, offers: VecDeque::new() }))
    }

    pub(crate) fn relayed_by(backend: &Backend) -> Self {
        Self::Relay(Box::new(backend.clone()))
    }

    /// Between two fixes.
    pub(crate) fn pace(&self) -> Duration {
        match self {
            Self::App(_) => Duration::from_secs(1),
            Self::Relay(_) => Duration::from_secs(2),
        }
    }

    /// Reports fixes, oldest first. After an error they may have been taken or not: repeat them, which is harmless.
    pub(crate) async fn report(&mut self, rider_id: &str, fixes: &[Fix]) -> anyhow::Result<Taken> {
        let is_refused = match self {
            Self::App(app) => {
                let fixes: Vec<Value> = fixes.iter().map(json).collect();
                let data = match fixes.as_slice() {
                    [fix] => fix.clone(),
                    _ => json!({ "fixes": fixes }),
                };
                match app.ask("location", data).await? {
                    Ok(answer) => {
                        let answers = answer.get("answers").and_then(Value::as_array).into_iter().flatten();
                        answers.filter_map(|answer| answer.get("reason")).any(|reason| reason == "no_shift")
                    }
                    Err(words) => words.contains("shift"),
                }
            }
            Self::Relay(backend) => {
                let answers = backend.report(rider_id, fixes.iter().map(message).collect()).await?;
                let refused = i32::from(FixOutcome::Refused);
                answers.iter().any(|answer| answer.outcome == refused && answer.reason == "no_shift")
            }
        };
        Ok(if is_refused { Taken::NoShift } else { Taken::All })
    }

    /// Answers a job offer, once the phone has heard of it.
    pub(crate) async fn answer(
        &mut self,
        backend: &Backend,
        offer_id: &str,
        accept: bool,
    ) -> anyhow::Result<()> {
        let reason = if accept { "" } else { "too far" };
        match self {
            Self::App(app) => {
                let heard = timeout(ANSWER_TIME, app.hear_of(offer_id));
                heard.await.context("the offer did not reach the rider")??;
                let data = json!({ "offer_id": offer_id, "accept": accept, "reason": reason });
                if let Err(words) = app.ask("offer_response", data).await? {
                    bail!("the rider's answer was refused: {words}");
                }
                Ok(())
            }
            Self::Relay(_) => {
                let status = if accept { OfferStatus::Accepted } else { OfferStatus::Declined };
                Ok(backend.settle_offer(offer_id, status, reason).await?)
            }
        }
    }
}

impl App {
    /// Says something, and gets its answer: data, or words of refusal. After an error the socket is opened anew.
    async fn ask(&mut self, kind: &str, data: Value) -> anyhow::Result<Result<Value, String>> {
        let answer = match timeout(ANSWER_TIME, self.exchange(kind, data)).await {
            Ok(answer) => answer,
            Err(_) => Err(anyhow::anyhow!("no answer within {ANSWER_TIME:?}")),
        };
        if answer.is_err() {
            self.socket = None;
        }
        answer
    }

    async fn exchange(&mut self, kind: &str, data: Value) -> anyhow::Result<Result<Value, String>> {
        let id = self.next_id;
        self.next_id += 1;
        let said = json!({ "type": kind, "id": id, "data": data });
        self.socket().await?.send(Message::text(said.to_string())).await?;
        loop {
            let frame = self.next().await?;
            if frame.id != Some(id) {
                continue;
            }
            return Ok(match frame.kind.as_str() {
                "error" => Err(frame.message.unwrap_or_default()),
                _ => Ok(frame.data),
            });
        }
    }

    async fn hear_of(&mut self, offer_id: &str) -> anyhow::Result<()> {
        while !self.offers.iter().any(|heard| heard == offer_id) {
            self.next().await?;
        }
        self.offers.retain(|heard| heard != offer_id);
        Ok(())
    }

    async fn socket(&mut self) -> anyhow::Result<&mut WebSocketStream<MaybeTlsStream<TcpStream>>> {
        if self.socket.is_none() {
            let (socket, _) = connect_async(&self.url).await?;
            self.socket = Some(socket);
        }
        self.socket.as_mut().context("the socket was just opened")
    }

    /// The next frame; offers are noted on the way.
    async fn next(&mut self) -> anyhow::Result<Frame> {
        loop {
            let message = self.socket().await?.next().await.context("the socket was closed")??;
            let text = match message {
                Message::Text(text) => text,
                Message::Close(close) => bail!("the socket was closed: {close:?}"),
                _ => continue,
            };
            let frame: Frame = serde_json::from_str(&text)?;
            if frame.kind == "job_offer"
                && let Some(offer_id) = offer_id(&frame)
            {
                self.offers.push_back(offer_id);
                if self.offers.len() > OFFERS_MAX {
                    self.offers.pop_front();
                }
            }
            return Ok(frame);
        }
    }
}

fn offer_id(frame: &Frame) -> Option<String> {
    match frame.data.pointer("/payload/offer_id")? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// As the rider app writes it: degrees with seven decimals, the rest with one.
fn json(fix: &Fix) -> Value {
    let Fix { reading, at } = fix;
    let round = |number: f64, parts: f64| (number * parts).round() / parts;
    json!({
        "latitude": round(reading.place.latitude, 1e7), "longitude": round(reading.place.longitude, 1e7),
        "accuracy": round(reading.accuracy_m, 10.0), "heading": round(reading.heading, 10.0),
        "speed": round(reading.speed_mps, 10.0), "recorded_at": at.to_string(),
    })
}

fn message(fix: &Fix) -> v1::Fix {
    let Fix { reading, at } = *fix;
    v1::Fix {
        latitude: reading.place.latitude,
        longitude: reading.place.longitude,
        accuracy: reading.accuracy_m,
        heading: Some(reading.heading),
        speed: Some(reading.speed_mps),
        battery_level: None,
        recorded_at: Some(at.into()),
    }
}
