//! Riders and maps on the official SDKs: fixes go up as calls and publications, positions come down.

use platepal_proto::v1;
use platepal_testkit::{Tier, eventually};
use serde_json::{Value, json};

use crate::{
    BINARY,
    client::{Client, Life, with_every_sdk},
};

/// Degrees between the places of two lives, so that each has cells of its own.
const APART: f64 = 1.0;

fn latitude(life: &Life<'_>) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let user = life.user as f64;
    user.mul_add(APART, -60.0)
}

fn fix(life: &Life<'_>, longitude: f64) -> Value {
    json!({ "latitude": latitude(life), "longitude": longitude, "accuracy": 6, "heading": 90, "speed": 5 })
}

/// A rider who is connected, and whose shift has begun.
async fn rider(life: &Life<'_>) -> Client {
    let request = v1::StartShiftRequest { rider_id: life.user.to_string(), at: None };
    life.tier.grpc().tracking().start_shift(request).await.unwrap();
    let client = life.client(&life.token().role("DELIVERY").sign()).await;
    client.connect().await;
    client.event("connected").await;
    client
}

/// Where the tier says that the rider is.
async fn longitude(life: &Life<'_>) -> Option<f64> {
    let request = v1::GetRiderRequest { rider_id: life.user.to_string() };
    let rider = life.tier.grpc().tracking().get_rider(request).await.ok()?.into_inner();
    rider.place.map(|place| place.longitude)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rider_reports_by_call_and_by_publication() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let rider = rider(life).await;
        let answer = rider.rpc("tracking.report", fix(life, 13.4)).await.unwrap();
        assert_eq!(answer["answers"].as_array().map(Vec::len), Some(1), "{life}: {answer}");
        let seen = longitude(life).await.unwrap();
        assert!((seen - 13.4).abs() < 0.001, "{life}: {seen}");
        let several = json!({ "fixes": [fix(life, 13.400_01), fix(life, 13.400_02)] });
        let answer = rider.rpc("tracking.report", several).await.unwrap();
        assert_eq!(answer["answers"].as_array().map(Vec::len), Some(2), "{life}: {answer}");
        let own = format!("rider:{}", life.user);
        rider.publish(&own, fix(life, 13.400_03)).await.unwrap();
        eventually("what was published is where the rider is", async || {
            longitude(life).await.is_some_and(|longitude| longitude > 13.4)
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rider_speaks_for_itself_alone_and_is_told_what_is_wrong() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let rider = rider(life).await;
        for data in [json!(7), json!({}), json!([])] {
            let refused = rider.rpc("tracking.report", data.clone()).await.unwrap_err();
            assert_eq!(refused.code, 107, "{life}: {data}: {refused:?}");
        }
        let others = format!("rider:{}", life.user + 500);
        let refused = rider.publish(&others, fix(life, 13.4)).await.unwrap_err();
        assert_eq!(refused.code, 103, "{life}: {refused:?}");
        let refused = rider.rpc("tracking.dance", json!({})).await.unwrap_err();
        assert_eq!(refused.code, 104, "{life}: {refused:?}");
        let refused = rider.rpc("tracking.accept_offer", json!({ "offer_id": "none" })).await.unwrap_err();
        assert!(matches!(refused.code, 103 | 107), "{life}: {refused:?}");
        // Nobody can tell a map what is not so.
        for channel in ["area:u33dc", "track:9"] {
            let refused = rider.publish(channel, json!({})).await.unwrap_err();
            assert!(matches!(refused.code, 103 | 108), "{life}: {channel}: {refused:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_followed_by_its_customer_and_by_whoever_has_the_link() {
    let tier = Tier::builder(BINARY)
        .set("REALTIME_SHARE_SECRET", "a secret for links of at least 32 bytes")
        .start()
        .await;
    with_every_sdk(&tier, async |life| {
        let rider = rider(life).await;
        let (delivery, customer) = (format!("d-{}", life.user), life.user + 100);
        let mut tracking = tier.grpc().tracking();
        let put = v1::Delivery {
            delivery_id: delivery.clone(),
            order_id: "5012".to_owned(),
            status: v1::DeliveryStatus::PickedUp.into(),
            customer_id: customer.to_string(),
            restaurant_id: "12".to_owned(),
            rider_id: life.user.to_string(),
            pickup: Some(v1::Place { latitude: latitude(life), longitude: 13.38 }),
            dropoff: Some(v1::Place { latitude: latitude(life), longitude: 13.42 }),
            version: 1,
            ..Default::default()
        };
        let put =
            v1::PutDeliveryRequest { event_id: String::new(), delivery: Some(put), channels: Vec::new() };
        tracking.put_delivery(put).await.unwrap();
        rider.rpc("tracking.report", fix(life, 13.4)).await.unwrap();
        let share = v1::ShareDeliveryRequest { delivery_id: delivery.clone(), valid_for: None };
        let link = tracking.share_delivery(share).await.unwrap().into_inner().token;
        let channel = format!("track:{delivery}");
        for token in [tier.token(customer).sign(), link.clone()] {
            let reader = life.client(&token).await;
            reader.connect().await;
            reader.subscribed(&channel).await;
            let seen = reader.event_of("publication", &channel).await;
            assert_eq!(seen["data"]["type"], "rider_location", "{life}: {seen}");
        }
        let guest = life.client(&link).await;
        guest.connect().await;
        guest.event("connected").await;
        assert_eq!(guest.rpc("tracking.report", fix(life, 13.4)).await.unwrap_err().code, 103, "{life}");
        assert_eq!(guest.publish(&channel, json!({})).await.unwrap_err().code, 103, "{life}");
        assert_eq!(guest.presence(&channel).await.unwrap_err().code, 103, "{life}");
        assert_eq!(guest.history("track:other", json!({})).await.unwrap_err().code, 103, "{life}");
    })
    .await;
}
