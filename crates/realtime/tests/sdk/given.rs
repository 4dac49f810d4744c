//! Channels that the server gives without being asked: the user's own feeds, and what the token or Django names.

use platepal_proto::v1;
use platepal_testkit::{Proxy, Role, Tier};
use serde_json::json;

use crate::{
    BINARY,
    client::{Client, with_every_sdk},
    publishing::publish_numbered,
};

/// The channels that the server has given a client so far.
fn given(client: &Client) -> Vec<String> {
    let events = client.all("subscribed");
    let channels = events.iter().filter(|event| event["server"] == true);
    let mut channels: Vec<String> =
        channels.map(|event| event["channel"].as_str().unwrap().to_owned()).collect();
    channels.sort();
    channels
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_given_its_own_feeds_and_what_its_token_names() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let (feed, rider) = (life.feed(), format!("rider:{}", life.user));
        let customer = life.connected().await;
        customer.event_of("subscribed", &feed).await;
        assert_eq!(given(&customer), std::slice::from_ref(&feed), "{life}");

        let courier = life.client(&life.token().role("DELIVERY").sign()).await;
        courier.connect().await;
        courier.event_of("subscribed", &rider).await;
        courier.event_of("subscribed", &feed).await;
        assert_eq!(given(&courier), [feed.clone(), rider.clone()], "{life}");

        let chat = format!("chat:{}", life.user);
        // A name that is none is left out, and costs nobody the connection.
        let named =
            life.client(&life.token().claim("channels", json!([chat, "kitchen:1", feed])).sign()).await;
        named.connect().await;
        named.event_of("subscribed", &chat).await;
        named.event_of("subscribed", &feed).await;
        assert_eq!(given(&named), [chat.clone(), feed.clone()], "{life}");

        for (client, channel) in [(&customer, &feed), (&courier, &rider), (&named, &chat)] {
            let ids = publish_numbered(&tier.grpc(), channel, 0..3).await;
            assert_eq!(client.ids_until(channel, ids.last().unwrap()).await, ids, "{life}");
            let publication = client.event_of("publication", channel).await;
            assert_eq!(publication["server"], true);
            assert!(publication["offset"].as_u64() > Some(0), "{life}: {publication}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_given_feed_is_made_whole_over_every_reconnect() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let proxy = Proxy::start(tier.public_address(Role::EDGE)).await;
        let endpoint = json!(format!("ws://{}/connection/websocket", proxy.address()));
        let client = life.client_at(endpoint, json!({ "token": life.token().sign() }), false).await;
        client.connect().await;
        client.event("connected").await;
        let (feed, mut all) = (life.feed(), Vec::new());
        client.event_of("subscribed", &feed).await;
        for round in 0..3u64 {
            proxy.refuse();
            client.event_of("subscribing", &feed).await;
            let missed = publish_numbered(&tier.grpc(), &feed, round * 100..round * 100 + 90).await;
            proxy.forward();
            let back = client.event_of("subscribed", &feed).await;
            assert_eq!((&back["wasRecovering"], &back["recovered"]), (&json!(true), &json!(true)), "{life}");
            let live = publish_numbered(&tier.grpc(), &feed, round * 100 + 90..round * 100 + 93).await;
            all.extend([missed, live].concat());
            assert_eq!(client.ids_until(&feed, all.last().unwrap()).await, all, "{life}: {back}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn django_gives_takes_and_ends_what_is_connected() {
    let tier = Tier::all_in_one(BINARY).await;
    with_every_sdk(&tier, async |life| {
        let client = life.connected().await;
        let (chat, user_id) = (format!("chat:{}", life.user), life.user.to_string());
        let selector = Some(v1::Selector { user_id, ..Default::default() });
        let mut sessions = tier.grpc().sessions();
        let subscribe =
            v1::SubscribeRequest { selector: selector.clone(), channel: chat.clone(), expires_at: None };
        sessions.subscribe(subscribe).await.unwrap();
        assert_eq!(client.event_of("subscribed", &chat).await["server"], true);
        let ids = publish_numbered(&tier.grpc(), &chat, 0..2).await;
        assert_eq!(client.ids_until(&chat, &ids[1]).await, ids, "{life}");
        let unsubscribe = v1::UnsubscribeRequest { selector: selector.clone(), channel: chat.clone() };
        sessions.unsubscribe(unsubscribe).await.unwrap();
        assert_eq!(client.event_of("unsubscribed", &chat).await["server"], true);

        // A code of the range that means "come back", and then one of the range that does not.
        for (code, stays_away) in [(3011, false), (4501, true)] {
            let disconnect = v1::DisconnectRequest {
                selector: selector.clone(),
                code,
                reason: "by the test".to_owned(),
                except: Vec::new(),
            };
            sessions.disconnect(disconnect).await.unwrap();
            if stays_away {
                assert_eq!(client.disconnected().await, (4501, "by the test".to_owned()), "{life}");
            } else {
                client.count("connected", 2).await;
                client.event("connecting").await;
                assert_eq!(client.event("connecting").await["code"], 3011, "{life}");
            }
        }
    })
    .await;
}
