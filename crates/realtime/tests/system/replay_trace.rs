//! `replay-trace` as a process.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// A ride east at 8 m/s past the door and back to it, a jump on the way; then another trace.
fn ride() -> String {
    let mut rows = vec!["trace_id,t_s,x_m,y_m".to_owned()];
    rows.extend((0..60).map(|step| format!("a,{},{},0", step * 5, step * 40)));
    rows.push("a,297,90000,0".to_owned());
    rows.extend((60..80).map(|step| format!("a,{},2360,0", step * 5)));
    rows.push("b,0,0,0".to_owned());
    rows.join("\n") + "\n"
}

fn file(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("ride.csv");
    fs::write(&path, text).unwrap();
    path
}

fn replay(arguments: &[&str]) -> Output {
    Command::new(crate::BINARY).arg("replay-trace").args(arguments).env_clear().output().unwrap()
}

#[test]
fn a_recorded_way_becomes_a_line_for_each_fix_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), &ride());
    // Where the ride ends: 2,360 m east.
    let output = replay(&[path.to_str().unwrap(), "--dropoff", "60.17,24.982668"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(lines.len(), 83);
    assert_eq!((&lines[0]["trace_id"], &lines[0]["answer"]), (&"a".into(), &"shown".into()));
    assert_eq!(lines[0]["recorded_at"], "1970-01-01T00:00:00.000000+00:00");
    assert!((lines[59]["speed"].as_f64().unwrap() - 8.0).abs() < 0.5);
    assert!((lines[59]["heading"].as_f64().unwrap() - 90.0).abs() < 2.0);
    assert_eq!((&lines[60]["answer"], &lines[60]["reason"]), (&"refused".into(), &"jump".into()));
    let crossings: Vec<&Value> =
        lines.iter().filter_map(|line| line["crossings"].as_array()).flatten().collect();
    assert_eq!(crossings, ["dropoff_approaching", "dropoff_arrived"]);
    let summary = &lines[82]["summary"];
    assert_eq!((&summary["fixes"], &summary["shown"]), (&82.into(), &81.into()));
    assert_eq!(summary["reasons"]["jump"], 1);
    assert_eq!(summary["traces"], 2);
    assert_eq!(summary["duration_s"], 395.0);
    assert!((summary["distance_m"].as_f64().unwrap() - 2_360.0).abs() < 60.0, "{summary}");
}

#[test]
fn wrong_columns_rows_and_places_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let says = |text: &str, arguments: &[&str]| {
        let path = file(folder.path(), text);
        let output = replay(&[&[path.to_str().unwrap()], arguments].concat());
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = says("trace_id,longitude_deg\n1,24\n", &[]);
    assert!(missing.contains("has no column t_unix_s or t_s, latitude_deg."), "{missing}");
    let row = says("trace_id,t_s,x_m,y_m\n1,0,1,2\n1,5,x,2\n", &[]);
    assert!(row.contains("line 3") && row.contains(r#""x" is not a number"#), "{row}");
    let place = says(&ride(), &["--pickup", "here"]);
    assert!(place.contains("is not a place; write degrees north and east"), "{place}");
    let none = replay(&["/nowhere.csv"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("/nowhere.csv can't be read"));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = ride();
    for trace in 0..20_000 {
        rows.push_str(&format!("c{trace},0,0,0\n"));
    }
    let path = file(folder.path(), &rows);
    let mut child = Command::new(crate::BINARY)
        .args(["replay-trace", path.to_str().unwrap()])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains(r#""trace_id":"a""#), "{first}");
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
