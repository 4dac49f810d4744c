//! Browsers and apps that may be pushed to.

use platepal_events::Timestamp;
use platepal_proto::v1;
use platepal_push::Device;
use platepal_service::grpc::{fields, invalid};
use tonic::Status;

use super::{Notifications, store_status};
use crate::store::devices::Registered;

/// The longest name of a device, in characters.
const NAME_CHARS_MAX: usize = 100;

impl Notifications {
    pub(crate) async fn add_device(
        &self,
        request: v1::AddDeviceRequest,
    ) -> Result<v1::AddDeviceResponse, Status> {
        let v1::AddDeviceRequest { user_id, device } = request;
        fields::id("user_id", &user_id)?;
        let v1::Device { address, name, .. } = device.ok_or_else(|| invalid("device", "must be set"))?;
        let device = match address.ok_or_else(|| invalid("device.address", "must be set"))? {
            v1::device::Address::Web(v1::WebPushSubscription { endpoint, p256dh, auth }) => {
                let endpoint = endpoint.parse().map_err(|why| invalid("device.web.endpoint", why))?;
                Device::Web { endpoint, p256dh, auth }
            }
            v1::device::Address::Fcm(token) => Device::Fcm { token },
            v1::device::Address::Apns(token) => Device::Apns { token },
        };
        let device_id = self.register(&user_id, device, &name).await?;
        Ok(v1::AddDeviceResponse { device_id })
    }

    pub(super) async fn register(&self, user_id: &str, device: Device, name: &str) -> Result<String, Status> {
        fields::text("device.name", name, NAME_CHARS_MAX)?;
        let service = device.service();
        let sender = self.senders.of(service).ok_or_else(|| {
            Status::failed_precondition(format!("{} is off here; see REALTIME_PUSH_…", service.word()))
        })?;
        sender.check(&device).map_err(|why| invalid("device", why))?;
        let added = self.store.add_device(user_id, device, name, self.clock.now()).await;
        let device_id = added.map_err(store_status)?;
        metrics::counter!("realtime_notifications_devices_total", "change" => "added").increment(1);
        Ok(device_id)
    }

    pub(crate) async fn remove_device(
        &self,
        request: v1::RemoveDeviceRequest,
    ) -> Result<v1::RemoveDeviceResponse, Status> {
        let v1::RemoveDeviceRequest { user_id, device_id } = request;
        fields::id("user_id", &user_id)?;
        fields::id("device_id", &device_id)?;
        let existed = self.store.remove_device(&user_id, &device_id).await.map_err(store_status)?;
        if existed {
            metrics::counter!("realtime_notifications_devices_total", "change" => "removed").increment(1);
        }
        Ok(v1::RemoveDeviceResponse { existed })
    }

    pub(crate) async fn list_devices(
        &self,
        request: v1::ListDevicesRequest,
    ) -> Result<v1::ListDevicesResponse, Status> {
        fields::id("user_id", &request.user_id)?;
        let devices = self.store.devices(&request.user_id).await.map_err(store_status)?;
        Ok(v1::ListDevicesResponse { devices: devices.into_iter().map(message).collect() })
    }
}

/// A device without what is secret: of a browser the push service's origin, of an app the service alone.
pub(super) fn message(registered: Registered) -> v1::Device {
    let Registered { device_id, device, name, added_at } = registered;
    let address = match device {
        Device::Web { endpoint, .. } => v1::device::Address::Web(v1::WebPushSubscription {
            endpoint: endpoint.origin().ascii_serialization(),
            ..Default::default()
        }),
        Device::Fcm { .. } => v1::device::Address::Fcm(String::new()),
        Device::Apns { .. } => v1::device::Address::Apns(String::new()),
    };
    let added_at = Some(Timestamp::from_micros(added_at).into());
    v1::Device { device_id, address: Some(address), name, added_at }
}
