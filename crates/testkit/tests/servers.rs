//! The servers start, survive what tests do to them, and leave nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::{path::Path, process::Command, time::Duration};

use platepal_testkit::{NatsServer, PATIENCE, Postgres, Process, eventually};
use tokio::time::timeout;

async fn jetstream(server: &NatsServer) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

fn runs(process_id: u32) -> bool {
    Path::new("/proc").join(process_id.to_string()).exists()
}

#[tokio::test]
async fn nats_keeps_its_streams_over_kill_and_restart() {
    let mut server = NatsServer::start().await;
    let before = jetstream(&server).await;
    let config = async_nats::jetstream::stream::Config { name: "kept".to_owned(), ..Default::default() };
    before.create_stream(config).await.unwrap();

    server.kill();
    server.restart().await;
    assert!(jetstream(&server).await.get_stream("kept").await.is_ok());

    server.restart_empty().await;
    assert!(jetstream(&server).await.get_stream("kept").await.is_err());
}

#[tokio::test]
async fn a_paused_nats_server_does_not_answer_until_it_goes_on() {
    let mut server = NatsServer::start().await;
    let client = jetstream(&server).await;
    server.pause().await;
    assert!(timeout(Duration::from_millis(200), client.query_account()).await.is_err());
    server.resume();
    timeout(PATIENCE, client.query_account()).await.unwrap().unwrap();
}

/// Rows of a query, by PostgreSQL's own client: testkit brings no driver.
fn query(server: &Postgres, sql: &str) -> Result<String, String> {
    let output = Command::new("psql").args([&server.url(), "-tAc", sql]).output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[tokio::test]
async fn postgres_keeps_its_rows_over_kill_and_restart() {
    let mut server = Postgres::start().await;
    query(&server, "create table kept as select 7 as value").unwrap();
    server.kill();
    assert!(query(&server, "select value from kept").is_err());
    server.restart().await;
    assert_eq!(query(&server, "select value from kept"), Ok("7".to_owned()));
}

#[tokio::test]
async fn two_clusters_know_nothing_of_each_other() {
    let (one, other) = tokio::join!(Postgres::start(), Postgres::start());
    query(&one, "create table mine (id int)").unwrap();
    assert!(query(&other, "select * from mine").is_err());
}

#[tokio::test]
async fn a_process_that_ends_early_is_told_with_its_output() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo to one; echo to other >&2; exit 3"]);
    let mut process = Process::start("sh", command);
    let ended = process.wait_ready(PATIENCE, |_| async { false }).await.unwrap_err();
    assert_eq!(ended.status.code(), Some(3));
    assert_eq!(ended.output, "to one\nto other\n");
}

#[tokio::test]
async fn a_process_can_end_by_itself_after_sigterm() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done"]);
    let mut process = Process::start("sh", command);
    eventually("the process has printed `ready`", || async { process.output().contains("ready") }).await;
    process.terminate();
    let ended = process.wait(PATIENCE).await;
    assert!(ended.status.success());
    assert!(ended.output.ends_with("bye\n"));
}

#[tokio::test]
async fn no_process_outlives_its_value() {
    let mut command = Command::new("sleep");
    command.arg("1000");
    let process = Process::start("sleep", command);
    let id = process.id();
    assert!(runs(id));
    drop(process);
    assert!(!runs(id));
}
