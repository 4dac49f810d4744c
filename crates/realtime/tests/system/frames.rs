//! From a publish to a frame, byte for byte.

use platepal_proto::v1;

use crate::{both_shapes, publishing::publish};

const ID: &str = "0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11";

fn fixed(kind: &str, payload: &str) -> v1::Event {
    v1::Event {
        event_id: ID.to_owned(),
        r#type: kind.to_owned(),
        payload: payload.to_owned().into(),
        timestamp: Some(prost_types::Timestamp { seconds: 1_795_519_800, nanos: 123_456_000 }),
        ..Default::default()
    }
}

both_shapes! {
    async fn a_payload_arrives_byte_for_byte_under_its_underscored_type(tier: Tier) {
        let mut socket = tier.connect("/ws/customer/7/", &tier.token(7)).open().await;
        // White space, escapes, an integer too large for a double, a repeated key: none of our business.
        let payload = "{\"id\":  5012, \"note\":\"\\u00e9 – ü \\/ \\n\",\"big\":12345678901234567890123,\"a\":1,\"a\":2}";
        publish(&tier.grpc(), fixed("promo.published", payload), &["customer_7"]).await;
        insta::assert_snapshot!(socket.text().await, @r#"{"type":"promo_published","data":{"id":  5012, "note":"\u00e9 – ü \/ \n","big":12345678901234567890123,"a":1,"a":2},"event_id":"0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11","timestamp":"2026-11-24T11:30:00.123456+00:00","version":"1.0"}"#);
    }
}

both_shapes! {
    async fn an_event_of_the_broadcaster_keeps_its_shape_on_its_way_through_orders(tier: Tier) {
        let mut socket = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
        let payload = "{\"event_id\":\"0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11\",\"type\":\"order.accepted\",\"version\":\"1.0\",\"timestamp\":\"2026-11-24T11:30:00.123456+00:00\",\"aggregate_type\":\"order\",\"aggregate_id\":\"5012\",\"payload\":{\"id\": 5012, \"status\": \"ACCEPTED\"}}";
        publish(&tier.grpc(), fixed("order_accepted", payload), &["customer_7", "restaurant_12"]).await;
        insta::assert_snapshot!(socket.text().await, @r#"{"type":"order_accepted","data":{"event_id":"0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11","type":"order.accepted","version":"1.0","timestamp":"2026-11-24T11:30:00.123456+00:00","aggregate_type":"order","aggregate_id":"5012","payload":{"id": 5012, "status": "ACCEPTED"}},"event_id":"0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11","timestamp":"2026-11-24T11:30:00.123456+00:00","version":"1.0"}"#);
    }
}

both_shapes! {
    async fn every_path_in_both_spellings_is_the_feed_that_django_publishes_to(tier: Tier) {
        let token = tier.token(7).role("ADMIN").restaurants([12]);
        let feeds = [
            ("/ws/customer/7", "customer_7"),
            ("/ws/orders/12", "restaurant_12"),
            ("/ws/delivery/7", "delivery_7"),
            ("/ws/admin", "admin"),
            ("/ws/chat/88", "chat_room_88"),
        ];
        for (path, group) in feeds {
            for path in [path.to_owned(), format!("{path}/")] {
                let mut socket = tier.connect(&path, &token).open().await;
                let id = crate::publishing::new_id();
                let event = crate::publishing::event(&id, &serde_json::json!({ "path": path }));
                publish(&tier.grpc(), event, &[group]).await;
                let frame = socket.json().await;
                assert_eq!(frame["event_id"], id.as_str(), "{path}");
                assert_eq!(frame["data"]["path"], path.as_str());
            }
        }
    }
}

both_shapes! {
    async fn the_old_servers_names_reach_clients_under_the_names_that_they_know(tier: Tier) {
        let mut socket = tier.connect("/ws/delivery/31", &tier.token(31)).open().await;
        for (sent, seen) in [
            ("new_offer", "job_offer"),
            ("rider_assigned", "delivery_assigned"),
            ("offer.declined", "offer_declined"),
            ("something_nobody_knows", "something_nobody_knows"),
        ] {
            let event = v1::Event { r#type: sent.to_owned(), payload: "{}".into(), ..Default::default() };
            publish(&tier.grpc(), event, &["delivery_31"]).await;
            assert_eq!(socket.json().await["type"], seen);
        }
    }
}
