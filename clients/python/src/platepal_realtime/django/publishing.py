"""`publish` and `publish_on_commit`: what an application calls.

Invariant: `publish_on_commit` in a transaction that is rolled back leaves nothing; in one that is committed, with the outbox, it leaves a
row that stays until the tier has answered. Both raise at once for an event that could never be published.
"""

from __future__ import annotations

import datetime
import functools
import logging
import threading
import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Optional, Union

from asgiref.sync import sync_to_async
from django.db import connections, transaction

from .. import measure
from ..client import AsyncClient, Client
from ..errors import RealtimeError
from ..events import CHANNELS_MAX, Event
from . import signals
from .settings import Settings, current

logger = logging.getLogger("platepal_realtime")

#: The PostgreSQL channel on which relays hear that something was committed.
WAKE_CHANNEL = "platepal_realtime_outbox"

_lock = threading.Lock()
_client: Optional[Client] = None
_async_client: Optional[AsyncClient] = None

Channels = Union[str, Iterable[str]]
Id = Union[str, uuid.UUID, None]
Moment = Union[datetime.datetime, str, None]


def client() -> Client:
    """This process's client, with all services of the tier: `client().chat.PutRoom(…)`. Cheap; survives forks."""
    global _client
    if _client is None:
        with _lock:
            if _client is None:
                _client = Client(current().options())
    return _client


def async_client() -> AsyncClient:
    """The same for event loops. Both share bounds with nobody: each has its own connection."""
    global _async_client
    if _async_client is None:
        with _lock:
            if _async_client is None:
                _async_client = AsyncClient(current().options())
    return _async_client


def forget_client() -> None:
    """The next call makes a client of the settings as they are then."""
    global _client, _async_client
    with _lock:
        old, _client, _async_client = (_client, _async_client), None, None
    for one in old:
        if one is not None:
            one.close()


def publish(
    type: str,
    data: Any,
    channels: Channels,
    *,
    event_id: Id = None,
    timestamp: Moment = None,
    version: str = "",
    key: Optional[str] = None,
    timeout: Optional[float] = None,
) -> Any:
    """Publishes now and returns the tier's answer, whatever becomes of the transaction around it; `None` when realtime is off.

    Raises a `RealtimeError` when the tier has not answered within TIMEOUT. For news of a transaction use `publish_on_commit`.
    """
    event = Event.make(type, data, channels, event_id=event_id, timestamp=timestamp, version=version, key=key)
    return client().publish_event(event, timeout=timeout) if current().enabled else None


async def apublish(
    type: str,
    data: Any,
    channels: Channels,
    *,
    event_id: Id = None,
    timestamp: Moment = None,
    version: str = "",
    key: Optional[str] = None,
    timeout: Optional[float] = None,
) -> Any:
    """`publish` for async views."""
    event = Event.make(type, data, channels, event_id=event_id, timestamp=timestamp, version=version, key=key)
    return await async_client().publish_event(event, timeout=timeout) if current().enabled else None


def publish_on_commit(
    type: str,
    data: Any,
    channels: Channels,
    *,
    event_id: Id = None,
    timestamp: Moment = None,
    version: str = "",
    key: Optional[str] = None,
) -> Event:
    """Publishes when the transaction around it is committed; at once when there is none. Returns the event.

    With the outbox it is written as part of the transaction, and sent by a relay: neither a crash nor an outage loses it or invents
    one. Without, it is sent right after the commit; if that fails it is lost, and `signals.publish_failed` says so.
    """
    event = Event.make(type, data, channels, event_id=event_id, timestamp=timestamp, version=version, key=key)
    keep(event)
    return event


async def apublish_on_commit(*arguments: Any, **named: Any) -> Event:
    """`publish_on_commit` for async views: in the thread that has the transaction."""
    event: Event = await sync_to_async(publish_on_commit, thread_sensitive=True)(*arguments, **named)
    return event


def keep(event: Event, outbox: Optional[bool] = None) -> None:
    """`publish_on_commit` for an event that is made already; `outbox` overrides the setting."""
    settings = current()
    if not settings.enabled:
        return
    if settings.outbox if outbox is None else outbox:
        write([event])
        return
    transaction.on_commit(functools.partial(_send, event), using=settings.database, robust=True)


def write(events: Iterable[Event]) -> None:
    """Writes events to the outbox, in this order, and wakes a relay when they are committed."""
    from .models import OutboxEvent

    settings = current()
    connection = connections[settings.database]
    # Whoever relays was told in this transaction already, and hears of it at the commit.
    told = _last_of(connection) is not None
    written = 0
    for event in events:
        if _joins_last(connection, event):
            continue
        row = OutboxEvent.of(event)
        row.save(using=settings.database, force_insert=True)
        written += 1
        if connection.in_atomic_block:
            last = _Last(event, row.pk)
            connection.on_commit(last)
            connection.platepal_realtime_last = last
    measure.count("platepal_realtime_outbox_written_total", written)
    if written and not told:
        wake(settings)


class _Last:
    """The event that a transaction wrote last. Among the functions to be called at its commit, as long as it may still be committed."""

    def __init__(self, event: Event, pk: int) -> None:
        self.event, self.pk = event, pk

    def __call__(self) -> None:
        pass


def _last_of(connection: Any) -> Optional[_Last]:
    """The last event of the transaction that is open now; `None` when there is none, or it was rolled back to a savepoint before."""
    last: Optional[_Last] = getattr(connection, "platepal_realtime_last", None)
    alive = last is not None and any(entry[1] is last for entry in reversed(connection.run_on_commit))
    return last if alive else None


def _joins_last(connection: Any, event: Event) -> bool:
    """One event that a loop sends to several groups is one row with several channels.

    Only while it is the last one of a transaction that is still open: no relay has seen it, and nothing came between.
    """
    from .models import OutboxEvent

    last = _last_of(connection)
    if last is None:
        return False
    if replace(event, channels=(), timestamp=None) != replace(last.event, channels=(), timestamp=None):
        return False
    rows = OutboxEvent.objects.using(connection.alias).filter(pk=last.pk)
    # As the row has them, and not as they were told: a savepoint that was rolled back took its own along.
    known = rows.values_list("channels", flat=True).first()
    channels = list(dict.fromkeys((*(known or ()), *event.channels)))
    return bool(known) and len(channels) <= CHANNELS_MAX and bool(rows.update(channels=channels))


def wake(settings: Settings) -> None:
    """Tells whoever relays that something will have been committed. Losing this costs a moment: relays look by themselves as well."""
    using = settings.database
    if settings.relay == "process":
        connection = connections[using]
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                # Heard when this transaction is committed, and never when it is not.
                cursor.execute(f"NOTIFY {WAKE_CHANNEL}")
    elif settings.relay == "celery":
        transaction.on_commit(_delay, using=using, robust=True)
    else:
        transaction.on_commit(_relay_inline, using=using, robust=True)


def _delay() -> None:
    from .tasks import relay

    try:
        # Without repeats: a broker that is away must not hold the request, and beat sends another one.
        relay.apply_async(retry=False, ignore_result=True)
    except Exception as why:
        logger.warning("no relay task could be sent (%s); the outbox keeps the events until the next one", why)


def _relay_inline() -> None:
    from .relay import Relay

    settings = current()
    Relay(client=client()).drain(seconds=settings.timeout, timeout=settings.timeout)


def _send(event: Event) -> None:
    try:
        client().publish_event(event)
    except RealtimeError as why:
        logger.error("event %s (%s) is lost: %s", event.event_id, event.type, why)
        signals.publish_failed.send_robust(sender=None, event=event, error=why)


class Router:
    """Keeps the outbox's tables in its database; for DATABASE_ROUTERS, where there are several."""

    def db_for_read(self, model: Any, **_: Any) -> Optional[str]:
        return current().database if model._meta.app_label == "platepal_realtime" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> Optional[bool]:
        return db == current().database if app_label == "platepal_realtime" else None
