//! Fixes of many riders over one call, for a backend that relays them.
//!
//! Messages are answered in their order, and several are worked on at once, so that they share commits; those of one
//! rider are worked on one after the other. A message that is refused ends the stream with the reason. What was
//! answered before it is kept; what came after it may be, and is harmless to repeat.

use std::collections::HashSet;

use futures_util::stream::FuturesOrdered;
use platepal_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};

use super::Tracking;

type Answer = Result<v1::ReportFixesResponse, Status>;

/// Answers that wait for the caller to read them; then no message is read either.
const ANSWERS: usize = 16;

impl Tracking {
    pub(crate) fn stream(&self, requests: Streaming<v1::ReportFixesRequest>) -> mpsc::Receiver<Answer> {
        let (answers, answered) = mpsc::channel(ANSWERS);
        self.shutdown.spawn(relay(self.clone(), requests, answers));
        answered
    }
}

async fn relay(
    tracking: Tracking,
    mut requests: Streaming<v1::ReportFixesRequest>,
    answers: mpsc::Sender<Answer>,
) {
    let told = tracking.shutdown.told();
    tokio::pin!(told);
    let mut under_way = FuturesOrdered::new();
    let mut riders: HashSet<String> = HashSet::new();
    // Its rider has another message under way.
    let mut waits: Option<v1::ReportFixesRequest> = None;
    let mut is_open = true;
    while is_open || waits.is_some() || !under_way.is_empty() {
        let has_room = waits.is_none() && under_way.len() < tracking.settings.stream_messages;
        let next = tokio::select! {
            () = &mut told => {
                let ending = Status::unavailable("this replica is ending; open the stream again");
                let _ = answers.send(Err(ending)).await;
                return;
            }
            Some((rider_id, answer)) = under_way.next(), if !under_way.is_empty() => {
                riders.remove(&rider_id);
                let is_end = Answer::is_err(&answer);
                if answers.send(answer).await.is_err() || is_end {
                    return;
                }
                waits.take()
            }
            request = requests.next(), if is_open && has_room => match request {
                Some(Ok(request)) => Some(request),
                Some(Err(status)) => {
                    let _ = answers.send(Err(status)).await;
                    return;
                }
                None => {
                    is_open = false;
                    None
                }
            },
        };
        match next {
            Some(request) if riders.contains(&request.rider_id) => waits = Some(request),
            Some(request) => {
                let rider_id = request.rider_id.clone();
                riders.insert(rider_id.clone());
                let tracking = tracking.clone();
                under_way.push_back(async move { (rider_id, tracking.report(request).await) });
            }
            None => {}
        }
    }
}
