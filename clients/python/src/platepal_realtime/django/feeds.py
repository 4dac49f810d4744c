"""Durable feeds of the tier, taken into this application's database: the chat's mirror, e-mails and text messages to send.

Invariant: the position of an entry is stored in the transaction in which its handler writes, so that what the handler does in the
database happens exactly once, wherever the worker is killed. What it does elsewhere (an e-mail) happens at least once: hand that to a
task on commit.
"""

from __future__ import annotations

import datetime
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Optional

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from .. import measure
from ..client import Client
from ..errors import Cancelled, DeadlineExceeded, InvalidRequest, RealtimeError
from ..retry import Backoff
from .settings import current

logger = logging.getLogger("platepal_realtime.feeds")

#: Feeds by name: the service, the method that reads, the method that acknowledges.
FEEDS: dict[str, tuple[str, str, str]] = {
    "chat": ("chat", "ReadMirror", "AcknowledgeMirror"),
    "notifications": ("notifications", "ReadHandover", "AcknowledgeHandover"),
}
#: Entries, and seconds, after which the tier is told how far this reader is, so that it may forget.
ACKNOWLEDGE_ENTRIES = 500
ACKNOWLEDGE_SECONDS = 2.0
#: Waits after failures, in seconds.
BACKOFF = Backoff(first=0.2, longest=30.0)
#: Seconds without an entry after which `drain` has everything.
IDLE_SECONDS = 1.0


class FeedGap(Exception):
    """The stored position and the tier's feed do not fit: entries are gone, or the tier's store is another one."""


@dataclass(frozen=True)
class Entry:
    """One entry, as a handler gets it."""

    feed: str
    position: int
    #: `message`, `read`, `room`; `email`, `sms`.
    kind: str
    #: What it is about; entries of one subject come in their order.
    subject: str
    data: Any
    at: datetime.datetime


Handler = Callable[[Entry], Any]


class FeedWorker:
    """Takes one feed. Several may run for one feed: they take turns, entry by entry, and none is taken twice."""

    def __init__(self, feed: str, handler: Optional[Handler] = None, client: Optional[Client] = None) -> None:
        if feed not in FEEDS:
            raise ValueError(f"{feed!r} is not a feed; feeds are {', '.join(FEEDS)}")
        settings = current()
        path = (settings.feeds or {}).get(feed)
        if handler is None and path is None:
            raise ValueError(f"feed {feed!r} has no handler: set PLATEPAL_REALTIME['FEEDS'][{feed!r}] to a dotted path")
        self.feed, self.reader, self.using = feed, settings.feed_reader, settings.database
        self.handler: Handler = handler or import_string(path)
        self.client = client or Client(settings.options())
        self._acknowledged, self._acknowledged_at = 0, 0.0
        self._stream: Any = None

    def position(self) -> Optional[int]:
        """Up to which entry everything is stored here; `None`: nothing ever was."""
        from .models import FeedPosition

        row = FeedPosition.objects.using(self.using).filter(feed=self.feed, reader=self.reader).first()
        return row.position if row else None

    def reset(self) -> None:
        """Forgets the position; the next read goes on after what this reader acknowledged last. Entries between may be missing."""
        from .models import FeedPosition

        FeedPosition.objects.using(self.using).filter(feed=self.feed, reader=self.reader).delete()

    def take(self, entry: Entry) -> bool:
        """Handles an entry and stores its position, both or neither. False: it was taken before."""
        from .models import FeedPosition

        rows = FeedPosition.objects.using(self.using)
        with transaction.atomic(using=self.using):
            # Written first: on SQLite a transaction that has read can't always write any more.
            mine = rows.filter(feed=self.feed, reader=self.reader)
            if not mine.filter(position__lt=entry.position).update(position=entry.position, updated_at=timezone.now()):
                if mine.exists():
                    measure.count("platepal_realtime_feed_entries_total", feed=self.feed, result="repeated")
                    return False
                rows.create(feed=self.feed, reader=self.reader, position=entry.position)
            self.handler(entry)
        measure.count("platepal_realtime_feed_entries_total", feed=self.feed, result="taken")
        return True

    def drain(self, idle_seconds: float = IDLE_SECONDS) -> int:
        """Takes what there is, until nothing came for a while; how many entries."""
        taken = 0
        timer: Optional[threading.Timer] = None
        last = 0
        try:
            stream = self._entries()
            while True:
                timer = threading.Timer(idle_seconds, self.stop)
                timer.daemon = True
                timer.start()
                try:
                    entry = next(stream)
                except (StopIteration, Cancelled):
                    break
                finally:
                    timer.cancel()
                taken += self.take(entry)
                last = entry.position
        finally:
            self.stop()
        if last:
            self._acknowledge(last)
        return taken

    def run(self, stop: threading.Event, told: Callable[[str], None] = logger.info) -> None:
        """Takes entries until `stop` is set; connects again as often as it must."""
        threading.Thread(target=self._stop_with, args=(stop,), daemon=True, name="realtime-feed-stop").start()
        failures = 0
        while not stop.is_set():
            try:
                for entry in self._entries():
                    self.take(entry)
                    failures = 0
                    self._acknowledge_sometimes(entry.position)
                    if stop.is_set():
                        break
            except (RealtimeError, OperationalError, InterfaceError) as why:
                if stop.is_set():
                    break
                failures += 1
                if isinstance(why, DatabaseError):
                    connections[self.using].close()
                told(f"feed {self.feed}: {str(why).strip()} Nothing is lost; reading on after position {self._shown()}.")
            except FeedGap:
                raise
            except Exception as why:
                # The handler's: its transaction was rolled back, and the entry comes again.
                failures += 1
                measure.count("platepal_realtime_feed_entries_total", feed=self.feed, result="failed")
                logger.exception("feed %s: the handler failed; its entry is tried again (%s)", self.feed, why)
            if not stop.is_set():
                stop.wait(BACKOFF.pause(failures))
        self.stop()

    def stop(self) -> None:
        """Ends the stream that is read now."""
        stream = self._stream
        if stream is not None:
            stream.close()

    def _stop_with(self, stop: threading.Event) -> None:
        while not stop.wait(3600):
            pass
        self.stop()

    def _shown(self) -> str:
        try:
            return str(self.position())
        except DatabaseError:
            return "that is stored"

    def _entries(self) -> Iterator[Entry]:
        service, read, _ = FEEDS[self.feed]
        position = self.position()
        after = {} if position is None else {"after": position}
        try:
            self._stream = getattr(getattr(self.client, service), read)(reader=self.reader, **after)
            for entry in self._stream:
                yield Entry(
                    self.feed,
                    entry.position,
                    entry.kind,
                    entry.subject,
                    json.loads(entry.payload or b"null"),
                    entry.at.ToDatetime(tzinfo=datetime.timezone.utc),
                )
        except InvalidRequest as why:
            raise FeedGap(
                f"feed {self.feed} can't go on after position {position}, which is stored here: {why} The tier's store was "
                "replaced, or all readers acknowledged more than this database has (was it restored from a backup?). Fetch what is "
                "missing by the service's other calls, then run realtime_feed with --accept-gap."
            ) from why

    def _acknowledge_sometimes(self, position: int) -> None:
        due = time.monotonic() - self._acknowledged_at >= ACKNOWLEDGE_SECONDS
        if due or position - self._acknowledged >= ACKNOWLEDGE_ENTRIES:
            self._acknowledge(position)

    def _acknowledge(self, position: int) -> None:
        """Lets the tier forget. Only ever what is committed here; failing costs nothing, as reading on acknowledges, too."""
        service, _, acknowledge = FEEDS[self.feed]
        self._acknowledged, self._acknowledged_at = position, time.monotonic()
        try:
            getattr(getattr(self.client, service), acknowledge)(reader=self.reader, position=position)
        except (RealtimeError, DeadlineExceeded) as why:
            logger.debug("feed %s: not acknowledged yet: %s", self.feed, why)
