//! The edge's settings.

use std::{net::SocketAddr, time::Duration};

use platepal_events::Spelling;
use platepal_settings::{ByteSize, Reader};

use crate::addresses::{ForwardedHeader, Networks};

platepal_settings::settings! {
    /// The edge: client connections, what they may ask, and how long they wait.
    pub struct Settings {
        /// Where browsers and apps connect, over HTTP and WebSocket.
        http_addr: SocketAddr = "REALTIME_HTTP_ADDR", default "127.0.0.1:8000";
        /// Origins that browsers may connect from besides the server's own, as `https://app.example`, comma separated; `*` allows every one.
        allowed_origins: Vec<String> = "REALTIME_ALLOWED_ORIGINS", optional;
        /// How event types are spelled on PlatePal's sockets: `underscored` (`order_accepted`) or `dotted` (`order.accepted`).
        event_types: String = "REALTIME_EDGE_EVENT_TYPES", default "underscored";
        /// TCP connections of one edge, those that are still shaking hands included.
        connections_max: usize = "REALTIME_EDGE_CONNECTIONS_MAX", default "50000", bound { unit: "connections", full: "a new one is answered 503 with Retry-After, or closed when there are many of those", metric: "realtime_edge_handshakes_total" };
        /// Sockets that one user may have open on one edge.
        connections_per_user_max: usize = "REALTIME_EDGE_CONNECTIONS_PER_USER_MAX", default "20", bound { unit: "sockets per user", full: "a new one is closed with 4029", metric: "realtime_edge_closes_total" };
        /// Sockets that the link to one delivery may have open on one edge, whoever it was passed on to.
        connections_per_link_max: usize = "REALTIME_EDGE_CONNECTIONS_PER_LINK_MAX", default "200", bound { unit: "sockets per link", full: "a new one is closed with 4029", metric: "realtime_edge_closes_total" };
        /// Proxies in front of the edge, as networks (`10.0.0.0/8, 192.0.2.1`): they are believed when they tell a client's address.
        trusted_proxies: Networks = "REALTIME_TRUSTED_PROXIES", optional;
        /// The header in which the trusted proxies tell it: `x-forwarded-for` or `forwarded`. The other one is not read, as a client may have sent it.
        forwarded_header: ForwardedHeader = "REALTIME_FORWARDED_HEADER", default "x-forwarded-for";
        /// Networks to whose addresses the limits per address do not apply: our own, where a proxy that is not trusted would be taken for one client. `none`: every address is limited.
        uncounted_networks: Networks = "REALTIME_EDGE_UNCOUNTED_NETWORKS", default "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,::1,fc00::/7,fe80::/10";
        /// How many leading bits of an IPv6 address make one client for the limits per address; providers give each customer at least a /64.
        ipv6_prefix: u16 = "REALTIME_EDGE_IPV6_PREFIX", default "64";
        /// Connections that one address may have open on one edge; many phones share one behind a carrier's NAT.
        connections_per_address_max: usize = "REALTIME_EDGE_CONNECTIONS_PER_ADDRESS_MAX", default "1000", bound { unit: "connections per address", full: "a new one is answered 429 with Retry-After", metric: "realtime_edge_handshakes_total" };
        /// Handshakes that one address may begin per second.
        handshakes_per_address_per_second: u32 = "REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_PER_SECOND", default "50", bound { unit: "handshakes per second and address", full: "a new one is answered 429 with Retry-After", metric: "realtime_edge_handshakes_total" };
        /// Handshakes that one address may begin at once: all who share it come back together after a tunnel or a deploy.
        handshakes_per_address_burst: u32 = "REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_BURST", default "1000", bound { unit: "handshakes per address", full: "a new one is answered 429 with Retry-After", metric: "realtime_edge_handshakes_total" };
        /// Addresses whose connections and handshakes are counted.
        addresses_max: usize = "REALTIME_EDGE_ADDRESSES_MAX", default "100000", bound { unit: "addresses", full: "a new one is not limited by its address until another has left", metric: "realtime_edge_addresses" };
        /// Handshakes that one edge takes per second, once its burst is used.
        handshakes_per_second: u32 = "REALTIME_EDGE_HANDSHAKES_PER_SECOND", default "5000", bound { unit: "handshakes per second", full: "a new one waits up to the wait's maximum; then it is answered 503 with Retry-After", metric: "realtime_edge_handshakes_waiting" };
        /// Handshakes that one edge takes at once.
        handshakes_burst: u32 = "REALTIME_EDGE_HANDSHAKES_BURST", default "5000", bound { unit: "handshakes", full: "a new one waits up to the wait's maximum; then it is answered 503 with Retry-After", metric: "realtime_edge_handshakes_waiting" };
        /// How long a handshake may wait for its turn in a storm; times the handshakes per second, that is how many wait.
        handshake_wait_max: Duration = "REALTIME_EDGE_HANDSHAKE_WAIT_MAX", default "500ms", bound { unit: "time", full: "the handshake is answered 503 with Retry-After", metric: "realtime_edge_handshake_wait_seconds" };
        /// Over how long those are spread who are told to come back later: each is told a random part of it more.
        retry_spread: Duration = "REALTIME_EDGE_RETRY_SPREAD", default "5s";
        /// Connections that the kernel holds for us until they are accepted.
        backlog: u32 = "REALTIME_EDGE_BACKLOG", default "4096", bound { unit: "connections", full: "the client's kernel tries again after a second", metric: "realtime_edge_handshakes_total" };
        /// How long token, access and channel may take before a handshake is answered. PlatePal's frontends wait 5 s for the answer.
        opening_timeout: Duration = "REALTIME_EDGE_OPENING_TIMEOUT", default "4s", bound { unit: "time", full: "the handshake is answered and the socket closed with 1013", metric: "realtime_edge_handshakes_total" };
        /// How long a client may take to send its handshake.
        handshake_timeout: Duration = "REALTIME_EDGE_HANDSHAKE_TIMEOUT", default "10s", bound { unit: "time", full: "the connection is closed", metric: "realtime_edge_handshakes_total" };
        /// The largest head of a request.
        header_bytes_max: ByteSize = "REALTIME_EDGE_HEADER_BYTES_MAX", default "16KiB", bound { unit: "bytes", full: "the request is answered 431", metric: "realtime_edge_handshakes_total" };
        /// Header lines of a request.
        header_lines_max: usize = "REALTIME_EDGE_HEADER_LINES_MAX", default "64", bound { unit: "lines", full: "the request is answered 431", metric: "realtime_edge_handshakes_total" };
        /// Plain requests that one connection may carry one after the other.
        requests_per_connection_max: usize = "REALTIME_EDGE_REQUESTS_PER_CONNECTION_MAX", default "1000", bound { unit: "requests per connection", full: "the last one is answered and the connection closed", metric: "realtime_edge_handshakes_total" };
        /// The largest body of a request.
        body_bytes_max: ByteSize = "REALTIME_EDGE_BODY_BYTES_MAX", default "64KiB", bound { unit: "bytes", full: "the request is answered 413", metric: "realtime_edge_handshakes_total" };
        /// How long a client may take to send the body of a request.
        body_timeout: Duration = "REALTIME_EDGE_BODY_TIMEOUT", default "10s", bound { unit: "time", full: "the request is answered 408", metric: "realtime_edge_handshakes_total" };
        /// How long a connection's network may take nothing of what was sent. The last resort: sockets have the write timeout, plain answers only this.
        stall_timeout: Duration = "REALTIME_EDGE_STALL_TIMEOUT", default "30s", bound { unit: "time", full: "the kernel drops the connection (on Linux)", metric: "realtime_edge_connections" };
        /// How old a socket may become; it is closed with 1012 at a random moment of the last fifth. Without it, sockets live as long as their tokens.
        lifetime_max: Option<Duration> = "REALTIME_EDGE_LIFETIME_MAX", optional, bound { unit: "time", full: "the connection is closed with 1012 and heals by its last event id", metric: "realtime_edge_closes_total" };
        /// How long a connection may be open with nothing but pings on it.
        idle_max: Option<Duration> = "REALTIME_EDGE_IDLE_MAX", optional, bound { unit: "time", full: "the connection is closed with 1012 and heals by its last event id", metric: "realtime_edge_closes_total" };
        /// Newest values waiting for one connection, one per channel and key: riders on a map.
        queue_latest: usize = "REALTIME_EDGE_QUEUE_LATEST", default "4096", bound { unit: "values per connection", full: "the connection is closed with 4008 and is given the newest values when it comes back", metric: "realtime_edge_slow_closes_total" };
        /// Frames waiting for one connection, besides newest values.
        queue_frames: usize = "REALTIME_EDGE_QUEUE_FRAMES", default "512", bound { unit: "frames per connection", full: "the connection is closed with 4008 and heals by its last event id", metric: "realtime_edge_slow_closes_total" };
        /// Bytes waiting for one connection.
        queue_bytes: ByteSize = "REALTIME_EDGE_QUEUE_BYTES", default "1MiB", bound { unit: "bytes per connection", full: "the connection is closed with 4008 and heals by its last event id", metric: "realtime_edge_slow_closes_total" };
        /// How long a client may read nothing while something waits for it.
        write_timeout: Duration = "REALTIME_EDGE_WRITE_TIMEOUT", default "10s", bound { unit: "time", full: "the connection is closed with 4008", metric: "realtime_edge_slow_closes_total" };
        /// How long a client of Centrifuge's protocol may take to say who it is.
        connect_timeout: Duration = "REALTIME_EDGE_CONNECT_TIMEOUT", default "10s", bound { unit: "time", full: "the connection is closed with 3502", metric: "realtime_edge_closes_total" };
        /// How long after its token's end a connection or a channel that can be refreshed may wait for a new token.
        refresh_grace: Duration = "REALTIME_EDGE_REFRESH_GRACE", default "25s", bound { unit: "time", full: "the connection is closed with 3005, the channel with 2501", metric: "realtime_edge_closes_total" };
        /// How long one long poll may wait, whatever its client asks for.
        poll_wait_max: Duration = "REALTIME_EDGE_POLL_WAIT_MAX", default "25s", bound { unit: "time", full: "the poll is answered without events", metric: "realtime_edge_polls_total" };
        /// Channels of one connection, in protocols that hold several.
        channels_max: usize = "REALTIME_EDGE_CHANNELS_MAX", default "128", bound { unit: "channels per connection", full: "a new one is refused with error 106", metric: "realtime_edge_messages_total" };
        /// Whether what is public (menus) can be read without a token.
        anonymous: bool = "REALTIME_EDGE_ANONYMOUS", default "false";
        /// Whether clients of Centrifuge's protocol are given their user's own feeds without asking.
        own_feeds: bool = "REALTIME_EDGE_OWN_FEEDS", default "true";
        /// How often a silent client is pinged.
        ping_interval: Duration = "REALTIME_EDGE_PING_INTERVAL", default "25s";
        /// How long a pinged client may stay silent.
        pong_timeout: Duration = "REALTIME_EDGE_PONG_TIMEOUT", default "10s", bound { unit: "time", full: "the connection is closed with 4010", metric: "realtime_edge_closes_total" };
        /// How long a client may take to answer a close frame.
        close_timeout: Duration = "REALTIME_EDGE_CLOSE_TIMEOUT", default "2s", bound { unit: "time", full: "the connection is dropped", metric: "realtime_edge_closes_total" };
        /// The largest message that a client may send.
        message_bytes_max: ByteSize = "REALTIME_EDGE_MESSAGE_BYTES_MAX", default "64KiB", bound { unit: "bytes", full: "the connection is closed with 1009", metric: "realtime_edge_closes_total" };
        /// Messages that a client may send per second.
        messages_per_second: u32 = "REALTIME_EDGE_MESSAGES_PER_SECOND", default "20", bound { unit: "messages per second", full: "answered by an error frame; a client that goes on is closed with 1008", metric: "realtime_edge_messages_total" };
        /// Messages that a client may send at once.
        messages_burst: u32 = "REALTIME_EDGE_MESSAGES_BURST", default "40", bound { unit: "messages", full: "answered by an error frame; a client that goes on is closed with 1008", metric: "realtime_edge_messages_total" };
        /// Messages of one connection that a domain is working on or that wait for their turn: each domain is handed one connection's messages one after the other, in their order.
        calls_max: usize = "REALTIME_EDGE_CALLS_MAX", default "16", bound { unit: "messages per connection", full: "PlatePal's sockets answer by an error frame; a client of Centrifuge's protocol is not listened to until one is answered", metric: "realtime_edge_messages_total" };
        /// How long a client waits for a domain's answer to its message, its turn included.
        call_timeout: Duration = "REALTIME_EDGE_CALL_TIMEOUT", default "10s", bound { unit: "time", full: "the client is told to try again; the domain may have done it", metric: "realtime_edge_calls_total" };
        /// Recent events of a channel that are kept in memory for replay.
        ring_events: usize = "REALTIME_EDGE_RING_EVENTS", default "256", bound { unit: "events per channel", full: "the oldest leaves memory and is read from the log when it is needed", metric: "realtime_edge_replays_total" };
        /// Bytes of a channel's recent events that are kept in memory for replay.
        ring_bytes: ByteSize = "REALTIME_EDGE_RING_BYTES", default "512KiB", bound { unit: "bytes per channel", full: "the oldest leaves memory and is read from the log when it is needed", metric: "realtime_edge_replays_total" };
        /// Newest values of a channel that are kept in memory for newcomers.
        latest_keys: usize = "REALTIME_EDGE_LATEST_KEYS", default "4096", bound { unit: "keys per channel", full: "the value that changed longest ago is not given at once, but when it changes next", metric: "realtime_edge_conflated_total" };
        /// Frames of one replay.
        replay_frames: usize = "REALTIME_EDGE_REPLAY_FRAMES", default "10000", bound { unit: "frames per connection", full: "the connection is closed with 1013 and goes on from its last event id", metric: "realtime_edge_replayed_frames_total" };
        /// How old a channel's state may be that a newcomer is given; what came after it is given too.
        snapshot_cache_time: Duration = "REALTIME_EDGE_SNAPSHOT_CACHE_TIME", default "1s", bound { unit: "time", full: "the owner is asked again", metric: "realtime_edge_snapshots_total" };
        /// Memory for the states of channels.
        snapshot_cache_bytes: ByteSize = "REALTIME_EDGE_SNAPSHOT_CACHE_BYTES", default "32MiB", bound { unit: "bytes", full: "the one used least leaves; its owner is asked again", metric: "realtime_edge_snapshots_total" };
        /// How long a channel is kept after its last reader has left.
        linger: Duration = "REALTIME_EDGE_LINGER", default "30s", bound { unit: "time", full: "the channel's subscription is let go", metric: "realtime_edge_subscriptions" };
        /// How long an access decision is reused at most.
        access_cache_time: Duration = "REALTIME_EDGE_ACCESS_CACHE_TIME", default "60s", bound { unit: "time", full: "the owner is asked again", metric: "realtime_edge_access_total" };
        /// Revoked users and tokens that are remembered until their tokens have expired.
        revocations: usize = "REALTIME_EDGE_REVOCATIONS", default "100000", bound { unit: "users and tokens", full: "those whose tokens expire soonest are accepted again", metric: "realtime_edge_revocations" };
        /// Access decisions that are kept.
        access_cache_size: u64 = "REALTIME_EDGE_ACCESS_CACHE_SIZE", default "100000", bound { unit: "decisions", full: "the one used least leaves; its owner is asked again", metric: "realtime_edge_access_total" };
    }
}

impl Settings {
    /// Notes what is wrong with several settings taken together.
    pub fn check(&self, reader: &mut Reader) {
        if !matches!(self.event_types.as_str(), "underscored" | "dotted") {
            reader.mistake(format!(
                "REALTIME_EDGE_EVENT_TYPES must be underscored or dotted (it is {:?})",
                self.event_types
            ));
        }
        for origin in self.allowed_origins.iter().filter(|origin| *origin != "*") {
            let is_origin = origin.split_once("://").is_some_and(|(scheme, host)| {
                !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '*', '@', ' '])
            });
            if !is_origin {
                reader.mistake(format!(
                    "REALTIME_ALLOWED_ORIGINS must hold origins like https://app.example or http://localhost:3000, \
                     without a path (one is {origin:?})"
                ));
            }
        }
        if self.ping_interval < Duration::from_secs(1) || self.pong_timeout < Duration::from_millis(100) {
            reader.mistake(
                "REALTIME_EDGE_PING_INTERVAL must be at least 1s and REALTIME_EDGE_PONG_TIMEOUT at least 100ms",
            );
        }
        if self.ping_interval + self.pong_timeout > Duration::from_secs(55) {
            reader.mistake(
                "REALTIME_EDGE_PING_INTERVAL and REALTIME_EDGE_PONG_TIMEOUT together must be at most 55s, below the \
                 60s after which proxies drop a silent connection",
            );
        }
        if self.header_bytes_max.0 < 8192 {
            reader.mistake("REALTIME_EDGE_HEADER_BYTES_MAX must be at least 8KiB");
        }
        if !(1..=128).contains(&self.ipv6_prefix) {
            reader.mistake("REALTIME_EDGE_IPV6_PREFIX must be between 1 and 128");
        }
        if self.stall_timeout <= self.write_timeout {
            reader.mistake(
                "REALTIME_EDGE_STALL_TIMEOUT must be longer than REALTIME_EDGE_WRITE_TIMEOUT, or slow clients are cut \
                 off before they are told why",
            );
        }
        if self.call_timeout < Duration::from_millis(100) {
            reader.mistake("REALTIME_EDGE_CALL_TIMEOUT must be at least 100ms");
        }
        if self.idle_max.is_some_and(|time| time < Duration::from_secs(10)) {
            reader.mistake("REALTIME_EDGE_IDLE_MAX must be at least 10s");
        }
        if self.lifetime_max.is_some_and(|time| time < Duration::from_secs(10)) {
            reader.mistake("REALTIME_EDGE_LIFETIME_MAX must be at least 10s");
        }
        let zeros = [
            ("REALTIME_EDGE_CONNECTIONS_MAX", self.connections_max),
            ("REALTIME_EDGE_CONNECTIONS_PER_ADDRESS_MAX", self.connections_per_address_max),
            (
                "REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_PER_SECOND",
                usize::from(self.handshakes_per_address_per_second > 0),
            ),
            (
                "REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_BURST",
                usize::from(self.handshakes_per_address_burst > 0),
            ),
            ("REALTIME_EDGE_ADDRESSES_MAX", self.addresses_max),
            ("REALTIME_EDGE_HANDSHAKES_PER_SECOND", usize::from(self.handshakes_per_second > 0)),
            ("REALTIME_EDGE_HANDSHAKES_BURST", usize::from(self.handshakes_burst > 0)),
            ("REALTIME_EDGE_HEADER_LINES_MAX", self.header_lines_max),
            ("REALTIME_EDGE_REQUESTS_PER_CONNECTION_MAX", self.requests_per_connection_max),
            ("REALTIME_EDGE_CONNECTIONS_PER_USER_MAX", self.connections_per_user_max),
            ("REALTIME_EDGE_CONNECTIONS_PER_LINK_MAX", self.connections_per_link_max),
            ("REALTIME_EDGE_QUEUE_FRAMES", self.queue_frames),
            ("REALTIME_EDGE_QUEUE_LATEST", self.queue_latest),
            ("REALTIME_EDGE_CALLS_MAX", self.calls_max),
            ("REALTIME_EDGE_QUEUE_BYTES", self.queue_bytes.0),
            ("REALTIME_EDGE_MESSAGES_PER_SECOND", usize::from(self.messages_per_second > 0)),
            ("REALTIME_EDGE_MESSAGES_BURST", usize::from(self.messages_burst > 0)),
            ("REALTIME_EDGE_REPLAY_FRAMES", self.replay_frames),
            ("REALTIME_EDGE_CHANNELS_MAX", self.channels_max),
            ("REALTIME_EDGE_REVOCATIONS", self.revocations),
        ];
        for (name, _) in zeros.into_iter().filter(|(_, value)| *value == 0) {
            reader.mistake(format!("{name} must be at least 1"));
        }
    }

    pub(crate) fn spelling(&self) -> Spelling {
        if self.event_types == "dotted" { Spelling::Dotted } else { Spelling::Underscored }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    pub(crate) fn read(variables: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let mut reader = Reader::new(variables.iter().copied());
        let settings = reader.read::<Settings>().unwrap();
        settings.check(&mut reader);
        let mistakes = reader.finish(Settings::SPECS).err().map(|mistakes| mistakes.0).unwrap_or_default();
        (settings, mistakes)
    }

    #[test]
    fn the_defaults_are_no_mistake() {
        assert_eq!(read(&[]).1, [""; 0]);
    }

    #[test]
    fn settings_that_contradict_each_other_are_mistakes() {
        for (name, value) in [
            ("REALTIME_EDGE_EVENT_TYPES", "camel"),
            ("REALTIME_ALLOWED_ORIGINS", "app.example"),
            ("REALTIME_ALLOWED_ORIGINS", "https://app.example/"),
            ("REALTIME_ALLOWED_ORIGINS", "https://*.example"),
            ("REALTIME_EDGE_PING_INTERVAL", "60s"),
            ("REALTIME_EDGE_QUEUE_FRAMES", "0"),
            ("REALTIME_EDGE_HANDSHAKES_PER_SECOND", "0"),
            ("REALTIME_EDGE_IPV6_PREFIX", "129"),
            ("REALTIME_EDGE_STALL_TIMEOUT", "5s"),
            ("REALTIME_EDGE_LIFETIME_MAX", "1s"),
        ] {
            let (_, mistakes) = read(&[(name, value)]);
            assert!(mistakes.len() == 1 && mistakes[0].contains(name), "{name}={value}: {mistakes:?}");
        }
    }
}
