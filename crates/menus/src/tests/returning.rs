//! Items that come back by themselves.

use platepal_service::worker::fire_due;

use super::*;

on_both! {
    an_item_comes_back_once_at_its_time
    a_new_word_moves_or_ends_the_wait
    a_time_that_has_passed_is_over_at_once
}

async fn an_item_comes_back_once_at_its_time(world: World) {
    let menus = world.replica().await;
    let until = Clock.now().plus_millis(60_000);
    take(&menus, update("e1", 0, vec![off_until("501", until), off_until("502", until), off("503")])).await;
    assert_eq!(world.values("menu:12").await["501"]["until"], until.to_string());
    assert_eq!(fire_due(&menus.store, 100, Clock.now()).await.unwrap(), 0);
    // Two replicas look at the same time, after a restart.
    let two = [world.replica().await, world.replica().await];
    let then = until.plus_millis(1);
    let (a, b) = tokio::join!(fire_due(&two[0].store, 100, then), fire_due(&two[1].store, 100, then));
    assert_eq!(a.unwrap() + b.unwrap(), 2);
    let values = world.values("menu:12").await;
    let available: Vec<bool> = values.values().map(|value| value["available"] == true).collect();
    assert_eq!(available, [true, true, false]);
    let mut told = world.told_types("restaurant:12").await;
    assert_eq!(told.split_off(3), ["menu.updated", "menu.updated"]);
    assert_eq!(get(&menus, "12").await.menu_version, 3);
    assert_eq!(fire_due(&menus.store, 100, then).await.unwrap(), 0);
}

async fn a_new_word_moves_or_ends_the_wait(world: World) {
    let menus = world.replica().await;
    let (soon, later) = (Clock.now().plus_millis(60_000), Clock.now().plus_millis(120_000));
    let items = vec![off_until("1", soon), off_until("2", soon), off_until("3", soon)];
    take(&menus, update("e1", 1, items)).await;
    take(&menus, update("e2", 2, vec![off_until("1", later), on("2"), off("3")])).await;
    assert_eq!(fire_due(&menus.store, 100, soon).await.unwrap(), 0);
    assert_eq!(fire_due(&menus.store, 100, later).await.unwrap(), 1);
    let items = get(&menus, "12").await.items;
    let available: Vec<bool> = items.iter().map(|item| item.available).collect();
    assert_eq!(available, [true, true, false]);
}

async fn a_time_that_has_passed_is_over_at_once(world: World) {
    let menus = world.replica().await;
    take(&menus, update("e1", 1, vec![off("501")])).await;
    // An outbox that was held up for long.
    take(&menus, update("e2", 2, vec![off_until("501", Clock.now().plus_millis(-1))])).await;
    let menu = get(&menus, "12").await;
    assert!(menu.items[0].available && menu.items[0].until.is_none());
}
