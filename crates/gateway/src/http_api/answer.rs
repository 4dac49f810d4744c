//! How answers are written, and what goes wrong is numbered.

use http::{HeaderMap, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tonic::{Code, Status, body::Body};

use super::Answer;

/// An error of the API: a number that its clients know, and words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    pub code: u32,
    pub message: String,
}

/// How a caller wants to be told of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorMode {
    /// In the body of a 200, as `cent` reads them.
    Body,
    /// By an HTTP status.
    Transport,
}

impl ErrorMode {
    pub fn of(headers: &HeaderMap) -> Self {
        let asked = headers.get("x-centrifugo-error-mode").and_then(|value| value.to_str().ok());
        if asked == Some("transport") { Self::Transport } else { Self::Body }
    }
}

impl Problem {
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn internal(why: impl std::fmt::Display) -> Self {
        Self::new(100, format!("internal server error: {why}"))
    }

    pub fn bad_request(why: impl std::fmt::Display) -> Self {
        Self::new(107, format!("bad request: {why}"))
    }

    fn status(&self) -> StatusCode {
        match self.code {
            102 | 104 | 108 => StatusCode::NOT_FOUND,
            103 | 107 => StatusCode::BAD_REQUEST,
            112 => StatusCode::RANGE_NOT_SATISFIABLE,
            113 => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let words = status.message();
        match status.code() {
            Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition | Code::ResourceExhausted => {
                Self::bad_request(words)
            }
            Code::NotFound => Self::new(104, words),
            Code::PermissionDenied | Code::Unauthenticated => Self::new(103, words),
            Code::AlreadyExists | Code::Aborted => Self::new(113, words),
            Code::Unimplemented => Self::new(108, words),
            _ => {
                tracing::warn!(%status, "a request to the HTTP API failed");
                Self::internal(words)
            }
        }
    }
}

/// Reads parameters; fields that are not known are passed over, as the API is used by newer clients too.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(Problem::bad_request)
}

/// A result as JSON.
pub(super) fn done(result: &impl Serialize) -> Answer {
    to_raw_value(result).map_err(Problem::internal)
}

/// What is done when there is nothing to say.
pub(super) fn nothing() -> Answer {
    done(&serde_json::Map::new())
}

/// Fields that the API has and this tier has not are refused when they are used.
pub(super) fn refuse(fields: &[(&str, bool)]) -> Result<(), Problem> {
    match fields.iter().find(|(_, is_used)| *is_used) {
        Some((name, _)) => Err(Problem::new(108, format!("not available: {name} can't be used here"))),
        None => Ok(()),
    }
}

/// Whether a field was given at all.
pub(super) fn is_given(field: Option<&RawValue>) -> bool {
    field.is_some_and(|value| value.get() != "null")
}

/// `{"error":{…}}`.
pub(super) fn error_body(problem: &Problem) -> String {
    let words = serde_json::to_string(&problem.message).unwrap_or_else(|_| r#""error""#.to_owned());
    format!(r#"{{"error":{{"code":{},"message":{words}}}}}"#, problem.code)
}

pub(super) fn refusal(mode: ErrorMode, problem: &Problem) -> Response<Body> {
    let status = match mode {
        ErrorMode::Body => StatusCode::OK,
        ErrorMode::Transport => problem.status(),
    };
    json(status, error_body(problem))
}

pub(super) fn json(status: StatusCode, body: String) -> Response<Body> {
    respond(status, "application/json", body)
}

/// For people: no client of the API reads more than the status.
pub(super) fn plain(status: StatusCode, words: &str) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", format!("{words}\n"))
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::new(bytes::Bytes::from(body))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
