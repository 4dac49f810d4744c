//! A menu's state, and the values after it.

use platepal_auth::Principal;
use platepal_service::domain::{Domain, Sender, Verdict};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;
use tonic::Code;

use super::*;

on_both! {
    a_state_and_the_values_after_it_are_the_menu
    a_menu_of_which_nothing_was_said_has_a_state
    a_state_is_given_while_the_bus_is_down_to_nobody_twice
    everybody_may_read_and_nothing_is_granted
    clients_can_ask_for_the_whole_menu
}

/// What a reader holds, by item.
type Held = BTreeMap<String, Value>;

/// Takes a state, and the values that were told after it.
async fn fresh(world: &World, menus: &Menus) -> (Held, u64) {
    let snapshot = menus.snapshot(&channel("menu:12")).await.unwrap();
    let (event, _) = snapshot.state.unwrap();
    let state = data(&event);
    assert_eq!(state["complete"], true);
    let mut held = Held::new();
    for line in state["items"].as_array().unwrap() {
        held.insert(line["item_id"].to_string(), json!([line["available"], line["until"], line["price"]]));
    }
    let mut after: Vec<Entry> = world.bus.latest(&channel("menu:12")).await.unwrap();
    after.retain(|entry| snapshot.values.as_ref().is_none_or(|upto| !entry.position.is_within(upto)));
    // What is being told while a state is made may come again; a reader sees by the version that it has it.
    let version = state["menu_version"].as_u64().unwrap();
    after.retain(|entry| data(&entry.event)["menu_version"].as_u64() > Some(version));
    for entry in after {
        apply(&mut held, &data(&entry.event));
    }
    (held, version)
}

fn apply(held: &mut Held, value: &Value) {
    let id = value["item_id"].to_string();
    let plain = value["available"] == true && value["price"].is_null();
    if plain || value["removed"] == true {
        held.remove(&id);
    } else {
        held.insert(id, json!([value["available"], value["until"], value["price"]]));
    }
}

async fn a_state_and_the_values_after_it_are_the_menu(world: World) {
    let menus = world.replica().await;
    let mut writers = JoinSet::new();
    for writer in 0..3u64 {
        let menus = world.replica().await;
        writers.spawn(async move {
            let mut dice = StdRng::seed_from_u64(writer);
            for n in 0..25 {
                let id = dice.random_range(0..6).to_string();
                let change = match dice.random_range(0..5) {
                    0 => off(&id),
                    1 => on(&id),
                    2 => priced(&id, ["", "1.00", "2.00"][dice.random_range(0..3)]),
                    3 => left(&id, dice.random_range(0..3)),
                    _ => v1::ItemChange { item_id: id.clone(), removed: true, ..Default::default() },
                };
                take(&menus, update(&format!("w{writer}-{n}"), 0, vec![change])).await;
            }
        });
    }
    // Readers come while it changes, and follow.
    let mut subscription = world.bus.subscribe(&channel("menu:12")).await.unwrap();
    let (mut held, from) = fresh(&world, &menus).await;
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let last = take(&menus, update("last", 0, vec![priced("99", "9.99")])).await.menu_version;
    loop {
        let platepal_bus::Delivery::Entry(entry) = subscription.next().await.unwrap() else { continue };
        let value = data(&entry.event);
        if value["menu_version"].as_u64().unwrap() > from {
            apply(&mut held, &value);
        }
        if value["menu_version"] == last {
            break;
        }
    }
    let (now, version) = fresh(&world, &menus).await;
    assert_eq!((held, version), (now, last));
    // At rest a state has all values.
    let values = menus.snapshot(&channel("menu:12")).await.unwrap().values.unwrap();
    let latest = world.bus.latest(&channel("menu:12")).await.unwrap();
    assert!(latest.iter().all(|entry| entry.position.is_within(&values)));
}

async fn a_menu_of_which_nothing_was_said_has_a_state(world: World) {
    let menus = world.replica().await;
    let snapshot = menus.snapshot(&channel("menu:77")).await.unwrap();
    let (event, _) = snapshot.state.unwrap();
    assert_eq!(
        data(&event),
        json!({ "restaurant_id": 77, "menu_version": 0, "complete": true, "items": [] })
    );
    assert_eq!(get(&menus, "77").await.items, []);
}

async fn a_state_is_given_while_the_bus_is_down_to_nobody_twice(mut world: World) {
    let menus = world.replica().await;
    take(&menus, update("e1", 0, vec![off("501")])).await;
    world.bus.close().await;
    try_take(&menus, update("e2", 0, vec![off("502")])).await.unwrap_err();
    drop(menus);
    world.bus_back().await;
    // The snapshot tells first what waits.
    let (held, version) = fresh(&world, &world.replica().await).await;
    assert_eq!((held.len(), version), (2, 2));
    assert_eq!(world.values("menu:12").await.len(), 2);
}

fn somebody() -> Principal {
    platepal_service::domain::principal_from(v1::Principal { user_id: "7".into(), ..Default::default() })
        .unwrap()
}

async fn everybody_may_read_and_nothing_is_granted(world: World) {
    let menus = world.replica().await;
    let menu = channel("menu:12");
    assert!(matches!(menus.authorize(&somebody(), "", &menu).await, Verdict::Allowed(_)));
    assert!(matches!(menus.authorize(&somebody(), "", &channel("restaurant:12")).await, Verdict::Denied(_)));
    let refused = menus.grant("7", &menu, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(menus.revoke("7", &menu).await.unwrap_err().code(), Code::InvalidArgument);
}

async fn clients_can_ask_for_the_whole_menu(world: World) {
    let menus = world.replica().await;
    take(&menus, update("e1", 0, vec![off("501"), priced("502", "12.50")])).await;
    let sender =
        Sender { principal: somebody(), token: String::new(), client_id: String::new(), channel: None };
    let answer = menus.call(&sender, "get", r#"{"restaurant_id":12}"#.into()).await.unwrap();
    let (event, _) = menus.snapshot(&channel("menu:12")).await.unwrap().state.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), data(&event));
    for (method, arguments, code) in [
        ("get", "{}", Code::InvalidArgument),
        ("get", r#"{"restaurant_id":"a b"}"#, Code::InvalidArgument),
        ("set", "{}", Code::Unimplemented),
    ] {
        let refused = menus.call(&sender, method, arguments.to_owned().into()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{method} {arguments}");
    }
}
