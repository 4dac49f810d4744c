//! Riders on their sockets: a fix goes up, its answer comes down, and whoever may see it sees it.

use std::time::Duration;

use platepal_proto::v1::{self, DeliveryStatus};
use platepal_testkit::{Clients, Next, Socket};
use serde_json::{Value, json};

use crate::{both_shapes, publishing::new_id};

/// Where the delivery of these stories goes, in degrees; `u33db` and its neighbours lie around it.
const LATITUDE: f64 = 52.520;
const LONGITUDE: f64 = 13.400;

async fn start_shift(clients: &Clients, rider: u64) {
    let request = v1::StartShiftRequest { rider_id: rider.to_string(), at: None };
    clients.tracking().start_shift(request).await.unwrap();
}

/// A delivery of customer 7 from restaurant 12; `rider` is empty before one takes it.
async fn put(clients: &Clients, delivery_id: &str, status: DeliveryStatus, rider: &str) {
    let delivery = v1::Delivery {
        delivery_id: delivery_id.to_owned(),
        order_id: "5012".to_owned(),
        status: status.into(),
        customer_id: "7".to_owned(),
        restaurant_id: "12".to_owned(),
        rider_id: rider.to_owned(),
        pickup: Some(v1::Place { latitude: LATITUDE, longitude: LONGITUDE - 0.02 }),
        dropoff: Some(v1::Place { latitude: LATITUDE, longitude: LONGITUDE + 0.02 }),
        version: 1,
        ..Default::default()
    };
    let request =
        v1::PutDeliveryRequest { event_id: new_id(), delivery: Some(delivery), channels: Vec::new() };
    clients.tracking().put_delivery(request).await.unwrap();
}

fn fix(longitude: f64) -> Value {
    json!({ "latitude": LATITUDE, "longitude": longitude, "accuracy": 6, "heading": 90, "speed": 5 })
}

/// Sends a message, and gives its answer; events before it are passed over.
async fn ask(socket: &mut Socket, message: Value) -> Value {
    socket.send_json(&message).await;
    loop {
        let frame = socket.json().await;
        if frame["id"] == message["id"] {
            return frame;
        }
    }
}

/// What an event of our own says, in either of its shapes.
fn payload(frame: &Value) -> &Value {
    frame["data"].get("payload").unwrap_or(&frame["data"])
}

both_shapes! {
    async fn a_fix_from_the_riders_socket_is_answered_and_shown_to_the_customer(tier: Tier) {
        let clients = tier.grpc();
        start_shift(&clients, 31).await;
        put(&clients, "9", DeliveryStatus::PickedUp, "31").await;
        let mut rider = tier.connect("/ws/delivery/31", &tier.token(31)).open().await;
        let mut customer = tier.connect("/ws/track/9", &tier.token(7)).open().await;
        let answer = ask(&mut rider, json!({ "type": "location", "data": fix(LONGITUDE), "id": "a-1" })).await;
        assert_eq!(answer["type"], "location_result", "{answer}");
        let location = customer.json_of_type("rider_location").await;
        assert_eq!(payload(&location)["delivery_id"].to_string().trim_matches('"'), "9", "{location}");
        let place = &payload(&location)["location"];
        assert!((place["longitude"].as_f64().unwrap() - LONGITUDE).abs() < 0.001, "{location}");
        // Whoever comes later sees it at once, and nobody else sees it at all.
        let mut late = tier.connect("/ws/track/9", &tier.token(7)).open().await;
        assert_eq!(late.json().await["type"], "rider_location");
        let stranger = tier.connect("/ws/track/9", &tier.token(8)).open().await.closed().await;
        assert_eq!(stranger.0, 4003);
    }
}

both_shapes! {
    async fn what_a_phone_kept_while_it_was_offline_is_answered_fix_by_fix(tier: Tier) {
        let clients = tier.grpc();
        start_shift(&clients, 31).await;
        let mut rider = tier.connect("/ws/delivery/31", &tier.token(31)).open().await;
        let fixes: Vec<Value> = (0..50).map(|step| fix(LONGITUDE + f64::from(step) * 1e-5)).collect();
        let answer = ask(&mut rider, json!({ "type": "location", "data": { "fixes": fixes }, "id": 1 })).await;
        assert_eq!(answer["type"], "location_result", "{answer}");
        let answers = answer["data"]["answers"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(answers.len(), 50, "{answer}");
        // Twenty at once, without waiting, are answered in their order.
        for number in 100..110 {
            rider.send_json(&json!({ "type": "location", "data": fix(LONGITUDE), "id": number })).await;
        }
        for number in 100..110 {
            let answer = rider.json_of_type("location_result").await;
            assert_eq!(answer["id"], number, "{answer}");
        }
    }
}

both_shapes! {
    async fn what_can_not_be_a_fix_is_answered_with_words_and_the_rider_goes_on(tier: Tier) {
        let clients = tier.grpc();
        start_shift(&clients, 31).await;
        let mut rider = tier.connect("/ws/delivery/31", &tier.token(31)).open().await;
        for (number, data) in [json!(7), json!({}), json!({ "fixes": [] }), json!([])].into_iter().enumerate() {
            let answer = ask(&mut rider, json!({ "type": "location", "data": data, "id": number })).await;
            assert_eq!(answer["type"], "error", "{answer}");
            assert!(answer["message"].as_str().is_some_and(|words| words.len() > 10), "{answer}");
        }
        let unknown = ask(&mut rider, json!({ "type": "dance", "data": {}, "id": 9 })).await;
        assert_eq!(unknown["type"], "error", "{unknown}");
        let answer = ask(&mut rider, json!({ "type": "location", "data": fix(LONGITUDE), "id": 10 })).await;
        assert_eq!(answer["type"], "location_result", "{answer}");
        // A customer's feed takes none.
        let mut customer = tier.connect("/ws/customer/31", &tier.token(31)).open().await;
        let answer = ask(&mut customer, json!({ "type": "location", "data": fix(LONGITUDE), "id": 1 })).await;
        assert_eq!(answer["type"], "error", "{answer}");
    }
}

both_shapes! {
    async fn an_offer_is_taken_and_another_declined_over_the_riders_socket(tier: Tier) {
        let clients = tier.grpc();
        start_shift(&clients, 31).await;
        put(&clients, "9", DeliveryStatus::Pending, "").await;
        let mut rider = tier.connect("/ws/delivery/31", &tier.token(31)).open().await;
        for (offer_id, accept) in [("o-1", false), ("o-2", true)] {
            let offer = v1::Offer {
                offer_id: offer_id.to_owned(),
                delivery_id: "9".to_owned(),
                rider_id: "31".to_owned(),
                ..Default::default()
            };
            clients.tracking().offer_job(v1::OfferJobRequest { offer: Some(offer) }).await.unwrap();
            rider.json_of_type("job_offer").await;
            let data = json!({ "offer_id": offer_id, "accept": accept, "reason": "too far" });
            let answer = ask(&mut rider, json!({ "type": "offer_response", "data": data, "id": offer_id })).await;
            assert_eq!(answer["type"], "offer_response_result", "{answer}");
            let settled = clients.tracking().get_offer(v1::GetOfferRequest { offer_id: offer_id.to_owned() }).await;
            let status = settled.unwrap().into_inner().offer.unwrap().status();
            let expected = if accept { v1::OfferStatus::Accepted } else { v1::OfferStatus::Declined };
            assert_eq!(status, expected, "{offer_id}");
        }
        // Another rider can't take it.
        let mut other = tier.connect("/ws/delivery/32", &tier.token(32)).open().await;
        let data = json!({ "offer_id": "o-2", "accept": false });
        let answer = ask(&mut other, json!({ "type": "offer_response", "data": data, "id": 1 })).await;
        assert_eq!(answer["type"], "error", "{answer}");
    }
}

both_shapes! {
    async fn a_map_shows_a_rider_and_hears_of_its_leaving(tier: Tier) {
        let clients = tier.grpc();
        start_shift(&clients, 31).await;
        let mut rider = tier.connect("/ws/delivery/31", &tier.token(31)).open().await;
        ask(&mut rider, json!({ "type": "location", "data": fix(LONGITUDE), "id": 1 })).await;
        // The cells have the length that tracking publishes; a map knows it, this story tries them all.
        let staff = tier.token(1).role("ADMIN");
        let mut watching = Vec::new();
        for length in 1..=12 {
            let cell = geohash(LATITUDE, LONGITUDE, length);
            let mut socket = tier.connect(&format!("/ws/area/{cell}"), &staff).open().await;
            if let Next::Json(frame) = socket.next(Duration::from_millis(500)).await {
                assert_eq!(frame["type"], "rider_location", "{frame}");
                watching.push(socket);
            }
        }
        assert_eq!(watching.len(), 1, "one length of cells carries riders");
        let end = v1::EndShiftRequest { rider_id: "31".to_owned(), at: None };
        clients.tracking().end_shift(end).await.unwrap();
        let left = watching.remove(0).json_of_type("rider_left").await;
        assert_eq!(payload(&left)["rider_id"].to_string().trim_matches('"'), "31", "{left}");
        let refused = tier.connect("/ws/area/u33db", &tier.token(7)).open().await.closed().await;
        assert_eq!(refused.0, 4003, "customers watch no riders");
    }
}

/// The cell of a place, by halving: bits of longitude and latitude in turn, five to a character.
fn geohash(latitude: f64, longitude: f64, length: usize) -> String {
    let alphabet: Vec<char> = "0123456789bcdefghjkmnpqrstuvwxyz".chars().collect();
    let (mut west_east, mut south_north) = ((-180.0, 180.0), (-90.0, 90.0));
    let (mut cell, mut bits) = (String::new(), 0);
    for bit in 0..5 * length {
        let (range, value) =
            if bit % 2 == 0 { (&mut west_east, longitude) } else { (&mut south_north, latitude) };
        let middle = (range.0 + range.1) / 2.0;
        let upper = value >= middle;
        if upper {
            range.0 = middle
        } else {
            range.1 = middle
        }
        bits = 2 * bits + usize::from(upper);
        if bit % 5 == 4 {
            cell.push(alphabet[bits]);
            bits = 0;
        }
    }
    cell
}

#[test]
fn the_cell_of_a_known_place_is_known() {
    assert_eq!(geohash(57.64911, 10.40744, 11), "u4pruydqqvj");
}
