//! Where a browser's endpoint may lead. Endpoints are named by whoever registers a device, so that without a guard
//! anybody could make this process call its neighbours.
//!
//! Two checks, and both must pass: the address as it is written ([`Guard::check`]: https, its usual port, a host of
//! the list), and, at the moment of connecting, every address that the host's name has ([`Guard`] is the client's
//! resolver). What was checked is what is connected to, so that a name that answers differently the second time
//! gains nothing; redirects are not followed.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_util::{FutureExt, future::BoxFuture};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::{address::is_public, settings::Settings};

/// Longer than any endpoint that a push service gives out.
const ENDPOINT_BYTES_MAX: usize = 2_048;

/// Why an endpoint is not reached. Completes the sentence "the endpoint …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Blocked {
    #[error("is longer than {ENDPOINT_BYTES_MAX} bytes")]
    Long,
    #[error("does not begin with https")]
    Scheme,
    #[error("holds a user name or a password")]
    Credentials,
    #[error("names no host")]
    NoHost,
    #[error("is at {0:?}, which REALTIME_PUSH_HOSTS does not allow")]
    Host(String),
    #[error("names port {0}; push services are at 443")]
    Port(u16),
    #[error("is at {0:?}, which has an address that is not public")]
    Private(String),
}

/// Finds a name's addresses.
pub(crate) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The system's resolver.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|host| async move { Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.collect()) }.boxed())
}

/// Judges endpoints, and resolves their names. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Guard(Arc<Rules>);

struct Rules {
    hosts: Vec<String>,
    private: Vec<String>,
    lookup: Lookup,
}

impl Guard {
    pub(crate) fn new(settings: &Settings, lookup: Lookup) -> Self {
        let (hosts, private) = (settings.hosts.clone(), settings.private_hosts.clone());
        Self(Arc::new(Rules { hosts, private, lookup }))
    }

    /// Judges an endpoint as it is written.
    pub(crate) fn check(&self, endpoint: &Url) -> Result<(), Blocked> {
        if endpoint.as_str().len() > ENDPOINT_BYTES_MAX {
            return Err(Blocked::Long);
        }
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return Err(Blocked::Credentials);
        }
        let host = endpoint.host().ok_or(Blocked::NoHost)?;
        if self.0.is_private(host.to_string().as_str()) {
            return if matches!(endpoint.scheme(), "http" | "https") { Ok(()) } else { Err(Blocked::Scheme) };
        }
        if endpoint.scheme() != "https" {
            return Err(Blocked::Scheme);
        }
        if !self.0.is_allowed(&host) {
            return Err(Blocked::Host(host.to_string()));
        }
        let port = endpoint.port_or_known_default().unwrap_or_default();
        if port != 443 {
            return Err(Blocked::Port(port));
        }
        // The resolver is not asked about an address that is written out.
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        match address {
            Some(address) if !is_public(address) => Err(Blocked::Private(address.to_string())),
            _ => Ok(()),
        }
    }

    async fn lookup(self, host: String) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let addresses = (self.0.lookup)(host.clone()).await?;
        // One private address among public ones is no accident.
        let is_private = !addresses.iter().all(|address| is_public(address.ip()));
        if is_private && !self.0.is_private(&host) {
            return Err(Box::new(Blocked::Private(host)));
        }
        Ok(addresses)
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.clone().lookup(name.as_str().to_owned());
        async { Ok(Box::new(lookup.await?.into_iter()) as Addrs) }.boxed()
    }
}

impl Rules {
    fn is_private(&self, host: &str) -> bool {
        self.private.iter().any(|private| private == host)
    }

    fn is_allowed(&self, host: &Host<&str>) -> bool {
        let text = host.to_string();
        self.hosts.iter().any(|allowed| match allowed.strip_prefix('*') {
            // `*.example.com` is each name below it, at any depth, and not itself.
            Some(suffix) => {
                matches!(host, Host::Domain(_)) && text.len() > suffix.len() && text.ends_with(suffix)
            }
            None => *allowed == text,
        })
    }
}

/// Whether an entry of the settings' lists can match anything: a host as addresses are written, or `*.` before one.
pub(crate) fn is_pattern(text: &str, may_be_many: bool) -> bool {
    let name = if may_be_many { text.strip_prefix("*.").unwrap_or(text) } else { text };
    // A pattern of a whole top-level domain is a slip.
    let is_broad = name != text && !name.contains('.');
    !is_broad && !name.contains('*') && Host::parse(name).is_ok_and(|host| host.to_string() == name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use std::{
        error::Error as _,
        net::Ipv4Addr,
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use platepal_settings::Reader;

    use super::*;

    fn guard(variables: &[(&str, &str)], lookup: Lookup) -> Guard {
        let settings: Settings = Reader::new(variables.iter().copied()).read().unwrap();
        Guard::new(&settings, lookup)
    }

    fn judge(guard: &Guard, endpoint: &str) -> Result<(), Blocked> {
        guard.check(&endpoint.parse().unwrap())
    }

    #[test]
    fn endpoints_of_the_browsers_push_services_are_allowed() {
        let guard = guard(&[], system_lookup());
        for endpoint in [
            "https://fcm.googleapis.com/fcm/send/abc:def",
            "https://updates.push.services.mozilla.com/wpush/v2/gAAAA",
            "https://wns2-db5p.notify.windows.com/w/?token=abc",
            "https://web.push.apple.com/QGm",
            "https://fcm.googleapis.com:443/x",
            "https://FCM.googleapis.com/x",
        ] {
            assert_eq!(judge(&guard, endpoint), Ok(()), "{endpoint}");
        }
    }

    #[test]
    fn other_endpoints_are_not() {
        let guard = guard(&[], system_lookup());
        let host = |host: &str| Blocked::Host(host.to_owned());
        for (endpoint, why) in [
            ("http://fcm.googleapis.com/x", Blocked::Scheme),
            ("ftp://fcm.googleapis.com/x", Blocked::Scheme),
            ("https://user@fcm.googleapis.com/x", Blocked::Credentials),
            ("https://:secret@fcm.googleapis.com/x", Blocked::Credentials),
            ("https://fcm.googleapis.com@127.0.0.1/x", Blocked::Credentials),
            ("https://fcm.googleapis.com:8443/x", Blocked::Port(8443)),
            ("https://fcm.googleapis.com:80/x", Blocked::Port(80)),
            ("https://fcm.googleapis.com.evil.example/x", host("fcm.googleapis.com.evil.example")),
            ("https://evilfcm.googleapis.com/x", host("evilfcm.googleapis.com")),
            ("https://notify.windows.com/x", host("notify.windows.com")),
            ("https://evilnotify.windows.com/x", host("evilnotify.windows.com")),
            ("https://fcm.googleapis.com./x", host("fcm.googleapis.com.")),
            ("https://localhost/x", host("localhost")),
            ("https://127.0.0.1/x", host("127.0.0.1")),
            ("https://2130706433/x", host("127.0.0.1")),
            ("https://0x7f.1/x", host("127.0.0.1")),
            ("https://[::1]/x", host("[::1]")),
            ("https://[::ffff:169.254.169.254]/x", host("[::ffff:a9fe:a9fe]")),
            (&format!("https://fcm.googleapis.com/{}", "x".repeat(3_000)), Blocked::Long),
        ] {
            assert_eq!(judge(&guard, endpoint), Err(why), "{endpoint}");
        }
    }

    #[test]
    fn an_address_that_is_written_out_must_be_public_even_if_the_list_has_it() {
        let hosts = [("REALTIME_PUSH_HOSTS", "10.0.0.1,[fd00::1],142.250.74.10")];
        let guard = guard(&hosts, system_lookup());
        assert_eq!(judge(&guard, "https://142.250.74.10/x"), Ok(()));
        assert_eq!(judge(&guard, "https://10.0.0.1/x"), Err(Blocked::Private("10.0.0.1".into())));
        assert_eq!(judge(&guard, "https://[fd00::1]/x"), Err(Blocked::Private("fd00::1".into())));
    }

    #[test]
    fn a_host_that_may_be_private_may_have_any_port_and_no_tls() {
        let guard = guard(&[("REALTIME_PUSH_PRIVATE_HOSTS", "localhost,[::1]")], system_lookup());
        for endpoint in ["http://localhost:8080/x", "https://localhost/x", "http://[::1]:9/x"] {
            assert_eq!(judge(&guard, endpoint), Ok(()), "{endpoint}");
        }
        assert_eq!(judge(&guard, "http://u:p@localhost/x"), Err(Blocked::Credentials));
        assert_eq!(judge(&guard, "ftp://localhost/etc/passwd"), Err(Blocked::Scheme));
        assert_eq!(judge(&guard, "http://127.0.0.1/x"), Err(Blocked::Scheme));
    }

    #[test]
    fn a_pattern_is_a_host_or_the_names_below_one() {
        for pattern in ["fcm.googleapis.com", "*.push.apple.com", "localhost", "127.0.0.1", "[::1]"] {
            assert!(is_pattern(pattern, true), "{pattern}");
        }
        for pattern in
            ["", "*", "*.com", "a.*.com", "https://a.com", "a.com/x", "a.com:443", "A.com", "0x7f.1"]
        {
            assert!(!is_pattern(pattern, true), "{pattern}");
        }
        assert!(!is_pattern("*.push.apple.com", false));
    }

    /// A name whose addresses are, one after the other, these.
    fn answers(answers: Vec<Vec<Ipv4Addr>>) -> Lookup {
        let asked = AtomicUsize::new(0);
        Arc::new(move |_| {
            let addresses = answers[asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone();
            async { Ok(addresses.into_iter().map(|address| SocketAddr::from((address, 0))).collect()) }
                .boxed()
        })
    }

    fn blocked(error: &reqwest::Error) -> Option<Blocked> {
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(blocked) = cause.downcast_ref::<Blocked>() {
                return Some(blocked.clone());
            }
            source = cause.source();
        }
        None
    }

    #[tokio::test]
    async fn a_name_that_has_a_private_address_is_not_connected_to() {
        rustls::crypto::ring::default_provider().install_default().ok();
        // Whoever connects is noticed.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let loopback = Ipv4Addr::LOCALHOST;
        // Nobody is at this address: it is for documents, and stands for a public one that does not answer.
        let public = Ipv4Addr::new(142, 250, 74, 10);
        let rebinding = vec![vec![loopback], vec![public, loopback], vec![Ipv4Addr::new(169, 254, 169, 254)]];
        let guard = guard(&[], answers(rebinding));
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .dns_resolver(guard.clone())
            .build()
            .unwrap();
        for _ in 0..3 {
            let error = client.get(format!("http://fcm.googleapis.com:{port}/x")).send().await.unwrap_err();
            assert_eq!(blocked(&error), Some(Blocked::Private("fcm.googleapis.com".into())), "{error:?}");
        }
        let nobody = listener.accept().now_or_never();
        assert!(nobody.is_none(), "a private address was connected to");
    }

    #[tokio::test]
    async fn a_host_that_may_be_private_is_connected_to() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let guard =
            guard(&[("REALTIME_PUSH_PRIVATE_HOSTS", "push.test")], answers(vec![vec![Ipv4Addr::LOCALHOST]]));
        let client = reqwest::Client::builder().no_proxy().dns_resolver(guard).build().unwrap();
        let request = tokio::spawn(client.get(format!("http://push.test:{port}/x")).send());
        let accepted = tokio::time::timeout(Duration::from_secs(20), listener.accept()).await;
        assert!(accepted.is_ok(), "it was not connected to");
        request.abort();
    }
}
