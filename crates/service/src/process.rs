//! What a process says of itself: roles, readiness, what it counts, its settings. For the operators' console.

use std::sync::Arc;

use platepal_events::Timestamp;
use platepal_proto::v1::{
    self,
    process_service_server::{ProcessService, ProcessServiceServer},
};
use platepal_settings::Effective;
use tonic::{Request, Response, Status};

use crate::{Metrics, Parts, Readiness, Shutdown};

/// What does not change while a process runs.
#[derive(Clone)]
pub struct Process {
    /// Different for every process.
    pub id: u64,
    /// What it runs.
    pub roles: Vec<String>,
    /// Since when.
    pub started_at: Timestamp,
    /// What it runs with.
    pub settings: Vec<Effective>,
    /// What it counts; `None`: nobody counts here.
    pub metrics: Option<Metrics>,
}

impl Process {
    /// Of a test.
    pub fn unknown() -> Self {
        let started_at = Timestamp::from_micros(0);
        Self { id: 0, roles: Vec::new(), started_at, settings: Vec::new(), metrics: None }
    }
}

/// Answers for this process.
#[derive(Clone)]
pub struct Answers {
    process: Arc<Process>,
    readiness: Readiness,
    shutdown: Shutdown,
}

impl Answers {
    /// Of the process that has these parts.
    pub fn of(parts: &Parts) -> Self {
        let (readiness, shutdown) = (parts.readiness.clone(), parts.shutdown.clone());
        Self { process: Arc::clone(&parts.process), readiness, shutdown }
    }

    /// As a service.
    pub(crate) fn service(parts: &Parts) -> ProcessServiceServer<Self> {
        let bytes_max = parts.settings.grpc_message_bytes.0;
        ProcessServiceServer::new(Self::of(parts)).max_encoding_message_size(bytes_max)
    }

    /// What it says.
    pub fn describe(&self, request: v1::DescribeRequest) -> v1::DescribeResponse {
        let Process { id, roles, started_at, settings, metrics } = &*self.process;
        let metrics = metrics.as_ref().filter(|_| request.metrics);
        let settings = settings.iter().filter(|_| request.settings).map(|own| v1::Setting {
            name: own.name.to_owned(),
            value: own.value.clone(),
            source: own.source.to_owned(),
        });
        v1::DescribeResponse {
            process_id: format!("{id:016x}"),
            roles: roles.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Some((*started_at).into()),
            missing: self.readiness.closed().into_iter().collect(),
            draining: self.shutdown.is_told(),
            metrics: metrics.map(Metrics::render).unwrap_or_default(),
            settings: settings.collect(),
        }
    }
}

#[tonic::async_trait]
impl ProcessService for Answers {
    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Ok(Response::new(Answers::describe(self, request.into_inner())))
    }
}
