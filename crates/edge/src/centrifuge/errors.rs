//! What is said when a command fails: the protocol's numbers, each with its words.

use std::{borrow::Cow, time::Duration};

use tonic::Status;

use super::messages::ErrorReply;
use crate::close::{Close, Code};

/// Why a command is not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The client is told, and goes on.
    Error(ErrorReply),
    Close(Close),
}

/// The error with this number.
pub(super) fn error(code: u32) -> ErrorReply {
    let (message, temporary) = match code {
        100 => ("internal server error", true),
        101 => ("unauthorized", false),
        102 => ("unknown channel", false),
        103 => ("permission denied", false),
        104 => ("method not found", false),
        105 => ("already subscribed", false),
        106 => ("limit exceeded", false),
        107 => ("bad request", false),
        108 => ("not available", false),
        109 => ("token expired", false),
        110 => ("expired", false),
        111 => ("too many requests", true),
        112 => ("unrecoverable position", false),
        _ => ("error", false),
    };
    ErrorReply { code, message: message.to_owned(), temporary }
}

/// The error with this number, and words of our own.
pub(super) fn because(code: u32, message: impl Into<Cow<'static, str>>) -> ErrorReply {
    ErrorReply { message: message.into().into_owned(), ..error(code) }
}

impl From<ErrorReply> for Refusal {
    fn from(error: ErrorReply) -> Self {
        Self::Error(error)
    }
}

/// The outcome of a command's work; what takes longer than it may is worth another attempt.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(error(100).into()))
}

/// What a command that is about one channel says, where a connection for that channel alone would be closed.
pub(super) fn of_close(close: &Close) -> ErrorReply {
    match close.code {
        Code::Forbidden if *close == Code::Forbidden.into() => error(103),
        // There is more to say than that it is forbidden.
        Code::Forbidden => because(103, close.reason().into_owned()),
        Code::Unauthorised | Code::Expired => error(109),
        Code::TooMany => error(106),
        _ => because(100, close.reason().into_owned()),
    }
}

/// What a domain's refusal says. The words of those that the client can do something about are passed on.
pub(super) fn of_status(status: &Status) -> ErrorReply {
    let said = |code| because(code, status.message().to_owned());
    match status.code() {
        tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => said(103),
        tonic::Code::Unimplemented => said(108),
        tonic::Code::InvalidArgument
        | tonic::Code::OutOfRange
        | tonic::Code::NotFound
        | tonic::Code::AlreadyExists
        | tonic::Code::FailedPrecondition => said(107),
        tonic::Code::ResourceExhausted => error(111),
        _ => {
            tracing::warn!(%status, "a domain could not answer a client");
            error(100)
        }
    }
}
