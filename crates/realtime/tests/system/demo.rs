//! The demo, as somebody sees it who starts it: the page, orders that move, and a rider who arrives.

use std::time::{Duration, Instant};

use platepal_testkit::{Connect, Next, Process, Socket, http, ports};
use serde_json::Value;

/// From a start to a rider's arrival at the restaurant, at a bicycle's pace and on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

struct Demo {
    process: Process,
    http: String,
    page: String,
    /// Where it keeps its data; goes with it.
    _folder: tempfile::TempDir,
}

impl Demo {
    async fn start(orders_per_minute: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [http, grpc, admin, console] = [(); 4].map(|()| format!("127.0.0.1:{}", ports::free()));
        let mut command = std::process::Command::new(crate::BINARY);
        command
            .args(["demo", "--orders-per-minute", orders_per_minute])
            .env_clear()
            .env("REALTIME_HTTP_ADDR", &http)
            .env("REALTIME_GRPC_ADDR", grpc)
            .env("REALTIME_ADMIN_ADDR", &admin)
            .env("REALTIME_CONSOLE_ADDR", console)
            .current_dir(folder.path());
        let process = Process::start("demo", command);
        let ready = format!("http://{admin}/readyz");
        platepal_testkit::eventually("the demo is ready", || async {
            http::try_request("GET", &ready, &[], "").await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        let page = http::get(&format!("http://{http}/")).await;
        assert_eq!(page.status, 200);
        Self { process, http, page: page.body, _folder: folder }
    }

    /// What the page was told at the start.
    fn configuration(&self) -> Value {
        let after = self.page.split("id=\"configuration\">").nth(1).unwrap();
        serde_json::from_str(after.split("</script>").next().unwrap()).unwrap()
    }

    /// The customer's socket, as the page opens it.
    async fn customer(&self) -> Socket {
        self.socket("/ws/customer/7/").await
    }

    /// A socket of the customer.
    async fn socket(&self, path: &str) -> Socket {
        let configuration = self.configuration();
        let token = configuration["customer"]["token"].as_str().unwrap();
        let url = format!("ws://{}{path}?token={token}", self.http);
        Connect::to(url).origin(&format!("http://{}", self.http)).open().await
    }

    async fn end(mut self) {
        self.process.terminate();
        let ended = self.process.wait(Duration::from_secs(30)).await;
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    }
}

/// Reads until a frame is the one.
async fn until(socket: &mut Socket, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let left = PATIENCE.saturating_sub(began.elapsed());
        assert!(!left.is_zero(), "{what} did not come within {PATIENCE:?}");
        match socket.next(left).await {
            Next::Json(frame) if is_it(&frame) => return frame,
            Next::Json(_) => {}
            other => panic!("{what} did not come, but {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_serves_a_page_and_orders_that_move() {
    let demo = Demo::start("600").await;
    assert!(demo.page.contains("A dinner rush, live") && !demo.page.contains("{{configuration}}"));
    assert!(demo.page.contains("© OpenStreetMap contributors"), "whose map it is");
    let mut socket = demo.customer().await;
    for _ in 0..5 {
        let is_order = |frame: &Value| frame["data"]["payload"]["order_number"].is_string();
        let frame = until(&mut socket, "an order", is_order).await;
        assert_eq!(frame["data"]["payload"]["customer"], "7", "{frame}");
    }
    demo.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_customer_sees_the_rider_come_and_arrive() {
    let demo = Demo::start("60").await;
    let mut socket = demo.customer().await;
    let frame = until(&mut socket, "a position", |frame| frame["type"] == "rider_location").await;
    let payload = &frame["data"]["payload"];
    for key in ["delivery_id", "order_id", "rider_id", "eta_minutes", "timestamp"] {
        assert!(payload.get(key).is_some(), "{key} is missing: {frame}");
    }
    for key in ["latitude", "longitude", "heading", "speed", "accuracy"] {
        assert!(payload["location"].get(key).is_some(), "{key} is missing: {frame}");
    }
    let (latitude, longitude) = (&payload["location"]["latitude"], &payload["location"]["longitude"]);
    assert!((60.163..60.181).contains(&latitude.as_f64().unwrap()), "{frame}");
    assert!((24.933..24.956).contains(&longitude.as_f64().unwrap()), "{frame}");
    // Nobody said so but tracking itself.
    let arrived = until(&mut socket, "an arrival", |frame| {
        frame["type"] == "delivery_status_changed"
            && frame["data"]["payload"]["status"] == "ARRIVED_AT_PICKUP"
    })
    .await;
    assert!(arrived["data"]["payload"]["delivery_id"].is_number(), "{arrived}");
    until(&mut socket, "the order on its way", |frame| {
        frame["data"]["payload"]["status"] == "OUT_FOR_DELIVERY"
            && frame["data"]["payload"]["courier"].is_object()
    })
    .await;
    demo.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_customer_hears_the_bell_and_writes_to_the_rider() {
    let demo = Demo::start("60").await;
    let mut socket = demo.customer().await;
    let rung = until(&mut socket, "a notification", |frame| frame["type"] == "notification").await;
    assert!(rung["data"]["unread_count"].as_u64().is_some_and(|count| count > 0), "{rung}");
    let frame = until(&mut socket, "a position", |frame| frame["type"] == "rider_location").await;
    let payload = &frame["data"]["payload"];
    let mut chat = demo.socket(&format!("/ws/chat/{}/", payload["order_id"])).await;
    chat.send_json(&serde_json::json!({"type": "send_message", "content": "Where are you?"})).await;
    until(&mut chat, "the own words", |frame| frame["data"]["content"] == "Where are you?").await;
    let is_answer = |frame: &Value| {
        let words = frame["data"]["content"].as_str().unwrap_or_default();
        let is_about_it = words.contains("map") || words.contains("pedalling");
        frame["type"] == "chat_message" && frame["data"]["sender"] == payload["rider_id"] && is_about_it
    };
    until(&mut chat, "an answer", is_answer).await;
    demo.end().await;
}
