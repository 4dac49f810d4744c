//! Shifts, and a rider who is to be forgotten. The rider's owner knows of it before the call is answered.

use platepal_proto::v1;
use tonic::Status;

use super::{
    Tracking,
    deliveries::{id, moment},
    store_status,
};
use crate::rules::place::Place;

impl Tracking {
    pub(crate) async fn start_shift(
        &self,
        request: v1::StartShiftRequest,
    ) -> Result<v1::StartShiftResponse, Status> {
        let v1::StartShiftRequest { rider_id, at } = request;
        id("rider_id", &rider_id)?;
        let now = self.clock.now();
        let at = moment("at", at, now)?;
        let started = self.store.start_shift(&rider_id, at, now).await.map_err(store_status)?;
        // Also of a repeat: the first call may have ended before the owner knew.
        self.reload(&rider_id).await?;
        Ok(v1::StartShiftResponse { started_at: Some(started.started_at.into()), already: started.already })
    }

    pub(crate) async fn end_shift(
        &self,
        request: v1::EndShiftRequest,
    ) -> Result<v1::EndShiftResponse, Status> {
        let v1::EndShiftRequest { rider_id, at } = request;
        id("rider_id", &rider_id)?;
        let now = self.clock.now();
        let at = moment("at", at, now)?;
        let place = self.place_of(&rider_id).await;
        let ended = self.store.end_shift(&rider_id, at, now).await.map_err(store_status)?;
        self.reload(&rider_id).await?;
        // After the owner has stopped: what it kept last goes too.
        let ends: Vec<Place> = place.into_iter().collect();
        self.store.forget_ends(&rider_id, &ends).await.map_err(store_status)?;
        Ok(v1::EndShiftResponse { already: !ended })
    }

    /// Where a rider was seen last, as far as its owner can be asked.
    async fn place_of(&self, rider_id: &str) -> Option<Place> {
        if !self.riders.is_followed(rider_id).await.ok()? {
            return None;
        }
        let place = self.riders.whereabouts(rider_id).await.ok()??.place?;
        Some(Place { latitude: place.latitude, longitude: place.longitude })
    }

    /// Has the owner of a rider read it again.
    pub(super) async fn reload(&self, rider_id: &str) -> Result<(), Status> {
        self.riders.reload(rider_id).await.map_err(|why| {
            Status::unavailable(format!(
                "kept; the replica that follows rider {rider_id} does not know of it yet: repeat, which is \
                 harmless ({why})"
            ))
        })
    }
}
