//! Days that were ridden: real traces, where they are present. They are not part of the repository.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::*;

/// The rows of a file, by trace; `None`: it is not here.
fn traces(name: &str) -> Option<BTreeMap<u32, Vec<Vec<f64>>>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/gps").join(name);
    let text = fs::read_to_string(path).ok()?;
    let mut traces: BTreeMap<u32, Vec<Vec<f64>>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split(',');
        let trace = fields.next().unwrap().parse().unwrap();
        // A word is no number here: the activity.
        traces
            .entry(trace)
            .or_default()
            .push(fields.map(|field| field.parse().unwrap_or(f64::NAN)).collect());
    }
    Some(traces)
}

fn city() -> Option<Vec<Vec<Fix>>> {
    let fixes = |rows: &Vec<Vec<f64>>| {
        rows.iter()
            .map(|row| Fix {
                latitude: row[1],
                longitude: row[2],
                accuracy: 5.0 * row[3],
                heading: Some(row[5]),
                speed: Some(row[4]),
                battery_level: None,
                recorded_at: Timestamp::from_micros((row[0] * 1e6) as i64),
            })
            .collect()
    };
    Some(traces("city_driving_1hz.csv")?.values().map(fixes).collect())
}

fn agents() -> Option<Vec<Vec<Fix>>> {
    let plane = crate::rules::plane::Plane::at(HOME);
    let fixes =
        |rows: &Vec<Vec<f64>>| rows.iter().map(|row| fix(plane.place((row[1], row[2])), row[0])).collect();
    Some(traces("delivery_agents_5s.csv")?.values().map(fixes).collect())
}

/// How many fixes got which answer, the smoothed way, and what is stored of it.
fn ride(fixes: &[Fix]) -> (BTreeMap<String, usize>, usize, Vec<TrailPoint>) {
    let (mut rider, limits) = (Rider::new("31"), Limits::default());
    rider.start_shift(fixes[0].recorded_at, None);
    let (mut answers, mut shown, mut kept) = (BTreeMap::new(), 0, Vec::new());
    for fix in fixes {
        let taken = rider.take(fix, fix.recorded_at, &limits, &NoRoads);
        *answers.entry(format!("{:?}", taken.answer)).or_insert(0) += 1;
        shown += usize::from(taken.smoothed.is_some());
        kept.extend(taken.point);
    }
    (answers, shown, kept)
}

/// The share of fixes that are shown.
fn share(traces: &[Vec<Fix>]) -> (f64, BTreeMap<String, usize>) {
    let mut answers = BTreeMap::new();
    for trace in traces {
        for (answer, count) in ride(trace).0 {
            *answers.entry(answer).or_insert(0) += count;
        }
    }
    (answers["Shown"] as f64 / answers.values().sum::<usize>() as f64, answers)
}

#[test]
fn nearly_all_fixes_of_real_drives_are_shown() {
    let Some(drives) = city() else { return };
    let (share, answers) = share(&drives);
    assert!(share > 0.99, "{answers:?}");
}

#[test]
fn nearly_all_fixes_of_real_deliveries_are_shown() {
    let Some(agents) = agents() else { return };
    let (share, answers) = share(&agents);
    assert!(share > 0.97, "{answers:?}");
}

#[test]
fn a_real_trail_keeps_a_fraction_of_the_points() {
    let Some(drives) = city() else { return };
    let (mut all, mut stored) = (0, 0);
    for drive in &drives {
        let (_, shown, kept) = ride(drive);
        all += shown;
        stored += kept.len();
    }
    assert!(stored * 4 < all && stored > 0, "{stored} of {all}");
}

#[test]
fn real_stops_are_arrivals_within_fifteen_seconds() {
    let Some(agents) = agents() else { return };
    let (mut stops, mut seen, mut in_time) = (0, 0, 0);
    for agent in &agents {
        // The first place at which a minute's fixes are within 15 m, after a way of 200 m and more.
        let stop = agent.windows(12).position(|stand| {
            stand.iter().all(|fix| fix.place().metres_to(stand[0].place()) < 15.0)
                && stand[11].recorded_at.millis_since(stand[0].recorded_at) < 90_000
        });
        let Some(stop) = stop else { continue };
        let door = agent[stop].place();
        if agent[0].place().metres_to(door) < 200.0 {
            continue;
        }
        let outside = agent[..stop].iter().rposition(|fix| fix.place().metres_to(door) > 50.0).unwrap_or(0);
        let there = agent[outside + 1].recorded_at;
        stops += 1;
        let (mut rider, limits) = (Rider::new("31"), Limits::default());
        rider.start_shift(agent[0].recorded_at, None);
        let mut one = delivery("88", DeliveryStatus::InTransit);
        one.dropoff = door;
        rider.put_delivery(one);
        let arrival = agent.iter().find_map(|fix| {
            let taken = rider.take(fix, fix.recorded_at, &limits, &NoRoads);
            let has_arrived = taken.crossings.iter().any(|crossing| crossing.what == Doing::Arrived);
            has_arrived.then_some(fix.recorded_at)
        });
        if let Some(arrival) = arrival {
            seen += 1;
            in_time += i32::from(arrival.millis_since(there) <= 15_000);
        }
    }
    assert!(stops > 50, "{stops}");
    assert!(f64::from(seen) > 0.95 * f64::from(stops), "{seen} of {stops}");
    assert!(f64::from(in_time) > 0.9 * f64::from(stops), "{in_time} in time of {stops}");
}
