//! The conformance suite on the NATS engine, and what only it has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod conformance;

use std::sync::Arc;

use async_trait::async_trait;
use conformance::{
    House, append, append_many, channel, event, ids, next, next_entry, numbers, settings, until, value,
};
use platepal_bus::{Bus, BusError, Delivery, Nats};
use platepal_testkit::NatsServer;
use tokio::sync::Mutex;

struct Server(Mutex<NatsServer>);

impl Server {
    async fn connect(&self, variables: &[(&'static str, &str)]) -> Result<Arc<Nats>, BusError> {
        let url = self.0.lock().await.url();
        let mut all = vec![("REALTIME_NATS_URL", url.as_str())];
        all.extend_from_slice(variables);
        Nats::connect(&settings(&all)).await
    }

    async fn raw(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(async_nats::connect(self.0.lock().await.url()).await.unwrap())
    }
}

#[async_trait]
impl House for Server {
    async fn new() -> Self {
        Self(Mutex::new(NatsServer::start().await))
    }

    async fn open(&self, variables: &[(&'static str, &str)]) -> Arc<dyn Bus> {
        self.connect(variables).await.unwrap()
    }

    /// The stream only knows from where on it has everything, of all channels together.
    fn tells_from_zero(&self) -> bool {
        false
    }
}

conformance!(Server);

mod over_partitions {
    //! The suite's heart again, with channels spread over streams.
    use super::*;

    struct Spread(Server);

    #[async_trait]
    impl House for Spread {
        async fn new() -> Self {
            Self(Server::new().await)
        }

        async fn open(&self, variables: &[(&'static str, &str)]) -> Arc<dyn Bus> {
            let mut all = vec![("REALTIME_BUS_PARTITIONS", "3")];
            all.extend_from_slice(variables);
            self.0.open(&all).await
        }
    }

    conformance!(@tests Spread,
        logs::one_event_goes_to_several_channels_in_the_order_given,
        logs::two_channels_do_not_mix,
        subscriptions::a_subscription_gets_what_is_appended_after_it_and_nothing_else,
        consumers::a_group_shares_its_events_between_workers,
    );
}

/// Appends as a caller does: again with the same id until it is kept.
async fn append_surely(bus: &dyn Bus, name: &platepal_events::Channel, id: &str) {
    until("the append is kept", || async {
        match bus.append(std::slice::from_ref(name), &event(id)).await {
            Ok(_) => true,
            Err(why) => {
                assert!(why.is_temporary(), "{why}");
                false
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_loses_nothing_and_heals_every_reader() {
    let server = Server::new().await;
    let bus = server
        .connect(&[("REALTIME_BUS_REQUEST_TIMEOUT", "1s"), ("REALTIME_BUS_HEAL_INTERVAL", "10m")])
        .await
        .unwrap();
    let other = server.connect(&[]).await.unwrap();
    let seven = channel("customer:7");
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    bus.append(std::slice::from_ref(&seven), &value("v1", "k")).await.unwrap();
    assert_eq!(next_entry(&mut subscription).await.event.id.as_str(), "v1");
    append_many(&*bus, &seven, 0..20).await;
    server.0.lock().await.kill();
    let error = bus.append(std::slice::from_ref(&seven), &event("20")).await.unwrap_err();
    assert!(matches!(error, BusError::Unavailable(_)), "{error}");
    let error = bus.pass(&seven, &event("now-or-never")).await.unwrap_err();
    assert!(matches!(error, BusError::Unavailable(_)), "{error}");
    assert!(bus.check().await.is_err());
    server.0.lock().await.restart().await;
    // Another process is back first, perhaps while this one still waits to connect again.
    for id in numbers(20..40) {
        append_surely(&*other, &seven, &id).await;
    }
    for id in numbers(0..40) {
        assert_eq!(next_entry(&mut subscription).await.event.id.as_str(), id);
    }
    append_surely(&*bus, &seven, "40").await;
    assert_eq!(next_entry(&mut subscription).await.event.id.as_str(), "40");
    bus.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_made_again_is_a_new_epoch_and_resets_readers() {
    let server = Server::new().await;
    let bus = server.connect(&[]).await.unwrap();
    let seven = channel("customer:7");
    append_many(&*bus, &seven, 0..5).await;
    let before = bus.head(&seven).await.unwrap();
    let mut subscription = bus.subscribe(&seven).await.unwrap();
    server.raw().await.delete_stream("RT_EV_0").await.unwrap();
    // It is made again by the bus, or by another process of the tier.
    until("the stream is back", || async {
        bus.append(std::slice::from_ref(&seven), &event("new")).await.is_ok()
    })
    .await;
    match next(&mut subscription).await {
        Delivery::Reset { position, reason } => {
            assert_ne!(position.epoch, before.epoch);
            assert!(reason.contains("new one"), "{reason}");
        }
        other => panic!("an event of another log as if nothing had happened: {other:?}"),
    }
    let page = bus.read(&seven, 0, 10).await.unwrap();
    assert_eq!(ids(&page.entries), ["new"]);
    append(&*bus, &seven, "newer").await;
    loop {
        let entry = next_entry(&mut subscription).await;
        if entry.event.id.as_str() == "newer" {
            assert_ne!(entry.position.epoch, before.epoch);
            break;
        }
    }
}

#[tokio::test]
async fn another_number_of_partitions_is_refused_with_a_sentence() {
    let server = Server::new().await;
    drop(server.connect(&[("REALTIME_BUS_PARTITIONS", "2")]).await.unwrap());
    let error = server.connect(&[("REALTIME_BUS_PARTITIONS", "3")]).await.unwrap_err();
    assert!(matches!(error, BusError::Mismatch(_)), "{error}");
    assert!(error.to_string().contains("Set it to 2"), "{error}");
}

#[tokio::test]
async fn a_bus_waits_for_a_server_that_starts_after_it() {
    let server = Server::new().await;
    server.0.lock().await.kill();
    let (bus, ()) = tokio::join!(server.open(&[]), async {
        // Long enough for a first try to fail; nothing depends on it.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        server.0.lock().await.restart().await;
    });
    bus.check().await.unwrap();
    drop(bus);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_bus_ends_its_subscriptions() {
    let server = Server::new().await;
    let bus = server.connect(&[]).await.unwrap();
    let mut subscription = bus.subscribe(&channel("admin")).await.unwrap();
    drop(bus);
    assert_eq!(subscription.next().await, None);
}
