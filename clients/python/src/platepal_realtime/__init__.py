"""Publishes to PlatePal Realtime from Python.

`Client` and `AsyncClient` call the tier; `platepal_realtime.django` is a Django app with a transactional outbox;
`platepal_realtime.layers` is a channel layer for Django Channels; `platepal_realtime.v1` has the messages.
"""

# First: it prepares gRPC for processes that fork, which must come before gRPC is loaded.
from . import connection as _connection  # noqa: F401  # isort: skip
from .client import AsyncClient, Client, Published
from .errors import (
    Cancelled,
    CircuitOpen,
    ConfigurationError,
    Conflict,
    DeadlineExceeded,
    InternalError,
    InvalidEvent,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    RealtimeError,
    Unavailable,
    Unsupported,
)
from .events import Event, channel_name
from .options import Options, Tls
from .retry import Backoff

__all__ = [
    "AsyncClient",
    "Backoff",
    "Cancelled",
    "CircuitOpen",
    "Client",
    "ConfigurationError",
    "Conflict",
    "DeadlineExceeded",
    "Event",
    "InternalError",
    "InvalidEvent",
    "InvalidRequest",
    "NotFound",
    "Options",
    "Overloaded",
    "PermissionDenied",
    "Published",
    "RealtimeError",
    "Tls",
    "Unavailable",
    "Unsupported",
    "channel_name",
]
