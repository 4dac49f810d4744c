//! Django's generic events: told as they are, and understood as far as they can be.

use platepal_service::domain::Domain;
use tonic::Code;

use super::*;

on_both! {
    an_item_sold_out_reaches_restaurant_and_customers
    what_concerns_only_the_restaurant_does_not_reach_customers
    an_event_sent_to_two_groups_reaches_each_once
    an_older_event_is_not_told_as_new
    what_is_not_understood_is_told_all_the_same
    the_tiers_own_words_can_not_be_published
}

fn event(id: &str, kind: &str, payload: &Value) -> Event {
    let message = v1::Event {
        event_id: id.into(),
        r#type: kind.into(),
        payload: payload.to_string().into(),
        ..Default::default()
    };
    Event::parse(message, Clock.now()).unwrap()
}

async fn publish(menus: &Menus, event: Event, channels: &[&str]) -> Result<v1::PublishResponse, Status> {
    let channels = channels.iter().map(|name| channel(name)).collect();
    menus.publish(event, channels).await
}

async fn an_item_sold_out_reaches_restaurant_and_customers(world: World) {
    let menus = world.replica().await;
    let payload = json!({ "item_id": 501, "restaurant": 12, "name": "Soup" });
    let told = publish(&menus, event("e1", "item_sold_out", &payload), &["restaurant_12"]).await.unwrap();
    let channels: Vec<&str> = told.kept.iter().map(|kept| kept.channel.as_str()).collect();
    assert_eq!((told.outcome(), channels), (v1::Outcome::Published, vec!["restaurant:12", "menu:12"]));
    for name in ["restaurant:12", "menu:12"] {
        let told = world.told(name).await;
        assert_eq!(told.len(), 1, "{name}");
        assert_eq!(told[0].event.payload, payload.to_string(), "byte for byte");
    }
    assert_eq!(world.values("menu:12").await["501"]["available"], false);
    // Back by a word about the menu.
    let back = json!({ "restaurant": 12, "items": [{ "id": 501, "is_available": true, "price": "8.90" }] });
    publish(&menus, event("e2", "menu_updated", &back), &["restaurant_12", "admin"]).await.unwrap();
    let value = &world.values("menu:12").await["501"];
    assert_eq!((&value["available"], &value["price"]), (&json!(true), &json!("8.90")));
    for name in ["restaurant:12", "menu:12"] {
        assert_eq!(world.told_types(name).await, ["item_sold_out", "menu.updated"], "{name}");
    }
    assert_eq!(world.told_types("admin").await, ["menu.updated"]);
}

async fn what_concerns_only_the_restaurant_does_not_reach_customers(world: World) {
    let menus = world.replica().await;
    let low = json!({ "item_id": 501, "restaurant": 12, "stock": 2 });
    publish(&menus, event("e1", "inventory_low", &low), &["restaurant_12"]).await.unwrap();
    let more = json!({ "item_id": 501, "restaurant": 12, "stock": 20 });
    publish(&menus, event("e2", "inventory_restocked", &more), &["admin"]).await.unwrap();
    assert_eq!(world.told_types("restaurant:12").await, ["inventory_low", "inventory_restocked"]);
    assert!(world.told("menu:12").await.is_empty() && world.values("menu:12").await.is_empty());
    assert_eq!(get(&menus, "12").await.items[0].inventory, Some(20));
}

async fn an_event_sent_to_two_groups_reaches_each_once(world: World) {
    let menus = world.replica().await;
    let payload = json!({ "item_id": 501, "restaurant": 12 });
    for (group, outcome) in [
        ("restaurant_12", v1::Outcome::Published),
        ("admin", v1::Outcome::Published),
        ("admin", v1::Outcome::Duplicate),
        ("restaurant_12", v1::Outcome::Duplicate),
    ] {
        let told = publish(&menus, event("e1", "item_sold_out", &payload), &[group]).await.unwrap();
        assert_eq!(told.outcome(), outcome, "{group}: {}", told.note);
        assert!(told.kept.iter().any(|kept| kept.channel.replace(':', "_") == group), "{group}");
    }
    for name in ["restaurant:12", "menu:12", "admin"] {
        assert_eq!(world.told_types(name).await, ["item_sold_out"], "{name}");
    }
}

async fn an_older_event_is_not_told_as_new(world: World) {
    let menus = world.replica().await;
    let at = |time: &str, available: bool| json!({ "restaurant": 12, "item_id": 501, "is_available": available, "updated_at": time });
    publish(&menus, event("e1", "menu.updated", &at("2026-11-24T12:00:00Z", true)), &["restaurant_12"])
        .await
        .unwrap();
    let late =
        publish(&menus, event("e2", "menu.updated", &at("2026-11-24T11:00:00Z", false)), &["restaurant_12"])
            .await
            .unwrap();
    assert_eq!((late.outcome(), late.kept.len()), (v1::Outcome::Superseded, 0));
    assert_eq!(world.told("restaurant:12").await.len(), 1);
}

async fn what_is_not_understood_is_told_all_the_same(world: World) {
    let menus = world.replica().await;
    // Of a restaurant, but of no item: readers load the menu anew.
    publish(&menus, event("e1", "menu.updated", &json!({ "name": "Lunch" })), &["restaurant_12"])
        .await
        .unwrap();
    assert_eq!(world.told_types("menu:12").await, ["menu.updated"]);
    // Of nobody.
    publish(&menus, event("e2", "menu.updated", &json!([1])), &["admin"]).await.unwrap();
    assert_eq!(world.told_types("admin").await, ["menu.updated"]);
    assert_eq!(get(&menus, "12").await.menu_version, 0);
}

async fn the_tiers_own_words_can_not_be_published(world: World) {
    let menus = world.replica().await;
    let value = Event { key: "501".into(), ..event("e1", "menu.snapshot", &json!({})) };
    let refused = publish(&menus, value, &["menu:12"]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("UpdateMenu"), "{refused}");
}
