//! What becomes due: SLA timers, and restaurants that reject too often.

use platepal_events::{Channel, ChannelKind, EventId, EventType, Timestamp};
use platepal_service::{outbox::Letter, sql::Transaction, timers::Timer};
use serde_json::json;

use super::{Store, StoreError};
use crate::rules::{
    deadlines::{ACCEPTANCE, COMPLETION, WARNING},
    envelope,
    order::{Order, Update},
};

impl Store {
    /// Remembers a restaurant's own minutes, and settles an order's when it is accepted.
    pub(super) async fn settle_sla(
        &self,
        tx: &mut Transaction,
        order: &mut Order,
        update: &Update,
    ) -> Result<(), StoreError> {
        let Some(restaurant) = order.restaurant.as_ref().map(|learned| learned.id.clone()) else {
            return Ok(());
        };
        if let Some(minutes) = update.sla_minutes {
            tx.execute(
                "INSERT INTO orders_restaurants (restaurant_id, sla_minutes, alerted_at) VALUES ($1, $2, NULL) \
                 ON CONFLICT (restaurant_id) DO UPDATE SET sla_minutes = $2",
                &[(&restaurant).into(), i64::from(minutes).into()],
            )
            .await?;
        } else if order.sla_minutes.is_none() && order.accepted_at.is_some() {
            let sql = "SELECT sla_minutes FROM orders_restaurants WHERE restaurant_id = $1";
            let row = tx.row(sql, &[(&restaurant).into()]).await?;
            let minutes = row.map(|row| row.maybe_int("sla_minutes")).transpose()?.flatten();
            order.sla_minutes = minutes.and_then(|minutes| u32::try_from(minutes).ok());
        }
        Ok(())
    }

    /// Counts a rejected order; the stream of the alert, if this one raises it.
    pub(super) async fn count_rejection(
        &self,
        tx: &mut Transaction,
        order: &Order,
        now: Timestamp,
    ) -> Result<Option<Channel>, StoreError> {
        let Some(restaurant) = order.restaurant.as_ref().map(|learned| learned.id.clone()) else {
            return Ok(None);
        };
        // Also locks the restaurant: two rejections at once don't both miss, or both raise, the alert.
        let row = tx
            .row(
                "INSERT INTO orders_restaurants (restaurant_id, sla_minutes, alerted_at) VALUES ($1, NULL, NULL) \
                 ON CONFLICT (restaurant_id) DO UPDATE SET alerted_at = orders_restaurants.alerted_at \
                 RETURNING alerted_at",
                &[(&restaurant).into()],
            )
            .await?;
        let alerted_at = row.map(|row| row.maybe_int("alerted_at")).transpose()?.flatten();
        tx.execute(
            "INSERT INTO orders_rejections (restaurant_id, order_id, at) VALUES ($1, $2, $3) \
             ON CONFLICT (restaurant_id, order_id) DO NOTHING",
            &[(&restaurant).into(), (&order.order_id).into(), now.micros().into()],
        )
        .await?;
        let since = self.window_start(now).micros();
        let row = tx
            .row(
                "SELECT COUNT(*) AS rejected FROM orders_rejections WHERE restaurant_id = $1 AND at > $2",
                &[(&restaurant).into(), since.into()],
            )
            .await?;
        let rejected = row.map(|row| row.int("rejected")).transpose()?.unwrap_or_default();
        if rejected < i64::from(self.settings.rejections) || alerted_at.is_some_and(|at| at > since) {
            return Ok(None);
        }
        let stream = Channel::new(ChannelKind::Restaurant, &restaurant)?;
        let channels = vec![stream.clone(), Channel::new(ChannelKind::Admin, "")?];
        let hours = self.settings.rejection_window.as_secs() / 3600;
        let payload =
            json!({"restaurant_id": restaurant, "rejections": rejected, "window_hours": hours}).to_string();
        let id =
            EventId::derived(&["restaurant.high_rejection_rate", &restaurant, &now.micros().to_string()]);
        let event = envelope::about_restaurant(
            id,
            EventType::named("restaurant.high_rejection_rate"),
            now,
            &restaurant,
            &payload,
        );
        self.outbox.put(tx, &Letter { stream: stream.clone(), event, channels }, now).await?;
        tx.execute(
            "UPDATE orders_restaurants SET alerted_at = $2 WHERE restaurant_id = $1",
            &[(&restaurant).into(), now.micros().into()],
        )
        .await?;
        metrics::counter!("realtime_orders_rejection_alerts_total").increment(1);
        Ok(Some(stream))
    }

    /// Fires a timer; the stream in which its event waits, or `None` if it fired or was cancelled meanwhile.
    pub(crate) async fn fire(&self, timer: &Timer, now: Timestamp) -> Result<Option<Channel>, StoreError> {
        let mut tx = self.database.begin().await?;
        let held = self.lock(&mut tx, &timer.subject).await?;
        if !self.timers.take(&mut tx, timer).await? {
            return Ok(None);
        }
        let Some(mut order) = held else {
            tx.commit().await?;
            return Ok(None);
        };
        let name = timer.name.as_str();
        order.fired.push(name.to_owned());
        self.save(&mut tx, &order, None, now).await?;

        let restaurant = order.restaurant.as_ref().map(|learned| learned.id.as_str());
        let limits = self.settings.limits();
        let allowed =
            if name == ACCEPTANCE { limits.acceptance_millis } else { limits.completion_millis(&order) };
        let payload = json!({
            "order_id": order.order_id,
            "restaurant_id": restaurant,
            "kind": if name == ACCEPTANCE { ACCEPTANCE } else { COMPLETION },
            "status": order.status.word(),
            "sla_minutes": allowed / 60_000,
            "due_at": timer.due_at.to_string(),
        });
        let type_name = if name == WARNING { "order.sla_warning" } else { "sla_breach" };
        let id = EventId::derived(&["orders", type_name, name, &order.order_id]);
        let event =
            envelope::about_order(id, EventType::named(type_name), now, &order, &payload.to_string(), "");
        let mut channels = Vec::new();
        if let Some(id) = restaurant {
            channels.push(Channel::new(ChannelKind::Restaurant, id)?);
        }
        // A warning is the restaurant's; a breach is everybody's who runs the place.
        if name != WARNING || channels.is_empty() {
            channels.push(Channel::new(ChannelKind::Admin, "")?);
        }
        let stream = Channel::new(ChannelKind::Order, &order.order_id)?;
        self.outbox.put(&mut tx, &Letter { stream: stream.clone(), event, channels }, now).await?;
        tx.commit().await?;
        metrics::counter!("realtime_orders_timers_fired_total", "timer" => timer.name.clone()).increment(1);
        Ok(Some(stream))
    }
}
