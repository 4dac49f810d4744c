//! What is counted is described, what is described is on the page, and what the settings promise is counted.

use std::{collections::BTreeSet, fs, path::PathBuf};

use platepal_proto::v1;
use platepal_testkit::{Role, Shape, Tier, http};
use serde_json::json;
use tokio::process::Command;

use crate::publishing::{event, new_id, order_update, publish, publish_order};

fn page(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The lines of the table of metrics within a page.
fn rows(page: &str) -> BTreeSet<String> {
    page.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect()
}

/// The names in the first column.
fn names(rows: &BTreeSet<String>) -> BTreeSet<String> {
    rows.iter().filter_map(|row| row.split('`').nth(1)).map(str::to_owned).collect()
}

/// Names and kinds of what was scraped.
fn scraped(text: &str) -> Vec<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Some of everything: events, orders, clients, refusals.
async fn work(tier: &Tier) {
    let mut socket = tier.connect("/ws/customer/7", &tier.token(7)).open().await;
    publish(&tier.grpc(), event(&new_id(), &json!({})), &["customer:7"]).await;
    socket.json().await;
    publish_order(&tier.grpc(), order_update(1, v1::OrderStatus::Pending, 1)).await.unwrap();
    publish_order(&tier.grpc_without_key(), order_update(1, v1::OrderStatus::Pending, 1)).await.unwrap_err();
    tier.connect("/ws/customer/8", &tier.token(7)).attempt().await.ok();
    socket.send_text("{}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_metrics_is_what_the_code_says() {
    let output =
        Command::new(crate::BINARY).arg("metrics").env_clear().output().await.expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let written = page("metrics.md");
    let (new, old) = (rows(&said), rows(&written));
    assert!(
        written == said,
        "docs/metrics.md is old: run `cargo run -- metrics > docs/metrics.md`.\n\
         missing: {:#?}\nno longer true: {:#?}",
        new.difference(&old).collect::<Vec<_>>(),
        old.difference(&new).collect::<Vec<_>>()
    );
    let tier = Tier::all_in_one(crate::BINARY).await;
    let served = http::get(&tier.admin_url(Role::Gateway, "/metrics/reference")).await.body;
    assert_eq!(rows(&served), old, "a running process says the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_that_a_setting_names_exists() {
    let described = names(&rows(&page("metrics.md")));
    let settings = page("settings.md");
    let named: BTreeSet<String> = settings
        .split("Metric: `")
        .skip(1)
        .filter_map(|rest| rest.split('`').next())
        .map(str::to_owned)
        .collect();
    assert!(named.len() > 20, "{named:?}");
    let unknown: Vec<_> = named.difference(&described).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

async fn everything_scraped_is_described_with_its_unit(shape: Shape) {
    let tier = Tier::builder(crate::BINARY).shape(shape).start().await;
    work(&tier).await;
    let described = rows(&page("metrics.md"));
    let mut seen = BTreeSet::new();
    for role in tier.roles() {
        let text = tier.metrics(role).await;
        for (name, kind) in scraped(&text) {
            let start = format!("| `{name}` | {kind} |");
            assert!(
                described.iter().any(|row| row.starts_with(&start)),
                "{name} ({kind}) of {role:?} is not described"
            );
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            if kind == "histogram" {
                assert!(text.contains(&format!("{name}_bucket")), "{name}");
            }
            seen.insert(name);
        }
    }
    for name in [
        "realtime_bus_append_seconds",
        "realtime_edge_publish_to_write_seconds",
        "realtime_gateway_events_total",
        "realtime_grpc_requests_total",
        "realtime_grpc_request_seconds",
        "realtime_grpc_refused_keys_total",
        "realtime_orders_updates_total",
        "realtime_outbox_lag_seconds",
    ] {
        assert!(seen.contains(name), "{name}: {seen:?}");
    }
    let gateway = tier.metrics(Role::Gateway).await;
    assert!(
        gateway.contains(
            "realtime_grpc_requests_total{service=\"EventsService\",method=\"Publish\",code=\"OK\"} 1"
        ),
        "{gateway}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_scraped_from_one_process_is_described() {
    everything_scraped_is_described_with_its_unit(Shape::AllInOne).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_scraped_from_many_processes_is_described() {
    everything_scraped_is_described_with_its_unit(Shape::Split).await;
}
