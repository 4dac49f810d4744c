"""Lists dead letters, sends them again, or drops them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from platepal_realtime.django.models import OutboxEvent
from platepal_realtime.django.relay import replay_dead
from platepal_realtime.django.settings import current

#: Lines that a list has at most.
LIST_MAX = 200


class Command(BaseCommand):
    help = "Dead letters: events that the tier refused for good. Without an option they are listed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, help="ids of rows; without any: all")
        parser.add_argument("--replay", action="store_true", help="let them wait again, at their old places")
        parser.add_argument("--drop", action="store_true", help="delete them")

    def handle(self, *args: Any, **options: Any) -> None:
        ids = options["ids"] or None
        rows = OutboxEvent.objects.using(current().database).filter(state=OutboxEvent.State.DEAD)
        rows = rows.filter(id__in=ids) if ids else rows
        if options["replay"] and options["drop"]:
            raise CommandError("--replay or --drop, not both")
        if options["replay"]:
            self.stdout.write(f"{replay_dead(ids)} wait again")
        elif options["drop"]:
            self.stdout.write(f"{rows.delete()[0]} dropped")
        else:
            for row in rows.order_by("id")[:LIST_MAX]:
                self.stdout.write(f"{row.id}\t{row.event_id}\t{row.type}\t{','.join(row.channels)}\t{row.note}")
            self.stdout.write(f"{rows.count()} dead letters")
