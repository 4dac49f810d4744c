//! Where a channel lives: its partition and its subjects.
//!
//! `rt.ev.0.customer.7` is the log of `customer:7`, `rt.lt.0.customer.7.KEY` its newest value of a key; what is
//! stored there is told on `rt.live.0.customer.7` and `rt.now.0.customer.7.KEY`. The partition is in the subject
//! from the first day, so that more of them need no new names.

use platepal_events::{Channel, ChannelKind};

use crate::body;

pub(super) const LOG: &str = "rt.ev";
pub(super) const LATEST: &str = "rt.lt";
pub(super) const LOG_TOLD: &str = "rt.live";
pub(super) const LATEST_TOLD: &str = "rt.now";

/// The partition of a channel: FNV-1a of its name, fixed for ever, as it says where events are.
pub(super) fn partition_of(channel: &Channel, partitions: usize) -> usize {
    let partitions = u64::try_from(partitions.max(1)).unwrap_or(1);
    usize::try_from(fnv1a(channel.as_str().as_bytes()) % partitions).unwrap_or_default()
}

pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `rt.ev.0.customer.7`, for any of the four prefixes.
pub(super) fn of_channel(prefix: &str, partition: u16, channel: &Channel) -> String {
    let word = channel.kind().word();
    match channel.id() {
        "" => format!("{prefix}.{partition}.{word}"),
        id => format!("{prefix}.{partition}.{word}.{id}"),
    }
}

/// All channels of a kind.
pub(super) fn of_kind(prefix: &str, partition: u16, kind: ChannelKind) -> String {
    let id = if kind.has_id() { ".*" } else { "" };
    format!("{prefix}.{partition}.{}{id}", kind.word())
}

/// The channel whose log is under this subject.
pub(crate) fn channel_of(subject: &str) -> Option<Channel> {
    let name = subject.strip_prefix(LOG)?.strip_prefix('.')?.split_once('.')?.1;
    body::channel_named(&name.replacen('.', ":", 1)).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_channel_comes_back_from_its_subject() {
        for name in ["customer:7", "order:a_b-C", "admin", "all"] {
            let channel: Channel = name.parse().unwrap();
            assert_eq!(channel_of(&of_channel(LOG, 3, &channel)), Some(channel));
        }
        let own = Channel::sessions();
        assert_eq!(channel_of(&of_channel(LOG, 0, &own)), Some(own));
        assert_eq!(channel_of("rt.ev.0.kitchen.7"), None);
        assert_eq!(channel_of("rt.live.0.admin"), None);
    }

    #[test]
    fn the_hash_never_changes_and_spreads() {
        // From the published test vectors of FNV-1a; another value would lose every channel's log.
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        let mut counts = [0_u32; 8];
        for id in 0..8_000 {
            let channel = Channel::new(ChannelKind::Customer, &id.to_string()).unwrap();
            *counts.get_mut(partition_of(&channel, 8)).unwrap() += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
