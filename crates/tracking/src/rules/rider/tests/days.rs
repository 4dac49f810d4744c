//! What must hold of any day.

use proptest::prelude::*;

use super::*;
use crate::rules::road::Road;

/// How far from the place where it was measured a position may be shown, in accuracies.
const ACCURACIES: f64 = 2.5;

#[derive(Debug, Clone)]
enum Event {
    Fix(Fix),
    Batch(Vec<Fix>),
    Tick,
    Status(DeliveryStatus),
    Shift(bool),
}

fn sane_fix() -> impl Strategy<Value = Fix> {
    let speed = proptest::option::of(0.0_f64..15.0);
    (0.0_f64..4_000.0, -200.0_f64..200.0, 0.0_f64..600.0, 1.0_f64..250.0, speed).prop_map(
        |(east, north, seconds, accuracy, speed)| {
            let place = HOME.ahead(90.0, east).ahead(0.0, north);
            Fix { accuracy, speed, ..fix(place, seconds) }
        },
    )
}

fn any_fix() -> impl Strategy<Value = Fix> {
    (any::<[f64; 3]>(), any::<[Option<f64>; 3]>(), any::<i64>()).prop_map(|(numbers, options, micros)| Fix {
        latitude: numbers[0],
        longitude: numbers[1],
        accuracy: numbers[2],
        heading: options[0],
        speed: options[1],
        battery_level: options[2],
        recorded_at: Timestamp::from_micros(micros),
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        10 => sane_fix().prop_map(Event::Fix),
        1 => any_fix().prop_map(Event::Fix),
        1 => proptest::collection::vec(sane_fix(), 0..10).prop_map(Event::Batch),
        3 => Just(Event::Tick),
        1 => (0_usize..10).prop_map(|index| Event::Status(DeliveryStatus::ALL[index])),
        1 => any::<bool>().prop_map(Event::Shift),
    ]
}

/// A day in steps of so many seconds; checks what must always hold; returns everything that came out.
fn run(events: &[Event], step_seconds: f64) -> (Rider, Vec<Taken>, Vec<Shown>) {
    let (mut rider, limits) = (on_shift(), Limits::default());
    rider.put_delivery(delivery("88", DeliveryStatus::InTransit));
    let mut status = DeliveryStatus::InTransit;
    let (mut all_taken, mut all_shown) = (Vec::new(), Vec::new());
    let (mut shown_at, mut minutes_at): (Option<Timestamp>, Option<(Timestamp, u32)>) = (None, None);
    let mut arrivals = 0;
    for (index, event) in events.iter().enumerate() {
        let now = at(index as f64 * step_seconds);
        let (mut taken, mut shown) = (Vec::new(), Vec::new());
        match event {
            Event::Fix(fix) => taken.push((*fix, rider.take(fix, now, &limits, &NoRoads))),
            Event::Batch(fixes) => {
                taken.extend(fixes.iter().copied().zip(rider.take_all(fixes, now, &limits, &NoRoads)));
            }
            Event::Tick => shown.extend(rider.tick(now, &limits)),
            Event::Status(next) => {
                status = *next;
                if next.is_end() {
                    // What comes next is another delivery's story.
                    (arrivals, shown_at, minutes_at) = (0, None, None);
                }
                rider.put_delivery(delivery("88", *next));
            }
            Event::Shift(true) => rider.start_shift(now, None),
            Event::Shift(false) => {
                rider.end_shift(now, &limits);
            }
        }
        for (fix, taken) in &taken {
            shown.extend(taken.shown.iter().cloned());
            arrivals += taken.crossings.iter().filter(|crossing| crossing.what == Doing::Arrived).count();
            if let Some(smoothed) = taken.smoothed {
                assert!(smoothed.speed.is_finite() && smoothed.accuracy.is_finite());
                let metres = smoothed.place.metres_to(fix.place());
                let bound = ACCURACIES * fix.accuracy.max(limits.accuracy_min_m) + 1.0;
                assert!(fix.latitude.abs() > 80.0 || metres <= bound, "{metres} m from {fix:?}");
            }
        }
        assert!(arrivals <= 2, "once at each end");
        if !status.is_shown() || rider.on_shift_since().is_none() {
            assert!(shown.is_empty(), "{status:?}: {shown:?}");
        }
        assert!(shown.len() <= 1);
        for shown in &shown {
            assert!(shown_at.is_none_or(|last| now.millis_since(last) >= 999));
            shown_at = Some(now);
            if let Some(eta) = shown.eta
                && minutes_at.is_none_or(|(_, minutes)| minutes != eta.minutes)
            {
                assert!(
                    minutes_at.is_none_or(|(since, _)| now.millis_since(since) >= 29_999),
                    "the ETA flaps"
                );
                minutes_at = Some((now, eta.minutes));
            }
            serde_json::from_str::<serde_json::Value>(&payload::for_customer(shown)).unwrap();
        }
        all_taken.extend(taken.into_iter().map(|(_, taken)| taken));
        all_shown.extend(shown);
    }
    (rider, all_taken, all_shown)
}

proptest! {
    #[test]
    fn any_day_is_followed_without_harm(
        events in proptest::collection::vec(event(), 1..80), step in 0.1_f64..12.0,
    ) {
        let (rider, taken, shown) = run(&events, step);
        prop_assert_eq!(run(&events, step), (rider.clone(), taken, shown), "the same fixes give the same answers");
        let stored = serde_json::to_string(&rider).unwrap();
        prop_assert_eq!(serde_json::from_str::<Rider>(&stored).unwrap(), rider);
    }

    #[test]
    fn the_order_of_a_batch_makes_no_difference_to_the_trail(
        live in proptest::collection::vec(sane_fix(), 0..5),
        batch in proptest::collection::vec(sane_fix(), 1..60),
        seed in any::<u64>(),
    ) {
        use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
        let mut shuffled = batch.clone();
        shuffled.shuffle(&mut StdRng::seed_from_u64(seed));
        let trail = |batch: &[Fix]| {
            let (mut rider, limits) = (on_shift(), Limits::default());
            let mut points: Vec<TrailPoint> =
                live.iter().filter_map(|fix| rider.take(fix, at(600.0), &limits, &NoRoads).point).collect();
            let taken = rider.take_all(batch, at(700.0), &limits, &NoRoads);
            points.extend(taken.iter().filter_map(|taken| taken.point));
            let again = rider.take_all(batch, at(710.0), &limits, &NoRoads);
            assert!(again.iter().all(|taken| *taken == Taken::only(Answer::Duplicate)), "sent again, it is harmless");
            points.extend(rider.end_shift(at(720.0), &limits));
            trail::in_order(points)
        };
        prop_assert_eq!(trail(&batch), trail(&shuffled));
    }
}

/// Bytes of a rider in memory, with everything that it points to.
fn bytes(rider: &Rider) -> usize {
    let of_delivery = |delivery: &Ongoing| {
        let Ongoing { delivery_id, order_id, rider_id, customer_id, restaurant_id, .. } = delivery;
        let ids = [delivery_id, order_id, rider_id, customer_id, restaurant_id];
        ids.map(String::capacity).iter().sum::<usize>() + delivery.eta.heap_bytes()
    };
    size_of::<Rider>()
        + rider.rider_id.capacity()
        + rider.seen.heap_bytes()
        + rider.area.as_ref().map_or(0, String::capacity)
        + rider.deliveries.capacity() * size_of::<Ongoing>()
        + rider.deliveries.iter().map(of_delivery).sum::<usize>()
}

#[test]
fn a_rider_with_two_deliveries_takes_four_kilobytes_at_most() {
    /// A road with many bends.
    struct Winding;
    impl Ahead for Winding {
        fn ahead(&self, from: Place, _: Option<f64>, to: Place) -> Option<Road> {
            let line = (0..=500).map(|step| {
                let part = f64::from(step) / 500.0;
                let bend = if step % 2 == 0 { 0.0 } else { 0.002 };
                Place {
                    latitude: from.latitude + part * (to.latitude - from.latitude) + bend,
                    longitude: from.longitude + part * (to.longitude - from.longitude),
                }
            });
            Some(Road { seconds: 600.0, metres: 3_000.0, line: line.collect() })
        }
    }
    let mut rider = Rider::new("0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11");
    rider.start_shift(at(0.0), None);
    for id in ["1b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11", "2b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11"] {
        let mut one = delivery(id, DeliveryStatus::InTransit);
        one.order_id = id.to_owned();
        rider.put_delivery(one);
    }
    let limits = Limits::default();
    for step in 0..2_000 {
        let seconds = f64::from(step) * 5.003;
        let place = HOME.ahead(f64::from(step % 360), 700.0 + f64::from(step % 7) * 9.0);
        rider.take(&fix(place, seconds), at(seconds), &limits, &Winding);
    }
    let (measured, of_one) = (bytes(&rider), size_of::<Ongoing>());
    assert!(measured <= 4_096, "{measured} bytes, {of_one} for each delivery");
    assert!(rider.deliveries[0].eta.heap_bytes() > 0, "a line is held");
    let stored = serde_json::to_string(&rider).unwrap();
    assert!(stored.len() <= 8_192, "{} bytes stored", stored.len());
}
