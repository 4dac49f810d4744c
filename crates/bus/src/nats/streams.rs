//! The streams of a partition: how they are made, checked and asked.

use std::collections::HashMap;

use async_nats::{
    Client,
    jetstream::{
        self, ErrorCode,
        context::CreateStreamErrorKind,
        stream::{Config, DiscardPolicy, Republish, StorageType},
    },
};
use serde::Deserialize;
use serde_json::json;

use super::{
    connect::{unanswered, unavailable},
    epochs::Partition,
    subjects::{LATEST, LATEST_TOLD, LOG, LOG_TOLD},
};
use crate::{BusError, Settings};

/// In a stream's metadata: over how many partitions channels were spread when it was made.
const PARTITIONS: &str = "platepal_partitions";

/// Makes or checks both streams of a partition.
pub(super) async fn open(
    context: &jetstream::Context,
    number: u16,
    settings: &Settings,
) -> Result<Partition, BusError> {
    let (log, latest) = (log_config(number, settings), latest_config(number, settings));
    let client = context.client();
    for config in [&log, &latest] {
        ensure(context, config, settings).await?;
    }
    let log_state = state(&client, &log.name, None).await?;
    let latest_state = state(&client, &latest.name, None).await?;
    Ok(Partition::new(number, log.name, latest.name, &log_state, &latest_state))
}

async fn ensure(context: &jetstream::Context, config: &Config, settings: &Settings) -> Result<(), BusError> {
    let found = match context.get_stream(&config.name).await {
        Ok(stream) => Some(stream.cached_info().config.clone()),
        Err(why) => match why.kind() {
            jetstream::context::GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                None
            }
            _ => return Err(unavailable(why)),
        },
    };
    let Some(found) = found else {
        return match context.create_stream(config.clone()).await {
            Ok(_) => Ok(()),
            Err(why) => Err(not_made(config, why)),
        };
    };
    match found.metadata.get(PARTITIONS) {
        Some(text) if *text == settings.partitions.max(1).to_string() => {}
        Some(text) => {
            return Err(BusError::Mismatch(format!(
                "the stream {} was made for {text} partitions, REALTIME_BUS_PARTITIONS is {}; channels would be looked \
                 for in the wrong stream. Set it to {text}, or delete the RT_ streams (readers then take a snapshot)",
                config.name, settings.partitions
            )));
        }
        None => {
            return Err(BusError::Mismatch(format!(
                "there is a stream {} that was not made by this tier; use another NATS account",
                config.name
            )));
        }
    }
    let differs = found.max_age != config.max_age
        || found.max_messages_per_subject != config.max_messages_per_subject
        || found.duplicate_window != config.duplicate_window
        || found.num_replicas != config.num_replicas
        || found.republish != config.republish;
    if differs {
        tracing::info!(stream = config.name, "the stream is changed to fit the settings");
        let changed = Config { storage: found.storage, ..config.clone() };
        context.update_stream(&changed).await.map_err(|why| not_made(config, why))?;
    }
    Ok(())
}

fn not_made(config: &Config, why: jetstream::context::CreateStreamError) -> BusError {
    match why.kind() {
        CreateStreamErrorKind::JetStream(_) => BusError::Mismatch(format!(
            "NATS does not make the stream {} as the settings say: {why}",
            config.name
        )),
        _ => unavailable(why),
    }
}

pub(super) fn log_name(partition: u16) -> String {
    format!("RT_EV_{partition}")
}

pub(super) fn latest_name(partition: u16) -> String {
    format!("RT_LATEST_{partition}")
}

fn log_config(number: u16, settings: &Settings) -> Config {
    Config {
        name: log_name(number),
        description: Some("Events of PlatePal's channels".into()),
        max_messages_per_subject: i64::from(settings.retention_events.max(1)),
        ..config(number, settings, LOG, LOG_TOLD)
    }
}

/// On disk as well: in memory its sequence would start again with the server, and what grows would shrink.
fn latest_config(number: u16, settings: &Settings) -> Config {
    Config {
        name: latest_name(number),
        description: Some("Newest values of PlatePal's channels".into()),
        max_messages_per_subject: 1,
        ..config(number, settings, LATEST, LATEST_TOLD)
    }
}

fn config(number: u16, settings: &Settings, subjects: &str, told: &str) -> Config {
    Config {
        subjects: vec![format!("{subjects}.{number}.>")],
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        allow_direct: true,
        republish: Some(Republish {
            source: format!("{subjects}.{number}.>"),
            destination: format!("{told}.{number}.>"),
            headers_only: false,
        }),
        max_age: settings.retention_age,
        // NATS refuses a window longer than the age.
        duplicate_window: settings.duplicate_window.min(settings.retention_age),
        num_replicas: usize::from(settings.replicas.max(1)),
        metadata: HashMap::from([(PARTITIONS.to_owned(), settings.partitions.max(1).to_string())]),
        ..Config::default()
    }
}

/// What a stream says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub created: String,
    pub state: Sequences,
}

/// Its first and last message, and how many are under the subjects that were asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Sequences {
    pub first_seq: u64,
    pub last_seq: u64,
    #[serde(default)]
    pub subjects: HashMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    State(State),
    Error { error: Failure },
}

#[derive(Deserialize)]
struct Failure {
    code: u16,
    description: String,
}

/// Asks a stream's leader.
pub(super) async fn state(client: &Client, stream: &str, subject: Option<&str>) -> Result<State, BusError> {
    let question = subject.map_or(json!({}), |subject| json!({ "subjects_filter": subject })).to_string();
    let message =
        client.request(format!("$JS.API.STREAM.INFO.{stream}"), question.into()).await.map_err(unanswered)?;
    match serde_json::from_slice(&message.payload).map_err(unavailable)? {
        Answer::State(state) => Ok(state),
        Answer::Error { error } if error.code == 404 => {
            Err(BusError::Unavailable(format!("NATS has no stream {stream}; it is made again in a moment")))
        }
        Answer::Error { error } => Err(unavailable(error.description)),
    }
}
