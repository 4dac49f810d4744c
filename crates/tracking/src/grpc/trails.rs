//! Trails: read again, played back at a pace, and forgotten.

use std::{sync::Arc, time::Duration};

use platepal_events::{Channel, ChannelKind, Event, EventId, EventType, Timestamp};
use platepal_proto::v1::{self, get_trail_request::Of};
use platepal_service::{
    Shutdown,
    grpc::{bus_status, invalid},
};
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};
use tonic::Status;

use super::{
    Tracking,
    deliveries::{id, unknown},
    store_status,
};
use crate::{
    rules::{
        envelope,
        trail::{self, TrailPoint},
    },
    store::deliveries::Read,
};

/// A rider's way is read for at most this long, in milliseconds: a day.
const WINDOW_MILLIS_MAX: i64 = 24 * 60 * 60 * 1_000;
/// Points that are ready for a reader who is slow.
const AHEAD_POINTS: usize = 16;
/// The slowest and the fastest pace.
const PACES: std::ops::RangeInclusive<f64> = 0.1..=1_000.0;

/// Trails that are being played back. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Replays(Arc<Semaphore>);

impl Replays {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// How many more may begin now.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.0.available_permits()
    }

    fn begin(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(
                "too many trails are played back at once (REALTIME_TRACKING_REPLAYS); try again later",
            )
        })
    }
}

/// What is sent of a trail that is played back.
pub(crate) type Replayed = mpsc::Receiver<Result<v1::ReplayTrailResponse, Status>>;

impl Tracking {
    pub(crate) async fn get_trail(
        &self,
        request: v1::GetTrailRequest,
    ) -> Result<v1::GetTrailResponse, Status> {
        let points = self.trail(request).await?;
        Ok(v1::GetTrailResponse {
            geojson: trail::geojson(&points),
            polyline: trail::polyline(points.iter().map(|point| point.place)),
            metres: trail::metres(&points),
            points: points.iter().map(message).collect(),
        })
    }

    pub(crate) async fn replay_trail(&self, request: v1::ReplayTrailRequest) -> Result<Replayed, Status> {
        let pace = request.pace;
        if pace != 0.0 && !PACES.contains(&pace) {
            return Err(invalid("pace", "must be 0 for all at once, or from 0.1 to 1000"));
        }
        let permit = self.replays.begin()?;
        let points = self.trail(request.trail.ok_or_else(|| invalid("trail", "must be set"))?).await?;
        let (sender, receiver) = mpsc::channel(AHEAD_POINTS);
        tokio::spawn(replay(points, pace, sender, self.shutdown.clone(), permit));
        Ok(receiver)
    }

    pub(crate) async fn delete_rider(
        &self,
        request: v1::DeleteRiderRequest,
    ) -> Result<v1::DeleteRiderResponse, Status> {
        let rider_id = request.rider_id;
        id("rider_id", &rider_id)?;
        let now = self.clock.now();
        let erased = self.store.erase_rider(&rider_id).await.map_err(store_status)?;
        // The owner forgets what it holds, so that it writes nothing of it again.
        self.reload(&rider_id).await?;
        // And once more what it was keeping meanwhile.
        let late = self.store.erase_rider(&rider_id).await.map_err(store_status)?;
        self.blank_positions(&erased.deliveries, now).await?;
        Ok(v1::DeleteRiderResponse { points: erased.points.saturating_add(late.points) })
    }

    /// Replaces the newest positions of some deliveries by none. What the bus has else of a rider is gone after its
    /// retention.
    pub(super) async fn blank_positions(&self, deliveries: &[Read], now: Timestamp) -> Result<(), Status> {
        for Read { delivery, .. } in deliveries {
            let payload = json!({
                "delivery_id": envelope::id(&delivery.delivery_id),
                "order_id": envelope::id(&delivery.order_id),
                "rider_id": null,
                "location": null,
                "eta_minutes": null,
                "timestamp": now.to_string(),
            });
            let about = ("delivery", delivery.delivery_id.as_str());
            let event = envelope::event(
                EventId::make(),
                EventType::named("rider_location"),
                now,
                about,
                &payload.to_string(),
                "",
            );
            let event = Event { key: delivery.delivery_id.as_str().into(), ..event };
            let channels = [
                Channel::new(ChannelKind::Track, &delivery.delivery_id),
                Channel::new(ChannelKind::Customer, &delivery.customer_id),
            ];
            let channels: Vec<Channel> = channels.into_iter().filter_map(Result::ok).collect();
            self.bus.append(&channels, &event).await.map_err(|why| bus_status(&why))?;
        }
        Ok(())
    }

    async fn trail(&self, request: v1::GetTrailRequest) -> Result<Vec<TrailPoint>, Status> {
        let v1::GetTrailRequest { of, from, to } = request;
        let moment = |field: &str, at: Option<prost_types::Timestamp>| {
            at.map(Timestamp::try_from).transpose().map_err(|why| invalid(field, why))
        };
        let (from, to) = (moment("from", from)?, moment("to", to)?);
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(invalid("from", "must not be after `to`"));
        }
        match of {
            Some(Of::DeliveryId(delivery_id)) => {
                id("delivery_id", &delivery_id)?;
                if self.store.delivery(&delivery_id).await.map_err(store_status)?.is_none() {
                    return Err(unknown(&delivery_id));
                }
                let all = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
                let window = (from.unwrap_or(all.0), to.unwrap_or(all.1));
                self.store.trail_of_delivery(&delivery_id, window).await.map_err(store_status)
            }
            Some(Of::RiderId(rider_id)) => {
                id("rider_id", &rider_id)?;
                let to = to.unwrap_or_else(|| self.clock.now());
                let from = from.unwrap_or_else(|| to.plus_millis(-WINDOW_MILLIS_MAX));
                if to.millis_since(from) > WINDOW_MILLIS_MAX {
                    return Err(invalid("from", "must be at most a day before `to`"));
                }
                self.store.trail_of_rider(&rider_id, (from, to)).await.map_err(store_status)
            }
            None => Err(invalid("delivery_id", "must be set, or rider_id")),
        }
    }
}

/// Sends points as far apart as they were, by the pace. Each has its moment from the beginning, so that waits
/// that last a little too long do not add up.
async fn replay(
    points: Vec<TrailPoint>,
    pace: f64,
    to: mpsc::Sender<Result<v1::ReplayTrailResponse, Status>>,
    shutdown: Shutdown,
    _permit: OwnedSemaphorePermit,
) {
    metrics::gauge!("realtime_tracking_replays_open").increment(1);
    let (told, began) = (shutdown.told(), Instant::now());
    tokio::pin!(told);
    let first = points.first().map(|point| point.at);
    for point in &points {
        if pace > 0.0 {
            let since = first.map_or(0, |first| point.at.millis_since(first)).max(0);
            let after = Duration::from_millis(since.unsigned_abs()).div_f64(pace);
            tokio::select! {
                () = tokio::time::sleep_until(began + after) => {}
                () = to.closed() => break,
                () = &mut told => {
                    let _ = to.try_send(Err(Status::unavailable("this process is ending; play it again")));
                    break;
                }
            }
        }
        if to.send(Ok(v1::ReplayTrailResponse { point: Some(message(point)) })).await.is_err() {
            break;
        }
    }
    metrics::gauge!("realtime_tracking_replays_open").decrement(1);
}

fn message(point: &TrailPoint) -> v1::TrailPoint {
    v1::TrailPoint {
        place: Some(v1::Place { latitude: point.place.latitude, longitude: point.place.longitude }),
        at: Some(point.at.into()),
    }
}
