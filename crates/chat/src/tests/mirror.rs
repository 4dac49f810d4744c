//! Django's copy: everything, in order, once.

use tokio_stream::StreamExt;

use super::*;

on_both! {
    everything_that_happens_reaches_the_mirror_in_order_and_goes_when_it_is_acknowledged
    many_writers_leave_no_gap_for_a_reader_that_goes_on_where_it_was
}

async fn read(chat: &Chat, reader: &str, after: Option<u64>, count: usize) -> Vec<v1::FeedEntry> {
    let request = v1::ReadFeedRequest { reader: reader.into(), after };
    let entries = chat.store.feed.stream(request, &chat.shutdown).await.unwrap();
    let entries: Vec<_> = entries.take(count).map(Result::unwrap).collect().await;
    assert_eq!(entries.len(), count);
    entries
}

fn what(entries: &[v1::FeedEntry]) -> Vec<String> {
    let words = entries.iter().map(|entry| {
        let payload: Value = serde_json::from_slice(&entry.payload).unwrap();
        format!("{} {} {}", entry.kind, entry.subject, payload["content"].as_str().unwrap_or("-"))
    });
    words.collect()
}

async fn everything_that_happens_reaches_the_mirror_in_order_and_goes_when_it_is_acknowledged(world: World) {
    let chat = world.replica().await;
    put(&chat, room("88")).await;
    let sent = send(&chat, "88", "7", "helo").await;
    try_send(&chat, "88", "31", "c", "hi").await.unwrap();
    try_send(&chat, "88", "31", "c", "hi").await.unwrap();
    chat.edit_message(v1::EditMessageRequest { id: sent.id, user_id: "7".into(), content: "hello".into() })
        .await
        .unwrap();
    chat.mark_read(v1::MarkReadRequest { room_id: "88".into(), user_id: "31".into(), sequence: 2 })
        .await
        .unwrap();
    chat.delete_message(v1::DeleteMessageRequest { id: sent.id, user_id: "7".into() }).await.unwrap();
    let entries = read(&chat, "django", None, 6).await;
    assert_eq!(
        what(&entries),
        ["room 88 -", "message 88 helo", "message 88 hi", "message 88 hello", "read 88 -", "message 88 "]
    );
    // Without an acknowledgement it comes again; with one, not.
    assert_eq!(read(&chat, "django", None, 6).await, entries);
    let acknowledge = |reader: &str, position| v1::AcknowledgeFeedRequest { reader: reader.into(), position };
    let third = entries[2].position;
    chat.store.feed.acknowledge(acknowledge("django", third)).await.unwrap();
    assert_eq!(read(&chat, "django", None, 3).await, entries[3..]);
    // A second reader has a place of its own, and keeps what it has not acknowledged.
    assert_eq!(read(&chat, "archive", None, 1).await, entries[..1]);
    chat.store.feed.acknowledge(acknowledge("django", entries[5].position)).await.unwrap();
    let long_ago = Clock.now().plus_millis(-365 * 24 * 3_600_000);
    assert_eq!(chat.store.feed.forget(long_ago).await.unwrap(), 0);
    chat.store.feed.acknowledge(acknowledge("archive", third)).await.unwrap();
    chat.store.feed.acknowledge(acknowledge("archive", entries[0].position)).await.unwrap();
    assert_eq!(chat.store.feed.forget(long_ago).await.unwrap(), 3);
    let gone = chat
        .store
        .feed
        .stream(v1::ReadFeedRequest { reader: "django".into(), after: Some(1) }, &chat.shutdown)
        .await;
    assert_eq!(gone.err().unwrap().code(), Code::OutOfRange);
    assert_eq!(read(&chat, "archive", Some(third), 3).await, entries[3..]);
    for (reader, position) in [("django", 1_000_000), ("a b", 1), ("", 1)] {
        let refused = chat.store.feed.acknowledge(acknowledge(reader, position)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{reader}");
    }
}

async fn many_writers_leave_no_gap_for_a_reader_that_goes_on_where_it_was(world: World) {
    let two = [world.replica_with(&[NO_PACE]).await, world.replica_with(&[NO_PACE]).await];
    for room_id in ["1", "2", "3", "4"] {
        put(&two[0], room(room_id)).await;
    }
    let reading = async {
        let (mut seen, mut after) = (Vec::new(), Some(0));
        // As a worker that is restarted after every few entries.
        while seen.len() < 204 {
            let page = read(&two[seen.len() % 2], "django", after, 12).await;
            after = page.last().map(|entry| entry.position);
            seen.extend(page);
        }
        seen
    };
    let sends = (0..200).map(|n| {
        let (chat, room_id) = (&two[n % 2], ["1", "2", "3", "4"][n % 4]);
        async move { send(chat, room_id, "7", &n.to_string()).await }
    });
    let (seen, _) = tokio::join!(reading, futures_util::future::join_all(sends));
    assert!(seen.is_sorted_by(|a, b| a.position < b.position));
    for room_id in ["1", "2", "3", "4"] {
        let of_room = seen.iter().filter(|entry| entry.subject == room_id);
        let sequences: Vec<i64> = of_room
            .map(|entry| {
                serde_json::from_slice::<Value>(&entry.payload).unwrap()["sequence"].as_i64().unwrap()
            })
            .collect();
        assert_eq!(sequences, (1..=51).collect::<Vec<i64>>());
    }
}
