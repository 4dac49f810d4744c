"""Relays the outbox to the tier: for good, or once."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from platepal_realtime.django.relay import Relay, forget_sent, measure_outbox
from platepal_realtime.django.settings import current


class Command(BaseCommand):
    help = "Sends what the outbox holds to the tier, in order. Several may run. SIGTERM ends it after the batch at hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="send what can be sent now, then end; for cron")

    def handle(self, *args: Any, **options: Any) -> None:
        if not current().enabled:
            raise CommandError("realtime is off (ENABLED is False); there is nothing to relay")
        if options["once"]:
            done = Relay().drain()
            forget_sent()
            left = measure_outbox()
            self.stdout.write(f"sent {done.sent}, refused {done.refused}, dead {left['dead']:.0f}, waiting {left['waiting']:.0f}")
            if done.error is not None:
                raise CommandError(f"the others wait, nothing is lost: {done.error}")
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write(f"relaying to {current().target}")
        self.stdout.flush()
        Relay().run(stop, told=self._tell)

    def _tell(self, text: str) -> None:
        self.stderr.write(text)
