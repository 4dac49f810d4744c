//! A rider's day.

use super::*;

#[test]
fn a_delivery_is_followed_from_the_way_to_the_restaurant_to_the_door() {
    let mut rider = on_shift();
    rider.put_delivery(delivery("88", DeliveryStatus::Accepted));
    let (mut phases, mut crossings, mut minutes) = (Vec::new(), Vec::new(), Vec::new());
    let mut seconds = 0.0;
    // Rides at 8 m/s, then stands for a minute.
    let mut ride = |rider: &mut Rider, from: f64, to: f64| {
        let way = (0..).map(|step| from + f64::from(step) * 40.0).take_while(|metres| *metres < to);
        let way: Vec<(f64, f64)> = way.map(|metres| (metres, 8.0)).chain([(to, 0.0); 12]).collect();
        for (metres, speed) in way {
            seconds += 5.0;
            let fix = Fix { speed: Some(speed), ..fix(HOME.ahead(90.0, metres), seconds) };
            let taken = take(rider, &fix);
            assert_eq!(taken.answer, Answer::Shown, "{seconds} s, {metres} m");
            crossings.extend(taken.crossings.iter().map(|crossing| (crossing.zone, crossing.what)));
            for shown in &taken.shown {
                assert!(shown.smoothed.place.metres_to(fix.place()) < 30.0);
                phases.push(shown.phase);
                minutes.push(shown.eta.unwrap().minutes);
            }
        }
    };
    ride(&mut rider, 0.0, 1_000.0);
    rider.put_delivery(delivery("88", DeliveryStatus::ArrivedAtPickup));
    rider.put_delivery(delivery("88", DeliveryStatus::InTransit));
    ride(&mut rider, 1_000.0, 3_000.0);
    phases.dedup();
    let expected = [Phase::ToPickup, Phase::AtPickup, Phase::ToCustomer, Phase::Arriving, Phase::Arrived];
    assert_eq!(phases, expected);
    let expected = [
        (Zone::Pickup, Doing::Approaching),
        (Zone::Pickup, Doing::Arrived),
        (Zone::Pickup, Doing::Left),
        (Zone::Dropoff, Doing::Approaching),
        (Zone::Dropoff, Doing::Arrived),
    ];
    assert_eq!(crossings, expected);
    assert!(minutes.first() > minutes.last());
    let held = &rider.deliveries()[0];
    assert!(held.arrived_at_pickup().is_some() && held.arrived_at_dropoff().is_some());
}

#[test]
fn without_a_shift_nothing_is_taken_and_after_it_nothing_is_shown() {
    let mut rider = Rider::new("31");
    rider.put_delivery(delivery("88", DeliveryStatus::InTransit));
    assert_eq!(take(&mut rider, &fix(HOME, 1.0)).answer, Answer::Refused(Reason::NoShift));
    rider.start_shift(at(10.0), None);
    assert_eq!(take(&mut rider, &fix(HOME, 9.9)).answer, Answer::Refused(Reason::NoShift));
    assert_eq!(take(&mut rider, &fix(HOME, 11.0)).shown.len(), 1);
    rider.end_shift(at(60.0), &Limits::default());
    let late = take(&mut rider, &fix(HOME.ahead(0.0, 400.0), 55.0));
    assert_eq!((late.answer, late.shown.len()), (Answer::Kept(Reason::ShiftOver), 0));
    assert_eq!(take(&mut rider, &fix(HOME, 61.0)).answer, Answer::Refused(Reason::NoShift));
    assert!(rider.tick(at(400.0), &Limits::default()).is_empty());
    assert_eq!(rider.on_shift_since(), None);
}

#[test]
fn a_new_shift_does_not_begin_where_the_last_one_ended() {
    let mut rider = on_shift();
    take(&mut rider, &fix(HOME, 1.0));
    rider.start_shift(at(5.0), None);
    assert_eq!(rider.on_shift_since(), Some(at(0.0)), "the running one goes on");
    rider.end_shift(at(10.0), &Limits::default());
    rider.start_shift(at(3_600.0), None);
    assert_eq!((rider.smoothed(), rider.area()), (None, None));
    let far = take(&mut rider, &fix(HOME.ahead(0.0, 90_000.0), 3_601.0));
    assert_eq!(far.answer, Answer::Shown);
}

#[test]
fn a_repeat_is_a_duplicate_and_changes_nothing() {
    let mut rider = on_shift();
    let first = fix(HOME, 1.0);
    take(&mut rider, &first);
    let before = rider.clone();
    assert_eq!(take(&mut rider, &first), Taken::only(Answer::Duplicate));
    assert_eq!(rider, before);
}

#[test]
fn what_is_older_or_inaccurate_is_for_the_trail_only() {
    let mut rider = on_shift();
    rider.put_delivery(delivery("88", DeliveryStatus::InTransit));
    take(&mut rider, &fix(HOME, 10.0));
    let old = take(&mut rider, &fix(HOME.ahead(90.0, 200.0), 5.0));
    assert_eq!((old.answer, old.shown.len()), (Answer::Kept(Reason::Old), 0));
    let far = Fix { accuracy: 500.0, ..fix(HOME.ahead(90.0, 700.0), 15.0) };
    let inaccurate = take(&mut rider, &far);
    assert_eq!(inaccurate.answer, Answer::Kept(Reason::Inaccurate));
    assert_eq!(inaccurate.point.map(|point| point.at), Some(at(15.0)));
    assert_eq!(rider.smoothed().unwrap().at, at(10.0));
}

#[test]
fn a_jump_is_refused_until_three_fixes_agree() {
    let mut rider = on_shift();
    take(&mut rider, &fix(HOME, 0.0));
    let there = HOME.ahead(0.0, 5_000.0);
    assert_eq!(take(&mut rider, &fix(there, 5.0)).answer, Answer::Refused(Reason::Jump));
    assert_eq!(take(&mut rider, &fix(there, 10.0)).answer, Answer::Refused(Reason::Jump));
    let third = take(&mut rider, &fix(there, 15.0));
    assert_eq!(third.answer, Answer::Shown);
    assert!(third.smoothed.unwrap().place.metres_to(there) < 1.0);
}

#[test]
fn a_customer_is_told_at_most_once_a_second_and_then_the_newest() {
    let mut rider = on_shift();
    let limits = Limits::default();
    rider.put_delivery(delivery("88", DeliveryStatus::InTransit));
    let mut told = Vec::new();
    for step in 0..100 {
        let now = f64::from(step) * 0.1;
        let step = Fix { speed: Some(8.0), ..fix(HOME.ahead(90.0, 8.0 * now), now) };
        let shown = rider.take(&step, at(now), &limits, &NoRoads).shown;
        told.extend(shown.iter().map(|_| now));
    }
    assert!(told.windows(2).all(|pair| pair[1] - pair[0] > 0.999), "{told:?}");
    assert!(told.len() >= 9, "{told:?}");
    let waiting = rider.tick(at(11.0), &limits);
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].smoothed.at, rider.smoothed().unwrap().at);
    assert!(rider.tick(at(13.0), &limits).is_empty(), "nothing is new");
}

#[test]
fn a_silent_rider_turns_stale_then_offline_then_unknown_once_each() {
    let mut rider = on_shift();
    let limits = Limits::default();
    rider.put_delivery(delivery("88", DeliveryStatus::InTransit));
    take(&mut rider, &fix(HOME, 0.0));
    let mut turns = Vec::new();
    for second in 2..1_000 {
        for shown in rider.tick(at(f64::from(second)), &limits) {
            turns.push((second, shown.liveness, shown.age_seconds, shown.eta.is_some()));
        }
    }
    let expected = [
        (30, Liveness::Stale, 30, true),
        (120, Liveness::Offline, 120, true),
        (600, Liveness::Unknown, 600, false),
    ];
    assert_eq!(turns, expected);
    let back = take(&mut rider, &fix(HOME, 1_001.0));
    assert_eq!(back.shown[0].liveness, Liveness::Live);
}

#[test]
fn nothing_is_shown_after_the_end_of_a_delivery() {
    let mut rider = on_shift();
    let limits = Limits::default();
    rider.put_delivery(delivery("88", DeliveryStatus::InTransit));
    rider.put_delivery(delivery("89", DeliveryStatus::InTransit));
    assert_eq!(take(&mut rider, &fix(HOME, 1.0)).shown.len(), 2);
    rider.end_delivery("88", &limits);
    rider.put_delivery(delivery("89", DeliveryStatus::Delivered));
    assert!(take(&mut rider, &fix(HOME, 10.0)).shown.is_empty());
    assert!(rider.tick(at(100.0), &limits).is_empty() && rider.deliveries().is_empty());
}

#[test]
fn before_assignment_nothing_is_shown() {
    let mut rider = on_shift();
    rider.put_delivery(delivery("88", DeliveryStatus::Pending));
    assert!(take(&mut rider, &fix(HOME, 1.0)).shown.is_empty());
    rider.put_delivery(delivery("88", DeliveryStatus::Assigned));
    assert_eq!(take(&mut rider, &fix(HOME, 3.0)).shown.len(), 1);
}

#[test]
fn an_offline_batch_shows_its_newest_position_only() {
    let mut rider = on_shift();
    rider.put_delivery(delivery("88", DeliveryStatus::InTransit));
    take(&mut rider, &fix(HOME, 0.0));
    let ridden = |step: i32| fix(HOME.ahead(90.0, f64::from(step) * 20.0), f64::from(step) * 5.0);
    let batch: Vec<Fix> = (1..=100).rev().map(ridden).collect();
    let taken = rider.take_all(&batch, at(510.0), &Limits::default(), &NoRoads);
    let shown: Vec<&Shown> = taken.iter().flat_map(|taken| &taken.shown).collect();
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].smoothed.at, shown[0].age_seconds), (at(500.0), 10));
    assert!(taken.iter().all(|taken| taken.answer == Answer::Shown));
    let again = rider.take_all(&batch, at(520.0), &Limits::default(), &NoRoads);
    assert!(again.iter().all(|taken| *taken == Taken::only(Answer::Duplicate)), "sent again, it is harmless");
}

#[test]
fn neither_start_nor_end_of_a_shift_is_stored() {
    let mut rider = on_shift();
    let limits = Limits::default();
    let mut points = Vec::new();
    for step in 0..100_i32 {
        // Out, and back by another street.
        let metres = f64::from(step.min(99 - step)) * 25.0;
        let place = HOME.ahead(if step < 50 { 90.0 } else { 100.0 }, metres);
        points.extend(take(&mut rider, &fix(place, f64::from(step) * 4.0)).point);
    }
    points.extend(rider.end_shift(at(500.0), &limits));
    assert!(points.len() > 1);
    let kept = trail::without_ends(points, &rider.shift_ends(), &limits);
    assert!(kept.iter().all(|point| point.place.metres_to(HOME) > 145.0));
    assert_eq!(rider.shift_ends().len(), 2);
}

#[test]
fn a_rider_moves_from_cell_to_cell() {
    let mut rider = on_shift();
    let mut cells: Vec<String> = Vec::new();
    for step in 0..200 {
        let place = HOME.ahead(90.0, f64::from(step) * 20.0);
        if let Some(moved) = take(&mut rider, &fix(place, f64::from(step) * 2.0)).area {
            let is_new = cells.last() != Some(&moved.now);
            assert_eq!(moved.left.as_ref(), cells.last().filter(|_| is_new));
            if is_new {
                cells.push(moved.now);
            }
        }
    }
    assert!(cells.len() >= 3, "{cells:?}");
    assert_eq!(rider.area(), cells.last().map(String::as_str));
    let payload = rider.area_payload(at(400.0), &Limits::default()).unwrap();
    assert!(payload.starts_with(r#"{"rider_id":31,"location":{"#), "{payload}");
}

#[test]
fn who_accepts_while_standing_at_the_restaurant_has_arrived() {
    let mut rider = on_shift();
    rider.put_delivery(delivery("88", DeliveryStatus::Assigned));
    let stand = |rider: &mut Rider, steps: std::ops::Range<i32>| -> Vec<Crossing> {
        steps.flat_map(|step| take(rider, &fix(pickup(), f64::from(step) * 5.0)).crossings).collect()
    };
    assert!(stand(&mut rider, 0..5).is_empty());
    rider.put_delivery(delivery("88", DeliveryStatus::Accepted));
    let crossings = stand(&mut rider, 5..8);
    assert_eq!(crossings.iter().filter(|crossing| crossing.what == Doing::Arrived).count(), 1);
}

#[test]
fn a_restaurant_is_told_when_the_minutes_change_and_else_every_ten_seconds() {
    let mut rider = on_shift();
    assert!(rider.put_delivery(delivery("9", DeliveryStatus::InTransit)));
    let mut news: Vec<(i64, Option<Eta>)> = Vec::new();
    let mut shown = 0;
    for second in 0..120_i32 {
        let now = f64::from(second);
        let step = Fix { speed: Some(8.0), ..fix(HOME.ahead(90.0, 8.0 * now), now) };
        for told in take(&mut rider, &step).shown {
            shown += 1;
            if told.is_news {
                news.push((i64::from(second), told.eta));
            }
        }
    }
    assert!(shown > 100, "{shown}");
    assert!(news.len() < 30, "{news:?}");
    for pair in news.windows(2) {
        let [(before, then), (after, now)] = pair else { unreachable!() };
        let pause = after - before;
        assert!(pause == 10 || (pause < 10 && then != now), "{pair:?}");
    }
}
