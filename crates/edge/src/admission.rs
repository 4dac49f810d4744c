//! Who is let in: a place among all connections, a place among those of its address, and a moment in which to
//! shake hands.
//!
//! A connection arrives when it is accepted; whoever wants to stay (a WebSocket, a stream) asks
//! [`Entrance::admit`] once, and holds what it gets for as long as it stays. A storm is let in evenly: who is
//! early waits a little, and who would wait too long is told when to come back, each at another moment.
//! Refused are only those who ask to stay; a plain request is answered.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use metrics::{gauge, histogram};
use parking_lot::Mutex;
use rand::Rng;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    Settings,
    addresses::Addresses,
    crowd::{self, Crowd},
    handshake::Refused,
    limits::{Allowance, Pace},
};

/// When to come back to a server that is full: nobody knows when there will be room.
const FULL_WAIT: Duration = Duration::from_secs(2);

/// The one door of an edge.
#[derive(Debug)]
pub(crate) struct Entrance {
    addresses: Addresses,
    crowd: Arc<Crowd>,
    places: Arc<Semaphore>,
    pace: Mutex<Pace>,
    handshakes: Allowance,
    wait_max: Duration,
    retry_spread: Duration,
}

/// A connection that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    peer: IpAddr,
    standing: Standing,
}

#[derive(Debug, Clone)]
enum Standing {
    Placed(Arc<Placed>),
    /// There are too many connections.
    Full,
    /// There are too many of its address.
    Crowded,
}

#[derive(Debug)]
struct Placed {
    _permit: OwnedSemaphorePermit,
    _of_address: Option<crowd::Place>,
}

/// Whoever sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// The client's own address, behind trusted proxies too.
    pub address: IpAddr,
    arrived: Arrived,
}

/// The right to stay; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Admitted {
    _placed: Arc<Placed>,
    _of_address: Option<crowd::Place>,
}

impl Entrance {
    pub fn new(settings: &Settings) -> Self {
        Self {
            addresses: Addresses::new(settings),
            crowd: Crowd::new(settings),
            places: Arc::new(Semaphore::new(settings.connections_max.min(Semaphore::MAX_PERMITS))),
            pace: Mutex::new(Pace::new(Instant::now())),
            handshakes: Allowance {
                per_second: settings.handshakes_per_second,
                burst: settings.handshakes_burst,
            },
            wait_max: settings.handshake_wait_max,
            retry_spread: settings.retry_spread,
        }
    }

    /// Gives a new connection its place, if there is one. A proxy's connections count for its clients, who are
    /// known later.
    pub fn arrive(&self, peer: IpAddr) -> Arrived {
        let peer = peer.to_canonical();
        let standing = match Arc::clone(&self.places).try_acquire_owned() {
            Err(_) => Standing::Full,
            Ok(permit) => match self.addresses.counted(peer) {
                None => Standing::Placed(Arc::new(Placed { _permit: permit, _of_address: None })),
                Some(address) => match self.crowd.enter(address, Instant::now()) {
                    None => Standing::Crowded,
                    of_address => {
                        Standing::Placed(Arc::new(Placed { _permit: permit, _of_address: of_address }))
                    }
                },
            },
        };
        Arrived { peer, standing }
    }

    /// Whose request this is.
    pub fn visitor(&self, arrived: &Arrived, headers: &HeaderMap) -> Visitor {
        Visitor { address: self.addresses.client(arrived.peer, headers), arrived: arrived.clone() }
    }

    /// Lets one in who wants to stay, perhaps after a short wait. The error is the answer.
    pub async fn admit(&self, visitor: &Visitor) -> Result<Admitted, Refused> {
        let placed = match &visitor.arrived.standing {
            Standing::Placed(placed) => Arc::clone(placed),
            Standing::Full => return Err(self.full()),
            Standing::Crowded => return Err(self.crowded(visitor.address)),
        };
        let now = Instant::now();
        let counted = self.addresses.counted(visitor.address);
        let of_address = match counted {
            // The connection itself is counted.
            Some(_) if visitor.address == visitor.arrived.peer => None,
            Some(address) => {
                let place = self.crowd.enter(address, now);
                Some(place.ok_or_else(|| self.crowded(visitor.address))?)
            }
            None => None,
        };
        if let Some(address) = counted {
            self.crowd.shake(address, now).map_err(|wait| self.hasty(visitor.address, wait))?;
        }
        // The lock is not held while waiting.
        let reserved = self.pace.lock().reserve(self.handshakes, now, self.wait_max);
        match reserved {
            Ok(Duration::ZERO) => {}
            Ok(wait) => {
                histogram!("realtime_edge_handshake_wait_seconds").record(wait.as_secs_f64());
                let _waiting = Waiting::new();
                tokio::time::sleep_until(now + wait).await;
            }
            Err(wait) => {
                if let Some(address) = counted {
                    self.crowd.unshake(address);
                }
                return Err(self.busy(wait));
            }
        }
        Ok(Admitted { _placed: placed, _of_address: of_address })
    }

    /// At least so long, and each client a little more than the other.
    fn retry_after(&self, wait: Duration) -> Duration {
        wait + self.retry_spread.mul_f64(rand::rng().random_range(0.0..=1.0))
    }

    fn full(&self) -> Refused {
        Refused::until(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "this server is full; try again soon",
            self.retry_after(FULL_WAIT),
        )
    }

    fn busy(&self, wait: Duration) -> Refused {
        Refused::until(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "too many clients connect at this moment; try again soon",
            self.retry_after(wait),
        )
    }

    fn crowded(&self, address: IpAddr) -> Refused {
        Refused::until(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_connections",
            format!(
                "{address} has too many connections; close some (behind a proxy: add it to \
                 REALTIME_TRUSTED_PROXIES)"
            ),
            self.retry_after(FULL_WAIT),
        )
    }

    fn hasty(&self, address: IpAddr, wait: Duration) -> Refused {
        Refused::until(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_handshakes",
            format!("{address} connects too often; wait longer before each attempt"),
            self.retry_after(wait),
        )
    }
}

impl Arrived {
    /// Whether it may ask to stay; else it is only told why not.
    pub fn has_place(&self) -> bool {
        matches!(self.standing, Standing::Placed(_))
    }
}

/// Counts those who wait.
struct Waiting;

impl Waiting {
    fn new() -> Self {
        gauge!("realtime_edge_handshakes_waiting").increment(1);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        gauge!("realtime_edge_handshakes_waiting").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::future::join_all;
    use http::HeaderValue;

    use super::*;
    use crate::settings::tests::read;

    fn entrance(variables: &[(&str, &str)]) -> Entrance {
        let (settings, mistakes) = read(variables);
        assert_eq!(mistakes, [""; 0]);
        Entrance::new(&settings)
    }

    fn visitor(entrance: &Entrance, peer: &str, forwarded: &str) -> Visitor {
        let mut headers = HeaderMap::new();
        if !forwarded.is_empty() {
            headers.insert("x-forwarded-for", HeaderValue::from_str(forwarded).unwrap());
        }
        let arrived = entrance.arrive(peer.parse().unwrap());
        entrance.visitor(&arrived, &headers)
    }

    #[tokio::test]
    async fn two_thousand_clients_come_back_at_once_with_the_defaults() {
        let entrance = entrance(&[]);
        let began = Instant::now();
        let visitors: Vec<Visitor> =
            (0..2_000).map(|n| visitor(&entrance, &format!("203.0.{}.{}", n / 250, n % 250), "")).collect();
        let admitted = join_all(visitors.iter().map(|visitor| entrance.admit(visitor))).await;
        assert!(admitted.iter().all(Result::is_ok));
        assert!(began.elapsed() < entrance.wait_max, "nobody had to wait");
    }

    #[tokio::test]
    async fn a_storm_is_let_in_evenly_and_the_rest_come_back_at_different_moments() {
        let entrance = entrance(&[
            ("REALTIME_EDGE_HANDSHAKES_PER_SECOND", "100"),
            ("REALTIME_EDGE_HANDSHAKES_BURST", "10"),
            ("REALTIME_EDGE_HANDSHAKE_WAIT_MAX", "300ms"),
        ]);
        let began = Instant::now();
        let visitors: Vec<Visitor> =
            (0..200).map(|n| visitor(&entrance, &format!("203.0.113.{n}"), "")).collect();
        let mut admitted = Vec::new();
        let mut told = Vec::new();
        let ask = async |visitor: &Visitor| (entrance.admit(visitor).await, began.elapsed());
        for (outcome, after) in join_all(visitors.iter().map(ask)).await {
            match outcome {
                Ok(_) => admitted.push(after),
                Err(refused) => {
                    assert_eq!((refused.status.as_u16(), refused.word), (503, "busy"));
                    told.push(refused.retry_after().unwrap());
                }
            }
        }
        // Ten at once, and as many as come within the wait; those who asked late found a place that had come free.
        assert!((40..=90).contains(&admitted.len()), "{} were admitted", admitted.len());
        admitted.sort();
        for (nth, after) in admitted.iter().enumerate() {
            let earliest = Duration::from_millis(10 * nth.saturating_sub(10) as u64);
            assert!(*after + Duration::from_millis(1) >= earliest, "{nth} after {after:?}");
        }
        told.sort();
        let (first, last) = (*told.first().unwrap(), *told.last().unwrap());
        assert!(
            first >= Duration::from_millis(300) && last <= Duration::from_millis(5_400),
            "{first:?} {last:?}"
        );
        assert!(last - first > Duration::from_secs(2), "{first:?} to {last:?} is no spread");
    }

    #[tokio::test]
    async fn clients_of_a_proxy_are_counted_each_and_the_proxy_is_not() {
        let entrance = entrance(&[
            ("REALTIME_TRUSTED_PROXIES", "192.0.2.1"),
            ("REALTIME_EDGE_CONNECTIONS_PER_ADDRESS_MAX", "2"),
        ]);
        let mut kept = Vec::new();
        for n in 0..10 {
            let visitor = visitor(&entrance, "192.0.2.1", &format!("203.0.113.{}", n / 2));
            kept.push(entrance.admit(&visitor).await.unwrap());
        }
        let third = visitor(&entrance, "192.0.2.1", "203.0.113.4");
        let refused = entrance.admit(&third).await.unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.word), (429, "too_many_connections"));
        kept.pop();
        assert!(entrance.admit(&third).await.is_ok());
        // The proxy speaks for itself: a health check.
        assert!(entrance.admit(&visitor(&entrance, "192.0.2.1", "")).await.is_ok());
    }

    #[tokio::test]
    async fn a_refused_storm_costs_an_address_nothing() {
        let entrance = entrance(&[
            ("REALTIME_EDGE_HANDSHAKES_PER_SECOND", "1"),
            ("REALTIME_EDGE_HANDSHAKES_BURST", "1"),
            ("REALTIME_EDGE_HANDSHAKE_WAIT_MAX", "0ms"),
            ("REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_PER_SECOND", "1"),
            ("REALTIME_EDGE_HANDSHAKES_PER_ADDRESS_BURST", "2"),
        ]);
        let visitor = visitor(&entrance, "203.0.113.1", "");
        assert!(entrance.admit(&visitor).await.is_ok());
        for _ in 0..5 {
            assert_eq!(entrance.admit(&visitor).await.unwrap_err().word, "busy");
        }
    }
}
