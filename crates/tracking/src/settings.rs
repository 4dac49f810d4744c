//! The tracking domain's settings.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use platepal_events::millis;
use platepal_settings::Reader;
use url::Url;

use crate::rules::limits::Limits;

platepal_settings::settings! {
    /// Tracking: riders' positions, deliveries, job offers, trails.
    pub struct Settings {
        /// Parts into which riders are divided; each is with one replica at a time. The same for all replicas.
        partitions: u32 = "REALTIME_TRACKING_PARTITIONS", default "64", bound { unit: "partitions", full: "more replicas than that have nothing to do", metric: "realtime_tracking_partitions" };
        /// How long a replica has its partitions without saying that it is alive. A third of it is how often it does.
        lease_time: Duration = "REALTIME_TRACKING_LEASE_TIME", default "6s", bound { unit: "time", full: "others take over its riders", metric: "realtime_tracking_handovers_total" };
        /// Where other replicas reach this process over gRPC, e.g. `http://10.0.3.7:50051`. Without it, `REALTIME_GRPC_ADDR`.
        advertise_url: Option<Url> = "REALTIME_TRACKING_ADVERTISE_URL", optional;
        /// Calls with fixes that wait in one process for their turn.
        queue: usize = "REALTIME_TRACKING_QUEUE", default "10000", bound { unit: "calls", full: "RESOURCE_EXHAUSTED: nothing was kept, the rider sends the fixes again later", metric: "realtime_tracking_queue" };
        /// Messages of one stream of fixes that are worked on at once.
        stream_messages: usize = "REALTIME_TRACKING_STREAM_MESSAGES", default "256", bound { unit: "messages per stream", full: "the stream is not read on until one is answered", metric: "realtime_tracking_queue" };
        /// Lanes in which riders are worked on side by side; with SQLite there is one.
        lanes: usize = "REALTIME_TRACKING_LANES", default "4", bound { unit: "lanes", full: "riders of one lane wait for each other's commit", metric: "realtime_tracking_queue" };
        /// Calls that share one commit.
        group: usize = "REALTIME_TRACKING_GROUP", default "500", bound { unit: "calls", full: "the rest goes with the next commit", metric: "realtime_tracking_commit_seconds" };
        /// Fixes after which what is remembered of a rider is stored, so that less has to be taken again.
        save_after: u32 = "REALTIME_TRACKING_SAVE_AFTER", default "60", bound { unit: "calls per rider", full: "the rider is stored with the next commit", metric: "realtime_tracking_saved_total" };
        /// How long a call waits for the replica that follows its rider, also while that changes hands.
        owner_timeout: Duration = "REALTIME_TRACKING_OWNER_TIMEOUT", default "9s", bound { unit: "time", full: "UNAVAILABLE: the caller repeats, which is harmless", metric: "realtime_tracking_forwarded_total" };
        /// Positions that wait to be told.
        tell_queue: usize = "REALTIME_TRACKING_TELL_QUEUE", default "20000", bound { unit: "deliveries and riders", full: "the position is left out, a later one follows; a newer one takes the place of a waiting one in any case", metric: "realtime_tracking_told_total" };
        /// Positions that are told at the same time.
        tell_in_flight: usize = "REALTIME_TRACKING_TELL_IN_FLIGHT", default "256", bound { unit: "appends", full: "the next waits", metric: "realtime_tracking_tell_waiting" };
        /// A street map, an OpenStreetMap extract (`.osm.pbf`): the way ahead and the time of arrival follow its roads. Without it they follow the great circle.
        map: Option<PathBuf> = "REALTIME_TRACKING_MAP", optional;
        /// Ended drives that wait to be matched with the map, so that its speeds are learned from them.
        drives: usize = "REALTIME_TRACKING_DRIVES", default "1000", bound { unit: "drives", full: "nothing is learned from the next", metric: "realtime_tracking_drives_total" };
        /// How often learned speeds are shared with other replicas.
        learn_interval: Duration = "REALTIME_TRACKING_LEARN_INTERVAL", default "1m", bound { unit: "time", full: "shared", metric: "realtime_tracking_drives_total" };
        /// Faster than this, in metres per second, nobody is: such a fix is refused until three in a row agree on the new place.
        jump_speed: f64 = "REALTIME_TRACKING_JUMP_SPEED", default "41.7";
        /// A fix that is known less well than this, in metres, is kept for the trail and not shown.
        accuracy_metres: f64 = "REALTIME_TRACKING_ACCURACY_METRES", default "200";
        /// A rider has arrived who is this near to the door, in metres, with two fixes or for `REALTIME_TRACKING_CONFIRMING_TIME`.
        arrived_metres: f64 = "REALTIME_TRACKING_ARRIVED_METRES", default "50";
        /// So long within that circle is an arrival, also with one fix.
        confirming_time: Duration = "REALTIME_TRACKING_CONFIRMING_TIME", default "10s";
        /// Who is faster than this, in metres per second, passes by.
        passing_speed: f64 = "REALTIME_TRACKING_PASSING_SPEED", default "5";
        /// A rider is approaching who is this near, in metres.
        approaching_metres: f64 = "REALTIME_TRACKING_APPROACHING_METRES", default "150";
        /// A rider has left who is this far, in metres, beyond the circle of the arrival.
        left_metres: f64 = "REALTIME_TRACKING_LEFT_METRES", default "25";
        /// A rider has arrived as well who stands this near, in metres, for `REALTIME_TRACKING_ZONE_TIME`.
        zone_metres: f64 = "REALTIME_TRACKING_ZONE_METRES", default "100";
        /// So long a stand in the zone is an arrival: longer than a red light.
        zone_time: Duration = "REALTIME_TRACKING_ZONE_TIME", default "60s";
        /// A position is *stale* without a fix for this long.
        stale_after: Duration = "REALTIME_TRACKING_STALE_AFTER", default "30s";
        /// A rider is *offline* without a fix for this long.
        offline_after: Duration = "REALTIME_TRACKING_OFFLINE_AFTER", default "2m";
        /// Where a rider is is *unknown* without a fix for this long: no ETA is told any more.
        unknown_after: Duration = "REALTIME_TRACKING_UNKNOWN_AFTER", default "10m";
        /// Between two positions of one delivery, at least.
        show_min: Duration = "REALTIME_TRACKING_SHOW_MIN", default "1s", bound { unit: "time per delivery", full: "the newest position waits until then", metric: "realtime_tracking_told_total" };
        /// Between two positions of a rider who moves, at most, as long as fixes come; between two that a restaurant is told without news.
        show_max: Duration = "REALTIME_TRACKING_SHOW_MAX", default "10s";
        /// Without a map: how much longer the way is than the great circle.
        detour: f64 = "REALTIME_TRACKING_DETOUR", default "1.35";
        /// From being at a door to having handed over.
        handover_time: Duration = "REALTIME_TRACKING_HANDOVER_TIME", default "2m";
        /// How far a simplified trail may be from the way, in metres.
        trail_error_metres: f64 = "REALTIME_TRACKING_TRAIL_ERROR_METRES", default "5";
        /// Nothing is kept this near, in metres, to where a shift began and ended.
        privacy_metres: f64 = "REALTIME_TRACKING_PRIVACY_METRES", default "150";
        /// How long a rider has to take a job offer that names no time of its own.
        offer_time: Duration = "REALTIME_TRACKING_OFFER_TIME", default "60s", bound { unit: "time", full: "the offer expires: rider and admin are told `offer.expired`, once", metric: "realtime_tracking_offers_total" };
        /// Offers of one delivery that were declined or expired until `delivery.escalation` is told to admin.
        offers: u32 = "REALTIME_TRACKING_OFFERS", default "5", bound { unit: "offers per delivery", full: "the delivery escalates to admin, once", metric: "realtime_tracking_offers_total" };
        /// How long a link to a delivery is good that was asked for without a time.
        share_time: Duration = "REALTIME_TRACKING_SHARE_TIME", default "2h";
        /// The longest time for which a link may be asked for. It ends with its delivery in any case.
        share_time_max: Duration = "REALTIME_TRACKING_SHARE_TIME_MAX", default "24h", bound { unit: "time", full: "INVALID_ARGUMENT: no link is signed", metric: "realtime_tracking_links_total" };
        /// Trails that are played back at the same time.
        replays: usize = "REALTIME_TRACKING_REPLAYS", default "50", bound { unit: "calls", full: "RESOURCE_EXHAUSTED: the caller may try again later", metric: "realtime_tracking_replays_open" };
        /// How long trails, and deliveries and offers after their last change, are remembered.
        keep: Duration = "REALTIME_TRACKING_KEEP", default "30d", bound { unit: "time", full: "they are forgotten", metric: "realtime_tracking_forgotten_total" };
        /// How often what is old is looked for.
        sweep_interval: Duration = "REALTIME_TRACKING_SWEEP_INTERVAL", default "1m", bound { unit: "time", full: "looked again", metric: "realtime_tracking_forgotten_total" };
        /// How often timers and untold events are looked for.
        poll_interval: Duration = "REALTIME_TRACKING_POLL_INTERVAL", default "500ms", bound { unit: "time", full: "looked again", metric: "realtime_tracking_timers_fired_total" };
        /// For how long an event may be kept but untold before the worker tells it: its own call is about to.
        relay_after: Duration = "REALTIME_TRACKING_RELAY_AFTER", default "2s", bound { unit: "time", full: "the worker tells it", metric: "realtime_outbox_waiting_streams" };
        /// Rows that the worker takes at once.
        chunk: u32 = "REALTIME_TRACKING_CHUNK", default "500", bound { unit: "rows", full: "the rest follows in the next round", metric: "realtime_tracking_forgotten_total" };
    }
}

impl Settings {
    /// Where others reach this process, whose gRPC is served at `address`.
    pub(crate) fn url(&self, address: SocketAddr) -> String {
        self.advertise_url.as_ref().map_or_else(|| format!("http://{address}"), Url::to_string)
    }

    /// The numbers of the rules: those that an operator may choose, and the others.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            jump_mps: self.jump_speed,
            accuracy_max_m: self.accuracy_metres,
            arrived_m: self.arrived_metres,
            confirming_millis: millis(self.confirming_time),
            passing_mps: self.passing_speed,
            approaching_m: self.approaching_metres,
            left_m: self.left_metres,
            zone_m: self.zone_metres,
            zone_millis: millis(self.zone_time),
            stale_millis: millis(self.stale_after),
            offline_millis: millis(self.offline_after),
            unknown_millis: millis(self.unknown_after),
            show_min_millis: millis(self.show_min),
            show_max_millis: millis(self.show_max),
            detour: self.detour,
            handover_millis: millis(self.handover_time),
            trail_error_m: self.trail_error_metres,
            privacy_m: self.privacy_metres,
            offers_max: self.offers,
            ..Limits::default()
        }
    }

    fn check_rules(&self, reader: &mut Reader) {
        for (name, number, from, to) in [
            ("JUMP_SPEED", self.jump_speed, 10.0, 150.0),
            ("ACCURACY_METRES", self.accuracy_metres, 10.0, 5_000.0),
            ("ARRIVED_METRES", self.arrived_metres, 10.0, 500.0),
            ("PASSING_SPEED", self.passing_speed, 0.5, 15.0),
            ("LEFT_METRES", self.left_metres, 5.0, 500.0),
            ("DETOUR", self.detour, 1.0, 3.0),
            ("TRAIL_ERROR_METRES", self.trail_error_metres, 0.5, 100.0),
            ("PRIVACY_METRES", self.privacy_metres, 0.0, 5_000.0),
        ] {
            if !(from..=to).contains(&number) {
                reader.mistake(format!(
                    "REALTIME_TRACKING_{name} must be between {from} and {to} (it is {number})"
                ));
            }
        }
        if self.zone_metres < self.arrived_metres || self.approaching_metres < self.zone_metres {
            reader.mistake(
                "REALTIME_TRACKING_ARRIVED_METRES, _ZONE_METRES and _APPROACHING_METRES must be circles within each other, in \
                 this order",
            );
        }
        let grow = [Duration::ZERO, self.stale_after, self.offline_after, self.unknown_after];
        if !grow.is_sorted_by(|one, next| one < next) {
            reader.mistake(
                "REALTIME_TRACKING_STALE_AFTER, _OFFLINE_AFTER and _UNKNOWN_AFTER must be above zero and each longer than the one \
                 before",
            );
        }
        if self.show_min < Duration::from_millis(100) || self.show_max < self.show_min {
            reader.mistake(
                "REALTIME_TRACKING_SHOW_MIN must be at least 100ms, and at most REALTIME_TRACKING_SHOW_MAX",
            );
        }
    }

    /// Notes values that can't work. `address`: where gRPC is served; `others`: other replicas may ask this one.
    pub fn check(&self, reader: &mut Reader, address: SocketAddr, others: bool) {
        self.check_rules(reader);
        if others && self.advertise_url.is_none() && address.ip().is_unspecified() {
            reader.mistake(format!(
                "REALTIME_TRACKING_ADVERTISE_URL must be set: REALTIME_GRPC_ADDR is {address}, which names no address at \
                 which other replicas of tracking reach this one"
            ));
        }
        if let Some(url) = &self.advertise_url
            && (url.scheme() != "http" || url.host_str().is_none())
        {
            reader.mistake(format!(
                "REALTIME_TRACKING_ADVERTISE_URL must be like http://10.0.3.7:50051 (it is {url})"
            ));
        }
        if self.poll_interval.is_zero() || self.poll_interval > Duration::from_secs(1) {
            reader.mistake(
                "REALTIME_TRACKING_POLL_INTERVAL must be above zero and at most 1s: timers fire within a second",
            );
        }
        if self.lease_time < Duration::from_secs(1) || self.lease_time > Duration::from_secs(7) {
            reader.mistake(
                "REALTIME_TRACKING_LEASE_TIME must be between 1s and 7s: riders change hands within 10s",
            );
        }
        for (name, number) in [
            ("PARTITIONS", self.partitions as usize),
            ("QUEUE", self.queue),
            ("STREAM_MESSAGES", self.stream_messages),
            ("LANES", self.lanes),
            ("GROUP", self.group),
            ("SAVE_AFTER", self.save_after as usize),
            ("DRIVES", self.drives),
            ("TELL_QUEUE", self.tell_queue),
            ("TELL_IN_FLIGHT", self.tell_in_flight),
        ] {
            if number == 0 {
                reader.mistake(format!("REALTIME_TRACKING_{name} must be at least 1"));
            }
        }
        if self.offers == 0 || self.chunk == 0 || self.replays == 0 {
            reader.mistake(
                "REALTIME_TRACKING_OFFERS, REALTIME_TRACKING_CHUNK and REALTIME_TRACKING_REPLAYS must be at least 1",
            );
        }
        if self.learn_interval.is_zero() {
            reader.mistake("REALTIME_TRACKING_LEARN_INTERVAL must be above zero");
        }
        if self.offer_time.is_zero() {
            reader.mistake("REALTIME_TRACKING_OFFER_TIME must be above zero");
        }
        if self.share_time < Duration::from_secs(1) || self.share_time > self.share_time_max {
            reader.mistake(
                "REALTIME_TRACKING_SHARE_TIME must be at least 1s, and at most REALTIME_TRACKING_SHARE_TIME_MAX",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mistakes(variables: &[(&str, &str)], address: &str, others: bool) -> Vec<String> {
        let mut reader = Reader::new(variables.iter().copied());
        let settings: Settings = reader.read().unwrap();
        settings.check(&mut reader, address.parse().unwrap(), others);
        reader
            .finish(<Settings as platepal_settings::Group>::SPECS)
            .err()
            .map_or_else(Vec::new, |mistakes| mistakes.0)
    }

    #[test]
    fn a_replica_that_others_ask_has_an_address_for_them() {
        let url = ("REALTIME_TRACKING_ADVERTISE_URL", "http://10.0.3.7:50051");
        assert_eq!(mistakes(&[], "127.0.0.1:50051", true), Vec::<String>::new());
        assert_eq!(mistakes(&[], "0.0.0.0:50051", false), Vec::<String>::new());
        assert_eq!(mistakes(&[url], "0.0.0.0:50051", true), Vec::<String>::new());
        let [mistake] = <[String; 1]>::try_from(mistakes(&[], "0.0.0.0:50051", true)).unwrap();
        assert!(mistake.contains("REALTIME_TRACKING_ADVERTISE_URL must be set"), "{mistake}");
        let wrong = [("REALTIME_TRACKING_ADVERTISE_URL", "ftp://tracking")];
        assert_eq!(mistakes(&wrong, "127.0.0.1:50051", true).len(), 1);
    }

    #[test]
    fn the_numbers_of_the_rules_are_those_of_the_domain_and_fit_together() {
        let settings: Settings = Reader::new(Vec::<(String, String)>::new()).read().unwrap();
        assert_eq!(settings.limits(), Limits::default());
        let wrong = [
            ("REALTIME_TRACKING_ARRIVED_METRES", "120"),
            ("REALTIME_TRACKING_STALE_AFTER", "3m"),
            ("REALTIME_TRACKING_DETOUR", "0.9"),
            ("REALTIME_TRACKING_SHOW_MIN", "20s"),
        ];
        let mistakes = mistakes(&wrong, "127.0.0.1:50051", false);
        assert_eq!(mistakes.len(), wrong.len(), "{mistakes:?}");
    }
}
