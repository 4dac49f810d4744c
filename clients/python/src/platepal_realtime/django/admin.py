"""The outbox in Django's admin: what waits, what was sent, what is dead and why; dead letters can be sent again.

Invariant: nothing can be written or changed here, as an event is the news of a transaction.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from .models import FeedPosition, OutboxEvent
from .relay import replay_dead

#: Characters of a payload that a page shows.
SHOWN_CHARS_MAX = 4_000


class _ReadOnly(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(OutboxEvent)
class OutboxAdmin(_ReadOnly):
    list_display = ("id", "type", "to", "state", "refusals", "created_at", "sent_at", "note")
    list_filter = ("state", "type")
    search_fields = ("event_id", "type")
    actions = ("send_again",)
    exclude = ("payload",)
    readonly_fields = ("shown_payload",)
    # Counting a large table costs more than the page.
    show_full_result_count = False

    @admin.display(description="channels")
    def to(self, row: OutboxEvent) -> str:
        return ", ".join(row.channels)

    @admin.display(description="payload")
    def shown_payload(self, row: OutboxEvent) -> str:
        return bytes(row.payload).decode(errors="replace")[:SHOWN_CHARS_MAX]

    @admin.action(description="Send dead letters again", permissions=["replay"])
    def send_again(self, request: HttpRequest, rows: Any) -> None:
        count = replay_dead(list(rows.values_list("id", flat=True)))
        self.message_user(request, f"{count} dead letters wait again.", messages.SUCCESS if count else messages.WARNING)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("platepal_realtime.change_outboxevent")  # type: ignore[no-any-return]


@admin.register(FeedPosition)
class FeedPositionAdmin(_ReadOnly):
    list_display = ("feed", "reader", "position", "updated_at")
