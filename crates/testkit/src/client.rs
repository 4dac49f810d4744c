//! gRPC clients as Django has them: one address, one API key.

use platepal_proto::v1::{
    chat_service_client::ChatServiceClient, events_service_client::EventsServiceClient,
    menus_service_client::MenusServiceClient, notifications_service_client::NotificationsServiceClient,
    orders_service_client::OrdersServiceClient, sessions_service_client::SessionsServiceClient,
    tracking_service_client::TrackingServiceClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// Sends the API key with each call.
#[derive(Debug, Clone)]
pub struct ApiKey(Option<MetadataValue<Ascii>>);

impl Interceptor for ApiKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// The clients of one gRPC address. Cheap to clone; connects on the first call, and again after a failure.
#[derive(Debug, Clone)]
pub struct Clients {
    channel: Channel,
    key: ApiKey,
}

impl Clients {
    /// Clients of `http://host:port` that send this key, or none.
    pub fn new(address: &str, key: Option<&str>) -> Self {
        let endpoint = Endpoint::from_shared(address.to_owned()).expect("tests use valid addresses");
        let key = key.map(|key| format!("Bearer {key}").parse().expect("keys are ASCII"));
        Self { channel: endpoint.connect_lazy(), key: ApiKey(key) }
    }

    /// The connection, for clients that are not here; it does not send the key.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// What sends the key, for clients that are not here: `XClient::with_interceptor(channel, key)`.
    pub fn key(&self) -> ApiKey {
        self.key.clone()
    }

    /// `EventsService`.
    pub fn events(&self) -> EventsServiceClient<InterceptedService<Channel, ApiKey>> {
        EventsServiceClient::with_interceptor(self.channel(), self.key())
    }

    /// `OrdersService`.
    pub fn orders(&self) -> OrdersServiceClient<InterceptedService<Channel, ApiKey>> {
        OrdersServiceClient::with_interceptor(self.channel(), self.key())
    }

    /// `TrackingService`.
    pub fn tracking(&self) -> TrackingServiceClient<InterceptedService<Channel, ApiKey>> {
        TrackingServiceClient::with_interceptor(self.channel(), self.key())
    }

    /// `ChatService`.
    pub fn chat(&self) -> ChatServiceClient<InterceptedService<Channel, ApiKey>> {
        ChatServiceClient::with_interceptor(self.channel(), self.key())
    }

    /// `NotificationsService`.
    pub fn notifications(&self) -> NotificationsServiceClient<InterceptedService<Channel, ApiKey>> {
        NotificationsServiceClient::with_interceptor(self.channel(), self.key())
    }

    /// `MenusService`.
    pub fn menus(&self) -> MenusServiceClient<InterceptedService<Channel, ApiKey>> {
        MenusServiceClient::with_interceptor(self.channel(), self.key())
    }

    /// `SessionsService`.
    pub fn sessions(&self) -> SessionsServiceClient<InterceptedService<Channel, ApiKey>> {
        SessionsServiceClient::with_interceptor(self.channel(), self.key())
    }
}
