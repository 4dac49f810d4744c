//! Who a client is on the network: the address that counts, behind proxies too.
//!
//! A trusted proxy writes the address it was called from at the right end of a header. So the header is read
//! from the right, past hops that are trusted, and the first one that is not is the client. What stands left of
//! it was sent by the client itself and is not read at all.
//!
//! Invariant: believes nothing that anybody but a trusted proxy can have written.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddrV4},
    sync::atomic::{AtomicBool, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::{IpNet, Ipv6Net};
use platepal_settings::Value;

use crate::Settings;

/// Hops that are read from a header; longer chains of trusted proxies do not exist.
const HOPS_MAX: usize = 16;

/// Networks, as `10.0.0.0/8` or single addresses; `none` is no network at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// Which header the trusted proxies write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: 203.0.113.7, 10.0.0.3`
    XForwardedFor,
    /// `Forwarded: for=203.0.113.7, for="[2001:db8::7]:4711"` (RFC 7239)
    Forwarded,
}

/// Tells clients' addresses.
#[derive(Debug)]
pub(crate) struct Addresses {
    trusted: Networks,
    header: ForwardedHeader,
    uncounted: Networks,
    ipv6_prefix: u8,
    has_warned: AtomicBool,
}

impl Networks {
    /// Whether an address is in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl Value for Networks {
    const KIND: &'static str = "networks, comma separated, or none";

    fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::default());
        }
        let network = |text: &str| {
            let address = || text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
            text.parse::<IpNet>().map(|network| network.trunc()).or_else(|_| address())
        };
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                network(part).map_err(|_| format!("must hold networks like 10.0.0.0/8, not {part:?}"))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl Value for ForwardedHeader {
    const KIND: &'static str = "x-forwarded-for or forwarded";

    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err("must be x-forwarded-for or forwarded".into()),
        }
    }
}

impl ForwardedHeader {
    fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => header::FORWARDED,
        }
    }
}

impl Addresses {
    pub fn new(settings: &Settings) -> Self {
        Self {
            trusted: settings.trusted_proxies.clone(),
            header: settings.forwarded_header,
            uncounted: settings.uncounted_networks.clone(),
            ipv6_prefix: u8::try_from(settings.ipv6_prefix).unwrap_or(128),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Whether this peer is a proxy that tells its clients' addresses.
    pub fn is_proxy(&self, peer: IpAddr) -> bool {
        self.trusted.contains(peer)
    }

    /// Whose request this is.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let name = self.header.name();
        if !self.is_proxy(peer) {
            if headers.contains_key(&name) && self.uncounted.contains(peer) {
                self.warn(peer, &name);
            }
            return peer;
        }
        let mut client = peer;
        let lines = headers.get_all(&name).iter().rev().map(HeaderValue::as_bytes);
        let hops = lines.flat_map(|line| self.hops(std::str::from_utf8(line).unwrap_or_default()));
        for hop in hops.take(HOPS_MAX) {
            // What is not an address hides all that is left of it.
            let Some(hop) = hop else { break };
            client = hop;
            if !self.is_proxy(hop) {
                break;
            }
        }
        client
    }

    /// The hops of one line, from the right; `None` is one that is no address.
    fn hops<'a>(&self, line: &'a str) -> impl Iterator<Item = Option<IpAddr>> + use<'a> {
        let header = self.header;
        from_the_right(line, ',').map(move |hop| match header {
            ForwardedHeader::XForwardedFor => node(hop),
            ForwardedHeader::Forwarded => {
                let mut nodes = from_the_right(hop, ';').filter_map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    name.trim().eq_ignore_ascii_case("for").then_some(value)
                });
                // Of two, nobody knows which the proxy wrote.
                nodes.next().filter(|_| nodes.next().is_none()).and_then(node)
            }
        })
    }

    /// What is counted for an address: itself, or the network that an IPv6 client has to itself. `None`: nothing is.
    pub fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        if self.uncounted.contains(address) || self.trusted.contains(address) {
            return None;
        }
        Some(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                let network = Ipv6Net::new(address, self.ipv6_prefix).map(|network| network.network());
                IpAddr::V6(network.unwrap_or(address))
            }
        })
    }

    fn warn(&self, peer: IpAddr, header: &HeaderName) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                %header,
                "a proxy tells its clients' addresses and is not trusted, so they are not limited by address; \
                 add it to REALTIME_TRUSTED_PROXIES"
            );
        }
    }
}

/// The parts of a list, last first. Separators in quotes do not separate. Quotes are matched from the right, too:
/// one that a client left open can't swallow what a proxy wrote after it.
fn from_the_right(list: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let mut is_quoted = false;
        let at = list.char_indices().rev().find(|(at, c)| {
            if *c == '"' && !list.get(..*at).is_some_and(|before| before.ends_with('\\')) {
                is_quoted = !is_quoted;
            }
            *c == separator && !is_quoted
        });
        let (before, part) = match at {
            Some((at, _)) => (list.get(..at), list.get(at + separator.len_utf8()..)),
            None => (None, Some(list)),
        };
        rest = before;
        part
    })
}

/// An address as proxies write it: with or without a port, in quotes, in brackets.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let address = match text.strip_prefix('[') {
        Some(text) => text.split_once(']')?.0.parse::<Ipv6Addr>().ok()?.into(),
        None => text
            .parse::<IpAddr>()
            .or_else(|_| text.parse::<SocketAddrV4>().map(|address| IpAddr::from(*address.ip())))
            .ok()?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::settings::tests::read;

    const PROXY: &str = "10.0.0.1";

    fn addresses(header: &str) -> Addresses {
        let (settings, mistakes) = read(&[
            ("REALTIME_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8:1::/48, 192.0.2.1"),
            ("REALTIME_FORWARDED_HEADER", header),
        ]);
        assert_eq!(mistakes, [""; 0]);
        Addresses::new(&settings)
    }

    fn client(header: &str, peer: &str, lines: &[&str]) -> String {
        let addresses = addresses(header);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(addresses.header.name(), HeaderValue::from_str(line).unwrap());
        }
        addresses.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_what_a_trusted_proxy_wrote_is_believed() {
        for (peer, lines, expected) in [
            // Not a proxy: whatever it says, it is itself.
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            (PROXY, &[], PROXY),
            (PROXY, &["198.51.100.1"], "198.51.100.1"),
            // The client's own claim is left of what the proxy wrote.
            (PROXY, &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            (PROXY, &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            (PROXY, &["1.1.1.1, 198.51.100.1, 10.9.9.9,192.0.2.1"], "198.51.100.1"),
            (PROXY, &["198.51.100.1:4711"], "198.51.100.1"),
            (PROXY, &["[2001:db8:9::7]:4711"], "2001:db8:9::7"),
            (PROXY, &["2001:db8:9::7, 2001:db8:1::2"], "2001:db8:9::7"),
            (PROXY, &["::ffff:198.51.100.1"], "198.51.100.1"),
            // All of them trusted: the farthest.
            (PROXY, &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // What is no address hides what is left of it.
            (PROXY, &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
            (PROXY, &["198.51.100.1,"], PROXY),
            (PROXY, &["\"198.51.100.1"], PROXY),
        ] {
            assert_eq!(client("x-forwarded-for", peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn the_standard_header_is_read_with_its_quotes() {
        for (lines, expected) in [
            (&["for=198.51.100.1"][..], "198.51.100.1"),
            (&["proto=https;For=\"[2001:db8:9::7]:4711\";by=10.0.0.1"], "2001:db8:9::7"),
            (&["for=1.1.1.1, for=198.51.100.1;proto=http, for=10.0.0.2"], "198.51.100.1"),
            // A host header with a comma is no hop, and a quote that a client left open swallows none.
            (&["for=198.51.100.1;host=\"x,for=6.6.6.6\""], "198.51.100.1"),
            (&["for=198.51.100.1;host=\"x\\\",for=6.6.6.6\""], "198.51.100.1"),
            (&["for=\"1.1.1.1, for=198.51.100.1"], "198.51.100.1"),
            (&["for=198.51.100.1, for=_hidden"], PROXY),
            (&["for=198.51.100.1, proto=http"], PROXY),
            (&["for=198.51.100.1;for=6.6.6.6"], PROXY),
        ] {
            assert_eq!(client("forwarded", PROXY, lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_network_of_one_client_counts_as_one_and_own_networks_do_not_count() {
        let addresses = addresses("forwarded");
        let counted = |address: &str| addresses.counted(address.parse().unwrap()).map(|ip| ip.to_string());
        assert_eq!(counted("2001:db8:9:1:aaaa::1"), counted("2001:db8:9:1:bbbb::2"));
        assert_ne!(counted("2001:db8:9:1::1"), counted("2001:db8:9:2::1"));
        assert_eq!(counted("198.51.100.1").as_deref(), Some("198.51.100.1"));
        for own in ["127.0.0.1", "::1", "10.1.2.3", "172.20.0.1", "192.168.1.1", "fd00::1", "192.0.2.1"] {
            assert_eq!(counted(own), None, "{own}");
        }
    }

    #[test]
    fn networks_are_written_as_people_write_them() {
        assert_eq!(Networks::parse("none"), Ok(Networks::default()));
        let networks = Networks::parse("10.1.2.3/8, ::1,").unwrap();
        assert!(networks.contains("10.9.9.9".parse().unwrap()) && networks.contains("::1".parse().unwrap()));
        assert!(!networks.contains("::2".parse().unwrap()));
        assert!(Networks::parse("10.0.0.0/33").unwrap_err().contains("10.0.0.0/33"));
        assert!(Networks::parse("proxy.example").is_err());
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_be_anybody_a_proxy_did_not_name(claim in "[ -~]{0,80}") {
            for (header, appended) in [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.1")] {
                let line = format!("{claim}, {appended}");
                prop_assert_eq!(client(header, PROXY, &[line.as_str()]), "198.51.100.1");
                client(header, PROXY, &[claim.as_str()]);
            }
        }
    }
}
