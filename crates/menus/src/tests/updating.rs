//! What Django says by `UpdateMenu`.

use tokio::task::JoinSet;
use tonic::Code;

use super::*;

on_both! {
    readers_get_values_and_the_restaurant_what_happened
    the_same_again_is_a_duplicate_and_what_is_older_is_not_told
    one_version_that_says_two_things_is_a_conflict
    many_items_are_one_step
    updates_of_two_replicas_at_once_leave_the_newest
    a_menu_has_an_end
    what_makes_no_sense_is_refused_with_its_field
    without_a_bus_it_is_kept_and_told_later
    an_old_menu_is_forgotten_but_not_what_is_sold_out
}

async fn readers_get_values_and_the_restaurant_what_happened(world: World) {
    let menus = world.replica().await;
    let request = v1::UpdateMenuRequest {
        channels: vec!["admin".into()],
        ..update("e1", 0, vec![off("501"), priced("502", "12.50"), left("503", 3), on("504")])
    };
    let answer = take(&menus, request).await;
    assert_eq!((answer.outcome(), answer.menu_version), (v1::Outcome::Published, 1));
    let values = world.values("menu:12").await;
    assert_eq!(values.keys().collect::<Vec<_>>(), ["501", "502"]);
    assert_eq!(
        values["501"],
        json!({ "restaurant_id": 12, "menu_version": 1, "item_id": 501, "available": false, "until": null,
                "price": null, "removed": false })
    );
    assert_eq!(values["502"]["price"], "12.50");
    for name in ["restaurant:12", "admin"] {
        assert_eq!(
            world.told_types(name).await,
            ["item_sold_out", "inventory_low", "menu.updated"],
            "{name}"
        );
    }
    let told = world.told("restaurant:12").await;
    let low = data(&told[1].event);
    assert_eq!((&low["aggregate_type"], &low["aggregate_id"]), (&json!("menu_item"), &json!("503")));
    assert_eq!(low["payload"]["inventory"], 3);
    // How many are left is the restaurant's business.
    assert!(world.told("menu:12").await.is_empty());
    assert!(values.values().all(|value| value.get("inventory").is_none()));
}

async fn the_same_again_is_a_duplicate_and_what_is_older_is_not_told(world: World) {
    let menus = world.replica().await;
    take(&menus, update("e1", 1, vec![off("501")])).await;
    // Another replica: what is known is in the store.
    let menus = world.replica().await;
    let again = take(&menus, update("e1", 1, vec![off("501")])).await;
    assert_eq!((again.outcome(), again.menu_version), (v1::Outcome::Duplicate, 1));
    take(&menus, update("e2", 3, vec![on("501")])).await;
    let same = take(&menus, update("e3", 3, vec![on("501")])).await;
    assert_eq!(same.outcome(), v1::Outcome::Duplicate);
    let older = take(&menus, update("e4", 2, vec![off("501")])).await;
    assert_eq!((older.outcome(), older.menu_version), (v1::Outcome::Superseded, 2));
    assert!(older.note.contains("older"), "{}", older.note);
    // The same answer to its repeat.
    assert_eq!(take(&menus, update("e4", 2, vec![off("501")])).await.outcome(), v1::Outcome::Superseded);
    assert_eq!(world.values("menu:12").await["501"]["available"], true);
    assert_eq!(world.told_types("restaurant:12").await, ["item_sold_out", "menu.updated"]);
    // Late, but nobody said anything newer of this item.
    let late = take(&menus, update("e5", 2, vec![off("501"), off("502")])).await;
    assert_eq!((late.outcome(), late.menu_version), (v1::Outcome::Published, 3));
    assert!(late.note.starts_with("1 of the items"), "{}", late.note);
}

async fn one_version_that_says_two_things_is_a_conflict(world: World) {
    let menus = world.replica().await;
    take(&menus, update("e1", 4, vec![off("501")])).await;
    let other = take(&menus, update("e2", 4, vec![on("501")])).await;
    assert_eq!(other.outcome(), v1::Outcome::Conflict);
    assert!(!get(&menus, "12").await.items[0].available);
    assert_eq!(world.told("restaurant:12").await.len(), 1);
}

async fn many_items_are_one_step(world: World) {
    let menus = world.replica().await;
    let items = (0..500).map(|n| off(&n.to_string())).collect();
    let answer = take(&menus, update("e1", 0, items)).await;
    assert_eq!(answer.menu_version, 1);
    let values = world.values("menu:12").await;
    assert_eq!(values.len(), 500);
    assert!(values.values().all(|value| value["menu_version"] == 1 && value["available"] == false));
    assert_eq!(world.told("restaurant:12").await.len(), 500);
    // Back together: the restaurant is told once.
    let items = (0..500).map(|n| on(&n.to_string())).collect();
    take(&menus, update("e2", 0, items)).await;
    let told = world.told("restaurant:12").await;
    assert_eq!(told.len(), 501);
    let last = data(&told[500].event);
    assert_eq!((&last["type"], &last["payload"]["complete"]), (&json!("menu.updated"), &json!(true)));
    assert_eq!(last["payload"]["items"].as_array().unwrap().len(), 500);
}

async fn updates_of_two_replicas_at_once_leave_the_newest(world: World) {
    let replicas = [world.replica().await, world.replica().await];
    let mut calls = JoinSet::new();
    for version in 1..=30u64 {
        let menus = replicas[version as usize % 2].clone();
        calls.spawn(async move {
            let price = format!("{version}.00");
            take(&menus, update(&format!("e{version}"), version, vec![priced("501", &price)])).await.outcome()
        });
    }
    let published =
        calls.join_all().await.iter().filter(|outcome| **outcome == v1::Outcome::Published).count();
    let menu = get(&replicas[0], "12").await;
    assert_eq!((menu.items[0].price.as_str(), menu.menu_version), ("30.00", published as u64));
    let value = &world.values("menu:12").await["501"];
    assert_eq!((&value["price"], &value["menu_version"]), (&json!("30.00"), &json!(published)));
    assert_eq!(world.told("restaurant:12").await.len(), published);
}

async fn a_menu_has_an_end(world: World) {
    let menus = world.replica_with(&[("REALTIME_MENUS_ITEMS", "3")]).await;
    take(&menus, update("e1", 0, vec![off("1"), off("2"), off("3")])).await;
    let full = try_take(&menus, update("e2", 0, vec![on("1"), off("4")])).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted);
    assert!(full.message().contains("REALTIME_MENUS_ITEMS"), "{full}");
    assert_eq!(get(&menus, "12").await.menu_version, 1, "nothing of it was kept");
    let removed = v1::ItemChange { item_id: "3".into(), removed: true, ..Default::default() };
    take(&menus, update("e3", 0, vec![removed])).await;
    assert_eq!(world.values("menu:12").await["3"]["removed"], true);
    take(&menus, update("e2", 0, vec![on("1"), off("4")])).await;
    let ids: Vec<String> = get(&menus, "12").await.items.into_iter().map(|item| item.item_id).collect();
    assert_eq!(ids, ["1", "2", "4"]);
}

async fn what_makes_no_sense_is_refused_with_its_field(world: World) {
    let menus = world.replica().await;
    let soon = Clock.now().plus_millis(60_000);
    let refused = [
        (
            v1::UpdateMenuRequest { restaurant_id: "a:b".into(), ..update("e", 0, vec![off("1")]) },
            "restaurant_id",
        ),
        (update("not an id", 0, vec![off("1")]), "event_id"),
        (update("e", u64::MAX, vec![off("1")]), "version"),
        (update("e", 0, vec![]), "items"),
        (update("e", 0, (0..501).map(|n| off(&n.to_string())).collect()), "items"),
        (update("e", 0, vec![off("1"), on("1")]), "items[1].item_id"),
        (update("e", 0, vec![off("")]), "items[0].item_id"),
        (update("e", 0, vec![v1::ItemChange { item_id: "1".into(), ..Default::default() }]), "items[0]"),
        (update("e", 0, vec![v1::ItemChange { until: Some(soon.into()), ..on("1") }]), "items[0].until"),
        (update("e", 0, vec![v1::ItemChange { removed: true, ..on("1") }]), "items[0].removed"),
        (update("e", 0, vec![priced("1", "12,50")]), "items[0].price"),
        (
            v1::UpdateMenuRequest { channels: vec!["nowhere".into()], ..update("e", 0, vec![off("1")]) },
            "channels",
        ),
    ];
    for (request, field) in refused {
        let refused = try_take(&menus, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(&format!("{field}: ")), "{field}: {refused}");
    }
    assert_eq!(get(&menus, "12").await.menu_version, 0);
}

async fn without_a_bus_it_is_kept_and_told_later(mut world: World) {
    let menus = world.replica().await;
    take(&menus, update("e1", 0, vec![off("501")])).await;
    world.bus.close().await;
    let refused = try_take(&menus, update("e2", 0, vec![on("501")])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().starts_with("kept; will be told"), "{refused}");
    drop(menus);
    world.bus_back().await;
    let menus = world.replica().await;
    // The caller's repeat tells it.
    let again = take(&menus, update("e2", 0, vec![on("501")])).await;
    assert_eq!((again.outcome(), again.menu_version), (v1::Outcome::Duplicate, 2));
    assert_eq!(world.values("menu:12").await["501"]["available"], true);
    assert_eq!(world.told_types("restaurant:12").await, ["item_sold_out", "menu.updated"]);
}

async fn an_old_menu_is_forgotten_but_not_what_is_sold_out(world: World) {
    let menus = world.replica().await;
    let items = vec![off("1"), on("2"), priced("3", "9.00"), left("4", 20)];
    take(&menus, update("e1", 0, items)).await;
    assert_eq!(menus.store.forget(Clock.now()).await.unwrap(), 0);
    let later = Clock.now().plus_millis(31 * 86_400_000);
    assert_eq!(menus.store.forget(later).await.unwrap(), 2);
    let ids: Vec<String> = get(&menus, "12").await.items.into_iter().map(|item| item.item_id).collect();
    assert_eq!(ids, ["1", "3"]);
    // There is room again for as many as were forgotten.
    let narrow = world.replica_with(&[("REALTIME_MENUS_ITEMS", "3")]).await;
    take(&narrow, update("e2", 0, vec![on("5")])).await;
}
