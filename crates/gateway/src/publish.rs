//! Publishing one event: check its form, find the owner of its type, and answer when it is kept.

use std::{sync::Arc, time::Instant};

use platepal_bus::Bus;
use platepal_events::{CHANNELS_PER_EVENT_MAX, Channel, Domain, Event};
use platepal_proto::v1;
use platepal_service::{
    Clock, Parts,
    domain::tell,
    grpc::{Links, invalid},
    trace,
};
use tonic::{Code, Status};
use tracing::Instrument;

use crate::Settings;

/// Publishes events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Publisher {
    bus: Arc<dyn Bus>,
    links: Links,
    clock: Clock,
    message_bytes_max: usize,
    pub(crate) batch_concurrency: usize,
}

/// An event whose form is right.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) event: Event,
    pub(crate) channels: Vec<Channel>,
}

impl Publisher {
    pub(crate) fn new(settings: &Settings, parts: &Parts) -> Self {
        metrics::describe_counter!("realtime_gateway_events_total", "Events that backends sent, by result.");
        metrics::describe_histogram!(
            "realtime_gateway_publish_seconds",
            metrics::Unit::Seconds,
            "From an event's arrival to its answer."
        );
        Self {
            bus: parts.bus.clone(),
            links: parts.links.clone(),
            clock: parts.clock,
            message_bytes_max: parts.settings.grpc_message_bytes.0,
            batch_concurrency: settings.batch_concurrency.max(1),
        }
    }

    /// Checks the form of an event and the names of its channels; the status says which field is wrong, and why.
    pub(crate) fn check(&self, event: Option<v1::Event>, names: &[String]) -> Result<Checked, Status> {
        let event = event.ok_or_else(|| invalid("event", "must be set"))?;
        let event = Event::parse(event, self.clock.now())
            .map_err(|why| invalid(&format!("event.{}", why.field()), why))?;
        let count = names.len();
        if count == 0 {
            return Err(invalid("channels", "name at least one channel, e.g. customer:7"));
        }
        if count > CHANNELS_PER_EVENT_MAX {
            return Err(invalid(
                "channels",
                format!("{count} channels, the limit is {CHANNELS_PER_EVENT_MAX}"),
            ));
        }
        let mut channels = Vec::with_capacity(count);
        for (index, name) in names.iter().enumerate() {
            let channel: Channel = name.parse().map_err(|why| invalid(&format!("channels[{index}]"), why))?;
            // `customer:7` and `customer_7` are one channel, told once.
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        Ok(Checked { event, channels })
    }

    /// Publishes a checked event: through the domain that owns its type, or straight to the bus.
    pub(crate) async fn publish(&self, checked: Checked) -> Result<v1::PublishResponse, Status> {
        let Checked { event, channels } = &checked;
        let span = tracing::debug_span!(
            "publish",
            event.id = %event.id,
            event.r#type = %event.kind,
            channels = channels.len(),
            result = tracing::field::Empty
        );
        trace::follow(&span, &event.traceparent);
        self.publish_traced(checked).instrument(span).await
    }

    async fn publish_traced(&self, mut checked: Checked) -> Result<v1::PublishResponse, Status> {
        let started = Instant::now();
        if let Some(traceparent) = trace::recorded() {
            // What happens to the event from here on hangs below this span.
            checked.event.traceparent = traceparent.into();
        }
        let owner = checked.event.kind.owner();
        let result = match owner {
            Some(domain) => self.through_domain(domain, checked).await,
            None => tell(&*self.bus, &checked.event, &checked.channels).await,
        };
        let word = match &result {
            Ok(response) => match response.outcome() {
                v1::Outcome::Duplicate => "duplicate",
                v1::Outcome::Superseded => "superseded",
                v1::Outcome::Conflict => "conflict",
                v1::Outcome::Published | v1::Outcome::Unspecified => "published",
            },
            Err(status) if status.code() == Code::InvalidArgument => "invalid",
            Err(_) => "failed",
        };
        tracing::Span::current().record("result", word);
        metrics::counter!("realtime_gateway_events_total", "owner" => owner.map_or("none", Domain::word), "result" => word)
            .increment(1);
        metrics::histogram!("realtime_gateway_publish_seconds").record(started.elapsed().as_secs_f64());
        result
    }

    async fn through_domain(&self, domain: Domain, checked: Checked) -> Result<v1::PublishResponse, Status> {
        let link = self.links.get(domain).ok_or_else(|| no_link(domain))?;
        let request = v1::PublishRequest {
            event: Some(v1::Event::from(&checked.event)),
            channels: checked.channels.iter().map(ToString::to_string).collect(),
        };
        let mut domain_client = link.domain(self.message_bytes_max);
        let span = tracing::debug_span!("call", otel.kind = "client", domain = domain.word());
        domain_client.publish(request).instrument(span).await.map(tonic::Response::into_inner)
    }
}

/// This process was not told where a domain is.
pub(crate) fn no_link(domain: Domain) -> Status {
    Status::unavailable(format!(
        "this gateway was not told where the {0} domain is: set REALTIME_{1}_URL",
        domain.word(),
        domain.word().to_uppercase()
    ))
}
