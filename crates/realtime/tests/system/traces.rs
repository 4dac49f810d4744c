//! One event can be followed from its publisher's call to a customer's socket.

use std::collections::HashMap;

use platepal_proto::v1::{self, tail_response::Item};
use platepal_testkit::{Role, Shape, Tier, eventually};
use serde_json::json;

use crate::{
    collector::{Collector, Span},
    publishing::{event, new_id, order_update},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn traceparent(trace: &str, sampled: bool) -> String {
    format!("00-{trace}-{CALLER}-0{}", u8::from(sampled))
}

fn with_traceparent<T>(message: T, traceparent: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    request
}

fn order_accepted() -> v1::PublishRequest {
    let payload = json!({ "id": 5012, "status": "ACCEPTED", "customer": 7, "restaurant": 12 });
    let event = v1::Event {
        event_id: new_id(),
        r#type: "order.accepted".to_owned(),
        payload: payload.to_string().into(),
        ..Default::default()
    };
    v1::PublishRequest { event: Some(event), channels: vec!["customer:7".into()] }
}

async fn start(shape: Shape, collector: &Collector, ratio: &str) -> Tier {
    Tier::builder(crate::BINARY)
        .shape(shape)
        .set("REALTIME_OTLP_ENDPOINT", collector.url())
        .set("REALTIME_TRACE_SAMPLE_RATIO", ratio)
        .set("REALTIME_TRACE_INTERVAL", "50ms")
        .start()
        .await
}

/// The names from a span up to the caller, the nearest first.
fn lineage<'a>(spans: &'a [Span], name: &str) -> Vec<&'a str> {
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    let mut names = Vec::new();
    let mut at = spans.iter().find(|span| span.name == name);
    while let Some(span) = at {
        names.push(span.name.as_str());
        assert!(names.len() < 20, "a span is its own ancestor: {spans:#?}");
        at = by_id.get(span.parent.as_str()).copied();
        if at.is_none() {
            assert_eq!(span.parent, CALLER, "the oldest is a child of the caller's: {spans:#?}");
        }
    }
    names
}

async fn an_event_through_its_domain(shape: Shape) {
    let collector = Collector::start().await;
    let mut tier = start(shape, &collector, "0").await;
    let mut socket = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
    let request = with_traceparent(order_accepted(), &traceparent(TRACE, true));
    tier.grpc().events().publish(request).await.expect("the event is kept");
    socket.json().await;

    let spans = collector.trace(TRACE, &["EventsService/Publish", "bus.append", "edge.write"]).await;
    assert_eq!(lineage(&spans, "edge.write"), ["edge.write", "publish", "EventsService/Publish"]);
    assert_eq!(
        lineage(&spans, "bus.append"),
        [
            "bus.append",
            "outbox.tell",
            "domain.publish",
            "DomainService/Publish",
            "call",
            "publish",
            "EventsService/Publish"
        ]
    );
    for span in &spans {
        assert!(span.start_nanos <= span.end_nanos && span.start_nanos > 0, "{span:?}");
        assert_eq!(span.resource["service.name"], "platepal-realtime");
        assert!(!span.resource["service.instance.id"].is_empty());
    }
    let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(of("publish").attributes["event.type"], "order.accepted");
    assert_eq!(of("publish").attributes["result"], "published");
    assert_eq!(of("EventsService/Publish").attributes["rpc.grpc.status_code"], "0");
    let [ours, theirs] = ["publish", "domain.publish"].map(|name| &of(name).resource);
    assert_eq!(
        ours["service.instance.id"] == theirs["service.instance.id"],
        shape == Shape::AllInOne,
        "each process has a name of its own"
    );
    if shape == Shape::Split {
        assert_eq!(of("edge.write").resource["platepal.roles"], "edge");
        assert_eq!(
            (ours["platepal.roles"].as_str(), theirs["platepal.roles"].as_str()),
            ("gateway", "orders")
        );
    }

    // What comes out of the bus leads back to the gateway's span: the edges go on from there.
    let ask = v1::TailRequest { channel: "customer:7".into(), after: None, retained: true };
    let mut items = tier.grpc().events().tail(ask).await.unwrap().into_inner();
    let Some(Item::Entry(entry)) = items.message().await.unwrap().unwrap().item else { panic!("no entry") };
    assert_eq!(entry.event.unwrap().traceparent, format!("00-{TRACE}-{}-01", of("publish").id));
    drop(items);

    // The last spans are sent before the process ends.
    let request = with_traceparent(order_accepted(), &traceparent(&TRACE.replace('4', "5"), true));
    tier.grpc().events().publish(request).await.expect("the event is kept");
    tier.terminate(Role::Gateway);
    tier.wait_ended(Role::Gateway).await;
    assert!(collector.spans().iter().any(|span| span.trace != TRACE && span.name == "EventsService/Publish"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_followed_through_its_domain_in_one_process() {
    an_event_through_its_domain(Shape::AllInOne).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_followed_through_its_domain_in_many_processes() {
    an_event_through_its_domain(Shape::Split).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_decide_what_is_recorded_and_an_event_may_name_a_trace_of_its_own() {
    let collector = Collector::start().await;
    let tier = start(Shape::AllInOne, &collector, "0").await;
    let mut events = tier.grpc().events();

    // Neither a caller that said no, nor one that said nothing, nor nonsense.
    let not_this = "a".repeat(32);
    events.publish(with_traceparent(order_accepted(), &traceparent(&not_this, false))).await.unwrap();
    events.publish(order_accepted()).await.unwrap();
    events.publish(with_traceparent(order_accepted(), "00-nonsense")).await.unwrap();

    // A relay sends events of many calls in one of its own; each goes on in the trace that it came from.
    let own = |trace: &str| {
        let mut event = event(&new_id(), &json!({}));
        event.traceparent = traceparent(trace, true);
        v1::PublishRequest { event: Some(event), channels: vec!["customer:7".into()] }
    };
    let batch = v1::PublishBatchRequest {
        events: vec![own(&"b".repeat(32)), own(&"c".repeat(32))],
        ..Default::default()
    };
    let relay = "d".repeat(32);
    events.publish_batch(with_traceparent(batch, &traceparent(&relay, true))).await.unwrap();
    for trace in ["b".repeat(32), "c".repeat(32)] {
        let spans = collector.trace(&trace, &["publish", "bus.append"]).await;
        assert_eq!(lineage(&spans, "bus.append"), ["bus.append", "publish"]);
    }
    collector.trace(&relay, &["EventsService/PublishBatch"]).await;

    // An order goes past the gateway's own code, by name.
    let trace = "e".repeat(32);
    let update = order_update(1, v1::OrderStatus::Pending, 1);
    let request = v1::PublishOrderRequest { update: Some(update), channels: Vec::new() };
    tier.grpc().orders().publish_order(with_traceparent(request, &traceparent(&trace, true))).await.unwrap();
    let spans = collector.trace(&trace, &["OrdersService/PublishOrder", "bus.append"]).await;
    let lineage = lineage(&spans, "bus.append");
    assert_eq!(
        lineage.iter().filter(|name| **name == "OrdersService/PublishOrder").count(),
        2,
        "{lineage:?}"
    );

    let known = [relay, "b".repeat(32), "c".repeat(32), trace];
    let others: Vec<Span> =
        collector.spans().into_iter().filter(|span| !known.contains(&span.trace)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ratio_of_one_records_calls_of_callers_that_say_nothing() {
    let collector = Collector::start().await;
    let tier = start(Shape::AllInOne, &collector, "1").await;
    tier.grpc().events().publish(order_accepted()).await.unwrap();
    eventually("the call is recorded", || async {
        collector.spans().iter().any(|span| span.name == "EventsService/Publish" && span.parent.is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_a_callers_context_still_reaches_the_event() {
    let tier = Tier::all_in_one(crate::BINARY).await;
    for sampled in [true, false] {
        let traceparent = traceparent(TRACE, sampled);
        let sent = order_accepted();
        let id = sent.event.clone().unwrap().event_id;
        tier.grpc().events().publish(with_traceparent(sent, &traceparent)).await.unwrap();
        let read = v1::ReadRequest { channel: "customer:7".into(), after: None, limit: 0 };
        let entries = tier.grpc().events().read(read).await.unwrap().into_inner().entries;
        let events = entries.into_iter().filter_map(|entry| entry.event);
        let kept: Vec<String> =
            events.filter(|event| event.event_id == id).map(|event| event.traceparent).collect();
        assert_eq!(kept, [traceparent]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_nobody_anything_and_is_counted() {
    let tier = Tier::builder(crate::BINARY)
        .set("REALTIME_OTLP_ENDPOINT", format!("http://{}", platepal_testkit::ports::free_address()))
        .set("REALTIME_TRACE_SAMPLE_RATIO", "1")
        .set("REALTIME_TRACE_INTERVAL", "50ms")
        .start()
        .await;
    for _ in 0..20 {
        tier.grpc().events().publish(order_accepted()).await.expect("the event is kept");
    }
    eventually("lost spans are counted", || async {
        tier.metrics(Role::Gateway).await.contains("realtime_trace_spans_total{result=\"failed\"}")
    })
    .await;
    assert!(tier.logs(Role::Gateway).contains("the collector does not take spans"));
}
