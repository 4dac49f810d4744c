//! What a client asks: history, presence, and what it sends to a domain.

use platepal_proto::v1;
use platepal_testkit::{Role, Shape, Tier, eventually};
use serde_json::{Value, json};

use crate::{
    BINARY,
    client::{Language, with_every_sdk},
    publishing::{event, new_id, order_update, publish, publish_numbered, publish_order},
};

/// The event ids of a history.
fn ids(history: &Value) -> Vec<String> {
    let publications = history["publications"].as_array().unwrap().iter();
    publications.map(|own| own["data"]["event_id"].as_str().unwrap().to_owned()).collect()
}

/// The place of a history's last publication.
fn place(history: &Value) -> Value {
    let last = history["publications"].as_array().unwrap().last().unwrap();
    json!({ "offset": last["offset"], "epoch": history["epoch"] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_paged_through_forwards_and_backwards() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let feed = life.feed();
        let published = publish_numbered(&tier.grpc(), &feed, 0..25).await;
        let client = life.connected().await;
        for reverse in [false, true] {
            let (mut seen, mut since) = (Vec::new(), None);
            loop {
                let mut options = json!({ "limit": 10, "reverse": reverse });
                if let Some(since) = &since {
                    options["since"] = Value::clone(since);
                }
                let page = client.history(&feed, options).await.unwrap();
                seen.extend(ids(&page));
                if ids(&page).len() < 10 {
                    break;
                }
                since = Some(place(&page));
            }
            if reverse {
                seen.reverse();
            }
            assert_eq!(seen, published, "{life}: reverse {reverse}");
        }
        let top = client.history(&feed, json!({})).await.unwrap();
        assert_eq!(ids(&top), [""; 0], "no limit: only the place");
        let all = client.history(&feed, json!({ "limit": -1 })).await.unwrap();
        assert_eq!((ids(&all), &all["offset"], &all["epoch"]), (published, &top["offset"], &top["epoch"]));

        let another_log = json!({ "limit": 1, "since": { "offset": 1, "epoch": "another" } });
        assert_eq!(client.history(&feed, another_log).await.unwrap_err().code, 112, "{life}");
        assert_eq!(
            client.history("customer:1", json!({ "limit": 1 })).await.unwrap_err().code,
            103,
            "{life}"
        );
        assert_eq!(client.history("kitchen:1", json!({ "limit": 1 })).await.unwrap_err().code, 102, "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_tells_who_reads_a_channel() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let chat = format!("chat:{}", life.user);
        life.grant(&chat).await;
        let ann = life.client(&life.token().claim("info", json!({ "name": "Ann" })).sign()).await;
        ann.connect().await;
        let own_id = ann.event("connected").await["client_id"].clone();
        ann.subscribed(&chat).await;
        let helper = life.client(&tier.token(life.user + 100).role("SUPPORT").sign()).await;
        helper.connect().await;
        helper.subscribed(&chat).await;
        for client in [&ann, &helper] {
            let people = client.presence(&chat).await.unwrap();
            let people = people.as_array().unwrap();
            assert_eq!(people.len(), 2, "{life}: {people:?}");
            let found = people.iter().find(|person| person["client"] == own_id).unwrap();
            assert_eq!(
                (&found["user"], &found["info"]["name"]),
                (&json!(life.user.to_string()), &json!("Ann"))
            );
            let stats = client.presence_stats(&chat).await.unwrap();
            assert_eq!(stats, json!({ "clients": 2, "users": 2 }), "{life}");
        }
        helper.disconnect().await;
        eventually("the other has left", async || {
            ann.presence_stats(&chat).await.unwrap() == json!({ "clients": 1, "users": 1 })
        })
        .await;
        assert_eq!(ann.presence("chat:1").await.unwrap_err().code, 103, "{life}");
        // A public list of everybody is nothing that this tier keeps.
        assert_eq!(ann.presence("all").await.unwrap_err().code, 108, "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_tells_of_readers_on_every_edge() {
    let tier = Tier::builder(BINARY).shape(Shape::Split).edges(2).start().await;
    with_every_sdk(&tier, async |life| {
        let chat = format!("chat:{}", life.user);
        life.grant(&chat).await;
        let ann = life.connected().await;
        ann.subscribed(&chat).await;
        let other_edge = tier.socket_url_of(Role::Edge(1), "/connection/websocket");
        let staff = tier.token(life.user + 100).role("SUPPORT").sign();
        let helper = life.client_at(json!(other_edge), json!({ "token": staff }), false).await;
        helper.connect().await;
        helper.subscribed(&chat).await;
        for client in [&ann, &helper] {
            let people = client.presence(&chat).await.unwrap();
            assert_eq!(people.as_array().unwrap().len(), 2, "{life}: {people}");
            let stats = client.presence_stats(&chat).await.unwrap();
            assert_eq!(stats, json!({ "clients": 2, "users": 2 }), "{life}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_a_chat_are_told_who_comes_and_goes() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let chat = format!("chat:{}", life.user);
        life.grant(&chat).await;
        let ann = life.connected().await;
        ann.subscribe_with(&[&chat], json!({ "joinLeave": true }), false).await;
        ann.event_of("subscribed", &chat).await;
        let staff = life.client(&tier.token(life.user + 100).role("SUPPORT").sign()).await;
        staff.connect().await;
        let id = staff.event("connected").await["client_id"].clone();
        staff.subscribed(&chat).await;
        let mut joined = ann.event_of("join", &chat).await;
        if joined["info"]["user"] == json!(life.user.to_string()) {
            // Its own.
            joined = ann.event_of("join", &chat).await;
        }
        let user = json!((life.user + 100).to_string());
        assert_eq!((&joined["info"]["client"], &joined["info"]["user"]), (&id, &user), "{life}");
        staff.unsubscribe(&chat).await;
        assert_eq!(ann.event_of("leave", &chat).await["info"]["client"], id, "{life}");
        staff.resubscribe(&chat).await;
        ann.event_of("join", &chat).await;
        staff.disconnect().await;
        assert_eq!(ann.event_of("leave", &chat).await["info"]["client"], id, "{life}");
        // Nobody who did not ask is told.
        assert!(staff.all("join").is_empty() && staff.all("leave").is_empty(), "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_domain_takes_is_refused_and_the_connection_goes_on() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let client = life.connected().await;
        let order = format!("order:{}", 5000 + life.user);
        for channel in [order, life.feed(), "menu:1".to_owned()] {
            let refused = client.publish(&channel, json!({ "text": "hi" })).await.unwrap_err();
            assert!(matches!(refused.code, 103 | 108), "{life}: {channel}: {refused:?}");
        }
        assert_eq!(client.publish("kitchen:1", json!({})).await.unwrap_err().code, 102, "{life}");
        for method in ["nobody.knows", "orders.nothing", ""] {
            let refused = client.rpc(method, json!({ "order": 1 })).await.unwrap_err();
            assert_eq!(refused.code, 104, "{life}: {method}: {refused:?}");
        }
        if life.language == Language::JavaScript {
            client.send(json!({ "typing": true })).await;
        }
        let id = new_id();
        publish(&tier.grpc(), event(&id, &json!({})), &[&life.feed()]).await;
        client.ids_until(&life.feed(), &id).await;
        assert_eq!(client.all("connected").len(), 1, "{life}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_shown_to_whoever_may_read_its_channel() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let order = 5000 + life.user;
        let update = v1::OrderUpdate {
            customer_id: life.user.to_string(),
            ..order_update(order, v1::OrderStatus::Ready, 3)
        };
        publish_order(&tier.grpc(), update).await.unwrap();
        let customer = life.connected().await;
        for id in [json!(order), json!(order.to_string())] {
            let shown = customer.rpc("orders.get", json!({ "order_id": id })).await.unwrap();
            assert_eq!(
                (&shown["payload"]["id"], &shown["status"]),
                (&json!(order), &json!("READY")),
                "{life}: {shown}"
            );
        }
        let refused = customer.rpc("orders.get", json!({ "order_id": 1 })).await.unwrap_err();
        assert_eq!(refused.code, 103, "{life}: {refused:?}");
        for arguments in [json!({}), json!([]), json!({ "order_id": "a b" }), json!({ "order_id": -1 })] {
            let refused = customer.rpc("orders.get", arguments).await.unwrap_err();
            assert_eq!(refused.code, 107, "{life}: {refused:?}");
        }

        let stranger = life.client(&tier.token(life.user + 100).sign()).await;
        stranger.connect().await;
        let refused = stranger.rpc("orders.get", json!({ "order_id": order })).await.unwrap_err();
        assert_eq!(refused.code, 103, "{life}: {refused:?}");

        let staff = life.client(&tier.token(life.user + 200).role("SUPPORT").sign()).await;
        staff.connect().await;
        staff.rpc("orders.get", json!({ "order_id": order })).await.unwrap();
        let unknown = staff.rpc("orders.get", json!({ "order_id": 4 })).await.unwrap_err();
        assert_eq!(unknown.code, 107, "{life}: {unknown:?}");
    })
    .await;
}
