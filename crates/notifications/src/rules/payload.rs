//! What devices, pushes and Django are told, as JSON.
//!
//! A notification's keys are Django's: `type title message data is_read read_at`; ids that are whole numbers are written as
//! numbers.

use platepal_events::{Timestamp, WireId};
use serde::Serialize;
use serde_json::value::RawValue;

use super::kinds::{Category, Priority};

/// A notification as it is now. Moments are in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notification {
    pub(crate) id: i64,
    pub(crate) user_id: String,
    pub(crate) sequence: i64,
    pub(crate) kind: String,
    pub(crate) category: Category,
    pub(crate) priority: Priority,
    pub(crate) title: String,
    pub(crate) message: String,
    /// A JSON object.
    pub(crate) data: String,
    pub(crate) dedupe_key: Option<String>,
    pub(crate) collapse_key: String,
    /// Seconds.
    pub(crate) ttl: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) read_at: Option<i64>,
}

#[derive(Serialize)]
struct NotificationJson<'a> {
    id: i64,
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    message: &'a str,
    data: Option<&'a RawValue>,
    is_read: bool,
    read_at: Option<String>,
    created_at: String,
    category: &'static str,
    priority: &'static str,
    sequence: i64,
}

#[derive(Serialize)]
struct ToldJson<'a> {
    #[serde(flatten)]
    notification: NotificationJson<'a>,
    unread_count: i64,
    /// Those whose place it takes.
    #[serde(skip_serializing_if = "<[i64]>::is_empty")]
    replaces: &'a [i64],
}

#[derive(Serialize)]
struct ReadJson<'a> {
    ids: &'a [i64],
    /// All up to and with this place in the inbox, too.
    up_to: i64,
    unread_count: i64,
    read_at: String,
}

#[derive(Serialize)]
struct ClearedJson {
    up_to: i64,
    unread_count: i64,
}

#[derive(Serialize)]
struct HandedJson<'a> {
    user_id: WireId<'a>,
    language: &'a str,
    notification: NotificationJson<'a>,
}

fn json(value: &impl Serialize) -> String {
    // Serialising what holds no map with keys that are not text can't fail.
    serde_json::to_string(value).unwrap_or_default()
}

fn shape(notification: &Notification) -> NotificationJson<'_> {
    let moment = |micros| Timestamp::from_micros(micros).to_string();
    NotificationJson {
        id: notification.id,
        kind: &notification.kind,
        title: &notification.title,
        message: &notification.message,
        data: serde_json::from_str(&notification.data).ok(),
        is_read: notification.read_at.is_some(),
        read_at: notification.read_at.map(moment),
        created_at: moment(notification.created_at),
        category: notification.category.word(),
        priority: notification.priority.word(),
        sequence: notification.sequence,
    }
}

/// A notification in a list.
pub(crate) fn notification(notification: &Notification) -> String {
    json(&shape(notification))
}

/// A new one.
pub(crate) fn told(notification: &Notification, unread_count: i64, replaces: &[i64]) -> String {
    json(&ToldJson { notification: shape(notification), unread_count, replaces })
}

/// Some were read.
pub(crate) fn read(ids: &[i64], up_to: i64, unread_count: i64, at: Timestamp) -> String {
    json(&ReadJson { ids, up_to, unread_count, read_at: at.to_string() })
}

/// What was read up to a place is gone.
pub(crate) fn cleared(up_to: i64, unread_count: i64) -> String {
    json(&ClearedJson { up_to, unread_count })
}

/// For Django to send.
pub(crate) fn handed(notification: &Notification, language: &str) -> String {
    json(&HandedJson { user_id: WireId(&notification.user_id), language, notification: shape(notification) })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> Notification {
        Notification {
            id: 41,
            user_id: "7".into(),
            sequence: 3,
            kind: "ORDER_ACCEPTED".into(),
            category: Category::Orders,
            priority: Priority::Normal,
            title: "Order accepted".into(),
            message: "Yes".into(),
            data: r#"{"order_id":5012}"#.into(),
            dedupe_key: None,
            collapse_key: "order:5012".into(),
            ttl: None,
            created_at: 1_795_519_800_123_456,
            read_at: None,
        }
    }

    #[test]
    fn the_shapes() {
        let at = Timestamp::from_micros(1_795_519_800_123_456);
        let shapes =
            [told(&example(), 2, &[40]), read(&[41], 0, 1, at), cleared(3, 1), handed(&example(), "en")];
        insta::assert_snapshot!(shapes.join("\n"), @r#"
        {"id":41,"type":"ORDER_ACCEPTED","title":"Order accepted","message":"Yes","data":{"order_id":5012},"is_read":false,"read_at":null,"created_at":"2026-11-24T11:30:00.123456+00:00","category":"ORDERS","priority":"normal","sequence":3,"unread_count":2,"replaces":[40]}
        {"ids":[41],"up_to":0,"unread_count":1,"read_at":"2026-11-24T11:30:00.123456+00:00"}
        {"up_to":3,"unread_count":1}
        {"user_id":7,"language":"en","notification":{"id":41,"type":"ORDER_ACCEPTED","title":"Order accepted","message":"Yes","data":{"order_id":5012},"is_read":false,"read_at":null,"created_at":"2026-11-24T11:30:00.123456+00:00","category":"ORDERS","priority":"normal","sequence":3}}
        "#);
    }
}
