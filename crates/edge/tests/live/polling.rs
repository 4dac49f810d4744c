//! Long polls: what a feed carried after an event, at once or when something comes.

use platepal_testkit::http::{Response, get};
use serde_json::Value;

use crate::house::{House, event, rider_location, token};

async fn poll(house: &House, wait: &str, since: Option<&str>) -> Response {
    let since = since.map(|id| format!("&since_event_id={id}")).unwrap_or_default();
    get(&format!("http://{}/events/customer/7?token={}&wait={wait}{since}", house.address, token(7))).await
}

fn ids(answer: &Value) -> Vec<String> {
    answer["events"].as_array().unwrap().iter().map(|own| own["event_id"].as_str().unwrap().into()).collect()
}

#[tokio::test]
async fn a_poll_gives_what_was_missed_and_the_place_to_go_on_from() {
    let house = House::open().await;
    let nothing = poll(&house, "10ms", None).await;
    assert_eq!((nothing.status, ids(&nothing.json())), (200, vec![]));
    let mut last = nothing.json()["last_event_id"].as_str().unwrap().to_owned();
    for round in 0..3 {
        let names = [format!("a-{round}"), format!("b-{round}")];
        for name in &names {
            house.publish("customer:7", &event(name)).await;
        }
        let answer = poll(&house, "20s", Some(&last)).await.json();
        assert_eq!(ids(&answer), names);
        last = answer["last_event_id"].as_str().unwrap().to_owned();
    }
    assert_eq!(last, "b-2");
}

#[tokio::test]
async fn a_poll_waits_until_something_comes() {
    let house = House::open().await;
    house.publish("customer:7", &event("before")).await;
    // It has nothing to give yet, so it waits, however late the next event is published.
    let waiting = poll(&house, "20s", Some("before"));
    let after = event("after");
    let publish = house.publish("customer:7", &after);
    let (answer, _) = tokio::join!(waiting, publish);
    assert_eq!(ids(&answer.json()), ["after"]);
}

#[tokio::test]
async fn a_newcomer_is_given_the_values_of_now_without_waiting() {
    let house = House::open().await;
    house.publish("customer:7", &rider_location("1", 9)).await;
    let answer = poll(&house, "20s", None).await.json();
    assert_eq!(answer["events"][0]["data"]["eta_minutes"], 9);
    house.publish("customer:7", &event("after")).await;
    let last = answer["last_event_id"].as_str().unwrap();
    let next = poll(&house, "20s", Some(last)).await.json();
    assert_eq!(next["events"].as_array().unwrap().last().unwrap()["event_id"], "after");
    assert_eq!(ids(&next).iter().filter(|id| *id == "after").count(), 1);
}

#[tokio::test]
async fn a_wait_that_is_no_time_is_refused() {
    let house = House::open().await;
    assert_eq!(poll(&house, "soon", None).await.status, 400);
    // It would be waited for longer than any test.
    let bounded = House::with(&[("REALTIME_EDGE_POLL_WAIT_MAX", "50ms")]).await;
    assert_eq!(poll(&bounded, "3600", None).await.status, 200);
}
