//! `EdgeService`: what the gateway and other edges ask of this one.

use std::sync::Arc;

use platepal_proto::v1::{
    self,
    edge_service_server::{EdgeService, EdgeServiceServer},
};
use platepal_service::{
    Parts, RoleError,
    grpc::{Door, Server},
};
use tonic::{Request, Response, Status};

use crate::Edge;

/// Answers about this edge alone.
struct Answers(Arc<Edge>);

/// Serves at these doors; returns when it is listening.
pub(crate) async fn serve(edge: &Arc<Edge>, parts: &Parts, doors: Vec<Door>) -> Result<(), RoleError> {
    let bytes_max = parts.settings.grpc_message_bytes.0;
    let service = EdgeServiceServer::new(Answers(Arc::clone(edge)))
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(bytes_max);
    Server::new("edge", parts).with_service(service).serve(doors, None::<tonic::service::Routes>).await
}

#[tonic::async_trait]
impl EdgeService for Answers {
    async fn connected(
        &self,
        request: Request<v1::ConnectedRequest>,
    ) -> Result<Response<v1::ConnectedHereResponse>, Status> {
        Ok(Response::new(self.0.connected_here(request.get_ref())))
    }

    async fn channels(
        &self,
        request: Request<v1::ChannelsRequest>,
    ) -> Result<Response<v1::ChannelsResponse>, Status> {
        Ok(Response::new(self.0.channels_here(request.get_ref())))
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        Ok(Response::new(v1::StatusResponse { edge: Some(self.0.status_here()) }))
    }

    async fn journey(
        &self,
        request: Request<v1::JourneyRequest>,
    ) -> Result<Response<v1::JourneyResponse>, Status> {
        Ok(Response::new(v1::JourneyResponse { journey: self.0.journey_here(request.get_ref()) }))
    }

    async fn emulate(
        &self,
        request: Request<v1::EmulateRequest>,
    ) -> Result<Response<v1::EmulateResponse>, Status> {
        let v1::EmulateRequest { session, data } = request.into_inner();
        let sent = self.0.streams.send(&session, data).await;
        sent.map_err(|_| Status::not_found("this edge has no such session"))?;
        Ok(Response::new(v1::EmulateResponse {}))
    }
}
