"""`PLATEPAL_REALTIME`, the one setting of this app: every key with its default, and every mistake at once.

Invariant: nothing else of this package reads Django's settings. `problems()` finds what `current()` would refuse, without raising,
so that `manage.py check` lists all mistakes together.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import Any, Optional

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from ..errors import ConfigurationError, did_you_mean
from ..options import Options, Tls

NAME = "PLATEPAL_REALTIME"
#: Who sends what the outbox holds: a process of `manage.py realtime_relay`, a Celery task, or the request itself after its commit.
RELAYS = ("process", "celery", "inline")


@dataclass(frozen=True)
class Settings:
    """What `PLATEPAL_REALTIME` may say, in capitals."""

    #: Off: nothing is sent and nothing is written; frontends are told to poll.
    enabled: bool = True
    #: `host:port` of the gateway.
    target: str = "127.0.0.1:50051"
    #: A key of the tier's REALTIME_API_KEYS.
    api_key: str = ""
    #: Seconds for one call with all of its repeats: the most that an outage costs a request that publishes directly.
    timeout: float = 1.0
    #: `True`, or a dict of `ca`, `certificate`, `key`, `server_name`.
    tls: Any = False
    #: Failures in a row after which calls fail at once; 0: never.
    breaker_failures: int = 5
    #: Seconds until the tier is tried again, at first and at most.
    breaker_open_seconds: float = 1.0
    breaker_open_seconds_max: float = 30.0
    #: Calls in flight in one process; one more fails with `Overloaded`.
    in_flight_max: int = 1000
    #: Whether `publish_on_commit` and the channel layer write to the outbox; `False`: they send after the commit, and an outage loses it.
    outbox: bool = True
    #: The database of the outbox and of feeds' positions: the one in which the application's transactions are.
    database: str = "default"
    #: Who sends what the outbox holds: `process`, `celery`, `inline`.
    relay: str = "process"
    #: Events that a relay sends at once, 1-500.
    outbox_batch: int = 100
    #: Seconds between looks of a relay that nobody wakes.
    outbox_poll_seconds: float = 0.5
    #: Seconds for one batch.
    outbox_timeout: float = 5.0
    #: Seconds between attempts while the tier is away, at most.
    outbox_backoff_seconds_max: float = 10.0
    #: Refusals after which an event that can never succeed becomes a dead letter and lets others pass.
    outbox_refusals_max: int = 3
    #: Hours for which sent events stay; 0: they go at once.
    outbox_retention_hours: float = 24.0
    #: Who in the application makes the claims of a token: a dotted path to `function(user) -> dict`; empty: `tokens.claims_of`.
    claims: str = ""
    #: Whether signing out and deactivating a user closes the user's sockets.
    revoke: bool = True
    #: Handlers of durable feeds by feed: `{"chat": "app.realtime.mirror", "notifications": "app.realtime.hand_over"}`.
    feeds: Any = None
    #: The name of this application as a reader of feeds.
    feed_reader: str = "django"
    #: What frontends are told by the health view: the sockets' address, and seconds between polls with and without realtime.
    public_url: str = ""
    poll_seconds: float = 10.0
    poll_seconds_realtime: float = 60.0

    def options(self) -> Options:
        """What a client of this application is told."""
        return Options(
            target=self.target,
            api_key=self.api_key,
            timeout=self.timeout,
            tls=_tls(self.tls),
            breaker_failures=self.breaker_failures,
            breaker_open_seconds=self.breaker_open_seconds,
            breaker_open_seconds_max=self.breaker_open_seconds_max,
            in_flight_max=self.in_flight_max,
        )


_KNOWN = {field.name.upper(): field for field in fields(Settings)}
_TLS_KEYS = ("ca", "certificate", "key", "server_name")
_OF_OPTIONS = (
    "target",
    "api_key",
    "timeout",
    "breaker_failures",
    "breaker_open_seconds",
    "breaker_open_seconds_max",
    "in_flight_max",
)
#: Name to the least and the most that makes sense.
_RANGES: dict[str, tuple[float, float]] = {
    "outbox_batch": (1, 500),
    "outbox_poll_seconds": (0.01, 60),
    "outbox_timeout": (0.05, 60),
    "outbox_backoff_seconds_max": (0.1, 3600),
    "outbox_refusals_max": (1, 1000),
    "outbox_retention_hours": (0, 24 * 365),
    "poll_seconds": (1, 3600),
    "poll_seconds_realtime": (1, 86400),
}


def _tls(value: Any) -> Optional[Tls]:
    return None if not value else Tls() if value is True else Tls(**value)


def problems(given: Any) -> list[str]:
    """Everything that is wrong with a dict of settings, a sentence each."""
    if not isinstance(given, dict):
        return [f"{NAME} must be a dict, e.g. {NAME} = {{'TARGET': 'realtime:50051', 'API_KEY': …}}"]
    found = []
    for key in given:
        if key not in _KNOWN:
            found.append(f"{key} is not a setting{did_you_mean(str(key).upper(), sorted(_KNOWN))}")
    values: dict[str, Any] = {}
    for key, field in _KNOWN.items():
        value = values[field.name] = given.get(key, field.default)
        kind = {"bool": bool, "str": str, "int": int, "float": (int, float)}.get(str(field.type))
        wrong_bool = isinstance(value, bool) and kind is not bool
        if kind is not None and (wrong_bool or not isinstance(value, kind)):  # type: ignore[arg-type]
            found.append(f"{key}: {value!r} must be {_word(str(field.type))}")
            values[field.name] = field.default
    tls = values["tls"]
    if isinstance(tls, dict):
        unknown = [name for name in tls if name not in _TLS_KEYS]
        if unknown:
            found.append(f"TLS: {', '.join(map(str, unknown))}: not known; known are {', '.join(_TLS_KEYS)}")
            tls = {}
    elif not isinstance(tls, bool):
        found.append(f"TLS: {tls!r} must be True, False or a dict of {', '.join(_TLS_KEYS)}")
        tls = False
    try:
        Options(**{name: values[name] for name in _OF_OPTIONS}, tls=_tls(tls))
    except ConfigurationError as why:
        found.extend(str(why).split("; "))
    if values["relay"] not in RELAYS:
        found.append(f"RELAY: {values['relay']!r} must be one of {', '.join(RELAYS)}")
    for name, (least, most) in _RANGES.items():
        if not least <= values[name] <= most:
            found.append(f"{name.upper()}: {values[name]!r} must be {least:g} to {most:g}")
    if values["database"] not in django_settings.DATABASES:
        found.append(f"DATABASE: {values['database']!r} is not in DATABASES")
    found.extend(_paths(values))
    return found


def _word(kind: str) -> str:
    return {"bool": "True or False", "str": "text", "int": "a whole number", "float": "a number"}[kind]


def _paths(values: dict[str, Any]) -> list[str]:
    """What is wrong with dotted paths."""
    # Here, as it imports models.
    from .feeds import FEEDS

    found = []
    paths = {"CLAIMS": values["claims"]} if values["claims"] else {}
    feeds = values["feeds"] if values["feeds"] is not None else {}
    if not isinstance(feeds, dict):
        found.append(f"FEEDS: {feeds!r} must be a dict of feed to dotted path")
        feeds = {}
    for feed, path in feeds.items():
        if feed not in FEEDS:
            found.append(f"FEEDS: {feed!r} is not a feed; feeds are {', '.join(FEEDS)}")
        paths[f"FEEDS[{feed!r}]"] = path
    for where, path in paths.items():
        try:
            if not callable(import_string(path)):
                found.append(f"{where}: {path!r} can't be called")
        except (ImportError, AttributeError, ValueError, TypeError) as why:
            found.append(f"{where}: {path!r} can't be imported: {why}")
    return found


@functools.lru_cache(maxsize=1)
def current() -> Settings:
    """The settings; raises `ConfigurationError` for what is wrong with them."""
    given = getattr(django_settings, NAME, {})
    found = problems(given)
    if found:
        raise ConfigurationError(f"{NAME}: " + "; ".join(found))
    return Settings(**{key.lower(): value for key, value in given.items()})


def _forget(*, setting: str, **_: Any) -> None:
    if setting in (NAME, "DATABASES"):
        current.cache_clear()
        from . import publishing

        publishing.forget_client()


def listen() -> None:
    """Follows `override_settings` in tests."""
    setting_changed.connect(_forget, dispatch_uid="platepal_realtime.settings")
