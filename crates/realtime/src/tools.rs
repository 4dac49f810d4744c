//! Commands for trying things from a terminal. They talk to a running tier as Django does: over gRPC.

pub(crate) mod doctor;
pub(crate) mod metrics;
pub(crate) mod publish;
pub(crate) mod replay_trace;
pub(crate) mod settings;
pub(crate) mod tail;
pub(crate) mod token;
pub(crate) mod vapid;

use std::time::Duration;

use anyhow::Context;
use platepal_auth::{ApiKeys, KeySettings};
use platepal_service::grpc::AttachKey;
use platepal_settings::Reader;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};

use crate::{cli, demo};

/// How long a tool waits for the gateway.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The environment, completed by what a demo on this machine generated.
fn environment() -> Reader {
    let mut reader = Reader::from_env();
    demo::secrets::offer(&mut reader);
    reader
}

/// A connection to the gateway, with the first API key.
async fn connect(gateway: &cli::Gateway) -> anyhow::Result<InterceptedService<Channel, AttachKey>> {
    let mut reader = environment();
    let service = reader.read::<platepal_service::Settings>();
    let keys = reader.read::<KeySettings>();
    let (Some(service), Some(keys)) = (service, keys) else {
        let known: Vec<_> = [platepal_service::Settings::SPECS, KeySettings::SPECS].concat();
        reader.finish(&known)?;
        anyhow::bail!("the settings can't be read");
    };
    let url = gateway.gateway.clone().unwrap_or_else(|| format!("http://{}", service.grpc_addr));
    let channel = Endpoint::from_shared(url.clone())
        .with_context(|| format!("{url} is not an address"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .connect()
        .await
        .with_context(|| format!("no gateway answers at {url}; is the tier running?"))?;
    let keys = ApiKeys::new(&keys).map_err(|why| anyhow::anyhow!("{why}"))?;
    Ok(InterceptedService::new(channel, AttachKey::new(keys.first())))
}

/// A refusal of the gateway, as a sentence.
fn refused(status: &tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("the gateway answered {:?}: {}", status.code(), status.message())
}
