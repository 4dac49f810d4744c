//! Items: read, written many at a time.

use std::collections::BTreeMap;

use platepal_events::Timestamp;
use platepal_service::sql::{self, Row, Transaction, Value};

use super::{Menu, Store, StoreError, number};
use crate::rules::{
    item::Item,
    menu::{Moved, Step},
};

impl Store {
    /// What is known of some items.
    pub(super) async fn held(
        &self,
        tx: &mut Transaction,
        restaurant_id: &str,
        item_ids: &[&str],
    ) -> Result<BTreeMap<String, Item>, StoreError> {
        if item_ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys: Vec<[Value<'_>; 2]> =
            item_ids.iter().map(|id| [restaurant_id.into(), (*id).into()]).collect();
        let sql = format!(
            "SELECT item_id, state FROM menus_items WHERE (restaurant_id, item_id) IN (VALUES {})",
            sql::list(&keys)
        );
        let rows = tx.rows(&sql, keys.as_flattened()).await?;
        rows.iter().map(|row| read(row).map(|item| (item.item_id.clone(), item))).collect()
    }

    /// Every item of a menu, by their ids.
    pub(super) async fn all(&self, restaurant_id: &str) -> Result<Vec<Item>, StoreError> {
        let sql = "SELECT item_id, state FROM menus_items WHERE restaurant_id = $1 ORDER BY item_id";
        let items: Result<Vec<Item>, _> =
            self.database.rows(sql, &[restaurant_id.into()]).await?.iter().map(read).collect();
        Ok(items?.into_iter().filter(Item::is_listed).collect())
    }

    /// Writes what a step makes of a menu and its items, with their timers.
    pub(super) async fn save_step(
        &self,
        tx: &mut Transaction,
        restaurant_id: &str,
        step: &mut Step,
        menu: &Menu,
        menu_version: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        step.mark(menu_version);
        let items = menu.items + step.moved.iter().map(|own| own.listed).sum::<i64>();
        let limit = self.settings.items;
        if items > i64::from(limit) && items > menu.items {
            return Err(StoreError::Full(items.unsigned_abs(), limit));
        }
        if menu_version != menu.version || items != menu.items {
            tx.execute(
                "UPDATE menus_menus SET version = $2, items = $3 WHERE restaurant_id = $1",
                &[restaurant_id.into(), number(menu_version).into(), items.into()],
            )
            .await?;
        }
        self.save(tx, restaurant_id, &step.moved, now).await?;
        self.set_timers(tx, restaurant_id, &step.moved).await
    }

    async fn save(
        &self,
        tx: &mut Transaction,
        restaurant_id: &str,
        moved: &[Moved],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let states: Vec<String> = moved
            .iter()
            .map(|Moved { item, .. }| {
                serde_json::to_string(item).map_err(|why| StoreError::State(item.item_id.clone(), why))
            })
            .collect::<Result<_, _>>()?;
        let rows: Vec<[Value<'_>; 5]> = moved
            .iter()
            .zip(&states)
            .map(|(Moved { item, .. }, state)| {
                [
                    restaurant_id.into(),
                    (&item.item_id).into(),
                    state.into(),
                    i64::from(item.is_plain()).into(),
                    now.micros().into(),
                ]
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO menus_items (restaurant_id, item_id, state, is_plain, changed_at) VALUES {} \
             ON CONFLICT (restaurant_id, item_id) DO UPDATE SET state = excluded.state, is_plain = excluded.is_plain, \
             changed_at = excluded.changed_at",
            sql::list(&rows)
        );
        tx.execute(&sql, rows.as_flattened()).await?;
        Ok(())
    }

    async fn set_timers(
        &self,
        tx: &mut Transaction,
        restaurant_id: &str,
        moved: &[Moved],
    ) -> Result<(), StoreError> {
        let timed: Vec<(String, Vec<(&str, Timestamp)>)> = moved
            .iter()
            .filter(|own| own.is_retimed)
            .map(|Moved { item, .. }| {
                let due = item.due_at().map(|due_at| (super::back::BACK, due_at));
                (super::back::subject(restaurant_id, &item.item_id), due.into_iter().collect())
            })
            .collect();
        let timers: Vec<(&str, &[(&str, Timestamp)])> =
            timed.iter().map(|(subject, timers)| (subject.as_str(), timers.as_slice())).collect();
        self.timers.replace_all(tx, &timers).await?;
        Ok(())
    }
}

pub(super) fn read(row: &Row) -> Result<Item, StoreError> {
    serde_json::from_str(&row.text("state")?)
        .map_err(|why| StoreError::State(row.text("item_id").unwrap_or_default(), why))
}
