//! `tail` shows what a reader of a channel would see, and how late.

use std::process::Stdio;

use platepal_testkit::{Process, Role, Tier, eventually};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    both_shapes,
    publishing::{event, new_id, publish, publish_numbered},
};

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect()
}

both_shapes! {
    async fn a_tail_shows_positions_ages_and_a_summary(tier: Tier) {
        publish_numbered(&tier.grpc(), "customer:7", 0..3).await;
        let mut command = std::process::Command::new(crate::BINARY);
        command
            .args(["tail", "--gateway", &tier.grpc_url(Role::Gateway), "customer:7", "--retained", "--json"])
            .env_clear()
            .env("REALTIME_API_KEYS", tier.api_key());
        let mut tail = Process::start("tail", command);
        eventually("what is retained was printed", || async { tail.output().lines().count() >= 3 }).await;
        let id = new_id();
        publish(&tier.grpc(), event(&id, &json!({ "live": true })), &["customer:7"]).await;
        eventually("the live event was printed", || async { tail.output().contains(&id) }).await;
        tail.signal(rustix::process::Signal::INT);
        let ended = tail.wait(platepal_testkit::PATIENCE).await;
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");

        let lines = lines(&ended.output);
        let (summary, entries) = lines.split_last().unwrap();
        assert_eq!(entries.len(), 4);
        for pair in entries.windows(2) {
            assert_eq!(pair[1]["previous_offset"], pair[0]["offset"]);
        }
        for entry in entries {
            assert_eq!(entry["gap_after"], Value::Null);
            assert!(entry["age_ms"].as_f64().unwrap() >= entry["kept_age_ms"].as_f64().unwrap() - 0.001, "{entry}");
        }
        let summary = &summary["summary"];
        assert_eq!((&summary["entries"], &summary["gaps"]), (&json!(4), &json!(0)), "{summary}");
        assert!(summary["live"].as_u64().unwrap() >= 1, "{summary}");
        assert!(summary["from_kept"]["p99_ms"].as_f64().unwrap() > 0.0, "{summary}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_get_lines_on_stdout_and_the_summary_on_stderr() {
    let tier = Tier::all_in_one(crate::BINARY).await;
    publish_numbered(&tier.grpc(), "customer:7", 0..2).await;
    let output = Command::new(crate::BINARY)
        .args([
            "tail",
            "--gateway",
            &tier.grpc_url(Role::Gateway),
            "customer:7",
            "--retained",
            "--count",
            "2",
        ])
        .env_clear()
        .env("REALTIME_API_KEYS", tier.api_key())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(stdout.matches("promo.published").count(), 2, "{stdout}");
    assert!(stdout.contains(" ms, kept "), "{stdout}");
    assert!(stderr.contains("2 entries") && stderr.contains("0 gaps, 0 resets"), "{stderr}");
    assert!(!stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'), "no colour where there is no terminal");
}
