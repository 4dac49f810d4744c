"""Takes a durable feed of the tier into this application's database."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from platepal_realtime.django.feeds import FEEDS, FeedGap, FeedWorker


class Command(BaseCommand):
    help = "Takes a feed: each entry goes to the handler of PLATEPAL_REALTIME['FEEDS'], in order, exactly once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("feed", choices=sorted(FEEDS))
        parser.add_argument("--once", action="store_true", help="take what is there, then end; for cron")
        parser.add_argument("--accept-gap", action="store_true", help="forget the stored position and go on with what the tier has")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            worker = FeedWorker(options["feed"])
        except ValueError as why:
            raise CommandError(str(why)) from why
        if options["accept_gap"]:
            worker.reset()
        try:
            if options["once"]:
                self.stdout.write(f"took {worker.drain()}")
                return
            stop = threading.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            self.stdout.write(f"taking feed {worker.feed} as {worker.reader}")
            self.stdout.flush()
            worker.run(stop, told=self.stderr.write)
        except FeedGap as why:
            raise CommandError(str(why)) from why
