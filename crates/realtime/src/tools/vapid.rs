//! `vapid`: a new pair of keys for web push.

use anstream::{eprintln, println};
use platepal_push::VapidKeys;

/// Prints the settings as an environment file has them, with the public key as a remark.
#[allow(clippy::print_stdout, clippy::print_stderr)]
pub(crate) fn run() {
    let keys = VapidKeys::generate();
    println!("# For browsers, as applicationServerKey; clients ask for it by notifications.key.");
    println!("# {}", keys.public());
    println!("REALTIME_PUSH_VAPID_PRIVATE_KEY={}", keys.private().reveal());
    println!("REALTIME_PUSH_VAPID_CONTACT=mailto:you@example.com");
    eprintln!("Keep the private key: with another one, all subscriptions are worth nothing.");
}
