"""What can go wrong, as one tree of exceptions.

Invariant: each message says what happened, what was kept, and what to do. Whoever catches `RealtimeError` catches all of them;
`retryable` says whether the same call with the same event id can succeed later without anybody changing anything.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Optional

import grpc

#: gRPC metadata in which the tier names the field that a refusal blames.
FIELD_METADATA = "realtime-field"


class RealtimeError(Exception):
    """Anything that went wrong between this process and the tier."""

    retryable = False

    def __init__(self, message: str, *, code: Optional[grpc.StatusCode] = None, field: str = "") -> None:
        super().__init__(message)
        #: The gRPC status; `None` when no call was made.
        self.code = code
        #: Path of the field that is to blame, e.g. `event.payload`; empty when none is.
        self.field = field


class ConfigurationError(RealtimeError):
    """Settings that can't work. No call was made."""


class Unavailable(RealtimeError):
    """The tier could not be reached, or could not answer. The event may or may not be kept."""

    retryable = True


class DeadlineExceeded(Unavailable):
    """No answer in time. The event may or may not be kept."""


class CircuitOpen(Unavailable):
    """The tier did not answer several times in a row; calls fail at once until a probe succeeds. Nothing was sent."""


class Overloaded(RealtimeError):
    """A bound was reached, here or in the tier. Nothing was kept."""

    retryable = True


class InternalError(RealtimeError):
    """The tier failed. The event may or may not be kept."""

    retryable = True


class Cancelled(RealtimeError):
    """The caller gave the call up. The event may or may not be kept."""

    retryable = True


class InvalidRequest(RealtimeError, ValueError):
    """The tier can't take this, now or later; `field` says which part. Nothing was kept."""


class InvalidEvent(InvalidRequest):
    """An event that the tier would refuse, found before it was sent."""


class PermissionDenied(RealtimeError):
    """The API key is missing or wrong, or does not allow this. Nothing was kept."""


class NotFound(RealtimeError):
    """The tier has never heard of it."""


class Conflict(RealtimeError):
    """The state does not allow it any more: settled, taken, or gone. Nothing was changed."""


class Unsupported(RealtimeError):
    """This tier does not serve the call; it is older than this client, or a role of it is not running."""


_MAY_BE_KEPT = "It may or may not have been kept. Repeat it with the same event id, which is harmless"
_NOT_KEPT = "Nothing was kept"

_KINDS: dict[grpc.StatusCode, tuple[type[RealtimeError], str]] = {
    grpc.StatusCode.UNAVAILABLE: (Unavailable, f"{_MAY_BE_KEPT}; check that the tier runs and TARGET is right."),
    grpc.StatusCode.DEADLINE_EXCEEDED: (DeadlineExceeded, f"{_MAY_BE_KEPT}, or raise TIMEOUT."),
    grpc.StatusCode.CANCELLED: (Cancelled, f"{_MAY_BE_KEPT}."),
    grpc.StatusCode.ABORTED: (Unavailable, f"{_MAY_BE_KEPT}."),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (Overloaded, f"{_NOT_KEPT}. Wait, then repeat it."),
    grpc.StatusCode.INVALID_ARGUMENT: (InvalidRequest, f"{_NOT_KEPT}. Repeating will not help: change the request."),
    grpc.StatusCode.OUT_OF_RANGE: (InvalidRequest, f"{_NOT_KEPT}. Repeating will not help: change the request."),
    grpc.StatusCode.UNAUTHENTICATED: (PermissionDenied, f"{_NOT_KEPT}. Set API_KEY to a key of REALTIME_API_KEYS."),
    grpc.StatusCode.PERMISSION_DENIED: (PermissionDenied, f"{_NOT_KEPT}. Check API_KEY and what it may do."),
    grpc.StatusCode.NOT_FOUND: (NotFound, "Nothing was changed."),
    grpc.StatusCode.FAILED_PRECONDITION: (Conflict, "Nothing was changed. Read the state again and decide."),
    grpc.StatusCode.ALREADY_EXISTS: (Conflict, "Nothing was changed."),
    grpc.StatusCode.UNIMPLEMENTED: (Unsupported, f"{_NOT_KEPT}. Bring tier and client to the same version."),
}


def kind_of(code: grpc.StatusCode) -> type[RealtimeError]:
    """The exception of a status."""
    return _KINDS.get(code, (InternalError, ""))[0]


def from_status(method: str, code: grpc.StatusCode, details: str, field: str = "", attempts: int = 1) -> RealtimeError:
    """The exception for a call that was answered with a status."""
    kind, advice = _KINDS.get(code, (InternalError, f"{_MAY_BE_KEPT}; the tier's log says more."))
    tries = f" after {attempts} attempts" if attempts > 1 else ""
    said = details.strip().rstrip(".") or "no details"
    return kind(f"{method} failed{tries} ({code.name}): {said}. {advice}", code=code, field=field)


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The status of what gRPC raised; not all of it has one."""
    return error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN


def from_rpc_error(method: str, error: grpc.RpcError, attempts: int = 1) -> RealtimeError:
    """The exception for what gRPC raised."""
    details = (error.details() if hasattr(error, "details") else "") or ""
    trailing = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    field = next((str(value) for name, value in trailing or () if name == FIELD_METADATA), "")
    return from_status(method, code_of(error), details, field, attempts)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about a name that is not known."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
