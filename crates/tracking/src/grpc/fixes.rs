//! Fixes: from Django by gRPC, singly and in batches; from riders' apps as JSON.

use std::collections::VecDeque;

use bytes::Bytes;
use platepal_events::Timestamp;
use platepal_proto::v1;
use platepal_service::{domain::Sender, grpc::invalid};
use serde_json::{Value, json};
use tonic::Status;

use super::{Tracking, deliveries::id};
use crate::{
    riders::Whereabouts,
    rules::{
        fix::{Answer, Fix},
        liveness::Liveness,
        wire::{self, FIXES_MAX},
    },
};

impl Tracking {
    pub(crate) async fn report(
        &self,
        request: v1::ReportFixesRequest,
    ) -> Result<v1::ReportFixesResponse, Status> {
        let v1::ReportFixesRequest { rider_id, fixes } = request;
        id("rider_id", &rider_id)?;
        if fixes.is_empty() || fixes.len() > FIXES_MAX {
            return Err(invalid("fixes", format!("must be 1-{FIXES_MAX} (there are {})", fixes.len())));
        }
        let now = self.clock.now();
        for (index, fix) in fixes.iter().enumerate() {
            if let Some(at) = fix.recorded_at
                && Timestamp::try_from(at).is_err()
            {
                return Err(invalid(&format!("fixes[{index}].recorded_at"), "is no moment"));
            }
        }
        // Another replica has another now; a fix without a moment was recorded when it came here.
        let fixes = fixes
            .into_iter()
            .map(|fix| v1::Fix { recorded_at: fix.recorded_at.or(Some(now.into())), ..fix })
            .collect();
        let answers = self.riders.take(&rider_id, fixes).await.map_err(|why| why.status())?;
        Ok(v1::ReportFixesResponse { answers })
    }

    /// What a rider's app sends of itself: `{"answers":[{"outcome","reason","note"}]}`.
    pub(crate) async fn report_json(&self, sender: &Sender, data: &[u8]) -> Result<Bytes, Status> {
        let now = self.clock.now();
        let decoded = wire::decode(unwrap_list(data)?.as_ref(), now).map_err(|why| invalid("data", why))?;
        let fixes: Vec<v1::Fix> = decoded.iter().flatten().map(message).collect();
        let mut taken: VecDeque<v1::FixAnswer> = match fixes.is_empty() {
            true => VecDeque::new(),
            false => {
                let rider_id = sender.principal.user_id.as_str();
                id("rider_id", rider_id)?;
                self.riders.take(rider_id, fixes).await.map_err(|why| why.status())?.into()
            }
        };
        let answers: Vec<Value> = decoded
            .iter()
            .map(|decoded| match decoded {
                Ok(_) => taken.pop_front().map_or(Value::Null, |answer| answer_json(&answer)),
                Err(why) => json!({"outcome": "refused", "reason": "malformed", "note": why.to_string()}),
            })
            .collect();
        Ok(json!({ "answers": answers }).to_string().into_bytes().into())
    }

    /// Where a rider's app is, as this tier knows it.
    pub(crate) async fn where_json(&self, sender: &Sender) -> Result<Bytes, Status> {
        let rider_id = sender.principal.user_id.as_str();
        let whereabouts = self.riders.whereabouts(rider_id).await.map_err(|why| why.status())?;
        let answer = whereabouts.map_or(json!({"on_shift": false}), |whereabouts| {
            json!({
                "on_shift": true,
                "shift_started_at": whereabouts.shift_started_at.and_then(|at| Timestamp::try_from(at).ok()).map(|at| at.to_string()),
                "location": whereabouts.place.map(|place| json!({"latitude": place.latitude, "longitude": place.longitude})),
                "liveness": whereabouts.liveness().as_str_name().trim_start_matches("LIVENESS_").to_lowercase(),
                "delivery_ids": whereabouts.delivery_ids,
            })
        });
        Ok(answer.to_string().into_bytes().into())
    }

    pub(crate) async fn rider(&self, request: v1::GetRiderRequest) -> Result<v1::GetRiderResponse, Status> {
        id("rider_id", &request.rider_id)?;
        let whereabouts = self.riders.whereabouts(&request.rider_id).await.map_err(|why| why.status())?;
        whereabouts.ok_or_else(|| no_shift(&request.rider_id))
    }
}

pub(crate) fn no_shift(rider_id: &str) -> Status {
    Status::not_found(format!("rider {rider_id} is on no shift"))
}

/// An error if of what was sent nothing was kept and nothing had been: with the first reason.
pub(super) fn anything_kept(answer: &[u8]) -> Result<(), Status> {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let answers = answer.get("answers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_refused = |answer: &Value| answer.get("outcome").is_none_or(|outcome| outcome == "refused");
    let Some(first) = answers.first().filter(|_| answers.iter().all(is_refused)) else { return Ok(()) };
    let text = |name: &str| first.get(name).and_then(Value::as_str).unwrap_or_default();
    Err(Status::failed_precondition(format!("nothing was kept: {} ({})", text("note"), text("reason"))))
}

/// `{"fixes":[…]}` means the list.
fn unwrap_list(data: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, Status> {
    #[derive(serde::Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        fixes: &'a serde_json::value::RawValue,
    }
    match serde_json::from_slice::<Wrapped<'_>>(data) {
        Ok(wrapped) => Ok(wrapped.fixes.get().as_bytes().into()),
        Err(_) => Ok(data.into()),
    }
}

fn answer_json(answer: &v1::FixAnswer) -> Value {
    let outcome = answer.outcome().as_str_name().trim_start_matches("FIX_OUTCOME_").to_lowercase();
    let mut json = json!({ "outcome": outcome });
    if let Some(fields) = json.as_object_mut() {
        for (name, text) in [("reason", &answer.reason), ("note", &answer.note)] {
            if !text.is_empty() {
                fields.insert(name.to_owned(), text.as_str().into());
            }
        }
    }
    json
}

/// A fix as the rules have it; without a moment it was recorded now.
pub(crate) fn fix(message: &v1::Fix, now: Timestamp) -> Fix {
    Fix {
        latitude: message.latitude,
        longitude: message.longitude,
        accuracy: message.accuracy,
        heading: message.heading,
        speed: message.speed,
        battery_level: message.battery_level,
        recorded_at: message.recorded_at.and_then(|at| Timestamp::try_from(at).ok()).unwrap_or(now),
    }
}

fn message(fix: &Fix) -> v1::Fix {
    v1::Fix {
        latitude: fix.latitude,
        longitude: fix.longitude,
        accuracy: fix.accuracy,
        heading: fix.heading,
        speed: fix.speed,
        battery_level: fix.battery_level,
        recorded_at: Some(fix.recorded_at.into()),
    }
}

pub(crate) fn answer(answer: Answer) -> v1::FixAnswer {
    let outcome = match answer {
        Answer::Shown => v1::FixOutcome::Shown,
        Answer::Kept(_) => v1::FixOutcome::Kept,
        Answer::Duplicate => v1::FixOutcome::Duplicate,
        Answer::Refused(_) => v1::FixOutcome::Refused,
    };
    let reason = answer.reason();
    v1::FixAnswer {
        outcome: outcome.into(),
        reason: reason.map(|reason| reason.word().to_owned()).unwrap_or_default(),
        note: reason.map(|reason| reason.sentence().to_owned()).unwrap_or_default(),
    }
}

pub(crate) fn whereabouts(whereabouts: Whereabouts) -> v1::GetRiderResponse {
    let Whereabouts { shift_started_at, smoothed, liveness, deliveries } = whereabouts;
    let liveness = match liveness {
        Liveness::Live => v1::Liveness::Live,
        Liveness::Stale => v1::Liveness::Stale,
        Liveness::Offline => v1::Liveness::Offline,
        Liveness::Unknown => v1::Liveness::Unknown,
    };
    v1::GetRiderResponse {
        shift_started_at: Some(shift_started_at.into()),
        place: smoothed.map(|smoothed| v1::Place {
            latitude: smoothed.place.latitude,
            longitude: smoothed.place.longitude,
        }),
        heading: smoothed.and_then(|smoothed| smoothed.heading),
        speed: smoothed.map(|smoothed| smoothed.speed).unwrap_or_default(),
        at: smoothed.map(|smoothed| smoothed.at.into()),
        liveness: liveness.into(),
        delivery_ids: deliveries,
    }
}
