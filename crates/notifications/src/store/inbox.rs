//! The inbox: a notification comes, is listed, read, cleared.

use std::collections::BTreeSet;

use platepal_events::{Channel, Timestamp, millis};
use platepal_service::{
    feed::Entry,
    sql::{Row, Transaction},
};

use super::{Store, StoreError, User};
use crate::{
    rules::{
        kinds::{Category, Priority, Way},
        payload::{self, Notification},
        plan::{Case, Plan},
        quiet,
        templates::Templates,
    },
    store::deliveries::State,
};

/// The timer at whose end a notification is pushed.
pub(super) const PUSH: &str = "push";
/// The timer at whose end a text message is handed over.
pub(super) const SMS: &str = "sms";

/// A notification to make.
#[derive(Debug, Clone)]
pub(crate) struct New {
    pub(crate) user_id: String,
    pub(crate) kind: String,
    pub(crate) category: Category,
    pub(crate) priority: Priority,
    /// Title and message; `None`: those of the templates.
    pub(crate) words: Option<(String, String)>,
    pub(crate) data: serde_json::Map<String, serde_json::Value>,
    pub(crate) dedupe_key: Option<String>,
    pub(crate) collapse_key: String,
    pub(crate) ways: BTreeSet<Way>,
    /// Seconds.
    pub(crate) ttl: Option<i64>,
    pub(crate) traceparent: String,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) notification: Notification,
    /// It was made before.
    pub(crate) duplicate: bool,
    pub(crate) stream: Channel,
}

/// What was marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) count: u64,
    pub(crate) unread: i64,
}

pub(super) const NOTIFICATION: &str = "SELECT id, user_id, sequence, kind, category, priority, title, message, data, dedupe_key, \
     collapse_key, ttl, created_at, read_at, shown_at FROM notifications_inbox";

pub(super) fn read(row: &Row) -> Result<Notification, StoreError> {
    let id = row.int("id")?;
    Ok(Notification {
        id,
        user_id: row.text("user_id")?,
        sequence: row.int("sequence")?,
        kind: row.text("kind")?,
        category: Category::from_word(&row.text("category")?).ok_or(StoreError::Word(id))?,
        priority: Priority::from_word(&row.text("priority")?).ok_or(StoreError::Word(id))?,
        title: row.text("title")?,
        message: row.text("message")?,
        data: row.text("data")?,
        dedupe_key: row.maybe_text("dedupe_key")?,
        collapse_key: row.text("collapse_key")?,
        ttl: row.maybe_int("ttl")?,
        created_at: row.int("created_at")?,
        read_at: row.maybe_int("read_at")?,
    })
}

impl Store {
    /// Keeps a notification and all that follows from it.
    pub(crate) async fn make(
        &self,
        new: New,
        templates: &Templates,
        now: Timestamp,
    ) -> Result<Made, StoreError> {
        let id = self.ids.one().await?;
        let mut tx = self.database.begin().await?;
        let made = self.make_in(&mut tx, id, new, templates, now).await?;
        tx.commit().await?;
        self.feed.wake();
        Ok(made)
    }

    async fn make_in(
        &self,
        tx: &mut Transaction,
        id: i64,
        new: New,
        templates: &Templates,
        now: Timestamp,
    ) -> Result<Made, StoreError> {
        let mut user = self.lock_user(tx, &new.user_id).await?;
        if let Some(made) = self.made_before(tx, &new).await? {
            return Ok(made);
        }
        let replaced = self.collapse(tx, &mut user, &new.collapse_key).await?;
        let (title, message) = match new.words {
            Some(words) => words,
            None => templates.say(&new.kind, &user.preferences.language, &new.data),
        };
        user.sequence += 1;
        user.unread += 1;
        let notification = Notification {
            id,
            user_id: new.user_id,
            sequence: user.sequence,
            kind: new.kind,
            category: new.category,
            priority: new.priority,
            title,
            message,
            data: serde_json::Value::from(new.data).to_string(),
            dedupe_key: new.dedupe_key,
            collapse_key: new.collapse_key,
            ttl: new.ttl,
            created_at: now.micros(),
            read_at: None,
        };
        self.insert(tx, &notification).await?;
        self.plan(tx, &mut user, &notification, &new.ways, now).await?;
        self.save_user(tx, &user).await?;
        let told = ("notification", payload::told(&notification, user.unread, &replaced));
        let stream = self.put_event(tx, &notification.user_id, told, &new.traceparent, now).await?;
        Ok(Made { notification, duplicate: false, stream })
    }

    async fn made_before(&self, tx: &mut Transaction, new: &New) -> Result<Option<Made>, StoreError> {
        let Some(key) = &new.dedupe_key else { return Ok(None) };
        let stream = Channel::new(platepal_events::ChannelKind::Inbox, &new.user_id)?;
        let sql = format!("{NOTIFICATION} WHERE user_id = $1 AND dedupe_key = $2");
        if let Some(row) = tx.row(&sql, &[(&new.user_id).into(), key.into()]).await? {
            return Ok(Some(Made { notification: read(&row)?, duplicate: true, stream }));
        }
        let sql = "SELECT id FROM notifications_seen WHERE user_id = $1 AND dedupe_key = $2";
        let Some(row) = tx.row(sql, &[(&new.user_id).into(), key.into()]).await? else { return Ok(None) };
        // It is gone; its number is all that is left.
        let notification = Notification {
            id: row.int("id")?,
            user_id: new.user_id.clone(),
            sequence: 0,
            kind: new.kind.clone(),
            category: new.category,
            priority: new.priority,
            title: String::new(),
            message: String::new(),
            data: "{}".to_owned(),
            dedupe_key: Some(key.clone()),
            collapse_key: new.collapse_key.clone(),
            ttl: None,
            created_at: 0,
            read_at: None,
        };
        Ok(Some(Made { notification, duplicate: true, stream }))
    }

    /// Takes away the unread ones whose place a new one takes.
    async fn collapse(
        &self,
        tx: &mut Transaction,
        user: &mut User,
        key: &str,
    ) -> Result<Vec<i64>, StoreError> {
        if key.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "{NOTIFICATION} WHERE user_id = $1 AND read_at IS NULL AND collapse_key = $2 ORDER BY sequence"
        );
        let rows = tx.rows(&sql, &[(&user.user_id).into(), key.into()]).await?;
        let mut ids = Vec::with_capacity(rows.len());
        for row in &rows {
            let notification = read(row)?;
            self.remove(tx, &notification).await?;
            user.unread -= 1;
            ids.push(notification.id);
        }
        Ok(ids)
    }

    /// Deletes a notification and what was still to go out; its key stays known.
    pub(super) async fn remove(
        &self,
        tx: &mut Transaction,
        notification: &Notification,
    ) -> Result<(), StoreError> {
        let id = notification.id;
        if let Some(key) = &notification.dedupe_key {
            tx.execute(
                "INSERT INTO notifications_seen (user_id, dedupe_key, id, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                &[(&notification.user_id).into(), key.into(), id.into(), notification.created_at.into()],
            )
            .await?;
        }
        tx.execute("DELETE FROM notifications_inbox WHERE id = $1", &[id.into()]).await?;
        tx.execute("DELETE FROM notifications_pushes WHERE notification_id = $1", &[id.into()]).await?;
        self.timers.replace(tx, &id.to_string(), &[]).await?;
        Ok(())
    }

    async fn insert(&self, tx: &mut Transaction, notification: &Notification) -> Result<(), StoreError> {
        tx.execute(
            "INSERT INTO notifications_inbox (id, user_id, sequence, kind, category, priority, title, message, data, \
             dedupe_key, collapse_key, ttl, created_at, read_at, shown_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, NULL, NULL)",
            &[
                notification.id.into(),
                (&notification.user_id).into(),
                notification.sequence.into(),
                (&notification.kind).into(),
                notification.category.word().into(),
                notification.priority.word().into(),
                (&notification.title).into(),
                (&notification.message).into(),
                (&notification.data).into(),
                platepal_service::sql::Value::Text(notification.dedupe_key.as_deref()),
                (&notification.collapse_key).into(),
                notification.ttl.into(),
                notification.created_at.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Plans what leaves the inbox: timers for what waits, the feed for what Django sends at once.
    async fn plan(
        &self,
        tx: &mut Transaction,
        user: &mut User,
        notification: &Notification,
        ways: &BTreeSet<Way>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let today = quiet::day(now, user.preferences.zone());
        if user.promo_day != today {
            (user.promo_day, user.promo_count) = (today, 0);
        }
        let case = Case {
            category: notification.category,
            priority: notification.priority,
            preferences: &user.preferences,
            promotions_today: user.promo_count,
            promotions_max: i64::from(self.settings.promotions),
            grace_millis: millis(self.settings.grace),
            now,
        };
        let mut timers = Vec::new();
        let mut goes_out = false;
        for way in ways {
            let plan = case.plan(*way);
            goes_out |= matches!(plan, Plan::At(_));
            match (way, plan) {
                (_, Plan::Skip(why)) => {
                    self.note(tx, notification.id, (*way, ""), (State::Skipped, why), 0, now).await?;
                }
                (Way::Push, Plan::At(at)) => {
                    timers.push((PUSH, at));
                    self.note(tx, notification.id, (Way::Push, ""), (State::Waiting, ""), 0, now).await?;
                }
                (Way::Sms, Plan::At(at)) if at > now => {
                    timers.push((SMS, at));
                    self.note(tx, notification.id, (Way::Sms, ""), (State::Waiting, ""), 0, now).await?;
                }
                (Way::Sms | Way::Email, Plan::At(_)) => {
                    self.hand_over(tx, notification, *way, &user.preferences.language, now).await?;
                }
                (Way::Socket, Plan::At(_)) => {}
            }
        }
        if goes_out && notification.category == Category::Promotions {
            user.promo_count += 1;
        }
        self.timers.replace(tx, &notification.id.to_string(), &timers).await?;
        Ok(())
    }

    /// Puts an e-mail or a text message into Django's feed.
    pub(super) async fn hand_over(
        &self,
        tx: &mut Transaction,
        notification: &Notification,
        way: Way,
        language: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let payload = payload::handed(notification, language);
        let entry = Entry { subject: &notification.user_id, kind: way.word(), payload: &payload, at: now };
        self.feed.put(tx, entry).await?;
        self.note(tx, notification.id, (way, ""), (State::Sent, "handed over to Django"), 1, now).await
    }

    /// A page of an inbox, the newest first; whether there are more; how many are unread.
    pub(crate) async fn list(
        &self,
        user_id: &str,
        before: Option<i64>,
        unread_only: bool,
        limit: usize,
    ) -> Result<(Vec<Notification>, bool, i64), StoreError> {
        let unread = self.count_unread(user_id).await?;
        let only = if unread_only { " AND read_at IS NULL" } else { "" };
        let sql = format!(
            "{NOTIFICATION} WHERE user_id = $1 AND sequence < $2{only} ORDER BY sequence DESC LIMIT $3"
        );
        let most = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
        let before = before.unwrap_or(i64::MAX);
        let rows = self.database.rows(&sql, &[user_id.into(), before.into(), most.into()]).await?;
        let mut notifications = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let more = notifications.len() > limit;
        notifications.truncate(limit);
        Ok((notifications, more, unread))
    }

    pub(crate) async fn count_unread(&self, user_id: &str) -> Result<i64, StoreError> {
        let sql = "SELECT unread FROM notifications_users WHERE user_id = $1";
        let rows = self.database.rows(sql, &[user_id.into()]).await?;
        Ok(rows.first().map(|row| row.int("unread")).transpose()?.unwrap_or_default())
    }

    /// Marks these as read, and all up to a place in the inbox; what is not unread is left alone. The stream to drain.
    pub(crate) async fn mark_read(
        &self,
        user_id: &str,
        ids: &[i64],
        up_to: i64,
        (traceparent, now): (&str, Timestamp),
    ) -> Result<(Marked, Option<Channel>), StoreError> {
        let mut tx = self.database.begin().await?;
        let mut user = self.lock_user(&mut tx, user_id).await?;
        let mut count = 0;
        if up_to > 0 {
            let sql = "UPDATE notifications_inbox SET read_at = $3 WHERE user_id = $1 AND read_at IS NULL AND sequence <= $2";
            count += tx.execute(sql, &[user_id.into(), up_to.into(), now.micros().into()]).await?;
        }
        for id in ids {
            let sql = "UPDATE notifications_inbox SET read_at = $3 WHERE user_id = $1 AND id = $2 AND read_at IS NULL";
            count += tx.execute(sql, &[user_id.into(), (*id).into(), now.micros().into()]).await?;
        }
        user.unread -= i64::try_from(count).unwrap_or_default();
        let marked = Marked { count, unread: user.unread };
        if count == 0 {
            return Ok((marked, None));
        }
        self.save_user(&mut tx, &user).await?;
        let told = ("notification_read", payload::read(ids, up_to, user.unread, now));
        let stream = self.put_event(&mut tx, user_id, told, traceparent, now).await?;
        tx.commit().await?;
        Ok((marked, Some(stream)))
    }

    /// Deletes what was read; how many, and the stream to drain.
    pub(crate) async fn clear_read(
        &self,
        user_id: &str,
        (traceparent, now): (&str, Timestamp),
    ) -> Result<(u64, Option<Channel>), StoreError> {
        let mut tx = self.database.begin().await?;
        let user = self.lock_user(&mut tx, user_id).await?;
        tx.execute(
            "INSERT INTO notifications_seen (user_id, dedupe_key, id, at) SELECT user_id, dedupe_key, id, created_at \
             FROM notifications_inbox WHERE user_id = $1 AND read_at IS NOT NULL AND dedupe_key IS NOT NULL \
             ON CONFLICT DO NOTHING",
            &[user_id.into()],
        )
        .await?;
        let sql = "DELETE FROM notifications_inbox WHERE user_id = $1 AND read_at IS NOT NULL";
        let cleared = tx.execute(sql, &[user_id.into()]).await?;
        if cleared == 0 {
            return Ok((0, None));
        }
        let told = ("notification_cleared", payload::cleared(user.sequence, user.unread));
        let stream = self.put_event(&mut tx, user_id, told, traceparent, now).await?;
        tx.commit().await?;
        Ok((cleared, Some(stream)))
    }

    /// Notes that a device of the user's has shown a notification: it is not pushed any more. False: it is not the user's.
    pub(crate) async fn shown(&self, user_id: &str, id: i64, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.database.begin().await?;
        self.lock_user(&mut tx, user_id).await?;
        let sql =
            "UPDATE notifications_inbox SET shown_at = COALESCE(shown_at, $3) WHERE user_id = $1 AND id = $2";
        let is_theirs = tx.execute(sql, &[user_id.into(), id.into(), now.micros().into()]).await? > 0;
        if is_theirs {
            self.note(&mut tx, id, (Way::Socket, ""), (State::Shown, "a device says so"), 1, now).await?;
        }
        tx.commit().await?;
        Ok(is_theirs)
    }
}
