"""What a client is told: where the tier is, who we are, and every bound.

Invariant: a value that can't work is refused when the options are made, all of them in one error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Union

from .errors import ConfigurationError
from .retry import Backoff

#: Seconds for one call with all of its repeats, unless the call says otherwise.
TIMEOUT_SECONDS = 2.0
#: Attempts of one call, within its deadline.
ATTEMPTS_MAX = 5
#: Calls in flight at once in one process; one more is refused with `Overloaded`.
IN_FLIGHT_MAX = 1000
#: Seconds of silence after which a connection is asked whether it lives, and seconds for its answer.
KEEPALIVE_SECONDS = 20.0
KEEPALIVE_ANSWER_SECONDS = 5.0
#: Milliseconds between attempts to connect; gRPC's own are up to two minutes, in which a tier that is back is not noticed.
RECONNECT_FIRST_MS = 100
RECONNECT_LONGEST_MS = 2_000
#: Bytes of one message in either direction; the tier's REALTIME_GRPC_MESSAGE_BYTES.
MESSAGE_BYTES_MAX = 36 * 1024 * 1024

_TARGET = re.compile(r"^(?:dns:(?:///)?|ipv4:|ipv6:|unix:)?[^\s/].*$")

Pem = Union[str, bytes, Path]


@dataclass(frozen=True)
class Tls:
    """Encrypted, and with a certificate of our own if the tier wants one (mutual TLS).

    Each is PEM as bytes, or a path to a file of it.
    """

    #: Whom to trust; `None`: the system's authorities.
    ca: Optional[Pem] = None
    #: Our certificate and its key; both or none.
    certificate: Optional[Pem] = None
    key: Optional[Pem] = field(default=None, repr=False)
    #: The name in the tier's certificate, if it is not the host of the target.
    server_name: str = ""

    def problems(self) -> list[str]:
        found = []
        if (self.certificate is None) != (self.key is None):
            found.append("TLS: certificate and key belong together; give both, or none")
        for name in ("ca", "certificate", "key"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, bytes) and not Path(value).is_file():
                found.append(f"TLS: {name}: there is no file {value}")
        return found


def pem(value: Optional[Pem]) -> Optional[bytes]:
    """The bytes of a PEM that was given by itself or by its path."""
    return value if value is None or isinstance(value, bytes) else Path(value).read_bytes()


@dataclass(frozen=True)
class Options:
    """How to reach the tier.

    >>> Options(target="realtime:50051", api_key="KEY", timeout=1.5).timeout
    1.5
    """

    #: `host:port` of the gateway, or any target that gRPC understands.
    target: str = "127.0.0.1:50051"
    #: A key of REALTIME_API_KEYS; empty only where the tier has none.
    api_key: str = field(default="", repr=False)
    #: Seconds for one call with all of its repeats.
    timeout: float = TIMEOUT_SECONDS
    tls: Optional[Tls] = None
    attempts_max: int = ATTEMPTS_MAX
    backoff: Backoff = field(default_factory=Backoff)
    #: Failures in a row that open the circuit, and seconds for which it is open, at first and at most.
    breaker_failures: int = 5
    breaker_open_seconds: float = 1.0
    breaker_open_seconds_max: float = 30.0
    in_flight_max: int = IN_FLIGHT_MAX
    keepalive_seconds: float = KEEPALIVE_SECONDS

    def __post_init__(self) -> None:
        found = self.problems()
        if found:
            raise ConfigurationError("; ".join(found))

    def problems(self) -> list[str]:
        """Everything that is wrong, a sentence each."""
        found = []
        if not isinstance(self.target, str) or not _TARGET.match(self.target) or "://" in self.target.replace("dns:///", ""):
            found.append(f"TARGET: {self.target!r} is not host:port; leave out http:// and paths")
        if not isinstance(self.api_key, str) or not self.api_key.isascii() or any(c.isspace() for c in self.api_key):
            found.append("API_KEY: must be text of ASCII characters without spaces")
        for name, least in (("timeout", 0.01), ("breaker_open_seconds", 0.01), ("keepalive_seconds", 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < float("inf"):
                found.append(f"{name.upper()}: {value!r} is not a number of seconds of at least {least}")
        for name, least in (("attempts_max", 1), ("breaker_failures", 0), ("in_flight_max", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                found.append(f"{name.upper()}: {value!r} is not a whole number of at least {least}")
        longest = self.breaker_open_seconds_max
        if not isinstance(longest, (int, float)) or (not found and longest < self.breaker_open_seconds):
            found.append(f"BREAKER_OPEN_SECONDS_MAX: {longest!r} must be at least BREAKER_OPEN_SECONDS")
        if self.tls is not None:
            found.extend(self.tls.problems())
        return found

    def channel_options(self) -> list[tuple[str, object]]:
        """As gRPC wants them."""
        options: list[tuple[str, object]] = [
            ("grpc.keepalive_time_ms", int(self.keepalive_seconds * 1000)),
            ("grpc.keepalive_timeout_ms", int(KEEPALIVE_ANSWER_SECONDS * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.initial_reconnect_backoff_ms", RECONNECT_FIRST_MS),
            ("grpc.min_reconnect_backoff_ms", RECONNECT_FIRST_MS),
            ("grpc.max_reconnect_backoff_ms", RECONNECT_LONGEST_MS),
            # Repeats are ours: they keep the event id, the deadline and the breaker in view.
            ("grpc.enable_retries", 0),
            # One connection per client, also where two clients of a process have the same target.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.primary_user_agent", "platepal-realtime-python"),
        ]
        if self.tls is not None and self.tls.server_name:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options
