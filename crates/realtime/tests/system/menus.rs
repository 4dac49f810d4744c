//! Menus: what is sold out is seen by restaurant and customers, a newcomer misses nothing, items come back by themselves.

use std::{collections::BTreeMap, time::Duration};

use platepal_proto::v1::{self, Outcome};
use platepal_service::Clock;
use platepal_testkit::{Connect, Role, Shape, Socket, Tier};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    both_shapes,
    publishing::{new_id, try_publish},
};

/// Readers of one menu, and items that change under them.
const READERS: u64 = 200;
const ITEMS: u64 = 50;

fn item(id: u64, available: bool) -> v1::ItemChange {
    v1::ItemChange { item_id: id.to_string(), available: Some(available), ..Default::default() }
}

async fn try_update(
    tier: &Tier,
    items: Vec<v1::ItemChange>,
) -> Result<v1::UpdateMenuResponse, tonic::Status> {
    let request =
        v1::UpdateMenuRequest { event_id: new_id(), restaurant_id: "12".into(), items, ..Default::default() };
    tier.grpc().menus().update_menu(request).await.map(tonic::Response::into_inner)
}

async fn update(tier: &Tier, items: Vec<v1::ItemChange>) -> v1::UpdateMenuResponse {
    try_update(tier, items).await.unwrap()
}

/// What a customer's page holds of a menu.
#[derive(Debug, Default, PartialEq)]
struct Page {
    version: u64,
    sold_out: BTreeMap<u64, u64>,
}

impl Page {
    /// Takes a frame; a value that the page has already is a repeat.
    fn take(&mut self, frame: &Value) {
        let data = &frame["data"];
        let version = data["menu_version"].as_u64().unwrap_or_default();
        match frame["type"].as_str().unwrap() {
            "menu_snapshot" => {
                let items = data["items"].as_array().unwrap().iter();
                let off = items.filter(|line| line["available"] == false);
                self.sold_out = off.map(|line| (line["item_id"].as_u64().unwrap(), version)).collect();
                self.version = version;
            }
            "menu_item" => {
                let id = data["item_id"].as_u64().unwrap();
                assert!(
                    version > self.version || self.sold_out.get(&id) != Some(&version),
                    "a repeat: {frame}"
                );
                if data["available"] == false {
                    self.sold_out.insert(id, version);
                } else {
                    self.sold_out.remove(&id);
                }
            }
            _ => {}
        }
    }

    async fn until(&mut self, socket: &mut Socket, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.take(&socket.json().await);
        }
    }
}

both_shapes! {
    async fn a_sold_out_item_is_seen_by_its_restaurant_and_by_every_customer(tier: Tier) {
        let mut restaurant = tier.connect("/ws/orders/12", &tier.token(1).restaurants([12])).open().await;
        let mut customer = tier.connect("/ws/menu/12", &tier.token(7)).open().await;
        assert_eq!(
            customer.json().await["data"],
            json!({ "restaurant_id": 12, "menu_version": 0, "complete": true, "items": [] })
        );
        // As Django's broadcaster sends it, to the group that it knows.
        let event = v1::Event {
            event_id: new_id(),
            r#type: "item_sold_out".into(),
            payload: json!({ "restaurant": 12, "item_id": 501, "name": "Soup" }).to_string().into(),
            ..Default::default()
        };
        let told = try_publish(&tier.grpc(), event, &["restaurant_12"]).await.unwrap();
        assert_eq!(told.outcome(), Outcome::Published);
        assert_eq!(restaurant.json_of_type("item_sold_out").await["data"]["name"], "Soup");
        // By the typed call: customers see the item, the restaurant what happened, and how many are left.
        let few = v1::ItemChange { item_id: "502".into(), inventory: Some(2), price: Some("7.50".into()), ..Default::default() };
        update(&tier, vec![item(501, true), few]).await;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        while names.is_empty() || values.len() < 3 {
            let frame = customer.json().await;
            let data = &frame["data"];
            match frame["type"].as_str() {
                Some("item_sold_out") => names.push(data["name"].clone()),
                _ => values.push((data["item_id"].clone(), data["available"].clone(), data["menu_version"].clone())),
            }
        }
        assert_eq!(names, ["Soup"]);
        values.sort_by_key(|(item_id, _, version)| (version.as_u64(), item_id.as_u64()));
        let expected = [(501, false, 1), (501, true, 2), (502, true, 2)];
        assert_eq!(values, expected.map(|(item_id, available, version)| (json!(item_id), json!(available), json!(version))));
        assert_eq!(restaurant.json_of_type("inventory_low").await["data"]["payload"]["inventory"], 2);
        let changed = restaurant.json_of_type("menu_updated").await;
        assert_eq!(changed["data"]["payload"]["items"].as_array().unwrap().len(), 2, "{changed}");
        customer.assert_quiet(Duration::from_millis(200)).await;
    }
}

both_shapes! {
    async fn many_readers_get_the_state_and_then_each_change_once(tier: Tier) {
        update(&tier, vec![item(1_000, false)]).await;
        let mut readers = JoinSet::new();
        let (sees, mut seen) = mpsc::channel(1);
        for user in 1..=READERS {
            let connect = tier.connect("/ws/menu/12", &tier.token(user));
            let sees = sees.clone();
            readers.spawn(async move {
                let mut socket = connect.open().await;
                let mut page = Page::default();
                let all = ITEMS as usize + 1;
                page.until(&mut socket, |page| page.sold_out.len() == all).await;
                sees.send(()).await.unwrap();
                page.until(&mut socket, |page| page.sold_out.is_empty()).await;
            });
        }
        drop(sees);
        // Half of it in one step, half one by one, while they come.
        update(&tier, (1..=ITEMS / 2).map(|id| item(id, false)).collect()).await;
        for id in ITEMS / 2 + 1..=ITEMS {
            update(&tier, vec![item(id, false)]).await;
        }
        // A newcomer to what is sold out has it all at once.
        let mut late = tier.connect("/ws/menu/12", &tier.token(READERS + 1)).open().await;
        let first = late.json().await;
        assert_eq!(first["type"], "menu_snapshot");
        for _ in 1..=READERS {
            seen.recv().await.expect("a reader has failed");
        }
        let everything = (1..=ITEMS).chain([1_000]);
        update(&tier, everything.map(|id| item(id, true)).collect()).await;
        while let Some(done) = readers.join_next().await {
            done.unwrap();
        }
    }
}

both_shapes! {
    async fn an_item_comes_back_once_though_the_domain_is_killed(tier: Tier) {
        let mut customer = tier.connect("/ws/menu/12", &tier.token(7)).open().await;
        customer.json_of_type("menu_snapshot").await;
        let until = Clock.now().plus_millis(1_500);
        let off = v1::ItemChange { until: Some(until.into()), ..item(501, false) };
        update(&tier, vec![off]).await;
        let sold_out = customer.json_of_type("menu_item").await;
        assert!(sold_out["data"]["until"].is_string(), "{sold_out}");
        tier.kill(Role::MENUS);
        tier.start(Role::MENUS).await;
        let mut customer = match tier.shape() {
            Shape::Split => customer,
            // The edge went with it.
            Shape::AllInOne => tier.connect("/ws/menu/12", &tier.token(7)).open().await,
        };
        let mut page = Page::default();
        page.take(&sold_out);
        page.until(&mut customer, |page| page.sold_out.is_empty()).await;
        // Whoever comes later sees the same.
        let mut late = tier.connect("/ws/menu/12", &tier.token(8)).open().await;
        let mut page = Page::default();
        page.take(&late.json().await);
        page.until(&mut late, |page| page.sold_out.is_empty()).await;
        customer.assert_quiet(Duration::from_millis(700)).await;
    }
}

#[tokio::test]
async fn without_an_account_a_menu_can_be_read_where_that_is_allowed() {
    let tier = Tier::builder(crate::BINARY).set("REALTIME_EDGE_ANONYMOUS", true).start().await;
    update(&tier, vec![item(501, false)]).await;
    let mut anybody = Connect::to(tier.socket_url("/ws/menu/12")).open().await;
    assert_eq!(anybody.json().await["data"]["items"][0]["item_id"], 501);
    update(&tier, vec![item(501, true)]).await;
    assert_eq!(anybody.json_of_type("menu_item").await["data"]["available"], true);
    let (code, reason) = Connect::to(tier.socket_url("/ws/customer/7")).open().await.closed().await;
    assert_eq!(code, 4001, "{reason}");
    let polled = platepal_testkit::http::get(&tier.http_url("/events/menu/12?wait=0")).await.json();
    assert_eq!(polled["events"][0]["type"], "menu_snapshot", "{polled}");
}
