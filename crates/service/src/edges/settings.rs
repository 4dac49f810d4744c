//! How edges know of each other.

use std::{net::SocketAddr, time::Duration};

use platepal_settings::Reader;
use url::Url;

/// The longest that a question to all edges may take: it is promised to be answered within a second.
const ASK_TIMEOUT_MAX: Duration = Duration::from_secs(1);

platepal_settings::settings! {
    /// Edges among themselves: how they know of each other, and how they are asked together.
    pub struct Settings {
        /// Where the gateway and other edges reach this process's edge over gRPC, e.g. `http://10.0.3.7:50051`. Without it, `REALTIME_GRPC_ADDR`, which must then be an address of its own and not `0.0.0.0`.
        advertise_url: Option<Url> = "REALTIME_EDGE_ADVERTISE_URL", optional;
        /// How often an edge tells that it is alive. One that was not heard of for three times as long is forgotten.
        alive_interval: Duration = "REALTIME_EDGE_ALIVE_INTERVAL", default "2s";
        /// How long the edges may take to answer a question; at most a second.
        ask_timeout: Duration = "REALTIME_EDGE_ASK_TIMEOUT", default "800ms", bound { unit: "time", full: "the answer names the edges that it lacks", metric: "realtime_edges_asked_total" };
        /// Edges that one process knows of.
        edges_max: usize = "REALTIME_EDGES_MAX", default "1000", bound { unit: "edges", full: "a new one is not asked until another is gone, and the log says so", metric: "realtime_edges_alive" };
    }
}

impl Settings {
    /// Notes what is wrong. `address` is where gRPC is served; `others` says that other processes must reach
    /// the edge of this one.
    pub fn check(&self, reader: &mut Reader, address: SocketAddr, others: bool) {
        if self.ask_timeout.is_zero() || self.ask_timeout > ASK_TIMEOUT_MAX {
            reader.mistake("REALTIME_EDGE_ASK_TIMEOUT must be more than 0 and at most 1s");
        }
        if self.alive_interval < Duration::from_millis(100) || self.alive_interval > Duration::from_secs(60) {
            reader.mistake("REALTIME_EDGE_ALIVE_INTERVAL must be between 100ms and 60s");
        }
        if let Some(url) = &self.advertise_url
            && (url.scheme() != "http" || url.host_str().is_none())
        {
            reader.mistake(format!(
                "REALTIME_EDGE_ADVERTISE_URL must be like http://10.0.3.7:50051 (it is {url})"
            ));
        }
        if others && self.url(address).is_none() {
            reader.mistake(format!(
                "REALTIME_EDGE_ADVERTISE_URL must be set: REALTIME_GRPC_ADDR is {address}, which names no \
                 address at which other processes reach this edge"
            ));
        }
    }

    /// Where others reach the edge of this process, whose gRPC is served at `address`.
    pub fn url(&self, address: SocketAddr) -> Option<String> {
        match &self.advertise_url {
            Some(url) => Some(url.to_string()),
            None => (!address.ip().is_unspecified()).then(|| format!("http://{address}")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mistakes(variables: &[(&str, &str)], address: &str, others: bool) -> Vec<String> {
        let mut reader = Reader::new(variables.iter().copied());
        let settings = reader.read::<Settings>().unwrap();
        settings.check(&mut reader, address.parse().unwrap(), others);
        reader.finish(Settings::SPECS).err().map(|mistakes| mistakes.0).unwrap_or_default()
    }

    #[test]
    fn an_edge_that_others_must_reach_says_where() {
        let url = ("REALTIME_EDGE_ADVERTISE_URL", "http://10.0.3.7:50051");
        assert_eq!(mistakes(&[], "10.0.3.7:50051", true), [""; 0]);
        assert_eq!(mistakes(&[url], "0.0.0.0:50051", true), [""; 0]);
        assert_eq!(mistakes(&[], "0.0.0.0:50051", false), [""; 0]);
        for (variables, address) in [
            (vec![], "0.0.0.0:50051"),
            (vec![], "[::]:50051"),
            (vec![("REALTIME_EDGE_ADVERTISE_URL", "ftp://edge")], "127.0.0.1:50051"),
            (vec![("REALTIME_EDGE_ASK_TIMEOUT", "2s")], "127.0.0.1:50051"),
            (vec![("REALTIME_EDGE_ALIVE_INTERVAL", "1ms")], "127.0.0.1:50051"),
        ] {
            assert_eq!(mistakes(&variables, address, true).len(), 1, "{variables:?} {address}");
        }
    }
}
