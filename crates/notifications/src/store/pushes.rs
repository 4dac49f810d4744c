//! Pushes to send: taken by one process at a time, tried again, given up.
//!
//! Taking a push moves its time on by the lease, in one statement: whoever crashes while sending leaves it to the next
//! after that. A push that was sent and not noted is sent again, under the same topic: on a device that was not reached
//! one takes the other's place.

use platepal_events::{Timestamp, millis};
use platepal_push::{Outcome, Push, Urgency};
use platepal_service::timers::Timer;
use serde_json::Value;
use std::time::Duration;

use super::{
    Store, StoreError,
    deliveries::State,
    devices::{self, Registered},
    inbox::{NOTIFICATION, PUSH, SMS, read},
};
use crate::rules::{
    kinds::{Priority, Way},
    payload::Notification,
    retry,
};

/// A push that this process sends now.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) notification: Notification,
    pub(crate) device: Registered,
    pub(crate) attempts: i64,
}

impl Taken {
    /// What is pushed.
    pub(crate) fn push(&self) -> Push {
        let notification = &self.notification;
        let topic = match notification.collapse_key.as_str() {
            // A repeat of the same push takes its own place.
            "" => format!("notification:{}", notification.id),
            key => key.to_owned(),
        };
        Push {
            id: notification.id.to_string(),
            title: notification.title.clone(),
            body: notification.message.clone(),
            data: serde_json::from_str(&notification.data).unwrap_or(Value::Null),
            topic: Some(topic),
            urgency: match notification.priority {
                Priority::Low => Urgency::Low,
                Priority::Normal => Urgency::Normal,
                Priority::High => Urgency::High,
            },
            ttl: notification.ttl.map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
        }
    }
}

impl Store {
    /// What a timer says is due: a push goes to each device unless it was read or shown; a text message is handed over.
    /// `is_connected`: a socket of the user's is open. False: somebody else has fired it, or it was cancelled.
    pub(crate) async fn fire_way(
        &self,
        timer: &Timer,
        user_id: &str,
        is_connected: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let id = id_of(timer);
        let mut tx = self.database.begin().await?;
        let user = self.lock_user(&mut tx, user_id).await?;
        let row = tx.row(&format!("{NOTIFICATION} WHERE id = $1"), &[id.into()]).await?;
        if !self.timers.take(&mut tx, timer).await? {
            return Ok(false);
        }
        let Some(row) = row else {
            tx.commit().await?;
            return Ok(false);
        };
        let (notification, shown) = (read(&row)?, row.maybe_int("shown_at")?.is_some());
        let way = if timer.name == SMS { Way::Sms } else { Way::Push };
        debug_assert!(timer.name == SMS || timer.name == PUSH);
        let reached = match () {
            () if notification.read_at.is_some() => Some("it was read before"),
            () if way == Way::Push && shown => Some("a device has shown it"),
            () if way == Way::Push && is_connected => Some("a socket of the user's was open"),
            () => None,
        };
        match (reached, way) {
            (Some(why), way) => {
                self.note(&mut tx, id, (way, ""), (State::Skipped, why), 0, now).await?;
                if is_connected && !shown {
                    self.note(&mut tx, id, (Way::Socket, ""), (State::Shown, "a socket was open"), 1, now)
                        .await?;
                }
            }
            (None, Way::Sms) => {
                self.hand_over(&mut tx, &notification, way, &user.preferences.language, now).await?;
            }
            (None, _) => {
                let sql = "SELECT device_id FROM notifications_devices WHERE user_id = $1 ORDER BY device_id";
                let devices = tx.rows(sql, &[user_id.into()]).await?;
                if devices.is_empty() {
                    self.note(&mut tx, id, (way, ""), (State::Skipped, "the user has no device"), 0, now)
                        .await?;
                } else {
                    tx.execute(
                        "DELETE FROM notifications_deliveries WHERE notification_id = $1 AND way = $2 AND device_id = ''",
                        &[id.into(), way.word().into()],
                    )
                    .await?;
                }
                for row in &devices {
                    let device_id = row.text("device_id")?;
                    tx.execute(
                        "INSERT INTO notifications_pushes (notification_id, device_id, due_at, attempts) \
                         VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING",
                        &[id.into(), (&device_id).into(), now.micros().into()],
                    )
                    .await?;
                    self.note(&mut tx, id, (way, &device_id), (State::Waiting, ""), 0, now).await?;
                }
            }
        }
        tx.commit().await?;
        self.feed.wake();
        Ok(true)
    }

    /// Takes a timer of a notification that is gone.
    pub(crate) async fn drop_timer(&self, timer: &Timer) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        self.timers.take(&mut tx, timer).await?;
        Ok(tx.commit().await?)
    }

    /// Whose notification a timer is of.
    pub(crate) async fn user_of(&self, timer: &Timer) -> Result<Option<String>, StoreError> {
        let sql = "SELECT user_id FROM notifications_inbox WHERE id = $1";
        let rows = self.database.rows(sql, &[id_of(timer).into()]).await?;
        Ok(rows.first().map(|row| row.text("user_id")).transpose()?)
    }

    /// Takes pushes that are due, for as long as the lease.
    pub(crate) async fn take_pushes(&self, limit: usize, now: Timestamp) -> Result<Vec<Taken>, StoreError> {
        let until = now.plus_millis(millis(self.settings.push_lease));
        let mut tx = self.database.begin().await?;
        let skip = if tx.for_update().is_empty() { "" } else { " FOR UPDATE SKIP LOCKED" };
        let sql = format!(
            "UPDATE notifications_pushes SET due_at = $1, attempts = attempts + 1 WHERE (notification_id, device_id) IN \
             (SELECT notification_id, device_id FROM notifications_pushes WHERE due_at <= $2 ORDER BY due_at LIMIT $3{skip}) \
             RETURNING notification_id, device_id, attempts"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = tx.rows(&sql, &[until.micros().into(), now.micros().into(), limit.into()]).await?;
        let mut taken = Vec::with_capacity(rows.len());
        for row in &rows {
            let (id, device_id, attempts) =
                (row.int("notification_id")?, row.text("device_id")?, row.int("attempts")?);
            let sql = format!("{NOTIFICATION} WHERE id = $1 AND read_at IS NULL");
            let notification = tx.row(&sql, &[id.into()]).await?;
            let sql =
                "SELECT device_id, address, name, added_at FROM notifications_devices WHERE device_id = $1";
            let device = tx.row(sql, &[(&device_id).into()]).await?;
            match (notification, device) {
                (Some(notification), Some(device)) => taken.push(Taken {
                    notification: read(&notification)?,
                    device: devices::read(&device)?,
                    attempts,
                }),
                (notification, _) => {
                    let why =
                        if notification.is_none() { "it was read before" } else { "the device is gone" };
                    self.end_push(&mut tx, id, &device_id, (State::Skipped, why), attempts, now).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Notes what became of an attempt.
    pub(crate) async fn pushed(
        &self,
        taken: &Taken,
        outcome: &Outcome,
        jitter: f64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (id, device_id, attempts) = (taken.notification.id, &taken.device.device_id, taken.attempts);
        let mut tx = self.database.begin().await?;
        match outcome {
            Outcome::Sent { .. } => {
                self.end_push(&mut tx, id, device_id, (State::Sent, ""), attempts, now).await?
            }
            Outcome::Gone => {
                let sql = "DELETE FROM notifications_devices WHERE device_id = $1";
                tx.execute(sql, &[device_id.into()]).await?;
                let why = "the device is no longer subscribed";
                self.end_push(&mut tx, id, device_id, (State::Failed, why), attempts, now).await?;
            }
            Outcome::Refused { why } => {
                self.end_push(&mut tx, id, device_id, (State::Failed, why), attempts, now).await?;
            }
            Outcome::Later { after, why } => {
                let asked = after.map(millis);
                match retry::wait(attempts, i64::from(self.settings.push_attempts), asked, jitter) {
                    Some(wait) => {
                        let sql = "UPDATE notifications_pushes SET due_at = $3 WHERE notification_id = $1 AND device_id = $2";
                        let due_at = now.plus_millis(wait).micros();
                        tx.execute(sql, &[id.into(), device_id.into(), due_at.into()]).await?;
                        self.note(&mut tx, id, (Way::Push, device_id), (State::Waiting, why), attempts, now)
                            .await?;
                    }
                    None => {
                        self.end_push(&mut tx, id, device_id, (State::Failed, why), attempts, now).await?
                    }
                }
            }
        }
        tx.commit().await?;
        Ok(())
    }

    async fn end_push(
        &self,
        tx: &mut platepal_service::sql::Transaction,
        id: i64,
        device_id: &str,
        state: (State, &str),
        attempts: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM notifications_pushes WHERE notification_id = $1 AND device_id = $2";
        tx.execute(sql, &[id.into(), device_id.into()]).await?;
        self.note(tx, id, (Way::Push, device_id), state, attempts, now).await
    }
}

/// The notification that a timer is of; none has the number 0.
fn id_of(timer: &Timer) -> i64 {
    timer.subject.parse().unwrap_or_default()
}
