//! Recordings of real rides, as rows of comma-separated values.
//!
//! - City driving, one fix a second, in and around Omaha: MIT, copyright 2024 Marie Hardt (DrivePlotR).
//! - Delivery agents, one fix per 5 s, driving and on foot: CC BY 4.0, "GPS-ordered Activity Labels", C. Eftelioglu, G. Wolff, S. K. T.
//!   Nimmagadda, V. Kumar, A. Roy Chowdhury, *Deep Classification of Frequently-Changing Activities from GPS Trajectories*,
//!   IWCTS 2022; Amazon. Their plane has no known place; it is laid into Helsinki.

use std::{collections::BTreeMap, fs, io, path::Path};

use super::{Drive, Moment, Plane, Spot};

/// A pause in a recording after which nothing is known of the truth.
const PAUSE_SECONDS: f64 = 2.5;
/// A dilution of precision that is no longer clean.
const HDOP_MOST: f64 = 4.0;
/// A clean stretch has at least this length.
const STRETCH_SECONDS: f64 = 60.0;
/// Nobody drives faster.
const FASTEST_MPS: f64 = 50.0;

/// A recording of somebody who delivers.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivering {
    /// Every fix, as it is.
    pub drive: Drive,
    /// When driving turned into walking.
    pub parked_seconds: Vec<f64>,
    /// Fixes on foot.
    pub on_foot: usize,
}

/// Clean stretches of the drives of `city_driving_1hz.csv`, the longest of each trace.
pub fn city_drives(file: &Path) -> io::Result<Vec<Drive>> {
    let mut traces: BTreeMap<u32, Vec<[f64; 6]>> = BTreeMap::new();
    for row in rows(file)? {
        // Fixes that are not three-dimensional are no truth.
        if row.get(7).map(String::as_str) != Some("3") {
            continue;
        }
        let trace = number(&row, 0)? as u32;
        let mut values = [0.0; 6];
        for (index, value) in values.iter_mut().enumerate() {
            *value = number(&row, index + 1)?;
        }
        traces.entry(trace).or_default().push(values);
    }
    let drives = traces.into_iter().filter_map(|(trace, values)| {
        let [_, latitude, longitude, ..] = *values.first()?;
        let plane = Plane { latitude, longitude };
        let mut stretches: Vec<Vec<Moment>> = Vec::new();
        for [seconds, latitude, longitude, hdop, speed_mps, heading_deg] in values {
            let moment = Moment { seconds, spot: plane.spot(latitude, longitude), speed_mps, heading_deg };
            let last = stretches.last_mut().and_then(|stretch| {
                let last = stretch.last()?;
                let pause = seconds - last.seconds;
                let near = last.spot.metres_to(moment.spot) <= FASTEST_MPS * pause;
                (pause > 0.0 && pause <= PAUSE_SECONDS && near).then_some(stretch)
            });
            match last {
                _ if hdop > HDOP_MOST => stretches.push(Vec::new()),
                Some(stretch) => stretch.push(moment),
                None => stretches.push(vec![moment]),
            }
        }
        let mut moments = stretches.into_iter().max_by_key(Vec::len)?;
        let begin = moments.first()?.seconds;
        for moment in &mut moments {
            moment.seconds -= begin;
        }
        let long = moments.last()?.seconds >= STRETCH_SECONDS;
        long.then(|| Drive { name: format!("city drive {trace}"), plane, moments })
    });
    Ok(drives.collect())
}

/// The traces of `delivery_agents_5s.csv`, as they are.
pub fn deliveries(file: &Path) -> io::Result<Vec<Delivering>> {
    let mut traces: BTreeMap<u32, Vec<(Moment, bool)>> = BTreeMap::new();
    for row in rows(file)? {
        let spot = Spot { east: number(&row, 2)?, north: number(&row, 3)? };
        let moment = Moment { seconds: number(&row, 1)?, spot, speed_mps: 0.0, heading_deg: 0.0 };
        let on_foot = row.get(4).map(String::as_str) == Some("OnFoot");
        traces.entry(number(&row, 0)? as u32).or_default().push((moment, on_foot));
    }
    let traces = traces.into_iter().map(|(trace, moments)| {
        let pairs = moments.iter().zip(moments.iter().skip(1));
        let parked = pairs.filter(|((_, before), (_, after))| !before && *after);
        Delivering {
            parked_seconds: parked.map(|(_, (moment, _))| moment.seconds).collect(),
            on_foot: moments.iter().filter(|(_, on_foot)| *on_foot).count(),
            drive: Drive {
                name: format!("delivery trace {trace}"),
                plane: Plane::HELSINKI,
                moments: moments.into_iter().map(|(moment, _)| moment).collect(),
            },
        }
    });
    Ok(traces.collect())
}

fn rows(file: &Path) -> io::Result<Vec<Vec<String>>> {
    let text = fs::read_to_string(file)?;
    Ok(text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect())
}

fn number(row: &[String], column: usize) -> io::Result<f64> {
    let value = row.get(column).and_then(|value| value.trim().parse().ok());
    value.ok_or_else(|| {
        let what = format!("column {} of `{}` is no number", column + 1, row.join(","));
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}
