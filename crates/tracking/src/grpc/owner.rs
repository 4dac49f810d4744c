//! What other replicas ask of the one that follows a rider.

use async_trait::async_trait;
use platepal_proto::v1::{self, rider_owner_service_server::RiderOwnerService};
use tonic::{Request, Response, Status};

use super::{Tracking, fixes::no_shift};

#[async_trait]
impl RiderOwnerService for Tracking {
    async fn take(
        &self,
        request: Request<v1::ReportFixesRequest>,
    ) -> Result<Response<v1::ReportFixesResponse>, Status> {
        let v1::ReportFixesRequest { rider_id, fixes } = request.into_inner();
        let answers = self.riders.take_here(&rider_id, &fixes).await.map_err(|why| why.status())?;
        Ok(Response::new(v1::ReportFixesResponse { answers }))
    }

    async fn reload(
        &self,
        request: Request<v1::ReloadRiderRequest>,
    ) -> Result<Response<v1::ReloadRiderResponse>, Status> {
        self.riders.reload_here(&request.into_inner().rider_id).await.map_err(|why| why.status())?;
        Ok(Response::new(v1::ReloadRiderResponse {}))
    }

    async fn r#where(
        &self,
        request: Request<v1::GetRiderRequest>,
    ) -> Result<Response<v1::GetRiderResponse>, Status> {
        let rider_id = request.into_inner().rider_id;
        let whereabouts = self.riders.whereabouts_here(&rider_id).await.map_err(|why| why.status())?;
        whereabouts.map(Response::new).ok_or_else(|| no_shift(&rider_id))
    }
}
