//! What a user may be pushed to.

use platepal_events::{EventId, Timestamp};
use platepal_push::Device;
use platepal_service::sql::Row;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Store, StoreError};

/// A device of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) device_id: String,
    pub(crate) device: Device,
    pub(crate) name: String,
    pub(crate) added_at: i64,
}

/// How a device is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Address {
    Web { endpoint: Url, p256dh: String, auth: String },
    Fcm { token: String },
    Apns { token: String },
}

impl From<Device> for Address {
    fn from(device: Device) -> Self {
        match device {
            Device::Web { endpoint, p256dh, auth } => Self::Web { endpoint, p256dh, auth },
            Device::Fcm { token } => Self::Fcm { token },
            Device::Apns { token } => Self::Apns { token },
        }
    }
}

impl From<Address> for Device {
    fn from(address: Address) -> Self {
        match address {
            Address::Web { endpoint, p256dh, auth } => Self::Web { endpoint, p256dh, auth },
            Address::Fcm { token } => Self::Fcm { token },
            Address::Apns { token } => Self::Apns { token },
        }
    }
}

/// The id of a device: the same for the same address, and nothing that tells the address.
pub(crate) fn device_id(device: &Device) -> String {
    let address = match device {
        Device::Web { endpoint, .. } => endpoint.as_str(),
        Device::Fcm { token } | Device::Apns { token } => token,
    };
    EventId::derived(&["device", device.service().word(), address]).to_string()
}

pub(super) fn read(row: &Row) -> Result<Registered, StoreError> {
    let device_id = row.text("device_id")?;
    let state = |why| StoreError::State(format!("device {device_id}"), why);
    let address: Address = serde_json::from_str(&row.text("address")?).map_err(state)?;
    Ok(Registered {
        device: address.into(),
        name: row.text("name")?,
        added_at: row.int("added_at")?,
        device_id,
    })
}

impl Store {
    /// Keeps a device; it leaves whoever had it before. Of too many the one that was added first goes.
    pub(crate) async fn add_device(
        &self,
        user_id: &str,
        device: Device,
        name: &str,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let (device_id, service) = (device_id(&device), device.service());
        let address = serde_json::to_string(&Address::from(device))
            .map_err(|why| StoreError::State(format!("device {device_id}"), why))?;
        let mut tx = self.database.begin().await?;
        self.lock_user(&mut tx, user_id).await?;
        tx.execute(
            "INSERT INTO notifications_devices (device_id, user_id, service, address, name, added_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (device_id) \
             DO UPDATE SET user_id = $2, address = $4, name = $5, added_at = $6",
            &[
                (&device_id).into(),
                user_id.into(),
                service.word().into(),
                (&address).into(),
                name.into(),
                now.micros().into(),
            ],
        )
        .await?;
        tx.execute(
            "DELETE FROM notifications_devices WHERE user_id = $1 AND device_id NOT IN (SELECT device_id \
             FROM notifications_devices WHERE user_id = $1 ORDER BY added_at DESC, device_id LIMIT $2)",
            &[user_id.into(), i64::from(self.settings.devices).into()],
        )
        .await?;
        tx.commit().await?;
        Ok(device_id)
    }

    /// Forgets a device of a user; false: there was none.
    pub(crate) async fn remove_device(&self, user_id: &str, device_id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM notifications_devices WHERE user_id = $1 AND device_id = $2";
        Ok(self.database.execute(sql, &[user_id.into(), device_id.into()]).await? > 0)
    }

    /// A user's devices, the one that was added first first.
    pub(crate) async fn devices(&self, user_id: &str) -> Result<Vec<Registered>, StoreError> {
        let sql = "SELECT device_id, address, name, added_at FROM notifications_devices WHERE user_id = $1 ORDER BY added_at, device_id";
        self.database.rows(sql, &[user_id.into()]).await?.iter().map(read).collect()
    }
}
