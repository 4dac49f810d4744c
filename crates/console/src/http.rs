//! The page and its API.
//!
//! Everything under `/api/` but signing in needs a session, which a cookie holds that no script can read and no other site
//! can send. What changes something is a POST with JSON, which no form of another site can make.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use futures_util::{StreamExt, future, stream};
use metrics::gauge;
use platepal_bus::BusError;
use platepal_events::{Channel, EventId};
use platepal_proto::v1;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_stream::wrappers::WatchStream;
use warp::{
    Filter, Reply,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    hyper::body::Bytes,
    sse,
};

use crate::{Console, channels, door::Refused, sampler};

/// The cookie that holds a session's secret.
const COOKIE: &str = "platepal_console";
/// The largest body of a request, in bytes.
const BODY_BYTES_MAX: u64 = 16 * 1024;
/// What a page of ours may do: nothing that does not come from here.
const POLICY: &str =
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// The page, as it is built from `web/`.
const PAGE: &str = include_str!("../page/index.html");
const SCRIPT: &str = include_str!("../page/console.js");
const STYLE: &str = include_str!("../page/console.css");

type Answer = warp::reply::Response;

/// A request's parts.
struct Request {
    method: Method,
    path: String,
    query: HashMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

/// Why something is not answered, as JSON: `{"error", "message"}`.
struct Problem(StatusCode, &'static str, String);

impl From<BusError> for Problem {
    fn from(why: BusError) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why.to_string())
    }
}

impl Problem {
    fn bad(message: impl ToString) -> Self {
        Self(StatusCode::BAD_REQUEST, "bad_request", message.to_string())
    }

    fn answer(self) -> Answer {
        let Self(status, word, message) = self;
        warp::reply::with_status(warp::reply::json(&json!({ "error": word, "message": message })), status)
            .into_response()
    }
}

/// Serves until the shutdown.
pub(crate) async fn serve(console: Arc<Console>, listener: TcpListener) {
    let told = console.parts.shutdown.told();
    let raw_query = warp::query::<HashMap<String, String>>();
    let routes = warp::method()
        .and(warp::path::full())
        .and(raw_query)
        .and(warp::header::headers_cloned())
        .and(warp::body::content_length_limit(BODY_BYTES_MAX).and(warp::body::bytes()).or(no_body()).unify())
        .then(move |method, path: warp::path::FullPath, query, headers, body| {
            let console = Arc::clone(&console);
            async move {
                let request = Request { method, path: path.as_str().to_owned(), query, headers, body };
                let mut answer = answer(&console, request).await;
                let headers = answer.headers_mut();
                for (name, value) in [
                    (header::CONTENT_SECURITY_POLICY, POLICY),
                    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                    (header::REFERRER_POLICY, "no-referrer"),
                ] {
                    headers.insert(name, HeaderValue::from_static(value));
                }
                headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
                answer
            }
        });
    tokio::select! {
        () = warp::serve(routes).incoming(listener).run() => {}
        () = told => {}
    }
}

/// A request without a length has no body.
fn no_body() -> impl Filter<Extract = (Bytes,), Error = Infallible> + Copy {
    warp::any().map(Bytes::new)
}

async fn answer(console: &Arc<Console>, request: Request) -> Answer {
    let page = |text: &'static str, kind: &'static str| {
        warp::reply::with_header(text, header::CONTENT_TYPE, kind).into_response()
    };
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/") => page(PAGE, "text/html; charset=utf-8"),
        ("GET", "/console.js") => page(SCRIPT, "text/javascript; charset=utf-8"),
        ("GET", "/console.css") => page(STYLE, "text/css; charset=utf-8"),
        ("POST", "/api/login") => login(console, &request).unwrap_or_else(Problem::answer),
        (_, path) if path.starts_with("/api/") => match session(&request.headers) {
            Some(secret) if console.door.knows(secret) => {
                api(console, &request, secret).await.unwrap_or_else(Problem::answer)
            }
            _ => Problem(StatusCode::UNAUTHORIZED, "sign_in", "sign in with the operators' password".into())
                .answer(),
        },
        _ => Problem(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path".into()).answer(),
    }
}

fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|text| text.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}

/// The body of something that changes something.
fn body<T: for<'a> Deserialize<'a>>(request: &Request) -> Result<T, Problem> {
    let kind = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/json")) {
        return Err(Problem::bad("the body must be application/json"));
    }
    serde_json::from_slice(&request.body)
        .map_err(|why| Problem::bad(format!("the body is not understood: {why}")))
}

fn login(console: &Console, request: &Request) -> Result<Answer, Problem> {
    #[derive(Deserialize)]
    struct Login {
        password: String,
    }
    let Login { password } = body(request)?;
    let entered = console.door.enter(&password);
    if let Err(why) = &entered {
        tracing::warn!(target: "audit", ?why, "somebody did not get into the console");
    }
    let secret = entered.map_err(|why| match why {
        Refused::Wrong => Problem(StatusCode::FORBIDDEN, "wrong", "this is not the password".into()),
        Refused::Later => {
            let words = "too many wrong passwords; wait a minute";
            Problem(StatusCode::TOO_MANY_REQUESTS, "later", words.into())
        }
    })?;
    tracing::info!(target: "audit", "an operator signed in");
    Ok(with_cookie(request, &secret, console.door.session_time().as_secs()))
}

fn with_cookie(request: &Request, secret: &str, seconds: u64) -> Answer {
    let is_tls = request.headers.get("x-forwarded-proto").is_some_and(|value| value == "https");
    let secure = if is_tls { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let answer = warp::reply::with_status("", StatusCode::NO_CONTENT);
    warp::reply::with_header(answer, header::SET_COOKIE, cookie).into_response()
}

fn done() -> Answer {
    warp::reply::with_status("", StatusCode::NO_CONTENT).into_response()
}

fn ok(value: &impl Serialize) -> Answer {
    warp::reply::json(value).into_response()
}

async fn api(console: &Arc<Console>, request: &Request, secret: &str) -> Result<Answer, Problem> {
    let asked = |name: &str| request.query.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let needed = |name: &str| asked(name).ok_or_else(|| Problem::bad(format!("{name} must be given")));
    match (request.method.as_str(), request.path.trim_start_matches("/api/")) {
        ("GET", "live") => live(console, secret),
        ("GET", "services") => {
            let all =
                console.processes.describe(v1::DescribeRequest { metrics: true, settings: false }).await;
            Ok(ok(&json!({ "now": channels::now(console).to_string(), "services": sampler::services(&all) })))
        }
        ("GET", "settings") => {
            let all =
                console.processes.describe(v1::DescribeRequest { metrics: false, settings: true }).await;
            let processes: Vec<_> = all.processes.values().map(settings).collect();
            Ok(ok(&json!({ "processes": processes, "silent": all.silent })))
        }
        ("GET", "channels") => {
            let limit = asked("limit").map_or(Ok(200), str::parse);
            let limit = limit.map_err(|_| Problem::bad("limit must be a whole number"))?;
            Ok(ok(&console.channels(asked("pattern").unwrap_or_default(), limit).await))
        }
        ("GET", "channel") => {
            let channel: Channel = needed("name")?.parse().map_err(Problem::bad)?;
            tracing::info!(target: "audit", %channel, "an operator reads a channel");
            Ok(ok(&console.recent(&channel).await?))
        }
        ("GET", "event") => {
            let id: EventId = needed("id")?.parse().map_err(Problem::bad)?;
            let channel = asked("channel").map(str::parse::<Channel>).transpose().map_err(Problem::bad)?;
            tracing::info!(target: "audit", event = %id, "an operator follows an event");
            let way = console.way(&id, channel).await?;
            let words = "no channel that is read keeps it; name its channel, if it is not read now";
            let way = way.ok_or_else(|| Problem(StatusCode::NOT_FOUND, "not_found", words.into()))?;
            Ok(ok(&way))
        }
        ("GET", "user") => {
            let id = needed("id")?;
            tracing::info!(target: "audit", user_id = id, "an operator looks at a user's sessions");
            Ok(ok(&console.sessions(id).await))
        }
        ("GET", "outboxes") => Ok(ok(&json!({
            "now": channels::now(console).to_string(), "outboxes": console.outboxes().await?,
        }))),
        ("POST", "disconnect") => {
            let Whose { user_id, client_id } = body(request)?;
            console.disconnect(&user_id, client_id).await?;
            Ok(done())
        }
        ("POST", "sign-out") => {
            let Whose { user_id, .. } = body(request)?;
            console.sign_out(&user_id).await?;
            Ok(done())
        }
        ("POST", "logout") => {
            console.door.leave(secret);
            Ok(with_cookie(request, "", 0))
        }
        _ => Err(Problem(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path".into())),
    }
}

#[derive(Deserialize)]
struct Whose {
    user_id: String,
    client_id: Option<String>,
}

fn settings(process: &v1::DescribeResponse) -> serde_json::Value {
    let settings = process
        .settings
        .iter()
        .map(|own| json!({ "name": own.name, "value": own.value, "source": own.source }));
    json!({ "process": process.process_id, "roles": process.roles, "settings": settings.collect::<Vec<_>>() })
}

/// Samples as they come, after those that are remembered.
fn live(console: &Arc<Console>, secret: &str) -> Result<Answer, Problem> {
    let watching = Watching::begin(console)?;
    let newest = console.sampler.follow();
    let mut remembered = console.sampler.remembered();
    // The newest of them comes by itself.
    remembered.pop();
    let history = sse::Event::default().event("history").json_data(&remembered);
    let samples = WatchStream::new(newest).filter_map(move |sample| {
        let _ = &watching;
        let event = sample.and_then(|sample| sse::Event::default().event("sample").json_data(&*sample).ok());
        async move { event.map(Ok::<_, Infallible>) }
    });
    // It ends with the session.
    let (door, secret) = (Arc::clone(console), secret.to_owned());
    let samples = samples.take_while(move |_| future::ready(door.door.knows(&secret)));
    let events = stream::iter(history.ok().map(Ok)).chain(samples);
    let answer = sse::reply(sse::keep_alive().stream(events));
    // Of nginx, which would hold samples back.
    Ok(warp::reply::with_header(answer, "x-accel-buffering", "no").into_response())
}

/// A page that follows; counted until it is gone.
struct Watching(Arc<Console>);

impl Watching {
    fn begin(console: &Arc<Console>) -> Result<Self, Problem> {
        let watchers = console.sampler.watchers();
        if watchers >= console.settings.watchers {
            let words = "too many pages follow already (REALTIME_CONSOLE_WATCHERS)";
            return Err(Problem(StatusCode::SERVICE_UNAVAILABLE, "crowded", words.into()));
        }
        gauge!("realtime_console_watchers").set(watchers as f64 + 1.0);
        Ok(Self(Arc::clone(console)))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        gauge!("realtime_console_watchers").set(self.0.sampler.watchers().saturating_sub(1) as f64);
    }
}
