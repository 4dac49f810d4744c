//! The settings that every role shares.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use platepal_events::Domain;
use platepal_settings::{ByteSize, Reader};
use url::Url;

platepal_settings::settings! {
    /// Every process: addresses, data, logs.
    pub struct Settings {
        /// Where gRPC is served: the gateway's address, or the domain's in a process without a gateway. Anywhere but on loopback it needs `REALTIME_API_KEYS`.
        grpc_addr: SocketAddr = "REALTIME_GRPC_ADDR", default "127.0.0.1:50051";
        /// Where health, readiness and metrics are served; keep it inside your network.
        admin_addr: SocketAddr = "REALTIME_ADMIN_ADDR", default "127.0.0.1:9090";
        /// Folder of the embedded bus and of SQLite.
        data_dir: PathBuf = "REALTIME_DATA_DIR", default "data";
        /// PostgreSQL for the domains' stores, e.g. `postgres://user:password@host/platepal`. Without it each domain has an SQLite file in the data folder.
        database_url: Option<Url> = "REALTIME_DATABASE_URL", optional;
        /// Connections to PostgreSQL of one domain in one process.
        database_connections: u32 = "REALTIME_DATABASE_CONNECTIONS", default "8", bound { unit: "connections", full: "callers wait, up to the database timeout", metric: "realtime_database_waits_total" };
        /// How long a call waits for a database connection.
        database_timeout: Duration = "REALTIME_DATABASE_TIMEOUT", default "5s", bound { unit: "time", full: "the caller is told that the store is unavailable, and may repeat", metric: "realtime_database_errors_total" };
        /// Where the orders domain answers, for processes that do not run it, e.g. `http://orders:50051`.
        orders_url: Option<Url> = "REALTIME_ORDERS_URL", optional;
        /// Where the tracking domain answers, for processes that do not run it, e.g. `http://tracking:50051`.
        tracking_url: Option<Url> = "REALTIME_TRACKING_URL", optional;
        /// Where the chat domain answers, for processes that do not run it, e.g. `http://chat:50051`.
        chat_url: Option<Url> = "REALTIME_CHAT_URL", optional;
        /// Where the notifications domain answers, for processes that do not run it, e.g. `http://notifications:50051`.
        notifications_url: Option<Url> = "REALTIME_NOTIFICATIONS_URL", optional;
        /// Where the menus domain answers, for processes that do not run it, e.g. `http://menus:50051`.
        menus_url: Option<Url> = "REALTIME_MENUS_URL", optional;
        /// How long one gRPC call may take, whatever deadline its caller asked for.
        grpc_timeout: Duration = "REALTIME_GRPC_TIMEOUT", default "10s", bound { unit: "time", full: "the caller gets DEADLINE_EXCEEDED and may repeat with the same event id", metric: "realtime_grpc_requests_total" };
        /// The largest gRPC message; a full batch of the largest events fits.
        grpc_message_bytes: ByteSize = "REALTIME_GRPC_MESSAGE_BYTES", default "36MiB", bound { unit: "bytes", full: "the call is refused with OUT_OF_RANGE", metric: "realtime_grpc_requests_total" };
        /// Calls that one gRPC connection may have open.
        grpc_streams: u32 = "REALTIME_GRPC_STREAMS", default "1024", bound { unit: "calls per connection", full: "HTTP/2 flow control makes the caller wait", metric: "realtime_grpc_requests_total" };
        /// How long a process may take to end after SIGTERM: clients are told to move, running calls finish.
        drain_time: Duration = "REALTIME_DRAIN_TIME", default "20s", bound { unit: "time", full: "what still runs is cut off", metric: "realtime_drain_seconds" };
        /// What is logged: a level, or levels by module as in `info,platepal_edge=debug`.
        log: String = "REALTIME_LOG", default "info";
        /// How it is logged: `text` or `json`.
        log_format: String = "REALTIME_LOG_FORMAT", default "text";
    }
}

impl Settings {
    /// Where a domain answers, for processes that do not run it.
    pub fn domain_url(&self, domain: Domain) -> Option<&Url> {
        match domain {
            Domain::Orders => self.orders_url.as_ref(),
            Domain::Tracking => self.tracking_url.as_ref(),
            Domain::Chat => self.chat_url.as_ref(),
            Domain::Notifications => self.notifications_url.as_ref(),
            Domain::Menus => self.menus_url.as_ref(),
        }
    }

    /// Notes what is wrong with several settings taken together. `has_keys` says whether API keys are set.
    pub fn check(&self, reader: &mut Reader, has_keys: bool) {
        if !self.grpc_addr.ip().is_loopback() && !has_keys {
            reader.mistake(format!(
                "REALTIME_API_KEYS must be set: REALTIME_GRPC_ADDR is {}, which others can reach",
                self.grpc_addr
            ));
        }
        if !matches!(self.log_format.as_str(), "text" | "json") {
            reader.mistake(format!("REALTIME_LOG_FORMAT must be text or json (it is {:?})", self.log_format));
        }
        if let Some(url) = &self.database_url
            && !matches!(url.scheme(), "postgres" | "postgresql")
        {
            reader.mistake("REALTIME_DATABASE_URL must start with postgres://; without it SQLite is used");
        }
    }
}
