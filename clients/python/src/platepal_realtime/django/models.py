"""Tables: what waits to be published, who may relay it where rows can't be locked, how far feeds were read.

Invariant: a row of the outbox is written in the transaction whose news it is, and is `SENT` only after the tier has answered that the
event is kept.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from ..events import Event


class OutboxEvent(models.Model):
    """An event on its way. Of two that share a channel, the one with the smaller id is sent first."""

    class State(models.IntegerChoices):
        WAITING = 0, "waiting"
        SENT = 1, "sent"
        DEAD = 2, "dead"

    #: Its place: a later event never overtakes an earlier one of a shared channel.
    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=64)
    type = models.CharField(max_length=64)
    #: Names as the tier has them.
    channels = models.JSONField()
    #: JSON as it will be sent, byte for byte.
    payload = models.BinaryField()
    timestamp = models.DateTimeField()
    version = models.CharField(max_length=16, blank=True)
    key = models.CharField(max_length=64, blank=True)
    traceparent = models.CharField(max_length=55, blank=True)
    state = models.PositiveSmallIntegerField(choices=State.choices, default=State.WAITING)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    #: Attempts that the tier answered for this event alone; an outage counts for nobody.
    refusals = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    #: What the tier said last.
    note = models.TextField(blank=True)

    class Meta:
        verbose_name = "outbox event"
        ordering = ["id"]
        indexes = [
            # What a relay looks at: small, however many sent rows are kept.
            models.Index(fields=["id"], condition=models.Q(state=0), name="realtime_outbox_waiting"),
            models.Index(fields=["state", "sent_at"], name="realtime_outbox_state"),
        ]

    def __str__(self) -> str:
        return f"{self.type} to {', '.join(self.channels)}"

    @classmethod
    def of(cls, event: Event) -> OutboxEvent:
        """A row for an event."""
        return cls(
            event_id=event.event_id,
            type=event.type,
            channels=list(event.channels),
            payload=event.payload,
            # Now, and not when it is relayed: what clients see is when it happened.
            timestamp=event.timestamp or timezone.now(),
            version=event.version,
            key=event.key,
            traceparent=event.traceparent,
        )

    def event(self) -> Event:
        """The event of a row."""
        return Event(
            type=self.type,
            payload=bytes(self.payload),
            channels=tuple(self.channels),
            event_id=self.event_id,
            timestamp=self.timestamp if self.timestamp.tzinfo else self.timestamp.replace(tzinfo=timezone.get_default_timezone()),
            version=self.version,
            key=self.key,
            traceparent=self.traceparent,
        )


class RelayLease(models.Model):
    """Who may relay, on databases that can't skip locked rows: one row, one holder at a time."""

    name = models.CharField(max_length=32, primary_key=True)
    holder = models.CharField(max_length=64, blank=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'nobody'}"


class FeedPosition(models.Model):
    """How far this application has taken a durable feed: stored with what the last entry says."""

    feed = models.CharField(max_length=32)
    reader = models.CharField(max_length=64)
    position = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["feed", "reader"], name="realtime_feed_reader")]

    def __str__(self) -> str:
        return f"{self.feed} of {self.reader}: {self.position}"
