//! The conformance suite on the embedded engine, and what only it has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod conformance;

use std::sync::Arc;

use async_trait::async_trait;
use conformance::{House, append, append_many, channel, event, ids, next_entry, numbers, settings};
use platepal_bus::{Bus, BusError, Embedded};

struct Folder(tempfile::TempDir);

#[async_trait]
impl House for Folder {
    async fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self, variables: &[(&'static str, &str)]) -> Arc<dyn Bus> {
        Embedded::open(self.0.path(), &settings(variables)).unwrap()
    }
}

conformance!(Folder);

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_drop_without_close() {
    let folder = Folder::new().await;
    let seven = channel("customer:7");
    let bus = folder.open(&[]).await;
    append_many(&*bus, &seven, 0..100).await;
    let head = bus.head(&seven).await.unwrap();
    drop(bus);

    let bus = folder.open(&[]).await;
    assert_eq!(bus.head(&seven).await.unwrap(), head, "the same epoch, too");
    assert_eq!(ids(&bus.read(&seven, 0, 1_000).await.unwrap().entries), numbers(0..100));
    assert!(bus.append(std::slice::from_ref(&seven), &event("42")).await.unwrap()[0].duplicate);
    assert!(append(&*bus, &seven, "new").await > head.offset);
}

#[tokio::test]
async fn closing_ends_subscriptions_and_refuses_appends() {
    let folder = Folder::new().await;
    let bus = Embedded::open(folder.0.path(), &settings(&[])).unwrap();
    let seven = channel("customer:7");
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    append(&*bus, &seven, "a").await;
    bus.close().await;
    assert_eq!(next_entry(&mut subscription).await.event.id.as_str(), "a");
    assert_eq!(subscription.next().await, None);
    let error = bus.append(&[seven], &event("b")).await.unwrap_err();
    assert!(error.to_string().contains("shut down"), "{error}");
    let error = bus.pass(&channel("customer:7"), &event("c")).await.unwrap_err();
    assert!(error.to_string().contains("shut down"), "{error}");
    // The folder is free.
    Embedded::open(folder.0.path(), &settings(&[])).unwrap();
}

#[tokio::test]
async fn a_folder_that_is_open_is_refused_with_a_sentence() {
    let folder = Folder::new().await;
    let _bus = folder.open(&[]).await;
    let error = Embedded::open(folder.0.path(), &settings(&[])).unwrap_err();
    assert!(matches!(error, BusError::Refused(_)));
    assert!(error.to_string().contains("another process has the bus in"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_log_is_refused_with_a_sentence() {
    let folder = Folder::new().await;
    std::fs::write(
        folder.0.path().join("bus.sqlite"),
        "not a database, but long enough to look at".repeat(100),
    )
    .unwrap();
    let error = Embedded::open(folder.0.path(), &settings(&[])).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}
