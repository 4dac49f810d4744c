//! Free ports on loopback that stay free: a port given out here is not given to another test, in this process
//! or any other, until this process ends.

use std::{
    env,
    fs::{self, File, OpenOptions},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Mutex, PoisonError},
};

use rand::Rng;

/// Below the range from which kernels take the ports of outgoing connections, which would otherwise take a
/// port between our look and the server's bind.
const RANGE: std::ops::Range<u16> = 15_000..32_000;
/// Taken ports are rare in the range; this many misses in a row mean that something else is wrong.
const TRIES: usize = 1_000;

/// Open lock files, one per port; the kernel lets go of them when the process ends, however it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A free port on 127.0.0.1. Servers that are killed and restarted may use it again and again.
pub fn free() -> u16 {
    let folder = env::temp_dir().join("platepal-testkit-ports");
    fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    let mut rng = rand::rng();
    for _ in 0..TRIES {
        let port = rng.random_range(RANGE);
        let path = folder.join(port.to_string());
        let Ok(lock) = OpenOptions::new().create(true).append(true).open(path) else { continue };
        if lock.try_lock().is_err() || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            continue;
        }
        HELD.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
        return port;
    }
    panic!("no free port found on 127.0.0.1 in {RANGE:?}: {TRIES} were tried");
}

/// [`free`] as an address on 127.0.0.1.
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_out_once() {
        let mut ports: Vec<u16> = (0..200).map(|_| free()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 200);
    }

    #[test]
    fn a_port_can_be_bound() {
        let port = free();
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }
}
