"""Asks the tier whether it answers this application, and looks at the outbox."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from platepal_realtime.django.publishing import client
from platepal_realtime.django.relay import measure_outbox
from platepal_realtime.django.settings import current
from platepal_realtime.errors import RealtimeError


class Command(BaseCommand):
    help = "Calls the tier with the settings of this application, and says what waits in the outbox."

    def handle(self, *args: Any, **options: Any) -> None:
        settings = current()
        if not settings.enabled:
            self.stdout.write("realtime is off (ENABLED is False)")
            return
        started = time.monotonic()
        try:
            # Reads nothing of anybody, and needs the key.
            client().sessions.Edges()
        except RealtimeError as why:
            raise CommandError(str(why)) from why
        self.stdout.write(f"{settings.target} answered in {(time.monotonic() - started) * 1000:.0f} ms")
        if settings.outbox:
            left = measure_outbox()
            self.stdout.write(
                f"outbox: {left['waiting']:.0f} wait, the oldest for {left['oldest_seconds']:.0f} s; {left['dead']:.0f} dead letters"
            )
