//! The gateway as a backend sees it: keys, limits, batches, errors, reading and tailing.

use std::time::Duration;

use platepal_proto::v1::{self, publish_result::Result as Answer, tail_response::Item};
use platepal_testkit::{Role, Shape, Tier};
use serde_json::json;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    both_shapes,
    publishing::{event, new_id, order_update, publish, publish_numbered, publish_order, try_publish},
};

both_shapes! {
    async fn without_a_key_only_health_answers(tier: Tier) {
        let keyless = tier.grpc_without_key();
        let status = try_publish(&keyless, event(&new_id(), &json!({})), &["customer:7"]).await.expect_err("no key");
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        let status = publish_order(&keyless, order_update(1, v1::OrderStatus::Pending, 1)).await.expect_err("no key");
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        let wrong = platepal_testkit::Clients::new(&tier.grpc_url(platepal_testkit::Role::Gateway), Some("a-key-that-nobody-gave-out"));
        let status = try_publish(&wrong, event(&new_id(), &json!({})), &["customer:7"]).await.expect_err("wrong key");
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        let health = HealthClient::new(keyless.channel()).check(HealthCheckRequest { service: String::new() }).await;
        assert_eq!(health.expect("health is open").into_inner().status, 1);
    }
}

both_shapes! {
    async fn a_repeat_with_the_same_id_changes_nothing_and_says_so(tier: Tier) {
        let event = event(&new_id(), &json!({ "a": 1 }));
        let first = publish(&tier.grpc(), event.clone(), &["customer:7", "restaurant_12", "admin"]).await;
        assert_eq!(first.outcome(), v1::Outcome::Published);
        let again = publish(&tier.grpc(), event, &["customer:7", "restaurant_12", "admin"]).await;
        assert_eq!(again.outcome(), v1::Outcome::Duplicate);
        for (before, after) in first.kept.iter().zip(&again.kept) {
            assert_eq!((&before.channel, &before.position), (&after.channel, &after.position));
            assert!(!before.duplicate && after.duplicate);
        }
    }
}

both_shapes! {
    async fn each_event_of_a_batch_is_answered_and_a_bad_one_costs_the_others_nothing(tier: Tier) {
        let good = |channels: &[&str]| v1::PublishRequest {
            event: Some(event(&new_id(), &json!({}))),
            channels: channels.iter().map(|name| (*name).to_owned()).collect(),
        };
        let with = |change: &dyn Fn(&mut v1::PublishRequest)| {
            let mut request = good(&["customer:7"]);
            change(&mut request);
            request
        };
        let bad: [(v1::PublishRequest, &str); 8] = [
            (with(&|r| r.event = None), "event"),
            (with(&|r| r.event.as_mut().unwrap().event_id = "a b".into()), "event.event_id"),
            (with(&|r| r.event.as_mut().unwrap().r#type = "Order Accepted".into()), "event.type"),
            (with(&|r| r.event.as_mut().unwrap().payload = "{".into()), "event.payload"),
            (with(&|r| r.event.as_mut().unwrap().payload = vec![b' '; 65 * 1024].into()), "event.payload"),
            (with(&|r| r.channels = vec![]), "channels"),
            (with(&|r| r.channels = vec!["customer:7".into(), "kitchen:1".into()]), "channels[1]"),
            (with(&|r| r.channels = (0..101).map(|id| format!("customer:{id}")).collect()), "channels"),
        ];
        let mut events = Vec::new();
        for (request, _) in &bad {
            events.push(request.clone());
            events.push(good(&["customer:7"]));
        }
        let results = tier.grpc().events().publish_batch(v1::PublishBatchRequest { events, ..Default::default() }).await.unwrap().into_inner().results;
        assert_eq!(results.len(), 2 * bad.len());
        for (pair, (_, field)) in results.chunks(2).zip(&bad) {
            let Some(Answer::Problem(problem)) = &pair[0].result else { panic!("{field}: {:?}", pair[0]) };
            assert_eq!((problem.code, problem.field.as_str()), (Code::InvalidArgument as i32, *field));
            assert!(!problem.reason.is_empty());
            assert!(matches!(pair[1].result, Some(Answer::Kept(_))), "{:?}", pair[1]);
        }
    }
}

both_shapes! {
    async fn a_full_batch_keeps_the_order_of_each_channel(tier: Tier) {
        let request = |number: u64| v1::PublishRequest {
            event: Some(event(&new_id(), &json!({ "number": number }))),
            channels: vec![format!("customer:{}", number % 3)],
        };
        let events: Vec<_> = (0..500).map(request).collect();
        let too_many = v1::PublishBatchRequest { events: (0..501).map(request).collect(), ..Default::default() };
        let expected: Vec<String> = events.iter().filter(|r| r.channels[0] == "customer:1")
            .map(|r| r.event.clone().unwrap().event_id).collect();
        let mut clients = tier.grpc().events();
        let answers = clients.publish_batch(v1::PublishBatchRequest { events, ..Default::default() }).await.unwrap().into_inner().results;
        assert!(answers.iter().all(|answer| matches!(answer.result, Some(Answer::Kept(_)))));
        let read = v1::ReadRequest { channel: "customer:1".into(), after: None, limit: 1000 };
        let kept: Vec<String> = clients.read(read).await.unwrap().into_inner().entries.into_iter()
            .map(|entry| entry.event.unwrap().event_id).collect();
        assert_eq!(kept, expected);
        let status = clients.publish_batch(too_many).await.expect_err("501 events");
        assert!(status.message().contains("500"), "{status}");
    }
}

both_shapes! {
    async fn a_domains_own_service_answers_on_the_gateways_address(tier: Tier) {
        publish_order(&tier.grpc(), order_update(5012, v1::OrderStatus::Pending, 1)).await.unwrap();
        let order = tier.grpc().orders().get_order(v1::GetOrderRequest { order_id: "5012".into() }).await;
        assert_eq!(order.unwrap().into_inner().order.unwrap().status(), v1::OrderStatus::Pending);
        let status = tier.grpc().orders().get_order(v1::GetOrderRequest { order_id: "1".into() }).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
    }
}

both_shapes! {
    async fn reflection_lists_the_public_services(tier: Tier) {
        let key = tier.grpc().key();
        let mut client = ServerReflectionClient::with_interceptor(tier.grpc().channel(), key);
        let ask = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut answers = client.server_reflection_info(tokio_stream::iter([ask])).await.unwrap().into_inner();
        let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response
        else { panic!("no list") };
        let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
        for name in ["EventsService", "OrdersService", "SessionsService"] {
            assert!(names.contains(&format!("platepal.realtime.v1.{name}")), "{names:?}");
        }
    }
}

both_shapes! {
    async fn a_tail_starts_where_it_is_told_and_goes_on_live(tier: Tier) {
        let clients = tier.grpc();
        let before = publish_numbered(&clients, "customer:7", 0..5).await;
        let ask = v1::TailRequest { channel: "customer_7".into(), after: None, retained: true };
        let mut items = clients.events().tail(ask).await.unwrap().into_inner();
        let mut previous = 0;
        let mut last_position = None;
        for id in &before {
            let Some(Item::Entry(entry)) = items.message().await.unwrap().unwrap().item else { panic!("no entry") };
            assert_eq!(&entry.event.unwrap().event_id, id);
            assert_eq!(entry.previous_offset, previous);
            previous = entry.position.as_ref().unwrap().offset;
            last_position = entry.position;
        }
        let after = publish_numbered(&clients, "customer:7", 5..8).await;
        for id in &after {
            let Some(Item::Entry(entry)) = items.message().await.unwrap().unwrap().item else { panic!("no entry") };
            assert_eq!(&entry.event.unwrap().event_id, id);
        }
        let ask = v1::TailRequest { channel: "customer:7".into(), after: last_position, retained: false };
        let mut resumed = clients.events().tail(ask).await.unwrap().into_inner();
        let Some(Item::Entry(entry)) = resumed.message().await.unwrap().unwrap().item else { panic!("no entry") };
        assert_eq!(entry.event.unwrap().event_id, after[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_is_away_is_unavailable_within_the_callers_deadline() {
    let mut tier = Tier::builder(crate::BINARY)
        .shape(Shape::Split)
        .set("REALTIME_BUS_REQUEST_TIMEOUT", "1s")
        .start()
        .await;
    tier.nats().kill();
    let mut request = tonic::Request::new(v1::PublishRequest {
        event: Some(event(&new_id(), &json!({}))),
        channels: vec!["customer:7".into()],
    });
    request.set_timeout(Duration::from_secs(8));
    let status = tier.grpc().events().publish(request).await.expect_err("no bus");
    assert!(matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded), "{status}");
    assert!(status.message().contains("same event id"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordered_batch_keeps_back_what_comes_after_a_failure_in_the_same_channel() {
    let mut tier =
        Tier::builder(crate::BINARY).shape(Shape::Split).set("REALTIME_GRPC_TIMEOUT", "2s").start().await;
    tier.kill(Role::ORDERS);
    let request = |kind: &str, channel: &str| v1::PublishRequest {
        event: Some(v1::Event { r#type: kind.into(), ..event(&new_id(), &json!({})) }),
        channels: vec![channel.to_owned()],
    };
    let later = vec![
        request("system_alert", "customer:7"),
        request("order.updated", "customer:7"),
        request("system_alert", "customer:7"),
        request("system_alert", "customer:8"),
    ];
    // The form is wrong: a value has a key.
    let wrong = [vec![request("menu_item", "customer:8")], later.clone()].concat();
    let aborted = Some(Code::Aborted);
    for (events, ordered, expected) in [
        (&later, true, vec![None, Some(Code::Unavailable), aborted, None]),
        (&later, false, vec![None, Some(Code::Unavailable), None, None]),
        (&wrong, true, vec![Some(Code::InvalidArgument), None, Some(Code::Unavailable), aborted, aborted]),
        (&wrong, false, vec![Some(Code::InvalidArgument), None, Some(Code::Unavailable), None, None]),
    ] {
        let batch = v1::PublishBatchRequest { events: events.clone(), ordered };
        let results = tier.grpc().events().publish_batch(batch).await.unwrap().into_inner().results;
        let codes: Vec<Option<Code>> = results
            .into_iter()
            .map(|result| match result.result.unwrap() {
                Answer::Kept(_) => None,
                Answer::Problem(problem) => Some(Code::from_i32(problem.code)),
            })
            .collect();
        assert_eq!(codes, expected, "ordered: {ordered}");
    }
}
