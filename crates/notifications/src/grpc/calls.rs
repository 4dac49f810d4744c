//! What clients say on their own feeds, or call by name. Arguments and answers are JSON.
//!
//! Invariant: whose inbox it is says the token, never an argument.

use bytes::Bytes;
use platepal_proto::v1;
use platepal_push::Device;
use platepal_service::{
    domain::Sender,
    grpc::{fields, invalid},
    json::{answer, arguments},
};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use tonic::Status;
use url::Url;

use super::{Notifications, convert, inbox::PAGE, number, store_status};
use crate::{
    rules::{payload, preferences::Preferences},
    store::inbox::Marked,
};

#[derive(Deserialize)]
struct ListArguments {
    #[serde(default)]
    before: u64,
    #[serde(default)]
    limit: u32,
    #[serde(default)]
    unread_only: bool,
}

#[derive(Deserialize)]
struct ReadArguments {
    #[serde(default)]
    ids: Vec<i64>,
    #[serde(default)]
    up_to: i64,
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
struct ShownArguments {
    notification_id: i64,
}

#[derive(Deserialize)]
struct SnoozeArguments {
    /// RFC 3339; `null`: not any more.
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AddressArguments {
    /// As `PushSubscription.toJSON()` gives it.
    Web(WebArguments),
    Fcm(String),
    Apns(String),
}

#[derive(Deserialize)]
struct WebArguments {
    endpoint: Url,
    keys: KeysArguments,
}

#[derive(Deserialize)]
struct KeysArguments {
    p256dh: String,
    auth: String,
}

#[derive(Deserialize)]
struct SubscribeArguments {
    #[serde(flatten)]
    address: AddressArguments,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct UnsubscribeArguments {
    device_id: String,
}

#[derive(Serialize)]
struct ListJson {
    notifications: Vec<Box<RawValue>>,
    more: bool,
    unread_count: i64,
}

impl Notifications {
    pub(super) async fn call_json(
        &self,
        sender: &Sender,
        method: &str,
        data: &[u8],
    ) -> Result<Bytes, Status> {
        let user_id = sender.principal.user_id.as_str();
        match method {
            "list" => self.list_json(user_id, data).await,
            "unread" => {
                let unread = self.store.count_unread(user_id).await.map_err(store_status)?;
                answer(&json!({ "unread_count": unread }))
            }
            "read" => self.read_json(user_id, data).await,
            "clear" => answer(&json!({ "cleared": self.clear(user_id).await? })),
            "shown" => self.shown_json(user_id, data).await,
            "preferences" => self.preferences_json(user_id, data).await,
            "snooze" => self.snooze_json(user_id, data).await,
            "key" => answer(&json!({ "vapid_public_key": self.senders.vapid_public() })),
            "subscribe" => self.subscribe_json(user_id, data).await,
            "unsubscribe" => self.unsubscribe_json(user_id, data).await,
            _ => Err(Status::unimplemented(format!("notifications have no method {method:?}"))),
        }
    }

    async fn list_json(&self, user_id: &str, data: &[u8]) -> Result<Bytes, Status> {
        let asked: ListArguments = arguments(data, r#"{"before":120,"limit":20,"unread_only":true}"#)?;
        let limit = fields::limit("limit", asked.limit, PAGE.0, PAGE.1)?;
        let before = Some(number("before", asked.before)?).filter(|before| *before > 0);
        let listed = self.store.list(user_id, before, asked.unread_only, limit).await;
        let (notifications, more, unread_count) = listed.map_err(store_status)?;
        let notifications = notifications.iter().map(|one| {
            RawValue::from_string(payload::notification(one)).map_err(|why| Status::internal(why.to_string()))
        });
        answer(&ListJson { notifications: notifications.collect::<Result<_, _>>()?, more, unread_count })
    }

    async fn read_json(&self, user_id: &str, data: &[u8]) -> Result<Bytes, Status> {
        let ReadArguments { ids, up_to, all } = arguments(data, r#"{"ids":[41]} or {"all":true}"#)?;
        let up_to = if all { i64::MAX } else { up_to };
        if ids.is_empty() && up_to <= 0 {
            return Err(invalid("ids", "must name at least one, or say all"));
        }
        let Marked { count, unread } = self.mark(user_id, &ids, up_to).await?;
        answer(&json!({ "marked": count, "unread_count": unread }))
    }

    async fn shown_json(&self, user_id: &str, data: &[u8]) -> Result<Bytes, Status> {
        let ShownArguments { notification_id } = arguments(data, r#"{"notification_id":41}"#)?;
        let is_theirs =
            self.store.shown(user_id, notification_id, self.clock.now()).await.map_err(store_status)?;
        if !is_theirs {
            return Err(Status::not_found(format!(
                "there is no notification {notification_id} in this inbox"
            )));
        }
        Ok(Bytes::from_static(b"{}"))
    }

    /// Reads them, or replaces them when there are arguments. The same JSON both ways.
    async fn preferences_json(&self, user_id: &str, data: &[u8]) -> Result<Bytes, Status> {
        let asked: serde_json::Map<String, serde_json::Value> = arguments(data, "{}")?;
        if asked.is_empty() {
            return answer(&self.store.preferences(user_id).await.map_err(store_status)?);
        }
        let shape = r#"{"muted":{"PROMOTIONS":["PUSH"]},"quiet_hours":{"from":1320,"to":420},"time_zone":"Europe/Helsinki","language":"en"}"#;
        let preferences: Preferences = arguments(data, shape)?;
        // The same checks as on the other way.
        let preferences = convert::preferences(convert::preferences_message(preferences))?;
        answer(&self.store.set_preferences(user_id, |_| preferences).await.map_err(store_status)?)
    }

    async fn snooze_json(&self, user_id: &str, data: &[u8]) -> Result<Bytes, Status> {
        let SnoozeArguments { until } = arguments(data, r#"{"until":"2026-11-24T18:00:00Z"}"#)?;
        let until = until.map(|text| text.parse()).transpose().map_err(|why| invalid("until", why))?;
        self.store.snooze(user_id, until).await.map_err(store_status)?;
        Ok(Bytes::from_static(b"{}"))
    }

    async fn subscribe_json(&self, user_id: &str, data: &[u8]) -> Result<Bytes, Status> {
        let shape = r#"{"web":{"endpoint":"https://…","keys":{"p256dh":"…","auth":"…"}},"name":"Firefox"}, {"fcm":"…"} or {"apns":"…"}"#;
        let SubscribeArguments { address, name } = arguments(data, shape)?;
        let device = match address {
            AddressArguments::Web(WebArguments { endpoint, keys: KeysArguments { p256dh, auth } }) => {
                Device::Web { endpoint, p256dh, auth }
            }
            AddressArguments::Fcm(token) => Device::Fcm { token },
            AddressArguments::Apns(token) => Device::Apns { token },
        };
        answer(&json!({ "device_id": self.register(user_id, device, &name).await? }))
    }

    async fn unsubscribe_json(&self, user_id: &str, data: &[u8]) -> Result<Bytes, Status> {
        let UnsubscribeArguments { device_id } = arguments(data, r#"{"device_id":"…"}"#)?;
        let request = v1::RemoveDeviceRequest { user_id: user_id.to_owned(), device_id };
        let v1::RemoveDeviceResponse { existed } = self.remove_device(request).await?;
        answer(&json!({ "existed": existed }))
    }
}
