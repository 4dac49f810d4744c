"""Sends what the outbox holds, in order, to the tier.

Invariant: an event is sent only when every earlier event that waits and shares a channel with it was answered as kept, or is a dead
letter. Any number of relays may run. On databases that can skip locked rows (PostgreSQL, MySQL 8, Oracle) each locks rows for the time
of a round, and takes none behind a row that it does not hold; elsewhere (SQLite) a lease lets one relay work at a time.

A relay that is killed after the tier has kept an event and before it noted so sends it again, under the same id, which the tier
answers as a duplicate.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import select
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Callable, Optional

import grpc
from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction
from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone

from .. import measure
from ..client import Client, Published
from ..errors import Overloaded, PermissionDenied, RealtimeError, Unavailable, Unsupported
from ..options import Options
from ..retry import Backoff
from . import signals
from .models import OutboxEvent, RelayLease
from .publishing import WAKE_CHANNEL
from .settings import current

logger = logging.getLogger("platepal_realtime.relay")

#: Rows that one round looks at, when what is first waits for something.
SCAN_ROWS_MAX = 5_000
#: Seconds for which a lease outlives the longest round of its holder; then another relay may take it.
LEASE_MARGIN_SECONDS = 10.0
#: Seconds of the first wait after a failure; it doubles up to OUTBOX_BACKOFF_SECONDS_MAX.
BACKOFF_FIRST_SECONDS = 0.1
#: Sent rows that are deleted at once when their time is over, and seconds between such rounds.
FORGET_ROWS = 1_000
FORGET_EVERY_SECONDS = 60.0
#: Seconds that a report to the console may take.
REPORT_TIMEOUT_SECONDS = 2.0
#: Seconds between looks at what waits, for the gauges.
GAUGES_EVERY_SECONDS = 10.0
#: Statuses of one event that no repeat will change.
HOPELESS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE)

WAITING, SENT, DEAD = OutboxEvent.State.WAITING, OutboxEvent.State.SENT, OutboxEvent.State.DEAD


@dataclass
class Round:
    """What one round did."""

    sent: int = 0
    refused: int = 0
    dead: int = 0
    #: Why the tier could not be reached; nothing that waits was touched then.
    error: Optional[RealtimeError] = None
    #: Another relay has the lease.
    idle: bool = False

    @property
    def worked(self) -> bool:
        return bool(self.sent or self.refused)


def choose(rows: list[OutboxEvent], mine: set[int], now: datetime.datetime, limit: int) -> list[OutboxEvent]:
    """Of waiting rows in the order of their ids, those that may be sent now. Pure.

    A row that is not mine, or whose time has not come, holds all that share a channel with it, and so do those it holds.
    """
    held: set[str] = set()
    chosen: list[OutboxEvent] = []
    for row in rows:
        channels = set(row.channels)
        later = row.not_before is not None and row.not_before > now
        if row.id not in mine or later or channels & held or len(chosen) == limit:
            held |= channels
        else:
            chosen.append(row)
    return chosen


class Relay:
    """One relay. `once` does a round, `drain` all that can be done now, `run` goes on until it is told to stop."""

    def __init__(self, client: Optional[Client] = None) -> None:
        self.settings = current()
        self.using = self.settings.database
        self.holder = f"{socket.gethostname()[:24]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._own = client is None
        self._client = client or Client(self._options())
        self._locks = connections[self.using].features.has_select_for_update_skip_locked
        self._backoff = Backoff(BACKOFF_FIRST_SECONDS, self.settings.outbox_backoff_seconds_max)
        self._next_forget = self._next_gauges = 0.0
        self._relayed = 0

    def _options(self) -> Options:
        # A relay paces itself; a breaker on top would only delay the moment at which the tier is back.
        return replace(self.settings.options(), breaker_failures=0, attempts_max=1, timeout=self.settings.outbox_timeout)

    # One round

    def once(self, timeout: Optional[float] = None) -> Round:
        """Sends one batch."""
        deadline = time.monotonic() + (timeout if timeout is not None else self.settings.outbox_timeout)
        if self._locks:
            with transaction.atomic(using=self.using):
                return self._round(self._locked_rows(), deadline)
        if not self._lease():
            return Round(idle=True)
        rows = list(self._waiting()[: self.settings.outbox_batch])
        now = timezone.now()
        return self._round(choose(rows, {row.id for row in rows}, now, self.settings.outbox_batch), deadline)

    def _waiting(self) -> QuerySet[OutboxEvent]:
        return OutboxEvent.objects.using(self.using).filter(state=WAITING).order_by("id")

    def _locked_rows(self) -> list[OutboxEvent]:
        """Rows that this transaction has locked and that may be sent. Looks further when the first ones are held."""
        table = self._waiting()
        page = self.settings.outbox_batch
        seen: list[OutboxEvent] = []
        mine: set[int] = set()
        while len(seen) < SCAN_ROWS_MAX:
            rows = list((table.filter(id__gt=seen[-1].id) if seen else table)[:page])
            # Locked after they were read: a row that another relay has sent meanwhile is no longer WAITING and not mine, and one that
            # was refused has its waiting time in the locked version.
            locked = {row.id: row for row in table.filter(id__in=[row.id for row in rows]).select_for_update(skip_locked=True)}
            mine.update(locked)
            seen += [locked.get(row.id, row) for row in rows]
            chosen = choose(seen, mine, timezone.now(), page)
            if chosen or len(rows) < page:
                return chosen
        return []

    def _round(self, rows: list[OutboxEvent], deadline: float) -> Round:
        done = Round()
        left = deadline - time.monotonic()
        if not rows or left <= 0:
            return done
        try:
            outcomes = self._client.publish_batch([row.event() for row in rows], ordered=True, timeout=left)
        except RealtimeError as why:
            done.error = why
            return done
        kept = [row.id for row, outcome in zip(rows, outcomes) if outcome.error is None]
        self._note_sent(kept)
        done.sent = len(kept)
        self._relayed += done.sent
        for row, outcome in zip(rows, outcomes):
            # Behind one that failed: its turn comes after that.
            if outcome.error is None or outcome.error.code is grpc.StatusCode.ABORTED:
                continue
            if _of_everybody(outcome.error):
                done.error = outcome.error
            else:
                self._note_refusal(row, outcome, done)
        return done

    def _note_sent(self, ids: list[int]) -> None:
        rows = OutboxEvent.objects.using(self.using).filter(id__in=ids)
        if not ids:
            return
        if self.settings.outbox_retention_hours:
            rows.update(state=SENT, sent_at=timezone.now(), note="")
        else:
            rows.delete()
        measure.count("platepal_realtime_outbox_relayed_total", len(ids), result="sent")

    def _note_refusal(self, row: OutboxEvent, outcome: Published, done: Round) -> None:
        """Notes what the tier said of one event. When it is dead, others pass."""
        error = outcome.error
        assert error is not None
        row.refusals += 1
        row.note = str(error)
        done.refused += 1
        dead = error.code in HOPELESS and row.refusals >= self.settings.outbox_refusals_max
        if dead:
            row.state = DEAD
            done.dead += 1
        else:
            wait = self._backoff.bound(row.refusals + 1)
            row.not_before = timezone.now() + datetime.timedelta(seconds=wait)
        row.save(using=self.using, update_fields=["refusals", "note", "state", "not_before"])
        measure.count("platepal_realtime_outbox_relayed_total", result="dead" if dead else "refused")
        if dead:
            logger.error("event %s (%s) is a dead letter after %s refusals: %s", row.event_id, row.type, row.refusals, error)
            signals.event_dead.send_robust(sender=OutboxEvent, outbox_event=row, error=error)

    # Who relays where rows can't be locked

    def _lease(self) -> bool:
        now = timezone.now()
        until = now + datetime.timedelta(seconds=self.settings.outbox_timeout + LEASE_MARGIN_SECONDS)
        leases = RelayLease.objects.using(self.using)
        free = Q(holder=self.holder) | Q(expires_at__lt=now)
        if leases.filter(free, name="outbox").update(holder=self.holder, expires_at=until):
            return True
        if leases.filter(name="outbox").exists():
            return False
        try:
            leases.create(name="outbox", holder=self.holder, expires_at=until)
        except DatabaseError:
            return False
        return True

    def _release(self) -> None:
        if not self._locks:
            with contextlib.suppress(DatabaseError):
                RelayLease.objects.using(self.using).filter(holder=self.holder).update(holder="", expires_at=timezone.now())

    # Many rounds

    def drain(self, seconds: Optional[float] = None, timeout: Optional[float] = None) -> Round:
        """Rounds until nothing can be sent now, the tier is away, or the time is over. What it did in all."""
        until = None if seconds is None else time.monotonic() + seconds
        total = Round()
        try:
            while until is None or time.monotonic() < until:
                left = timeout if until is None else min(timeout or seconds or 0, max(0.01, until - time.monotonic()))
                done = self.once(left)
                total.sent += done.sent
                total.refused += done.refused
                total.dead += done.dead
                total.error, total.idle = done.error, done.idle
                if done.error is not None or not done.worked:
                    break
        finally:
            self.close()
        return total

    def run(self, stop: threading.Event, told: Callable[[str], None] = logger.info) -> None:
        """Relays until `stop` is set."""
        failures = 0
        with contextlib.closing(_Wake(self.using)) as wake:
            while not stop.is_set():
                try:
                    done = self.once()
                    self._housekeeping()
                except (OperationalError, InterfaceError) as why:
                    failures += 1
                    told(f"the database can't be reached ({str(why).strip()}); nothing is lost, trying again")
                    connections[self.using].close()
                    stop.wait(self._backoff.pause(failures))
                    continue
                if done.error is not None:
                    failures += 1
                    if failures == 1 or failures % 20 == 0:
                        told(f"events wait in the outbox, nothing is lost ({failures} failures in a row): {done.error}")
                    signals.relay_failed.send_robust(sender=Relay, error=done.error, failures=failures)
                    stop.wait(self._backoff.pause(failures))
                    continue
                if failures:
                    told("the tier answers again")
                failures = 0
                if not done.worked:
                    wake.wait(self.settings.outbox_poll_seconds, stop)
        self.close()

    def close(self) -> None:
        """Gives the lease back; others need not wait for its end."""
        self._release()
        if self._own:
            self._client.close()

    def _report(self, seen: dict[str, Any]) -> None:
        """Tells the tier what the outbox holds, for the operators' console."""
        report = {"name": self.using, "waiting": seen["waiting"], "dead": seen["dead"], "relayed": self._relayed}
        if seen["oldest"] is not None:
            report["oldest_waiting_at"] = seen["oldest"]
        try:
            self._client.events.ReportOutbox(**report, timeout=REPORT_TIMEOUT_SECONDS)
        except RealtimeError as why:
            logger.debug("the console is not told what the outbox holds: %s", why)

    def _housekeeping(self) -> None:
        now = time.monotonic()
        if now >= self._next_gauges:
            self._next_gauges = now + GAUGES_EVERY_SECONDS
            self._report(measure_outbox())
        if now >= self._next_forget:
            full = forget_sent() == FORGET_ROWS
            self._next_forget = now + (0 if full else FORGET_EVERY_SECONDS)


def _of_everybody(error: RealtimeError) -> bool:
    """Whether an error of one event says that the tier, and not the event, is the trouble."""
    return isinstance(error, (Unavailable, PermissionDenied, Unsupported, Overloaded))


def forget_sent() -> int:
    """Deletes sent rows whose time is over, some of them; how many."""
    settings = current()
    rows = OutboxEvent.objects.using(settings.database).filter(state=SENT)
    before = timezone.now() - datetime.timedelta(hours=settings.outbox_retention_hours)
    ids = list(rows.filter(sent_at__lt=before).order_by("sent_at").values_list("id", flat=True)[:FORGET_ROWS])
    return rows.filter(id__in=ids).delete()[0] if ids else 0


def measure_outbox() -> dict[str, Any]:
    """What waits, what is dead, since when and for how long the oldest waits; sets the gauges."""
    rows = OutboxEvent.objects.using(current().database).exclude(state=SENT)
    seen: dict[str, Any] = rows.aggregate(
        waiting=Count("id", filter=Q(state=WAITING)),
        dead=Count("id", filter=Q(state=DEAD)),
        oldest=Min("created_at", filter=Q(state=WAITING)),
    )
    age = max(0.0, (timezone.now() - seen["oldest"]).total_seconds()) if seen["oldest"] else 0.0
    measure.gauge("platepal_realtime_outbox_waiting", seen["waiting"])
    measure.gauge("platepal_realtime_outbox_dead", seen["dead"])
    measure.gauge("platepal_realtime_outbox_oldest_seconds", age)
    return {**seen, "oldest_seconds": age}


def replay_dead(ids: Optional[list[int]] = None) -> int:
    """Lets dead letters wait again, at their old places; how many."""
    rows = OutboxEvent.objects.using(current().database).filter(state=DEAD)
    if ids is not None:
        rows = rows.filter(id__in=ids)
    return int(rows.update(state=WAITING, refusals=0, not_before=None))


class _Wake:
    """Waits until something was committed to the outbox: told by PostgreSQL, else by looking again after a while."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._connection: Any = None

    def wait(self, seconds: float, stop: threading.Event) -> None:
        if connections[self._using].vendor != "postgresql":
            stop.wait(seconds)
            return
        try:
            if self._connection is None:
                # A look follows: what was committed before this was heard of is found by it.
                self._listen()
                return
            raw = self._connection.connection
            if select.select([raw.fileno()], [], [], seconds)[0]:
                for _ in self._heard(raw):
                    pass
        except Exception as why:
            logger.warning("waiting for notifications failed (%s); looking every %s s until it works", why, seconds)
            self.close()
            stop.wait(seconds)

    def _listen(self) -> None:
        # A connection of its own: the relay's is in a transaction while it sends.
        self._connection = connections[self._using].copy()
        self._connection.set_autocommit(True)
        with self._connection.cursor() as cursor:
            cursor.execute(f"LISTEN {WAKE_CHANNEL}")

    @staticmethod
    def _heard(raw: Any) -> Iterator[Any]:
        if hasattr(raw, "pgconn"):
            raw.pgconn.consume_input()
            yield from iter(raw.pgconn.notifies, None)
        else:
            raw.poll()
            while raw.notifies:
                yield raw.notifies.pop()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()
